"""Who owns an object, what that means for a write to it, and where the write goes instead.  Pure.

Most objects of a cluster are kept by somebody: a delivery controller, an autoscaler, an operator.  A healer that writes
behind their back is reverted or makes drift.  `claims` finds everybody who keeps a part of the object; `ownership` is
the one that decides about a write of given fields.

The rule: what was not read is not nobody.  An autoscaler list that is None, or an Application that cannot be found,
makes the answer `UNKNOWN` or the stricter one.

Facts: labels and annotations as their controllers write them (Argo CD, Flux, Helm, KEDA, Crossplane), managedFields
v1 (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
Neighbours: `tools.executors.argocd.decisions.reversal` knows Argo CD; checks of the guard ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tools.cluster.structs import Reference
from tools.executors.argocd import application as argo
from tools.executors.argocd.application import ResourceKey
from tools.executors.argocd.decisions import Reversal, reversal
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str


class Owner(StrEnum):
    """Who keeps an object, or a part of it."""

    NOBODY = "nobody"
    CONTROLLER = "a controller of Kubernetes"
    CROSSPLANE = "Crossplane"
    KEDA = "KEDA"
    HPA = "a HorizontalPodAutoscaler"
    VPA = "a VerticalPodAutoscaler"
    ARGO_CD = "Argo CD"
    FLUX = "Flux"
    OPERATOR = "an operator"
    HELM = "Helm"
    UNKNOWN = "unknown"
    """What would tell was not read."""


class Effect(StrEnum):
    """What becomes of a write to the object itself."""

    HOLDS = "holds"
    """Nobody takes it back."""
    DRIFTS = "drifts"
    """It holds until the owner delivers next, and shows as a difference until then."""
    REVERTED = "reverted"
    """The owner takes it back by itself, soon."""
    UNKNOWN = "unknown"
    """It cannot be told; treat it as reverted."""


@dataclass(frozen=True, slots=True)
class Instead:
    """Where the write goes instead: an object or a declaration, and the action for it."""

    ref: Reference | None
    """None when it is not an object of this cluster."""
    action: str
    """The name of one of our actions, or `repository`: the declaration must change there."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """One owner's claim."""

    owner: Owner
    effect: Effect
    sentence: str
    instead: Instead | None = None
    fields: tuple[str, ...] = ()
    """JSON pointers it keeps; a segment `*` stands for any one; none means all of the object."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was read of those who may own the object; None where it was not read.

    Applications are looked up in all of the cluster; autoscalers in the object's namespace.
    """

    applications: Sequence[JsonObject] | None = None
    hpas: Sequence[JsonObject] | None = None
    scaled_objects: Sequence[JsonObject] | None = None
    vpas: Sequence[JsonObject] | None = None
    own_managers: frozenset[str] = field(default_factory=lambda: frozenset({"selfheal", "selfheal-undo"}))
    """Field managers of our own writes."""


REPLICAS: Final = "/spec/replicas"
RESOURCES: Final = "/spec/template/spec/containers/*/resources"
_REPOSITORY: Final = "repository"
_NOBODY: Final = Ownership(Owner.NOBODY, Effect.HOLDS, "Nobody is seen to keep it as declared.")
_STRENGTH: Final = (Effect.REVERTED, Effect.UNKNOWN, Effect.DRIFTS, Effect.HOLDS)
_BUILT_IN_GROUPS: Final = frozenset({"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io"})
_HAND_TOOLS: Final = ("kubectl", "helm", "k9s", "Mozilla", "dashboard", "Terraform", "HashiCorp", "pulumi", "curl")
"""Beginnings of the field managers of tools that write once and do not come back."""
_KUBERNETES: Final = frozenset({"kube-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver", "before-first-apply"})
_DELIVERY: Final = {
    "argocd-controller": Owner.ARGO_CD,
    "argocd-application-controller": Owner.ARGO_CD,
    "kustomize-controller": Owner.FLUX,
    "helm-controller": Owner.FLUX,
    "keda": Owner.KEDA,
    "keda-operator": Owner.KEDA,
}


def ownership(live: JsonObject, known: Known, fields: Sequence[str] = ()) -> Ownership:
    """The claim that decides about a write of `fields` (JSON pointers; none means any) to `live`.

    Of several the strictest counts, and of equally strict ones the one that keeps the fewest fields.
    """
    touching = [claim for claim in claims(live, known) if _touches(claim, fields)]
    return min(touching, key=lambda c: (_STRENGTH.index(c.effect), not c.fields), default=_NOBODY)


