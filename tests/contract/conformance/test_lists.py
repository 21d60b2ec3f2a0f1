"""Lists, selectors, pages, tables, and watches."""

from __future__ import annotations

from typing import Any

import pytest

from .cluster import MERGE, Cluster
from .manifests import config, dig, pod, service

ITEMS = {
    "a": {"app": "web", "tier": "front"},
    "b": {"app": "web", "tier": "back"},
    "c": {"app": "db"},
    "d": {"other": "x"},
}


async def _fill(cluster: Cluster) -> None:
    for name, labels in ITEMS.items():
        await cluster.made(config(name, labels=labels))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=web", "ab"),
        ("app==web", "ab"),
        ("app=web,tier=back", "b"),
        ("app!=web,app", "c"),
        ("app in (web, db)", "abc"),
        ("app,app notin (web)", "c"),
        ("tier", "ab"),
        ("app,!tier", "c"),
        ("app=nothing", ""),
    ],
)
async def test_label_selector(cluster: Cluster, selector: str, expected: str) -> None:
    await _fill(cluster)
    found = await cluster.list("ConfigMap", labelSelector=selector)
    assert "".join(o["metadata"]["name"] for o in found) == expected


@pytest.mark.parametrize("selector", ["app in web", "a b", "=x"])
async def test_a_bad_label_selector_is_a_bad_request(cluster: Cluster, selector: str) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"labelSelector": selector})
    assert answer.code == 400


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("metadata.name=a", ["a"]), ("metadata.name!=a,metadata.name!=kube-root-ca.crt", ["b", "c", "d"])],
)
async def test_field_selector(cluster: Cluster, selector: str, expected: list[str]) -> None:
    await _fill(cluster)
    await cluster.until(lambda: cluster.find("ConfigMap", "kube-root-ca.crt"))
    found = await cluster.list("ConfigMap", fieldSelector=selector)
    assert [o["metadata"]["name"] for o in found] == expected


@pytest.mark.parametrize(
    ("selector", "count"), [("spec.nodeName=", 1), ("status.phase=Pending", 1), ("status.phase=Running", 0)]
)
async def test_field_selectors_of_pods(cluster: Cluster, selector: str, count: int) -> None:
    await cluster.made(pod(spec={"schedulerName": "nobody"}))
    assert len(await cluster.list("Pod", fieldSelector=selector)) == count


async def test_an_unknown_field_selector_is_a_bad_request(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"fieldSelector": "data.a=1"})
    assert answer.code == 400


async def test_pages_hold_a_consistent_list(cluster: Cluster) -> None:
    await _fill(cluster)
    first = await cluster.call("GET", cluster.path("ConfigMap"), params={"limit": "2"})
    meta = first.body["metadata"]
    assert len(first.body["items"]) == 2
    assert meta["remainingItemCount"] >= 2
    await cluster.made(config("aa"))
    rest = await cluster.call("GET", cluster.path("ConfigMap"), params={"limit": "50", "continue": meta["continue"]})
    names = [o["metadata"]["name"] for o in [*first.body["items"], *rest.body["items"]]]
    assert "aa" not in names
    assert names == sorted(names)
    assert "continue" not in rest.body["metadata"]


async def test_a_bad_continue_token_is_refused(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"limit": "1", "continue": "nonsense"})
    assert answer.code in {400, 410}


async def test_a_list_names_its_kind_and_version(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"))
    assert answer.body["kind"] == "ConfigMapList"
    assert answer.body["metadata"]["resourceVersion"].isdigit()


async def test_a_version_of_the_future_times_out(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"resourceVersion": "99999999999"})
    assert answer.code == 504
    assert "Too large resource version" in answer.message


async def test_all_namespaces(cluster: Cluster) -> None:
    await cluster.made(config("a"))
    answer = await cluster.call(
        "GET", "/api/v1/configmaps", params={"fieldSelector": f"metadata.namespace={cluster.namespace}"}
    )
    assert "a" in [o["metadata"]["name"] for o in answer.body["items"]]


async def test_a_table_for_kubectl(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"schedulerName": "nobody"}))
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    answer = await cluster.call("GET", cluster.path("Pod"), headers=accept)
    assert answer.body["kind"] == "Table"
    assert [c["name"] for c in answer.body["columnDefinitions"]][:5] == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert (
        answer.body["rows"][0]["cells"][:4] == ["p", "0/1", "Pending", "0"] or answer.body["rows"][0]["cells"][3] == 0
    )


async def test_metadata_only(cluster: Cluster) -> None:
    await cluster.made(config("a"))
    accept = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
    answer = await cluster.call("GET", cluster.path("ConfigMap", "a"), headers=accept)
    assert answer.body["kind"] == "PartialObjectMetadata"
    assert "data" not in answer.body


# ---- watches


