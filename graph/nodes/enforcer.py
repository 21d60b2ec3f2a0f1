"""Carries out one call per super-step, through the typed tool that stands in front of the guarded door.

A step that takes several calls comes back here after each, until the door says that nothing of it is left.

The rule: intent before call, outcome after it, and no call that was not ordered by a validated plan.  A crash anywhere
in here leads back to this node, and the door reads the object back instead of repeating the call.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

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
from tools.guard.orders import Acted, Again, Complete, Next, Order, Turn, Unknown
from tools.guard.verdict import ReasonCode, Refused

LONGEST_QUEUE: Final = 120.0
"""Seconds: so long an approved plan waits for its turn."""
BLOCKED: Final = 5.0
"""Seconds at least before a call that a disruption budget held back is made again, as kubectl waits."""
_MOVED_ON: Final = frozenset({ReasonCode.TARGET_GONE, ReasonCode.TARGET_UID_MISMATCH, ReasonCode.NO_CHANGE})
"""What a round was for is so already: somebody else did it since it was read.  What is left is read again."""


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
        approved = _is_approved(state, plan)
        context = context_for(plan, index, incident, evidence, state, approved=approved)
        action = plan.steps[index].action
        turn = await ports.door.next_round(context.order(action))
        if isinstance(turn, Complete):
            done = _last(state, index, turn, ports)
            return {**update, "outcome": done.model_dump(mode="json"), "round": 0, "retries": 0}
        result = await _act(turn.order, ports) if isinstance(turn, Turn) else turn
        outcome = _outcome(result, index, ports, approved=approved, of=turn)
        update["outcome"] = outcome.model_dump(mode="json")
        match outcome:
            case Executed(more=more):
                update["outcomes"] = [*state.get("outcomes", []), update["outcome"]]
                update["retries"] = 0
                update["round"] = turn.order.round + 1 if more and isinstance(turn, Turn) else 0
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


async def _act(order: Order, ports: Ports) -> Acted | Refused | Again | Unknown:
    """One call, through its tool."""
    tool = registry.tools(ports.door, order)[order.action.tool]
    result: Acted | Refused | Again | Unknown = await tool.ainvoke(
        order.action.model_dump(mode="json", exclude={"action"})
    )
    return result


def _last(state: State, index: int, complete: Complete, ports: Ports) -> Executed:
    """The step as a whole, under the id of its last call; it is done as of now.

    Before: at least one call was made; the door refuses what has none to make.
    """
    done = [OUTCOMES.validate_python(o) for o in state.get("outcomes", [])]
    last = [o for o in done if isinstance(o, Executed) and o.step == index][-1]
    return last.model_copy(update={"summary": complete.sentence, "at": ports.clock.now(), "more": False})


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
    if isinstance(outcome, Retry) and (outcome.is_queued or outcome.is_blocked):
        return asked
    own: timedelta = ports.timing.retry * 2 ** (state.get("retries", 1) - 1)
    return min(max(asked, own), ports.timing.retry_cap)


def _outcome(
    result: Acted | Refused | Again | Unknown, index: int, ports: Ports, *, approved: bool, of: Next
) -> Executed | Refusal | Retry | Lost:
    """What became of the call.

    A plan that a person agreed to waits for its turn where too many began just now, and its rounds wait for disruption
    budgets.
    """
    now, is_round = ports.clock.now(), isinstance(of, Turn) and of.is_round
    match result:
        case Acted(action_id=action_id, sentence=sentence, resumed=resumed):
            return Executed(step=index, action_id=action_id, summary=sentence, at=now, resumed=resumed, more=is_round)
        case Refused(code=ReasonCode.PDB_BLOCKED, reason=reason, retry_after_seconds=seconds) if is_round:
            delay = max(BLOCKED, seconds or 0.0)
            return Retry(step=index, error=reason, delay_seconds=delay, at=now, is_blocked=True)
        case Refused(code=code, reason=reason) if is_round and code in _MOVED_ON:
            return Retry(step=index, error=reason, delay_seconds=0.0, at=now)
        case Refused(code=ReasonCode.RATE_LIMITED, reason=reason, retry_after_seconds=float(seconds)) if (
            approved and seconds <= LONGEST_QUEUE
        ):
            return Retry(step=index, error=reason, delay_seconds=seconds, at=now, is_queued=True)
        case Refused():
            return Refusal(step=index, refusal=result, at=now)
        case Again(error=error, delay_seconds=seconds):
            return Retry(step=index, error=error, delay_seconds=seconds, at=now)
        case Unknown(action_id=action_id, refusal=refusal):
            return Lost(step=index, action_id=action_id, refusal=refusal, at=now)
