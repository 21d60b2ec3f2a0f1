"""Results of a run: one row per scenario, the closing lines by tier, the JSON file, the exit code.  Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from tools.jsontypes import JsonObject, JsonValue

LIMIT_S = 60.0
"""Recovered within this from the injection counts as healed."""
Outcome = Literal[
    "healed", "late", "not healed", "quiet", "wrote", "noisy", "escalated", "not escalated", "empty account",
    "no plan", "wrong plan", "unasked", "error", "not here",
]  # fmt: skip
GOOD: tuple[Outcome, ...] = ("healed", "quiet", "escalated", "not here")
"""`not here`: this ground does not offer what the scenario needs; counted and told."""
TIERS = ("auto", "approval", "escalate", "none")


@dataclass(frozen=True)
class Result:
    """What came of one scenario.  Times are seconds from the injection, but for `recovered_s` of tier approval, which
    counts from the approval; None means it did not happen."""

    scenario: str
    tier: str
    outcome: Outcome
    note: str = ""
    signal_s: float | None = None
    detected_s: float | None = None
    asked_s: float | None = None
    """When the right plan was found waiting."""
    first_write_s: float | None = None
    recovered_s: float | None = None
    writes: int = 0
    refused_writes: int = 0
    requests: int = 0
    """Requests of the healer that named the namespace, reads and dry runs too."""
    collateral: list[str] = field(default_factory=list[str])
    """What is neither as before the fault nor as the fault left it."""
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

    @property
    def since_signal_s(self) -> float | None:
        """From the first sight of the symptom to recovered."""
        if self.signal_s is None or self.recovered_s is None or self.tier != "auto":
            return None
        return self.recovered_s - self.signal_s

    @property
    def requests_per_incident(self) -> float | None:
        """None where there was no incident to ask about."""
        return self.requests / len(self.incidents) if self.incidents else None


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; `values` must not be empty."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 100))
    return ordered[int(rank) - 1]


def table(results: Sequence[Result]) -> str:
    """One line per result, times in seconds."""
    width = max([len(r.scenario) for r in results] + [8])
    columns = "  ".join(f"{name:>7}" for name in ("signal", "sure", "asked", "write", "healed"))
    lines: list[str] = []
    for tier in TIERS:
        mine = sorted((r for r in results if r.tier == tier), key=lambda r: r.scenario)
        if mine:
            lines.append(f"{tier + ':':{width}}  {'outcome':13}  {columns}  {'writes':>6}  note")
            lines += [_row(r, width) for r in mine]
    return "\n".join(lines)


def _row(r: Result, width: int) -> str:
    shown = (r.signal_s, r.detected_s, r.asked_s, r.first_write_s, r.recovered_s)
    times = "  ".join(f"{'-' if t is None else f'{t:.2f}':>7}" for t in shown)
    note = textwrap.shorten(r.note.partition("\n")[0], 120, placeholder=" …")
    return f"{r.scenario:{width}}  {r.outcome:13}  {times}  {r.writes:>6}  {note}".rstrip()


def closing_lines(results: Sequence[Result]) -> list[str]:
    """The lines that a reader looks for, tier by tier."""
    played = [r for r in results if r.outcome != "not here"]
    lines = [*_auto_lines([r for r in played if r.tier == "auto"])]
    lines += _approval_lines([r for r in played if r.tier == "approval"])
    for tier, word in (("escalate", "escalated with its cause"), ("none", "left alone")):
        mine = [r for r in played if r.tier == tier]
        if mine:
            good = sum(r.outcome in GOOD for r in mine)
            lines.append(f"{tier}: {word} {good}/{len(mine)}, {_writes(mine)} writes")
    lines += _cost_lines(played)
    left_out = [r.scenario for r in results if r.outcome == "not here"]
    if left_out:
        lines.append(f"not held by this ground: {len(left_out)} ({', '.join(left_out)})")
    return lines


def _auto_lines(faults: Sequence[Result]) -> list[str]:
    if not faults:
        return []
    healed = [r.recovered_s for r in faults if r.outcome == "healed" and r.recovered_s is not None]
    share = 100 * len(healed) / len(faults)
    lines = [f"auto: healed {len(healed)}/{len(faults)} within {LIMIT_S:.0f} s ({share:.0f} %){_spread(healed)}"]
    signal = [r.since_signal_s for r in faults if r.since_signal_s is not None]
    if signal:
        lines.append(f"auto: first signal to recovered{_spread(signal)}")
    reactions = [r.reaction_ms for r in faults if r.reaction_ms is not None]
    if reactions:
        lines.append(f"auto: detection to first write, p50 {percentile(reactions, 50):.0f} ms (n={len(reactions)})")
    patience = [r.patience_ms for r in faults if r.patience_ms is not None]
    if patience:
        lines.append(f"auto: first sight to first write, graces included, p50 {percentile(patience, 50):.0f} ms")
    return lines


def _approval_lines(asked: Sequence[Result]) -> list[str]:
    if not asked:
        return []
    healed = [r.recovered_s for r in asked if r.outcome == "healed" and r.recovered_s is not None]
    waited = sum(r.asked_s is not None for r in asked)
    share = f"healed after approval {len(healed)}/{len(asked)}"
    return [f"approval: the right plan waited {waited}/{len(asked)}, {share}{_spread(healed)}"]


def _cost_lines(played: Sequence[Result]) -> list[str]:
    stray = sum(len(r.collateral) for r in played)
    lines = [f"collateral changes: {stray}"]
    costs = [r.requests_per_incident for r in played if r.requests_per_incident is not None and r.requests]
    if costs:
        lines.append(f"API requests per incident: p50 {percentile(costs, 50):.0f}, max {max(costs):.0f}")
    return lines


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f", p50 {percentile(values, 50):.1f} s, p95 {percentile(values, 95):.1f} s"


def _writes(results: Sequence[Result]) -> int:
    return sum(r.writes + r.refused_writes for r in results)


def as_json(results: Sequence[Result], stray: Sequence[str], settings: JsonObject) -> JsonObject:
    """Everything, for machines."""
    rows: list[JsonValue] = [{**asdict(r), "reaction_ms": r.reaction_ms} for r in results]
    summary: list[JsonValue] = [*closing_lines(results)]
    return {"summary": summary, "settings": settings, "stray_writes": [*stray], "results": rows}


def succeeded(results: Sequence[Result], stray: Sequence[str]) -> bool:
    """Every scenario came out well, at least one was played, and nothing was written beside them."""
    played = [r for r in results if r.outcome != "not here"]
    return bool(played) and not stray and all(r.outcome in GOOD and not r.collateral for r in results)
