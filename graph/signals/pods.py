"""What is wrong with a pod: the pure detector that the watcher and the analyzer share.

The rule: object in, signals out.  A pod that is being deleted, that has done its work, or that belongs to a Job says
nothing; what Kubernetes mends by itself is given the time for it.  Neighbours: `containers` judges each container,
`context` brings what the pod does not know of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals import containers
from graph.signals.containers import Role, Subject, find_in_container
from graph.signals.context import PodContext
from graph.signals.findings import (
    DEBOUNCE,
    LONG,
    PASSING,
    PLACING,
    SHORT,
    VERY_LONG,
    Finding,
    to_signal,
)
from graph.signals.messages import (
    find_missing,
    is_own_eviction,
    is_rejection,
    place_is_taken,
    place_may_come,
)
from tools.cluster.objects import Condition, Container, ContainerStatus, Pod, condition
from tools.refs import ObjectRef

START_LEAST: Final = timedelta(seconds=8)
"""No container is called unready before this, however eager its probe."""
START_SILENT: Final = timedelta(seconds=30)
"""What a container of a new revision gets while nothing in it listens yet: a new version may start more slowly."""
START_UNKNOWN: Final = timedelta(seconds=20)
"""What a container of a new revision gets when no sibling shows how long a start takes."""
START_MOST: Final = timedelta(minutes=10)
UNTOUCHED: Final = timedelta(seconds=10)
"""A scheduler that looks after a pod has said so within this."""
SETTING_UP: Final = timedelta(seconds=10)
"""Volumes that fail for longer than this with a cause that does not pass."""
LEAVES_LEFTOVERS: Final = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet"})


def detect_pod(pod: Pod, context: PodContext, now: datetime) -> list[Signal]:
    """Every symptom of the pod at `now`, confirmed or still within its grace; empty when it is as it should be."""
    if pod.is_being_deleted or context.suppressed or context.controller in ("Job", "Node"):
        return []
    if pod.spec.restart_policy != "Always":
        return []
    subject = ObjectRef(kind="Pod", namespace=pod.namespace, name=pod.name)
    return [
        to_signal(finding, subject, pod.uid, revision=context.revision, seen=context.seen, now=now)
        for finding in _findings(pod, context, now)
    ]


def is_plainly_well(pod: Pod, now: datetime) -> bool:
    """Whether `detect_pod` finds nothing in any context, so that none needs to be made.

    It holds for nearly every pod there is at nearly every moment.
    """
    if pod.status.phase != "Running":
        return pod.status.phase == "Succeeded"
    if not pod.spec.node_name or not pod.is_ready:
        return False
    return all(containers.is_plainly_well(subject, now) for subject in _subjects(pod))


def _findings(pod: Pod, context: PodContext, now: datetime) -> list[Finding]:
    match pod.status.phase:
        case "Succeeded":
            return []
        case "Failed":
            return [_leftover(pod, context)] if context.controller in LEAVES_LEFTOVERS else []
        case _:
            pass
    if (unplaced := _unplaced(pod, context)) is not None:
        return [unplaced]
    if not pod.spec.node_name:
        return []
    found = [f for s in _subjects(pod) if (f := find_in_container(s, context, now)) is not None]
    if found:
        return found
    stuck = _setting_up(pod, context)
    return [stuck] if stuck is not None else _unready(pod, context)


def _leftover(pod: Pod, context: PodContext) -> Finding:
    text = f"{pod.status.reason or 'Failed'}: {pod.status.message}".rstrip(": ")
    is_own = is_own_eviction(text) or is_rejection(text)
    grace = DEBOUNCE if context.is_fresh and is_own else SHORT
    if context.controller != "ReplicaSet":
        grace = PASSING  # these controllers delete their failed pods themselves
    return Finding(Reason.POD_FAILED, text, grace)


def _unplaced(pod: Pod, context: PodContext) -> Finding | None:
    if pod.spec.node_name:
        return None
    scheduled = condition(pod.status.conditions, "PodScheduled")
    if scheduled is None:
        since = pod.metadata.creation_timestamp
        grace = UNTOUCHED if context.is_fresh else LONG
        return Finding(Reason.UNSCHEDULABLE, "no scheduler has looked at the pod", grace, since=since)
    if scheduled.status != "False" or scheduled.reason == "SchedulingGated":
        return None
    text = f"{scheduled.reason}: {scheduled.message}"
    grace = LONG if pod.status.nominated_node_name else _placing_grace(scheduled, context)
    return Finding(Reason.UNSCHEDULABLE, text, grace, since=scheduled.last_transition_time)


def _placing_grace(scheduled: Condition, context: PodContext) -> timedelta:
    if context.hints.is_scaling_up:
        return VERY_LONG
    if scheduled.reason != "Unschedulable" or not context.is_fresh:
        return LONG
    if find_missing(scheduled.message) is not None:
        return PLACING
    if place_may_come(scheduled.message):
        return PASSING
    return PASSING if context.siblings_leaving and place_is_taken(scheduled.message) else PLACING


def _setting_up(pod: Pod, context: PodContext) -> Finding | None:
    """A pod whose volumes cannot be mounted shows only `ContainerCreating`; why, its Events say."""
    waits = [s.state.waiting.reason for s in _statuses(pod) if s.state.waiting is not None]
    if not waits or not set(waits) <= {"ContainerCreating", "PodInitializing"}:
        return None
    if _has_begun(pod):
        return None
    since = pod.status.start_time
    notes = context.hints.mount_failures
    cause = next((n for n in reversed(notes) if find_missing(n) is not None), None)
    if cause is not None:
        grace = SETTING_UP if context.is_fresh else LONG
        return Finding(Reason.CONFIG_MISSING, f"ContainerCreating: {cause}", grace, since=since)
    if notes:
        grace = LONG if context.is_fresh else 2 * LONG
        return Finding(Reason.CONTAINER_START_FAILED, f"ContainerCreating: {notes[-1]}", grace, since=since)
    text = "ContainerCreating: nothing says why it takes so long"
    return Finding(Reason.CONTAINER_START_FAILED, text, VERY_LONG, since=since)


def _has_begun(pod: Pod) -> bool:
    """Whether any container has run, or runs: then the volumes are there."""
    return any(s.state.running or s.state.terminated or s.last_state.terminated for s in _statuses(pod))


def _unready(pod: Pod, context: PodContext) -> list[Finding]:
    ready = condition(pod.status.conditions, "Ready")
    if pod.status.phase != "Running" or ready is None or ready.status == "True":
        return []
    found = [_unready_container(s, ready, context) for s in _subjects(pod) if _is_running_unready(s)]
    if not found and ready.reason == "ReadinessGatesNotReady":
        text = f"{ready.reason}: {ready.message}"
        found.append(Finding(Reason.NOT_READY, text, 2 * LONG, since=ready.last_transition_time))
    return found


def _is_running_unready(subject: Subject) -> bool:
    return subject.role is Role.MAIN and subject.status.state.running is not None and not subject.status.ready


def _unready_container(subject: Subject, ready: Condition, context: PodContext) -> Finding:
    running = subject.status.state.running
    began = [t for t in (running.started_at if running else None, ready.last_transition_time) if t is not None]
    probe = "startup" if subject.spec.startup_probe is not None and subject.status.started is False else "readiness"
    text = f"runs and its {probe} probe does not pass"
    return Finding(
        Reason.NOT_READY, text, _start_grace(subject.spec, context), subject.status.name, max(began, default=None)
    )


def _start_grace(spec: Container, context: PodContext) -> timedelta:
    """What the template allows for a start, or three times what a start takes next door; a minute for what ran.

    The first revision of a workload gets longer: there is nothing to go back to, and machines may be busy.
    """
    probes = (spec.startup_probe, spec.readiness_probe)
    budget = timedelta(seconds=sum(p.budget_seconds for p in probes if p is not None))
    usual = START_UNKNOWN if context.usual_start is None else 3 * context.usual_start
    fresh = START_SILENT if context.hints.is_silent else START_LEAST
    least = fresh if context.is_fresh else LONG
    return max(budget, min(usual, START_MOST), least, context.first_start or least)


def _subjects(pod: Pod) -> Iterator[Subject]:
    """Every container that has a status, with its part of the template."""
    for spec, status in _pairs(pod.spec.init_containers, pod.status.init_container_statuses):
        yield Subject(spec, status, Role.MAIN if spec.restart_policy == "Always" else Role.INIT)
    for spec, status in _pairs(pod.spec.containers, pod.status.container_statuses):
        yield Subject(spec, status, Role.MAIN)


def _pairs(
    specs: tuple[Container, ...], statuses: tuple[ContainerStatus, ...]
) -> Iterator[tuple[Container, ContainerStatus]]:
    wanted = {spec.name: spec for spec in specs}
    for status in statuses:
        spec = wanted.get(status.name)
        if spec is not None:
            yield spec, status


def _statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)
