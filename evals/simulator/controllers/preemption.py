"""Preemption: which pods of lower priority have to go so that a pod fits a node.  Pure.

As in the real scheduler the lowest priorities go first and as few as possible; disruption budgets are not weighed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from evals.simulator import quantity
from evals.simulator.api.quota import pod_usage
from evals.simulator.objects import integer, is_deleting, name_of
from tools.jsontypes import JsonObject, dig_str

_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def may_preempt(pod: JsonObject) -> bool:
    """Whether the pod may drive others off at all."""
    return priority(pod) > 0 and dig_str(pod, "spec", "preemptionPolicy") != "Never"


def priority(pod: JsonObject) -> int:
    """What admission resolved its class to."""
    return integer(pod, "spec", "priority")


def nominated(pods: Iterable[JsonObject], node: str, below: JsonObject) -> dict[str, Decimal]:
    """What pending pods of higher priority than `below` have been promised on a node."""
    promised = [p for p in pods if dig_str(p, "status", "nominatedNodeName") == node and priority(p) > priority(below)]
    return {r: sum((pod_usage(p, r) for p in promised), Decimal(0)) for r in _RESOURCES}


def victims(
    pod: JsonObject, there: Sequence[JsonObject], used: Mapping[str, Decimal], room: JsonObject
) -> list[JsonObject] | None:
    """The pods that must go, none if some are on their way out already; None when even that would not do."""
    lower = sorted((p for p in there if priority(p) < priority(pod)), key=lambda p: (priority(p), name_of(p)))
    short = {r: used[r] + pod_usage(pod, r) - quantity.parse(room.get(r)) for r in _RESOURCES if pod_usage(pod, r)}
    gone: list[JsonObject] = []
    for candidate in [*filter(is_deleting, lower), *(p for p in lower if not is_deleting(p))]:
        if all(missing <= 0 for missing in short.values()):
            break
        short = {r: missing - pod_usage(candidate, r) for r, missing in short.items()}
        gone.append(candidate)
    if any(missing > 0 for missing in short.values()):
        return None
    return [p for p in gone if not is_deleting(p)]
