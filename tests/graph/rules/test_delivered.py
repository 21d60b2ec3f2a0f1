"""What Argo CD keeps is put right through Argo CD, or in its repository; never behind its back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from graph.incident import Reason, Signal
from graph.observed import ApplicationFacts, Evidence, SubjectFacts
from graph.plan import NoPlan, Planned, action_digest
from graph.rules.rulebook import diagnose
from tests.graph.rules.samples import NOW, evidence, signal
from tools.refs import ObjectRef, Pin

R = Reason
APP = ObjectRef(kind="Application", namespace="argocd", name="shop")
PIN = Pin(ref=APP, uid="uid-shop", resource_version="1", generation=None)
CRASH = signal(R.CRASH_LOOP, "back-off")


def facts(**changes: Any) -> ApplicationFacts:
    known = ApplicationFacts(
        ref=APP,
        uid="uid-shop",
        health="Degraded",
        sync="Synced",
        phase="Succeeded",
        syncs_itself=False,
        heals_itself=False,
        is_drift=False,
        deployed="c3c3",
        deployed_at=NOW - timedelta(minutes=1),
        declared="c3c3",
        repository="https://git.example/shop.git",
        back=2,
        back_revision="b2b2",
        back_is_proven=True,
    )
    return known.model_copy(update=changes)


def of_workload(app: ApplicationFacts | None, *signals: Signal, **more: Any) -> Evidence:
    seen = evidence(*(signals or (CRASH,)), **more)
    return seen.model_copy(update={"application": app, "scope": (*seen.scope, PIN)})


def of_itself(app: ApplicationFacts, reason: Reason, message: str = "said") -> Evidence:
    subject = SubjectFacts(ref=APP, uid="uid-shop", generation=None)
    found = signal(reason, message, about=APP, container=None, revision=None)
    return Evidence(observed_at=NOW, workload=None, subject=subject, application=app, signals=(found,), scope=(PIN,))


def first(seen: Evidence, tried: frozenset[str] = frozenset()) -> str:
    """The first action as `NAME TARGET`, or the code and the advice."""
    match diagnose(seen, tried=tried, now=NOW):
        case Planned(plan=plan):
            action = plan.steps[0].action
            return f"{action.tool} {action.target}"
        case NoPlan(refusal=refusal):
            return f"{refusal.code.value}: {refusal.reason}"


@pytest.mark.parametrize(
    ("why", "seen", "expected"),
    [
        ("nobody delivers it", of_workload(None), "rollback_workload shop/Deployment/web"),
        (
            "changed behind its back",
            of_workload(facts(is_drift=True, sync="OutOfSync", differing=("shop/Deployment/web",))),
            "argocd_sync argocd/Application/shop",
        ),
        ("the newest deployment fails", of_workload(facts()), "argocd_rollback argocd/Application/shop"),
        (
            "it follows its repository",
            of_workload(facts(syncs_itself=True)),
            "NO_REMEDY: Revert c3c3 in https://git.example/shop.git and go back to what b2b2 declares",
        ),
        (
            "it follows its repository, and no commit takes that back",
            of_workload(facts(syncs_itself=True, one_commit=False)),
            "argocd_set_auto_sync argocd/Application/shop",
        ),
        (
            "the same, and the Application is declared by another one",
            of_workload(facts(syncs_itself=True, one_commit=False, declared_by="root")),
            "NO_REMEDY: Revert c3c3",
        ),
        (
            "the same, and nothing was deployed before",
            of_workload(facts(syncs_itself=True, one_commit=False, back=None, back_revision="")),
            "NO_REMEDY: Revert c3c3",
        ),
        (
            "drift, though it follows its repository: a sync is what puts it right",
            of_workload(facts(syncs_itself=True, is_drift=True)),
            "argocd_sync argocd/Application/shop",
        ),
    ],
)
def test_a_workload_that_argocd_keeps(why: str, seen: Evidence, expected: str) -> None:
    found = first(seen)
    assert found[: len(expected)] == expected, why


def test_what_was_tried_is_not_asked_again() -> None:
    seen = of_workload(facts(is_drift=True, back=None))
    planned = diagnose(seen, now=NOW)
    assert isinstance(planned, Planned)
    tried = frozenset({action_digest(planned.plan.steps[0].action)})
    assert not first(seen, tried).startswith("argocd_sync")


def test_an_old_deployment_is_not_suspected_of_a_new_trouble() -> None:
    seen = of_workload(facts(deployed_at=NOW - timedelta(days=3)), recent=False, candidates=())
    assert not first(seen).startswith("argocd_")


def test_a_rollback_that_nobody_saw_healthy_is_less_certain() -> None:
    proven, not_proven = (diagnose(of_workload(facts(back_is_proven=p)), now=NOW) for p in (True, False))
    assert isinstance(proven, Planned)
    assert isinstance(not_proven, Planned)
    assert proven.plan.diagnosis.confidence > not_proven.plan.diagnosis.confidence


def test_to_stop_following_is_for_a_person_who_is_told_what_lasts() -> None:
    planned = diagnose(of_workload(facts(syncs_itself=True, one_commit=False)), now=NOW)
    assert isinstance(planned, Planned)
    plan = planned.plan
    assert [step.action.action for step in plan.steps] == ["argocd_set_auto_sync", "argocd_rollback"]
    assert plan.approval_reasons == ("Automated sync stays off until somebody turns it on again",)
    assert plan.diagnosis.cause == "bad_commit"
    assert "Put https://git.example/shop.git right" in plan.diagnosis.sentence
    tried = frozenset({action_digest(plan.steps[1].action)})
    assert first(of_workload(facts(syncs_itself=True, one_commit=False)), tried).startswith("NO_REMEDY: Revert c3c3")


@pytest.mark.parametrize(
    ("why", "seen", "expected"),
    [
        ("drift", of_itself(facts(is_drift=True), R.APPLICATION_DRIFTED), "argocd_sync argocd/Application/shop"),
        (
            "drift that Argo CD should heal by itself",
            of_itself(facts(is_drift=True, syncs_itself=True, heals_itself=True), R.APPLICATION_DRIFTED),
            "NO_REMEDY: Argo CD should put this right by itself",
        ),
        (
            "an operation hangs",
            of_itself(facts(hangs="for an hour"), R.OPERATION_HUNG),
            "argocd_terminate_operation argocd/Application/shop",
        ),
        (
            "the source was away for a moment",
            of_itself(facts(), R.COMPARISON_FAILED, "ComparisonError: dial tcp: i/o timeout"),
            "argocd_refresh argocd/Application/shop",
        ),
        (
            "the source is wrong",
            of_itself(facts(), R.COMPARISON_FAILED, "ComparisonError: app path does not exist"),
            "NO_REMEDY: Look at https://git.example/shop.git",
        ),
        ("a sync failed", of_itself(facts(), R.OPERATION_FAILED), "NO_REMEDY: Repair revision c3c3"),
        ("something else is degraded", of_itself(facts(), R.APPLICATION_DEGRADED), "NO_REMEDY: Look at what Argo CD"),
    ],
)
def test_an_application_itself(why: str, seen: Evidence, expected: str) -> None:
    found = first(seen)
    assert found[: len(expected)] == expected, why