def claims(live: JsonObject, known: Known) -> tuple[Ownership, ...]:
    """Everybody who keeps a part of the object."""
    return tuple(
        claim
        for find in (_controller, _crossplane, _autoscaled_by, _keda_made, _argo, _flux, _helm, _managers)
        for claim in find(live, known)
    )


# --- controllers ------------------------------------------------------------------------------------------------------


def _controller(live: JsonObject, _: Known) -> Iterator[Ownership]:
    """The controller ownerReference: what made the object and makes it again."""
    owner = next((o for o in dig_list(live, "metadata", "ownerReferences") if dig(o, "controller") is True), None)
    if owner is None:
        return
    ref = _reference(live, dig_str(owner, "apiVersion"), dig_str(owner, "kind"), dig_str(owner, "name"))
    if dig_str(live, "kind") == "Pod" and ref.group in _BUILT_IN_GROUPS:
        sentence = f"{ref} replaces the pod when it goes; what is written to it goes with it."
        yield Ownership(Owner.CONTROLLER, Effect.DRIFTS, sentence, Instead(ref, ""))
    elif ref.group in _BUILT_IN_GROUPS:
        yield Ownership(Owner.CONTROLLER, Effect.REVERTED, f"{ref} keeps it as its own spec says.", Instead(ref, ""))
    elif ref.group == "keda.sh":
        yield Ownership(Owner.KEDA, Effect.REVERTED, f"{ref} keeps it.", Instead(ref, "keda_set_bounds"))
    elif _is_crossplane(ref.group):
        yield Ownership(Owner.CROSSPLANE, Effect.REVERTED, f"{ref} keeps it.", Instead(ref, _crossplane_action(ref)))
    else:
        sentence = f"{ref} made it, and the operator behind that may take any change back."
        yield Ownership(Owner.OPERATOR, Effect.REVERTED, sentence, Instead(ref, _REPOSITORY))


def _crossplane(live: JsonObject, _: Known) -> Iterator[Ownership]:
    """What a composition made is kept as composed; a claim is where people write."""
    labels = dig_object(live, "metadata", "labels")
    composite, claim = dig_str(labels, "crossplane.io/composite"), dig_str(labels, "crossplane.io/claim-name")
    if not composite:
        return
    if claim:
        ref = Reference("", dig_str(labels, "crossplane.io/claim-namespace"), claim)
        sentence = f"Crossplane composed it for the claim {ref.namespace}/{claim} and keeps it so."
    else:
        ref = Reference("", "", composite)
        sentence = f"Crossplane composed it for {composite} and keeps it so."
    yield Ownership(Owner.CROSSPLANE, Effect.REVERTED, sentence, Instead(ref, "crossplane_reconcile_now"))


def _is_crossplane(group: str) -> bool:
    return group == "crossplane.io" or group.endswith(".crossplane.io")


def _crossplane_action(ref: Reference) -> str:
    """A provider's Deployment follows its package; everything else is reconciled."""
    return _REPOSITORY if ref.group == "pkg.crossplane.io" else "crossplane_reconcile_now"


# --- autoscalers ------------------------------------------------------------------------------------------------------


def _autoscaled_by(live: JsonObject, known: Known) -> Iterator[Ownership]:
    """Who moves the replicas or the resources of a workload."""
    if dig(live, "spec", "replicas") is None and dig(live, "spec", "template") is None:
        return
    if known.hpas is None or known.scaled_objects is None:
        sentence = "Whether an autoscaler owns its replicas was not read."
        yield Ownership(Owner.UNKNOWN, Effect.UNKNOWN, sentence, fields=(REPLICAS,))
    if known.vpas is None:
        sentence = "Whether an autoscaler owns its resources was not read."
        yield Ownership(Owner.UNKNOWN, Effect.UNKNOWN, sentence, fields=(RESOURCES,))
    scaled = [s for s in known.scaled_objects or () if _targets(s, "scaleTargetRef", live)]
    for found in scaled:
        yield _scaled_object(found)
    for found in known.hpas or ():
        if _targets(found, "scaleTargetRef", live) and not _keda_name(found):
            ref = _itself(found, "autoscaling/v2", "HorizontalPodAutoscaler")
            sentence = f"{ref} sets its replicas."
            yield Ownership(Owner.HPA, Effect.REVERTED, sentence, Instead(ref, "set_hpa_bounds"), (REPLICAS,))
        elif _targets(found, "scaleTargetRef", live) and not scaled:
            ref = _reference(found, "keda.sh/v1alpha1", "ScaledObject", _keda_name(found))
            sentence = f"{ref} sets its replicas."
            yield Ownership(Owner.KEDA, Effect.REVERTED, sentence, Instead(ref, "keda_set_bounds"), (REPLICAS,))
    for found in known.vpas or ():
        if _targets(found, "targetRef", live):
            yield _vertical(found)


