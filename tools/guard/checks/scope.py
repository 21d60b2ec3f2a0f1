"""Scope: the target is one of the objects that code enumerated for this incident."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, no
from tools.refs import Pin


def pin_of(world: World) -> Pin | None:
    """The target as it was diagnosed; None when nobody read it for this incident."""
    target = world.order.action.target
    pinned = world.order.pin
    if pinned is not None:
        return pinned if pinned.ref == target else None
    return next((pin for pin in world.order.scope if pin.ref == target), None)


def check(world: World) -> Refused | None:
    """Refuse a target outside the scope, and an empty scope: nothing enumerated means nothing permitted."""
    target = world.order.action.target
    uids = {pin.uid for pin in world.order.scope if pin.ref == target}
    pin = pin_of(world)
    if pin is None or pin.uid not in uids:
        return no(ReasonCode.TARGET_OUT_OF_SCOPE, f"{target} is not among the objects of this incident.")
    return None
