"""Precondition: the executor says whether the action makes sense in the situation it read."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no


def check(world: World) -> Refused | None:
    """Ask the executor."""
    situation = known(world.situation, f"{world.order.action.target}")
    if world.executor is None:
        return no(ReasonCode.TOOL_UNKNOWN, f"{world.order.action.tool} is not an enabled action.")
    return world.executor.precondition(world.order.action, situation)
