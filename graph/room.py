"""Who took the room that a workload's pods wait for, as values of the graph, and the pins of those workloads.

The watch says who; each is read once, as it would be written to.  Neighbours: `graph.signals.crowding` finds them,
`graph.rules.crowded` decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import Crowding
from graph.ports import Ports
from graph.signals.crowding import Crowder, crowders
from graph.ways import pin_of_live
from tools.cluster.objects import DaemonSet
from tools.cluster.resources import KNOWN
from tools.errors import NotFound, ToolError
from tools.refs import Pin

MOST: Final = 5


async def crowding(
    signals: Iterable[Signal], ports: Ports, unseen: list[str]
) -> tuple[tuple[Crowding, ...], tuple[Pin, ...]]:
    """The workloads that took the room of the pods among `signals` that find no place, each once, with their pins.

    What could not be read is added to `unseen`.
    """
    found: dict[str, Crowder] = {}
    for signal in signals:
        if signal.reason is Reason.UNSCHEDULABLE and signal.confirmed:
            pod = ports.mirror.pod(signal.object.namespace or "", signal.object.name)
            if pod is not None:
                found |= {c.workload.uid: c for c in crowders(pod, ports.mirror, ports.journal)}
    facts: list[Crowding] = []
    pins: list[Pin] = []
    for crowder in list(found.values())[:MOST]:
        ref = crowder.workload.ref
        try:
            live = await ports.cluster.get(KNOWN[ref.kind], ref.name, ref.namespace)
        except NotFound:
            continue
        except ToolError as error:
            unseen.append(f"{ref}, which took the room ({error.code})")
            continue
        facts.append(_as_fact(crowder))
        pins.append(pin_of_live(ref, live))
    return tuple(facts), tuple(pins)


def _as_fact(found: Crowder) -> Crowding:
    workload = found.workload
    now = 0 if isinstance(workload, DaemonSet) else workload.spec.replicas
    return Crowding(ref=workload.ref, priority=found.priority, before=found.former, now=now)
