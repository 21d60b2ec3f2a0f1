"""Asks a person, and takes the answer only for exactly what was asked.

The rule: an answer is bound to the plan's hash (which holds the targets' uids) and the policy's hash, works once, and
runs out; no answer is a no.  The node is re-run from the top when the answer comes (that is how `interrupt` works), so
all it does before asking is idempotent, and an incident whose question is answered is not said to wait again.
Whoever brings the answer commits it in the ledger first: there it is the first and only one.
"""

from __future__ import annotations

from datetime import datetime

from langgraph.types import interrupt

from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.plan import DECISIONS, PROPOSALS, VERDICTS, Approved, Declined, NeedsApproval, Plan, Planned, Status
from graph.ports import Ports
from graph.state import State


def approval(source: PortsSource) -> Node:
    """The node over these ports."""

    async def ask(state: State) -> State:
        ports = await source()
        incident = incident_of(state)
        proposal = PROPOSALS.validate_python(state.get("proposal"))
        verdict = VERDICTS.validate_python(state.get("verdict"))
        if not isinstance(proposal, Planned) or not isinstance(verdict, NeedsApproval):
            raise TypeError("approval was reached without a plan that needs it")
        plan = proposal.plan
        now = ports.clock.now()
        asked = await ports.ledger.request_approval(
            incident.id, plan.hash, ports.policy.hash, expires_at=now + ports.timing.approval, now=now
        )
        if asked.decision is None:
            await ports.ledger.save_incident(
                incident.id,
                status=Status.WAITING.value,
                is_open=True,
                document=incident.model_dump(mode="json"),
                now=now,
            )
        answer: object = interrupt(
            {
                "incident_id": incident.id,
                "plan": plan.model_dump(mode="json"),
                "plan_hash": plan.hash,
                "policy_hash": ports.policy.hash,
                "reasons": list(verdict.reasons),
                "expires_at": asked.expires_at.isoformat(),
            }
        )
        decision = check(DECISIONS.validate_python(answer), plan, ports, expires_at=asked.expires_at)
        match decision:
            case Approved(by=by):
                sentence, code = f"{by} approved the plan.", ""
            case Declined(by=by, why=why):
                sentence, code = f"{by} declined the plan: {why}", "APPROVAL_REFUSED"
        await tell(ports, incident.id, "approval", sentence, actor=f"human:{decision.by}", code=code)
        await ports.ledger.save_incident(
            incident.id,
            status=Status.OPEN.value,
            is_open=True,
            document=incident.model_dump(mode="json"),
            now=ports.clock.now(),
        )
        return {"decision": decision.model_dump(mode="json")}

    return ask


def check(decision: Approved | Declined, plan: Plan, ports: Ports, *, expires_at: datetime) -> Approved | Declined:
    """A yes about something else, or one that was given too late, is a no.

    The moment that counts is when it was given: a process that dies in between does not turn a yes into a no.
    """
    now = ports.clock.now()
    match decision:
        case Declined():
            return decision
        case Approved(plan_hash=plan_hash) if plan_hash != plan.hash:
            why = "the approval was given for another plan"
        case Approved(policy_hash=policy_hash) if policy_hash != ports.policy.hash:
            why = "the policy has changed since the approval was asked for"
        case Approved(at=at) if at >= expires_at:
            why = "the approval came after it had expired"
        case Approved():
            return decision
    return Declined(by=decision.by, why=why, at=now)
