"""What a real KEDA does with ScaledObjects that work, are paused, or whose scaler fails.

No action of ours is used here: these tests are what detectors and verification lean on.
"""

from __future__ import annotations

import time

import pytest

from tests.cluster.executors.desk import Desk, condition, in_namespace, web
from tests.cluster.keda.manifests import at_all_times, prometheus, scaled_object
from tools.jsontypes import JsonObject, dig, dig_int, dig_str

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
PAUSED = "autoscaling.keda.sh/paused"
RESUMES_S = 12


def is_true(found: JsonObject, type_: str) -> bool:
    return dig_str(condition(found, type_), "status") == "True"


def is_false(found: JsonObject, type_: str) -> bool:
    return dig_str(condition(found, type_), "status") == "False"


def replicas(found: JsonObject) -> int | None:
    return dig_int(found, "spec", "replicas")


async def scaled(desk: Desk, *triggers: JsonObject, more: JsonObject | None = None) -> None:
    """A Deployment of one replica and a ScaledObject for it, both called web."""
    await desk.apply(in_namespace(web(), desk.namespace))
    await desk.apply(scaled_object("web", desk.namespace, "web", triggers, more=more))


async def test_a_scaled_object_becomes_ready_and_scales_its_target_through_an_hpa(keda_desk: Desk) -> None:
    await scaled(keda_desk, at_all_times(3))
    found = await keda_desk.until("ScaledObject", "web", lambda found: is_true(found, "Ready"), 30)
    hpa = await keda_desk.read("HorizontalPodAutoscaler", dig_str(found, "status", "hpaName"))
    assert dig(hpa, "metadata", "ownerReferences", 0, "kind") == "ScaledObject"
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 60)


async def test_a_paused_one_has_no_hpa_and_resumes_within_seconds(keda_desk: Desk) -> None:
    await scaled(keda_desk, at_all_times(3))
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 60)
    await keda_desk.patch("ScaledObject", "web", {"metadata": {"annotations": {PAUSED: "true"}}})
    await keda_desk.until("ScaledObject", "web", lambda found: is_true(found, "Paused"), 30)
    await keda_desk.human.patch("Deployment", keda_desk.namespace, "web", "merge", {"spec": {"replicas": 1}})
    await keda_desk.always("Deployment", "web", lambda found: replicas(found) == 1, 12)
    begun = time.monotonic()
    await keda_desk.patch("ScaledObject", "web", {"metadata": {"annotations": {PAUSED: None}}})
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 40)
    assert time.monotonic() - begun < RESUMES_S + 8, "measured: about 12 s"
    assert not is_true(await keda_desk.read("ScaledObject", "web"), "Paused")


async def test_a_scaler_that_fails_is_carried_by_its_fallback(keda_desk: Desk) -> None:
    await scaled(keda_desk, prometheus(), more={"fallback": {"failureThreshold": 2, "replicas": 2}})
    await keda_desk.until("ScaledObject", "web", lambda found: is_true(found, "Fallback"), 90)
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 2, 60)
    await keda_desk.always("Deployment", "web", lambda found: replicas(found) == 2, 15)


async def test_a_scaler_that_fails_without_a_fallback_is_not_ready(keda_desk: Desk) -> None:
    await scaled(keda_desk, prometheus())
    await keda_desk.until("ScaledObject", "web", lambda found: is_false(found, "Ready"), 60)
    assert replicas(await keda_desk.read("Deployment", "web")) == 1


async def test_an_upper_bound_caps_and_a_raised_one_gives_way(keda_desk: Desk) -> None:
    await scaled(keda_desk, at_all_times(3), more={"maxReplicaCount": 2})
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 2, 60)
    await keda_desk.patch("ScaledObject", "web", {"spec": {"maxReplicaCount": 4}})
    await keda_desk.until("Deployment", "web", lambda found: replicas(found) == 3, 40)


async def test_a_target_that_is_not_there_is_told_in_the_ready_condition(keda_desk: Desk) -> None:
    await keda_desk.apply(scaled_object("web", keda_desk.namespace, "nobody", [at_all_times(1)]))
    found = await keda_desk.until("ScaledObject", "web", lambda found: is_false(found, "Ready"), 30)
    assert "nobody" in dig_str(condition(found, "Ready"), "message")
