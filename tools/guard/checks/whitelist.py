"""Whitelist and schema: the action is enabled, is what its executor expects, and the plan is not too long."""

from __future__ import annotations

from pydantic import ValidationError

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, no


def check(world: World) -> Refused | None:
    """Refuse what is not on the list; arguments are validated anew, wherever the value came from."""
    action, executor = world.order.action, world.executor
    if executor is None:
        return no(ReasonCode.TOOL_UNKNOWN, f"{action.tool} is not an enabled action.")
    if type(action) is not executor.action_type:
        return no(ReasonCode.PLAN_SCHEMA, f"{type(action).__name__} is not what {action.tool} takes.")
    try:
        executor.action_type.model_validate(action.model_dump())
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        return no(ReasonCode.PLAN_SCHEMA, f"{action.tool}: {wrong}.")
    limit = world.policy.limits.steps_per_plan
    if not 0 <= world.order.step < limit:
        return no(ReasonCode.PLAN_TOO_LONG, f"Step {world.order.step + 1} is beyond the {limit} steps a plan may have.")
    return None
