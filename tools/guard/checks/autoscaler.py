"""Autoscaler: a replica count that an autoscaler owns is changed through the autoscaler, or not at all."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import JsonObject, dig_str
from tools.refs import ObjectRef


def check(world: World) -> Refused | None:
    """Refuse to move replicas that a HorizontalPodAutoscaler or a ScaledObject targets."""
    if world.executor is None or not world.executor.moves_replicas:
        return None
    target = world.order.action.target
    for autoscaler in known(world.autoscalers, f"the autoscalers of namespace {target.namespace}"):
        if _targets(autoscaler, target):
            name = f"{dig_str(autoscaler, 'kind')} {dig_str(autoscaler, 'metadata', 'name')}"
            return no(ReasonCode.OWNED_BY_AUTOSCALER, f"{name} owns the replica count of {target}.")
    return None


def _targets(autoscaler: JsonObject, target: ObjectRef) -> bool:
    kind = dig_str(autoscaler, "spec", "scaleTargetRef", "kind") or "Deployment"
    return (kind, dig_str(autoscaler, "spec", "scaleTargetRef", "name")) == (target.kind, target.name)
