"""From compact objects of the watch to the facts that rules, people and models read; pure.

Nothing is judged here: a number stays a number, and a message is redacted and cut, because it is untrusted.
"""

from __future__ import annotations

from graph.observed import ContainerFacts, ContainerSpec, EventFacts, PodFacts, WorkloadFacts
from tools.cluster.objects import ClusterEvent, ContainerStatus, DaemonSet, Deployment, Pod, StatefulSet, Workload
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_str
from tools.redact import excerpt
from tools.refs import ObjectRef

REVISION_LABELS = ("pod-template-hash", "controller-revision-hash")
DEPLOYMENT_REVISION = "deployment.kubernetes.io/revision"


def pod_revision(pod: Pod) -> str:
    """The revision the pod was made from; "" when it bears none."""
    labels = pod.metadata.labels or {}
    return next((labels[name] for name in REVISION_LABELS if labels.get(name)), "")


def workload_facts(workload: Workload, revision_hash: str) -> WorkloadFacts:
    """What the owner's status says, in the same words for all three kinds."""
    meta = workload.metadata
    desired, updated, ready, available, total = counters(workload)
    annotations = meta.annotations or {}
    number = annotations.get(DEPLOYMENT_REVISION, "")
    return WorkloadFacts(
        ref=ObjectRef(kind=kind_of(workload), namespace=meta.namespace, name=meta.name),
        uid=meta.uid,
        generation=meta.generation or 0,
        observed_generation=workload.status.observed_generation or 0,
        desired=desired,
        updated=updated,
        ready=ready,
        available=available,
        surplus=max(0, total - desired),
        paused=isinstance(workload, Deployment) and bool(workload.spec.paused),
        ordered=isinstance(workload, StatefulSet) and workload.spec.pod_management_policy != "Parallel",
        revision=int(number) if number.isdigit() else None,
        revision_hash=revision_hash,
        conditions=tuple(
            excerpt(f"{c.type}={c.status}/{c.reason}: {c.message}", 400) for c in workload.status.conditions or ()
        ),
    )


def kind_of(workload: Workload) -> str:
    """The kind as a manifest names it."""
    return type(workload).__name__


def counters(workload: Workload) -> tuple[int, int, int, int, int]:
    """Desired, updated, ready, available and all pods, as the controller counted them."""
    match workload:
        case Deployment(spec=spec, status=status):
            return (
                spec.replicas,
                status.updated_replicas,
                status.ready_replicas,
                status.available_replicas,
                status.replicas,
            )
        case StatefulSet(spec=spec, status=status):
            return (
                spec.replicas,
                status.updated_replicas,
                status.ready_replicas,
                status.available_replicas,
                status.replicas,
            )
        case DaemonSet(status=status):
            desired = status.desired_number_scheduled
            ready, available = status.number_ready, status.number_available
            return desired, status.updated_number_scheduled, ready, available, desired


def is_complete(work: WorkloadFacts) -> bool:
    """The controller has seen the newest spec, all pods are of it and ready, and no old one is left."""
    counts = work.desired == work.ready == work.updated == work.available and work.surplus == 0
    return work.observed_generation >= work.generation and counts


def pod_facts(pod: Pod) -> PodFacts:
    """One pod as its status says."""
    status = pod.status
    containers = [container_facts(c, init=True) for c in status.init_container_statuses or ()]
    containers += [container_facts(c, init=False) for c in status.container_statuses or ()]
    conditions = status.conditions or ()
    return PodFacts(
        ref=ObjectRef(kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name),
        uid=pod.metadata.uid,
        revision=pod_revision(pod),
        phase=status.phase,
        ready=any(c.type == "Ready" and c.status == "True" for c in conditions),
        node=pod.spec.node_name or "",
        deleting=pod.metadata.deletion_timestamp is not None,
        containers=tuple(containers),
        conditions=tuple(
            excerpt(f"{c.type}={c.status}/{c.reason}: {c.message}", 400) for c in conditions if c.status != "True"
        ),
    )


def container_facts(status: ContainerStatus, *, init: bool) -> ContainerFacts:
    """One container as its status says; the end of its last life too."""
    now, last = status.state, status.last_state
    kind, reason, message, code = "unknown", "", "", None
    if now.waiting is not None:
        kind, reason, message = "waiting", now.waiting.reason, now.waiting.message
    elif now.terminated is not None:
        ended = now.terminated
        kind, reason, message, code = "terminated", ended.reason, ended.message, ended.exit_code
    elif now.running is not None:
        kind = "running"
    before = last.terminated
    return ContainerFacts.model_validate(
        {
            "name": status.name,
            "init": init,
            "image": status.image,
            "state": kind,
            "reason": reason,
            "message": excerpt(message, 1024),
            "exit_code": code,
            "restarts": status.restart_count,
            "ready": status.ready,
            "last_reason": before.reason if before is not None else "",
            "last_exit_code": before.exit_code if before is not None else None,
        }
    )


def event_facts(event: ClusterEvent) -> EventFacts:
    """One Event, redacted and cut."""
    return EventFacts(
        about=ObjectRef(
            kind=event.regarding.kind, namespace=event.regarding.namespace or None, name=event.regarding.name
        ),
        type=event.type or "",
        reason=event.reason or "",
        note=excerpt(event.note or "", 1024),
        count=event.count or 1,
        last_seen=event.last_time,
    )


def container_specs(live: JsonObject) -> tuple[ContainerSpec, ...]:
    """Images and bounds of the containers in the template of a workload as the API server holds it."""
    return tuple(
        ContainerSpec(
            name=dig_str(c, "name"),
            image=dig_str(c, "image"),
            memory_limit=_quantity(c, "limits", "memory"),
            memory_request=_quantity(c, "requests", "memory"),
            cpu_limit=_quantity(c, "limits", "cpu"),
            cpu_request=_quantity(c, "requests", "cpu"),
        )
        for c in dig_list(live, "spec", "template", "spec", "containers")
    )


def _quantity(container: JsonValue, kind: str, name: str) -> str:
    """As written: a quantity may be a JSON string or a bare number."""
    found = dig(container, "resources", kind, name)
    return "" if found is None or isinstance(found, dict | list) else str(found)
