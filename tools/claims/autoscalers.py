"""Claims of autoscalers: on the replicas of a workload, on the resources of its pods, and of KEDA on its own HPA."""

from __future__ import annotations

from typing import Final

from tools.claims.claim import (
    REPOSITORY,
    Claims,
    Effect,
    Instead,
    Known,
    Owner,
    Ownership,
    controller_of,
    group_of,
    itself,
)
from tools.cluster.structs import Reference
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str

REPLICAS: Final = ("/spec/replicas",)
RESOURCES: Final = ("/spec/template/spec/containers/*/resources",)
_HPA: Final = ("autoscaling/v2", "HorizontalPodAutoscaler")
_SCALED_OBJECT: Final = ("keda.sh/v1alpha1", "ScaledObject")
_VPA: Final = ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler")
_BOUNDS: Final = "keda_set_bounds"
_RESUME: Final = "keda_resume"


def on_workload(live: JsonObject, known: Known) -> Claims:
    """Who moves the replicas or the resources of a workload."""
    if not dig_object(live, "spec", "template"):
        return
    yield from _on_replicas(live, known)
    if known.vpas is None:
        sentence = "Whether an autoscaler owns the resources of its pods was not read."
        yield Ownership(Owner.UNKNOWN, Effect.UNKNOWN, sentence, fields=RESOURCES)
    for found in known.vpas or ():
        if _targets(found, "targetRef", live):
            yield _vertical(found)


def of_keda(live: JsonObject) -> Claims:
    """KEDA on the HPA that it made of a ScaledObject."""
    ref = _made_of(live)
    if ref is not None:
        sentence = f"KEDA made it of {ref} and keeps it so."
        yield Ownership(Owner.KEDA, Effect.REVERTED, sentence, Instead(ref, _BOUNDS))


def _on_replicas(live: JsonObject, known: Known) -> Claims:
    if known.hpas is None or known.scaled_objects is None:
        sentence = "Whether an autoscaler owns its replicas was not read."
        yield Ownership(Owner.UNKNOWN, Effect.UNKNOWN, sentence, fields=REPLICAS)
    scaled = [found for found in known.scaled_objects or () if _targets(found, "scaleTargetRef", live)]
    for found in scaled:
        yield _scaled_object(found)
    for found in known.hpas or ():
        if not _targets(found, "scaleTargetRef", live):
            continue
        made_of, ref = _made_of(found), itself(found, *_HPA)
        if made_of is None:
            yield Ownership(
                Owner.HPA, Effect.REVERTED, f"{ref} sets its replicas.", Instead(ref, "set_hpa_bounds"), REPLICAS
            )
        elif not scaled:
            sentence = f"{made_of} sets its replicas."
            yield Ownership(Owner.KEDA, Effect.REVERTED, sentence, Instead(made_of, _BOUNDS), REPLICAS)


def _scaled_object(found: JsonObject) -> Ownership:
    ref, annotations = itself(found, *_SCALED_OBJECT), dig_object(found, "metadata", "annotations")
    if "autoscaling.keda.sh/paused-replicas" in annotations:
        sentence = f"{ref} is paused and holds its replicas at a number."
        return Ownership(Owner.KEDA, Effect.REVERTED, sentence, Instead(ref, _RESUME), REPLICAS)
    if dig_str(annotations, "autoscaling.keda.sh/paused") == "true":
        sentence = f"{ref} is paused: its replicas stay until it is resumed."
        return Ownership(Owner.KEDA, Effect.DRIFTS, sentence, Instead(ref, _RESUME), REPLICAS)
    return Ownership(Owner.KEDA, Effect.REVERTED, f"{ref} sets its replicas.", Instead(ref, _BOUNDS), REPLICAS)


def _vertical(found: JsonObject) -> Ownership:
    ref = itself(found, *_VPA)
    policies = dig_list(found, "spec", "resourcePolicy", "containerPolicies")
    is_off = dig(found, "spec", "updatePolicy", "updateMode") == "Off" or any(
        dig(policy, "containerName") == "*" and dig(policy, "mode") == "Off" for policy in policies
    )
    if is_off:
        return Ownership(Owner.VPA, Effect.HOLDS, f"{ref} only recommends.", fields=RESOURCES)
    sentence = f"{ref} gives the pods requests of its own, whatever the template says."
    return Ownership(Owner.VPA, Effect.REVERTED, sentence, Instead(ref, REPOSITORY), RESOURCES)


def _made_of(hpa: JsonObject) -> Reference | None:
    """The ScaledObject that KEDA made an HPA of."""
    maker = controller_of(hpa)
    if maker is not None and maker.group == "keda.sh":
        return maker
    name = dig_str(hpa, "metadata", "labels", "scaledobject.keda.sh/name")
    if not name or dig_str(hpa, "kind") not in {"", "HorizontalPodAutoscaler"}:
        return None
    return Reference("ScaledObject", dig_str(hpa, "metadata", "namespace"), name, api_version=_SCALED_OBJECT[0])


def _targets(autoscaler: JsonObject, place: str, live: JsonObject) -> bool:
    """Whether the autoscaler is about this object.  KEDA may leave out kind and group of a Deployment."""
    target, metadata = dig_object(autoscaler, "spec", place), dig_object(live, "metadata")
    wanted = (dig_str(target, "kind") or "Deployment", dig_str(target, "name"))
    group = group_of(dig_str(target, "apiVersion") or "apps/v1")
    return (
        wanted == (dig_str(live, "kind"), dig_str(metadata, "name"))
        and group == group_of(dig_str(live, "apiVersion"))
        and dig_str(autoscaler, "metadata", "namespace") == dig_str(metadata, "namespace")
    )
