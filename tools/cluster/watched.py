"""What the mirror watches by itself, and how much each kind matters to what it says of its own view.

The rule: whether a workload is well can be said without the kinds that only help to find a cause; and a kind that the
cluster does not have hides nothing.  Neighbour: `mirror`.
"""

from __future__ import annotations

from typing import Final

from tools.cluster.documents import DOCUMENTS, Document
from tools.cluster.objects import (
    ClusterEvent,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Namespace,
    Node,
    Pod,
    ReplicaSet,
    StatefulSet,
)
from tools.cluster.reflector import Reflector, Unavailable
from tools.cluster.resources import (
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
from tools.cluster.structs import KubeObject

WATCHED: Final[tuple[tuple[Resource, type[KubeObject]], ...]] = (
    (POD, Pod),
    (EVENT, ClusterEvent),
    (NODE, Node),
    (NAMESPACE, Namespace),
    (DEPLOYMENT, Deployment),
    (REPLICA_SET, ReplicaSet),
    (STATEFUL_SET, StatefulSet),
    (DAEMON_SET, DaemonSet),
    (JOB, Job),
    (CRON_JOB, CronJob),
    *((struct.resource, struct) for struct in DOCUMENTS),
)
"""What is mirrored.  Everything else is read live when an incident needs it."""

CONTROLLERS: Final[dict[str, type[KubeObject]]] = {
    struct.kind: struct for struct in (Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob)
}
"""What makes pods, by kind."""
WHOLE: Final[dict[str, type[Document]]] = {struct.kind: struct for struct in DOCUMENTS}
"""What is always kept whole, by kind."""
_FOR_CAUSES: Final = frozenset((NAMESPACE, *(struct.resource for struct in DOCUMENTS)))
"""Seen to find causes; whether a workload is well can be said without."""


def is_vital(reflector: Reflector[KubeObject]) -> bool:
    """Whether verification needs this source."""
    return not reflector.is_optional and reflector.resource not in _FOR_CAUSES


def unseen(reflector: Reflector[KubeObject]) -> str:
    """What cannot be seen there and why, for people; "" when it is seen, or when there is nothing to see."""
    state = reflector.state
    if not isinstance(state, Unavailable) or (reflector.is_optional and not state.is_served):
        return ""
    where = f" in {reflector.namespace}" if reflector.namespace else ""
    return f"{reflector.resource.plural}{where}: {state.reason}"
