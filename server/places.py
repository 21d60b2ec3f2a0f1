"""Pods without a place: whether what keeps them from one has trouble, and an incident, of its own.

A pod that finds no node because its claim is not bound, or because people closed the nodes that would fit it, is a
symptom; the claim or the node is the cause.  The rule: the scheduler's own words and the pod's own references name the
cause; every symptom must have one; and where nothing of a rollout serves any more, the workload is not kept waiting for
what may take a person's time.

Neighbours: `server.watcher` opens nothing at the workload while its cause is looked after, `server.causes` groups
symptoms by what their messages name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from graph.facts import counters
from graph.incident import Reason, Signal
from graph.ports import Ports
from graph.signals.contexts import is_rolling
from graph.signals.look import look_at_object
from graph.signals.nodes import is_turned_away, shut_out
from graph.signals.object_contexts import uses
from server.causes import Owner
from tools.cluster.documents import PersistentVolumeClaim
from tools.cluster.objects import Node, Pod, Workload
from tools.cluster.owners import root_owner
from tools.refs import ObjectRef

_FOLLOWS: Final = frozenset({Reason.UNSCHEDULABLE, Reason.DEADLINE_EXCEEDED})
"""What a workload shows whose only trouble is that its pods find no place."""
_OBSTACLES: Final = frozenset({Reason.CLAIM_UNBOUND, Reason.NODE_CLOSED})
MOST: Final = 50
ASKED: Final = 20
"""Pods of one workload that are asked about: they are all alike."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One object that keeps pods from a place, and what shows on it."""

    owner: Owner
    signal: Signal


class Places:
    """Asks the watch; keeps nothing."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def obstacles(self, signals: Sequence[Signal], owner: Owner) -> tuple[Obstacle, ...]:
        """What all the symptoms of a workload follow from; empty when one of them has no such cause, or it cannot wait.

        `signals` are its confirmed ones.
        """
        workload = self._ports.mirror.workload(owner.ref.kind, owner.ref.namespace, owner.ref.name)
        if workload is None or not lack_only_places(signals) or not _may_wait(workload):
            return ()
        found: dict[str, Obstacle] = {}
        now = self._ports.clock.now()
        waiting = list(islice(self._waiting(signals), ASKED))
        closed = self._closed(now) if any(is_turned_away(pod) for pod in waiting) else []
        for pod in waiting:
            mine = [*self._claims(pod, now), *(o for o, turned_away in closed if pod.uid in turned_away)]
            if not mine:
                return ()
            found |= {one.owner.uid: one for one in mine}
        return tuple(found.values())

    def kept_out(self, owner: Owner) -> tuple[ObjectRef, ...]:
        """The workloads whose pods find no place for the object; empty for what keeps nobody from one."""
        mirror = self._ports.mirror
        match owner.ref.kind:
            case Node.kind:
                node = mirror.node(owner.ref.name)
                context = self._ports.objects.for_node(node, self._ports.clock.now()) if node is not None else None
                pods = [pod for pod, _ in shut_out(node, context)] if node is not None and context is not None else []
            case PersistentVolumeClaim.kind:
                there = mirror.pods(owner.ref.namespace)
                pods = [p for p in there if p.status.phase == "Pending" and uses(p, owner.ref.name)]
            case _:
                return ()
        tops = (root_owner(pod, mirror.find).highest_seen for pod in pods)
        refs = (ObjectRef(kind=t.kind, namespace=t.namespace or None, name=t.name) for t in tops)
        return tuple(dict.fromkeys(refs))[:MOST]

    def _waiting(self, signals: Sequence[Signal]) -> Iterator[Pod]:
        for signal in signals:
            if signal.reason is Reason.UNSCHEDULABLE and signal.object.kind == Pod.kind:
                pod = self._ports.mirror.pod(signal.object.namespace or "", signal.object.name)
                if pod is not None:
                    yield pod

    def _claims(self, pod: Pod, now: datetime) -> Iterator[Obstacle]:
        for claim in self._ports.mirror.documents(PersistentVolumeClaim, pod.namespace):
            if uses(pod, claim.name):
                yield from self._shown(claim, now)

    def _closed(self, now: datetime) -> list[tuple[Obstacle, frozenset[str]]]:
        """The nodes that are closed to waiting pods, with the uids of these."""
        objects = self._ports.objects
        found: list[tuple[Obstacle, frozenset[str]]] = []
        for node in self._ports.mirror.nodes():
            if objects.is_newly_closed(node):
                turned_away = frozenset(pod.uid for pod, _ in shut_out(node, objects.for_node(node, now)))
                found += [(obstacle, turned_away) for obstacle in self._shown(node, now)]
        return found

    def _shown(self, item: Node | PersistentVolumeClaim, now: datetime) -> Iterator[Obstacle]:
        found = look_at_object(item, self._ports.objects, now)
        yield from (Obstacle(Owner(item.ref, item.uid), s) for s in found if s.reason in _OBSTACLES)


def lack_only_places(signals: Sequence[Signal]) -> bool:
    """Whether nothing else is wrong than that pods find no place."""
    return all(s.reason in _FOLLOWS for s in signals)


def _may_wait(workload: Workload) -> bool:
    """Whether something of it still serves, or there is no rollout that could be taken back."""
    _, _, ready, _, _ = counters(workload)
    return ready > 0 or not is_rolling(workload)
