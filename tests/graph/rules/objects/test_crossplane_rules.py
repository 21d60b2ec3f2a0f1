"""The rule about resources of Crossplane: what is resumed, what is asked again, and what a person is told."""

from __future__ import annotations

import pytest

from graph.externals import CAUSE_GONE
from graph.incident import Reason
from graph.observed import Evidence, SubjectFacts
from graph.plan import NoPlan, Planned, action_digest
from graph.rules.rulebook import diagnose
from tests.graph.rules.samples import NOW, signal
from tools.executors.crossplane.facts import CREATE_PENDING, EXTERNAL_NAME
from tools.guard.verdict import ReasonCode
from tools.refs import ObjectRef, Pin

BUCKET = ObjectRef(kind="Bucket.storage.example.org", namespace="shop", name="data")
VOLUME = ObjectRef(kind="Volume.storage.example.org", namespace=None, name="disk")
GONE = f"{CAUSE_GONE}shop/Network.storage.example.org/net is there"
R = Reason


def about(*reasons: Reason, target: ObjectRef = BUCKET, message: str = "said", lines: tuple[str, ...] = ()) -> Evidence:
    return Evidence(
        observed_at=NOW,
        workload=None,
        subject=SubjectFacts(ref=target, uid="u", generation=1, lines=lines),
        signals=tuple(signal(r, message, about=target, container=None, revision=None) for r in reasons),
        scope=(Pin(ref=target, uid="u", resource_version="1", generation=1),),
    )


@pytest.mark.parametrize(
    ("why", "evidence", "expected"),
    [
        ("paused", about(R.RECONCILE_PAUSED), "crossplane_resume"),
        ("paused, in no namespace", about(R.RECONCILE_PAUSED, target=VOLUME), "crossplane_resume"),
        ("nobody looks", about(R.RECONCILE_STUCK), "crossplane_reconcile_now"),
        ("an error", about(R.EXTERNAL_SYNC_FAILED), None),
        ("an error whose cause is gone", about(R.EXTERNAL_SYNC_FAILED, lines=(GONE,)), "crossplane_reconcile_now"),
        (
            "a reference that is there now",
            about(R.EXTERNAL_REFERENCE_BROKEN, lines=(GONE,)),
            "crossplane_reconcile_now",
        ),
        ("a reference that is not", about(R.EXTERNAL_REFERENCE_BROKEN), None),
        ("not ready out there", about(R.EXTERNAL_UNREADY), None),
        ("a provider", about(R.PROVIDER_UNHEALTHY), None),
        ("an uncertain creation", about(R.EXTERNAL_UNCERTAIN), None),
        ("an uncertain creation, paused too", about(R.EXTERNAL_UNCERTAIN, R.RECONCILE_PAUSED), None),
        ("an uncertain creation, its cause gone", about(R.EXTERNAL_UNCERTAIN, R.RECONCILE_STUCK, lines=(GONE,)), None),
    ],
)
def test_what_is_done(why: str, evidence: Evidence, expected: str | None) -> None:
    found = diagnose(evidence, now=NOW)
    actions = [s.action.action for s in found.plan.steps] if isinstance(found, Planned) else []
    assert actions == ([] if expected is None else [expected])
    if isinstance(found, Planned):
        assert found.plan.steps[0].action.target == evidence.scope[0].ref
    else:
        assert found.refusal.code is ReasonCode.NO_REMEDY


@pytest.mark.parametrize("reason", [R.RECONCILE_PAUSED, R.RECONCILE_STUCK])
def test_what_did_not_help_is_not_done_again(reason: Reason) -> None:
    first = diagnose(about(reason), now=NOW)
    assert isinstance(first, Planned)
    tried = frozenset(action_digest(s.action) for s in first.plan.steps)
    again = diagnose(about(reason), now=NOW, tried=tried)
    assert isinstance(again, NoPlan)
    assert again.refusal.code is ReasonCode.NO_REMEDY


def test_a_person_is_told_the_outside_systems_own_words() -> None:
    message = "create failed: AccessDenied: not authorised to perform s3:CreateBucket"
    found = diagnose(about(R.EXTERNAL_SYNC_FAILED, message=message), now=NOW)
    assert isinstance(found, NoPlan)
    assert found.diagnosis is not None
    assert "s3:CreateBucket" in found.diagnosis.sentence
    assert "log of the provider" in found.refusal.reason


def test_of_an_uncertain_creation_a_person_is_told_how_to_end_it() -> None:
    found = diagnose(about(R.EXTERNAL_UNCERTAIN), now=NOW)
    assert isinstance(found, NoPlan)
    assert CREATE_PENDING in found.refusal.reason
    assert EXTERNAL_NAME in found.refusal.reason
