"""Routing by table: the case names are the specification."""

from datetime import UTC, datetime

import pytest

from graph.edges import (
    Limits,
    after_analyzer,
    after_approval,
    after_enforcer,
    after_reasoner,
    after_undo,
    after_validator,
    after_verifier,
)
from graph.plan import (
    Accepted,
    Approved,
    Declined,
    Executed,
    FailedVerification,
    Lost,
    NeedsApproval,
    NoPlan,
    NotUndone,
    ObserveOnly,
    Passed,
    Refusal,
    Rejected,
    Retry,
    StepDone,
    Uncovered,
    Undone,
    Unverifiable,
    Value,
)
from graph.state import State
from tools.guard.verdict import ReasonCode, Refused
from tools.refs import ActionId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(attempts=3, retries=2, waits=5)
EXECUTED = Executed(step=0, action_id=ActionId("a"), summary="done", at=NOW)


def refused(code: ReasonCode) -> Refused:
    return Refused(code=code, reason="because")


def dump(value: Value) -> dict[str, object]:
    return value.model_dump(mode="json")


@pytest.mark.parametrize(
    ("finding", "node"),
    [("wrong", "reasoner"), ("clear", "closer"), ("unreadable", "closer"), ("suppressed", "closer")],
)
def test_only_what_is_wrong_is_reasoned_about(finding: str, node: str) -> None:
    assert after_analyzer({"finding": finding}) == node


def test_no_plan_is_an_escalation() -> None:
    assert after_reasoner({"proposal": dump(NoPlan(refusal=refused(ReasonCode.NO_RULE)))}) == "closer"


@pytest.mark.parametrize(
    ("verdict", "attempts", "node"),
    [
        pytest.param(Accepted(), 1, "enforcer", id="accepted plans are carried out"),
        pytest.param(NeedsApproval(reasons=("x",)), 1, "approval", id="a person is asked"),
        pytest.param(ObserveOnly(), 1, "closer", id="observe mode ends without a write"),
        pytest.param(Rejected(refusals=(refused(ReasonCode.TARGET_CHANGED),)), 1, "reasoner", id="think again"),
        pytest.param(Rejected(refusals=(refused(ReasonCode.TARGET_CHANGED),)), 3, "closer", id="attempts are bounded"),
        pytest.param(Rejected(refusals=(refused(ReasonCode.COOLDOWN),)), 1, "closer", id="no plan outruns a cooldown"),
        pytest.param(Rejected(refusals=(refused(ReasonCode.TARGET_PROTECTED),)), 1, "closer", id="protected is final"),
    ],
)
def test_after_validator(verdict: Value, attempts: int, node: str) -> None:
    assert after_validator({"verdict": dump(verdict), "attempts": attempts}, LIMITS) == node


@pytest.mark.parametrize(
    ("decision", "node"),
    [
        (Approved(by="ann", plan_hash="h", policy_hash="p", at=NOW), "enforcer"),
        (Declined(by="ann", why="no", at=NOW), "closer"),
    ],
)
def test_after_approval(decision: Value, node: str) -> None:
    assert after_approval({"decision": dump(decision)}) == node


GONE = Refusal(step=0, refusal=refused(ReasonCode.TARGET_CHANGED), at=NOW)
RETRY = Retry(step=0, error="503", delay_seconds=1, at=NOW)
BLOCKED = Retry(step=0, error="429", delay_seconds=10, at=NOW, is_blocked=True)


@pytest.mark.parametrize(
    ("outcome", "state", "node"),
    [
        pytest.param(EXECUTED, {}, "verifier", id="every write is verified"),
        pytest.param(EXECUTED.model_copy(update={"more": True}), {}, "enforcer", id="a step of several calls goes on"),
        pytest.param(RETRY, {"retries": 1}, "enforcer", id="transient errors are tried again"),
        pytest.param(BLOCKED, {"retries": 3}, "enforcer", id="a disruption budget is waited for longer"),
        pytest.param(BLOCKED, {"retries": 6, "outcomes": [EXECUTED]}, "undo", id="and not for ever"),
        pytest.param(RETRY, {"retries": 3}, "closer", id="retries are bounded"),
        pytest.param(RETRY, {"retries": 3, "outcomes": [EXECUTED]}, "undo", id="half a plan is not left standing"),
        pytest.param(GONE, {"attempts": 1}, "reasoner", id="refused at the door: think again"),
        pytest.param(GONE, {"attempts": 3}, "closer", id="refused at the door, no attempt left"),
        pytest.param(GONE, {"attempts": 1, "outcomes": [EXECUTED]}, "undo", id="refused in mid-plan: take back"),
        pytest.param(
            Refusal(step=0, refusal=refused(ReasonCode.LOCKED), at=NOW), {"attempts": 1}, "closer", id="locked is final"
        ),
        pytest.param(
            Lost(step=0, action_id=ActionId("a"), refusal=refused(ReasonCode.UNKNOWN_OUTCOME), at=NOW),
            {"attempts": 1},
            "closer",
            id="a write in doubt stops everything",
        ),
    ],
)
def test_after_enforcer(outcome: Value, state: dict[str, object], node: str) -> None:
    outcomes = [dump(o) for o in state.get("outcomes", [])]  # type: ignore[attr-defined]
    full: State = {**state, "outcome": dump(outcome), "outcomes": outcomes}  # type: ignore[typeddict-item]
    assert after_enforcer(full, LIMITS) == node


@pytest.mark.parametrize(
    ("verification", "node"),
    [
        pytest.param(Passed(recovered_at=NOW, at=NOW, sentence="ok"), "closer", id="PASS closes"),
        pytest.param(StepDone(at=NOW), "enforcer", id="the next step follows"),
        pytest.param(FailedVerification(worse=False, sentence="no", at=NOW), "undo", id="FAIL is undone"),
        pytest.param(Uncovered(sentence="next", at=NOW), "reasoner", id="a second failure is thought about"),
        pytest.param(Unverifiable(sentence="?", at=NOW), "closer", id="UNKNOWN writes nothing more"),
    ],
)
def test_after_verifier(verification: Value, node: str) -> None:
    assert after_verifier({"verification": dump(verification)}, LIMITS) == node


def test_a_second_failure_without_an_attempt_left_closes() -> None:
    state: State = {"verification": dump(Uncovered(sentence="next", at=NOW)), "attempts": LIMITS.attempts}
    assert after_verifier(state, LIMITS) == "closer"


@pytest.mark.parametrize(
    ("undo", "attempts", "node"),
    [
        pytest.param(Undone(sentence="back", at=NOW), 1, "reasoner", id="a world put back is planned for again"),
        pytest.param(Undone(sentence="back", at=NOW), 3, "closer", id="attempts are bounded"),
        pytest.param(
            NotUndone(refusal=refused(ReasonCode.ROLLBACK_CONFLICT), at=NOW), 1, "closer", id="a foreign change stops"
        ),
    ],
)
def test_after_undo(undo: Value, attempts: int, node: str) -> None:
    assert after_undo({"undo": dump(undo), "attempts": attempts}, LIMITS) == node
