"""Pause: an operator stopped us, here or everywhere."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no


def check(world: World) -> Refused | None:
    """Refuse while a pause lasts."""
    until = known(world.paused_until, "whether acting is paused")
    if until is None or until <= world.now:
        return None
    return no(
        ReasonCode.PAUSED,
        f"An operator paused acting here until {until.isoformat(timespec='seconds')}.",
        retry_after=(until - world.now).total_seconds(),
    )
