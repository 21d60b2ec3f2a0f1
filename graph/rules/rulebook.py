"""The rules in order, and the one question asked of them: what is the cause, and what is to be done?

The rule: the order is from the most certain to the least, so the first remedy is the plan and those of later rules are
the others it is compared with; without one, the first rule that knows why there is none speaks.  Nothing that was tried
is proposed again.  Neighbours: the reasoner asks, the model is
asked only when nobody here has a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from graph.incident import Evidence
from graph.plan import Diagnosis, NoPlan, Origin, Plan, Planned, Step
from graph.rules.bad_revision import BadRevision
from graph.rules.case import Answer, Case, Hopeless, Remedy, Rule, Unclear
from graph.rules.known_causes import KnownCauses
from graph.rules.leftovers import Leftovers
from graph.rules.memory import OutOfMemory
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonValue, digest
from tools.refs import Pin, PlanId

RULES: Final[tuple[Rule, ...]] = (BadRevision(), OutOfMemory(), Leftovers(), KnownCauses())
"""In order.  The last one never acts."""
CHECK: Final = "rulebook"
MAX_OTHERS: Final = 3


def diagnose(
    evidence: Evidence, *, tried: frozenset[str] = frozenset(), now: datetime, rules: Sequence[Rule] = RULES
) -> Planned | NoPlan:
    """The plan of the first rule that has one, or the reason why there is none; pure.

    `tried` are the digests (`graph.plan.action_digest`) of actions that were refused or did not heal.
    """
    if evidence.workload is None:
        return _no_plan(ReasonCode.NO_REMEDY, "The target is gone, or is not a workload that rules know.")
    case = Case(evidence, evidence.workload, tried, now)
    if not case.signals:
        return _nothing_certain(evidence, now)
    answers: list[tuple[Rule, Hopeless | Unclear]] = []
    found: list[Planned | NoPlan] = []
    for rule in rules:
        answer = rule.judge(case)
        if isinstance(answer, Remedy):
            found.append(_plan(rule, answer, case))
        elif answer is not None:
            answers.append((rule, answer))
    return _together(found) if found else _without_remedy(answers, case)


def _together(found: Sequence[Planned | NoPlan]) -> Planned | NoPlan:
    """The first remedy, with the later ones beside it; one that is no plan after all is left out unless it is first."""
    first = found[0]
    if isinstance(first, NoPlan):
        return first
    others = [p.plan for p in found[1:] if isinstance(p, Planned) and p.plan.steps != first.plan.steps]
    return first.model_copy(update={"others": tuple(others[:MAX_OTHERS])})


def _nothing_certain(evidence: Evidence, now: datetime) -> NoPlan:
    due = [s.due_at for s in evidence.signals if s.due_at is not None]
    if not due:
        return _no_plan(ReasonCode.NO_RULE, "No symptom is confirmed: there is nothing to find a cause for.")
    seconds = max(0.0, (min(due) - now).total_seconds())
    return _no_plan(
        ReasonCode.NO_RULE,
        "What is seen may still pass by itself; look again when its time is over.",
        retry_after=seconds,
    )


def _plan(rule: Rule, remedy: Remedy, case: Case) -> Planned | NoPlan:
    pins = _pins(remedy.steps, case.evidence.scope)
    diagnosis = _diagnosis(rule, remedy)
    if pins is None:
        reason = "A target of the remedy is not among the objects that were read for this incident; read it again."
        return _no_plan(ReasonCode.INPUT_UNREADABLE, reason, diagnosis)
    steps: list[JsonValue] = [s.action.model_dump(mode="json") for s in remedy.steps]
    return Planned(
        plan=Plan(
            id=PlanId(digest([case.workload.uid, case.now.isoformat(), steps])[:12]),
            diagnosis=diagnosis,
            steps=remedy.steps,
            pins=pins,
            safe_because=rule.safe_because,
            approval_reasons=remedy.needs_person,
            created_at=case.now,
        )
    )


def _pins(steps: Iterable[Step], scope: Iterable[Pin]) -> tuple[Pin, ...] | None:
    """The lives of all targets, each once; None when one was not read."""
    known = {str(pin.ref): pin for pin in scope}
    targets = list(dict.fromkeys(str(step.action.target) for step in steps))
    if any(target not in known for target in targets):
        return None
    return tuple(known[target] for target in targets)


def _without_remedy(answers: Sequence[tuple[Rule, Hopeless | Unclear]], case: Case) -> NoPlan:
    for rule, answer in answers:
        match answer:
            case Hopeless(advice=advice):
                return _no_plan(ReasonCode.NO_REMEDY, advice, _diagnosis(rule, answer))
            case Unclear(question=question):
                reason = f"No rule decides this. {question}"
                if case.tried:
                    reason = f"What the rules know was tried. {question}"
                return _no_plan(ReasonCode.NO_RULE, reason, _diagnosis(rule, answer))
    return _no_plan(ReasonCode.NO_RULE, "No rule knows this case.")


def _diagnosis(rule: Rule, answer: Answer) -> Diagnosis:
    match answer:
        case Remedy(confidence=confidence):
            pass
        case Hopeless():
            confidence = 0.9
        case Unclear():
            confidence = 0.3
    return Diagnosis(
        cause=answer.cause,
        sentence=answer.sentence,
        confidence=confidence,
        origin=Origin.RULE,
        author=rule.name,
        reasons=answer.reasons,
    )


def _no_plan(
    code: ReasonCode, reason: str, diagnosis: Diagnosis | None = None, *, retry_after: float | None = None
) -> NoPlan:
    refusal = Refused(code=code, reason=reason, check=CHECK, retry_after_seconds=retry_after)
    return NoPlan(refusal=refusal, diagnosis=diagnosis)
