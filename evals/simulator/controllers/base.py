"""What a controller is, and the metrics it may read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from evals.simulator.api.core import Api
from evals.simulator.api.store import Change

if TYPE_CHECKING:
    from evals.simulator.controllers.manager import Manager

Key = tuple[str, str]
"""Namespace and name."""


class Controller(ABC):
    """Base of the controllers: `watches` maps a store key to the objects to look at again for a change."""

    name = "controller"
    key = ""

    def __init__(self, api: Api, manager: Manager) -> None:
        self.api, self.manager = api, manager

    def related(self, change: Change) -> list[Key]:  # noqa: ARG002 - the contract
        """Which objects of `key` a change of another resource concerns."""
        return []

    @abstractmethod
    def sync(self, namespace: str, name: str) -> None:
        """Bring the world closer to what the object says.  The object may be gone."""

    def later(self, namespace: str, name: str, seconds: float) -> None:
        """Look again after so many seconds."""
        self.manager.later(self, (namespace, name), seconds)


def _nobody(namespace: str, scaled: str, metric: str) -> float | None:
    del namespace, scaled, metric
    return None


class Metrics:
    """What pods use, given by whoever runs the simulation."""

    def __init__(self) -> None:
        self._cpu: dict[tuple[str, str], float] = {}
        self.default: float | None = None
        """What pods use of which nobody said anything; None: they have no metrics."""
        self.external: Callable[[str, str, str], float | None] = _nobody
        """Who answers for `external.metrics.k8s.io`: the value of a namespace, a ScaledObject's name and a metric."""

    def set(self, namespace: str, workload: str, millicores: float) -> None:
        """Every pod of the workload uses that much from now on."""
        self._cpu[namespace, workload] = millicores

    def get(self, namespace: str, workload: str) -> float | None:
        """Millicores per pod; None when there are no metrics."""
        return self._cpu.get((namespace, workload), self.default)
