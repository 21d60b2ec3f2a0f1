"""Definitions as Argo CD, KEDA and Crossplane publish them, served by the simulator."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import aiohttp
import pytest

from evals.simulator import Simulator
from evals.simulator.api.errors import ApiError
from tests.support.crds import SOURCES, definition

APPLICATION: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "project": "default",
        "source": {"repoURL": "https://git.example/shop.git", "path": "deploy", "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": False}},
    },
}
SCALED_OBJECT: dict[str, Any] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "web", "namespace": "default", "annotations": {"autoscaling.keda.sh/paused": "true"}},
    "spec": {
        "scaleTargetRef": {"name": "web"},
        "minReplicaCount": 1,
        "maxReplicaCount": 5,
        "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}],
    },
}
NOP_RESOURCE: dict[str, Any] = {
    "apiVersion": "nop.crossplane.io/v1alpha1",
    "kind": "NopResource",
    "metadata": {"name": "nothing"},
    "spec": {"forProvider": {"conditionAfter": [{"conditionType": "Ready", "conditionStatus": "True", "time": "1s"}]}},
}
SCALED_JOB: dict[str, Any] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledJob",
    "metadata": {"name": "import", "namespace": "default"},
    "spec": {
        "jobTargetRef": {"template": {"spec": {"containers": [{"name": "main", "image": "x:1"}]}}},
        "triggers": [{"type": "cron", "metadata": {"timezone": "UTC", "start": "0 6 * * *", "end": "0 20 * * *"}}],
    },
}
OBJECTS = {o["kind"]: o for o in (APPLICATION, SCALED_OBJECT, SCALED_JOB, NOP_RESOURCE)}


def changed(kind: str, *path: str | int, value: Any) -> dict[str, Any]:
    obj = deepcopy(OBJECTS[kind])
    place: Any = obj
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return obj


def without(kind: str, *path: str | int) -> dict[str, Any]:
    obj = changed(kind, *path, value=None)
    place: Any = obj
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return obj


@pytest.mark.parametrize("kind", [s.kind for s in SOURCES])
async def test_what_it_defines_is_served_and_found(kind: str) -> None:
    crd = definition(kind)
    group, names = crd["spec"]["group"], crd["spec"]["names"]
    version = crd["spec"]["versions"][0]["name"]
    async with Simulator.virtual() as sim, aiohttp.ClientSession() as session:
        await sim.apply(crd)
        stored = (await sim.apply(OBJECTS[kind]))[0]
        assert stored["metadata"]["uid"]
        headers = {"Authorization": f"Bearer {sim.token()}"}
        async with session.get(f"{sim.url}/apis/{group}/{version}", headers=headers) as response:
            found = {r["name"]: r for r in (await response.json())["resources"]}
        assert found[names["plural"]]["kind"] == kind
        assert found[names["plural"]]["namespaced"] is (crd["spec"]["scope"] == "Namespaced")
        has_status = "status" in crd["spec"]["versions"][0].get("subresources", {})
        assert (f"{names['plural']}/status" in found) is has_status
        async with session.get(f"{sim.url}/apis/{group}/{version}/{names['plural']}", headers=headers) as response:
            assert [o["metadata"]["name"] for o in (await response.json())["items"]] == [stored["metadata"]["name"]]


@pytest.mark.parametrize(
    ("kind", "obj", "message"),
    [
        ("Application", lambda: changed("Application", "spec", "project", value=5), "must be of type string"),
        ("Application", lambda: without("Application", "spec", "destination"), "spec.destination: Required value"),
        ("ScaledObject", lambda: without("ScaledObject", "spec", "triggers"), "spec.triggers: Required value"),
        (
            "ScaledObject",
            lambda: changed("ScaledObject", "spec", "maxReplicaCount", value="many"),
            "must be of type integer",
        ),
        (
            "NopResource",
            lambda: changed("NopResource", "spec", "deletionPolicy", value="Forget"),
            "Unsupported value",
        ),
        ("NopResource", lambda: without("NopResource", "spec", "forProvider"), "spec.forProvider: Required value"),
    ],
    ids=["wrong type", "no destination", "no triggers", "no number", "no such policy", "no parameters"],
)
async def test_what_does_not_fit_is_refused(kind: str, obj: Any, message: str) -> None:
    crd = definition(kind)
    async with Simulator.virtual() as sim:
        await sim.apply(crd)
        with pytest.raises(ApiError, match=message) as refused:
            await sim.apply(obj())
        assert refused.value.code == 422


async def test_unknown_fields_are_pruned_and_free_ones_kept() -> None:
    crd = definition("Application")
    obj = changed("Application", "spec", "source", "nonsense", value=1)
    obj["spec"]["source"]["helm"] = {"valuesObject": {"anything": {"goes": [1, "two"]}}}
    async with Simulator.virtual() as sim:
        await sim.apply(crd)
        source = (await sim.apply(obj))[0]["spec"]["source"]
        assert "nonsense" not in source
        assert source["helm"]["valuesObject"] == {"anything": {"goes": [1, "two"]}}


async def test_defaults_of_the_schema_are_filled_in() -> None:
    crd = definition("NopResource")
    async with Simulator.virtual() as sim:
        await sim.apply(crd)
        spec = (await sim.apply(NOP_RESOURCE))[0]["spec"]
        assert spec["deletionPolicy"] == "Delete"
        assert spec["providerConfigRef"] == {"name": "default"}


@pytest.mark.parametrize(("kind", "is_separate"), [("Application", False), ("ScaledObject", True)])
async def test_a_status_is_written_where_the_definition_says(kind: str, is_separate: bool) -> None:
    """Argo CD's has no status subresource, KEDA's has: there a plain update leaves the status alone."""
    crd = definition(kind)
    async with Simulator.virtual() as sim:
        await sim.apply(crd)
        stored = deepcopy((await sim.apply(OBJECTS[kind]))[0])
        stored["status"] = {"health": {"status": "Healthy"}} if kind == "Application" else {"pausedReplicaCount": 3}
        name, namespace = stored["metadata"]["name"], stored["metadata"]["namespace"]
        updated = sim.api.update(sim.kind(kind), namespace, name, stored)
        assert ("status" in updated) is not is_separate
