"""Builds the contexts of pods and workloads from the mirror.

The rule: what the mirror does not show is left at its careful default; no context means that the owner is not in view
yet, and then nothing is judged.  Neighbours: `context` says what each field means, `look` uses this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from statistics import median_high
from typing import Final, Protocol

from graph.signals.context import Hints, PodContext, WorkloadContext
from graph.signals.messages import probe_victim
from graph.signals.symptoms import Symptoms
from tools.cluster.objects import (
    ClusterEvent,
    Controller,
    DaemonSet,
    Deployment,
    Node,
    Pod,
    ReplicaSet,
    StatefulSet,
    Workload,
    condition,
)
from tools.refs import ObjectRef

Confirmed = Callable[[str], Collection[str]]
"""From a root owner's uid to the revision hashes that were confirmed good."""

REVISION_LABELS: Final = ("pod-template-hash", "controller-revision-hash")
_GENERATION_LABEL: Final = "pod-template-generation"
_GENERATION_ANNOTATION: Final = "deprecated.daemonset.template.generation"
HINT_AGE: Final = timedelta(minutes=5)
_MOUNT_REASONS: Final = frozenset(
    {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady"}
)


class View(Protocol):
    """The part of `tools.cluster.mirror.Mirror` that is needed."""

    def controller(self, kind: str, namespace: str | None, name: str) -> Controller | None:
        """One object that makes pods."""
        ...

    def pods_of(self, owner_uid: str) -> list[Pod]:
        """The pods of an owner at any height."""
        ...

    def replica_sets_of(self, deployment_uid: str) -> list[ReplicaSet]:
        """The revisions of a Deployment, oldest first."""
        ...

    def events_for(self, uid: str) -> list[ClusterEvent]:
        """What was said about one object, oldest first."""
        ...

    def node(self, name: str) -> Node | None:
        """One node."""
        ...


class Contexts:
    """Contexts over one view.  `symptoms` is shared with whoever looks."""

    def __init__(self, view: View, *, confirmed: Confirmed, symptoms: Symptoms) -> None:
        self._view = view
        self._confirmed = confirmed
        self.symptoms = symptoms

    def pods_of(self, workload: Workload) -> list[Pod]:
        """The pods of a workload, as the view shows them."""
        return self._view.pods_of(workload.uid)

    def root_of(self, pod: Pod) -> Workload | Pod | None:
        """The workload the pod belongs to, the pod itself when nobody controls it or somebody we do not follow.

        None when its controller should be in view and is not.
        """
        owner = pod.metadata.controller
        if owner is None or owner.kind not in ("ReplicaSet", "StatefulSet", "DaemonSet"):
            return pod
        held = self._view.controller(owner.kind, pod.namespace, owner.name)
        if held is None or held.uid != owner.uid:
            return None
        if not isinstance(held, ReplicaSet):
            return held if isinstance(held, Workload) else None
        above = held.metadata.controller
        if above is None or above.kind != "Deployment":
            return pod
        root = self._view.controller("Deployment", pod.namespace, above.name)
        return root if isinstance(root, Deployment) and root.uid == above.uid else None

    def for_pod(self, pod: Pod, now: datetime) -> PodContext | None:
        """The pod's context; None when its owner is not in view (yet): judge nothing then."""
        root = self.root_of(pod)
        if root is None:
            return None
        owner = pod.metadata.controller
        controller = owner.kind if owner is not None else ""
        hints, seen = self._pod_hints(pod, now), self.symptoms.of(pod.uid, now)
        if isinstance(root, Pod):
            ref = ObjectRef(kind="Pod", namespace=pod.namespace, name=pod.name)
            return PodContext(ref, pod.uid, controller, suppressed=self._node_trouble(pod), hints=hints, seen=seen)
        revision = revision_of(pod)
        present = self.present_revision(root)
        siblings = [p for p in self._view.pods_of(root.uid) if p.uid != pod.uid]
        family = [p for p in (pod, *siblings) if revision_of(p) == revision]
        return PodContext(
            root=ObjectRef(kind=root.kind, namespace=root.namespace, name=root.name),
            root_uid=root.uid,
            controller=controller,
            revision=revision or None,
            is_updating=bool(revision) and revision == present and is_rolling(root),
            is_confirmed=bool(revision) and revision in self._confirmed(root.uid),
            revision_serves=any(p.is_ready and not p.is_being_deleted for p in family),
            siblings_leaving=any(p.is_being_deleted for p in siblings),
            usual_start=usual_start(siblings),
            suppressed="its owner is being deleted" if root.is_being_deleted else self._node_trouble(pod),
            hints=hints,
            seen=seen,
        )

    def for_workload(self, workload: Workload, now: datetime) -> WorkloadContext:
        """The workload's context."""
        revision = self.present_revision(workload)
        return WorkloadContext(
            revision=revision,
            is_confirmed=revision is not None and revision in self._confirmed(workload.uid),
            rollout_in_progress=is_rolling(workload),
            suppressed="it is being deleted" if workload.is_being_deleted else "",
            hints=Hints(create_failures=_notes(self._view.events_for(workload.uid), {"FailedCreate"}, now)),
            seen=self.symptoms.of(workload.uid, now),
        )

    def present_revision(self, workload: Workload) -> str | None:
        """What the pods of the present template bear; None while the controller has not taken it up."""
        if workload.status.observed_generation < workload.metadata.generation:
            return None
        match workload:
            case Deployment():
                sets = self._view.replica_sets_of(workload.uid)
                newest = max(sets, key=lambda item: item.revision, default=None)
                return newest.metadata.labels.get(REVISION_LABELS[0]) if newest is not None else None
            case StatefulSet(status=status):
                return status.update_revision or None
            case DaemonSet():
                return _present_of_daemon_set(workload, self._view.pods_of(workload.uid))

    def _node_trouble(self, pod: Pod) -> str:
        """A node that is away makes its pods look unready: the node is the trouble, and Kubernetes moves them."""
        node = self._view.node(pod.spec.node_name) if pod.spec.node_name else None
        return f"node {node.name} is not ready" if node is not None and not node.is_ready else ""

    def _pod_hints(self, pod: Pod, now: datetime) -> Hints:
        events = self._view.events_for(pod.uid)
        kills = {probe_victim(note) for note in _notes(events, {"Killing"}, now)} - {None}
        return Hints(
            probe_kills=frozenset(name for name in kills if name is not None),
            mount_failures=_notes(events, _MOUNT_REASONS, now),
            is_scaling_up=bool(_notes(events, {"TriggeredScaleUp"}, now)),
        )


def revision_of(pod: Pod) -> str:
    """The revision the pod was made from; "" when it bears none."""
    return next((pod.metadata.labels[name] for name in REVISION_LABELS if pod.metadata.labels.get(name)), "")


def is_rolling(workload: Workload) -> bool:
    """Whether a rollout is under way, by the controller's own word.

    A Deployment says `NewReplicaSetAvailable` once a rollout is done and keeps to it when pods fail afterwards.
    """
    if workload.status.observed_generation < workload.metadata.generation:
        return True
    match workload:
        case Deployment(spec=spec, status=status):
            progress = condition(status.conditions, "Progressing")
            if progress is not None and progress.reason:
                return progress.reason not in ("NewReplicaSetAvailable", "DeploymentPaused")
            return status.updated_replicas < spec.replicas or status.available_replicas < status.updated_replicas
        case StatefulSet(spec=spec, status=status):
            return status.current_revision != status.update_revision or status.updated_replicas < spec.replicas
        case DaemonSet(status=status):
            return status.updated_number_scheduled < status.desired_number_scheduled


def usual_start(pods: Sequence[Pod]) -> timedelta | None:
    """How long ready pods took from container start to Ready, in the middle; None without any.

    A pod that was unready in between looks slower than it was, which only makes us wait longer.
    """
    times = [t for pod in pods if (t := _start_time(pod)) is not None]
    return median_high(times) if times else None


def _start_time(pod: Pod) -> timedelta | None:
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or ready.status != "True" or ready.last_transition_time is None or pod.is_being_deleted:
        return None
    starts = [
        s.state.running.started_at
        for s in pod.status.container_statuses
        if s.state.running is not None and s.state.running.started_at is not None
    ]
    if not starts:
        return None
    return max(timedelta(0), ready.last_transition_time - max(starts))


def _present_of_daemon_set(workload: DaemonSet, pods: Sequence[Pod]) -> str | None:
    """The mirror has no ControllerRevisions: pods of the present template bear its generation as a label."""
    generation = workload.metadata.annotations.get(_GENERATION_ANNOTATION, "")
    if not generation:
        return None
    return next((revision_of(p) for p in pods if p.metadata.labels.get(_GENERATION_LABEL) == generation), None)


def _notes(events: Sequence[ClusterEvent], reasons: Collection[str], now: datetime) -> tuple[str, ...]:
    """What recent Events with these reasons say, newest last."""
    return tuple(
        event.note
        for event in events
        if event.reason in reasons and (event.last_time is None or now - event.last_time <= HINT_AGE)
    )
