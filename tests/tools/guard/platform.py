"""What the sound world of `setting` holds for actions on nodes, Jobs, schedules, claims and autoscalers."""

from __future__ import annotations

from typing import Any

from tests.tools.executors.objects import workload
from tools.jsontypes import JsonObject, JsonValue, dig_str
from tools.refs import ObjectRef
from tools.registry import OF_ARGOCD, OF_CROSSPLANE

ARGUMENTS: dict[str, dict[str, Any]] = {
    "resume_rollout": {"name": "held"},
    "cordon_node": {"name": "n1"},
    "uncordon_node": {"name": "n2"},
    "remove_taint": {"name": "n1", "key": "team.example/held", "effect": "NoSchedule"},
    "rerun_job": {"name": "import", "number": 1, "deadline_seconds": 60},
    "delete_job": {"name": "nightly-1"},
    "remove_failed_job": {"name": "import"},
    "recreate_failed_job": {"name": "import", "deadline_seconds": 60},
    "suspend_cronjob": {"name": "nightly"},
    "resume_cronjob": {"name": "weekly"},
    "expand_pvc": {"name": "data", "size": "20Gi"},
    "remove_unbound_pvc": {"name": "waiting"},
    "recreate_unbound_pvc": {"name": "waiting", "storage_class": "fast"},
    "set_hpa_bounds": {"name": "web", "min_replicas": None, "max_replicas": 8},
    "keda_resume": {"kind": "ScaledObject", "name": "paused"},
    "keda_pause": {"kind": "ScaledObject", "name": "scaled"},
    "keda_set_bounds": {"name": "scaled", "min_replicas": None, "max_replicas": 8},
}
FOR_PEOPLE = frozenset(ARGUMENTS) - {"set_hpa_bounds", "keda_set_bounds"}
"""All of them wait for a person but those that set bounds."""
COMPLETING = frozenset({"recreate_unbound_pvc", "recreate_failed_job"})
"""What another step of the same plan has to come before; alone it can be judged but not carried out."""
REMOTE = frozenset((*OF_ARGOCD, *OF_CROSSPLANE, "run_script", "drain_node"))
"""What needs a connection or a list of its own, or takes several calls; the suites of those have them."""
RERUN = ObjectRef(kind="Job", namespace="shop", name="import-rerun-1")


def head(kind: str, name: str, *, namespace: str | None = "shop", **more: JsonValue) -> JsonObject:
    where: JsonObject = {} if namespace is None else {"namespace": namespace}
    return {"kind": kind, "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "20", **where, **more}}


def node(name: str, *, ready: str = "True", labels: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    made = head("Node", name, namespace=None, labels=labels or {})
    return {**made, "spec": {**spec}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def job(name: str, *, owner: str = "", ended: str = "", **spec: JsonValue) -> JsonObject:
    labels: JsonObject = {"job-name": name, "batch.kubernetes.io/controller-uid": f"uid-{name}", "app": "books"}
    owners: list[JsonValue] = [{"kind": "CronJob", "name": owner, "uid": f"uid-{owner}", "controller": True}]
    conditions: list[JsonValue] = [{"type": ended, "status": "True"}] if ended else []
    body: JsonObject = {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": f"uid-{name}"}},
        "backoffLimit": 0,
        "template": {"metadata": {"labels": {**labels}}, "spec": {"containers": [{"name": "main", "image": "b:1"}]}},
        **spec,
    }
    made = head("Job", name, generation=1, labels=labels, ownerReferences=owners if owner else [])
    return {"apiVersion": "batch/v1", **made, "spec": body, "status": {"conditions": conditions}}


def cron_job(name: str, *, suspend: bool) -> JsonObject:
    return {**head("CronJob", name, generation=1), "spec": {"schedule": "0 0 * * *", "suspend": suspend}}


def claim(name: str, storage_class: str, *, bound: bool, size: str = "10Gi", **metadata: JsonValue) -> JsonObject:
    spec: JsonObject = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": storage_class,
    }
    if bound:
        spec["volumeName"] = f"pv-{name}"
    status: JsonObject = {"phase": "Bound", "capacity": {"storage": size}} if bound else {"phase": "Pending"}
    return {**head("PersistentVolumeClaim", name, **metadata), "spec": spec, "status": status}


def storage_class(name: str, *, grows: bool = True) -> JsonObject:
    return {**head("StorageClass", name, namespace=None), "provisioner": "x", "allowVolumeExpansion": grows}


def autoscaler(least: int = 2, greatest: int = 4, *, running: int = 2) -> JsonObject:
    spec: JsonObject = {
        "scaleTargetRef": {"kind": "Deployment", "name": "held"},
        "minReplicas": least,
        "maxReplicas": greatest,
    }
    made = head("HorizontalPodAutoscaler", "web")
    return {**made, "spec": spec, "status": {"currentReplicas": running}}


def scaled_object(
    name: str, least: int = 2, greatest: int = 4, *, annotations: JsonObject | None = None, **spec: JsonValue
) -> JsonObject:
    made = head("ScaledObject", name, generation=1, annotations=annotations or {})
    body: JsonObject = {"scaleTargetRef": {"name": "held"}, "minReplicaCount": least, "maxReplicaCount": greatest}
    return {"apiVersion": "keda.sh/v1alpha1", **made, "spec": {**body, **spec}, "status": {}}


def held() -> JsonObject:
    made = workload("Deployment", paused=True)
    return {**made, "metadata": {**dict(head("Deployment", "held", generation=3)["metadata"])}}  # type: ignore[arg-type, call-overload]


TAINT: JsonObject = {"key": "team.example/held", "effect": "NoSchedule", "value": "yes"}


def documents() -> list[JsonObject]:
    return [
        held(),
        node("n1", taints=[TAINT]),
        node("n2", unschedulable=True),
        node("n3"),
        job("import", ended="Failed"),
        job("nightly-1", owner="nightly"),
        cron_job("nightly", suspend=False),
        cron_job("weekly", suspend=True),
        claim("data", "fast", bound=True),
        claim("waiting", "misspelt", bound=False),
        storage_class("fast"),
        autoscaler(),
        scaled_object("scaled"),
        scaled_object("paused", annotations={"autoscaling.keda.sh/paused": "true"}),
    ]


def refs() -> list[tuple[ObjectRef, JsonObject]]:
    """The objects that an incident may name, each with its reference."""
    return [
        (
            ObjectRef(
                kind=dig_str(d, "kind"),
                namespace=dig_str(d, "metadata", "namespace") or None,
                name=dig_str(d, "metadata", "name"),
            ),
            d,
        )
        for d in documents()
    ]
