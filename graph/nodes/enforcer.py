"""Carries out one action per super-step, through the typed tool that stands in front of the guarded door.

The rule: intent before call, outcome after it, and no call that was not ordered by a validated plan.  A crash anywhere
in here leads back to this node, and the door reads the object back instead of repeating the call.
"""

from __future__ import annotations

from datetime import timedelta

from graph.evidence import load
from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.nodes.vitals import vitals
from graph.orders import context_for
from graph.plan import (
    DECISIONS,
    OUTCOMES,
    PROPOSALS,
    Approved,
    Executed,
    Lost,
    Plan,
    Planned,
    Refusal,
    RefusedPlan,
    Retry,
    action_digest,
)
from graph.ports import Ports
from graph.state import MAX_REFUSALS, State
from tools import registry
from tools.guard.orders import Acted, Again, Unknown
from tools.guard.verdict import Refused


def enforcer(source: PortsSource) -> Node:
    """The node over these ports."""

    async def enforce(state: State) -> State:
        ports = await source()
        incident = incident_of(state)
        plan = _plan(state)
        index = state.get("step", 0)
        if state.get("retries", 0) > 0:
            await ports.clock.sleep(_delay(state, ports))
        update: State = {}
        if not state.get("baseline"):
            update["baseline"] = vitals(incident.target.namespace, ports).model_dump(mode="json")
        evidence = await load(state.get("evidence", ""), ports)
        context = context_for(plan, index, incident, evidence, state, approved=_is_approved(state, plan))
        action = plan.steps[index].action
        tool = registry.tools(ports.door, context)[action.action]
        arguments = action.model_dump(mode="json", exclude={"action"})
        result: Acted | Refused | Again | Unknown = await tool.ainvoke(arguments)
        outcome = _outcome(result, index, ports)
        update["outcome"] = outcome.model_dump(mode="json")
        match outcome:
            case Executed():
                update["outcomes"] = [*state.get("outcomes", []), update["outcome"]]
                update["retries"] = 0
            case Retry(error=error):
                update["retries"] = state.get("retries", 0) + 1
                await tell(ports, incident.id, "outcome", f"Step {index + 1} will be tried again: {error}")
            case Refusal(refusal=refusal):
                told = RefusedPlan(actions=(action_digest(action),), refusals=(refusal,))
                update["refusals"] = [*state.get("refusals", []), told.model_dump(mode="json")][-MAX_REFUSALS:]
            case Lost():
                pass
        return update

    return enforce


def _plan(state: State) -> Plan:
    proposal = PROPOSALS.validate_python(state.get("proposal"))
    if not isinstance(proposal, Planned):
        raise TypeError("the enforcer was reached without a plan")
    return proposal.plan


def _is_approved(state: State, plan: Plan) -> bool:
    """Whether the newest decision says yes to this very plan; an approval never carries over to a re-plan."""
    raw = state.get("decision")
    if not raw:
        return False
    decision = DECISIONS.validate_python(raw)
    return isinstance(decision, Approved) and decision.plan_hash == plan.hash


def _delay(state: State, ports: Ports) -> timedelta:
    """What the other side asked for, or our own doubling."""
    outcome = OUTCOMES.validate_python(state.get("outcome"))
    asked = timedelta(seconds=outcome.delay_seconds) if isinstance(outcome, Retry) else timedelta(0)
    own: timedelta = ports.timing.retry * 2 ** (state.get("retries", 1) - 1)
    return min(max(asked, own), ports.timing.retry_cap)


def _outcome(result: Acted | Refused | Again | Unknown, index: int, ports: Ports) -> Executed | Refusal | Retry | Lost:
    now = ports.clock.now()
    match result:
        case Acted(action_id=action_id, sentence=sentence, resumed=resumed):
            return Executed(step=index, action_id=action_id, summary=sentence, at=now, resumed=resumed)
        case Refused():
            return Refusal(step=index, refusal=result, at=now)
        case Again(error=error, delay_seconds=seconds):
            return Retry(step=index, error=error, delay_seconds=seconds, at=now)
        case Unknown(action_id=action_id, refusal=refusal):
            return Lost(step=index, action_id=action_id, refusal=refusal, at=now)
