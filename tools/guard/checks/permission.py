"""Permission: the cluster itself says that our identity may make this call."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no


def check(world: World) -> Refused | None:
    """Refuse unless the access review said yes."""
    target = world.order.action.target
    if known(world.permitted, f"whether we may write {target}") is True:
        return None
    return no(
        ReasonCode.PERMISSION_DENIED,
        f"Our identity may not {world.order.action.tool} {target}; grant it, or disable the action.",
    )
