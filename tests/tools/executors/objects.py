"""Objects as an API server prints them, small."""

from __future__ import annotations

import copy

from tools.jsontypes import JsonObject, JsonValue

UID = "uid-web"


def container(name: str = "main", **more: JsonValue) -> JsonObject:
    return {"name": name, "image": "shop/web:1", "resources": {}, **more}


def deployment(**spec: JsonValue) -> JsonObject:
    return workload("Deployment", **spec)


def workload(kind: str = "Deployment", *, containers: list[JsonValue] | None = None, **spec: JsonValue) -> JsonObject:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": "web", "namespace": "shop", "uid": UID, "resourceVersion": "10", "generation": 3,
            "annotations": {"team": "a/b~c"},
        },
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(containers),
            **spec,
        },
        "status": {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3},
    }  # fmt: skip


def template(containers: list[JsonValue] | None = None, labels: dict[str, JsonValue] | None = None) -> JsonObject:
    metadata: JsonObject = {"creationTimestamp": None, "labels": labels or {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": containers if containers is not None else [container()]}}


def replica_set(number: int, image: str, *, owner: str = UID, name: str | None = None) -> JsonObject:
    labels: dict[str, JsonValue] = {"app": "web", "pod-template-hash": f"h{number}"}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name or f"web-{number}",
            "namespace": "shop",
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": owner, "controller": True}],
        },
        "spec": {"template": template([container(image=image)], labels)},
    }


def controller_revision(number: int, image: str, *, kind: str = "StatefulSet", owner: str = UID) -> JsonObject:
    return {
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"web-{number}",
            "namespace": "shop",
            "ownerReferences": [{"kind": kind, "name": "web", "uid": owner, "controller": True}],
        },
        "revision": number,
        "data": {"spec": {"template": {**template([container(image=image)]), "$patch": "replace"}}},
    }


def pod(
    *,
    controller: str | None = "ReplicaSet",
    phase: str = "Running",
    ready: bool = False,
    status: JsonObject | None = None,
    **metadata: JsonValue,
) -> JsonObject:
    owners: list[JsonValue] = []
    if controller:
        owners.append({"kind": controller, "name": "web-1", "uid": "uid-rs", "controller": True})
    conditions: list[JsonValue] = [{"type": "Ready", "status": "True" if ready else "False"}]
    shown = status if status is not None else {"ready": ready, "state": {"running": {}}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": "web-1-a", "namespace": "shop", "uid": "uid-pod", "resourceVersion": "5",
            "ownerReferences": owners, **metadata,
        },
        "spec": {"containers": [container()]},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": [shown]},
    }  # fmt: skip


def changed(document: JsonObject, path: str, value: JsonValue) -> JsonObject:
    """A deep copy with one dotted path set."""
    result = copy.deepcopy(document)
    here: JsonValue = result
    *above, last = path.split(".")
    for key in above:
        assert isinstance(here, dict)
        here = here.setdefault(key, {})
    assert isinstance(here, dict)
    here[last] = value
    return result
