"""Why does it not act?  One object, asked about over HTTP and on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from graph.plan import Status
from server.explain_view import ObjectView
from tests.server.manifests import bad_image, deployment, pod, replica_set, running
from tests.server.support import FeedMirror, Running, eventually, serve, settle
from tests.server.test_cli import ask
from tools.clock import SystemClock
from tools.cluster.objects import Deployment, Pod, ReplicaSet
from tools.ledger.records import PlanStart
from tools.refs import ObjectRef, PlanId

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")


def broken(**annotations: str) -> FeedMirror:
    mirror = FeedMirror()
    mirror.put(deployment(annotations=dict(annotations)), Deployment)
    mirror.put(replica_set(), ReplicaSet)
    mirror.put(pod(bad_image(), SystemClock().now()), Pod)
    return mirror


async def view(service: Running, path: str) -> ObjectView:
    answer = await service.http.get(f"/objects/{path}")
    assert answer.status_code == 200, answer.text
    return ObjectView.model_validate(answer.json())


async def test_a_healthy_object(tmp_path: Path) -> None:
    mirror = broken()
    mirror.put(pod(running(SystemClock().now()), SystemClock().now()), Pod)
    async with serve(tmp_path, mirror=mirror) as service:
        seen = await view(service, "shop/deployment/web")
    assert seen.sentence == "Nothing is wrong with shop/Deployment/web as we see it."
    assert seen.hindrances == ()
    assert {line.mode for line in seen.modes} == {"auto"}


async def test_a_pod_is_explained_by_its_owner(tmp_path: Path) -> None:
    async with serve(tmp_path, mirror=broken()) as service:
        seen = await view(service, "shop/pod/web-5d8-x")
    assert seen.root == WEB
    assert seen.sentence == "IMAGE_NAME_INVALID is seen on shop/Deployment/web."


async def test_what_stands_in_the_way_is_said(tmp_path: Path) -> None:
    async with serve(tmp_path, mirror=broken(), ends=[Status.ESCALATED], watch=True) as service:
        await eventually(lambda: bool(service.service.watcher and service.service.watcher.rests("uid-web")), "the rest")
        (earlier,) = await service.service.ports.ledger.incidents()
        now = service.service.ports.clock.now()
        await service.service.ports.ledger.start_plan(
            PlanStart(
                plan_id=PlanId("p"), incident_id=earlier.id, owner_uid="uid-web", owner=WEB,
                namespace="shop", started_at=now,
            )
        )  # fmt: skip
        await service.service.ports.ledger.pause("shop", now.replace(year=now.year + 1), "ada", now)
        seen = await view(service, "shop/deployment/web")
        told = "\n".join(seen.hindrances)
        assert "an incident ended escalated" in told
        assert f"Cooldown: the last plan (incident {earlier.id})" in told
        assert "paused by an operator" in told
        assert [i.status for i in seen.incidents] == ["escalated"]
        printed = await ask(service, "explain", "shop/deploy/web")
        assert printed.exit_code == 0
        assert "Cooldown" in printed.stdout
        assert "Newest incidents" in printed.stdout


async def test_the_annotation_that_switched_it_off_is_named(tmp_path: Path) -> None:
    async with serve(tmp_path, mirror=broken(**{"selfheal.dev/mode": "off"}), watch=True) as service:
        await settle()
        seen = await view(service, "shop/deployment/web")
        assert {line.because for line in seen.modes} == {"the annotation selfheal.dev/mode: off"}
        assert "Nothing is opened or written here: mode off" in seen.hindrances[0]
        assert not seen.incidents


async def test_an_open_incident_is_named(tmp_path: Path) -> None:
    async with serve(tmp_path, mirror=broken(), watch=True) as service:
        service.healer.gate.clear()
        await eventually(lambda: bool(service.healer.runs), "the run")
        await asyncio.sleep(0)
        seen = await view(service, "shop/deployment/web")
        assert f"incident {seen.incidents[0].id} works on it" in seen.sentence
