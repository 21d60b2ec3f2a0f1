"""Who would miss an object that is gone: what runs and is wired to it.

The rule: only what runs now counts, since what was taken down together with it needs nothing; an optional reference is
no need.  Neighbours: `drift` makes the signal, `wiring` says what a template refers to.
"""

from __future__ import annotations

from graph.signals.object_view import ObjectView
from graph.signals.services import selector_of
from graph.signals.wiring import config_maps_of, is_living, selects
from tools.cluster.documents import Service
from tools.cluster.objects import DaemonSet, Deployment, Pod, StatefulSet, Workload
from tools.cluster.owners import ChainEnd, root_owner
from tools.jsontypes import JsonObject, dig_object
from tools.refs import ObjectRef


def users_of(ref: ObjectRef, good: JsonObject, view: ObjectView) -> tuple[ObjectRef, ...]:
    """What needs the object `ref`, which stood as `good` when it was last good; empty for kinds that are not followed.

    Settings and accounts are needed by workloads whose template names them, a Service by the workloads it led to, and a
    workload by the Services that lead to nothing without it.
    """
    namespace = ref.namespace or ""
    match ref.kind:
        case "ConfigMap":
            found = [w.ref for w in _running(namespace, view) if ref.name in config_maps_of(w.spec.template)]
        case "ServiceAccount":
            found = [w.ref for w in _running(namespace, view) if w.spec.template.spec.service_account_name == ref.name]
        case "Service":
            found = [
                root_of(p, view) for p in _living(namespace, view) if selects(selector_of(good), p.metadata.labels)
            ]
        case "Deployment" | "StatefulSet" | "DaemonSet":
            found = _left_behind(good, namespace, view)
        case _:
            found = []
    return tuple(sorted(set(found), key=str))


def root_of(pod: Pod, view: ObjectView) -> ObjectRef:
    """The topmost owner of a pod that is in view."""
    top = root_owner(pod, view.find).highest_seen
    return ObjectRef(kind=top.kind, namespace=top.namespace or None, name=top.name)


def _left_behind(good: JsonObject, namespace: str, view: ObjectView) -> list[ObjectRef]:
    """Services that selected the workload's pods and select none now.

    Pods whose owner is gone count as gone: the garbage collector has only not come to them yet.
    """
    template = dig_object(good, "spec", "template", "metadata", "labels")
    labels = {key: value for key, value in template.items() if isinstance(value, str)}
    living = [p for p in _living(namespace, view) if root_owner(p, view.find).end is not ChainEnd.MISSING]
    return [
        service.ref
        for service in view.documents(Service, namespace)
        if not service.is_being_deleted
        and selects(selector := selector_of(service.body), labels)
        and not any(selects(selector, pod.metadata.labels) for pod in living)
    ]


def _running(namespace: str, view: ObjectView) -> list[Workload]:
    return [w for w in view.workloads(namespace) if not w.is_being_deleted and _wants_pods(w)]


def _wants_pods(workload: Workload) -> bool:
    match workload:
        case Deployment(spec=spec) | StatefulSet(spec=spec):
            return spec.replicas > 0
        case DaemonSet(status=status):
            return status.desired_number_scheduled > 0


def _living(namespace: str, view: ObjectView) -> list[Pod]:
    return [p for p in view.pods(namespace) if is_living(p)]
