"""What a chaos run found out, as values and as a few lines.  Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.cluster.report import LIMIT_S, percentile
from tools.jsontypes import JsonObject, JsonValue


@dataclass
class Struck:
    """One fault: what, where, when (seconds from the run's begin), and what came of it."""

    at: float
    workload: str
    family: str
    circumstance: str
    """plain, rollout, scaling, or together with another one."""
    recovered_s: float | None = None
    writes: int = 0
    repaired_by_hand: bool = False

    @property
    def in_time(self) -> bool:
        """Recovered within the limit."""
        return self.recovered_s is not None and self.recovered_s <= LIMIT_S


@dataclass
class ChaosReport:
    """Everything of one run."""

    seconds: float = 0.0
    faults: list[Struck] = field(default_factory=list[Struck])
    outages: dict[str, list[tuple[float, float]]] = field(default_factory=dict[str, list[tuple[float, float]]])
    """By workload: spans without one ready pod, in seconds from the begin."""
    writes: list[float] = field(default_factory=list[float])
    """When the healer wrote."""
    collateral: list[str] = field(default_factory=list[str])
    """What in the end is not as in the beginning, and was not allowed to be."""
    stray_writes: list[str] = field(default_factory=list[str])
    incidents: dict[str, int] = field(default_factory=dict[str, int])
    """Incidents by how they ended."""
    refusals: dict[str, int] = field(default_factory=dict[str, int])
    """Reasons why something was not done, by code."""
    accounts: list[JsonObject] = field(default_factory=list[JsonObject])
    """Every incident, as the service tells it."""
    settings: JsonObject = field(default_factory=dict[str, JsonValue])

    @property
    def longest_outage(self) -> tuple[float, str]:
        """Its seconds and its workload; (0, "") when every workload always had a ready pod."""
        spans = [(end - begin, name) for name, found in self.outages.items() for begin, end in found]
        return max(spans, default=(0.0, ""))

    def as_json(self) -> JsonObject:
        """Everything, for machines."""
        summary: list[JsonValue] = [*closing(self)]
        return {"summary": summary, **asdict(self)}


def closing(report: ChaosReport) -> list[str]:
    """The lines that a reader looks for."""
    faults = report.faults
    if not faults:
        return ["chaos: no fault was injected"]
    times = [f.recovered_s for f in faults if f.recovered_s is not None]
    spread = f", p50 {percentile(times, 50):.1f} s, p95 {percentile(times, 95):.1f} s" if times else ""
    in_time = sum(f.in_time for f in faults)
    outage, where = report.longest_outage
    head = (
        f"chaos: {len(faults)} faults in {report.seconds / 60:.0f} minutes,"
        f" {in_time} recovered within {LIMIT_S:.0f} s ({100 * in_time / len(faults):.0f} %){spread}"
    )
    lines = [
        head,
        f"repaired by hand: {sum(f.repaired_by_hand for f in faults)}",
        f"longest outage (no ready pod): {outage:.0f} s{' of ' + where if where else ''}",
        f"writes: {len(report.writes)}, {len(report.writes) / len(faults):.1f} a fault",
        f"collateral changes: {len(report.collateral) + len(report.stray_writes)}",
    ]
    for circumstance, group in sorted(_by_circumstance(faults).items()):
        lines.append(f"  {circumstance}: {sum(f.in_time for f in group)}/{len(group)} in time")
    missed = Counter(f.family for f in faults if not f.in_time)
    if missed:
        lines.append("not in time: " + ", ".join(f"{n} {c}" for n, c in missed.most_common()))
    if report.incidents:
        lines.append("incidents: " + _counted(report.incidents))
    if report.refusals:
        lines.append("not done because: " + _counted(report.refusals))
    return lines


def _by_circumstance(faults: list[Struck]) -> dict[str, list[Struck]]:
    groups: dict[str, list[Struck]] = {}
    for fault in faults:
        groups.setdefault(fault.circumstance, []).append(fault)
    return groups


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda c: (-c[1], c[0])))
