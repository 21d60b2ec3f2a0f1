"""Who took the room that a workload's pods wait for, as values of the graph, and the pins of those workloads.

From the watch alone.  Neighbours: `graph.signals.crowding` finds them, `graph.rules.crowded` decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from graph.incident import Crowding, Reason, Signal
from graph.ports import Ports
from graph.signals.crowding import Crowder, crowders
from tools.cluster.objects import DaemonSet
from tools.refs import Pin

MOST: Final = 5


def crowding(signals: Iterable[Signal], ports: Ports) -> tuple[tuple[Crowding, ...], tuple[Pin, ...]]:
    """The workloads that took the room of the pods among `signals` that find no place, each once, with their pins."""
    found: dict[str, Crowder] = {}
    for signal in signals:
        if signal.reason is Reason.UNSCHEDULABLE and signal.confirmed:
            pod = ports.mirror.pod(signal.object.namespace or "", signal.object.name)
            if pod is not None:
                found |= {c.workload.uid: c for c in crowders(pod, ports.mirror, ports.journal)}
    chosen = list(found.values())[:MOST]
    return tuple(_as_fact(c) for c in chosen), tuple(_pin(c) for c in chosen)


def _as_fact(found: Crowder) -> Crowding:
    workload = found.workload
    now = 0 if isinstance(workload, DaemonSet) else workload.spec.replicas
    return Crowding(ref=workload.ref, priority=found.priority, before=found.former, now=now)


def _pin(found: Crowder) -> Pin:
    metadata = found.workload.metadata
    return Pin(
        ref=found.workload.ref,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        generation=metadata.generation,
    )
