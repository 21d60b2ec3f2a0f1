"""Looks at an object: context, detector and memory together.  What the watcher and the analyzer call.

`look_at_pod`, `look_at_workload` and `look_at_root` say what fails; `look_at_object` and `look_at_missing` what is
wrong with how things are wired, declared, scaled and scheduled, workloads included.

The rules: every look is remembered, so that a symptom's grace runs from the first look that saw it; and what is well at
first sight costs nothing more, since everything in a namespace is looked at again and again.
"""

from __future__ import annotations

from datetime import datetime

from graph.incident import Signal
from graph.signals import (
    applications,
    autoscalers,
    budgets,
    claims,
    crossplane,
    jobs,
    keda,
    nodes,
    pods,
    policies,
    scale,
    services,
    workloads,
)
from graph.signals.contexts import Contexts, Family
from graph.signals.deletion import detect_deletion
from graph.signals.drift import detect_drift, detect_missing
from graph.signals.object_contexts import ObjectContexts, missing_key
from tools.cluster.documents import (
    Application,
    Document,
    HorizontalPodAutoscaler,
    NetworkPolicy,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    ScaledJob,
    ScaledObject,
    Service,
)
from tools.cluster.objects import CronJob, DaemonSet, Deployment, Job, KubeObject, Node, Pod, StatefulSet, Workload
from tools.jsontypes import dig_str
from tools.refs import ObjectRef


def look_at_pod(pod: Pod, contexts: Contexts, now: datetime) -> list[Signal]:
    """The pod's symptoms now; empty as well when its owner is not in view yet."""
    if pods.is_plainly_well(pod, now):
        contexts.symptoms.note(pod.uid, (), now)
        return []
    return _judge(pod, contexts, now, None)


def look_at_workload(workload: Workload, contexts: Contexts, now: datetime) -> list[Signal]:
    """The workload's own symptoms now, without its pods'."""
    signals: list[Signal] = []
    if not workloads.is_plainly_well(workload):
        signals = workloads.detect_workload(workload, contexts.for_workload(workload, now), now)
    contexts.symptoms.note(workload.uid, signals, now)
    return signals


def look_at_root(workload: Workload, contexts: Contexts, now: datetime) -> list[Signal]:
    """All symptoms of a workload and its pods; confirmed ones first."""
    signals = look_at_workload(workload, contexts, now)
    members = contexts.pods_of(workload)
    family: Family | None = None
    for pod in members:
        if pods.is_plainly_well(pod, now):
            contexts.symptoms.note(pod.uid, (), now)
            continue
        family = family or contexts.family(workload, members)
        signals.extend(_judge(pod, contexts, now, family))
    return sorted(signals, key=lambda s: (not s.confirmed, s.observed_at, str(s.object)))


def look_at_object(item: KubeObject, contexts: ObjectContexts, now: datetime) -> list[Signal]:
    """What is wrong with an object beyond the health of pods: wiring, drift, scale, schedule, deletion; any kind.

    Confirmed signals first, exact ones before drift.  Empty for pods, and for a name that no reference can hold.
    """
    if isinstance(item, Pod) or not _can_be_named(item):
        return []
    if item.is_being_deleted:
        signals = detect_deletion(item, contexts.for_deletion(item, now), now) if item.metadata.finalizers else []
    else:
        signals = _of_kind(item, contexts, now)
        if drift := contexts.knowledge.differences_from_declared(item):
            signals += detect_drift(item, contexts.for_drift(item, drift, now), now)
    contexts.symptoms.note(item.uid, signals, now)
    return sorted(signals, key=lambda s: not s.confirmed)


def look_at_missing(ref: ObjectRef, contexts: ObjectContexts, now: datetime) -> list[Signal]:
    """OBJECT_MISSING for an object that may be gone; empty when it exists, or when its kind is not in view.

    The signal's uid is that of the life it last had, as far as the journal knows; otherwise empty.
    """
    signals: list[Signal] = []
    if contexts.exists(ref) is False:
        uid = dig_str(contexts.knowledge.known_good(ref), "metadata", "uid")
        signals = detect_missing(ref, uid, contexts.for_missing(ref, now), now)
    contexts.symptoms.note(missing_key(ref), signals, now)
    return signals


def look_for_missing(contexts: ObjectContexts, now: datetime) -> list[Signal]:
    """OBJECT_MISSING for each declared object that does not exist: for a look from time to time."""
    return [signal for ref in contexts.knowledge.declared_refs() for signal in look_at_missing(ref, contexts, now)]


def _of_kind(item: KubeObject, contexts: ObjectContexts, now: datetime) -> list[Signal]:
    match item:
        case Service():
            return services.detect_service(item, contexts.for_service(item, now), now)
        case Deployment() | StatefulSet() | DaemonSet() if not scale.is_plainly_well(item):
            return scale.detect_scale(item, contexts.for_scale(item, now), now)
        case HorizontalPodAutoscaler() if not autoscalers.is_plainly_well(item):
            return autoscalers.detect_autoscaler(item, contexts.for_autoscaler(item, now), now)
        case PersistentVolumeClaim() if not claims.is_plainly_well(item):
            return claims.detect_claim(item, contexts.for_claim(item, now), now)
        case NetworkPolicy() | PodDisruptionBudget():
            return _of_limit(item, contexts, now)
        case ScaledObject() | ScaledJob():
            return keda.detect_keda(item, contexts.for_keda(item, now), now)
        case Job() if not jobs.is_plainly_well(item):
            return jobs.detect_job(item, contexts.for_job(item, now), now)
        case CronJob() if item.spec.suspend or item.status.active:
            return jobs.detect_cron_job(item, contexts.for_cron_job(item, now), now)
        case Application() if not applications.is_plainly_well(item):
            return applications.detect_application(item, contexts.for_application(item, now), now)
        case Node():
            contexts.meet(item)
            return [] if nodes.is_plainly_well(item) else nodes.detect_node(item, contexts.for_node(item, now), now)
        case Document() if contexts.externals.role(item) is not None and not crossplane.is_plainly_well(item):
            return crossplane.detect_external(item, contexts.for_external(item, now), now)
        case _:
            return []


def _of_limit(item: NetworkPolicy | PodDisruptionBudget, contexts: ObjectContexts, now: datetime) -> list[Signal]:
    """What is wrong with a rule about other objects."""
    if isinstance(item, NetworkPolicy):
        well = policies.is_plainly_well(item)
        return [] if well else policies.detect_policy(item, contexts.for_policy(item, now), now)
    return [] if budgets.is_plainly_well(item) else budgets.detect_budget(item, contexts.for_budget(item, now), now)


def _can_be_named(item: KubeObject) -> bool:
    """Roles may have names like `system:node`, which a reference does not hold; nothing is said about them."""
    try:
        return bool(item.ref)
    except ValueError:
        return False


def _judge(pod: Pod, contexts: Contexts, now: datetime, family: Family | None) -> list[Signal]:
    context = contexts.for_pod(pod, now, family)
    if context is None:
        return []
    signals = pods.detect_pod(pod, context, now)
    contexts.symptoms.note(pod.uid, signals, now)
    return signals
