"""The last word by table: what outweighs what."""

from datetime import UTC, datetime

import pytest

from graph.incident import Family, Incident, Source
from graph.nodes.closer import as_result, resolve
from graph.plan import (
    Accepted,
    Declined,
    Diagnosis,
    Executed,
    FailedVerification,
    Lost,
    NoPlan,
    NotUndone,
    ObserveOnly,
    Origin,
    Passed,
    Plan,
    Planned,
    Refusal,
    RefusedPlan,
    Rejected,
    Retry,
    Status,
    Step,
    Undone,
    Unverifiable,
    Value,
)
from graph.state import State
from tools.executors.actions import RestartWorkload
from tools.guard.verdict import ReasonCode, Refused
from tools.refs import ActionId, IncidentId, ObjectRef, PlanId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
INCIDENT = Incident(
    id=IncidentId("i1"),
    fingerprint="f",
    target=WEB,
    target_uid="u",
    family=Family.CRASH,
    source=Source.WATCHER,
    opened_at=NOW,
    signals=(),
)
DIAGNOSIS = Diagnosis(cause="c", sentence="It crashed.", confidence=1, origin=Origin.RULE, author="r")
RESTART = RestartWorkload(action="restart_workload", kind="Deployment", namespace="shop", name="web")
PLANNED = Planned(
    plan=Plan(id=PlanId("p"), diagnosis=DIAGNOSIS, steps=(Step(action=RESTART, why="because"),), created_at=NOW)
)
EXECUTED = Executed(step=0, action_id=ActionId("a"), summary="done", at=NOW)


def refused(code: ReasonCode) -> Refused:
    return Refused(code=code, reason="because")


def state(**values: Value | str | int | list[Value]) -> State:
    plain: dict[str, object] = {"finding": "wrong", "attempts": 1}
    for key, value in values.items():
        if isinstance(value, Value):
            plain[key] = value.model_dump(mode="json")
        elif isinstance(value, list):
            plain[key] = [v.model_dump(mode="json") for v in value]
        else:
            plain[key] = value
    return plain  # type: ignore[return-value]


WROTE = {"proposal": PLANNED, "verdict": Accepted(), "outcome": EXECUTED, "outcomes": [EXECUTED]}

CASES = [
    pytest.param(
        state(**WROTE, verification=Passed(recovered_at=NOW, at=NOW, sentence="all well")),
        Status.HEALED,
        None,
        id="verified is healed",
    ),
    pytest.param(
        state(**WROTE, verification=Unverifiable(sentence="blind", at=NOW)),
        Status.ESCALATED,
        ReasonCode.STALE_VIEW,
        id="unknown is never healed",
    ),
    pytest.param(
        state(
            **WROTE,
            verification=FailedVerification(worse=True, sentence="worse", at=NOW),
            undo=NotUndone(refusal=refused(ReasonCode.ROLLBACK_CONFLICT), at=NOW),
        ),
        Status.ESCALATED,
        ReasonCode.ROLLBACK_CONFLICT,
        id="not undone tells why",
    ),
    pytest.param(
        state(
            **WROTE,
            verification=FailedVerification(worse=False, sentence="same", at=NOW),
            undo=Undone(sentence="back", at=NOW),
        ),
        Status.ESCALATED,
        ReasonCode.ATTEMPTS_EXHAUSTED,
        id="undone and no attempt left",
    ),
    pytest.param(
        state(proposal=NoPlan(refusal=refused(ReasonCode.NO_RULE), diagnosis=DIAGNOSIS)),
        Status.ESCALATED,
        ReasonCode.NO_RULE,
        id="no rule: a person is needed",
    ),
    pytest.param(
        state(
            proposal=NoPlan(refusal=refused(ReasonCode.NO_RULE)),
            outcomes=[],
            outcome=EXECUTED,
            verification=FailedVerification(worse=False, sentence="same", at=NOW),
            undo=Undone(sentence="back", at=NOW),
        ),
        Status.ESCALATED,
        ReasonCode.NO_RULE,
        id="after an undo nobody knows more",
    ),
    pytest.param(
        state(
            finding="clear",
            proposal=NoPlan(refusal=refused(ReasonCode.NO_CHANGE)),
            outcome=Refusal(step=0, refusal=refused(ReasonCode.TARGET_CHANGED), at=NOW),
            outcomes=[],
        ),
        Status.CLEARED,
        None,
        id="somebody else healed it meanwhile",
    ),
    pytest.param(state(finding="clear"), Status.CLEARED, None, id="nothing was wrong"),
    pytest.param(state(finding="unreadable"), Status.ESCALATED, ReasonCode.STALE_VIEW, id="could not be read"),
    pytest.param(
        state(proposal=PLANNED, verdict=ObserveOnly()), Status.OBSERVED, ReasonCode.OBSERVE_ONLY, id="observe mode"
    ),
    pytest.param(
        state(proposal=PLANNED, verdict=Rejected(refusals=(refused(ReasonCode.COOLDOWN),))),
        Status.REFUSED,
        ReasonCode.COOLDOWN,
        id="the guard refused",
    ),
    pytest.param(
        state(
            proposal=PLANNED,
            verdict=Rejected(refusals=(refused(ReasonCode.COOLDOWN), refused(ReasonCode.QUARANTINED))),
        ),
        Status.ESCALATED,
        ReasonCode.QUARANTINED,
        id="it breaks again and again: a person is needed",
    ),
    pytest.param(
        state(proposal=PLANNED, verdict=Rejected(refusals=(refused(ReasonCode.OWNED_BY_GITOPS),))),
        Status.ESCALATED,
        ReasonCode.OWNED_BY_GITOPS,
        id="somebody else keeps the object: a person is needed",
    ),
    pytest.param(
        state(proposal=PLANNED, verdict=Rejected(refusals=(refused(ReasonCode.OWNED_BY_AUTOSCALER),))),
        Status.ESCALATED,
        ReasonCode.OWNED_BY_AUTOSCALER,
        id="an autoscaler keeps the field: a person is needed",
    ),
    pytest.param(
        state(
            proposal=PLANNED,
            verdict=Accepted(),
            outcome=Refusal(step=0, refusal=refused(ReasonCode.OWNED_BY_GITOPS), at=NOW),
        ),
        Status.ESCALATED,
        ReasonCode.OWNED_BY_GITOPS,
        id="somebody took the object over before the write: a person is needed",
    ),
    pytest.param(
        state(proposal=PLANNED, verdict=Rejected(refusals=(refused(ReasonCode.MODE_OFF),))),
        Status.REFUSED,
        ReasonCode.MODE_OFF,
        id="the policy says hands off: nobody is called",
    ),
    pytest.param(
        state(
            proposal=PLANNED,
            verdict=Rejected(refusals=(refused(ReasonCode.MODE_OFF), refused(ReasonCode.OWNED_BY_GITOPS))),
        ),
        Status.REFUSED,
        ReasonCode.MODE_OFF,
        id="hands off outweighs whose it is",
    ),
    pytest.param(
        state(proposal=PLANNED, verdict=Accepted(), decision=Declined(by="ann", why="not now", at=NOW)),
        Status.REFUSED,
        ReasonCode.APPROVAL_REFUSED,
        id="a person declined",
    ),
    pytest.param(
        state(
            proposal=PLANNED,
            verdict=Accepted(),
            outcome=Lost(step=0, action_id=ActionId("a"), refusal=refused(ReasonCode.UNKNOWN_OUTCOME), at=NOW),
        ),
        Status.ESCALATED,
        ReasonCode.UNKNOWN_OUTCOME,
        id="a write in doubt",
    ),
    pytest.param(
        state(proposal=PLANNED, verdict=Accepted(), outcome=Retry(step=0, error="503", delay_seconds=1, at=NOW)),
        Status.ESCALATED,
        ReasonCode.API_UNAVAILABLE,
        id="the API server stayed away",
    ),
]


