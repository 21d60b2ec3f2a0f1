"""Whether Argo CD may be asked: one row for each reason not to, and for each reason to ask a person first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.tools.executors.argocd.documents import (
    NEW,
    OLD,
    WEB,
    app,
    entry,
    failed,
    operation_state,
    resource,
    window,
    windows,
)
from tools.executors.argocd import decisions
from tools.executors.argocd.application import ResourceKey
from tools.executors.argocd.decisions import Code, Gate, Reversal
from tools.executors.argocd.history import Candidate, NoCandidate, last_healthy
from tools.jsontypes import JsonObject, JsonValue

NOW = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
OPEN = windows()
DENY, DENY_BY_HAND, ALLOW = window("deny"), window("deny", by_hand=True), window("allow")

GATES: dict[str, tuple[JsonValue, Gate]] = {
    "no windows at all": (windows(), Gate.OPEN),
    "an allowed window is open": (windows(active=[ALLOW], assigned=[ALLOW]), Gate.OPEN),
    "a denied window is assigned and not active": (windows(active=[], assigned=[DENY]), Gate.OPEN),
    "a denied window is active": (windows(can_sync=False, active=[DENY], assigned=[DENY]), Gate.CLOSED),
    "no allowed window is open": (windows(can_sync=False, assigned=[ALLOW]), Gate.CLOSED),
    "a denied window lets a person through": (
        windows(active=[DENY_BY_HAND], assigned=[DENY_BY_HAND]), Gate.BY_HAND
    ),
    "an allowed window is closed but for a person": (windows(assigned=[window("allow", by_hand=True)]), Gate.BY_HAND),
    "the verdict contradicts an active denial": (windows(active=[DENY], assigned=[DENY]), Gate.UNREADABLE),
    "no verdict": ({}, Gate.UNREADABLE),
    "a verdict that is no boolean": (windows(can_sync="true"), Gate.UNREADABLE),
    "windows that are no list": (windows(active="deny"), Gate.UNREADABLE),
    "no answer": (None, Gate.UNREADABLE),
}  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), GATES.values(), ids=GATES)
def test_sync_windows(said: JsonValue, expected: Gate) -> None:
    assert decisions.gate(said) is expected


DRIFTED = app(sync="OutOfSync")
SKIPPED: JsonObject = {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}
BROKEN_SOURCE: JsonObject = {"conditions": [{"type": "ComparisonError", "message": "no such revision"}]}
SYNCS: dict[str, tuple[JsonObject, JsonValue, Code | None]] = {
    "drift is synced": (DRIFTED, OPEN, None),
    "being deleted": (app(sync="OutOfSync", metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"}), OPEN,
                      Code.BEING_DELETED),
    "to be left alone": (app(sync="OutOfSync", metadata=SKIPPED), OPEN, Code.SKIPPED),
    "an operation is ordered": (app(sync="OutOfSync", ordered={"sync": {}}), OPEN, Code.OPERATION_UNDER_WAY),
    "an operation runs": (app(sync="OutOfSync", status={"operationState": operation_state("Running")}), OPEN,
                          Code.OPERATION_UNDER_WAY),
    "the window is closed": (DRIFTED, windows(can_sync=False, active=[DENY]), Code.WINDOW_CLOSED),
    "the window was not read": (DRIFTED, None, Code.WINDOW_UNREADABLE),
    "the source is broken": (app(sync="OutOfSync", status=BROKEN_SOURCE), OPEN, Code.CANNOT_COMPARE),
    "never compared": (app(sync="Unknown"), OPEN, Code.CANNOT_COMPARE),
    "as declared already": (app(health="Degraded"), OPEN, Code.NOTHING_TO_SYNC),
    "failed before, to the same revision": (
        app(sync="OutOfSync", status={"operationState": failed(NEW)}), OPEN, Code.FAILED_BEFORE
    ),
    "failed before, to another revision": (app(sync="OutOfSync", status={"operationState": failed(OLD)}), OPEN, None),
}  # fmt: skip


@pytest.mark.parametrize(("document", "said", "code"), SYNCS.values(), ids=SYNCS)
def test_sync(document: JsonObject, said: JsonValue, code: Code | None) -> None:
    found = decisions.sync_hindrance(document, said)
    assert (found.code if found else None) == code
    assert found is None or "argocd/shop" in found.sentence


APPROVALS: dict[str, tuple[JsonObject, JsonValue, str]] = {
    "plain": (DRIFTED, OPEN, ""),
    "hooks": (app(status={"resources": [resource("Job", group="batch", name="migrate", hook=True)]}), OPEN, "hooks"),
    "replacing": (app(spec={"syncPolicy": {"syncOptions": ["Replace=true"]}}), OPEN, "Replace=true"),
    "an app of apps": (app(status={"resources": [resource("Application", group="argoproj.io")]}), OPEN, "other app"),
    "a window for people": (DRIFTED, windows(active=[DENY_BY_HAND]), "keeps automation out"),
}


@pytest.mark.parametrize(("document", "said", "reason"), APPROVALS.values(), ids=APPROVALS)
def test_a_sync_that_a_person_must_agree_to(document: JsonObject, said: JsonValue, reason: str) -> None:
    reasons = decisions.sync_approvals(document, said)
    assert len(reasons) == (1 if reason else 0)
    assert reason in " ".join(reasons)


BROKEN = app(health="Degraded")
NO_HISTORY = app(health="Degraded", status={"history": [entry(3, NEW)]})
ROLLBACKS: dict[str, tuple[JsonObject, JsonValue, Code | None]] = {
    "a broken revision is rolled back": (BROKEN, OPEN, None),
    "auto-sync is on": (app(automated={}), OPEN, Code.AUTO_SYNC_ON),
    "auto-sync is switched off": (app(automated={"enabled": False}), OPEN, None),
    "the window is closed": (BROKEN, windows(can_sync=False), Code.WINDOW_CLOSED),
    "an operation runs": (app(ordered={"sync": {}}), OPEN, Code.OPERATION_UNDER_WAY),
    "nowhere to go": (NO_HISTORY, OPEN, Code.NO_CANDIDATE),
    "to be left alone": (app(metadata=SKIPPED), OPEN, Code.SKIPPED),
}


@pytest.mark.parametrize(("document", "said", "code"), ROLLBACKS.values(), ids=ROLLBACKS)
def test_rollback(document: JsonObject, said: JsonValue, code: Code | None) -> None:
    found = decisions.rollback_hindrance(document, said, last_healthy(document, ()))
    assert (found.code if found else None) == code


def test_a_rollback_to_what_nobody_saw_healthy_is_for_a_person_to_agree_to() -> None:
    unproven = last_healthy(BROKEN, ())
    assert isinstance(unproven, Candidate)
    assert "nobody saw it healthy" in " ".join(decisions.rollback_approvals(BROKEN, OPEN, unproven))
    proven = last_healthy(BROKEN, {unproven.entry.key})
    assert isinstance(proven, Candidate)
    assert decisions.rollback_approvals(BROKEN, OPEN, proven) == ()
    assert not isinstance(proven, NoCandidate)


def running(message: str = "waiting for completion of hook batch/Job/migrate", **more: JsonValue) -> JsonObject:
    return app(ordered={"sync": {}}, status={"operationState": operation_state("Running", message=message) | more})


TERMINATIONS: dict[str, tuple[JsonObject, timedelta, Code | None]] = {
    "hanging": (running(), timedelta(minutes=10), None),
    "exactly at the limit": (running(), timedelta(minutes=20), None),
    "running, not for long": (running(), timedelta(minutes=21), Code.NOT_HANGING),
    "running since nobody knows when": (running(startedAt=None), timedelta(minutes=10), Code.NOT_HANGING),
    "ordered and not begun": (app(ordered={"sync": {}}), timedelta(minutes=10), Code.NO_OPERATION),
    "done": (app(), timedelta(minutes=10), Code.NO_OPERATION),
    "in a phase we do not know": (
        app(status={"operationState": operation_state("Paused")}), timedelta(minutes=10), Code.NO_OPERATION
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "limit", "code"), TERMINATIONS.values(), ids=TERMINATIONS)
def test_terminate(document: JsonObject, limit: timedelta, code: Code | None) -> None:
    found = decisions.terminate_hindrance(document, NOW, limit)
    assert (found.code if found else None) == code


def test_a_hanging_operation_says_what_it_waits_for() -> None:
    assert "waiting for completion of hook" in (decisions.hanging(running(), NOW) or "")
    blocked = running("Sync operation blocked by sync window")
    assert "sync window for 20 minutes" in (decisions.hanging(blocked, NOW) or "")


def test_what_an_application_says_of_itself() -> None:
    assert not decisions.is_failing(app())
    assert not decisions.is_failing(app(sync="OutOfSync"))
    for broken in (
        app(health="Degraded"),
        app(health="Missing"),
        app(status={"operationState": failed()}),
        app(status=BROKEN_SOURCE),
    ):
        assert decisions.is_failing(broken)


# --- what becomes of a patch ------------------------------------------------------------------------------------------

HEALS: JsonValue = {"selfHeal": True, "prune": True}
REPLICAS = ["/spec/replicas"]


def ignoring(*options: JsonValue, **rule: JsonValue) -> JsonObject:
    rules: JsonValue = [{"group": "apps", "kind": "Deployment", "jsonPointers": REPLICAS, **rule}]
    return app(automated=HEALS, spec={
        "ignoreDifferences": rules,
        "syncPolicy": {"automated": HEALS, "syncOptions": list(options)},
    })  # fmt: skip


LEFT_OVER: JsonObject = {"resources": [resource(requiresPruning=True)]}
PATCHES: dict[str, tuple[JsonObject, ResourceKey, list[str], Reversal]] = {
    "self-heal is on": (app(automated=HEALS), WEB, REPLICAS, Reversal.AT_ONCE),
    "self-heal is on, any field": (app(automated=HEALS), WEB, [], Reversal.AT_ONCE),
    "new commits only": (app(automated={}), WEB, REPLICAS, Reversal.NEXT_SYNC),
    "by hand": (app(), WEB, REPLICAS, Reversal.NEXT_SYNC),
    "self-heal, but auto-sync is switched off": (
        app(automated={"enabled": False, "selfHeal": True}), WEB, REPLICAS, Reversal.NEXT_SYNC
    ),
    "self-heal, but to be left alone": (app(automated=HEALS, metadata=SKIPPED), WEB, REPLICAS, Reversal.NEXT_SYNC),
    "a resource it does not keep": (app(automated=HEALS), WEB._replace(name="other"), REPLICAS, Reversal.NEVER),
    "a hook": (app(automated=HEALS, status={"resources": [resource(hook=True)]}), WEB, REPLICAS, Reversal.NEVER),
    "left over, and it prunes": (app(automated=HEALS, status=LEFT_OVER), WEB, REPLICAS, Reversal.AT_ONCE),
    "left over, and it does not prune": (
        app(automated={"selfHeal": True}, status=LEFT_OVER), WEB, REPLICAS, Reversal.NEVER
    ),
    "a field it ignores": (ignoring(), WEB, REPLICAS, Reversal.NEXT_SYNC),
    "a field it ignores when syncing too": (
        ignoring("RespectIgnoreDifferences=true"), WEB, REPLICAS, Reversal.NEVER
    ),
    "a field below one it ignores": (
        ignoring(jsonPointers=["/spec/template"]), WEB, ["/spec/template/spec/containers/0/image"], Reversal.NEXT_SYNC
    ),
    "a field that only begins like it": (ignoring(), WEB, ["/spec/replicasets"], Reversal.AT_ONCE),
    "one field it ignores and one it does not": (ignoring(), WEB, ["/spec/replicas", "/spec/paused"], Reversal.AT_ONCE),
    "ignored for another name": (ignoring(name="api"), WEB, REPLICAS, Reversal.AT_ONCE),
    "ignored for this name": (ignoring(name="web", namespace="shop"), WEB, REPLICAS, Reversal.NEXT_SYNC),
    "ignored for every kind": (ignoring(group="*", kind="*"), WEB, REPLICAS, Reversal.NEXT_SYNC),
    "ignored by a rule we cannot read": (
        ignoring(jsonPointers=None, jqPathExpressions=[".spec.replicas"]), WEB, REPLICAS, Reversal.AT_ONCE
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "key", "fields", "expected"), PATCHES.values(), ids=PATCHES)
def test_what_becomes_of_a_patch(document: JsonObject, key: ResourceKey, fields: list[str], expected: Reversal) -> None:
    assert decisions.reversal(document, key, fields) is expected
