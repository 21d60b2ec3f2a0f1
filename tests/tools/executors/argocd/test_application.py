"""Reading an Application: every word it may say, and every way in which it may say nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.tools.executors.argocd.documents import (
    NEW,
    OLD,
    OLDER,
    WEB,
    app,
    entry,
    failed,
    operation_state,
    resource,
    succeeded,
)
from tools.executors.argocd import application as argo
from tools.executors.argocd.application import AutoSync, Health, Phase, ResourceKey, Sync
from tools.executors.argocd.history import Candidate, NoCandidate, healthy_key, history, last_healthy
from tools.jsontypes import JsonObject, JsonValue

NOW = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
UNREADABLE: list[JsonValue] = [None, "", 3, [], {}, {"status": None}, {"status": 7}, {"status": "Excellent"}, "Healthy"]


@pytest.mark.parametrize("word", list(Health))
def test_health_by_its_words(word: Health) -> None:
    assert argo.health(app(health=word.value)) is word


@pytest.mark.parametrize("said", UNREADABLE)
def test_health_and_sync_that_are_not_said_are_unknown(said: JsonValue) -> None:
    document = app(status={"health": said, "sync": said})
    assert (argo.health(document), argo.sync(document)) == (Health.UNKNOWN, Sync.UNKNOWN)


OPERATIONS: dict[str, tuple[JsonObject, Phase, bool]] = {
    "none ever": (app(status={"operationState": None}), Phase.NONE, False),
    "done": (app(), Phase.SUCCEEDED, False),
    "running": (
        app(ordered={"sync": {}}, status={"operationState": operation_state("Running")}), Phase.RUNNING, True
    ),
    "being stopped": (
        app(ordered={"sync": {}}, status={"operationState": operation_state("Terminating")}), Phase.TERMINATING, True
    ),
    "ordered, nothing before it": (app(ordered={"sync": {}}, status={"operationState": None}), Phase.REQUESTED, True),
    "ordered after another was done": (app(ordered={"sync": {}}), Phase.REQUESTED, True),
    "failed": (app(status={"operationState": failed()}), Phase.FAILED, False),
    "in error": (app(status={"operationState": operation_state("Error")}), Phase.ERROR, False),
    "in a phase we do not know": (app(status={"operationState": operation_state("Paused")}), Phase.UNKNOWN, True),
    "in no phase": (app(status={"operationState": {"message": "x"}}), Phase.UNKNOWN, True),
}  # fmt: skip


@pytest.mark.parametrize(("document", "phase", "is_under_way"), OPERATIONS.values(), ids=OPERATIONS)
def test_operation(document: JsonObject, phase: Phase, is_under_way: bool) -> None:
    found = argo.operation(document)
    assert (found.phase, found.is_under_way) == (phase, is_under_way)


def test_only_what_runs_has_an_age_and_only_when_its_beginning_is_known() -> None:
    running = app(status={"operationState": operation_state("Running")})
    assert argo.operation(running).age(NOW) == timedelta(minutes=20)
    assert argo.operation(app()).age(NOW) is None
    for start in (None, "", "yesterday", "2026-03-01T12:00:00"):
        state = operation_state("Running") | {"startedAt": start}
        assert argo.operation(app(status={"operationState": state})).age(NOW) is None


def test_an_operation_of_ours_is_known_by_what_was_attached_to_it() -> None:
    mark: JsonValue = [{"name": "selfheal.dev/action-id", "value": "act-1"}]
    ordered = app(ordered={"sync": {"revision": NEW}, "info": mark})
    state = operation_state("Running") | {"operation": {"info": mark, "initiatedBy": {"automated": True}}}
    for document in (ordered, app(status={"operationState": state})):
        found = argo.operation(document)
        assert found.info == {"selfheal.dev/action-id": "act-1"}
        assert found.revisions == (NEW,)
    assert argo.operation(app(status={"operationState": state})).is_automated


AUTO: dict[str, tuple[JsonValue, AutoSync]] = {
    "not at all": (None, AutoSync(is_on=False, heals=False, prunes=False)),
    "new commits only": ({}, AutoSync(is_on=True, heals=False, prunes=False)),
    "with self-heal": ({"selfHeal": True}, AutoSync(is_on=True, heals=True, prunes=False)),
    "with pruning": ({"prune": True, "selfHeal": False}, AutoSync(is_on=True, heals=False, prunes=True)),
    "switched off": ({"enabled": False, "selfHeal": True}, AutoSync(is_on=False, heals=False, prunes=False)),
    "switched on": ({"enabled": True, "selfHeal": True}, AutoSync(is_on=True, heals=True, prunes=False)),
    "unreadable": ("yes", AutoSync(is_on=True, heals=True, prunes=True)),
    "self-heal unreadable": ({"selfHeal": "no"}, AutoSync(is_on=True, heals=True, prunes=False)),
}  # fmt: skip


@pytest.mark.parametrize(("policy", "expected"), AUTO.values(), ids=AUTO)
def test_auto_sync(policy: JsonValue, expected: AutoSync) -> None:
    assert argo.auto_sync(app(automated=policy)) == expected


def test_failures_name_resources_and_hooks() -> None:
    results: list[JsonValue] = [
        {"kind": "Deployment", "namespace": "shop", "name": "web", "status": "SyncFailed", "message": "invalid image"},
        {"kind": "Job", "namespace": "shop", "name": "migrate", "hookType": "PreSync", "hookPhase": "Failed",
         "message": "Job has reached the specified backoff limit"},
        {"kind": "Service", "namespace": "shop", "name": "web", "status": "Synced", "hookPhase": "Running"},
    ]  # fmt: skip
    document = app(status={"operationState": failed(results=results)})
    assert argo.failures(document) == (
        "Deployment shop/web: invalid image",
        "PreSync hook Job shop/migrate: Job has reached the specified backoff limit",
    )
    assert argo.has_hook_results(document)


def test_errors_are_conditions_that_say_so_and_no_warnings() -> None:
    said: JsonValue = [
        {"type": "ComparisonError", "message": "repository not accessible"},
        {"type": "OrphanedResourceWarning", "message": "2 orphans"},
    ]
    assert argo.errors(app(status={"conditions": said})) == ("ComparisonError: repository not accessible",)


def test_an_app_of_apps_knows_its_children_and_a_child_its_parent() -> None:
    child = resource("Application", group="argoproj.io", name="cart")
    assert argo.children(app(status={"resources": [child, resource()]})) == ("cart",)
    assert argo.children(app()) == ()
    tracked: JsonObject = {"annotations": {argo.TRACKING_ID: "root:argoproj.io/Application:argocd/shop"}}
    assert argo.parent(app(metadata=tracked)) == "root"
    assert argo.parent(app(metadata={"labels": {"app.kubernetes.io/instance": "root"}})) == "root"
    assert argo.parent(app(metadata={"labels": {"app.kubernetes.io/instance": "shop"}})) is None
    assert argo.parent(app()) is None


CLUSTER_ROLE = ResourceKey("rbac.authorization.k8s.io", "ClusterRole", "", "reader")
TRACKING = {
    "its own": ("shop:apps/Deployment:shop/web", WEB, "shop"),
    "of another namespace's application": ("team_shop:apps/Deployment:shop/web", WEB, "team_shop"),
    "of the core group": ("shop:/Service:shop/web", ResourceKey("", "Service", "shop", "web"), "shop"),
    "of a cluster-scoped object": ("shop:rbac.authorization.k8s.io/ClusterRole:argocd/reader", CLUSTER_ROLE, "shop"),
    "copied to another kind": ("shop:apps/Deployment:shop/web", WEB._replace(kind="ReplicaSet"), None),
    "copied to another name": ("shop:apps/Deployment:shop/web", WEB._replace(name="web-1"), None),
    "copied to another namespace": ("shop:apps/Deployment:shop/web", WEB._replace(namespace="cart"), None),
    "copied to another group": ("shop:extensions/Deployment:shop/web", WEB, None),
    "without an application": (":apps/Deployment:shop/web", WEB, None),
    "empty": ("", WEB, None),
    "no id at all": ("shop", WEB, None),
}


@pytest.mark.parametrize(("tracking_id", "key", "name"), TRACKING.values(), ids=TRACKING)
def test_a_tracking_id_counts_on_the_object_it_is_about(tracking_id: str, key: ResourceKey, name: str | None) -> None:
    assert argo.tracked_by(tracking_id, key) == name


# --- history --------------------------------------------------------------------------------------------------------


def test_history_is_newest_first_and_leaves_out_what_has_no_id() -> None:
    document = app(status={"history": [entry(2, OLD), entry(3, NEW), {"revision": OLDER}, "x", entry(1, OLDER)]})
    assert [(found.id, found.revisions) for found in history(document)] == [(3, (NEW,)), (2, (OLD,)), (1, (OLDER,))]


def test_the_same_revision_with_other_parameters_is_another_deployment() -> None:
    source: JsonValue = {"repoURL": "r", "path": "shop", "helm": {"parameters": [{"name": "image", "value": "2"}]}}
    one, two = history(app(status={"history": [entry(1, NEW), entry(2, NEW, source=source)]}))
    assert one.key != two.key


def test_several_sources_have_several_revisions() -> None:
    several: JsonObject = {"id": 4, "revisions": [NEW, OLD], "sources": [{"repoURL": "a"}, {"repoURL": "b"}]}
    (found,) = history(app(status={"history": [several]}))
    assert (found.revisions, found.can_be_restored) == ((NEW, OLD), True)


GOOD: dict[str, tuple[JsonObject, bool]] = {
    "healthy, synced, done": (app(), True),
    "degraded": (app(health="Degraded"), False),
    "progressing": (app(health="Progressing"), False),
    "of unknown health": (app(health="?"), False),
    "out of sync": (app(sync="OutOfSync"), False),
    "with an operation under way": (app(ordered={"sync": {}}), False),
    "compared with a revision that was never synced": (app(revision=OLD), False),
    "without a history": (app(status={"history": []}), False),
}


@pytest.mark.parametrize(("document", "is_good"), GOOD.values(), ids=GOOD)
def test_what_may_be_remembered_as_good(document: JsonObject, is_good: bool) -> None:
    expected = history(app())[0].key if is_good else None
    assert healthy_key(document) == expected


KEYS = {found.revisions[0]: found.key for found in history(app())}
BROKEN = app(health="Degraded")
CANDIDATES: dict[str, tuple[JsonObject, list[str], int, bool]] = {
    "the one before, seen healthy": (BROKEN, [OLD], 2, True),
    "an older one, when only that was seen healthy": (BROKEN, [OLDER], 1, True),
    "the newest of several that were": (BROKEN, [OLDER, OLD, NEW], 2, True),
    "the one before, though nobody saw it healthy": (BROKEN, [], 2, False),
    "the newest entry, when the sync to a newer revision failed": (
        app(health="Degraded", revision="d4" * 20, status={"operationState": failed("d4" * 20)}), [NEW], 3, True
    ),
    "not the newest, when the failed sync was to that": (
        app(health="Degraded", status={"operationState": failed(NEW)}), [NEW], 2, False
    ),
    "past an entry that is the same again": (
        app(status={"history": [entry(1, OLD), entry(2, NEW), entry(3, NEW)], "operationState": succeeded()}), [], 1,
        False,
    ),
    "past an entry without its sources": (
        app(status={"history": [entry(1, OLDER), entry(2, OLD, source=None), entry(3, NEW)]}), [], 1, False
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "seen", "number", "is_proven"), CANDIDATES.values(), ids=CANDIDATES)
def test_where_a_rollback_goes(document: JsonObject, seen: list[str], number: int, is_proven: bool) -> None:
    found = last_healthy(document, {KEYS[revision] for revision in seen})
    assert isinstance(found, Candidate)
    assert (found.entry.id, found.is_proven) == (number, is_proven)


@pytest.mark.parametrize("entries", [[], [entry(3, NEW)], [entry(2, NEW), entry(3, NEW)], None, "x"])
def test_there_may_be_nowhere_to_go(entries: JsonValue) -> None:
    assert isinstance(last_healthy(app(status={"history": entries}), ()), NoCandidate)
