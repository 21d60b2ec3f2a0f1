"""Last known good: watches workloads until a revision has been healthy long enough, and writes that down.

Long enough is thirty seconds or twice the liveness budget and the pod's grace, whichever is longer, without a restart:
in a crash loop by liveness probe every round begins with a moment of Ready.  How long it has been healthy is read from
the pods' own times, so a restart of ours in between neither loses nor shortens it.

The rule: a revision is confirmed only while all its pods are ready, updated and counted by the controller for the
present generation.  Neighbours: the ledger keeps what is recorded; `revisions` and `graph.rules.candidates` use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from tools.clock import Clock
from tools.cluster.objects import (
    Container,
    DaemonSet,
    Deployment,
    Pod,
    PodSpec,
    Probe,
    StatefulSet,
    Workload,
    condition,
)
from tools.journal.revisions import REVISION_HASH, TEMPLATE_HASH
from tools.ledger.records import GoodRevision
from tools.refs import ObjectRef

LEAST: Final = timedelta(seconds=30)
MOST: Final = timedelta(minutes=30)
"""A liveness budget of hours would keep a revision from ever being confirmed."""


class GoodLedger(Protocol):
    """The part of the ledger that is needed."""

    async def confirm_good(self, good: GoodRevision) -> None:
        """Keep it; the same owner and hash again only renews the time."""
        ...

    async def good_revisions(self, owner_uid: str) -> Sequence[GoodRevision]:
        """What was confirmed for one owner."""
        ...


@dataclass(frozen=True, slots=True)
class _Candidate:
    owner: ObjectRef
    owner_uid: str
    revision_hash: str
    due: datetime


class GoodKeeper:
    """Call `observe` with every change of a workload or its pods, and `settle` about once a second."""

    def __init__(self, ledger: GoodLedger, clock: Clock) -> None:
        """Nothing is read before `load` or `settle`."""
        self._ledger = ledger
        self._clock = clock
        self._waiting: dict[str, _Candidate] = {}
        self._confirmed: dict[str, set[str]] = {}
        self._loaded: set[str] = set()

    def observe(self, workload: Workload, pods: Sequence[Pod]) -> datetime | None:
        """Take in how the owner is now; gives when its revision is due, None while it is not healthy.

        `pods` are all pods of the owner.
        """
        candidate = _candidate(workload, pods)
        if candidate is None:
            self._waiting.pop(workload.uid, None)
            return None
        if candidate.revision_hash in self._confirmed.get(workload.uid, set()):
            self._waiting.pop(workload.uid, None)
            return candidate.due
        self._waiting[workload.uid] = candidate
        return candidate.due

    async def settle(self) -> list[GoodRevision]:
        """Record every revision that is due; gives what was recorded.  What the ledger does not take stays waiting."""
        now = self._clock.now()
        recorded: list[GoodRevision] = []
        for uid, candidate in [(u, c) for u, c in self._waiting.items() if c.due <= now]:
            good = GoodRevision(
                owner_uid=uid, owner=candidate.owner, revision_hash=candidate.revision_hash, confirmed_at=now
            )
            await self._ledger.confirm_good(good)
            self._confirmed.setdefault(uid, set()).add(candidate.revision_hash)
            if self._waiting.get(uid) is candidate:
                del self._waiting[uid]
            recorded.append(good)
        return recorded

    async def load(self, owner_uid: str) -> None:
        """Read what was confirmed before this process began; costs nothing the second time."""
        if owner_uid not in self._loaded:
            known = await self._ledger.good_revisions(owner_uid)
            self._loaded.add(owner_uid)
            self._confirmed.setdefault(owner_uid, set()).update(g.revision_hash for g in known)

    def confirmed(self, owner_uid: str) -> frozenset[str]:
        """The hashes known to be confirmed for an owner; empty for one that was never loaded or recorded."""
        return frozenset(self._confirmed.get(owner_uid, ()))

    def forget(self, owner_uid: str) -> None:
        """The owner is gone."""
        self._waiting.pop(owner_uid, None)
        self._confirmed.pop(owner_uid, None)
        self._loaded.discard(owner_uid)


def _candidate(workload: Workload, pods: Sequence[Pod]) -> _Candidate | None:
    """The revision that is being proven, and when it will be; None while something is not as it should be."""
    if workload.is_being_deleted or not _is_complete(workload):
        return None
    living = [pod for pod in pods if not pod.is_being_deleted and pod.status.phase not in ("Failed", "Succeeded")]
    hashes = {_hash_of(pod) for pod in living}
    if len(living) != _desired(workload) or len(hashes) != 1 or "" in hashes:
        return None
    settled = [_settled_since(pod) for pod in living]
    times = [t for t in settled if t is not None]
    if len(times) != len(settled):
        return None
    owner = ObjectRef(kind=workload.kind, namespace=workload.namespace, name=workload.name)
    return _Candidate(owner, workload.uid, hashes.pop(), max(times) + proving_time(living[0].spec))


def healthy_since(workload: Workload, pods: Sequence[Pod]) -> datetime | None:
    """When the workload as it stands has proved itself, which may be yet to come; None while it is not healthy."""
    candidate = _candidate(workload, pods)
    return None if candidate is None else candidate.due


def proving_time(spec: PodSpec) -> timedelta:
    """How long a revision must stay healthy: 30 s, or twice what its slowest liveness probe takes, and the pod's grace.

    A program that ignores the request to end runs on, and counts as ready, until the pod's grace is over.
    """
    rounds = [
        timedelta(seconds=2 * _budget_seconds(c, c.liveness_probe) + spec.termination_grace_period_seconds)
        for c in spec.containers
        if c.liveness_probe is not None
    ]
    return min(max([LEAST, *rounds]), MOST)


def _budget_seconds(container: Container, liveness: Probe) -> int:
    return liveness.budget_seconds + (container.startup_probe.budget_seconds if container.startup_probe else 0)


def _is_complete(workload: Workload) -> bool:
    """Ready, updated and desired are the same number, of the present generation, and not zero."""
    if workload.status.observed_generation < workload.metadata.generation:
        return False
    desired = _desired(workload)
    match workload:
        case Deployment(status=status):
            counts = (status.updated_replicas, status.ready_replicas, status.replicas)
        case StatefulSet(status=status):
            if status.update_revision != status.current_revision:
                return False
            counts = (status.updated_replicas, status.ready_replicas, status.replicas)
        case DaemonSet(status=status):
            counts = (status.updated_number_scheduled, status.number_ready, status.current_number_scheduled)
    return desired > 0 and all(count == desired for count in counts)


def _desired(workload: Workload) -> int:
    match workload:
        case Deployment(spec=spec) | StatefulSet(spec=spec):
            return spec.replicas
        case DaemonSet(status=status):
            return status.desired_number_scheduled


def _hash_of(pod: Pod) -> str:
    labels = pod.metadata.labels
    return labels.get(TEMPLATE_HASH) or labels.get(REVISION_HASH, "")


def _settled_since(pod: Pod) -> datetime | None:
    """Since when the pod is ready and none of its containers has restarted; None while it is not."""
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or ready.status != "True" or ready.last_transition_time is None:
        return None
    starts = [ready.last_transition_time]
    for status in pod.status.container_statuses:
        running = status.state.running
        if running is None or running.started_at is None:
            return None
        starts.append(running.started_at)
    return max(starts)
