"""Cooldown: a workload we acted on for another incident is left alone for a while.

It stops us from acting again and again on our own.  A person who is asked, or has agreed, decides with open eyes, so
what waits for a person is not stopped: it is said that we acted there just now.  A new plan of the same incident is
exempt: that repetition is bounded by attempts and by "no blind repeat".
"""

from __future__ import annotations

from tools.guard.checks import mode
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, no


def check(world: World) -> Refused | None:
    """Refuse while the cooldown after another incident's plan lasts; its end counts as over."""
    left = mode.cooldown_left(world)
    if left <= 0 or world.order.approved or mode.asks_a_person(world):
        return None
    reason = f"{mode.acted_lately(world)}; it is left alone for {left:.0f} more seconds."
    return no(ReasonCode.COOLDOWN, reason, retry_after=left)
