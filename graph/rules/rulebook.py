"""The rules in order, and the one question asked of them: what is the cause, and what is to be done?

The rule: the order is from the most certain to the least, so the first remedy is the plan and those of later rules are
the others it is compared with; without one, the first rule that knows why there is none speaks.  Nothing that was tried
is proposed again.  Neighbours: the reasoner asks, the model is
asked only when nobody here has a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from graph.observed import Evidence
from graph.plan import Diagnosis, NoPlan, Origin, Plan, Planned, Step
from graph.rules.bad_revision import BadRevision
from graph.rules.case import Answer, Case, Hopeless, Remedy, Rule, Unclear
from graph.rules.crowded import Crowded
from graph.rules.delivered import Delivered
from graph.rules.dependencies import ChangedDependency
from graph.rules.intent import Intent
from graph.rules.known_causes import KnownCauses
from graph.rules.leftovers import Leftovers
from graph.rules.memory import OutOfMemory
from graph.rules.objects.applications import Applications
from graph.rules.objects.autoscalers import Autoscalers
from graph.rules.objects.batch import Batch
from graph.rules.objects.born import BornBroken
from graph.rules.objects.case import ObjectCase, ObjectRule
from graph.rules.objects.claims import Claims
from graph.rules.objects.crossplane import Crossplane
from graph.rules.objects.keda import Keda
from graph.rules.objects.known import KnownObjects
from graph.rules.objects.lost_ports import LostPorts
from graph.rules.objects.needed import Needed
from graph.rules.objects.nodes import FaultyNodes, Nodes
from graph.rules.objects.put_back import PutBack
from graph.rules.security import Tighten
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonValue, digest
from tools.refs import ObjectRef, Pin, PlanId

RULES: Final[tuple[Rule, ...]] = (
    Delivered(),
    BadRevision(),
    ChangedDependency(),
    OutOfMemory(),
    Tighten(),
    Crowded(),
    Intent(),
    Leftovers(),
    KnownCauses(),
)
"""For workloads, in order.  The last one never acts."""
OBJECT_RULES: Final[tuple[ObjectRule, ...]] = (
    Applications(),
    Crossplane(),
    Keda(),
    PutBack(),
    Needed(),
    LostPorts(),
    BornBroken(),
    Claims(),
    Autoscalers(),
    Batch(),
    FaultyNodes(),
    Nodes(),
    KnownObjects(),
)
"""For everything else, in order.  The last one never acts."""
CHECK: Final = "rulebook"


class _Named(Protocol):
    """What a plan says of the rule it is by."""

    @property
    def name(self) -> str: ...

    @property
    def safe_because(self) -> str: ...


MAX_OTHERS: Final = 3


def diagnose(
    evidence: Evidence, *, tried: frozenset[str] = frozenset(), now: datetime, rules: Sequence[Rule] = RULES
) -> Planned | NoPlan:
    """The plan of the first rule that has one, or the reason why there is none; pure.

    `tried` are the digests (`graph.plan.action_digest`) of actions that were refused or did not heal.
    """
    if evidence.workload is None:
        return _about_object(evidence, tried, now)
    case = Case(evidence, evidence.workload, tried, now)
    if not case.signals:
        return _nothing_certain(evidence, now)
    answers = [(rule, _permitted(rule.judge(case), case)) for rule in rules]
    return _ask(answers, _Frame(evidence, case.workload.uid, tried, now))


def _permitted(answer: Answer | None, case: Case) -> Answer | None:
    """The answer, unless it writes a workload that Argo CD keeps: that would be reverted, or be drift."""
    if case.evidence.application is None or not isinstance(answer, Remedy):
        return answer
    return None if any(step.action.target == case.workload.ref for step in answer.steps) else answer


def _about_object(evidence: Evidence, tried: frozenset[str], now: datetime) -> Planned | NoPlan:
    subject = evidence.subject
    target = subject.ref if subject is not None else _gone(evidence)
    if target is None:
        return _no_plan(ReasonCode.NO_REMEDY, "The target is gone, or is not a kind that rules know.")
    case = ObjectCase(evidence, target, tried, now)
    if not case.signals:
        return _nothing_certain(evidence, now)
    uid = subject.uid if subject is not None else str(target)
    return _ask([(rule, rule.judge(case)) for rule in OBJECT_RULES], _Frame(evidence, uid, tried, now))


def _gone(evidence: Evidence) -> ObjectRef | None:
    """A target that is not there: the first of the scope; signals may be of those that fail for want of it."""
    named = (*(pin.ref for pin in evidence.scope[:1]), *(s.object for s in evidence.signals[:1]))
    return next(iter(named), None)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a plan is made of beside the rule's answer."""

    evidence: Evidence
    uid: str
    tried: frozenset[str]
    now: datetime


def _ask(answered: Sequence[tuple[_Named, Answer | None]], frame: _Frame) -> Planned | NoPlan:
    answers: list[tuple[_Named, Hopeless | Unclear]] = []
    found: list[Planned | NoPlan] = []
    for rule, answer in answered:
        if isinstance(answer, Remedy):
            found.append(_plan(rule, answer, frame))
        elif answer is not None:
            answers.append((rule, answer))
    return _together(found) if found else _without_remedy(answers, frame)


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


def _plan(rule: _Named, remedy: Remedy, frame: _Frame) -> Planned | NoPlan:
    pins = _pins(remedy.steps, frame.evidence.scope)
    diagnosis = _diagnosis(rule, remedy)
    if pins is None:
        reason = "A target of the remedy is not among the objects that were read for this incident; read it again."
        return _no_plan(ReasonCode.INPUT_UNREADABLE, reason, diagnosis)
    steps: list[JsonValue] = [s.action.model_dump(mode="json") for s in remedy.steps]
    return Planned(
        plan=Plan(
            id=PlanId(digest([frame.uid, frame.now.isoformat(), steps])[:12]),
            diagnosis=diagnosis,
            steps=remedy.steps,
            pins=pins,
            safe_because=rule.safe_because,
            approval_reasons=remedy.needs_person,
            loosens=remedy.loosens,
            created_at=frame.now,
        )
    )


def _pins(steps: Iterable[Step], scope: Iterable[Pin]) -> tuple[Pin, ...] | None:
    """The lives of all targets, each once; None when one was not read."""
    known = {str(pin.ref): pin for pin in scope}
    targets = list(dict.fromkeys(str(step.action.target) for step in steps))
    if any(target not in known for target in targets):
        return None
    return tuple(known[target] for target in targets)


def _without_remedy(answers: Sequence[tuple[_Named, Hopeless | Unclear]], frame: _Frame) -> NoPlan:
    for rule, answer in answers:
        match answer:
            case Hopeless(advice=advice):
                return _no_plan(ReasonCode.NO_REMEDY, advice, _diagnosis(rule, answer))
            case Unclear(question=question):
                reason = f"No rule decides this. {question}"
                if frame.tried:
                    reason = f"What the rules know was tried. {question}"
                return _no_plan(ReasonCode.NO_RULE, reason, _diagnosis(rule, answer))
    return _no_plan(ReasonCode.NO_RULE, "No rule knows this case.")


def _diagnosis(rule: _Named, answer: Answer) -> Diagnosis:
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
