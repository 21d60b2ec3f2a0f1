"""From what a model proposed to a typed plan, or to the one sentence that says why it cannot be one; pure.

The rule: every step is parsed to a typed action without any conversion of types, and may name only what the offer
lists.  Uids, pins, plan id, origin and whether a person must approve are set here by code; a model has no field for
them.
Neighbours: `schema` (what was asked for), `view.Offer` (what is permitted), the validator (which asks the guard).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from graph.model.schema import TAG, Conclusion
from graph.model.view import Offer
from graph.observed import Evidence, Operation
from graph.plan import Diagnosis, NoPlan, Origin, Plan, Planned, Step
from tools.executors.actions import ACTIONS, AnyAction, RollbackWorkload, SetResources
from tools.executors.models.objects import RemoveObject, RestoreObject, RevertFields
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig_object, dig_str, digest
from tools.redact import excerpt
from tools.refs import PlanId

CHECK = "model"
MAX_SHOWN = 120


@dataclass(frozen=True, slots=True)
class RawStep:
    """A step as the model put it: nothing of it is believed yet."""

    name: str
    arguments: JsonObject
    why: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole proposal as the model put it."""

    conclusion: Conclusion
    steps: tuple[RawStep, ...]


def read_draft(text: str) -> Draft | Refused:
    """Read the JSON form.  A code fence around everything is forgiven; words around it or a second value are not."""
    try:
        value: JsonValue = json.loads(_unfenced(text))
    except (ValueError, RecursionError):
        return _refused(ReasonCode.LLM_MALFORMED, "The answer is not one JSON object.")
    if not isinstance(value, dict):
        return _refused(ReasonCode.LLM_MALFORMED, "The answer is not one JSON object.")
    rest = dict(value)
    raw = rest.pop("steps", None)
    conclusion = read_conclusion(rest)
    if isinstance(conclusion, Refused):
        return conclusion
    if not isinstance(raw, list):
        return _refused(ReasonCode.PLAN_SCHEMA, "steps: a list is expected.")
    steps: list[RawStep] = []
    for index, item in enumerate(raw):
        if not isinstance(item, dict) or set(item) != {"why", TAG} or not isinstance(item.get(TAG), dict):
            return _refused(ReasonCode.PLAN_SCHEMA, f"steps.{index}: exactly the keys `why` and `{TAG}` are expected.")
        arguments = dict(dig_object(item, TAG))
        name = arguments.pop(TAG, None)
        steps.append(RawStep(name if isinstance(name, str) else "", arguments, dig_str(item, "why")))
    return Draft(conclusion, tuple(steps))


def read_conclusion(value: JsonObject) -> Conclusion | Refused:
    """Read what is said beside the steps."""
    try:
        return Conclusion.model_validate_json(json.dumps(value))
    except ValidationError as error:
        return _refused(ReasonCode.PLAN_SCHEMA, explain(error))


def read_steps(steps: Sequence[RawStep], offer: Offer) -> tuple[Step, ...] | Refused:
    """Type each step and hold it against the offer; the first refusal counts for all."""
    if len(steps) > offer.max_steps:
        return _refused(
            ReasonCode.PLAN_TOO_LONG, f"The plan has {len(steps)} steps; at most {offer.max_steps} are taken."
        )
    typed: list[Step] = []
    for index, raw in enumerate(steps):
        action = _typed(raw, offer, index)
        if isinstance(action, Refused):
            return action
        if refused := _outside(action, offer):
            return refused
        typed.append(Step(action=action, why=excerpt(raw.why or "no reason was given", 400)))
    return tuple(typed)


def propose(
    draft: Draft, offer: Offer, evidence: Evidence, *, incident_id: str, author: str, now: datetime
) -> Planned | NoPlan | Refused:
    """The plan, the model's own word that there is none, or why the draft is not lawful."""
    said = draft.conclusion
    steps = read_steps(draft.steps, offer)
    if isinstance(steps, Refused):
        return steps
    diagnosis = Diagnosis(
        cause=excerpt(said.cause, 80),
        sentence=excerpt(said.sentence, 600),
        confidence=said.confidence,
        origin=Origin.MODEL,
        author=author[:120],
        reasons=tuple(dict.fromkeys(s.reason for s in evidence.signals)),
    )
    if not steps:
        if said.no_plan_because is None:
            return _refused(ReasonCode.PLAN_EMPTY, "The plan has no step, and no_plan_because does not say why.")
        reason = f"The model knows no plan: {excerpt(said.no_plan_because, 400)}"
        return NoPlan(refusal=_refused(ReasonCode.LLM_NO_PLAN, reason), diagnosis=diagnosis)
    if said.no_plan_because is not None:
        return _refused(ReasonCode.PLAN_SCHEMA, "A plan with steps says null in no_plan_because.")
    return Planned(
        plan=assemble(steps, diagnosis, offer, evidence, said.safe_because, incident_id=incident_id, now=now)
    )


