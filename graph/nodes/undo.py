"""Takes back what did not help, newest step first, each by its recorded inverse.

The rule: an inverse is a compare-and-swap.  If somebody changed what we had changed, theirs stands, ours is not undone,
and a person is told.  What a controller restores by itself needs no write of ours.
"""

from __future__ import annotations

from datetime import timedelta

from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.plan import OUTCOMES, PROPOSALS, Executed, NotUndone, Planned, Undone, action_digest
from graph.ports import Ports
from graph.state import State
from tools.guard.orders import Again, UndoneBy
from tools.guard.verdict import ReasonCode, Refused
from tools.refs import ActionId, IncidentId


def undo(source: PortsSource) -> Node:
    """The node over these ports."""

    async def take_back(state: State) -> State:
        ports = await source()
        incident = incident_of(state)
        proposal = PROPOSALS.validate_python(state.get("proposal"))
        if not isinstance(proposal, Planned):
            raise TypeError("undo was reached without a plan")
        parsed = [OUTCOMES.validate_python(o) for o in state.get("outcomes", [])]
        executed = [o for o in parsed if isinstance(o, Executed)]
        failed = [action_digest(proposal.plan.steps[o.step].action) for o in executed]
        sentences: list[str] = []
        for outcome in reversed(executed):
            result = await take_back_one(outcome.action_id, incident.id, ports)
            if isinstance(result, Refused):
                await tell(ports, incident.id, "undo", f"Not undone: {result.reason}", code=result.code.value)
                stopped = NotUndone(refusal=result, at=ports.clock.now())
                return {"undo": stopped.model_dump(mode="json"), "failed": _merge(state, failed)}
            sentences.append(result.sentence)
        done = Undone(sentence=" ".join(dict.fromkeys(sentences)), at=ports.clock.now())
        return {"undo": done.model_dump(mode="json"), "failed": _merge(state, failed)}

    return take_back


async def take_back_one(action_id: ActionId, incident_id: IncidentId, ports: Ports) -> UndoneBy | Refused:
    """Undo one action, patiently: a transient error is tried again within the bound on retries."""
    for attempt in range(ports.limits.retries + 1):
        result = await ports.door.undo(action_id, incident_id)
        if not isinstance(result, Again):
            return result
        own = ports.timing.retry * 2**attempt
        await ports.clock.sleep(min(max(own, timedelta(seconds=result.delay_seconds)), ports.timing.retry_cap))
    reason = f"The API server did not take the undo of {action_id} after {ports.limits.retries + 1} tries."
    return Refused(code=ReasonCode.API_UNAVAILABLE, reason=reason, check="undo")


def _merge(state: State, failed: list[str]) -> list[str]:
    return sorted({*state.get("failed", []), *failed})
