"""Pods and workloads as an API server sends them, decoded by the real decoder; a test changes what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tools.cluster.objects import DaemonSet, Deployment, Pod, StatefulSet, decode_json
from tools.jsontypes import JsonObject, JsonValue

T0 = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
"""When the pod was created."""


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).isoformat().replace("+00:00", "Z")


def waiting(reason: str, message: str = "") -> JsonObject:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def running(since: float = 2) -> JsonObject:
    return {"running": {"startedAt": stamp(since)}}


def ended(code: int, reason: str = "", *, ran: tuple[float, float] = (2, 3), message: str = "") -> JsonObject:
    body: JsonObject = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": stamp(ran[0]),
        "finishedAt": stamp(ran[1]),
        "containerID": "containerd://0123",
    }
    if message:
        body["message"] = message
    return {"terminated": body}


def never_started(message: str) -> JsonObject:
    """What containerd leaves of a process that could not be started: a start in 1970."""
    return {
        "terminated": {
            "exitCode": 128,
            "reason": "StartError",
            "message": message,
            "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": stamp(2),
        }
    }


def status(
    state: JsonObject,
    *,
    name: str = "app",
    last: JsonObject | None = None,
    restarts: int = 0,
    ready: bool = False,
    started: bool | None = None,
) -> JsonObject:
    return {
        "name": name,
        "image": "registry.example/shop/web:1",
        "imageID": "",
        "ready": ready,
        "started": started,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


LIVENESS: JsonObject = {"httpGet": {"path": "/livez", "port": 8080}, "periodSeconds": 5, "failureThreshold": 3}
READINESS: JsonObject = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 2, "failureThreshold": 2}


def container(name: str = "app", **extra: JsonValue) -> JsonObject:
    return {"name": name, "image": "registry.example/shop/web:1", "imagePullPolicy": "IfNotPresent", **extra}


def pod(
    *statuses: JsonObject,
    phase: str = "Pending",
    containers: Sequence[JsonObject] | None = None,
    init: Sequence[JsonObject] = (),
    init_statuses: Sequence[JsonObject] = (),
    conditions: Mapping[str, JsonObject] | None = None,
    node: str = "node1",
    restart_policy: str = "Always",
    deleting: bool = False,
    labels: Mapping[str, str] | None = None,
    owner: JsonObject | None = None,
    name: str = "web-7f9c-abcde",
    uid: str = "pod-uid",
    reason: str = "",
    message: str = "",
    grace: int | None = None,
) -> Pod:
    scheduled: JsonObject = {"status": "True", "lastTransitionTime": stamp(0)}
    known = {"PodScheduled": scheduled, **(conditions or {})}
    metadata: JsonObject = {
        "name": name,
        "namespace": "shop",
        "uid": uid,
        "resourceVersion": "7",
        "creationTimestamp": stamp(0),
        "labels": dict(labels or {"app": "web", "pod-template-hash": "7f9c"}),
        "ownerReferences": [
            owner
            or {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7f9c", "uid": "rs", "controller": True}
        ],
        "managedFields": [{"manager": "kubelet", "operation": "Update"}],
    }
    if deleting:
        metadata["deletionTimestamp"] = stamp(30)
    spec: JsonObject = {
        "containers": list(containers or [container()]),
        "initContainers": list(init),
        "restartPolicy": restart_policy,
        "nodeName": node,
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": grace,
    }
    body: JsonObject = {
        "phase": phase,
        "startTime": stamp(0),
        "qosClass": "Burstable",
        "conditions": [{"type": kind, **value} for kind, value in known.items()],
        "containerStatuses": list(statuses),
        "initContainerStatuses": list(init_statuses),
    }
    if reason:
        body |= {"reason": reason, "message": message}
    return decode_json({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": body}, Pod)


def not_ready(since: float, reason: str = "ContainersNotReady") -> dict[str, JsonObject]:
    return {"Ready": {"status": "False", "reason": reason, "lastTransitionTime": stamp(since)}}


def is_ready(since: float) -> dict[str, JsonObject]:
    return {"Ready": {"status": "True", "lastTransitionTime": stamp(since)}}


def unschedulable(message: str, reason: str = "Unschedulable") -> dict[str, JsonObject]:
    condition: JsonObject = {
        "status": "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(0),
    }
    return {"PodScheduled": condition}


def _metadata(name: str, uid: str, **extra: JsonValue) -> JsonObject:
    return {"name": name, "namespace": "shop", "uid": uid, "generation": 3, "creationTimestamp": stamp(-900), **extra}


def deployment(
    *conditions: JsonObject,
    replicas: int = 2,
    paused: bool = False,
    deleting: bool = False,
    deadline: int = 600,
    **status_extra: JsonValue,
) -> Deployment:
    metadata = _metadata("web", "dep")
    if deleting:
        metadata["deletionTimestamp"] = stamp(0)
    body: JsonObject = {
        "observedGeneration": 3,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": list(conditions),
        **status_extra,
    }
    spec: JsonObject = {
        "replicas": replicas,
        "paused": paused,
        "progressDeadlineSeconds": deadline,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"spec": {"containers": [container()]}},
    }
    return decode_json({"kind": "Deployment", "metadata": metadata, "spec": spec, "status": body}, Deployment)


def stateful_set(*, replicas: int = 2, missing: int = 0, generation: int = 3, **status_extra: JsonValue) -> StatefulSet:
    body: JsonObject = {
        "observedGeneration": generation,
        "replicas": replicas - missing,
        "readyReplicas": replicas,
        "updatedReplicas": replicas,
        "currentReplicas": replicas,
        "currentRevision": "db-1",
        "updateRevision": "db-1",
        **status_extra,
    }
    spec: JsonObject = {"replicas": replicas, "selector": {"matchLabels": {"app": "db"}}, "template": {"spec": {}}}
    return decode_json(
        {
            "kind": "StatefulSet",
            "metadata": _metadata("db", "sts", generation=generation),
            "spec": spec,
            "status": body,
        },
        StatefulSet,
    )


def daemon_set(*, desired: int = 2, generation: int = 3, **status_extra: JsonValue) -> DaemonSet:
    body: JsonObject = {
        "observedGeneration": generation,
        "desiredNumberScheduled": desired,
        "currentNumberScheduled": desired,
        "updatedNumberScheduled": desired,
        "numberReady": desired,
        "numberAvailable": desired,
        **status_extra,
    }
    metadata = _metadata(
        "agent", "ds", generation=generation, annotations={"deprecated.daemonset.template.generation": "2"}
    )
    return decode_json(
        {"kind": "DaemonSet", "metadata": metadata, "spec": {"template": {"spec": {}}}, "status": body}, DaemonSet
    )


def condition_of(kind: str, value: str, reason: str, message: str = "", since: float = 0) -> JsonObject:
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(since),
        "lastUpdateTime": stamp(since),
    }
