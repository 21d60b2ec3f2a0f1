"""The service against a real Argo CD: each fault is put right through Argo CD, or refused with its reason, and the API
server's audit log shows no write of the service to anything that Argo CD keeps."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.argocd import accounts, manifests
from tests.cluster.client import WAITING
from tests.cluster.executors.desk import CRASHES, SLEEPS, ArgoDesk, env_patch, hook, mode_of, web
from tests.cluster.executors.test_argocd import LONG_S, healthy, is_good
from tests.cluster.executors.watch import done, said, watching
from tests.cluster.harness.layout import Layout
from tools.executors.argocd import application as argo
from tools.executors.argocd.application import Health, Phase, Sync
from tools.executors.argocd.client import SyncRequest, open_client
from tools.jsontypes import JsonObject, dig_str

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
PROVES_S = 35
"""For so long an Application must have been seen healthy to be gone back to without a person."""
QUIET_S = 45


async def deploy(desk: ArgoDesk, revision: list[JsonObject]) -> None:
    """As people do it where nothing is synced by itself: push, refresh, sync."""
    desk.repository.commit(revision, "next")
    async with open_client(desk.argocd.config()) as client:
        await client.refresh(desk.ref)
        await client.sync(desk.ref, SyncRequest())


@pytest.mark.parametrize("automated", [None, {}], ids=["synced by hand", "synced by itself"])
async def test_a_deployment_patched_by_hand_is_synced_back(
    layout: Layout, argo_desk: ArgoDesk, automated: JsonObject | None
) -> None:
    await healthy(argo_desk, automated)
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", env_patch("by hand"))
        incident = await watch.until("the sync", lambda i: "argocd_sync" in done(i) and i.state == "healed", LONG_S)
        assert dig_str(incident.document, "actions", 0, "target", "kind") == "Application"
        app = await argo_desk.app_until(is_good, 10)
        assert argo.operation(app).initiated_by == "selfheal"
        assert mode_of(await argo_desk.read("Deployment", "web")) == "prod"
        assert watch.writes() == []


async def test_a_hand_patch_that_crashes_is_synced_back_too(layout: Layout, argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk)
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        container: JsonObject = {"name": "app", "command": [*CRASHES]}
        patch: JsonObject = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", patch)
        await watch.until("the sync", lambda i: "argocd_sync" in done(i) and i.state == "healed", LONG_S)
        await argo_desk.app_until(is_good, 10)
        assert watch.writes() == []


async def test_a_new_revision_that_crashes_is_rolled_back_where_nothing_syncs_by_itself(
    layout: Layout, argo_desk: ArgoDesk
) -> None:
    await healthy(argo_desk)
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await asyncio.sleep(PROVES_S)
        await deploy(argo_desk, [web(CRASHES)])
        await watch.until("the rollback", lambda i: "argocd_rollback" in done(i) and i.state == "healed", 120)
        app = await argo_desk.app_until(lambda app: argo.health(app) is Health.HEALTHY, 10)
        assert argo.sync(app) is Sync.OUT_OF_SYNC, "the repository has to be put right as well"
        assert watch.writes() == []


@pytest.mark.parametrize("pushes", [False, True], ids=["as a patch", "as a branch too"])
async def test_a_new_revision_that_crashes_is_for_the_repository_where_it_syncs_by_itself_and_the_revert_is_prepared(
    layout: Layout, argo_desk: ArgoDesk, *, pushes: bool
) -> None:
    await healthy(argo_desk, automated={})
    settings = {"SELFHEAL_REVERT_BRANCHES": "true"} if pushes else {}
    async with watching(layout, argo_desk, argocd=argo_desk.argocd, settings=settings) as watch:
        bad = argo_desk.repository.commit([web(CRASHES)], "crashes")
        async with open_client(argo_desk.argocd.config()) as client:
            await client.refresh(argo_desk.ref)
        incident = await watch.until("the refusal", lambda i: i.state == "escalated", 120)
        assert done(incident) == []
        assert bad in said(incident)
        assert argo_desk.repository.url in said(incident)
        assert watch.writes() == []
        [patch] = watch.patches()
        branches = argo_desk.repository.branches()
        assert len(branches) == int(pushes)
        _ = argo_desk.repository.merge(branches[0]) if pushes else argo_desk.repository.apply(patch)
        await argo_desk.app_until(is_good, LONG_S)
        assert watch.writes() == []


async def test_an_operation_that_hangs_is_stopped(layout: Layout, argo_desk: ArgoDesk) -> None:
    argo_desk.repository.commit([hook(SLEEPS), web()], "hangs")
    await argo_desk.declare()
    await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
    async with open_client(argo_desk.argocd.config()) as client:
        await client.sync(argo_desk.ref, SyncRequest())
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await watch.until("the stop", lambda i: "argocd_terminate_operation" in done(i), LONG_S)
        app = await argo_desk.app_until(lambda app: argo.operation(app).phase is Phase.FAILED, 20)
        assert argo.operation(app).message == "Operation terminated"
        assert watch.writes() == []


async def test_in_a_closed_window_a_drift_is_refused_with_the_window_as_the_reason(
    layout: Layout, argo_desk: ArgoDesk
) -> None:
    await argo_desk.windows([])
    await healthy(argo_desk)
    await argo_desk.windows([manifests.window("deny")])
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", env_patch("by hand"))
        incident = await watch.until("the refusal", lambda i: "ARGOCD_WINDOW_CLOSED" in said(i), LONG_S)
        assert done(incident) == []
        app = await argo_desk.app_always(lambda app: not argo.operation(app).is_under_way, 5)
        assert argo.sync(app) is Sync.OUT_OF_SYNC
        assert watch.writes() == []


async def test_with_self_heal_on_what_argo_cd_puts_back_is_left_to_it(layout: Layout, argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk, automated={"selfHeal": True})
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", env_patch("by hand"))
        await argo_desk.until("Deployment", "web", lambda found: mode_of(found) == "prod", 30)
        app = await argo_desk.app_until(is_good, LONG_S)
        assert argo.operation(app).is_automated
        await asyncio.sleep(QUIET_S)
        assert [done(i) for i in await watch.incidents() if done(i)] == []
        assert watch.writes() == []


async def test_a_sync_that_would_run_hooks_again_waits_for_a_person(layout: Layout, argo_desk: ArgoDesk) -> None:
    argo_desk.repository.commit([hook(["true"]), web()], "first")
    await argo_desk.declare(automated={})
    await argo_desk.app_until(is_good, LONG_S)
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", env_patch("by hand"))
        asked = await watch.until("the question", lambda i: i.state == WAITING, LONG_S)
        assert done(asked) == []
        assert "A sync runs the hooks of the application again." in said(asked)
        await watch.approve(asked)
        await watch.until("the sync", lambda i: "argocd_sync" in done(i) and i.state == "healed", LONG_S)
        assert mode_of(await argo_desk.read("Deployment", "web")) == "prod"
        assert watch.writes() == []


async def test_an_operation_that_waits_for_its_window_is_left_waiting(layout: Layout, argo_desk: ArgoDesk) -> None:
    """Argo CD would not end it either: stopped, it stays Terminating until the window opens."""
    argo_desk.repository.commit([web()], "first")
    await argo_desk.windows([manifests.window("deny")])
    await argo_desk.declare()
    await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
    order: JsonObject = {"operation": {"initiatedBy": {"username": "somebody"}, "sync": {}}}
    await argo_desk.human.patch("Application", manifests.NAMESPACE, argo_desk.namespace, "merge", order)
    await argo_desk.app_until(lambda app: "blocked by sync window" in argo.operation(app).message, 20)
    async with watching(layout, argo_desk, argocd=argo_desk.argocd) as watch:
        await argo_desk.app_always(lambda app: argo.operation(app).phase is Phase.RUNNING, QUIET_S)
        assert [done(i) for i in await watch.incidents() if done(i)] == []
        assert watch.writes() == []
        await argo_desk.windows([])
        await argo_desk.app_until(is_good, LONG_S)


@pytest.mark.parametrize("account", [None, accounts.POWERLESS], ids=["no connection", "an account without rights"])
async def test_what_argo_cd_keeps_is_not_written_either_where_argo_cd_cannot_be_asked(
    layout: Layout, argo_desk: ArgoDesk, account: str | None
) -> None:
    await healthy(argo_desk)
    argocd = argo_desk.argocd
    settings = {} if account is None else {"SELFHEAL_ARGOCD_TOKEN_FILE": str(argocd.token_file(account))}
    async with watching(layout, argo_desk, argocd=argocd if account else None, settings=settings) as watch:
        container: JsonObject = {"name": "app", "command": [*CRASHES]}
        patch: JsonObject = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", patch)
        incident = await watch.until("the escalation", lambda i: i.state == "escalated", LONG_S)
        assert done(incident) == []
        await asyncio.sleep(10)
        assert watch.writes() == []
        assert not is_good(await argo_desk.app())
