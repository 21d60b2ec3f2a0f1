"""The service against a real KEDA: it lets go, gives room back, or says what is outside, and by the API server's audit
log it never writes the autoscaler behind a ScaledObject nor the replicas of what is scaled."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.client import WAITING, Incident
from tests.cluster.executors.desk import Desk, in_namespace, web
from tests.cluster.executors.test_keda import PAUSED, is_false, is_true, replicas, scaled
from tests.cluster.executors.watch import Watch, done, said, watching
from tests.cluster.harness.layout import Layout
from tests.cluster.keda.manifests import at_all_times, prometheus, scaled_object
from tests.cluster.keda.system import Keda
from tests.cluster.plans import planned
from tools.jsontypes import JsonObject, dig, dig_int

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
LONG_S = 120
AT_LIMIT_S = 600
"""Only after that long is a ceiling that was never higher a symptom."""
PROVES_S = 45
"""For so long things must have been well to be remembered as good."""


def wrote(watch: Watch) -> set[str]:
    """The resources that the service wrote, wherever."""
    return {write.resource for write in watch.writes()}


def greatest(found: JsonObject) -> int | None:
    return dig_int(found, "spec", "maxReplicaCount")


async def test_a_pause_that_nobody_declared_is_taken_away(layout: Layout, keda_desk: Desk) -> None:
    await scaled(keda_desk, at_all_times(3))
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 60)
    async with watching(layout, keda_desk) as watch:
        deployment = in_namespace(web(replicas=3), keda_desk.namespace)
        watch.declare(deployment, scaled_object("web", keda_desk.namespace, "web", [at_all_times(3)]))
        await asyncio.sleep(5)
        await keda_desk.patch("ScaledObject", "web", {"metadata": {"annotations": {PAUSED: "true"}}})
        await watch.until("the resumption", lambda i: "keda_resume" in done(i) and i.state == "healed", LONG_S)
        found = await keda_desk.until("ScaledObject", "web", lambda found: is_false(found, "Paused"), 10)
        assert dig(found, "metadata", "annotations", PAUSED) is None
        assert wrote(watch) == {"scaledobjects"}
    await keda_desk.until("HorizontalPodAutoscaler", "keda-hpa-web", lambda _: True, 10)


async def test_a_scaler_that_fails_is_told_and_its_fallback_left_to_work(layout: Layout, keda_desk: Desk) -> None:
    async with watching(layout, keda_desk) as watch:
        await scaled(keda_desk, prometheus(), more={"fallback": {"failureThreshold": 2, "replicas": 2}})
        await keda_desk.until("ScaledObject", "web", lambda found: is_true(found, "Fallback"), 90)
        incident = await watch.until("the escalation", lambda i: i.state == "escalated", LONG_S)
        assert "its fallback keeps 2 replicas" in said(incident)
        assert done(incident) == []
        await keda_desk.always("Deployment", "web", lambda found: replicas(found) == 2, 5)
        assert watch.writes() == []


async def test_a_metrics_server_that_is_away_is_told_as_such_and_nothing_is_scaled(
    layout: Layout, keda: Keda, keda_desk: Desk
) -> None:
    await scaled(keda_desk, at_all_times(3))
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 60)
    async with watching(layout, keda_desk) as watch:
        await asyncio.to_thread(keda.metrics_down)
        try:
            incident = await watch.until("the escalation", lambda i: i.state == "escalated", LONG_S + 60)
        finally:
            await asyncio.to_thread(keda.up)
        assert "v1beta1.external.metrics.k8s.io" in said(incident)
        assert done(incident) == []
        assert watch.writes() == []
    assert replicas(await keda_desk.read("Deployment", "web")) == 3


async def test_a_bound_that_was_lowered_below_the_need_is_set_back_and_can_be_undone(
    layout: Layout, keda_desk: Desk
) -> None:
    await scaled(keda_desk, at_all_times(3))
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 60)
    async with watching(layout, keda_desk) as watch:
        await asyncio.sleep(PROVES_S)
        await keda_desk.patch("ScaledObject", "web", {"spec": {"maxReplicaCount": 2}})
        await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 2, 30)
        healed = await watch.until("the bound", lambda i: bool(done(i)) and i.state == "healed", LONG_S)
        await given_and_taken_back(keda_desk, watch, healed, to=4)


@pytest.mark.slow
@pytest.mark.timeout(1000)
async def test_a_bound_that_was_never_higher_is_raised_when_a_person_agrees_and_can_be_undone(
    layout: Layout, keda_desk: Desk
) -> None:
    await scaled(keda_desk, at_all_times(3), more={"maxReplicaCount": 2})
    async with watching(layout, keda_desk) as watch:
        asked = await watch.until("the question", lambda i: i.state == WAITING, AT_LIMIT_S + LONG_S)
        assert planned(asked.document) == [("keda_set_bounds", "ScaledObject", "web")]
        assert watch.writes() == []
        await watch.approve(asked)
        healed = await watch.until("the bound", lambda i: "keda_set_bounds" in done(i) and i.state == "healed", LONG_S)
        await given_and_taken_back(keda_desk, watch, healed, to=4)


async def given_and_taken_back(desk: Desk, watch: Watch, healed: Incident, *, to: int) -> None:
    """The bound is there and the replicas follow; undone, both are as before; nothing else was ever written."""
    assert greatest(await desk.read("ScaledObject", "web")) == to
    await desk.until("Deployment", "web", lambda found: replicas(found) == 3, 30)
    await watch.undo(healed)
    await desk.until("ScaledObject", "web", lambda found: greatest(found) == 2, 10)
    await desk.until("Deployment", "web", lambda found: replicas(found) == 2, 30)
    assert wrote(watch) == {"scaledobjects"}
