"""Autoscaler: a replica count that an autoscaler owns is changed through the autoscaler, or not at all."""

from __future__ import annotations

from tools.executors.kubernetes.replicas import owns_replicas
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import dig_str


def check(world: World) -> Refused | None:
    """Refuse to move replicas that a HorizontalPodAutoscaler or a ScaledObject targets."""
    action, executor = world.order.action, world.executor
    target = action.target
    if executor is None or not executor.moves_replicas:
        return None
    if not executor.writes_replicas(action, known(world.situation, f"{target}")):
        return None
    for autoscaler in known(world.autoscalers, f"the autoscalers of namespace {target.namespace}"):
        if owns_replicas(autoscaler, target):
            name = f"{dig_str(autoscaler, 'kind')} {dig_str(autoscaler, 'metadata', 'name')}"
            return no(ReasonCode.OWNED_BY_AUTOSCALER, f"{name} owns the replica count of {target}.")
    return None
