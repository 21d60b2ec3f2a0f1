"""Dry run: the server was shown the exact bytes and would change nothing but what the action declares."""

from __future__ import annotations

from tools.executors.base import Situation
from tools.guard.diff import outside, redacted
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import Effect, World, known, no


def check(world: World) -> Refused | None:
    """Refuse what the server refuses, what would change too much, and what would change nothing."""
    action, executor = world.order.action, world.executor
    if isinstance(world.effect, Refused):
        return world.effect
    effect: Effect = known(world.effect, "the server's dry run")
    if executor is None:
        return no(ReasonCode.TOOL_UNKNOWN, f"{action.tool} is not an enabled action.")
    if not executor.declared_fields:
        return None
    situation = known(world.situation, f"{action.target}")
    excess = outside(effect.changes, executor.fields(action, situation))
    if excess:
        shown = "; ".join(str(change) for change in redacted(excess[:3], situation.live, effect.result))
        return no(ReasonCode.DIFF_OUT_OF_BOUNDS, f"{action.tool} would change more than it declares: {shown}.")
    if executor.creates:
        # All of it is new, so the fields say nothing: what counts is that it is what was to be made, and no more.
        wrong = executor.postcondition(action, situation, Situation(effect.result, situation.support))
        return None if wrong is None else no(ReasonCode.DIFF_OUT_OF_BOUNDS, wrong.reason)
    if not effect.changes:
        return no(ReasonCode.NO_CHANGE, f"{action.tool} would change nothing on {action.target}.")
    return None
