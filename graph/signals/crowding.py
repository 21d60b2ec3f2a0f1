"""Who took the room: workloads of higher priority that came, or grew, just before pods found no place.

A pod that was driven off says nothing of it any more, it is gone; its successor waits for resources.  The rule: only
what came shortly before the pod that waits, outranks it, stands where it could stand and asks for what it lacks has
taken its room; and only what is known to have been smaller before can be made so again.
Neighbours: `nodes` does not blame a closed node for such pods, `graph.rules.crowded` proposes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.signals.knowledge import Knowledge
from graph.signals.object_view import ObjectView
from tools.cluster.objects import DaemonSet, Pod, Workload, condition
from tools.cluster.owners import root_owner

RECENT: Final = timedelta(minutes=5)
"""How long before the pod that waits; driving off takes as long as the pods there take to end."""
_SKEW: Final = timedelta(seconds=5)
_LACKS: Final = re.compile(r"Insufficient ([A-Za-z0-9./_-]+)")


@dataclass(frozen=True, slots=True)
class Crowder:
    """One workload, what outranks the pod that waits, and how many replicas it had before it took the room."""

    workload: Workload
    priority: int
    former: int


def is_short_of_room(pod: Pod) -> bool:
    """Whether the scheduler says that resources are what it lacks."""
    return bool(_lacking(pod))


def crowders(pod: Pod, view: ObjectView, knowledge: Knowledge, *, among: Sequence[Pod] | None = None) -> list[Crowder]:
    """The workloads that took the room of a waiting pod, each once; empty when it is not short of room.

    `among`: the pods that may have (`newcomers`), for whoever asks about many at once.
    """
    lacking, born = _lacking(pod), pod.metadata.creation_timestamp
    if not lacking or born is None:
        return []
    found: dict[str, Crowder] = {}
    for other in newcomers([pod], view) if among is None else among:
        if not _took_room(other, pod, lacking, born, view):
            continue
        workload = _workload_of(other, view)
        if workload is None or workload.uid in found:
            continue
        former = _former(workload, born, knowledge)
        if former is not None:
            found[workload.uid] = Crowder(workload, other.spec.priority, former)
    return list(found.values())


def newcomers(waiting: Sequence[Pod], view: ObjectView) -> list[Pod]:
    """The pods that may have taken the room of any of these: few, in a cluster of thousands."""
    born = [p.metadata.creation_timestamp for p in waiting if p.metadata.creation_timestamp is not None]
    if not born:
        return []
    since, least = min(born) - RECENT, min(p.spec.priority for p in waiting)
    return [
        p
        for p in view.pods()
        if p.spec.priority > least and (made := p.metadata.creation_timestamp) is not None and made >= since
    ]


def _lacking(pod: Pod) -> frozenset[str]:
    scheduled = condition(pod.status.conditions, "PodScheduled")
    if pod.spec.node_name or scheduled is None or scheduled.status != "False":
        return frozenset()
    return frozenset(name.rstrip(".,") for name in _LACKS.findall(scheduled.message))


def _took_room(other: Pod, pod: Pod, lacking: frozenset[str], born: datetime, view: ObjectView) -> bool:
    came = other.metadata.creation_timestamp
    if other.spec.priority <= pod.spec.priority or other.is_being_deleted or came is None:
        return False
    if other.status.phase in ("Succeeded", "Failed") or not born - RECENT <= came <= born + _SKEW:
        return False
    node = view.node(other.spec.node_name or other.status.nominated_node_name)
    if node is None or any(node.metadata.labels.get(k) != v for k, v in pod.spec.node_selector.items()):
        return False
    return bool(lacking & set(_asked(other)))


def _asked(pod: Pod) -> Iterator[str]:
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        yield from container.resources.requests


def _workload_of(pod: Pod, view: ObjectView) -> Workload | None:
    """Its scalable owner; a DaemonSet has no number."""
    top = root_owner(pod, view.find).highest_seen
    found = view.controller(top.kind, top.namespace, top.name)
    is_scalable = isinstance(found, Workload) and not isinstance(found, DaemonSet)
    return found if is_scalable and isinstance(found, Workload) and found.uid == top.uid else None


def _former(workload: Workload, born: datetime, knowledge: Knowledge) -> int | None:
    """How many replicas it had before: what the newest change replaced, else none when it is that new."""
    before = knowledge.replaced(workload.ref, "spec.replicas")
    if before is not None and before.isdigit():
        desired = 0 if isinstance(workload, DaemonSet) else workload.spec.replicas
        return int(before) if int(before) < desired else None
    made = workload.metadata.creation_timestamp
    return 0 if made is not None and made >= born - RECENT else None
