"""From a change of one object to the others that must be looked at again because of it.

The rule: pods change all the time, so what a pod's change can mean for others is found by its labels and by what really
changed; a restart or a heartbeat reaches nobody.  The object itself is always looked at by whoever sees its change.
Neighbours: `wiring` is the index, `look` looks.
"""

from __future__ import annotations

from collections.abc import Iterator

from graph.signals.keda_contexts import maker_of, scaled_by_keda
from graph.signals.nodes import barriers
from graph.signals.object_contexts import ObjectContexts, is_unschedulable
from graph.signals.services import selector_of
from graph.signals.wiring import is_living
from tools.cluster.documents import (
    HorizontalPodAutoscaler,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    Service,
)
from tools.cluster.objects import ClusterEvent, CronJob, DaemonSet, Deployment, Job, Node, Pod, StatefulSet, Workload
from tools.cluster.structs import KubeObject
from tools.cluster.subscription import AnyDelta
from tools.jsontypes import dig_str
from tools.refs import ObjectRef

_SPOKEN_OF = (PersistentVolumeClaim, HorizontalPodAutoscaler, CronJob, Job)
"""Kinds whose Events say why."""


def affected(delta: AnyDelta, contexts: ObjectContexts) -> tuple[ObjectRef, ...]:
    """The objects whose state may mean something else since this change, without the object itself, each once.

    Call it for each change before looking: it also keeps the index of Services true.  Names that no reference can hold
    are left out.
    """
    return tuple(dict.fromkeys(_affected(delta, contexts)))


def _affected(delta: AnyDelta, contexts: ObjectContexts) -> Iterator[ObjectRef]:
    is_gone = delta.kind == "gone"
    match delta.object:
        case Pod() as pod:
            yield from _of_pod(pod, delta.old, contexts, is_gone=is_gone)
        case Deployment() | StatefulSet() | DaemonSet() as workload:
            yield from _of_workload(workload, delta.old, contexts, is_gone=is_gone)
        case Service() as service:
            yield from _of_service(service, delta.old, contexts, is_gone=is_gone)
        case Node() as node:
            yield from _of_node(node, delta.old, contexts)
        case HorizontalPodAutoscaler() as hpa:
            maker = maker_of(hpa, contexts.view)
            if maker is not None:
                yield maker
        case CronJob() as cron_job:
            yield from (job.ref for job in contexts.view.jobs_of(cron_job.uid))
        case ClusterEvent() as event if not is_gone:
            found = contexts.view.find(event.regarding)
            if isinstance(found, _SPOKEN_OF):
                yield found.ref
        case _:
            pass


def _of_pod(pod: Pod, old: KubeObject | None, contexts: ObjectContexts, *, is_gone: bool) -> Iterator[ObjectRef]:
    before = old if isinstance(old, Pod) else None
    lived = before is not None and is_living(before)
    lives = is_living(pod) and not is_gone
    if lived != lives or before is None or before.metadata.labels != pod.metadata.labels:
        yield from _services(pod, before, contexts)
    if is_gone:
        return
    owner = pod.metadata.controller
    if owner is not None and owner.kind == Job.kind and (before is None or before.status != pod.status):
        yield from _job_of(pod.namespace, owner.name, contexts)
    if not pod.spec.node_name and (before is None or before.status.conditions != pod.status.conditions):
        for volume in pod.spec.volumes:
            if volume.persistent_volume_claim is not None:
                claim = volume.persistent_volume_claim.claim_name
                yield ObjectRef(kind=PersistentVolumeClaim.kind, namespace=pod.namespace, name=claim)
        if is_unschedulable(pod):
            yield from (node.ref for node in contexts.view.nodes() if barriers(node))


def _job_of(namespace: str, name: str, contexts: ObjectContexts) -> Iterator[ObjectRef]:
    """A Job, and the CronJob that made it."""
    job = contexts.view.controller(Job.kind, namespace, name)
    if job is not None:
        yield job.ref
        owner = job.metadata.controller
        if owner is not None and owner.kind == CronJob.kind:
            yield ObjectRef(kind=CronJob.kind, namespace=namespace, name=owner.name)


def _services(pod: Pod, before: Pod | None, contexts: ObjectContexts) -> Iterator[ObjectRef]:
    names = set(contexts.wiring.empty(pod.namespace))
    for state in (pod, before):
        if state is not None:
            names.update(contexts.wiring.services_of(state.namespace, state.metadata.labels))
    for name in sorted(names):
        yield ObjectRef(kind=Service.kind, namespace=pod.namespace, name=name)


def _of_workload(
    workload: Workload, old: KubeObject | None, contexts: ObjectContexts, *, is_gone: bool
) -> Iterator[ObjectRef]:
    """Its Services and its autoscaler, when it came, went, or has another spec."""
    if isinstance(old, Workload) and not is_gone and old.metadata.generation == workload.metadata.generation:
        return
    states = [w for w in (workload, old) if isinstance(w, Workload)]
    for state in states:
        for name in contexts.wiring.services_of(workload.namespace, state.spec.template.metadata.labels):
            yield ObjectRef(kind=Service.kind, namespace=workload.namespace, name=name)
    for hpa in contexts.view.documents(HorizontalPodAutoscaler, workload.namespace):
        if dig_str(hpa.body, "spec", "scaleTargetRef", "name") == workload.name:
            yield hpa.ref
    scaler = scaled_by_keda(workload, contexts.view)
    if scaler is not None:
        yield scaler


def _of_service(
    service: Service, old: KubeObject | None, contexts: ObjectContexts, *, is_gone: bool
) -> Iterator[ObjectRef]:
    """Workloads without replicas that it leads to: whether anybody needs them depends on it."""
    before = old if isinstance(old, Service) else None
    leaves = before is not None and before.is_being_deleted != service.is_being_deleted
    if before is not None and not is_gone and not leaves and selector_of(before.body) == selector_of(service.body):
        return
    contexts.wiring.changed(service, is_gone=is_gone)
    for workload in contexts.view.workloads(service.namespace):
        if isinstance(workload, Deployment | StatefulSet) and workload.spec.replicas == 0:
            yield workload.ref


def _of_node(node: Node, old: KubeObject | None, contexts: ObjectContexts) -> Iterator[ObjectRef]:
    """Disruption budgets, when a drain may begin."""
    if node.spec.unschedulable and not (isinstance(old, Node) and old.spec.unschedulable):
        yield from (budget.ref for budget in contexts.view.documents(PodDisruptionBudget))
