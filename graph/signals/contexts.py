"""Builds the contexts of pods and workloads from the mirror.

The rule: what the mirror does not show is left at its careful default; no context means that the owner is not in view
yet, and then nothing is judged.  Neighbours: `context` says what each field means, `look` uses this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median_high
from typing import Final, Protocol

from graph.signals.context import Hints, PodContext, WorkloadContext
from graph.signals.messages import nobody_listens, probe_victim
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
FIRST_START: Final = timedelta(seconds=90)
"""A busy machine takes this long over what an idle one starts in seconds."""
FIRST_START_LEAST: Final = timedelta(seconds=60)
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


@dataclass(frozen=True, slots=True)
class Family:
    """What all pods of one root have in common, worked out once for a look at all of them."""

    root: Workload
    present: str | None
    """Its present revision, as its pods bear it."""
    confirmed: frozenset[str]
    """Revisions that were confirmed good."""
    serving: frozenset[str]
    """Revisions with a ready pod."""
    leaving: frozenset[str]
    """Uids of pods that are being deleted."""
    usual_start: timedelta | None
    pulled: tuple[tuple[str, str], ...]
    """Revision and image of each container that has run."""
    wanted: tuple[tuple[str, str], ...]
    """Revision and image of each container in the kept templates."""
    first_start: timedelta | None

    def images_beside(self, revision: str) -> frozenset[str]:
        """Images of other revisions: those that were pulled, or else those that their templates name."""
        return frozenset(image for other, image in self.pulled if other != revision) or frozenset(
            image for other, image in self.wanted if other != revision
        )


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

    def for_pod(self, pod: Pod, now: datetime, family: Family | None = None) -> PodContext | None:
        """The pod's context; None when its owner is not in view (yet): judge nothing then.

        `family` saves the work when many pods of one root are looked at.
        """
        root = self.root_of(pod)
        if root is None:
            return None
        owner = pod.metadata.controller
        controller = owner.kind if owner is not None else ""
        hints, seen = self._pod_hints(pod, now), self.symptoms.of(pod.uid, now)
        if isinstance(root, Pod):
            ref = ObjectRef(kind="Pod", namespace=pod.namespace, name=pod.name)
            return PodContext(ref, pod.uid, controller, suppressed=self._node_trouble(pod), hints=hints, seen=seen)
        if family is None or family.root.uid != root.uid:
            family = self.family(root, self._view.pods_of(root.uid))
        revision = revision_of(pod)
        return PodContext(
            root=ObjectRef(kind=root.kind, namespace=root.namespace, name=root.name),
            root_uid=root.uid,
            controller=controller,
            revision=revision or None,
            is_updating=bool(revision) and revision == family.present and is_rolling(root),
            is_confirmed=bool(revision) and revision in family.confirmed,
            revision_serves=revision in family.serving or (pod.is_ready and not pod.is_being_deleted),
            siblings_leaving=bool(family.leaving - {pod.uid}),
            usual_start=family.usual_start,
            other_images=family.images_beside(revision),
            first_start=family.first_start,
            suppressed="its owner is being deleted" if root.is_being_deleted else self._node_trouble(pod),
            hints=hints,
            seen=seen,
        )

    def family(self, root: Workload, pods: Sequence[Pod]) -> Family:
        """What `pods`, all pods of `root`, have in common."""
        sets = self._view.replica_sets_of(root.uid) if isinstance(root, Deployment) else []
        confirmed = frozenset(self._confirmed(root.uid))
        present = self.present_revision(root)
        return Family(
            root=root,
            present=present,
            confirmed=confirmed,
            serving=frozenset(revision_of(p) for p in pods if p.is_ready and not p.is_being_deleted),
            leaving=frozenset(p.uid for p in pods if p.is_being_deleted),
            usual_start=usual_start(pods),
            pulled=tuple((revision_of(p), image) for p in pods for image in _pulled(p)),
            wanted=tuple((_hash_of(s), image) for s in sets for image in _wanted(s)),
            first_start=_first_start(root, has_history=len(sets) > 1, is_confirmed=present in confirmed),
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
                return _hash_of(newest) or None if newest is not None else None
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
        probed = _notes(events, {"Unhealthy"}, now)
        return Hints(
            is_silent=bool(probed) and nobody_listens(probed[-1]),
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


def _hash_of(replica_set: ReplicaSet) -> str:
    return replica_set.metadata.labels.get(REVISION_LABELS[0], "")


def _pulled(pod: Pod) -> Iterator[str]:
    """Images that certainly can be had: their containers have run."""
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    ran = {s.name for s in statuses if s.state.running or s.state.terminated or s.last_state.terminated}
    return (c.image for c in (*pod.spec.init_containers, *pod.spec.containers) if c.name in ran and c.image)


def _wanted(replica_set: ReplicaSet) -> Iterator[str]:
    spec = replica_set.spec.template.spec
    return (c.image for c in (*spec.init_containers, *spec.containers) if c.image)


def _first_start(root: Workload, *, has_history: bool, is_confirmed: bool) -> timedelta | None:
    """The patience with a workload that has one revision, which has never been healthy; None for any other.

    Of a StatefulSet and a DaemonSet, whose revisions are not in view, the first generation is certainly the only one.
    """
    if is_confirmed:
        return None
    match root:
        case Deployment(spec=spec):
            deadline = timedelta(seconds=spec.progress_deadline_seconds)
            patience = max(FIRST_START_LEAST, min(FIRST_START, deadline))
            return patience if not has_history and is_rolling(root) else None
        case StatefulSet() | DaemonSet():
            return FIRST_START if root.metadata.generation <= 1 else None


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
