"""What one investigation may look at: the incident's namespace, and the nodes its pods run on.

The rule: the namespace is never an argument, so nothing a model says can name another one; a Secret has no way in.
Neighbour: `reads` asks here before each request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from tools.cluster.resources import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HPA,
    JOB,
    NODE,
    PDB,
    POD,
    PVC,
    QUOTA,
    REPLICA_SET,
    SERVICE,
    STATEFUL_SET,
    Resource,
)
from tools.executors.base import Reader

LIMIT_RANGE: Final = Resource("", "v1", "limitranges", "LimitRange")

Kind = Literal[
    "Pod", "Node", "Service", "ConfigMap", "PersistentVolumeClaim", "ResourceQuota", "LimitRange", "Deployment",
    "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision", "Job", "CronJob", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "EndpointSlice",
]  # fmt: skip
"""Every kind that can be read.  Secret is not among them, and the transport allow-list has no rule for it either."""

READABLE: Final[dict[str, Resource]] = {
    r.kind: r
    for r in (
        POD, NODE, SERVICE, CONFIG_MAP, PVC, QUOTA, LIMIT_RANGE, DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET,
        CONTROLLER_REVISION, JOB, CRON_JOB, HPA, PDB, ENDPOINT_SLICE,
    )
}  # fmt: skip


class Source(Reader, Protocol):
    """The reads of `tools.cluster.client.Cluster` that an investigation uses."""

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        tail_lines: int = 50,
        limit_bytes: int = 16384,
    ) -> str:
        """The end of a container's log."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """One namespace and some nodes."""

    namespace: str
    nodes: frozenset[str] = frozenset()

    def place_of(self, kind: str, name: str) -> str | None:
        """The namespace to read `kind` in; None for a node of the incident.  Raises OutOfScopeError for other nodes."""
        if READABLE[kind].namespaced:
            return self.namespace
        if name not in self.nodes:
            known = ", ".join(sorted(self.nodes)) or "none is known"
            raise OutOfScopeError(f"only nodes that run the incident's pods can be read: {known}")
        return None


class OutOfScopeError(Exception):
    """The object is not part of the incident.  The message names what is."""
