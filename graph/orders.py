"""From a step of a plan to an order for the door: everything that code knows and a model must not say.

The rule: uids, generations and the set of objects that may be touched come from evidence that we read; the plan gives
only the action and its arguments.
"""

from __future__ import annotations

from graph.incident import Incident, Reason
from graph.observed import Evidence
from graph.plan import Plan
from graph.rules.case import MEANT
from graph.state import State
from tools.guard.orders import OrderContext
from tools.refs import Pin

NO_FAILURE = frozenset({*MEANT, Reason.REQUESTED})
"""What says that an object differs from what is declared, and not that something fails or is missed."""


REPLACES_TEMPLATE = frozenset(
    {
        "rollback_workload",
        "restart_workload",
        "revert_fields",
        "set_resources",
        "set_image",
        "set_probe",
        "set_env",
        "set_command",
        "set_placement",
        "set_security_context",
    }
)
"""What puts another template in the place of one whose pods fail: the rollout of that one does not stand against it."""


def context_for(
    plan: Plan, index: int, incident: Incident, evidence: Evidence, state: State, *, approved: bool
) -> OrderContext:
    """All of the order for step `index` but its action; pure."""
    action = plan.steps[index].action
    scope = plan.pins or evidence.scope
    return OrderContext(
        incident_id=incident.id,
        plan_id=plan.id,
        plan_hash=plan.hash,
        step=index,
        round=state.get("round", 0),
        scope=scope,
        pin=pin_of(str(action.target), scope),
        owner=incident.target,
        owner_uid=incident.target_uid,
        origin=plan.diagnosis.origin.value,
        approved=approved,
        reverses_rollout=action.action in REPLACES_TEMPLATE and evidence.rollout_is_recent,
        shows_failure=any(s.confirmed and s.reason not in NO_FAILURE for s in evidence.signals),
        attempted=frozenset(state.get("failed", [])),
        asks=bool(plan.approval_reasons),
        ahead=tuple(step.action for step in plan.steps[:index]),
    )


def pin_of(target: str, pins: tuple[Pin, ...]) -> Pin | None:
    """The life that was diagnosed under this name; None when the plan names something nobody read."""
    return next((p for p in pins if str(p.ref) == target), None)
