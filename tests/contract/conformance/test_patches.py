# ruff: noqa: E501 - a case is one line of a table
"""Patches: the four kinds, their preconditions, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from .cluster import MERGE, PATCH, STRATEGIC, Cluster
from .manifests import config, container, deployment, dig

BASE = deployment(replicas=0, env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
FIRST = "spec/template/spec/containers/0"


@pytest.mark.parametrize(
    ("operations", "path", "expected"),
    [
        ([{"op": "add", "path": "/data/b", "value": "2"}], "data", {"a": "1", "b": "2"}),
        ([{"op": "replace", "path": "/data/a", "value": "9"}], "data", {"a": "9"}),
        ([{"op": "remove", "path": "/data/a"}, {"op": "add", "path": "/data/z", "value": "0"}], "data", {"z": "0"}),
        ([{"op": "copy", "from": "/data/a", "path": "/data/b"}], "data", {"a": "1", "b": "1"}),
        ([{"op": "move", "from": "/data/a", "path": "/data/b"}], "data", {"b": "1"}),
        ([{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "2"}], "data", {"a": "2"}),
        ([{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}], "metadata/labels", {"x": "y"}),
        ([{"op": "add", "path": "/metadata/annotations", "value": {"a/b": "1"}}, {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"}], "metadata/annotations", {"a/b": "2"}),
    ],
    ids=["add", "replace", "remove", "copy", "move", "test-that-holds", "add-object", "escaped-slash"],
)  # fmt: skip
async def test_json_patch(cluster: Cluster, operations: list[Any], path: str, expected: Any) -> None:
    await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", operations, PATCH)
    assert answer.code == 200, answer.body
    assert dig(answer.body, path) == expected


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "test", "path": "/data/a", "value": "2"}], 422),
        ([{"op": "remove", "path": "/data/none"}], 422),
        ([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}], 409),
        ({"op": "add"}, 400),
    ],
    ids=["failed-test", "remove-of-nothing", "stale-version", "not-a-list"],
)
async def test_json_patch_refusals(cluster: Cluster, operations: Any, code: int) -> None:
    await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", operations, PATCH)
    assert answer.code == code
    assert (await cluster.get("ConfigMap", "c"))["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        ({"data": {"a": None, "b": "2"}}, {"b": "2"}),
        ({"data": None}, None),
    ],
    ids=["adds", "null-removes", "null-removes-all"],
)
async def test_merge_patch(cluster: Cluster, body: Any, expected: Any) -> None:
    await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", body, MERGE)
    assert answer.body.get("data") == expected


async def test_merge_patch_replaces_lists(cluster: Cluster) -> None:
    await cluster.made(BASE)
    body = {"spec": {"template": {"spec": {"containers": [container(name="other")]}}}}
    answer = await cluster.patch("Deployment", "web", body, MERGE)
    assert [c["name"] for c in dig(answer.body, "spec/template/spec/containers")] == ["other"]


def _containers(*items: Any) -> Any:
    return {"spec": {"template": {"spec": {"containers": list(items)}}}}


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (_containers({"name": "app", "image": "x:2"}), f"{FIRST}/image", "x:2"),
        (_containers({"name": "app", "image": "x:2"}), f"{FIRST}/command", ["sleep", "1000000"]),
        (_containers({"name": "app", "command": ["a"]}), f"{FIRST}/command", ["a"]),
        (_containers({"name": "app", "env": [{"name": "C", "value": "3"}]}), f"{FIRST}/env/2/value", None),
        (_containers({"name": "app", "env": [{"name": "A", "value": "9"}]}), f"{FIRST}/env/0/value", "9"),
        (_containers({"name": "app", "env": [{"name": "A", "$patch": "delete"}]}), f"{FIRST}/env", [{"name": "B", "value": "2"}]),
        (_containers({"name": "app", "env": [{"$patch": "replace"}, {"name": "Z", "value": "0"}]}), f"{FIRST}/env", [{"name": "Z", "value": "0"}]),
        (_containers({"name": "app", "$setElementOrder/env": [{"name": "B"}, {"name": "A"}], "env": [{"name": "A", "value": "9"}]}), f"{FIRST}/env", [{"name": "B", "value": "2"}, {"name": "A", "value": "9"}]),
        (_containers({"name": "app", "resources": {"limits": {"memory": "32Mi"}}}), f"{FIRST}/resources/requests/cpu", "5m"),
        (_containers({"name": "app", "resources": {"$patch": "replace", "limits": {"memory": "32Mi"}}}), f"{FIRST}/resources/requests/cpu", None),
        ({"metadata": {"labels": {"x": "y"}}}, "metadata/labels/x", "y"),
        ({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, "spec/strategy", {"type": "Recreate"}),
        ({"spec": {"template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}}}, "spec/template/spec/volumes/0/name", "v"),
    ],
    ids=["item-by-key", "item-keeps-the-rest", "plain-list-replaced", "env-added-first", "env-by-name", "delete-directive",
         "replace-directive", "element-order", "map-merges", "map-replaced", "labels", "retain-keys", "new-list"],
)  # fmt: skip
async def test_strategic_merge_patch(cluster: Cluster, body: Any, path: str, expected: Any) -> None:
    await cluster.made(BASE)
    answer = await cluster.patch("Deployment", "web", body, STRATEGIC)
    assert answer.code == 200, answer.body
    if path == f"{FIRST}/env/2/value":
        assert sorted(e["name"] for e in dig(answer.body, f"{FIRST}/env")) == ["A", "B", "C"]
    else:
        assert dig(answer.body, path) == expected


async def test_strategic_patch_adds_a_container(cluster: Cluster) -> None:
    await cluster.made(BASE)
    answer = await cluster.patch("Deployment", "web", _containers(container(name="side")), STRATEGIC)
    assert sorted(c["name"] for c in dig(answer.body, "spec/template/spec/containers")) == ["app", "side"]


async def test_ports_merge_by_container_port(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=0, ports=[{"name": "http", "containerPort": 8080}]))
    body = _containers({"name": "app", "ports": [{"containerPort": 8080, "hostPort": 18080}]})
    answer = await cluster.patch("Deployment", "web", body, STRATEGIC)
    assert dig(answer.body, f"{FIRST}/ports/0/name") == "http"
    assert dig(answer.body, f"{FIRST}/ports/0/hostPort") == 18080


async def test_strategic_patch_needs_the_merge_key(cluster: Cluster) -> None:
    await cluster.made(BASE)
    answer = await cluster.patch("Deployment", "web", _containers({"image": "x"}), STRATEGIC)
    assert answer.code in {400, 500}


async def test_finalizers_merge_as_a_set(cluster: Cluster) -> None:
    await cluster.made(config(finalizers=["conformance.test/a"]))
    answer = await cluster.patch("ConfigMap", "c", {"metadata": {"finalizers": ["conformance.test/b"]}}, STRATEGIC)
    assert sorted(answer.body["metadata"]["finalizers"]) == ["conformance.test/a", "conformance.test/b"]
    await cluster.patch("ConfigMap", "c", {"metadata": {"finalizers": None}}, MERGE)


async def test_an_unknown_patch_type_is_refused(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", {}, "application/json")
    assert (answer.code, answer.reason) == (415, "UnsupportedMediaType")


async def test_a_patch_of_nothing_is_not_found(cluster: Cluster) -> None:
    assert (await cluster.patch("ConfigMap", "none", {"data": {}})).code == 404


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
async def test_a_stale_version_in_a_patch_is_a_conflict(cluster: Cluster, media: str) -> None:
    await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", {"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}}, media)
    assert (answer.code, answer.reason) == (409, "Conflict")


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
async def test_a_current_version_in_a_patch_passes(cluster: Cluster, media: str) -> None:
    made = await cluster.made(config())
    version = made["metadata"]["resourceVersion"]
    answer = await cluster.patch(
        "ConfigMap", "c", {"metadata": {"resourceVersion": version}, "data": {"a": "2"}}, media
    )
    assert answer.code == 200


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
async def test_another_uid_in_a_patch_is_invalid(cluster: Cluster, media: str) -> None:
    await cluster.made(config())
    body = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"a": "2"}}
    answer = await cluster.patch("ConfigMap", "c", body, media)
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert set(answer.fields) == {"metadata.uid"}


async def test_a_wrong_uid_in_delete_options_is_a_conflict(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.delete("ConfigMap", "c", {"preconditions": {"uid": "x"}})
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert "the UID in the precondition (x) does not match the UID in record" in answer.message


async def test_a_wrong_version_in_delete_options_is_a_conflict(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.delete("ConfigMap", "c", {"preconditions": {"resourceVersion": "1"}})
    assert (answer.code, answer.reason) == (409, "Conflict")


async def test_right_delete_options_pass(cluster: Cluster) -> None:
    meta = (await cluster.made(config()))["metadata"]
    options = {"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}
    assert (await cluster.delete("ConfigMap", "c", options)).code == 200


@pytest.mark.parametrize(
    ("method", "body", "media"),
    [
        ("PUT", config(data={"a": "2"}), "application/json"),
        ("PATCH", {"data": {"a": "2"}}, MERGE),
        ("PATCH", [{"op": "replace", "path": "/data/a", "value": "2"}], PATCH),
        ("DELETE", None, "application/json"),
    ],
    ids=["put", "merge", "json", "delete"],
)
async def test_a_dry_run_changes_nothing(cluster: Cluster, method: str, body: Any, media: str) -> None:
    made = await cluster.made(config())
    path = cluster.path("ConfigMap", "c")
    answer = await cluster.call(method, path, body, media=media, params={"dryRun": "All"})
    assert answer.code == 200
    if method != "DELETE":
        assert answer.body["data"] == {"a": "2"}
    assert (await cluster.get("ConfigMap", "c"))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_dry_run_of_create_makes_nothing(cluster: Cluster) -> None:
    answer = await cluster.create(config(), dryRun="All")
    assert answer.code == 201
    assert answer.body["metadata"]["uid"]
    assert await cluster.find("ConfigMap", "c") is None


async def test_a_dry_run_validates(cluster: Cluster) -> None:
    await cluster.made(BASE)
    answer = await cluster.patch("Deployment", "web", {"spec": {"replicas": -1}}, MERGE, dryRun="All")
    assert answer.code == 422


async def test_a_dry_run_of_anything_else_is_refused(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", {}, MERGE, dryRun="Some")
    assert answer.code in {400, 422}
