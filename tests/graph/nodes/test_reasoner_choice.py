"""Between rules and the model: who is heard, and when the rules stand in."""

from __future__ import annotations

import pytest

from graph.incident import Reason
from graph.nodes.reasoner import STAND_IN, choose, has_symptom
from graph.plan import Diagnosis, NoPlan, Origin, Planned
from tests.graph.model.bench import evidence, signal
from tests.graph.model.test_cache import healed_plan
from tools.guard.verdict import ReasonCode, Refused

C = ReasonCode
MODEL = Planned(plan=healed_plan(evidence(), Origin.MODEL))
RULE = Planned(plan=healed_plan(evidence(), Origin.RULE))
CAUSE = Diagnosis(cause="quota", sentence="The quota is full.", confidence=0.9, origin=Origin.RULE, author="known")


def none(code: ReasonCode, diagnosis: Diagnosis | None = None) -> NoPlan:
    return NoPlan(refusal=Refused(code=code, reason="r"), diagnosis=diagnosis)


NO_RULE, KNOWN, UNSURE = none(C.NO_RULE), none(C.NO_REMEDY, CAUSE), none(C.LLM_NO_PLAN)


def test_a_plan_of_the_model_stands() -> None:
    assert choose(RULE, MODEL) is MODEL
    assert choose(KNOWN, MODEL) is MODEL


@pytest.mark.parametrize("code", sorted(STAND_IN))
def test_rules_stand_in_where_the_model_gave_no_answer(code: ReasonCode) -> None:
    assert choose(RULE, none(code)) is RULE
    assert choose(KNOWN, none(code)) is KNOWN


@pytest.mark.parametrize("code", [C.LLM_NO_PLAN, C.TARGET_OUT_OF_SCOPE, C.PLAN_SCHEMA, C.REPEAT])
def test_a_model_that_answered_is_not_overruled(code: ReasonCode) -> None:
    answered = none(code)
    assert choose(RULE, answered) is answered


def test_a_cause_that_only_the_rules_know_is_said() -> None:
    assert choose(KNOWN, UNSURE) is KNOWN
    assert choose(NO_RULE, UNSURE) is UNSURE


def test_nothing_is_asked_without_a_confirmed_symptom() -> None:
    assert has_symptom(evidence())
    assert not has_symptom(evidence(signals=()))
    assert not has_symptom(evidence(signals=(signal().model_copy(update={"confirmed": False}),)))
    assert not has_symptom(evidence(signals=(signal().model_copy(update={"reason": Reason.REQUESTED}),)))


def test_the_rules_plan_stands_beside_the_models() -> None:
    other = RULE.plan.model_copy(update={"steps": RULE.plan.steps * 2})
    chosen = choose(Planned(plan=other), MODEL)
    assert isinstance(chosen, Planned)
    assert (chosen.plan, chosen.others) == (MODEL.plan, (other,))


def test_the_surer_diagnosis_is_said() -> None:
    vague = CAUSE.model_copy(update={"confidence": 0.3})
    sure = none(C.LLM_NO_PLAN, CAUSE.model_copy(update={"confidence": 0.6, "origin": Origin.MODEL}))
    assert choose(none(C.NO_RULE, vague), sure) is sure
    assert choose(KNOWN, sure) is KNOWN
