"""Cooldown: a workload we acted on for another incident is left alone for a while.

A new plan of the same incident is exempt: that repetition is bounded by attempts and by "no blind repeat".
"""

from __future__ import annotations

from datetime import timedelta

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no


def check(world: World) -> Refused | None:
    """Refuse while the cooldown after another incident's plan lasts; its end counts as over."""
    last = known(world.last_plan, f"when {world.order.owner} was last acted on")
    if last is None or last.incident_id == world.order.incident_id:
        return None
    ends = last.started_at + timedelta(seconds=world.policy.limits.cooldown_seconds)
    left = (ends - world.now).total_seconds()
    if left <= 0:
        return None
    return no(
        ReasonCode.COOLDOWN,
        f"{world.order.owner} was acted on at {last.started_at.isoformat(timespec='seconds')}; "
        f"it is left alone for {left:.0f} more seconds.",
        retry_after=left,
    )