async def test_a_watch_from_a_version_sees_what_came_after(cluster: Cluster) -> None:
    made = await cluster.made(config("a"))
    await cluster.made(config("b"))
    async with cluster.watch(
        "ConfigMap", resourceVersion=made["metadata"]["resourceVersion"], fieldSelector="metadata.name=b"
    ) as seen:
        await cluster.patch("ConfigMap", "b", {"data": {"x": "1"}}, MERGE)
        await cluster.delete("ConfigMap", "b")

        async def all_three() -> bool:
            return len(seen.events) >= 3

        await cluster.until(all_three)
    assert seen.seen("b") == ["ADDED", "MODIFIED", "DELETED"]


async def test_versions_rise_in_a_watch(cluster: Cluster) -> None:
    made = await cluster.made(config("a"))
    async with cluster.watch(
        "ConfigMap", resourceVersion=made["metadata"]["resourceVersion"], labelSelector="x"
    ) as seen:
        for name in "bcd":
            await cluster.made(config(name, labels={"x": "y"}))

        async def three() -> bool:
            return len(seen.events) >= 3

        await cluster.until(three)
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in seen.events]
    assert versions == sorted(versions)


async def test_an_object_that_leaves_the_selector_is_deleted_for_the_watcher(cluster: Cluster) -> None:
    made = await cluster.made(config("a", labels={"x": "y"}))
    async with cluster.watch(
        "ConfigMap", resourceVersion=made["metadata"]["resourceVersion"], labelSelector="x=y"
    ) as seen:
        await cluster.patch("ConfigMap", "a", {"metadata": {"labels": {"x": "z"}}}, MERGE)
        await cluster.patch("ConfigMap", "a", {"metadata": {"labels": {"x": "y"}}}, MERGE)

        async def both() -> bool:
            return len(seen.events) >= 2

        await cluster.until(both)
    assert seen.seen("a") == ["DELETED", "ADDED"]


async def test_a_watch_without_a_version_begins_with_what_there_is(cluster: Cluster) -> None:
    await cluster.made(config("a", labels={"x": "y"}))
    async with cluster.watch("ConfigMap", labelSelector="x=y") as seen:

        async def one() -> bool:
            return len(seen.events) >= 1

        await cluster.until(one)
    assert seen.seen() == ["ADDED"]


async def test_initial_events_end_in_a_bookmark(cluster: Cluster) -> None:
    await cluster.made(config("a", labels={"x": "y"}))
    params = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with cluster.watch("ConfigMap", labelSelector="x=y", **params) as seen:

        async def ended() -> bool:
            return any(e["type"] == "BOOKMARK" for e in seen.events)

        await cluster.until(ended)
    assert [e["type"] for e in seen.events[:2]] == ["ADDED", "BOOKMARK"]
    mark = seen.events[1]["object"]["metadata"]
    assert mark["annotations"]["k8s.io/initial-events-end"] == "true"
    assert mark["resourceVersion"].isdigit()


async def test_initial_events_need_a_match(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"watch": "1", "sendInitialEvents": "true"})
    assert answer.code == 422


async def test_a_watch_that_asks_for_a_short_time_ends_cleanly(cluster: Cluster) -> None:
    made = await cluster.made(config("a"))
    version = made["metadata"]["resourceVersion"]
    async with cluster.watch(
        "ConfigMap", resourceVersion=version, timeoutSeconds="2", fieldSelector="metadata.name=zz"
    ) as seen:

        async def ended() -> bool:
            return seen.ended

        await cluster.until(ended, 10)
    assert seen.code == 200
    assert seen.events == []


async def test_a_version_that_is_no_number_is_refused(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"resourceVersion": "abc"})
    assert answer.code == 400
    answer = await cluster.call("GET", cluster.path("ConfigMap"), params={"watch": "1", "resourceVersion": "abc"})
    assert answer.code == 500


async def test_a_watch_of_one_name(cluster: Cluster) -> None:
    made = await cluster.made(service("a"))
    async with cluster.watch(
        "Service", resourceVersion=made["metadata"]["resourceVersion"], fieldSelector="metadata.name=b"
    ) as seen:
        await cluster.made(service("b"))
        await cluster.made(service("z"))

        async def one() -> bool:
            return len(seen.events) >= 1

        await cluster.until(one)
        await cluster.sleep(1)
    assert {dig(e, "object/metadata/name") for e in seen.events} == {"b"}


async def test_events_are_one_store_with_two_views(cluster: Cluster) -> None:
    now = "2026-01-01T00:00:00.000000Z"
    event: dict[str, Any] = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": cluster.namespace},
        "regarding": {"kind": "Pod", "name": "p", "namespace": cluster.namespace},
        "reason": "Testing",
        "note": "a note",
        "type": "Normal",
        "action": "Test",
        "eventTime": now,
        "reportingController": "conformance",
        "reportingInstance": "c-1",
    }
    answer = await cluster.call("POST", f"/apis/events.k8s.io/v1/namespaces/{cluster.namespace}/events", event)
    assert answer.code == 201, answer.body
    core = await cluster.get("Event", "e")
    assert core["involvedObject"]["name"] == "p"
    assert (core["message"], core["reportingComponent"]) == ("a note", "conformance")
    found = await cluster.list("Event", fieldSelector="involvedObject.name=p,reason=Testing")
    assert len(found) == 1
