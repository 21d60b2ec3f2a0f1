"""Finds the cause and proposes a plan: what healed before, then rules, then the model if there is one; nobody's guess.

In mode `model` the model is asked before the rules, which stand in when it is down, slow, declines or cannot be read.
The rule: a plan that was refused or that failed is never proposed again, every new attempt reads the world anew, and a
model is asked only where a symptom is confirmed.
Neighbours: `graph.rules` (causes known without a model), `graph.ports.Model`; the validator judges what comes out.
"""

from __future__ import annotations

from graph.evidence import load, look
from graph.incident import Incident, Reason
from graph.intake import describe
from graph.model.config import Mode
from graph.nodes.analyzer import judge, settled, summary
from graph.nodes.common import Node, PortsSource, incident_of, keep_seen, tell
from graph.observed import Evidence
from graph.plan import PROPOSALS, NoPlan, Planned, RefusedPlan, action_digest
from graph.ports import Ports
from graph.rules.rulebook import MAX_OTHERS, diagnose
from graph.state import State
from tools.cluster.reads import noting
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject

MOVED = frozenset({ReasonCode.TARGET_CHANGED, ReasonCode.TARGET_UID_MISMATCH, ReasonCode.ROLLOUT_IN_PROGRESS})
"""Refusals about the moment, not about the action: with fresh evidence the same action may be right."""
MOST_OPEN = 200
"""Open incidents that are looked through."""
STAND_IN = frozenset(
    {ReasonCode.LLM_UNAVAILABLE, ReasonCode.LLM_REFUSED, ReasonCode.LLM_MALFORMED, ReasonCode.LLM_BUDGET}
)
"""The model gave no usable answer, so the rules answer in its place; an answer that says no plan stands."""


def reasoner(source: PortsSource) -> Node:
    """The node over these ports."""

    async def reason(state: State) -> State:
        ports = await source()
        incident = incident_of(state)
        attempt = state.get("attempts", 0) + 1
        update: State = {
            "attempts": attempt,
            "step": 0,
            "round": 0,
            "retries": 0,
            "outcomes": [],
            "baseline": {},
        }
        if attempt == 1:
            evidence = await load(state.get("evidence", ""), ports)
        else:
            after_undo = bool(state.get("undo"))
            with noting() as reads:
                evidence = await settled(incident, ports, after_undo=after_undo)
            update["evidence"], seen = await keep_seen(evidence, reads, incident, ports)
            update["finding"] = finding = judge(evidence, after_undo=after_undo)
            await tell(
                ports,
                incident.id,
                "evidence",
                summary(incident, evidence, finding),
                data={**seen, "attempt": attempt, "after_undo": after_undo, "finding": finding},
            )
            if update["finding"] != "wrong":
                gone = _no_longer_needed(incident)
                await tell(ports, incident.id, "diagnosis", gone.refusal.reason, code=gone.refusal.code)
                return {**update, "proposal": gone.model_dump(mode="json")}
            _forget(state, ports)
        proposal = await _propose(evidence, incident, state, ports)
        if isinstance(proposal, NoPlan) and await mended_by_another(incident, ports):
            with noting() as reads:
                evidence = await settled(incident, ports)
            update["evidence"], _ = await keep_seen(evidence, reads, incident, ports)
            update["finding"] = judge(evidence)
            if update["finding"] == "clear":
                gone = _no_longer_needed(incident)
                await tell(ports, incident.id, "diagnosis", gone.refusal.reason, code=gone.refusal.code)
                return {**update, "proposal": gone.model_dump(mode="json")}
            proposal = await _propose(evidence, incident, state, ports)
        update["proposal"] = proposal.model_dump(mode="json")
        await _account(proposal, incident, attempt, ports)
        return update

    return reason


async def mended_by_another(incident: Incident, ports: Ports) -> bool:
    """Wait while another incident acts in this namespace: its remedy may be ours too.  Whether there was one.

    Only incidents that have written something are waited for, so two that have no plan do not wait for each other, and
    never for longer than a remedy has to show (`Timing.verify`).
    """
    deadline = ports.clock.now() + ports.timing.verify
    waited = False
    while ports.clock.now() < deadline and await _others_act(incident, ports):
        waited = True
        if not any(s.confirmed for s in look(incident, ports).signals):
            break
        await ports.mirror.changed(incident.target.namespace, ports.timing.look)
    return waited


async def _others_act(incident: Incident, ports: Ports) -> bool:
    where = incident.target.namespace
    if where is None:
        return False
    for record in await ports.ledger.incidents(open_only=True, namespace=where, limit=MOST_OPEN):
        if record.id != incident.id and await ports.ledger.actions_of(record.id):
            return True
    return False


