"""Lock: one incident at a time acts on one owner."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no


def check(world: World) -> Refused | None:
    """Refuse while somebody else holds the owner's lock."""
    if known(world.holds_lock, f"who holds the lock of {world.order.owner}") is True:
        return None
    return no(ReasonCode.LOCKED, f"Another incident is acting on {world.order.owner}.", retry_after=10)
