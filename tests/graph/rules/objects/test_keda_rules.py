"""What is done about KEDA: a pause let go, bounds set back, and what is outside told to people."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from graph.incident import Reason
from graph.observed import Evidence, FieldChange, ObjectCandidate, VersionSource
from graph.plan import NoPlan, action_digest
from graph.rules.rulebook import diagnose
from tests.graph.rules.objects.test_object_rules import about, plan_of, way
from tests.graph.rules.samples import NOW, ref

SCALED, JOB = ref("ScaledObject", "web"), ref("ScaledJob", "import")
GOOD, DECLARED = VersionSource.LAST_KNOWN_GOOD, VersionSource.DESIRED
NOTE = FieldChange(path="metadata.annotations[autoscaling.keda.sh/paused-replicas]", now="0", then="")
NOTES = FieldChange(path="metadata.annotations", now='{"autoscaling.keda.sh/paused":"true"}', then="")
OTHER_NOTE = FieldChange(path="metadata.annotations[autoscaling.keda.sh/paused-scale-in]", now="true", then="")
BOUND = FieldChange(path="spec.maxReplicaCount", now="3", then="6")
LEAST = FieldChange(path="spec.minReplicaCount", now="1", then="2")
TRIGGER = FieldChange(path="spec.triggers[0].metadata.queueName", now="b", then="a")
R = Reason


def back(source: VersionSource, *changes: FieldChange, ours: bool = False) -> ObjectCandidate:
    return way(SCALED, source=source, changes=changes).model_copy(update={"is_ours": ours})


def seen(reason: Reason, *ways: ObjectCandidate, message: str = "said", target: object = SCALED) -> Evidence:
    lines = ("scales Deployment web", "minReplicaCount: 1", "maxReplicaCount: 4")
    return about(JOB if target is JOB else SCALED, reason, *ways, lines=lines, message=message)


@dataclass(frozen=True)
class Planned:
    evidence: Evidence
    actions: tuple[str, ...]
    asks: bool = False


PLANS = {
    "held while it is needed, and was not when all was well": Planned(
        seen(R.AUTOSCALER_PAUSED, back(GOOD, NOTE)), ("keda_resume",)
    ),
    "held, and all its notes are new": Planned(seen(R.AUTOSCALER_PAUSED, back(GOOD, NOTES)), ("keda_resume",)),
    "held while it is needed, and nothing is known": Planned(seen(R.AUTOSCALER_PAUSED), ("keda_resume",), asks=True),
    "held for long, and nothing fails": Planned(
        seen(R.AUTOSCALER_FORGOTTEN, back(GOOD, NOTE)), ("keda_resume",), asks=True
    ),
    "held against what is declared": Planned(seen(R.AUTOSCALER_PAUSED, back(DECLARED, NOTE)), ("keda_resume",)),
    "only the difference is seen so far": Planned(seen(R.DRIFTED, back(DECLARED, NOTE)), ("keda_resume",)),
    "held, and its bounds are not as declared either": Planned(
        seen(R.AUTOSCALER_PAUSED, back(DECLARED, BOUND, NOTE)), ("keda_resume", "revert_fields")
    ),
    "a job is held": Planned(seen(R.AUTOSCALER_PAUSED, target=JOB), ("keda_resume",), asks=True),
    "its upper bound was lowered": Planned(seen(R.AUTOSCALER_AT_LIMIT, back(GOOD, BOUND)), ("keda_set_bounds",)),
    "both bounds were": Planned(seen(R.AUTOSCALER_AT_LIMIT, back(GOOD, BOUND, LEAST)), ("keda_set_bounds",)),
    "bounds and a trigger were changed": Planned(
        seen(R.AUTOSCALER_AT_LIMIT, back(GOOD, BOUND, TRIGGER)), ("revert_fields",)
    ),
    "it always had this bound": Planned(seen(R.AUTOSCALER_AT_LIMIT), ("keda_set_bounds",), asks=True),
    "a trigger was changed and cannot be read": Planned(
        seen(R.SCALER_FAILING, back(GOOD, TRIGGER)), ("revert_fields",)
    ),
    "its target was changed": Planned(
        seen(R.AUTOSCALER_UNABLE, back(DECLARED, FieldChange(path="spec.scaleTargetRef.name", now="b", then="a"))),
        ("revert_fields",),
    ),
    "another field differs from what is declared": Planned(seen(R.DRIFTED, back(DECLARED, BOUND)), ("revert_fields",)),
}


@pytest.mark.parametrize("case", PLANS.values(), ids=PLANS)
def test_what_is_done(case: Planned) -> None:
    plan = plan_of(case.evidence)
    assert tuple(step.action.action for step in plan.steps) == case.actions
    assert bool(plan.approval_reasons) is case.asks


def test_the_bounds_are_those_of_before() -> None:
    (step,) = plan_of(seen(R.AUTOSCALER_AT_LIMIT, back(GOOD, BOUND, LEAST))).steps
    assert (step.action.min_replicas, step.action.max_replicas) == (2, 6)  # type: ignore[union-attr]
    (step,) = plan_of(seen(R.AUTOSCALER_AT_LIMIT)).steps
    assert (step.action.min_replicas, step.action.max_replicas) == (None, 8)  # type: ignore[union-attr]


NO_API = (
    "FailedGetExternalMetric: unable to fetch metrics from external metrics API: the server is currently unable to "
    "handle the request"
)
TOLD = {
    "a trigger asks somebody who does not answer": (seen(R.SCALER_FAILING), "scaler_failing", "what the trigger asks"),
    "a fallback holds": (
        seen(R.SCALER_FAILING, message="its triggers cannot be read; its fallback keeps 3 replicas"),
        "scaler_failing",
        "KEDA tries again",
    ),
    "nobody answers for metrics": (seen(R.AUTOSCALER_UNABLE, message=NO_API), "metrics_api_away", "APIService"),
    "the authentication is missing": (
        seen(R.AUTOSCALER_UNABLE, message='Ready=False/X: triggerauthentications.keda.sh "queue" not found'),
        "trigger_authentication_missing",
        "TriggerAuthentication",
    ),
    "the target is missing": (
        seen(R.AUTOSCALER_UNABLE, message="Ready=False/X: ScaledObject doesn't have correct scaleTargetRef"),
        "scale_target_missing",
        "scaleTargetRef",
    ),
    "something else in its specification": (
        seen(R.AUTOSCALER_UNABLE, message="Ready=False/X: no scaler found for type: kron"),
        "autoscaler_unable",
        "specification",
    ),
    "a note of no weight differs": (seen(R.SCALER_FAILING, back(GOOD, OTHER_NOTE)), "scaler_failing", "KEDA tries"),
}


@pytest.mark.parametrize(("evidence", "cause", "advice"), TOLD.values(), ids=TOLD)
def test_what_is_outside_is_told(evidence: Evidence, cause: str, advice: str) -> None:
    found = diagnose(evidence, now=NOW)
    assert isinstance(found, NoPlan), found
    assert found.diagnosis is not None
    assert found.diagnosis.cause == cause
    assert advice in found.refusal.reason


def test_a_fallback_is_said_to_keep_it_alive() -> None:
    found = diagnose(seen(R.SCALER_FAILING, message="deaf; its fallback keeps 3 replicas"), now=NOW)
    assert isinstance(found, NoPlan)
    assert found.diagnosis is not None
    assert "kept alive by its fallback" in found.diagnosis.sentence


def test_our_own_pause_is_not_let_go_by_ourselves() -> None:
    found = diagnose(seen(R.AUTOSCALER_PAUSED, back(DECLARED, NOTE, ours=True)), now=NOW)
    assert isinstance(found, NoPlan)
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "healing_not_declared"


def test_what_was_tried_is_not_proposed_again() -> None:
    evidence = seen(R.AUTOSCALER_PAUSED, back(GOOD, NOTE))
    tried = frozenset(action_digest(step.action) for step in plan_of(evidence).steps)
    found = diagnose(evidence, now=NOW, tried=tried)
    actions = [] if isinstance(found, NoPlan) else [step.action.action for step in found.plan.steps]
    assert "keda_resume" not in actions
