"""What is wrong with a workload itself, beyond its pods: pods that cannot be made, a rollout past its deadline.

The rule: object in, signals out; zero replicas are intended and say nothing.  Neighbours: `pods`, `context`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.context import WorkloadContext
from graph.signals.findings import AT_ONCE, PASSING, PATIENT, PLACING, Finding, to_signal
from graph.signals.messages import Refusal, classify_refusal
from tools.cluster.objects import DaemonSet, Deployment, StatefulSet, Workload, condition
from tools.refs import ObjectRef

_MAY_PASS: Final = frozenset({Refusal.QUOTA, Refusal.WEBHOOK, Refusal.UNKNOWN})
"""Pods that go free a quota, and webhooks come back."""


def detect_workload(workload: Workload, context: WorkloadContext, now: datetime) -> list[Signal]:
    """Every symptom of the workload itself at `now`; empty when it is as it should be."""
    if workload.is_being_deleted or context.suppressed or _is_meant_to_be_empty(workload):
        return []
    subject = ObjectRef(kind=workload.kind, namespace=workload.namespace, name=workload.name)
    return [
        to_signal(finding, subject, workload.uid, revision=context.revision, seen=context.seen, now=now)
        for finding in _findings(workload, context)
    ]


def is_plainly_well(workload: Workload) -> bool:
    """Whether `detect_workload` finds nothing in any context, so that none needs to be made."""
    match workload:
        case Deployment(status=status):
            failure = condition(status.conditions, "ReplicaFailure")
            progress = condition(status.conditions, "Progressing")
            return (failure is None or failure.status != "True") and (progress is None or progress.status != "False")
        case StatefulSet() | DaemonSet():
            return not _lacks_pods(workload)


def _findings(workload: Workload, context: WorkloadContext) -> Iterator[Finding]:
    match workload:
        case Deployment():
            yield from _refused_by_condition(workload, context)
            yield from _past_deadline(workload)
        case StatefulSet() | DaemonSet():
            yield from _refused_by_events(workload, context)


def _is_meant_to_be_empty(workload: Workload) -> bool:
    match workload:
        case Deployment(spec=spec) | StatefulSet(spec=spec):
            return spec.replicas == 0
        case DaemonSet(status=status):
            return status.desired_number_scheduled == 0


def _refused_by_condition(deployment: Deployment, context: WorkloadContext) -> Iterator[Finding]:
    failure = condition(deployment.status.conditions, "ReplicaFailure")
    if failure is None or failure.status != "True" or failure.reason != "FailedCreate":
        return
    grace = _refusal_grace(failure.message, context)
    if grace is not None:
        text = f"{failure.reason}: {failure.message}"
        yield Finding(Reason.PODS_REFUSED, text, grace, since=failure.last_transition_time)


def _refused_by_events(workload: StatefulSet | DaemonSet, context: WorkloadContext) -> Iterator[Finding]:
    """These kinds have no condition for it: the missing pods are the evidence, the Event only says why."""
    notes = context.hints.create_failures
    if not notes or not _lacks_pods(workload):
        return
    grace = _refusal_grace(notes[-1], context)
    if grace is not None:
        yield Finding(Reason.PODS_REFUSED, f"FailedCreate: {notes[-1]}", grace)


def _lacks_pods(workload: StatefulSet | DaemonSet) -> bool:
    match workload:
        case StatefulSet(spec=spec, status=status):
            return status.replicas < spec.replicas
        case DaemonSet(status=status):
            return status.current_number_scheduled < status.desired_number_scheduled


def _refusal_grace(message: str, context: WorkloadContext) -> timedelta | None:
    kind = classify_refusal(message)
    if kind is Refusal.LEAVING:
        return None
    if kind in _MAY_PASS:
        return PATIENT if context.rollout_in_progress else PASSING
    return PLACING if context.rollout_in_progress else PATIENT


def _past_deadline(deployment: Deployment) -> Iterator[Finding]:
    progress = condition(deployment.status.conditions, "Progressing")
    if deployment.spec.paused or progress is None or progress.status != "False":
        return
    if progress.reason == "ProgressDeadlineExceeded":
        text = f"{progress.reason}: {progress.message}"
        yield Finding(Reason.DEADLINE_EXCEEDED, text, AT_ONCE, since=progress.last_transition_time)
