"""Subresources and discovery: scale, status, eviction, binding, logs; custom resources."""

from __future__ import annotations

from typing import Any

import pytest

from evals.simulator import Behaviour

from .cluster import MERGE, PATCH, STRATEGIC, Cluster
from .manifests import budget, config, container, deployment, dig, pod, serving


async def test_scale_shows_the_workload(cluster: Cluster) -> None:
    made = await cluster.made(deployment(replicas=0))
    answer = await cluster.call("GET", cluster.path("Deployment", "web", "scale"))
    assert (answer.body["kind"], answer.body["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert answer.body["spec"].get("replicas", 0) == 0
    assert answer.body["status"]["selector"] == "app=web"
    assert answer.body["metadata"]["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize(
    ("media", "body"),
    [(MERGE, {"spec": {"replicas": 3}}), (PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 3}])],
    ids=["merge", "json"],
)
async def test_scale_sets_the_replicas(cluster: Cluster, media: str, body: Any) -> None:
    await cluster.made(deployment(replicas=1, spec={"paused": True}))
    answer = await cluster.patch("Deployment", "web", body, media, "scale")
    assert answer.code == 200, answer.body
    assert dig(await cluster.get("Deployment", "web"), "spec/replicas") == 3


async def test_scale_refuses_a_negative_count(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=0))
    assert (await cluster.patch("Deployment", "web", {"spec": {"replicas": -1}}, MERGE, "scale")).code == 422


async def test_scale_with_a_stale_version_is_a_conflict(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=0))
    body = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}
    assert (await cluster.patch("Deployment", "web", body, MERGE, "scale")).code == 409


async def test_a_dry_run_of_scale_changes_nothing(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=0))
    await cluster.patch("Deployment", "web", {"spec": {"replicas": 5}}, MERGE, "scale", dryRun="All")
    assert dig(await cluster.get("Deployment", "web"), "spec/replicas") == 0


async def test_a_config_map_has_no_scale(cluster: Cluster) -> None:
    await cluster.made(config())
    assert (await cluster.call("GET", cluster.path("ConfigMap", "c", "scale"))).code == 404


async def test_status_is_not_written_by_a_plain_patch(cluster: Cluster) -> None:
    await cluster.made(budget(minAvailable=1))
    await cluster.patch("PodDisruptionBudget", "web", {"status": {"expectedPods": 77}}, MERGE)
    assert dig(await cluster.get("PodDisruptionBudget", "web"), "status/expectedPods") != 77


async def test_spec_is_not_written_through_status(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=0))
    await cluster.patch("Deployment", "web", {"spec": {"replicas": 7}}, MERGE, "status")
    assert dig(await cluster.get("Deployment", "web"), "spec/replicas") == 0


async def test_conditions_merge_by_type_through_status(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"schedulerName": "nobody"}))
    for kind in ("conformance.test/A", "conformance.test/B"):
        body = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
        assert (await cluster.patch("Pod", "p", body, STRATEGIC, "status")).code == 200
    types = {c["type"] for c in dig(await cluster.get("Pod", "p"), "status/conditions")}
    assert {"conformance.test/A", "conformance.test/B"} <= types


def _eviction(name: str, **options: Any) -> dict[str, Any]:
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options}


async def _ready(cluster: Cluster, replicas: int, minimum: int) -> str:
    await cluster.made(serving(replicas=replicas))
    await cluster.made(budget(minAvailable=minimum))

    async def settled() -> bool:
        found = await cluster.get("PodDisruptionBudget", "web")
        return dig(found, "status/currentHealthy") == replicas

    await cluster.until(settled)
    return str((await cluster.list("Pod", labelSelector="app=web"))[0]["metadata"]["name"])


async def test_an_eviction_that_the_budget_allows(cluster: Cluster) -> None:
    name = await _ready(cluster, 2, 1)
    answer = await cluster.call("POST", cluster.path("Pod", name, "eviction"), _eviction(name))
    assert (answer.code, answer.body["status"]) == (201, "Success")
    found = await cluster.find("Pod", name)
    assert found is None or "deletionTimestamp" in found["metadata"]


