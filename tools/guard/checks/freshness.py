"""Freshness: the target is the very object that was diagnosed, saying what it said then.

What our own plan wrote meanwhile is no change: the intent of each write says what it leaves.  What was not there at the
diagnosis is still not there, or it is the life that this incident made of it; what is gone was removed by this plan.
Labels move neither generation nor content; who writes them must find the very version that was diagnosed.
"""

from __future__ import annotations

from tools.cluster.documents import content_of
from tools.executors.rounds import RoundsExecutor
from tools.executors.whole import is_deleting, maker_of
from tools.guard.checks.scope import pin_of
from tools.guard.intents import content_after, generation_after
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import JsonObject, dig_int, dig_str
from tools.ledger.records import ActionState
from tools.refs import ObjectRef, Pin, absent_uid

_LABELS = "/metadata/labels"


def check(world: World) -> Refused | None:
    """Refuse another life of the same name, an owner on its way out, and a content that somebody changed."""
    target, owner = world.order.action.target, world.order.owner
    live = known(world.situation, f"{target}").live
    pin = pin_of(world)
    if pin is None:
        return no(ReasonCode.TARGET_OUT_OF_SCOPE, f"{target} was not read for this incident.")
    if live and world.executor is not None and world.executor.creates and pin.uid == absent_uid(target):
        return None  # what came meanwhile is refused by the executor's precondition, which knows the better words
    if not _is_that_life(world, target, live, pin.uid):
        return no(ReasonCode.TARGET_UID_MISMATCH, f"{target} is another object than the one that was diagnosed.")
    owner_live = known(world.owner, f"{owner}")
    if not _is_that_life(world, owner, owner_live, world.order.owner_uid):
        return no(ReasonCode.TARGET_UID_MISMATCH, f"{owner} is another object than the one that was diagnosed.")
    if is_deleting(owner_live) and not _was_removed(world, owner, world.order.owner_uid):
        return no(ReasonCode.TARGET_GONE, f"{owner} is being deleted.")
    if _writes_labels(world) and not _is_that_version(world, live, pin):
        return no(ReasonCode.TARGET_CHANGED, f"{target} was written since it was diagnosed, perhaps its labels.")
    if isinstance(world.executor, RoundsExecutor):
        return None  # what is to be done is read off the world each time; each round checks its own target
    return _changed(world, target, live, pin) if live else None


def own_generation(world: World, uid: str) -> int | None:
    """The generation that the newest write of this very plan left on that object; None when it wrote nothing there."""
    history = known(world.history, "what was done in this incident")
    return generation_after(history, world.order.plan_id, uid)


def _is_that_life(world: World, ref: ObjectRef, live: JsonObject, uid: str) -> bool:
    """Whether `live` is the life that `uid` names; an absent one may have been made by this incident since."""
    if not live:
        return uid == absent_uid(ref) or _was_removed(world, ref, uid)
    if uid != absent_uid(ref):
        return bool(uid) and dig_str(live, "metadata", "uid") == uid
    history = known(world.history, "what was done in this incident")
    return bool(maker_of(live)) and any(
        (r.state, r.intent.action_id, r.intent.target) == (ActionState.APPLIED, maker_of(live), ref) for r in history
    )


def _was_removed(world: World, ref: ObjectRef, uid: str) -> bool:
    """Whether an earlier step of this very plan took that life away, to have it made anew."""
    history = known(world.history, "what was done in this incident")
    return any(
        (r.state, r.intent.plan_id, r.intent.target, r.intent.target_uid)
        == (ActionState.APPLIED, world.order.plan_id, ref, uid)
        and dig_str(r.intent.inverse, "kind") == "removed"
        for r in history
    )


def _changed(world: World, target: ObjectRef, live: JsonObject, pin: Pin) -> Refused | None:
    is_counted = pin.generation is not None or pin.content is None
    expected = own_generation(world, dig_str(live, "metadata", "uid")) if is_counted else None
    if expected is None:
        expected = pin.generation
    present = dig_int(live, "metadata", "generation")
    if expected is None or present is None:
        return _changed_without_count(world, target, live, pin)
    if expected == present:
        return None
    return no(
        ReasonCode.TARGET_CHANGED,
        f"The spec of {target} changed since it was diagnosed (generation {present}, expected {expected}).",
    )


def _changed_without_count(world: World, target: ObjectRef, live: JsonObject, pin: Pin) -> Refused | None:
    """For kinds without a generation, or whose generation counts the status too.

    By content; by version where fields are written and nobody took the content.
    """
    history = known(world.history, "what was done in this incident")
    expected = content_after(history, world.order.plan_id, dig_str(live, "metadata", "uid")) or pin.content
    if expected is not None:
        is_same = expected == content_of(live)
    else:
        writes_fields = world.executor is not None and bool(world.executor.declared_fields)
        is_same = not writes_fields or _is_that_version(world, live, pin)
    return None if is_same else no(ReasonCode.TARGET_CHANGED, f"{target} changed since it was diagnosed.")


def _writes_labels(world: World) -> bool:
    executor, situation = world.executor, known(world.situation, f"{world.order.action.target}")
    if executor is None or _LABELS not in executor.declared_fields:
        return False
    return any(path.startswith(_LABELS) for path in executor.fields(world.order.action, situation))


def _is_that_version(world: World, live: JsonObject, pin: Pin) -> bool:
    """Whether nobody but this plan wrote to the object since the diagnosis, not even its status."""
    history = known(world.history, "what was done in this incident")
    uid = dig_str(live, "metadata", "uid")
    is_ours = content_after(history, world.order.plan_id, uid) is not None
    return is_ours or pin.resource_version == dig_str(live, "metadata", "resourceVersion")
