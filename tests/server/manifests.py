"""Objects as an API server shows them, small enough to read in a test."""

from __future__ import annotations

from datetime import datetime, timedelta

from tools.jsontypes import JsonObject, JsonValue


def _meta(name: str, uid: str, owner: tuple[str, str, str] | None = None, **more: JsonValue) -> JsonObject:
    owners: list[JsonValue] = []
    if owner is not None:
        kind, owner_name, owner_uid = owner
        api = {"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": owner_uid, "controller": True}
        owners.append({**api})
    return {"name": name, "namespace": "shop", "uid": uid, "ownerReferences": owners, "generation": 1, **more}


def container_spec() -> JsonObject:
    return {"name": "app", "image": "registry.example/web:1"}


def deployment(
    *, ready: int = 0, name: str = "web", generation: int = 1, annotations: dict[str, JsonValue] | None = None
) -> JsonObject:
    return {
        "metadata": _meta(name, f"uid-{name}", generation=generation, annotations=annotations or {}),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container_spec()]}},
        },
        "status": {
            "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": ready, "availableReplicas": ready,
        },
    }  # fmt: skip


def replica_set(revision: str = "5d8", name: str = "web", number: int = 1) -> JsonObject:
    return {
        "metadata": _meta(
            f"{name}-{revision}", f"uid-{name}-{revision}", ("Deployment", name, f"uid-{name}"),
            labels={"app": name, "pod-template-hash": revision},
            annotations={"deployment.kubernetes.io/revision": str(number)},
        ),
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"labels": {"app": name, "pod-template-hash": revision}},
                "spec": {"containers": [container_spec()]},
            },
        },
        "status": {"replicas": 1},
    }  # fmt: skip


def pod(state: JsonObject, now: datetime, *, revision: str = "5d8", name: str = "web", restarts: int = 0) -> JsonObject:
    """One pod of one container in `state`, bound to a node and created a minute ago."""
    is_running = "running" in state
    conditions: list[JsonValue] = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True" if is_running else "False", "lastTransitionTime": stamp(now)},
    ]
    return {
        "metadata": _meta(
            f"{name}-{revision}-x", f"uid-pod-{name}-{revision}",
            ("ReplicaSet", f"{name}-{revision}", f"uid-{name}-{revision}"),
            labels={"app": name, "pod-template-hash": revision},
            creationTimestamp=stamp(now - timedelta(minutes=1)),
        ),
        "spec": {"nodeName": "n1", "containers": [container_spec()]},
        "status": {
            "phase": "Running" if is_running else "Pending",
            "startTime": stamp(now - timedelta(minutes=1)),
            "conditions": conditions,
            "containerStatuses": [
                {
                    "name": "app", "image": "registry.example/web:1", "ready": is_running, "restartCount": restarts,
                    "state": state,
                }
            ],
        },
    }  # fmt: skip


def running(now: datetime) -> JsonObject:
    return {"running": {"startedAt": stamp(now)}}


def bad_image() -> JsonObject:
    """Confirmed at the first look: a name that does not parse never becomes one that does."""
    return {"waiting": {"reason": "InvalidImageName", "message": 'couldn\'t parse image reference "Web:Latest"'}}


def missing_config() -> JsonObject:
    return {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "settings" not found'}}


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
