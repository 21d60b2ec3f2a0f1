"""Whether a kubelet takes a pod that was given to it: there must be room, whoever chose the node.

The scheduler sees to that for its own pods; one that names its node by itself comes here unseen.  Pure.  Words as
measured on Kubernetes 1.34; pkg/kubelet/lifecycle/predicate.go
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from evals.simulator import quantity
from evals.simulator.api.quota import pod_usage
from tools.jsontypes import JsonObject

_MEASURED: Final = {"cpu": 1000, "memory": 1}
"""What is asked about, in the order of asking, and the units that the words count in."""


def rejection(pod: JsonObject, there: Iterable[JsonObject], room: JsonObject) -> tuple[str, str] | None:
    """Reason and message when the pod does not fit beside those that are there; None when it does."""
    others = list(there)
    for resource, unit in _MEASURED.items():
        asked, has = pod_usage(pod, resource), quantity.parse(room.get(resource))
        used = sum((pod_usage(p, resource) for p in others), start=quantity.parse(0))
        if asked and asked + used > has:
            told = f"requested: {int(asked * unit)}, used: {int(used * unit)}, capacity: {int(has * unit)}"
            why = f"Pod was rejected: Node didn't have enough resource: {resource}, {told}"
            return f"OutOf{resource}", why
    return None
