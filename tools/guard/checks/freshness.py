"""Freshness: the target is the very object that was diagnosed, with the spec it had then.

What our own plan wrote meanwhile is no change: the intent of each write says which generation it leaves.
"""

from __future__ import annotations

from tools.guard.checks.scope import pin_of
from tools.guard.intents import generation_after
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import JsonObject, dig_int, dig_str
from tools.refs import ObjectRef


def check(world: World) -> Refused | None:
    """Refuse another life of the same name, an owner on its way out, and a spec that somebody changed."""
    target, owner = world.order.action.target, world.order.owner
    live = known(world.situation, f"{target}").live
    pin = pin_of(world)
    if pin is None:
        return no(ReasonCode.TARGET_OUT_OF_SCOPE, f"{target} was not read for this incident.")
    if not pin.uid or dig_str(live, "metadata", "uid") != pin.uid:
        return no(ReasonCode.TARGET_UID_MISMATCH, f"{target} is another object than the one that was diagnosed.")
    owner_live = known(world.owner, f"{owner}")
    if not world.order.owner_uid or dig_str(owner_live, "metadata", "uid") != world.order.owner_uid:
        return no(ReasonCode.TARGET_UID_MISMATCH, f"{owner} is another object than the one that was diagnosed.")
    if _is_deleting(owner_live):
        return no(ReasonCode.TARGET_GONE, f"{owner} is being deleted.")
    return _generation(world, target, live, pin.generation)


def _generation(world: World, target: ObjectRef, live: JsonObject, pinned: int | None) -> Refused | None:
    expected = own_generation(world, dig_str(live, "metadata", "uid"))
    if expected is None:
        expected = pinned
    present = dig_int(live, "metadata", "generation")
    if expected is None or expected == present:
        return None
    return no(
        ReasonCode.TARGET_CHANGED,
        f"The spec of {target} changed since it was diagnosed (generation {present}, expected {expected}).",
    )


def own_generation(world: World, uid: str) -> int | None:
    """The generation that the newest write of this very plan left on that object; None when it wrote nothing there."""
    history = known(world.history, "what was done in this incident")
    return generation_after(history, world.order.plan_id, uid)


def _is_deleting(document: JsonObject) -> bool:
    return bool(dig_str(document, "metadata", "deletionTimestamp"))
