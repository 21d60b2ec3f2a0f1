"""Makes the view of an incident fit into a prompt, by leaving out in a fixed order what tells least.

The order, first to go first:

1. events of type Normal, oldest first
2. facts of pods that are ready
3. log excerpts: each to its last 1,500 characters
4. fields beyond ten of each revert, of a workload or of another object
5. Warning events beyond the five newest
6. findings of the investigation: each to its first 600 characters
7. failing pods beyond three
8. names of targets beyond twenty (the workload and failing pods stand first)
9. log excerpts, last first
10. findings, oldest first
11. the remaining events
12. messages, to 200 characters

Never left out: the workload, the signals, the reverts themselves, the containers, what was tried and what was unseen.
The rule: what was left out is named and counted in the view, so that nobody concludes from its absence; a case that
does not fit even then is refused.  Neighbours: `view` makes it, `budget` estimates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graph.model.budget import estimate, spent
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str

LOG_CHARACTERS: Final = 1500
FINDING_CHARACTERS: Final = 600
MESSAGE_CHARACTERS: Final = 200
KEPT_WARNINGS: Final = 5
KEPT_CHANGES: Final = 10
KEPT_PODS: Final = 3
KEPT_TARGETS: Final = 20

Take = Callable[[JsonObject], JsonObject | None]
"""One piece less; None when there is nothing left to take."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One rule of the order: how what it leaves out is called, and how one piece is taken."""

    name: str
    take: Take


def fit(view: JsonObject, tokens: int) -> JsonObject | Refused:
    """The view with as little left out as fits into `tokens`, or the refusal when all cuts are not enough.  Pure."""
    for cut in ORDER:
        while estimate(view) > tokens:
            smaller = cut.take(view)
            if smaller is None:
                break
            view = _noted(smaller, cut.name)
    return view if estimate(view) <= tokens else spent(f"{tokens} tokens for one prompt: the case does not fit")


def _noted(view: JsonObject, name: str) -> JsonObject:
    left_out = dig_object(view, "left_out")
    before = left_out.get(name)
    return {**view, "left_out": {**left_out, name: (before if isinstance(before, int) else 0) + 1}}


def _drop(key: str, which: Callable[[list[JsonValue]], int | None]) -> Take:
    """Drop the item of the list `key` that `which` points at."""

    def take(view: JsonObject) -> JsonObject | None:
        items = dig_list(view, key)
        index = which(items)
        return None if index is None else {**view, key: [*items[:index], *items[index + 1 :]]}

    return take


def _shorten(key: str, field: str, limit: int, *, keep_end: bool = False) -> Take:
    """Cut the text `field` of the first item of `key` that is longer than `limit`."""

    def take(view: JsonObject) -> JsonObject | None:
        items = dig_list(view, key)
        for index, item in enumerate(items):
            text = dig_str(item, field)
            if isinstance(item, dict) and len(text) > limit:
                short = text[-limit:] if keep_end else text[:limit]
                return {**view, key: [*items[:index], {**item, field: short}, *items[index + 1 :]]}
        return None

    return take


def _drop_changes(view: JsonObject) -> JsonObject | None:
    choices = dig_object(view, "choices")
    for key in ("reverts", "objects"):
        ways = dig_list(choices, key)
        for index, way in enumerate(ways):
            changes = dig_list(way, "changes")
            if isinstance(way, dict) and len(changes) > KEPT_CHANGES:
                fewer: JsonObject = {**way, "changes": changes[:KEPT_CHANGES], "more_changes": True}
                return {**view, "choices": {**choices, key: [*ways[:index], fewer, *ways[index + 1 :]]}}
    return None


def _drop_target(view: JsonObject) -> JsonObject | None:
    choices = dig_object(view, "choices")
    targets = dig_list(choices, "targets")
    return {**view, "choices": {**choices, "targets": targets[:-1]}} if len(targets) > KEPT_TARGETS else None


def _first_normal(events: list[JsonValue]) -> int | None:
    return next((i for i, e in enumerate(events) if dig_str(e, "type") != "Warning"), None)


def _ready_pod(pods: list[JsonValue]) -> int | None:
    ready = [i for i, p in enumerate(pods) if isinstance(p, dict) and p.get("ready") is True]
    return ready[-1] if ready else None


def _oldest_above(kept: int) -> Callable[[list[JsonValue]], int | None]:
    return lambda items: 0 if len(items) > kept else None


def _last_above(kept: int) -> Callable[[list[JsonValue]], int | None]:
    return lambda items: len(items) - 1 if len(items) > kept else None


ORDER: Final[tuple[Cut, ...]] = (
    Cut("normal_events", _drop("events", _first_normal)),
    Cut("ready_pods", _drop("pods", _ready_pod)),
    Cut("log_beginnings", _shorten("logs", "text", LOG_CHARACTERS, keep_end=True)),
    Cut("revert_changes", _drop_changes),
    Cut("older_warnings", _drop("events", _oldest_above(KEPT_WARNINGS))),
    Cut("finding_ends", _shorten("findings", "text", FINDING_CHARACTERS)),
    Cut("failing_pods", _drop("pods", _last_above(KEPT_PODS))),
    Cut("targets", _drop_target),
    Cut("logs", _drop("logs", _last_above(0))),
    Cut("findings", _drop("findings", _oldest_above(0))),
    Cut("events", _drop("events", _oldest_above(0))),
    Cut("message_ends", _shorten("signals", "message", MESSAGE_CHARACTERS)),
)
"""The order that the module's text describes; a test compares both."""
