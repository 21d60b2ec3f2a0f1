"""The simulator's KEDA does in the cluster what KEDA does: autoscaler, conditions, pauses, fallback, none and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from evals.simulator import Simulator
from evals.simulator.keda import Keda, install
from tests.support.healing import WEB
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_object, dig_str

NOTE = "autoscaling.keda.sh/"


@asynccontextmanager
async def running(**spec: JsonValue) -> AsyncIterator[tuple[Simulator, Keda]]:
    """The shop's web, scaled by a queue of four."""
    async with Simulator.virtual() as sim:
        keda = await install(sim)
        await sim.apply(WEB)
        await sim.apply(scaled_object(None, **spec))
        keda.give("shop", "web", 4)
        yield sim, keda


def scaled_object(annotations: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    trigger: JsonObject = {"type": "queue", "metadata": {"value": "1"}}
    wanted: JsonObject = {
        "scaleTargetRef": {"name": "web"}, "minReplicaCount": 1, "maxReplicaCount": 6, "triggers": [trigger],
    }  # fmt: skip
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations or {}},
        "spec": {**wanted, **spec},
    }


def replicas(sim: Simulator) -> int | None:
    return dig_int(sim.get("Deployment", "shop", "web"), "spec", "replicas")


def state(sim: Simulator, kind: str) -> str:
    """A condition of the ScaledObject as `status/reason`."""
    found = sim.get("ScaledObject", "shop", "web")
    for condition in dig_list(found, "status", "conditions"):
        if dig_str(condition, "type") == kind:
            assert "lastTransitionTime" not in dig_object(condition), "KEDA's conditions have no times"
            return f"{dig_str(condition, 'status')}/{dig_str(condition, 'reason')}"
    return ""


async def test_it_scales_through_an_autoscaler_of_its_own() -> None:
    async with running() as (sim, _):
        await sim.until(lambda: replicas(sim) == 4, seconds=60)
        made = sim.get("HorizontalPodAutoscaler", "shop", "keda-hpa-web")
        owner = dig_object(made, "metadata", "ownerReferences", 0)
        assert (owner["kind"], owner["name"], owner["controller"]) == ("ScaledObject", "web", True)
        assert (dig_int(made, "spec", "minReplicas"), dig_int(made, "spec", "maxReplicas")) == (1, 6)
        assert (state(sim, "Ready"), state(sim, "Active")) == ("True/ScaledObjectReady", "True/ScalerActive")
        scaled = sim.get("ScaledObject", "shop", "web")
        assert dig_str(scaled, "status", "hpaName") == "keda-hpa-web"
        assert dig_str(scaled, "metadata", "labels", "scaledobject.keda.sh/name") == "web"


async def test_a_pause_removes_the_autoscaler_and_holds_the_replicas() -> None:
    async with running() as (sim, _):
        await sim.until(lambda: replicas(sim) == 4, seconds=60)
        await sim.apply(scaled_object({f"{NOTE}paused-replicas": "0"}))
        await sim.until(lambda: replicas(sim) == 0, seconds=60)
        assert sim.get("HorizontalPodAutoscaler", "shop", "keda-hpa-web") is None
        assert (state(sim, "Paused"), state(sim, "Ready")) == ("True/ScaledObjectPaused", "True/ScaledObjectReady")
        await sim.apply(scaled_object())
        await sim.until(lambda: replicas(sim) == 4, seconds=120)
        assert state(sim, "Paused") == "False/ScaledObjectUnpaused"


async def test_a_pause_without_a_number_freezes() -> None:
    async with running() as (sim, keda):
        await sim.until(lambda: replicas(sim) == 4, seconds=60)
        await sim.apply(scaled_object({f"{NOTE}paused": "true"}))
        keda.give("shop", "web", 6)
        await sim.sleep(120)
        assert replicas(sim) == 4


async def test_what_it_wants_beyond_its_bound_shows_in_the_autoscaler() -> None:
    async with running(maxReplicaCount=2) as (sim, _):
        await sim.until(lambda: replicas(sim) == 2, seconds=60)
        await sim.sleep(30)
        made = sim.get("HorizontalPodAutoscaler", "shop", "keda-hpa-web")
        reasons = {dig_str(c, "reason") for c in dig_list(made, "status", "conditions")}
        assert "TooManyReplicas" in reasons


async def test_a_trigger_that_cannot_be_read() -> None:
    async with running() as (sim, keda):
        await sim.until(lambda: replicas(sim) == 4, seconds=60)
        keda.give("shop", "web", None)
        await sim.sleep(60)
        assert state(sim, "Ready") == "False/TriggerError"
        made = sim.get("HorizontalPodAutoscaler", "shop", "keda-hpa-web")
        reasons = {dig_str(c, "reason") for c in dig_list(made, "status", "conditions")}
        assert "FailedGetExternalMetric" in reasons
        assert replicas(sim) == 4, "nobody scales by what is not known"


async def test_a_fallback_holds_after_as_many_failures_as_it_says() -> None:
    async with running(fallback={"failureThreshold": 2, "replicas": 3}) as (sim, keda):
        await sim.until(lambda: replicas(sim) == 4, seconds=60)
        keda.give("shop", "web", None)
        await sim.until(lambda: state(sim, "Fallback") == "True/FallbackExists", seconds=200)
        assert state(sim, "Ready") == "True/ScaledObjectReady"
        await sim.until(lambda: replicas(sim) == 3, seconds=600)
        health = dig_object(sim.get("ScaledObject", "shop", "web"), "status", "health", "s0-queue")
        assert health["status"] == "Failing"


async def test_to_none_after_the_cooldown_and_back() -> None:
    async with running(minReplicaCount=0, cooldownPeriod=60) as (sim, keda):
        await sim.until(lambda: replicas(sim) == 4, seconds=60)
        keda.give("shop", "web", 0)
        await sim.until(lambda: replicas(sim) == 0, seconds=200)
        keda.give("shop", "web", 2)
        await sim.until(lambda: replicas(sim) == 2, seconds=200)


async def test_a_target_that_is_not_there() -> None:
    async with running(scaleTargetRef={"name": "gone"}) as (sim, _):
        await sim.sleep(5)
        assert state(sim, "Ready") == "False/ScaledObjectCheckFailed"


async def test_pods_are_counted_by_their_labels() -> None:
    counting: JsonObject = {"type": "kubernetes-workload", "metadata": {"podSelector": "app=web", "value": "1"}}
    async with running(triggers=[counting]) as (sim, _):
        await sim.until(lambda: state(sim, "Active") == "True/ScalerActive", seconds=60)
        await sim.sleep(60)
        assert replicas(sim) == 2, "as many as there are, one each"
        names = dig_list(sim.get("ScaledObject", "shop", "web"), "status", "externalMetricNames")
        assert names == ["s0-workload-shop"]