@pytest.mark.parametrize("options", [{}, {"dryRun": ["All"]}], ids=["real", "dry-run"])
async def test_an_eviction_that_the_budget_forbids(cluster: Cluster, options: dict[str, Any]) -> None:
    name = await _ready(cluster, 1, 1)
    answer = await cluster.call("POST", cluster.path("Pod", name, "eviction"), _eviction(name, **options))
    assert (answer.code, answer.reason) == (429, "TooManyRequests")
    assert answer.message == "Cannot evict pod as it would violate the pod's disruption budget."
    cause = answer.body["details"]["causes"][0]
    assert cause["reason"] == "DisruptionBudget"
    assert cause["message"] == "The disruption budget web needs 1 healthy pods and has 1 currently"


async def test_a_dry_run_of_an_eviction_keeps_the_pod(cluster: Cluster) -> None:
    name = await _ready(cluster, 2, 1)
    answer = await cluster.call("POST", cluster.path("Pod", name, "eviction"), _eviction(name, dryRun=["All"]))
    assert answer.code == 201
    await cluster.sleep(2)
    assert "deletionTimestamp" not in (await cluster.get("Pod", name))["metadata"]


async def test_an_eviction_of_another_uid_is_a_conflict(cluster: Cluster) -> None:
    name = await _ready(cluster, 2, 1)
    body = _eviction(name, preconditions={"uid": "00000000-0000-0000-0000-000000000000"})
    assert (await cluster.call("POST", cluster.path("Pod", name, "eviction"), body)).code == 409


async def test_an_eviction_of_nothing_is_not_found(cluster: Cluster) -> None:
    assert (await cluster.call("POST", cluster.path("Pod", "none", "eviction"), _eviction("none"))).code == 404


async def test_an_eviction_without_a_budget(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"schedulerName": "nobody"}))
    answer = await cluster.call("POST", cluster.path("Pod", "p", "eviction"), _eviction("p"))
    assert answer.code == 201
    assert await cluster.find("Pod", "p") is None


async def test_a_binding_sets_the_node_once(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"schedulerName": "nobody"}))
    nodes = (await cluster.call("GET", "/api/v1/nodes")).body["items"]
    node = nodes[0]["metadata"]["name"]
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}}
    assert (await cluster.call("POST", cluster.path("Pod", "p", "binding"), body)).code == 201
    assert dig(await cluster.get("Pod", "p"), "spec/nodeName") == node
    assert (await cluster.call("POST", cluster.path("Pod", "p", "binding"), body)).code == 409


async def _logged(cluster: Cluster) -> None:
    lines = Behaviour(logs=("one", "two", "three"))
    await cluster.made(pod(command=lines.command()))

    async def running() -> bool:
        return dig(await cluster.get("Pod", "p"), "status/phase") == "Running"

    await cluster.until(running)
    await cluster.sleep(1)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "one\ntwo\nthree\n"),
        ({"tailLines": "1"}, "three\n"),
        ({"tailLines": "0"}, ""),
        ({"limitBytes": "5"}, "one\nt"),
        ({"container": "app"}, "one\ntwo\nthree\n"),
    ],
    ids=["all", "tail", "none", "bytes", "container"],
)
async def test_logs(cluster: Cluster, params: dict[str, str], expected: str) -> None:
    await _logged(cluster)
    answer = await cluster.call("GET", cluster.path("Pod", "p", "log"), params=params)
    assert answer.code == 200
    assert (answer.body or "") == expected


@pytest.mark.parametrize("params", [{"container": "none"}, {"previous": "true"}], ids=["container", "previous"])
async def test_logs_that_there_are_not(cluster: Cluster, params: dict[str, str]) -> None:
    await _logged(cluster)
    assert (await cluster.call("GET", cluster.path("Pod", "p", "log"), params=params)).code == 400


async def test_logs_of_two_containers_need_a_name(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"containers": [container(), container(name="side")]}))
    answer = await cluster.call("GET", cluster.path("Pod", "p", "log"))
    assert answer.code == 400
    assert "a container name must be specified for pod p, choose one of: [app side]" in answer.message


# ---- discovery and custom resources


async def test_discovery_lists_groups(cluster: Cluster) -> None:
    groups = {g["name"] for g in (await cluster.call("GET", "/apis")).body["groups"]}
    assert {"apps", "batch", "autoscaling", "policy", "rbac.authorization.k8s.io", "coordination.k8s.io"} <= groups


