"""Objects: identity, versions, generation, deletion, finalizers."""

from __future__ import annotations

import pytest

from .cluster import Cluster
from .manifests import config, deployment, job, pod, service


async def test_create_sets_the_servers_metadata(cluster: Cluster) -> None:
    meta = (await cluster.made(config()))["metadata"]
    assert meta["uid"]
    assert meta["resourceVersion"].isdigit()
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["namespace"] == cluster.namespace


async def test_generate_name_adds_five_letters(cluster: Cluster) -> None:
    manifest = config()
    manifest["metadata"] = {"generateName": "gen-"}
    made = await cluster.made(manifest)
    assert made["metadata"]["name"].startswith("gen-")
    assert len(made["metadata"]["name"]) == 9


async def test_the_same_name_twice_is_already_exists(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.create(config())
    assert (answer.code, answer.reason) == (409, "AlreadyExists")
    assert answer.message == 'configmaps "c" already exists'


async def test_a_missing_object_is_not_found(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap", "none"))
    assert (answer.code, answer.reason) == (404, "NotFound")
    assert answer.message == 'configmaps "none" not found'
    assert answer.body["details"] == {"name": "none", "kind": "configmaps"}


async def test_a_group_is_part_of_the_name_in_messages(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("Deployment", "none"))
    assert answer.message == 'deployments.apps "none" not found'


async def test_an_unknown_resource_is_not_found(cluster: Cluster) -> None:
    answer = await cluster.call("GET", "/apis/apps/v1/namespaces/x/nonsense")
    assert answer.code == 404


async def test_create_in_a_missing_namespace_is_not_found(cluster: Cluster) -> None:
    answer = await cluster.call("POST", "/api/v1/namespaces/conf-none/configmaps", config())
    assert (answer.code, answer.message) == (404, 'namespaces "conf-none" not found')


async def test_a_foreign_namespace_in_the_body_is_a_bad_request(cluster: Cluster) -> None:
    answer = await cluster.create(config(namespace="other"))
    assert answer.code == 400
    assert "does not match the namespace" in answer.message


async def test_create_with_a_resource_version_is_refused(cluster: Cluster) -> None:
    answer = await cluster.create(config(resourceVersion="1"))
    assert (answer.code, answer.message) == (500, "resourceVersion should not be set on objects to be created")


async def test_the_kind_must_match_the_path(cluster: Cluster) -> None:
    answer = await cluster.call("POST", cluster.path("ConfigMap"), {**config(), "kind": "Secret"})
    assert answer.code == 400


async def test_versions_are_global_and_rise(cluster: Cluster) -> None:
    first, second = await cluster.made(config("a")), await cluster.made(service("b"))
    assert int(first["metadata"]["resourceVersion"]) < int(second["metadata"]["resourceVersion"])


async def test_a_write_that_changes_nothing_keeps_the_version(cluster: Cluster) -> None:
    made = await cluster.made(config())
    answer = await cluster.patch("ConfigMap", "c", {"data": {"a": "1"}})
    assert answer.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("manifest", "change", "rises"),
    [
        pytest.param(deployment(replicas=0), {"spec": {"minReadySeconds": 1}}, True, id="deployment-spec"),
        pytest.param(deployment(replicas=0), {"metadata": {"labels": {"x": "y"}}}, False, id="deployment-label"),
        pytest.param(
            deployment(replicas=0), {"metadata": {"annotations": {"x": "y"}}}, True, id="deployment-annotation"
        ),
        pytest.param(job(suspend=True), {"spec": {"parallelism": 2}}, True, id="job-spec"),
    ],
)
async def test_generation_rises_with_the_spec_only(cluster: Cluster, manifest: dict, change: dict, rises: bool) -> None:
    made = await cluster.made(manifest)
    assert made["metadata"]["generation"] == 1
    answer = await cluster.patch(manifest["kind"], manifest["metadata"]["name"], change)
    assert answer.body["metadata"]["generation"] == (2 if rises else 1)


@pytest.mark.parametrize(
    "manifest", [config(), service(), pod(spec={"nodeName": ""})], ids=["configmap", "service", "pod"]
)
async def test_which_kinds_have_a_generation(cluster: Cluster, manifest: dict) -> None:
    made = await cluster.made(manifest)
    assert ("generation" in made["metadata"]) == (manifest["kind"] == "Pod")


async def test_put_replaces_everything(cluster: Cluster) -> None:
    made = await cluster.made(config(data={"a": "1", "b": "2"}))
    made["data"] = {"c": "3"}
    answer = await cluster.call("PUT", cluster.path("ConfigMap", "c"), made)
    assert answer.body["data"] == {"c": "3"}


async def test_put_with_a_stale_version_is_a_conflict(cluster: Cluster) -> None:
    made = await cluster.made(config())
    await cluster.patch("ConfigMap", "c", {"data": {"b": "2"}})
    answer = await cluster.call("PUT", cluster.path("ConfigMap", "c"), made)
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert "the object has been modified" in answer.message


async def test_put_without_a_version_overwrites(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.call("PUT", cluster.path("ConfigMap", "c"), config(data={"z": "9"}))
    assert (answer.code, answer.body["data"]) == (200, {"z": "9"})


async def test_put_under_another_name_is_a_bad_request(cluster: Cluster) -> None:
    await cluster.made(config())
    answer = await cluster.call("PUT", cluster.path("ConfigMap", "c"), config("d"))
    assert answer.code == 400


async def test_put_does_not_create_a_config_map(cluster: Cluster) -> None:
    answer = await cluster.call("PUT", cluster.path("ConfigMap", "c"), config())
    assert answer.code == 404


async def test_delete_answers_success_with_the_uid(cluster: Cluster) -> None:
    made = await cluster.made(config())
    answer = await cluster.delete("ConfigMap", "c")
    assert (answer.code, answer.body["status"]) == (200, "Success")
    assert answer.body["details"]["uid"] == made["metadata"]["uid"]
    assert await cluster.find("ConfigMap", "c") is None


async def test_delete_of_nothing_is_not_found(cluster: Cluster) -> None:
    assert (await cluster.delete("ConfigMap", "c")).code == 404


async def test_a_finalizer_keeps_the_object_until_it_is_removed(cluster: Cluster) -> None:
    await cluster.made(config(finalizers=["conformance.test/hold"]))
    answer = await cluster.delete("ConfigMap", "c")
    assert "deletionTimestamp" in answer.body["metadata"]
    kept = await cluster.get("ConfigMap", "c")
    assert kept["metadata"]["deletionGracePeriodSeconds"] == 0
    await cluster.patch("ConfigMap", "c", {"metadata": {"finalizers": None}})
    assert await cluster.find("ConfigMap", "c") is None


async def test_no_finalizer_may_be_added_to_what_is_being_deleted(cluster: Cluster) -> None:
    await cluster.made(config(finalizers=["conformance.test/hold"]))
    await cluster.delete("ConfigMap", "c")
    body = {"metadata": {"finalizers": ["conformance.test/hold", "conformance.test/more"]}}
    answer = await cluster.patch("ConfigMap", "c", body)
    assert answer.code == 422
    await cluster.patch("ConfigMap", "c", {"metadata": {"finalizers": None}})


async def test_delete_collection_obeys_the_selector(cluster: Cluster) -> None:
    for name, color in (("a", "red"), ("b", "blue")):
        await cluster.made(config(name, labels={"color": color}))
    await cluster.call("DELETE", cluster.path("ConfigMap"), params={"labelSelector": "color=red"})
    names = [o["metadata"]["name"] for o in await cluster.list("ConfigMap", labelSelector="color")]
    assert names == ["b"]


async def test_string_data_of_a_secret_becomes_data(cluster: Cluster) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    made = await cluster.made(manifest)
    assert made["data"] == {"k": "dg=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


async def test_owned_objects_go_with_their_owner(cluster: Cluster) -> None:
    owner = await cluster.made(config("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await cluster.made(config("owned", ownerReferences=[reference]))
    await cluster.delete("ConfigMap", "owner")

    async def gone() -> bool:
        return await cluster.find("ConfigMap", "owned") is None

    await cluster.until(gone)


async def test_orphaned_objects_stay_without_their_reference(cluster: Cluster) -> None:
    owner = await cluster.made(config("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await cluster.made(config("owned", ownerReferences=[reference]))
    await cluster.delete("ConfigMap", "owner", {"propagationPolicy": "Orphan"})

    async def released() -> bool:
        kept = await cluster.get("ConfigMap", "owned")
        return not kept["metadata"].get("ownerReferences") and await cluster.find("ConfigMap", "owner") is None

    await cluster.until(released)


async def test_a_namespace_takes_its_objects_along(cluster: Cluster) -> None:
    name = f"{cluster.namespace}-x"
    await cluster.made({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await cluster.call("POST", f"/api/v1/namespaces/{name}/configmaps", config())
    answer = await cluster.delete("Namespace", name)
    assert answer.body["status"]["phase"] == "Terminating"

    async def gone() -> bool:
        return await cluster.find("Namespace", name) is None

    await cluster.until(gone)


async def test_a_namespace_has_its_name_as_a_label(cluster: Cluster) -> None:
    found = await cluster.get("Namespace", cluster.namespace)
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == cluster.namespace
    assert found["status"]["phase"] == "Active"
