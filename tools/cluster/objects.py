"""The kinds we read, as small structs: pods, nodes and events, and how any kind is decoded.

The rule: only fields somebody reads, null and unknown fields tolerated (see `structs`), environment values never kept
(they may be secrets): names and references only.

Neighbours: `workloads` has the controllers' kinds, and is re-exported here; `documents` the kinds kept whole;
`reflector` and `mirror` hold these objects.  Field meanings: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Generic, TypeAlias, TypeVar, cast

import msgspec
from msgspec import field

from tools.cluster.documents import CUSTOM, DOCUMENTS, Document, decode_document
from tools.cluster.pods import (
    Container,
    ContainerPort,
    ContainerState,
    ContainerStatus,
    EnvFrom,
    EnvVar,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplate,
    Probe,
    ResourceNeeds,
    Volume,
)
from tools.cluster.resources import (
    CORE_EVENT,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    EVENT,
    JOB,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    STATEFUL_SET,
    Resource,
)
from tools.cluster.structs import (
    Condition,
    Identity,
    KubeObject,
    LabelSelector,
    Lax,
    LaxRef,
    ObjectMeta,
    OwnerReference,
    Reference,
    Wire,
    as_struct,
    condition,
)
from tools.cluster.workloads import Controller, CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet, Workload
from tools.errors import Undecodable
from tools.jsontypes import JsonObject

__all__ = [
    "ClusterEvent",
    "Condition",
    "Container",
    "ContainerPort",
    "ContainerState",
    "ContainerStatus",
    "Controller",
    "CronJob",
    "DaemonSet",
    "Decoder",
    "Deployment",
    "EnvFrom",
    "EnvVar",
    "Identity",
    "Job",
    "KubeObject",
    "LabelSelector",
    "Namespace",
    "Node",
    "ObjectMeta",
    "OwnerReference",
    "Pod",
    "PodSpec",
    "PodStatus",
    "PodTemplate",
    "Probe",
    "Reference",
    "ReplicaSet",
    "ResourceNeeds",
    "StatefulSet",
    "Taint",
    "Volume",
    "Workload",
    "condition",
    "decode_json",
    "decode_object",
    "decoder_of",
]  # fmt: skip

T = TypeVar("T", bound=KubeObject)
T_co = TypeVar("T_co", bound=KubeObject, covariant=True)


class Taint(Wire, frozen=True, gc=False):
    """What keeps pods off a node."""

    key: Lax[str] = ""
    value: Lax[str] = ""
    effect: Lax[str] = ""
    time_added: datetime | None = None


class NodeSpec(Wire, frozen=True, gc=False):
    """Whether the node takes new pods."""

    unschedulable: Lax[bool] = False
    taints: Lax[tuple[Taint, ...]] = ()


class NodeStatus(Wire, frozen=True, gc=False):
    """How the node is, by its own word."""

    conditions: Lax[tuple[Condition, ...]] = ()
    allocatable: Lax[dict[str, str]] = field(default_factory=dict[str, str])
    capacity: Lax[dict[str, str]] = field(default_factory=dict[str, str])


class Node(KubeObject, frozen=True, gc=False):
    """A machine.  Without a heartbeat every condition turns Unknown after the grace period."""

    kind = NODE.kind
    api_version = NODE.api_version

    spec: Lax[NodeSpec] = NodeSpec()
    status: Lax[NodeStatus] = NodeStatus()

    @property
    def is_ready(self) -> bool:
        """True while the Ready condition is True."""
        ready = condition(self.status.conditions, "Ready")
        return ready is not None and ready.status == "True"


class Namespace(KubeObject, frozen=True, gc=False):
    """Where objects live; its deletion takes all of them."""

    kind = NAMESPACE.kind
    api_version = NAMESPACE.api_version


class ClusterEvent(KubeObject, frozen=True, gc=False):
    """One Event of either API group.  A hint, never evidence: best effort, rate limited, gone after an hour.

    `type` is Normal or Warning; `count` is at least 1; `first_time` and `last_time` are the best the event says and
    None when it says nothing.
    """

    kind = EVENT.kind
    api_version = EVENT.api_version

    regarding: Reference = Reference()
    reason: str = ""
    note: str = ""
    type: str = ""
    action: str = ""
    controller: str = ""
    count: int = 1
    first_time: datetime | None = None
    last_time: datetime | None = None


class _Series(Wire, frozen=True, gc=False):
    count: Lax[int] = 0
    last_observed_time: datetime | None = None


class _Source(Wire, frozen=True, gc=False):
    component: Lax[str] = ""
    host: Lax[str] = ""


class _WireEvent(KubeObject, frozen=True, gc=False):
    """Both groups at once: core/v1 says involvedObject, message, count; events.k8s.io says regarding, note, series."""

    regarding: Lax[LaxRef] = LaxRef()
    involved_object: Lax[LaxRef] = LaxRef()
    reason: Lax[str] = ""
    note: Lax[str] = ""
    message: Lax[str] = ""
    type: Lax[str] = ""
    action: Lax[str] = ""
    reporting_controller: Lax[str] = ""
    reporting_component: Lax[str] = ""
    deprecated_source: Lax[_Source] = _Source()
    source: Lax[_Source] = _Source()
    count: Lax[int] = 0
    deprecated_count: Lax[int] = 0
    series: Lax[_Series] = _Series()
    event_time: datetime | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    deprecated_first_timestamp: datetime | None = None
    deprecated_last_timestamp: datetime | None = None

    def unified(self) -> ClusterEvent:
        first = self.first_timestamp or self.deprecated_first_timestamp or self.event_time
        last = self.series.last_observed_time or self.last_timestamp or self.deprecated_last_timestamp
        return ClusterEvent(
            metadata=self.metadata,
            regarding=(self.regarding if self.regarding != LaxRef() else self.involved_object).reference,
            reason=self.reason,
            note=self.note or self.message,
            type=self.type,
            action=self.action,
            controller=self.reporting_controller
            or self.reporting_component
            or self.source.component
            or self.deprecated_source.component,
            count=max(1, self.series.count, self.count, self.deprecated_count),
            first_time=first or self.metadata.creation_timestamp,
            last_time=last or self.event_time or first or self.metadata.creation_timestamp,
        )


class Decoder(Generic[T_co]):
    """Bytes of one object to its struct.  Raises Undecodable, and nothing else, when they do not fit."""

    def __init__(self, kind: str, decode: Callable[[bytes | msgspec.Raw], T_co]) -> None:
        """`kind` is for messages."""
        self.kind = kind
        self._decode = decode

    def __call__(self, raw: bytes | msgspec.Raw) -> T_co:
        """Decode `raw`."""
        try:
            return self._decode(raw)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise Undecodable(f"{self.kind}: {error}; the object is skipped, report its manifest") from error


def decoder_of(struct: type[T]) -> Decoder[T]:
    """The decoder of one struct type; ClusterEvent takes both API groups."""
    if struct is ClusterEvent:
        return cast("Decoder[T]", _EVENTS)
    if issubclass(struct, Document):
        return Decoder(struct.kind, lambda raw: decode_document(raw, struct))
    return Decoder(struct.kind, lambda raw: as_struct(raw, struct))


_EVENTS: Final = Decoder("Event", lambda raw: as_struct(raw, _WireEvent).unified())

_Structs: TypeAlias = "dict[Resource, type[KubeObject]]"
STRUCTS: Final[_Structs] = {
    POD: Pod,
    NODE: Node,
    NAMESPACE: Namespace,
    **{struct.resource: struct for struct in (*DOCUMENTS, *CUSTOM)},
    EVENT: ClusterEvent,
    CORE_EVENT: ClusterEvent,
    DEPLOYMENT: Deployment,
    REPLICA_SET: ReplicaSet,
    STATEFUL_SET: StatefulSet,
    DAEMON_SET: DaemonSet,
    JOB: Job,
    CRON_JOB: CronJob,
}
"""The struct of each resource that has one."""


def decode_object(resource: Resource) -> Decoder[KubeObject]:
    """The decoder of a resource; one that has no struct of its own decodes to its metadata (`Identity`)."""
    return decoder_of(STRUCTS.get(resource, Identity))


def decode_json(value: JsonObject, struct: type[T]) -> T:
    """Make a struct of an object already read as JSON.  Raises Undecodable."""
    return decoder_of(struct)(msgspec.json.encode(value))
