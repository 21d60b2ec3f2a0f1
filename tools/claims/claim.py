"""The words of ownership: who keeps an object, what becomes of a write to it, and where the write goes instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tools.cluster.structs import Reference
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str


class Owner(StrEnum):
    """Who keeps an object, or a part of it."""

    NOBODY = "nobody"
    """Nobody is seen to."""
    CONTROLLER = "controller"
    """A controller that comes with Kubernetes."""
    CROSSPLANE = "crossplane"
    """A composition or a package of Crossplane."""
    KEDA = "keda"
    """A ScaledObject."""
    HPA = "hpa"
    """A HorizontalPodAutoscaler that nobody made of something else."""
    VPA = "vpa"
    """A VerticalPodAutoscaler."""
    ARGO_CD = "argocd"
    """An Application."""
    FLUX = "flux"
    """A Kustomization or a HelmRelease."""
    OPERATOR = "operator"
    """A controller that we do not know."""
    HELM = "helm"
    """A release; nobody looks after it between upgrades."""
    UNKNOWN = "unknown"
    """What would tell was not read."""


class Effect(StrEnum):
    """What becomes of a write to the object itself."""

    HOLDS = "holds"
    """Nobody takes it back."""
    DRIFTS = "drifts"
    """It holds until the owner delivers or makes the object anew, and may show as a difference until then."""
    REVERTED = "reverted"
    """The owner takes it back by itself, soon."""
    UNKNOWN = "unknown"
    """It cannot be told; treat it as reverted."""


REPOSITORY: Final = "repository"
"""An `Instead.action`: the declaration must change where it is kept."""
SAME: Final = "same"
"""An `Instead.action`: the same action, on the object of the reference."""
BY_HAND: Final = "by_hand"
"""An `Instead.action`: whoever knows the owner must decide."""


@dataclass(frozen=True, slots=True)
class Instead:
    """Where the write goes instead, and the action for it: one of ours by name, or one of the words above."""

    ref: Reference
    action: str


@dataclass(frozen=True, slots=True)
class Ownership:
    """One owner's claim on an object."""

    owner: Owner
    effect: Effect
    sentence: str
    instead: Instead | None = None
    fields: tuple[str, ...] = ()
    """JSON pointers it keeps; a segment `*` stands for any one; none means all of the object."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was read of those who may own an object; None where it was not read.

    Applications come from the whole cluster, autoscalers from the object's namespace.
    """

    applications: Sequence[JsonObject] | None = None
    hpas: Sequence[JsonObject] | None = None
    scaled_objects: Sequence[JsonObject] | None = None
    vpas: Sequence[JsonObject] | None = None
    own_managers: tuple[str, ...] = field(default=("selfheal",))
    """Beginnings of the field managers of our own writes."""


Claims = Iterator[Ownership]


def group_of(api_version: str) -> str:
    """The API group of an apiVersion; "" for core."""
    return api_version.rpartition("/")[0]


def controller_of(live: JsonObject) -> Reference | None:
    """The controller ownerReference, in the object's own namespace."""
    for owner in dig_list(live, "metadata", "ownerReferences"):
        if dig(owner, "controller") is True:
            return Reference(
                dig_str(owner, "kind"),
                dig_str(live, "metadata", "namespace"),
                dig_str(owner, "name"),
                dig_str(owner, "uid"),
                dig_str(owner, "apiVersion"),
            )
    return None


def itself(found: JsonObject, api_version: str, kind: str) -> Reference:
    """A reference to an object as it was listed; lists leave kind and apiVersion out."""
    metadata = dig_object(found, "metadata")
    return Reference(
        dig_str(found, "kind") or kind,
        dig_str(metadata, "namespace"),
        dig_str(metadata, "name"),
        dig_str(metadata, "uid"),
        dig_str(found, "apiVersion") or api_version,
    )
