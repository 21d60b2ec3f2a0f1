"""Results of a run: one row per scenario, the closing lines, the JSON file, the exit code.  Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from tools.jsontypes import JsonObject, JsonValue

LIMIT_S = 60.0
"""Recovered within this from the injection counts as healed."""
Outcome = Literal["healed", "late", "not healed", "quiet", "wrote", "error"]
GOOD: tuple[Outcome, ...] = ("healed", "quiet")


@dataclass(frozen=True)
class Result:
    """What came of one scenario.  Times are seconds from the injection; None means it did not happen."""

    scenario: str
    tier: str
    outcome: Outcome
    note: str = ""
    signal_s: float | None = None
    detected_s: float | None = None
    first_write_s: float | None = None
    recovered_s: float | None = None
    writes: int = 0
    refused_writes: int = 0
    write_log: list[str] = field(default_factory=list[str])
    incidents: list[JsonObject] = field(default_factory=list[JsonObject])

    @property
    def reaction_ms(self) -> float | None:
        """From the status update that confirmed the signal, as the healer's watch had it, to its first write."""
        if self.detected_s is None or self.first_write_s is None:
            return None
        return (self.first_write_s - self.detected_s) * 1000

    @property
    def patience_ms(self) -> float | None:
        """The same from the first sight of the symptom: the signal's own grace is in it."""
        if self.signal_s is None or self.first_write_s is None:
            return None
        return (self.first_write_s - self.signal_s) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; `values` must not be empty."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 100))
    return ordered[int(rank) - 1]


def table(results: Sequence[Result]) -> str:
    """One line per result, times in seconds."""
    width = max([len(r.scenario) for r in results] + [8])
    columns = "  ".join(f"{name:>7}" for name in ("signal", "sure", "write", "healed"))
    lines = [f"{'scenario':{width}}  {'outcome':10}  {columns}  {'writes':>6}  note"]
    for r in sorted(results, key=lambda r: (r.tier, r.scenario)):
        times = "  ".join(
            f"{'-' if t is None else f'{t:.2f}':>7}" for t in (r.signal_s, r.detected_s, r.first_write_s, r.recovered_s)
        )
        note = textwrap.shorten(r.note.partition("\n")[0], 100, placeholder=" …")
        lines.append(f"{r.scenario:{width}}  {r.outcome:10}  {times}  {r.writes:>6}  {note}".rstrip())
    return "\n".join(lines)


def closing_lines(results: Sequence[Result]) -> list[str]:
    """The lines that a reader looks for."""
    faults = [r for r in results if r.tier == "auto"]
    negatives = [r for r in results if r.tier == "none"]
    healed = [r.recovered_s for r in faults if r.outcome == "healed" and r.recovered_s is not None]
    times = f", p50 {percentile(healed, 50):.1f} s, p95 {percentile(healed, 95):.1f} s" if healed else ""
    head = f"healed {len(healed)}/{len(faults)} within {LIMIT_S:.0f} s{times}"
    if negatives:
        head += f"; negatives: {sum(r.writes + r.refused_writes for r in negatives)} writes"
    lines = [head]
    reactions = [r.reaction_ms for r in faults if r.reaction_ms is not None]
    if reactions:
        lines.append(f"detection to first write: p50 {percentile(reactions, 50):.0f} ms (n={len(reactions)})")
    patience = [r.patience_ms for r in faults if r.patience_ms is not None]
    if patience:
        lines.append(f"first sight to first write, graces included: p50 {percentile(patience, 50):.0f} ms")
    return lines


def as_json(results: Sequence[Result], stray: Sequence[str], settings: JsonObject) -> JsonObject:
    """Everything, for machines."""
    rows: list[JsonValue] = [{**asdict(r), "reaction_ms": r.reaction_ms} for r in results]
    summary: list[JsonValue] = [*closing_lines(results)]
    return {"summary": summary, "settings": settings, "stray_writes": [*stray], "results": rows}


def succeeded(results: Sequence[Result], stray: Sequence[str]) -> bool:
    """Every scenario came out well and nothing was written outside of the lanes."""
    return bool(results) and not stray and all(r.outcome in GOOD for r in results)
