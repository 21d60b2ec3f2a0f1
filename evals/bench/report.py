"""What a run says, as numbers and as text; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from evals.bench.incidents import Ended, Run
from tools.jsontypes import JsonObject

MOST_TOLD: Final = 20
"""Failures that are told one by one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: some of the faults."""

    name: str
    faults: int
    healed: int
    p50: float | None
    p95: float | None
    slowest: float | None
    """Virtual seconds from the fault to the recovery that lasted."""

    @classmethod
    def over(cls, name: str, ended: Iterable[Ended]) -> Row:
        """The numbers of these faults."""
        some = list(ended)
        times = sorted(e.to_recovery for e in some if e.to_recovery is not None)
        healed = sum(1 for e in some if not e.wrong)
        return cls(name, len(some), healed, rank(times, 0.5), rank(times, 0.95), rank(times, 1.0))


@dataclass(frozen=True, slots=True)
class Report:
    """All of a benchmark: the runs of its processes together."""

    ended: tuple[Ended, ...]
    strays: tuple[str, ...]
    processes: int
    requests: int
    virtual_seconds: float
    """Of the longest run."""
    wall_seconds: float
    """From the command to the last end, set-up and all."""

    @classmethod
    def of(cls, runs: Sequence[Run], wall_seconds: float) -> Report:
        """Put the runs together."""
        return cls(
            ended=tuple(e for r in runs for e in r.ended),
            strays=tuple(s for r in runs for s in r.strays),
            processes=len(runs),
            requests=sum(r.requests for r in runs),
            virtual_seconds=max((r.virtual_seconds for r in runs), default=0.0),
            wall_seconds=wall_seconds,
        )

    @property
    def failed(self) -> tuple[Ended, ...]:
        """Faults that were not healed."""
        return tuple(e for e in self.ended if e.wrong)

    @property
    def is_well(self) -> bool:
        """Whether there were faults, each was healed, and nothing else was taken for one."""
        return bool(self.ended) and not self.failed and not self.strays

    @property
    def all(self) -> Row:
        """All faults in one line."""
        return Row.over("all", self.ended)

    def rows(self) -> list[Row]:
        """By what broke, then by the kind of workload."""
        groups = dict.fromkeys(e.group for e in sorted(self.ended, key=lambda e: e.group))
        kinds = dict.fromkeys(e.kind for e in sorted(self.ended, key=lambda e: e.kind))
        return [
            *(Row.over(g, (e for e in self.ended if e.group == g)) for g in groups),
            *(Row.over(k, (e for e in self.ended if e.kind == k)) for k in kinds),
        ]

    def document(self) -> JsonObject:
        """The numbers, for machines."""
        total = self.all
        return {
            "faults": total.faults,
            "healed": total.healed,
            "healed_share": total.healed / total.faults if total.faults else 0.0,
            "strays": [*self.strays],
            "processes": self.processes,
            "seconds_to_recovery": {"p50": total.p50, "p95": total.p95, "max": total.slowest},
            "virtual_seconds": self.virtual_seconds,
            "wall_seconds": self.wall_seconds,
            "incidents_per_second": total.faults / self.wall_seconds if self.wall_seconds else 0.0,
            "requests_per_incident": self.requests / total.faults if total.faults else 0.0,
            "failed": [
                {"fault": e.number, "family": e.family, "workload": e.workload, "wrong": e.wrong} for e in self.failed
            ],
        }


def rank(times: Sequence[float], share: float) -> float | None:
    """The value that `share` of the sorted times do not exceed; None of none."""
    return times[max(0, math.ceil(share * len(times)) - 1)] if times else None


def text(report: Report) -> str:
    """The table and the totals."""
    total = report.all
    lines = [
        f"{'':<14}{'faults':>7}{'healed':>8}{'p50':>9}{'p95':>9}{'slowest':>9}   virtual seconds to recovery",
        *(_line(row) for row in (*report.rows(), total)),
        "",
        _outcome(report),
        _speed(report),
    ]
    lines += [
        f"NOT HEALED  fault {e.number}, {e.family} on {e.workload} ({e.told}): {e.wrong}"
        for e in report.failed[:MOST_TOLD]
    ]
    lines += [f"NO FAULT    {s}" for s in report.strays[:MOST_TOLD]]
    return "\n".join(lines)


def _outcome(report: Report) -> str:
    total = report.all
    share = 100 * total.healed / total.faults if total.faults else 0.0
    healed = f"{total.healed} of {total.faults} faults healed ({math.floor(share * 10) / 10:g} %)"  # never rounded up
    return f"{healed}; {len(report.strays)} incidents where nothing was broken"


def _speed(report: Report) -> str:
    faults = len(report.ended)
    if not faults or not report.wall_seconds:
        return "nothing was measured"
    return (
        f"{report.wall_seconds:.0f} s on the clock for {report.virtual_seconds:.0f} virtual seconds,"
        f" in {report.processes} process(es): {faults / report.wall_seconds:.1f} incidents a second,"
        f" {report.requests / faults:.1f} API requests each"
    )


def _line(row: Row) -> str:
    times = "".join(f"{'-' if t is None else f'{t:.1f}':>9}" for t in (row.p50, row.p95, row.slowest))
    return f"{row.name:<14}{row.faults:>7}{row.healed:>8}{times}"