def _scaled_object(found: JsonObject) -> Ownership:
    ref = _itself(found, "keda.sh/v1alpha1", "ScaledObject")
    annotations = dig_object(found, "metadata", "annotations")
    if "autoscaling.keda.sh/paused-replicas" in annotations:
        sentence = f"{ref} is paused and holds its replicas at a number."
        return Ownership(Owner.KEDA, Effect.REVERTED, sentence, Instead(ref, "keda_resume"), (REPLICAS,))
    if dig_str(annotations, "autoscaling.keda.sh/paused") == "true":
        sentence = f"{ref} is paused: its replicas stay until it is resumed."
        return Ownership(Owner.KEDA, Effect.DRIFTS, sentence, Instead(ref, "keda_resume"), (REPLICAS,))
    sentence = f"{ref} sets its replicas."
    return Ownership(Owner.KEDA, Effect.REVERTED, sentence, Instead(ref, "keda_set_bounds"), (REPLICAS,))


def _vertical(found: JsonObject) -> Ownership:
    ref = _itself(found, "autoscaling.k8s.io/v1", "VerticalPodAutoscaler")
    policies = dig_list(found, "spec", "resourcePolicy", "containerPolicies")
    is_off = dig(found, "spec", "updatePolicy", "updateMode") == "Off" or any(
        dig(policy, "containerName") == "*" and dig(policy, "mode") == "Off" for policy in policies
    )
    if is_off:
        return Ownership(Owner.VPA, Effect.HOLDS, f"{ref} only recommends.", fields=(RESOURCES,))
    sentence = f"{ref} gives the pods its own requests, whatever the template says."
    return Ownership(Owner.VPA, Effect.REVERTED, sentence, Instead(ref, _REPOSITORY), (RESOURCES,))


def _keda_made(live: JsonObject, _: Known) -> Iterator[Ownership]:
    """The HPA that KEDA makes of a ScaledObject, in versions that do not set the controller reference."""
    name = _keda_name(live)
    if name and dig_str(live, "kind") == "HorizontalPodAutoscaler":
        ref = _reference(live, "keda.sh/v1alpha1", "ScaledObject", name)
        yield Ownership(Owner.KEDA, Effect.REVERTED, f"{ref} keeps it.", Instead(ref, "keda_set_bounds"))


def _keda_name(found: JsonObject) -> str:
    """The ScaledObject an HPA was made of; "" when it was not."""
    for owner in dig_list(found, "metadata", "ownerReferences"):
        if dig_str(owner, "kind") == "ScaledObject":
            return dig_str(owner, "name")
    return dig_str(found, "metadata", "labels", "scaledobject.keda.sh/name")


def _targets(autoscaler: JsonObject, place: str, live: JsonObject) -> bool:
    """Whether the autoscaler is about this object; KEDA leaves out the kind of a Deployment."""
    target = dig_object(autoscaler, "spec", place)
    group = _group(dig_str(target, "apiVersion") or dig_str(live, "apiVersion"))
    wanted = (group, dig_str(target, "kind") or "Deployment", dig_str(target, "name"))
    key = ResourceKey.of(live)
    here = dig_str(autoscaler, "metadata", "namespace") in {"", key.namespace}
    return here and wanted == (key.group, key.kind, key.name)


# --- delivery ---------------------------------------------------------------------------------------------------------


def _argo(live: JsonObject, known: Known) -> Iterator[Ownership]:
    """An application that tracks the object, by annotation, by label, or because it says so itself."""
    key = ResourceKey.of(live)
    metadata = dig_object(live, "metadata")
    by_id = argo.tracked_by(dig_str(metadata, "annotations", argo.TRACKING_ID), key)
    by_label = dig_str(metadata, "labels", "argocd.argoproj.io/instance")
    maybe = dig_str(metadata, "labels", "app.kubernetes.io/instance")
    name = by_id or by_label
    for app in known.applications or ():
        if _is_application(app, name or maybe) and (argo.tracked(app, key) is not None or by_id):
            yield _argo_claim(app, key)
            return
    if name and not (known.applications is not None and by_label and not by_id):
        sentence = f"Argo CD's application {name} keeps it, and whether it heals could not be read."
        ref = Reference("Application", "", name, api_version="argoproj.io/v1alpha1")
        yield Ownership(Owner.ARGO_CD, Effect.UNKNOWN, sentence, Instead(ref, "argocd_sync"))
