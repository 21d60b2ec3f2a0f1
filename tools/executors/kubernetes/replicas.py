"""Who owns a replica count: the autoscalers of a namespace, of both sorts.

Neighbours: the guard refuses to write a count that one of these owns (`tools.ownership`); `objects` leaves it out of a
revert.
"""

from __future__ import annotations

from contextlib import suppress

from tools.cluster.resources import HPA, SCALED_OBJECT
from tools.errors import NotFound
from tools.executors.base import Reader
from tools.jsontypes import JsonObject, dig_str
from tools.refs import ObjectRef


def owns_replicas(autoscaler: JsonObject, target: ObjectRef) -> bool:
    """Whether this HorizontalPodAutoscaler or ScaledObject chooses the replica count of `target`."""
    kind = dig_str(autoscaler, "spec", "scaleTargetRef", "kind") or "Deployment"
    return (kind, dig_str(autoscaler, "spec", "scaleTargetRef", "name")) == (target.kind, target.name)


async def is_autoscaled(target: ObjectRef, cluster: Reader) -> bool:
    """Whether any autoscaler chooses the replica count of `target`.  Raises `ToolError`.

    A cluster without KEDA has no ScaledObjects.
    """
    found = await cluster.list(HPA, target.namespace)
    with suppress(NotFound):
        found = [*found, *await cluster.list(SCALED_OBJECT, target.namespace)]
    return any(owns_replicas(autoscaler, target) for autoscaler in found)