def assemble(
    steps: tuple[Step, ...],
    diagnosis: Diagnosis,
    offer: Offer,
    evidence: Evidence,
    safe_because: str,
    *,
    incident_id: str,
    now: datetime,
) -> Plan:
    """The plan with all that code adds: its id, the pins of its targets, and what makes approval necessary."""
    targets = {str(s.action.target) for s in steps}
    actions: list[JsonValue] = [s.action.model_dump(mode="json") for s in steps]
    return Plan(
        id=PlanId(digest([incident_id, evidence.observed_at.isoformat(), actions])[:32]),
        diagnosis=diagnosis,
        steps=steps,
        pins=tuple(p for p in evidence.scope if str(p.ref) in targets),
        safe_because=excerpt(safe_because, 400) if safe_because else "",
        approval_reasons=_approvals(steps, offer),
        created_at=now,
    )


def explain(error: ValidationError) -> str:
    """Where a value does not fit, without the value."""
    places = [
        f"{'.'.join(str(p) for p in e['loc']) or 'the object'}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return excerpt("; ".join(places[:4]), 600) + "."


def _typed(raw: RawStep, offer: Offer, index: int) -> AnyAction | Refused:
    if raw.name not in offer.actions:
        known = ", ".join(offer.actions)
        named = excerpt(raw.name, MAX_SHOWN) if raw.name else "(none)"
        return _refused(ReasonCode.TOOL_UNKNOWN, f"Step {index + 1}: there is no action {named}; there are {known}.")
    try:
        return ACTIONS.validate_json(json.dumps({**raw.arguments, TAG: raw.name}), strict=True)
    except (ValidationError, ValueError) as error:
        why = explain(error) if isinstance(error, ValidationError) else "the arguments are not JSON."
        return _refused(ReasonCode.PLAN_SCHEMA, f"Step {index + 1}: {why}")


def _outside(action: AnyAction, offer: Offer) -> Refused | None:
    """Why the action lies outside of what the incident permits; None when it lies inside."""
    if action.target not in offer.targets:
        reason = f"{action.target} is not among the targets of this incident."
        return _refused(ReasonCode.TARGET_OUT_OF_SCOPE, reason)
    if action.digest in offer.failed:
        return _refused(
            ReasonCode.REPEAT, f"{action.tool} on {action.target} was tried in this incident and did not heal."
        )
    match action:
        case RollbackWorkload(to_revision=revision) if (
            action.target != offer.workload or offer.revert_to(revision) is None
        ):
            known = ", ".join(str(r.to_revision) for r in offer.reverts) or "none"
            return _refused(ReasonCode.NO_REVISION, f"Revision {revision} is not offered; there is {known}.")
        case RevertFields(version=version) if offer.way_back(action.target, Operation.REVERT, version) is None:
            return _no_way_back(action, offer)
        case RestoreObject(version=version) if offer.way_back(action.target, Operation.RESTORE, version) is None:
            return _no_way_back(action, offer)
        case RemoveObject() if offer.way_back(action.target, Operation.REMOVE) is None:
            return _no_way_back(action, offer)
        case SetResources(container=name) if action.target == offer.workload and name not in offer.containers:
            known = ", ".join(sorted(offer.containers)) or "none"
            return _refused(ReasonCode.TARGET_OUT_OF_SCOPE, f"There is no container {name}; there are {known}.")
        case _:
            return None


def _no_way_back(action: AnyAction, offer: Offer) -> Refused:
    """What is offered for that object instead."""
    known = ", ".join(f"{o.operation.value} {o.version}".strip() for o in offer.objects if o.ref == action.target)
    reason = f"{action.tool} of {action.target} in this form is not offered; there is {known or 'none'}."
    return _refused(ReasonCode.VERSION_UNKNOWN, reason)


def _approvals(steps: tuple[Step, ...], offer: Offer) -> tuple[str, ...]:
    """Why a person must agree: a revert that lowers the Pod Security level."""
    found = [
        f"going back to revision {step.action.to_revision} loosens: {', '.join(revert.loosens)}"
        for step in steps
        if isinstance(step.action, RollbackWorkload)
        and (revert := offer.revert_to(step.action.to_revision)) is not None
        and revert.loosens
    ]
    return tuple(found[:8])


def _unfenced(text: str) -> str:
    lines = text.strip().splitlines()
    if len(lines) >= 3 and lines[0].strip() in ("```", "```json") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    return text


def _refused(code: ReasonCode, reason: str) -> Refused:
    return Refused(code=code, reason=reason, check=CHECK)
