"""History as the API server tells it, for the three kinds."""

from __future__ import annotations

import pytest

from tools.cluster.resources import CONTROLLER_REVISION, POD, REPLICA_SET, Resource
from tools.errors import NotFound, Undecodable
from tools.journal.revisions import read_history, selector_text
from tools.jsontypes import JsonObject, JsonValue


class Shelf:
    """A reader over objects that are already there."""

    def __init__(self, **objects: list[JsonObject]) -> None:
        self.objects = objects
        self.selectors: list[str | None] = []

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        raise NotFound(f"{resource.kind} {name}")

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
    ) -> list[JsonObject]:
        assert namespace == "shop"
        self.selectors.append(label_selector)
        return self.objects.get(resource.plural, [])


def template(image: str, **labels: JsonValue) -> JsonObject:
    return {"metadata": {"creationTimestamp": None, "labels": {"app": "web", **labels}}, "spec": spec(image)}


def spec(image: str) -> JsonObject:
    return {"containers": [{"name": "app", "image": image}]}


def owned(name: str, uid: str = "uid", **metadata: JsonValue) -> JsonObject:
    owners: list[JsonValue] = [{"uid": uid, "controller": True, "kind": "Any", "name": "web"}]
    return {
        "name": name,
        "namespace": "shop",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "ownerReferences": owners,
    } | metadata


def live(kind: str, image: str, *, seen: int = 4, number: str = "2", **status: JsonValue) -> JsonObject:
    return {
        "kind": kind,
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "uid",
            "generation": 4,
            "annotations": {"deployment.kubernetes.io/revision": number},
        },
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template(image)},
        "status": {"observedGeneration": seen, **status},
    }


def replica_set(
    name: str, number: str, image: str, *, uid: str = "uid", ready: int = 0, formerly: str = ""
) -> JsonObject:
    annotations: JsonObject = {"deployment.kubernetes.io/revision": number}
    if formerly:
        annotations["deployment.kubernetes.io/revision-history"] = formerly
    return {
        "metadata": owned(f"web-{name}", uid, labels={"pod-template-hash": name}, annotations=annotations),
        "spec": {"template": template(image, **{"pod-template-hash": name})},
        "status": {"readyReplicas": ready} if ready else {},
    }


def controller_revision(name: str, number: int, image: str, *, label: str, uid: str = "uid") -> JsonObject:
    body: JsonObject = {"spec": {"template": {"$patch": "replace", **template(image)}}}
    return {"metadata": owned(name, uid, labels={"controller-revision-hash": label}), "revision": number, "data": body}


def pod(name: str, label: str, *, ready: bool = True, uid: str = "uid", **metadata: JsonValue) -> JsonObject:
    condition: JsonObject = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": owned(name, uid, labels={"controller-revision-hash": label}, **metadata),
        "status": {"conditions": [condition]},
    }


SETS = [
    replica_set("b", "2", "web:2"),
    replica_set("a", "1", "web:1", ready=2),
    replica_set("x", "9", "web:9", uid="a namesake's"),
    {"metadata": owned("web-odd"), "spec": {}},
]


async def test_a_deployments_history_is_its_replica_sets() -> None:
    shelf = Shelf(replicasets=SETS)
    history = await read_history(shelf, live("Deployment", "web:2"))
    assert [(r.number, r.hash, r.name, r.ready) for r in history.revisions] == [
        (2, "b", "web-b", 0),
        (1, "a", "web-a", 2),
    ]
    assert history.current is not None
    assert (history.current.number, [r.number for r in history.earlier]) == (2, [1])
    assert history.current.template == {"metadata": {"labels": {"app": "web"}}, "spec": spec("web:2")}
    assert shelf.selectors == ["app=web"]
    assert (str(history.owner), history.owner_uid) == ("shop/Deployment/web", "uid")


async def test_the_present_revision_is_the_one_with_the_same_template_whatever_its_number() -> None:
    history = await read_history(Shelf(replicasets=SETS), live("Deployment", "web:1"))
    assert history.current is not None
    assert history.current.number == 1


async def test_before_the_controller_has_acted_the_present_revision_is_unknown() -> None:
    history = await read_history(Shelf(replicasets=SETS), live("Deployment", "web:3", seen=3))
    assert history.current is None
    assert [r.number for r in history.earlier] == [2, 1]


