"""What a real Argo CD does with the faults that people make, and that our client speaks its language.

No action of ours is used here: these tests are what detectors, hindrances and verification lean on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cluster.argocd import accounts, manifests
from tests.cluster.executors.desk import CRASHES, SLEEPS, ArgoDesk, env_patch, hook, mode_of, web
from tools.errors import Conflict, Denied, Invalid, NotFound
from tools.executors.argocd import application as argo
from tools.executors.argocd.application import Health, Phase, Sync
from tools.executors.argocd.client import AppRef, SyncRequest, open_client
from tools.executors.argocd.decisions import Code, Gate, gate, hanging, rollback_hindrance, sync_hindrance
from tools.executors.argocd.history import Candidate, healthy_key, history, last_healthy
from tools.jsontypes import JsonObject, dig_str

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
LONG_S = 90
BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n"
"""Looks like a manifest and is no YAML; a file that does not even look like one is passed over in silence."""


def is_good(app: JsonObject) -> bool:
    return argo.sync(app) is Sync.SYNCED and argo.health(app) is Health.HEALTHY and not argo.operation(app).is_under_way


async def healthy(desk: ArgoDesk, automated: JsonObject | None = None) -> JsonObject:
    """An application whose first revision was synced and is healthy."""
    desk.repository.commit([web()], "first")
    await desk.declare(automated=automated)
    if automated is None:
        await desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
        async with open_client(desk.argocd.config()) as client:
            await client.sync(desk.ref, SyncRequest())
    return await desk.app_until(is_good, LONG_S)


# ------------------------------------------------------------------------------------------------ what it says and does
async def test_an_application_with_auto_sync_becomes_synced_and_healthy_and_its_objects_carry_the_tracking_id(
    argo_desk: ArgoDesk,
) -> None:
    app = await healthy(argo_desk, automated={})
    web_now = await argo_desk.read("Deployment", "web")
    tracking = dig_str(web_now, "metadata", "annotations", argo.TRACKING_ID)
    assert argo.tracked_by(tracking, argo.ResourceKey.of(web_now)) == argo_desk.namespace
    assert argo.operation(app).phase is Phase.SUCCEEDED
    assert argo.operation(app).is_automated
    assert healthy_key(app) is not None


async def test_a_deployment_patched_by_hand_is_out_of_sync_and_stays_so_without_self_heal(argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk, automated={})
    await argo_desk.patch("Deployment", "web", {"spec": {"replicas": 2}})
    app = await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, 30)
    key = argo.ResourceKey("apps", "Deployment", argo_desk.namespace, "web")
    found = argo.tracked(app, key)
    assert found is not None
    assert found.sync is Sync.OUT_OF_SYNC
    await argo_desk.app_always(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, 25)


async def test_with_self_heal_what_is_patched_by_hand_is_put_back_by_itself(argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk, automated={"selfHeal": True})
    await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", env_patch("broken"))
    await argo_desk.until("Deployment", "web", lambda found: mode_of(found) == "prod", 30)
    await argo_desk.app_until(is_good, LONG_S)


async def test_a_revision_that_crashes_is_degraded_although_its_sync_succeeded(argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk, automated={})
    revision = argo_desk.repository.commit([web(CRASHES)], "crashes")
    async with open_client(argo_desk.argocd.config()) as client:
        await client.refresh(argo_desk.ref)
    app = await argo_desk.app_until(lambda app: argo.health(app) is Health.DEGRADED, LONG_S)
    assert argo.sync(app) is Sync.SYNCED
    assert argo.declared_revisions(app) == (revision,)
    assert argo.operation(app).phase is Phase.SUCCEEDED
    hindrance = rollback_hindrance(app, {"canSync": True}, last_healthy(app, ()))
    assert hindrance is not None
    assert hindrance.code is Code.AUTO_SYNC_ON


async def test_an_operation_whose_hook_never_ends_runs_until_it_is_stopped(argo_desk: ArgoDesk) -> None:
    argo_desk.repository.commit([hook(SLEEPS), web()], "hangs")
    await argo_desk.declare()
    await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
    async with open_client(argo_desk.argocd.config()) as client:
        await client.sync(argo_desk.ref, SyncRequest(info={"selfheal": "i1"}))
        app = await argo_desk.app_until(lambda app: "migrate" in argo.operation(app).message, 30)
        found = argo.operation(app)
        assert found.phase is Phase.RUNNING
        assert found.info == {"selfheal": "i1"}
        assert found.initiated_by == accounts.HEALER
        assert hanging(app, datetime.now(UTC), timedelta()) is not None
        with pytest.raises(Conflict):
            await client.sync(argo_desk.ref, SyncRequest())
        await client.terminate(argo_desk.ref)
        app = await argo_desk.app_until(lambda app: argo.operation(app).phase is Phase.FAILED, 60)
        assert argo.operation(app).message == "Operation terminated"
        with pytest.raises(Invalid):
            await client.terminate(argo_desk.ref)


async def test_in_a_closed_window_nothing_is_synced_by_itself_and_the_client_sees_why(argo_desk: ArgoDesk) -> None:
    argo_desk.repository.commit([web()], "first")
    await argo_desk.windows([manifests.window("deny")])
    await argo_desk.declare(automated={})
    app = await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
    async with open_client(argo_desk.argocd.config()) as client:
        windows = await client.sync_windows(argo_desk.ref)
        assert gate(windows) is Gate.CLOSED
        hindrance = sync_hindrance(app, windows)
        assert hindrance is not None
        assert hindrance.code is Code.WINDOW_CLOSED
        with pytest.raises(Denied, match="blocked by sync window"):
            await client.sync(argo_desk.ref, SyncRequest())
    await argo_desk.app_always(lambda app: argo.operation(app).phase is Phase.NONE, 10)


async def test_a_window_for_people_lets_a_sync_by_hand_through(argo_desk: ArgoDesk) -> None:
    argo_desk.repository.commit([web()], "first")
    await argo_desk.windows([manifests.window("deny", by_hand=True)])
    await argo_desk.declare(automated={})
    await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
    async with open_client(argo_desk.argocd.config()) as client:
        assert gate(await client.sync_windows(argo_desk.ref)) is Gate.BY_HAND
        await client.sync(argo_desk.ref, SyncRequest())
    await argo_desk.app_until(is_good, LONG_S)


async def test_a_source_that_cannot_be_read_is_a_comparison_error(argo_desk: ArgoDesk) -> None:
    argo_desk.repository.commit_files({"all.yaml": BROKEN}, "broken")
    await argo_desk.declare()
    app = await argo_desk.app_until(lambda app: bool(argo.errors(app)), LONG_S)
    assert argo.sync(app) is Sync.UNKNOWN
    assert argo.errors(app)[0].startswith("ComparisonError: ")
    hindrance = sync_hindrance(app, {"canSync": True})
    assert hindrance is not None
    assert hindrance.code is Code.CANNOT_COMPARE


async def test_a_manifest_that_the_api_server_refuses_fails_the_operation(argo_desk: ArgoDesk) -> None:
    broken = web()
    spec = broken["spec"]
    assert isinstance(spec, dict)
    spec["selector"] = {"matchLabels": {"app": "other"}}
    argo_desk.repository.commit([broken], "selector and labels differ")
    await argo_desk.declare()
    await argo_desk.app_until(lambda app: argo.sync(app) is Sync.OUT_OF_SYNC, LONG_S)
    async with open_client(argo_desk.argocd.config()) as client:
        await client.sync(argo_desk.ref, SyncRequest())
    app = await argo_desk.app_until(lambda app: argo.operation(app).phase is Phase.FAILED, 60)
    assert len(argo.failures(app)) == 1
    hindrance = sync_hindrance(app, {"canSync": True})
    assert hindrance is not None
    assert hindrance.code is Code.FAILED_BEFORE


# ----------------------------------------------------------------------------------------------------------- our client
async def test_a_drift_is_synced_away(argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk)
    await argo_desk.human.patch("Deployment", argo_desk.namespace, "web", "strategic", env_patch("broken"))
    async with open_client(argo_desk.argocd.config()) as client:
        app = await client.refresh(argo_desk.ref)
        assert argo.sync(app) is Sync.OUT_OF_SYNC, "a refresh waits for the comparison"
        ordered = await client.sync(argo_desk.ref, SyncRequest())
        assert argo.operation(ordered).phase is Phase.REQUESTED
    await argo_desk.app_until(is_good, LONG_S)
    assert mode_of(await argo_desk.read("Deployment", "web")) == "prod"


async def test_a_rollback_goes_to_an_earlier_entry_of_the_history(argo_desk: ArgoDesk) -> None:
    first = await healthy(argo_desk)
    proven = healthy_key(first)
    assert proven is not None
    argo_desk.repository.commit([web(CRASHES)], "crashes")
    async with open_client(argo_desk.argocd.config()) as client:
        await client.refresh(argo_desk.ref)
        await client.sync(argo_desk.ref, SyncRequest())
        app = await argo_desk.app_until(lambda app: argo.health(app) is Health.DEGRADED, LONG_S)
        to = last_healthy(app, {proven})
        assert isinstance(to, Candidate)
        assert to.is_proven
        assert rollback_hindrance(app, await client.sync_windows(argo_desk.ref), to) is None
        await client.rollback(argo_desk.ref, to.entry.id)
    app = await argo_desk.app_until(lambda app: argo.health(app) is Health.HEALTHY, LONG_S)
    assert argo.sync(app) is Sync.OUT_OF_SYNC, "the repository still declares what crashes"
    assert history(app)[0].revisions == history(first)[0].revisions


async def test_a_rollback_is_refused_while_auto_sync_is_on(argo_desk: ArgoDesk) -> None:
    app = await healthy(argo_desk, automated={})
    async with open_client(argo_desk.argocd.config()) as client:
        with pytest.raises(Conflict, match="auto-sync"):
            await client.rollback(argo_desk.ref, history(app)[0].id)


async def test_the_healers_account_may_read_and_sync_and_the_other_may_nothing(argo_desk: ArgoDesk) -> None:
    await healthy(argo_desk)
    async with open_client(argo_desk.argocd.config()) as client:
        assert (await client.version()).startswith("v3.2.11")
        assert await client.can("get", argo_desk.ref)
        assert await client.can("sync", argo_desk.ref)
        assert dig_str(await client.project("default"), "metadata", "name") == "default"
        assert dig_str(await client.application(argo_desk.ref), "metadata", "name") == argo_desk.namespace
    async with open_client(argo_desk.argocd.config(accounts.POWERLESS)) as client:
        assert not await client.can("sync", argo_desk.ref)
        for call in (client.application(argo_desk.ref), client.sync(argo_desk.ref, SyncRequest())):
            with pytest.raises(Denied, match="403"):
                await call


async def test_a_token_that_is_none_is_401(argo_desk: ArgoDesk, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("not-a-token-of-anybody")
    async with open_client(replace(argo_desk.argocd.config(), token_file=wrong)) as client:
        with pytest.raises(Denied, match="401"):
            await client.application(argo_desk.ref)


async def test_an_application_that_is_not_there_is_404_for_who_may_read_its_project_and_403_for_others(
    argo_desk: ArgoDesk,
) -> None:
    nobody = AppRef("nobody", manifests.NAMESPACE, "default")
    async with open_client(argo_desk.argocd.config()) as client:
        with pytest.raises(NotFound, match="404"):
            await client.application(nobody)
        await healthy(argo_desk)
        with pytest.raises(NotFound, match="404"):
            await client.application(replace(argo_desk.ref, project="other"))
    async with open_client(argo_desk.argocd.config(accounts.POWERLESS)) as client:
        with pytest.raises(Denied, match="403"):
            await client.application(nobody)
