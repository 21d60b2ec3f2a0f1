"""Objects that are no pods, as an API server sends them, a view that holds them, and a journal that knows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from graph.incident import Reason, Signal
from graph.signals.look import look_at_object
from graph.signals.object_contexts import ObjectContexts
from tests.graph.signals.samples import at, container, running, stamp, status
from tests.graph.signals.samples import pod as sample_pod
from tools.cluster.documents import (
    ConfigMap,
    Document,
    HorizontalPodAutoscaler,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    Service,
)
from tools.cluster.objects import (
    ClusterEvent,
    Controller,
    CronJob,
    Deployment,
    Job,
    Node,
    Pod,
    ReplicaSet,
    StatefulSet,
    Workload,
    decode_json,
)
from tools.cluster.structs import KubeObject, Reference
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ObjectRef

T = TypeVar("T", bound=KubeObject)
D = TypeVar("D", bound=Document)


class World:
    """A view with just what a test puts into it; every kind is held unless `unseen` names it."""

    def __init__(self, *objects: KubeObject, unseen: Sequence[str] = ()) -> None:
        self.objects = list(objects)
        self.unseen = unseen

    def _all(self, struct: type[T], namespace: str | None = None) -> list[T]:
        return [o for o in self.objects if isinstance(o, struct) and namespace in (None, o.namespace)]

    def _below(self, struct: type[T], uid: str) -> list[T]:
        return [o for o in self._all(struct) if any(r.uid == uid for r in o.metadata.owner_references)]

    def pods(self, namespace: str | None = None) -> list[Pod]:
        return self._all(Pod, namespace)

    def pods_of(self, owner_uid: str) -> list[Pod]:
        between = [owner_uid, *(o.uid for o in (*self._below(ReplicaSet, owner_uid), *self._below(Job, owner_uid)))]
        return [pod for uid in between for pod in self._below(Pod, uid)]

    def workloads(self, namespace: str | None = None) -> list[Workload]:
        return [o for o in self.objects if isinstance(o, Workload) and namespace in (None, o.namespace)]

    def controller(self, kind: str, namespace: str | None, name: str) -> Controller | None:
        held = [o for o in self.objects if isinstance(o, Controller)]
        return next((o for o in held if (o.kind, o.namespace, o.name) == (kind, namespace, name)), None)

    def replica_sets_of(self, deployment_uid: str) -> list[ReplicaSet]:
        return self._below(ReplicaSet, deployment_uid)

    def jobs_of(self, owner_uid: str) -> list[Job]:
        return self._below(Job, owner_uid)

    def nodes(self) -> list[Node]:
        return self._all(Node)

    def node(self, name: str) -> Node | None:
        return next((n for n in self.nodes() if n.name == name), None)

    def events_for(self, uid: str) -> list[ClusterEvent]:
        return [e for e in self._all(ClusterEvent) if e.regarding.uid == uid]

    def documents(self, struct: type[D], namespace: str | None = None) -> list[D]:
        return self._all(struct, namespace)

    def find(self, ref: Reference) -> KubeObject | None:
        def is_meant(item: KubeObject) -> bool:
            is_custom = item.kind == f"{ref.kind}.{ref.group}"
            if not is_custom and (item.kind, item.api_version) != (ref.kind, ref.api_version):
                return False
            return item.uid == ref.uid if ref.uid else (item.namespace, item.name) == (ref.namespace, ref.name)

        return next((o for o in self.objects if is_meant(o)), None)

    def holds(self, kind: str, api_version: str) -> bool:
        return bool(api_version) and kind not in self.unseen


class Journal:
    """A journal that knows what a test says."""

    def __init__(
        self,
        *,
        good: Mapping[str, JsonObject] | None = None,
        declared: Mapping[str, JsonObject] | None = None,
        differs: Mapping[str, tuple[str, ...]] | None = None,
        changed: Mapping[str, datetime] | None = None,
        owners: Mapping[str, Sequence[str]] | None = None,
        replaced: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._replaced = replaced or {}
        self._good, self._declared, self._differs = good or {}, declared or {}, differs or {}
        self._changed, self._owners = changed or {}, owners or {}

    def declared(self, ref: ObjectRef) -> JsonObject | None:
        return self._declared.get(str(ref))

    def known_good(self, ref: ObjectRef) -> JsonObject | None:
        return self._good.get(str(ref))

    def differences_from_declared(self, item: KubeObject) -> tuple[str, ...]:
        return self._differs.get(str(item.ref), ())

    def changed_since_good(self, ref: ObjectRef) -> datetime | None:
        return self._changed.get(str(ref))

    def owners_when_good(self, ref: ObjectRef) -> frozenset[ObjectRef] | None:
        found = self._owners.get(str(ref))
        return None if found is None else frozenset(ObjectRef.parse(text) for text in found)

    def declared_refs(self) -> Iterable[ObjectRef]:
        return [ObjectRef.parse(text) for text in self._declared]

    def replaced(self, ref: ObjectRef, path: str) -> str | None:
        return self._replaced.get((str(ref), path))


def look(item: KubeObject, world: World, journal: Journal | None = None, *, now: float = 0) -> list[Signal]:
    """The signals of one look with no memory of earlier ones."""
    return look_at_object(item, ObjectContexts(world, journal or Journal()), at(now))


def said(signals: Sequence[Signal]) -> list[tuple[Reason, float | None]]:
    """Reason and the second at which it is due; None once it is confirmed."""
    return [(s.reason, None if s.due_at is None else (s.due_at - at(0)).total_seconds()) for s in signals]


def metadata(name: str, uid: str = "", **extra: JsonValue) -> JsonObject:
    return {
        "name": name,
        "namespace": "shop",
        "uid": uid or f"uid-{name}",
        "generation": 2,
        "resourceVersion": "9",
        "creationTimestamp": stamp(-3600),
        **extra,
    }


def owner(kind: str, name: str, uid: str = "", api: str = "apps/v1") -> JsonObject:
    return {"apiVersion": api, "kind": kind, "name": name, "uid": uid or f"uid-{name}", "controller": True}


def service(
    selector: Mapping[str, str] | None = None, *ports: JsonObject, name: str = "web", **spec: JsonValue
) -> Service:
    wanted: JsonObject = {"selector": dict({"app": "web"} if selector is None else selector), "type": "ClusterIP"}
    wanted["ports"] = list(ports or (http(),))
    return decode_json(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": {**wanted, **spec}}, Service
    )


def http(target: str | int = "http", **extra: JsonValue) -> JsonObject:
    return {"name": "http", "port": 80, "targetPort": target, "protocol": "TCP", **extra}


def web_pod(
    name: str = "web-1",
    labels: Mapping[str, str] | None = None,
    *,
    ports: Sequence[JsonObject] = ({"name": "http", "containerPort": 8080},),
    of: str = "web",
    deleting: bool = False,
    phase: str = "Running",
    node: str = "node1",
    conditions: Mapping[str, JsonObject] | None = None,
    **container_extra: JsonValue,
) -> Pod:
    return sample_pod(
        status(running(), ready=True),
        phase=phase,
        containers=[container(ports=list(ports), **container_extra)],
        labels=dict(labels or {"app": "web"}),
        owner=owner("ReplicaSet", f"{of}-7f9c"),
        name=name,
        uid=f"uid-{name}",
        deleting=deleting,
        node=node,
        conditions=conditions,
    )


def deployed(
    name: str = "web",
    labels: Mapping[str, str] | None = None,
    *,
    replicas: int = 2,
    paused: bool = False,
    generation: int = 2,
    pod_spec: JsonObject | None = None,
    **status_extra: JsonValue,
) -> Deployment:
    template: JsonObject = {
        "metadata": {"labels": dict(labels or {"app": name})},
        "spec": pod_spec or {"containers": [container()]},
    }
    counts: JsonObject = {
        "observedGeneration": generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
    }
    return decode_json(
        {
            "metadata": {**metadata(name), "generation": generation},
            "spec": {"replicas": replicas, "paused": paused, "template": template},
            "status": {**counts, **status_extra},
        },
        Deployment,
    )


def replica_set(name: str = "web") -> ReplicaSet:
    """The ReplicaSet between a Deployment and the pods of `web_pod`."""
    return decode_json({"metadata": metadata(f"{name}-7f9c", ownerReferences=[owner("Deployment", name)])}, ReplicaSet)


def stateful(name: str = "db", *, service_name: str = "db", replicas: int = 2, running: int = 2) -> StatefulSet:
    template: JsonObject = {"metadata": {"labels": {"app": name}}, "spec": {}}
    spec: JsonObject = {"replicas": replicas, "serviceName": service_name, "template": template}
    return decode_json({"metadata": metadata(name), "spec": spec, "status": {"replicas": running}}, StatefulSet)


def config_map(name: str = "settings", **extra: JsonValue) -> ConfigMap:
    body: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name, **extra),
        "data": {"a": "b"},
    }
    return decode_json(body, ConfigMap)


def hpa(
    *conditions: JsonObject, target: str = "web", owned: bool = False, **spec: JsonValue
) -> HorizontalPodAutoscaler:
    meta = metadata("web", uid="uid-hpa")
    if owned:
        meta["ownerReferences"] = [owner("ScaledObject", "web", api="keda.sh/v1alpha1")]
    aim: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    wanted: JsonObject = {"scaleTargetRef": aim, "minReplicas": 1, "maxReplicas": 4, **spec}
    return decode_json(
        {"metadata": meta, "spec": wanted, "status": {"conditions": list(conditions)}}, HorizontalPodAutoscaler
    )


def budget(
    *, expected: int = 2, healthy: int = 2, allowed: int = 0, observed: int = 2, **spec: JsonValue
) -> PodDisruptionBudget:
    counts: JsonObject = {
        "expectedPods": expected,
        "currentHealthy": healthy,
        "disruptionsAllowed": allowed,
        "observedGeneration": observed,
    }
    wanted: JsonObject = {"selector": {"matchLabels": {"app": "web"}}, **(spec or {"maxUnavailable": 0})}
    return decode_json({"metadata": metadata("web"), "spec": wanted, "status": counts}, PodDisruptionBudget)


def claim(phase: str = "Pending", *, age: float = 0, **meta: JsonValue) -> PersistentVolumeClaim:
    body: JsonObject = {
        "metadata": {**metadata("data"), "creationTimestamp": stamp(-age), **meta},
        "spec": {},
        "status": {"phase": phase},
    }
    return decode_json(body, PersistentVolumeClaim)


def node(
    *conditions: JsonObject,
    taints: Sequence[JsonObject] = (),
    unschedulable: bool = False,
    age: float = 86_400,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    ready: str = "True",
    since: float = 0,
    name: str = "node1",
) -> Node:
    state: JsonObject = {"type": "Ready", "status": ready, "reason": "Kubelet", "lastTransitionTime": stamp(since)}
    body: JsonObject = {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": stamp(-age),
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
        },
        "spec": {"unschedulable": unschedulable, "taints": list(taints)},
        "status": {"conditions": [*([state] if ready else []), *conditions]},
    }
    return decode_json(body, Node)


def taint(key: str, value: str = "yes", effect: str = "NoExecute", *, added: float | None = None) -> JsonObject:
    body: JsonObject = {"key": key, "value": value, "effect": effect}
    return body if added is None else {**body, "timeAdded": stamp(added)}


def job(
    *conditions: JsonObject,
    name: str = "tick-1",
    cron: str = "",
    active: int = 0,
    started: float = 0,
    deadline: int | None = None,
    suspend: bool = False,
    of: JsonObject | None = None,
) -> Job:
    meta = metadata(name, creationTimestamp=stamp(started))
    if cron or of:
        meta["ownerReferences"] = [of or owner("CronJob", cron, api="batch/v1")]
    spec: JsonObject = {"suspend": suspend, "template": {"spec": {}}}
    if deadline is not None:
        spec["activeDeadlineSeconds"] = deadline
    counts: JsonObject = {"active": active, "startTime": stamp(started), "conditions": list(conditions)}
    return decode_json({"metadata": meta, "spec": spec, "status": counts}, Job)


def cron_job(
    *active: str, schedule: str = "*/1 * * * *", policy: str = "Forbid", suspend: bool = False, zone: str = ""
) -> CronJob:
    spec: JsonObject = {"schedule": schedule, "concurrencyPolicy": policy, "suspend": suspend, "timeZone": zone}
    listed: list[JsonValue] = [{"kind": "Job", "name": name, "uid": f"uid-{name}"} for name in active]
    return decode_json({"metadata": metadata("tick"), "spec": spec, "status": {"active": listed}}, CronJob)


def event(uid: str, reason: str, note: str, seconds: float = 0) -> ClusterEvent:
    return decode_json(
        {
            "metadata": {"name": f"e-{reason}", "namespace": "shop"},
            "regarding": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": "shop",
                "name": "data",
                "uid": uid,
            },
            "reason": reason,
            "note": note,
            "eventTime": stamp(seconds),
        },
        ClusterEvent,
    )