async def test_a_template_that_only_defaults_tell_apart_is_found_by_the_controllers_word() -> None:
    history = await read_history(Shelf(replicasets=SETS), live("Deployment", "web:2-with-defaults"))
    assert history.current is not None
    assert history.current.number == 2


async def test_former_numbers_and_the_time_of_the_rollout_are_read() -> None:
    sets = [replica_set("a", "5", "web:1", formerly="1,3"), replica_set("b", "4", "web:2")]
    conditions: list[JsonValue] = [{"type": "Progressing", "lastUpdateTime": "2026-03-01T12:34:56Z"}]
    history = await read_history(Shelf(replicasets=sets), live("Deployment", "web:1", conditions=conditions))
    assert history.revisions[0].formerly == (1, 3)
    assert history.rolled_at is not None
    assert history.rolled_at.minute == 34


async def test_pods_of_a_stateful_set_bear_the_revisions_name() -> None:
    shelf = Shelf(
        controllerrevisions=[
            controller_revision("web-aaa", 1, "web:1", label="web-aaa"),
            controller_revision("web-bbb", 2, "web:2", label="web-bbb"),
            controller_revision("web-zzz", 7, "web:7", label="web-zzz", uid="another"),
        ],
        pods=[
            pod("web-0", "web-aaa"),
            pod("web-1", "web-bbb", ready=False),
            pod("web-2", "web-aaa", deletionTimestamp="2026-03-01T12:00:00Z"),
            pod("web-3", "web-aaa", uid="another"),
        ],
    )
    history = await read_history(shelf, live("StatefulSet", "web:2", updateRevision="web-bbb"))
    assert [(r.number, r.hash, r.ready) for r in history.revisions] == [(2, "web-bbb", 0), (1, "web-aaa", 1)]
    assert history.current is not None
    assert history.current.hash == "web-bbb"
    assert history.by_hash("web-aaa") is history.earlier[0]


async def test_pods_of_a_daemon_set_bear_the_hash_alone() -> None:
    shelf = Shelf(
        controllerrevisions=[
            controller_revision("web-aaa", 1, "web:1", label="aaa"),
            controller_revision("web-bbb", 2, "web:2", label="bbb"),
        ],
        pods=[pod("web-x", "aaa"), pod("web-y", "aaa")],
    )
    history = await read_history(shelf, live("DaemonSet", "web:2"))
    assert [(r.number, r.hash, r.ready) for r in history.revisions] == [(2, "bbb", 0), (1, "aaa", 2)]
    assert history.current is not None
    assert history.current.number == 2


@pytest.mark.parametrize(("kind", "number"), [("StatefulSet", 1), ("DaemonSet", 2)])
async def test_the_other_kinds_fall_back_to_the_controllers_word(kind: str, number: int) -> None:
    revisions = [controller_revision(f"web-{n}", n, f"web:{n}", label=f"{n}") for n in (1, 2)]
    history = await read_history(Shelf(controllerrevisions=revisions), live(kind, "web:odd", updateRevision="web-1"))
    assert history.current is not None
    assert history.current.number == number


async def test_no_history_at_all() -> None:
    history = await read_history(Shelf(), live("Deployment", "web:1"))
    assert (history.current, history.revisions, history.earlier) == (None, (), ())


async def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="Job has no revisions"):
        await read_history(Shelf(), live("Job", "x"))


async def test_a_manifest_without_identity_is_refused() -> None:
    with pytest.raises(Undecodable, match="carry no kind"):
        await read_history(Shelf(), {"metadata": {"name": "web"}})


def test_selectors() -> None:
    selector: JsonObject = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "zone", "operator": "NotIn", "values": ["c"]},
            {"key": "x", "operator": "Exists"},
            {"key": "y", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "app=web,tier in (a,b),zone notin (c),x,!y"
    with pytest.raises(Undecodable, match="operator 'Gt'"):
        selector_text({"matchExpressions": [{"key": "x", "operator": "Gt"}]})


def test_the_lists_are_of_the_right_resources() -> None:
    assert [r.plural for r in (REPLICA_SET, CONTROLLER_REVISION, POD)] == ["replicasets", "controllerrevisions", "pods"]
