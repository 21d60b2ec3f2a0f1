"""Whether a kubelet takes a pod that was given to it: there must be room, whoever chose the node.

The scheduler sees to that for its own pods; one that names its node by itself comes here unseen.  Words as
measured on Kubernetes 1.34; pkg/kubelet/lifecycle/predicate.go
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from evals.simulator import quantity
from evals.simulator.api.quota import pod_usage
from tools.jsontypes import JsonObject

_MEASURED: Final = {"cpu": 1000, "memory": 1}
"""What is asked about, in the order of asking, and the units that the words count in."""


class Taken:
    """What the pods that one kubelet has taken ask for, counted as they come and end: there may be thousands."""

    def __init__(self) -> None:
        self.used = dict.fromkeys(_MEASURED, Decimal(0))
        """By resource."""
        self._of: dict[str, dict[str, Decimal]] = {}

    def take(self, uid: str, pod: JsonObject) -> None:
        """A pod is here now.  Safe to repeat."""
        if uid not in self._of:
            self._of[uid] = {resource: pod_usage(pod, resource) for resource in _MEASURED}
            for resource, asked in self._of[uid].items():
                self.used[resource] += asked

    def release(self, uid: str) -> None:
        """It has ended or is gone; one that was never here is nothing."""
        for resource, asked in self._of.pop(uid, {}).items():
            self.used[resource] -= asked


def rejection(pod: JsonObject, used: Mapping[str, Decimal], room: JsonObject) -> tuple[str, str] | None:
    """Reason and message when the pod does not fit beside what is used; None when it does."""
    for resource, unit in _MEASURED.items():
        asked, has = pod_usage(pod, resource), quantity.parse(room.get(resource))
        if asked and asked + used[resource] > has:
            told = f"requested: {int(asked * unit)}, used: {int(used[resource] * unit)}, capacity: {int(has * unit)}"
            why = f"Pod was rejected: Node didn't have enough resource: {resource}, {told}"
            return f"OutOf{resource}", why
    return None
