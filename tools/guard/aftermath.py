"""What became of one of our writes, and what takes it back: the kinds of inverse under one set of questions.

The rule: only `OURS` is taken back.  Whatever cannot be shown to be as we left it is somebody else's by now.

Neighbours: `executors.inverse`, `executors.lives` and `executors.remote` hold the facts, `undo` asks these questions
and makes the call.  All of it is pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from tools.cluster.resources import Resource, WriteRequest
from tools.executors.base import Mark
from tools.executors.inverse import AnyInverse, Inverse
from tools.executors.kubernetes.common import mark_of
from tools.executors.lives import Created, Removed
from tools.executors.remote import RemoteInverse, Stands
from tools.executors.whole import is_deleting, maker_of
from tools.guard.diff import diff, outside, redacted
from tools.guard.intents import uid_of
from tools.guard.orders import Again
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject
from tools.refs import ActionId

GOING: Final = 5.0
"""Seconds until another look at an object that waits for its finalizers."""
_NAMED: Final = 8
"""How many pointers a sentence names."""


class Standing(StrEnum):
    """What stands of a write of ours."""

    OURS = "ours"
    """It is as we left it: taking it back overwrites nobody."""
    UNDONE = "undone"
    """Everything is as it was before us."""


Finding: TypeAlias = Standing | Refused | Again
InCluster: TypeAlias = Inverse | Created | Removed
"""The inverses that are writes to the API server."""


def find_out(inverse: InCluster, live: JsonObject, undo_id: ActionId) -> Finding:
    """What stands of the write; `live` is empty when the object is not there."""
    match inverse:
        case Inverse():
            return _of_fields(inverse, live, undo_id)
        case Created():
            return _of_made(inverse, live)
        case Removed():
            return _of_removed(inverse, live, undo_id)
        case _:
            assert_never(inverse)


def request_of(inverse: InCluster, resource: Resource, live: JsonObject, mark: Mark) -> WriteRequest:
    """The one call that takes it back.  Before: `find_out` said OURS for the same `live`."""
    match inverse:
        case Inverse():
            return inverse.request(resource, live, mark)
        case Created():
            return inverse.request(resource, live)
        case Removed():
            return inverse.request(resource, mark)
        case _:
            assert_never(inverse)


def beyond(inverse: InCluster, live: JsonObject, result: JsonObject) -> str:
    """What the dry run of that call shows beyond the restoration, in words; empty when it restores exactly."""
    match inverse:
        case Inverse():
            excess = outside(diff(live, result), [field.path for field in inverse.fields])
            if excess:
                return "; ".join(str(change) for change in redacted(excess[:3], live, result))
            return "" if inverse.is_restored(result) else "the fields would not be as they were"
        case Created():
            return ""
        case Removed():
            differs = inverse.differs(result)
            return f"{_listed(differs)} would not be as before" if differs else ""
        case _:
            assert_never(inverse)


def account_of(inverse: AnyInverse, answer: JsonObject) -> str:
    """What was done to take it back, as the end of a sentence; `answer` is the object the server gave back."""
    match inverse:
        case Inverse():
            return f"{len(inverse.fields)} field(s) restored"
        case Created():
            return "the object that was made is deleted again"
        case Removed():
            return f"made again from what was recorded; its uid is {uid_of(answer)} now and was {inverse.uid}"
        case RemoteInverse():
            return inverse.sentence
        case _:
            assert_never(inverse)


def of_remote(inverse: RemoteInverse, stands: Stands) -> Finding:
    """The same for a call to another system, of which its executor said what stands."""
    target = inverse.target
    match stands:
        case Stands.OURS:
            return Standing.OURS
        case Stands.UNDONE:
            return Standing.UNDONE
        case Stands.GOING:
            return Again(delay_seconds=GOING, error=f"what was asked of {target} is still being carried out")
        case Stands.FOREIGN:
            return _no(ReasonCode.ROLLBACK_CONFLICT, f"Somebody acted on {target} after us; undoing would undo theirs.")
        case Stands.UNTELLABLE:
            return _no(ReasonCode.UNKNOWN_OUTCOME, f"It cannot be told what became of our call about {target}.")
        case _:
            assert_never(stands)


def _of_fields(inverse: Inverse, live: JsonObject, undo_id: ActionId) -> Finding:
    target = inverse.target
    if not live:
        return _no(ReasonCode.TARGET_GONE, f"{target} does not exist any more.")
    if uid_of(live) != inverse.uid:
        return _no(ReasonCode.TARGET_UID_MISMATCH, f"{target} is another object than the one we changed.")
    if mark_of(live) == undo_id or inverse.is_restored(live):
        return Standing.UNDONE
    foreign = inverse.foreign(live)
    if not foreign:
        return Standing.OURS
    what = f"Somebody changed {', '.join(foreign)} of {target} after us; undoing would overwrite that."
    return _no(ReasonCode.ROLLBACK_CONFLICT, what)


def _of_made(inverse: Created, live: JsonObject) -> Finding:
    target = inverse.target
    if not live:
        return Standing.UNDONE
    if not inverse.is_ours(live):
        return _no(ReasonCode.ROLLBACK_CONFLICT, f"Somebody made {target} anew after us; it is not ours to delete.")
    if is_deleting(live):
        return Standing.UNDONE
    foreign = inverse.foreign(live)
    if not foreign:
        return Standing.OURS
    what = f"Somebody changed {_listed(foreign)} of {target}, which we made; deleting it would take that away."
    return _no(ReasonCode.ROLLBACK_CONFLICT, what)


def _of_removed(inverse: Removed, live: JsonObject, undo_id: ActionId) -> Finding:
    target = inverse.target
    if not live:
        return Standing.OURS
    if inverse.is_going(live):
        return Again(delay_seconds=GOING, error=f"{target} is still on its way out")
    if maker_of(live) == undo_id or uid_of(live) == inverse.uid:
        return Standing.UNDONE
    return _no(ReasonCode.ROLLBACK_CONFLICT, f"Somebody made another {target} after we removed it; theirs stands.")


def _listed(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _no(code: ReasonCode, reason: str) -> Refused:
    return Refused(code=code, reason=reason, check="undo")
