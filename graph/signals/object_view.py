"""What the builders of contexts ask the mirror for, beyond what pods and workloads need.

`tools.cluster.mirror.Mirror` answers all of it.  The rule: an answer is what the server last told us; `holds` says
whether an absence here means an absence there.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from tools.cluster.documents import Document
from tools.cluster.objects import ClusterEvent, Controller, Job, Node, Pod, ReplicaSet, Workload
from tools.cluster.structs import KubeObject, Reference

D = TypeVar("D", bound=Document)


class ObjectView(Protocol):
    """The part of the mirror that is needed."""

    def pods(self, namespace: str | None = None) -> list[Pod]:
        """All pods, or those of one namespace."""
        ...

    def pods_of(self, owner_uid: str) -> list[Pod]:
        """The pods of an owner at any height."""
        ...

    def workloads(self, namespace: str | None = None) -> list[Workload]:
        """All Deployments, StatefulSets and DaemonSets, or those of one namespace."""
        ...

    def controller(self, kind: str, namespace: str | None, name: str) -> Controller | None:
        """One object that makes pods."""
        ...

    def replica_sets_of(self, deployment_uid: str) -> list[ReplicaSet]:
        """The revisions of a Deployment."""
        ...

    def jobs_of(self, owner_uid: str) -> list[Job]:
        """The Jobs of a CronJob."""
        ...

    def nodes(self) -> list[Node]:
        """All nodes."""
        ...

    def node(self, name: str) -> Node | None:
        """One node."""
        ...

    def events_for(self, uid: str) -> list[ClusterEvent]:
        """What was said about one object, oldest first."""
        ...

    def documents(self, struct: type[D], namespace: str | None = None) -> list[D]:
        """All objects of a kind that is kept whole, or those of one namespace."""
        ...

    def find(self, ref: Reference) -> KubeObject | None:
        """The object of that kind and uid, or of that kind and name when the reference has no uid."""
        ...

    def holds(self, kind: str, api_version: str) -> bool:
        """Whether this kind is seen, so that its absence here means its absence there."""
        ...
