"""Autoscaler: what an autoscaler keeps is changed through the autoscaler, or not at all.

Of a workload that is its replicas (an autoscaler of people, or KEDA) and the resources of its pods (a vertical one,
when it writes); of an autoscaler that KEDA made it is everything.  `tools.ownership` knows who keeps what and where the
write goes instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tools.claims.autoscalers import REPLICAS, RESOURCES
from tools.cluster.resources import HPA, KNOWN, SCALED_OBJECT, VPA
from tools.executors.base import Situation
from tools.executors.kubernetes.common import WORKLOADS
from tools.executors.patch import split
from tools.executors.remote import RemoteExecutor
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import AnyExecutor, World, known, no
from tools.jsontypes import JsonObject, dig_str
from tools.ownership import Effect, Known, Owner, instead, ownership

_AUTOSCALERS: Final = frozenset({Owner.HPA, Owner.KEDA, Owner.VPA})


def check(world: World) -> Refused | None:
    """Refuse to write what an autoscaler keeps, and name the place to write."""
    action, executor = world.order.action, world.executor
    target = action.target
    if executor is None or isinstance(executor, RemoteExecutor) or target.kind not in {*WORKLOADS, HPA.kind}:
        return None
    situation = known(world.situation, f"{target}")
    fields = tuple(_in_question(world, executor, situation))
    if not fields:
        return None
    found = () if target.kind == HPA.kind else known(world.autoscalers, f"the autoscalers of {target.namespace}")
    typed: JsonObject = {"apiVersion": KNOWN[target.kind].api_version, "kind": target.kind, **situation.live}
    claim = ownership(typed, _known(found), fields, among=lambda one: one.owner in _AUTOSCALERS)
    if claim.owner is Owner.NOBODY or claim.effect is Effect.HOLDS:
        return None
    return no(ReasonCode.OWNED_BY_AUTOSCALER, f"{target}: {claim.sentence} {instead(claim)}".rstrip())


def may_write_resources(executor: AnyExecutor) -> bool:
    """Whether some order to this executor may write nothing but resources; whether this one does, only its fields say.

    An action that puts a whole template back never does.
    """
    declared = executor.declared_fields
    is_piecewise = executor.moves_replicas and any(place.startswith(f"{f}/") for place in RESOURCES for f in declared)
    return writes_resources(declared) or is_piecewise


def writes_resources(fields: tuple[str, ...]) -> bool:
    """Whether all that is written are the resources of containers: then nothing is left when they are taken back."""
    places = [split(pointer) for pointer in RESOURCES]
    return bool(fields) and all(any(_lies_in(split(field), place) for place in places) for field in fields)


def _in_question(world: World, executor: AnyExecutor, situation: Situation) -> Iterator[str]:
    """Pointers of what is written and may be an autoscaler's."""
    action = world.order.action
    fields = executor.fields(action, situation)
    if action.target.kind == HPA.kind:
        yield from fields
        return
    if executor.moves_replicas and executor.writes_replicas(action, situation):
        yield from REPLICAS
    if writes_resources(fields):
        yield from fields


def _lies_in(field: tuple[str, ...], place: tuple[str, ...]) -> bool:
    return len(field) >= len(place) and all(p in {"*", f} for p, f in zip(place, field, strict=False))


def _known(found: tuple[JsonObject, ...]) -> Known:
    """By kind; a kind that the cluster does not have has no objects."""
    hpas, scaled, vpas = (
        [item for item in found if dig_str(item, "kind") == r.kind] for r in (HPA, SCALED_OBJECT, VPA)
    )
    return Known(hpas=hpas, scaled_objects=scaled, vpas=vpas)