@pytest.mark.parametrize(("final", "status", "code"), CASES)
def test_the_last_word(final: State, status: Status, code: ReasonCode | None) -> None:
    resolution = resolve(final, INCIDENT, now=NOW)
    assert (resolution.status, resolution.code) == (status, code)
    assert resolution.sentence


@pytest.mark.parametrize(("final", "status", "code"), CASES)
def test_the_structured_answer_survives_json(final: State, status: Status, code: ReasonCode | None) -> None:
    result = as_result(final, INCIDENT, resolve(final, INCIDENT, now=NOW))
    assert type(result).model_validate_json(result.model_dump_json()) == result
    assert (result.status, result.resolution.code) == (status, code)


def test_what_an_owner_keeps_is_told_with_the_owner_and_the_place_to_change() -> None:
    kept = Refused(code=ReasonCode.OWNED_BY_GITOPS, reason="Engine boss keeps it as declared.")
    said = resolve(state(proposal=PLANNED, verdict=Rejected(refusals=(kept,))), INCIDENT, now=NOW).sentence
    assert "It crashed." in said
    assert "Engine boss keeps it" in said
    assert "where it takes that from" in said


AWAY = (
    "Could not read the server's dry run: PATCH /apis/apps/v1/namespaces/shop/deployments/web: 500, Internal error"
    ' occurred: failed calling webhook "gate.example.com": failed to call webhook: service "gate" not found'
)
NO = 'admission webhook "policy.example.com" denied the request: no change on Fridays'
BARRED = [
    pytest.param(
        ReasonCode.INPUT_UNREADABLE, AWAY, ["gate.example.com", "does not answer", 'service "gate"'], id="away"
    ),
    pytest.param(
        ReasonCode.DRY_RUN_REFUSED, NO, ["policy.example.com", "refuses it", "no change on Fridays"], id="says no"
    ),
]


@pytest.mark.parametrize(("code", "reason", "told"), BARRED)
def test_the_webhook_that_a_remedy_cannot_get_past_is_named_in_place_of_the_rules_advice(
    code: ReasonCode, reason: str, told: list[str]
) -> None:
    refusal = Refused(code=code, reason=reason)
    final = state(
        proposal=NoPlan(refusal=Refused(code=ReasonCode.NO_REMEDY, reason="Push the image."), diagnosis=DIAGNOSIS),
        refusals=[RefusedPlan(actions=("a",), refusals=(refusal,))],
    )
    said = resolve(final, INCIDENT, now=NOW).sentence
    assert said.startswith("A person is needed. It crashed.")
    assert all(word in said for word in told), said
    assert "Push the image" not in said


def test_another_refusal_leaves_the_rules_advice() -> None:
    final = state(
        proposal=NoPlan(refusal=Refused(code=ReasonCode.NO_REMEDY, reason="Push the image."), diagnosis=DIAGNOSIS),
        refusals=[RefusedPlan(actions=("a",), refusals=(refused(ReasonCode.NO_REVISION),))],
    )
    assert "Push the image." in resolve(final, INCIDENT, now=NOW).sentence
