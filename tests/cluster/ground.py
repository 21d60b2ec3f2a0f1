"""The ground a scenario is played on: what a lane needs of a cluster, whatever it is made of.

Two of them: `real` (the harness's Kubernetes) and `simulated` (`evals.simulator`).  Scenarios, checks, lanes and report
are the same on both; a scenario that needs what a ground does not offer is counted as not played there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tests.cluster.audit import Write
from tests.cluster.checks import Asked
from tests.cluster.kube import Kube
from tests.cluster.mirror import View
from tools.clock import Clock


class Trail(Protocol):
    """What the API server says the healer did."""

    writes: list[Write]

    def read(self) -> None:
        """Take in what was appended since the last call."""
        ...

    def in_namespace(self, namespace: str, since: float) -> list[Write]:
        """The healer's writes into the namespace from a moment on, oldest first."""
        ...

    def foreign_in(self, namespace: str) -> list[Write]:
        """Accepted writes into the namespace by another process of the same user."""
        ...

    def requests_in(self, namespace: str, since: float) -> int:
        """How many requests of the healer named the namespace from a moment on, reads and dry runs too."""
        ...


class Ground(Protocol):
    """A running cluster."""

    name: str
    offers: frozenset[str]
    look_s: float
    """Between two looks of a lane, in seconds of the clock."""
    human: Kube
    """The connection that breaks things."""

    @property
    def clock(self) -> Clock:
        """Whose seconds count."""
        ...

    @property
    def trail(self) -> Trail:
        """What the healer did."""
        ...

    def view(self, namespace: str) -> View:
        """The namespace as known now; cheap."""
        ...

    async def fresh_view(self, namespace: str) -> View:
        """The namespace as the API server has it."""
        ...

    async def ask(self, namespace: str, check: Asked) -> str | None:
        """Judge a check that a view cannot answer: None when it holds, else one sentence."""
        ...

    async def kubectl(self, namespace: str, arguments: Sequence[str], *, as_healer: bool = False) -> None:
        """What kubectl would do.  KubeError with its reason on failure."""
        ...

    async def kubelet(self, node: str, *, runs: bool) -> None:
        """Stop a node's kubelet, or start it."""
        ...

    async def alias(self, image: str, name: str) -> None:
        """An image that is there can be had under another name, too."""
        ...
