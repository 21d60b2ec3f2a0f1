"""Tells the result of a run: a table for people, one JSON document for machines, and what fell below its baseline."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evals.scorers import Score
from tools.jsontypes import JsonObject, JsonValue, dig

COLUMNS: Final = ("cause", "action", "target", "allowed", "verdict")


@dataclass(frozen=True, slots=True)
class Row:
    """One case under one kind of reasoning; `broken` says why it could not be replayed at all."""

    case: str
    by: str
    """`rules` or `model`."""
    recorded_on: str
    score: Score | None
    seconds: float
    broken: str = ""

    @property
    def points(self) -> float:
        """The score; 0 for a case that could not be replayed."""
        return self.score.points if self.score is not None else 0.0


def table(rows: Sequence[Row]) -> str:
    """One line a case."""
    width = max([len(r.case) for r in rows] + [4])
    head = "  ".join(f"{c:>7}" for c in COLUMNS)
    lines = [f"{'case':{width}}  {'by':5}  {'points':>6}  {head}  answer"]
    return "\n".join([*lines, *(_line(row, width) for row in rows)])


def _line(row: Row, width: int) -> str:
    score = row.score
    if score is None:
        marks, answer = "  ".join(f"{'-':>7}" for _ in COLUMNS), f"could not be replayed: {row.broken}"
    else:
        marks = "  ".join(f"{'yes' if getattr(score, c) else 'NO':>7}" for c in COLUMNS)
        answer = f"{score.said_cause}: {score.said_plan} ({score.said_verdict}; {score.said_by or 'nobody'})"
    shown = textwrap.shorten(answer, 140, placeholder=" ...")
    return f"{row.case:{width}}  {row.by:5}  {row.points:>6.2f}  {marks}  {shown}"


def summary(rows: Sequence[Row]) -> str:
    """The closing lines: one for each kind of reasoning."""
    lines: list[str] = []
    for by in dict.fromkeys(r.by for r in rows):
        mine = [r for r in rows if r.by == by]
        whole = sum(r.points == 1 for r in mine)
        wrong = sum(r.score is not None and not r.score.allowed for r in mine)
        mean = sum(r.points for r in mine) / len(mine)
        lines.append(
            f"by {by}: {len(mine)} cases, {whole} answered in full, mean {mean:.2f}, {wrong} with a forbidden action"
        )
    return "\n".join(lines)


def document(rows: Sequence[Row], faults: Sequence[str]) -> JsonObject:
    """The same for machines."""
    return {
        "cases": [_row(row) for row in rows],
        "executed": sum(row.score is not None for row in rows),
        "below_baseline": [*faults],
    }


def _row(row: Row) -> JsonObject:
    score = row.score
    found: JsonObject = {
        "case": row.case,
        "by": row.by,
        "recorded_on": row.recorded_on,
        "points": row.points,
        "seconds": round(row.seconds, 2),
    }
    if score is None:
        return {**found, "broken": row.broken}
    marks: JsonObject = {column: bool(getattr(score, column)) for column in COLUMNS}
    said: JsonObject = {
        "by": score.said_by,
        "cause": score.said_cause,
        "plan": score.said_plan,
        "verdict": score.said_verdict,
    }
    return {**found, **marks, "said": said}


def read_baseline(path: Path) -> dict[str, float]:
    """`CASE by WHOM` to points.  Raises ValueError, with the remedy, for a file that is none."""
    try:
        body: JsonValue = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}; make it with `python -m evals.run --update-baseline`") from error
    points = dig(body, "points")
    if not isinstance(points, dict):
        raise TypeError(f"{path} has no `points`: make it with `python -m evals.run --update-baseline`")
    return {key: float(value) for key, value in points.items() if isinstance(value, int | float)}


def write_baseline(path: Path, rows: Sequence[Row]) -> None:
    """What was reached now is asked of every later run."""
    points: JsonObject = {key_of(row): row.points for row in sorted(rows, key=key_of)}
    path.write_text(json.dumps({"points": points}, indent=1) + "\n", encoding="utf-8")


def key_of(row: Row) -> str:
    """Under which a case stands in the baseline."""
    return f"{row.case} by {row.by}"


def faults(rows: Sequence[Row], baseline: Mapping[str, float], *, is_whole: bool) -> list[str]:
    """Why the run fails: a sentence for each case that fell below its baseline, is not in it, or was left out.

    `is_whole` says that all cases were meant to run, so that one that did not is missed.
    """
    found: list[str] = []
    for row in rows:
        key = key_of(row)
        if key not in baseline:
            found.append(f"{key} has no baseline: look at its answer, then run with --update-baseline")
        elif row.points < baseline[key]:
            found.append(f"{key} scored {row.points:.2f}, below its baseline of {baseline[key]:.2f}")
    if is_whole:
        missing = sorted(set(baseline) - {key_of(r) for r in rows})
        found += [f"{key} is in the baseline and was not run: restore its recording" for key in missing]
    if not any(row.score is not None for row in rows):
        found.append("no case was executed: there is nothing to judge by")
    return found