@pytest.mark.parametrize(
    ("path", "resource", "kind", "short"),
    [
        ("/api/v1", "pods", "Pod", "po"),
        ("/api/v1", "pods/eviction", "Eviction", ""),
        ("/api/v1", "pods/log", "Pod", ""),
        ("/apis/apps/v1", "deployments", "Deployment", "deploy"),
        ("/apis/apps/v1", "deployments/scale", "Scale", ""),
        ("/apis/batch/v1", "cronjobs", "CronJob", "cj"),
        ("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa"),
    ],
)
async def test_discovery_of_a_resource(cluster: Cluster, path: str, resource: str, kind: str, short: str) -> None:
    found = (await cluster.call("GET", path)).body["resources"]
    entry = next(r for r in found if r["name"] == resource)
    assert entry["kind"] == kind
    assert short in {*entry.get("shortNames", []), ""}


async def test_the_version_says_which_kubernetes(cluster: Cluster) -> None:
    body = (await cluster.call("GET", "/version")).body
    assert (body["major"], body["minor"]) == ("1", "34")


def _definition(group: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                    "replicas": {"type": "integer"},
                },
            },
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}},
        },
    }
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
    }
    names = {"plural": "boxes", "singular": "box", "kind": "Box", "shortNames": ["bx"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boxes.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


class Boxes:
    """A custom resource of its own for one check."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.group = f"{cluster.namespace}.conformance.test"

    async def define(self) -> None:
        answer = await self.cluster.create(_definition(self.group))
        assert answer.code == 201, answer.body

        async def served() -> bool:
            return (await self.cluster.call("GET", self.path())).code == 200

        await self.cluster.until(served)

    def path(self, name: str = "") -> str:
        base = f"/apis/{self.group}/v1/namespaces/{self.cluster.namespace}/boxes"
        return f"{base}/{name}" if name else base

    def box(self, **spec: Any) -> dict[str, Any]:
        return {"apiVersion": f"{self.group}/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": spec}

    async def drop(self) -> None:
        await self.cluster.delete("CustomResourceDefinition", f"boxes.{self.group}")


@pytest.fixture
async def boxes(cluster: Cluster) -> Any:
    found = Boxes(cluster)
    await found.define()
    yield found
    await found.drop()


async def test_a_custom_resource_is_served_with_defaults(cluster: Cluster, boxes: Boxes) -> None:
    answer = await cluster.call("POST", boxes.path(), boxes.box(size=3))
    assert answer.code == 201, answer.body
    assert answer.body["spec"] == {"size": 3, "color": "red"}
    assert answer.body["metadata"]["generation"] == 1


async def test_unknown_fields_of_a_custom_resource_are_pruned(cluster: Cluster, boxes: Boxes) -> None:
    answer = await cluster.call("POST", boxes.path(), boxes.box(size=3, other=1))
    assert "other" not in answer.body["spec"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.size"),
        ({"size": 0}, "spec.size"),
        ({"size": "x"}, "spec.size"),
        ({"size": 1, "color": "green"}, "spec.color"),
    ],
    ids=["required", "minimum", "type", "enum"],
)
async def test_a_schema_is_enforced(cluster: Cluster, boxes: Boxes, spec: dict[str, Any], field: str) -> None:
    answer = await cluster.call("POST", boxes.path(), boxes.box(**spec))
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert field in answer.fields


async def test_status_of_a_custom_resource_is_apart(cluster: Cluster, boxes: Boxes) -> None:
    await cluster.call("POST", boxes.path(), boxes.box(size=1))
    await cluster.call("PATCH", boxes.path("b"), {"status": {"phase": "x"}}, media=MERGE)
    assert "status" not in (await cluster.call("GET", boxes.path("b"))).body
    await cluster.call("PATCH", boxes.path("b/status"), {"status": {"phase": "y"}, "spec": {"size": 9}}, media=MERGE)
    found = (await cluster.call("GET", boxes.path("b"))).body
    assert (found["status"], found["spec"]["size"]) == ({"phase": "y"}, 1)


async def test_a_custom_resource_scales(cluster: Cluster, boxes: Boxes) -> None:
    await cluster.call("POST", boxes.path(), boxes.box(size=1, replicas=2))
    await cluster.call("PATCH", boxes.path("b/scale"), {"spec": {"replicas": 5}}, media=MERGE)
    assert (await cluster.call("GET", boxes.path("b"))).body["spec"]["replicas"] == 5


async def test_a_custom_resource_takes_no_strategic_patch(cluster: Cluster, boxes: Boxes) -> None:
    await cluster.call("POST", boxes.path(), boxes.box(size=1))
    answer = await cluster.call("PATCH", boxes.path("b"), {"spec": {"size": 2}}, media=STRATEGIC)
    assert answer.code == 415