async def _propose(evidence: Evidence, incident: Incident, state: State, ports: Ports) -> Planned | NoPlan:
    refused = tuple(RefusedPlan.model_validate(r) for r in state.get("refusals", []))
    tried = frozenset(state.get("failed", [])) | {
        digest for plan in refused if not all(r.code in MOVED for r in plan.refusals) for digest in plan.actions
    }
    may_ask = ports.mode is not Mode.RULES and has_symptom(evidence)
    if may_ask and ports.cache is not None:
        known = ports.cache.recall(evidence, failed=tried, incident_id=incident.id)
        if known is not None:
            return known
    by_rule = diagnose(evidence, tried=tried, now=ports.clock.now())
    if ports.model is None or not may_ask or (ports.mode is Mode.HYBRID and isinstance(by_rule, Planned)):
        return by_rule
    refusals = tuple(r for plan in refused for r in plan.refusals)
    by_model = await ports.model.propose(evidence, refusals=refusals, failed=tried, incident_id=incident.id)
    return choose(by_rule, by_model)


def choose(by_rule: Planned | NoPlan, by_model: Planned | NoPlan) -> Planned | NoPlan:
    """Between what rules and the model say, the model having been asked; pure.

    A plan of the model stands, with the rules' plan beside it to be compared with.  Its word that there is no plan
    stands too, unless the rules are surer of the cause.  Where it gave no usable answer, the rules' plan or diagnosis
    does.
    """
    if isinstance(by_model, Planned):
        if isinstance(by_rule, Planned) and by_rule.plan.steps != by_model.plan.steps:
            return by_model.model_copy(update={"others": (*by_model.others, by_rule.plan)[:MAX_OTHERS]})
        return by_model
    if isinstance(by_rule, Planned):
        return by_rule if by_model.refusal.code in STAND_IN else by_model
    if by_rule.diagnosis is None:
        return by_model
    known = by_model.diagnosis
    return by_model if known is not None and known.confidence > by_rule.diagnosis.confidence else by_rule


def has_symptom(evidence: Evidence) -> bool:
    """Whether a detector has spoken and its grace is over; without that nothing is changed on anybody's word."""
    return any(s.confirmed and s.reason is not Reason.REQUESTED for s in evidence.signals)


def _forget(state: State, ports: Ports) -> None:
    """A plan from memory that did not get through or did not heal is not remembered any longer."""
    raw = state.get("proposal")
    last = PROPOSALS.validate_python(raw) if raw else None
    if isinstance(last, Planned) and ports.cache is not None:
        ports.cache.forget(last.plan)


def _no_longer_needed(incident: Incident) -> NoPlan:
    sentence = f"{describe(incident.target)} has no signal any more; nothing further is needed."
    return NoPlan(refusal=Refused(code=ReasonCode.NO_CHANGE, reason=sentence, check="reasoner"))


async def _account(proposal: Planned | NoPlan, incident: Incident, attempt: int, ports: Ports) -> None:
    match proposal:
        case Planned(plan=plan, others=others):
            diagnosis = plan.diagnosis
            await tell(
                ports,
                incident.id,
                "diagnosis",
                diagnosis.sentence,
                actor=f"{diagnosis.origin}:{diagnosis.author}",
                data={"cause": diagnosis.cause, "confidence": diagnosis.confidence},
            )
            steps = "; ".join(
                f"{i + 1}. {s.action.action} {s.action.target}: {s.why}" for i, s in enumerate(plan.steps)
            )
            await tell(
                ports,
                incident.id,
                "plan",
                f"Attempt {attempt}: {steps}",
                actor=f"{diagnosis.origin}:{diagnosis.author}",
                data={
                    "plan_id": plan.id,
                    "plan_hash": plan.hash,
                    "attempt": attempt,
                    "actions": [action_digest(s.action) for s in plan.steps],
                    "safe_because": plan.safe_because,
                    "plan": plan.model_dump(mode="json"),
                    "others": [other.model_dump(mode="json") for other in others],
                },
            )
        case NoPlan(refusal=refusal, diagnosis=diagnosis):
            sentence = f"{diagnosis.sentence} {refusal.reason}" if diagnosis else refusal.reason
            known = diagnosis.model_dump(mode="json") if diagnosis else None
            data: JsonObject = {"attempt": attempt, "diagnosis": known}
            await tell(ports, incident.id, "diagnosis", sentence, code=refusal.code, data=data)
