"""Server-side apply and who owns which field."""

from __future__ import annotations

from .cluster import MERGE, Cluster
from .manifests import changed, config, container, deployment, dig


async def test_apply_creates(cluster: Cluster) -> None:
    answer = await cluster.apply(config())
    assert answer.code == 201
    entry = answer.body["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("conformance", "Apply")
    assert dig(entry, "fieldsV1/f:data/f:a") == {}


async def test_apply_again_changes_nothing(cluster: Cluster) -> None:
    first = await cluster.apply(config())
    second = await cluster.apply(config())
    assert second.code == 200
    assert first.body["metadata"]["resourceVersion"] == second.body["metadata"]["resourceVersion"]


async def test_what_the_manager_no_longer_names_goes(cluster: Cluster) -> None:
    await cluster.apply(config(data={"a": "1", "b": "2"}))
    answer = await cluster.apply(config(data={"a": "1"}))
    assert answer.body["data"] == {"a": "1"}


async def test_what_another_added_stays(cluster: Cluster) -> None:
    await cluster.apply(config(data={"a": "1"}))
    await cluster.patch("ConfigMap", "c", {"data": {"b": "2"}}, MERGE, fieldManager="other")
    answer = await cluster.apply(config(data={"a": "1"}))
    assert answer.body["data"] == {"a": "1", "b": "2"}


async def test_two_managers_who_disagree_conflict(cluster: Cluster) -> None:
    await cluster.apply(config(data={"a": "1"}), "one")
    answer = await cluster.apply(config(data={"a": "2"}), "two")
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert answer.body["details"]["causes"][0]["reason"] == "FieldManagerConflict"


async def test_two_managers_who_agree_share(cluster: Cluster) -> None:
    await cluster.apply(config(data={"a": "1"}), "one")
    assert (await cluster.apply(config(data={"a": "1"}), "two")).code == 200
    answer = await cluster.apply(config(data={"b": "2"}), "one")
    assert answer.body["data"] == {"a": "1", "b": "2"}


async def test_force_takes_the_field(cluster: Cluster) -> None:
    await cluster.apply(config(data={"a": "1"}), "one")
    answer = await cluster.apply(config(data={"a": "2"}), "two", force="true")
    assert answer.body["data"] == {"a": "2"}
    managers = {e["manager"] for e in answer.body["metadata"]["managedFields"] if "f:data" in e["fieldsV1"]}
    assert managers == {"two"}


async def test_a_plain_update_conflicts_with_apply(cluster: Cluster) -> None:
    await cluster.apply(config(data={"a": "1"}), "one")
    await cluster.patch("ConfigMap", "c", {"data": {"a": "2"}}, MERGE, fieldManager="hand")
    answer = await cluster.apply(config(data={"a": "1"}), "one")
    assert answer.code == 409
    assert 'conflict with "hand" using v1' in answer.message


async def test_a_map_that_was_applied_empty_takes_entries(cluster: Cluster) -> None:
    await cluster.apply(config(data={}))
    answer = await cluster.apply(config(data={"a": "1"}))
    assert answer.body["data"] == {"a": "1"}


async def test_apply_needs_a_manager(cluster: Cluster) -> None:
    path = cluster.path("ConfigMap", "c")
    answer = await cluster.call("PATCH", path, config(), media="application/apply-patch+yaml")
    assert answer.code in {400, 422}


async def test_apply_takes_yaml(cluster: Cluster) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n"
    params = {"fieldManager": "conformance"}
    answer = await cluster.call(
        "PATCH", cluster.path("ConfigMap", "c"), body, media="application/apply-patch+yaml", params=params
    )
    assert answer.body["data"] == {"a": "1"}


async def test_apply_merges_containers_by_name(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=0))
    wanted = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "x:1"}]}}},
    }
    answer = await cluster.apply(wanted)
    assert sorted(c["name"] for c in dig(answer.body, "spec/template/spec/containers")) == ["app", "side"]


async def test_apply_does_not_remove_a_variable_another_manager_added(cluster: Cluster) -> None:
    base = deployment(replicas=0, env=[{"name": "A", "value": "1"}])
    await cluster.apply(base, "gitops")
    body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "B", "value": "2"}]}]}}}}
    media = "application/strategic-merge-patch+json"
    await cluster.patch("Deployment", "web", body, media, fieldManager="hand")
    answer = await cluster.apply(base, "gitops")
    assert sorted(e["name"] for e in dig(answer.body, "spec/template/spec/containers/0/env")) == ["A", "B"]


async def test_apply_removes_its_own_container(cluster: Cluster) -> None:
    both = changed(
        deployment(replicas=0), [container(), container(name="side")], "spec", "template", "spec", "containers"
    )
    await cluster.apply(both)
    answer = await cluster.apply(deployment(replicas=0))
    assert [c["name"] for c in dig(answer.body, "spec/template/spec/containers")] == ["app"]


async def test_a_dry_run_of_apply_changes_nothing(cluster: Cluster) -> None:
    first = await cluster.apply(config())
    answer = await cluster.apply(config(data={"a": "2"}), dryRun="All")
    assert answer.body["data"] == {"a": "2"}
    kept = await cluster.get("ConfigMap", "c")
    assert kept["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]


async def test_a_stale_version_in_apply_is_a_conflict(cluster: Cluster) -> None:
    await cluster.apply(config())
    assert (await cluster.apply(config(data={"a": "2"}, resourceVersion="1"))).code == 409


async def test_updates_are_owned_too(cluster: Cluster) -> None:
    answer = await cluster.create(config(), fieldManager="maker")
    entry = answer.body["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("maker", "Update", "v1")
