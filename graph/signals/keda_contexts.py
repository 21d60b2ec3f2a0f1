"""Builds the context of KEDA's objects: the autoscaler behind, the workload, and how the object should be.

The rule is that of `object_contexts`: what is not in view is left at its careful default.  Neighbours: `keda` says what
the context means; `object_contexts` uses this, and asks whether a workload is KEDA's.
"""

from __future__ import annotations

from collections.abc import Mapping

from graph.signals.context import Seen, SymptomKey
from graph.signals.contexts import is_rolling
from graph.signals.keda import KedaContext, Scaled, greatest_of, lacking
from graph.signals.knowledge import Knowledge
from graph.signals.object_view import ObjectView
from graph.signals.wiring import Wiring
from tools.cluster.documents import HorizontalPodAutoscaler, ScaledObject
from tools.cluster.objects import DaemonSet, Deployment, StatefulSet, Workload
from tools.cluster.structs import Reference
from tools.executors.keda.scaled import autoscaler_of, bounds, holds, scales
from tools.journal.compare import differences
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef


def keda_context(
    item: Scaled,
    view: ObjectView,
    wiring: Wiring,
    knowledge: Knowledge,
    *,
    suppressed: str,
    seen: Mapping[SymptomKey, Seen],
) -> KedaContext:
    """What KEDA scales by this object, and how the object should be."""
    declared, good = knowledge.declared(item.ref), knowledge.known_good(item.ref)
    lacks = fails = ""
    target_exists: bool | None = None
    if isinstance(item, ScaledObject):
        version, kind, name = scales(item.body)
        target = view.find(Reference(kind, item.namespace, name, "", version))
        target_exists = target is not None if view.holds(kind, version) else None
        if target is not None and target.is_being_deleted:
            suppressed = suppressed or "its workload is being deleted"
        if isinstance(target, Deployment | StatefulSet):
            services = wiring.services_of(target.namespace, target.spec.template.metadata.labels)
            lacks = lacking(target.spec.replicas, bounds(item.body)[0], tuple(sorted(services)))
            fails = _failing(target)
    return KedaContext(
        suppressed=suppressed,
        seen=seen,
        behind=_behind(item, view),
        target_exists=target_exists,
        lacks=lacks,
        fails=fails,
        declared_paused=None if declared is None else bool(holds(declared)),
        good_paused=None if good is None else bool(holds(good)),
        left_good_at=knowledge.changed_since_good(item.ref),
        changed_since_good=_spec_changed(item, good, knowledge),
        greatest_then=greatest_of(declared if declared is not None else good),
    )


def scaled_by_keda(workload: Workload, view: ObjectView) -> ObjectRef | None:
    """The ScaledObject that chooses the workload's replicas; None when there is none in view."""
    if isinstance(workload, DaemonSet):
        return None
    meant = (workload.api_version, workload.kind, workload.name)
    found = (s for s in view.documents(ScaledObject, workload.namespace) if scales(s.body) == meant)
    return next((s.ref for s in found if not s.is_being_deleted), None)


def maker_of(hpa: HorizontalPodAutoscaler, view: ObjectView) -> ObjectRef | None:
    """The ScaledObject that KEDA made an autoscaler of; None when a person made it, or the ScaledObject is not seen."""
    owner = hpa.metadata.controller
    if owner is None or owner.kind != ScaledObject.kind:
        return None
    found = view.find(Reference(owner.kind, hpa.namespace, owner.name, "", ScaledObject.api_version))
    return found.ref if isinstance(found, ScaledObject) else None


def _behind(item: Scaled, view: ObjectView) -> HorizontalPodAutoscaler | None:
    name = autoscaler_of(item.body)
    found = (
        hpa
        for hpa in view.documents(HorizontalPodAutoscaler, item.namespace)
        if hpa.name == name or any(o.uid == item.uid for o in hpa.metadata.owner_references)
    )
    return next(found, None)


def _failing(target: Deployment | StatefulSet) -> str:
    """Not while it is rolled out: then it is on its way."""
    wanted, ready = target.spec.replicas, target.status.ready_replicas
    if wanted == 0 or ready >= wanted or is_rolling(target):
        return ""
    return f"only {ready} of its workload's {wanted} pods are ready"


def _spec_changed(item: Scaled, good: JsonObject | None, knowledge: Knowledge) -> bool:
    """Whether anything but notes is not as it was when last good, or not as declared."""
    since = [] if good is None else [d.path for d in differences(item.body, good, partial=False)]
    return any(path.startswith("/spec") for path in (*since, *knowledge.differences_from_declared(item)))
