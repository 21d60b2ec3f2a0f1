"""A volume claim that is not bound, and what the cluster has that it could be bound to; nothing is judged here.

Classes and volumes are not watched: they are read once, for the incident.  Neighbours: `subjects` says the rest of a
claim for people, `graph.rules.objects.claims` decides on these facts.
"""

from __future__ import annotations

from typing import Final

from graph.observed import ClaimSummary, ClassSummary
from graph.ports import Ports
from tools.cluster.resources import PERSISTENT_VOLUME, STORAGE_CLASS
from tools.errors import ToolError
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str
from tools.quantity import parse_quantity

MAX_CLASSES: Final = 50
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
DEFAULTS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


async def claim_summary(claim: JsonObject, ports: Ports, unseen: list[str]) -> ClaimSummary | None:
    """The claim as it was read, and what there is for it; None, and a word in `unseen`, when that cannot be read."""
    try:
        classes = await ports.cluster.list(STORAGE_CLASS)
        volumes = await ports.cluster.list(PERSISTENT_VOLUME)
    except ToolError as error:
        unseen.append(f"storage classes and volumes ({error.code})")
        return None
    wanted = dig(claim, "spec", "storageClassName")
    return ClaimSummary(
        storage_class=wanted if isinstance(wanted, str) else None,
        classes=tuple(_class(one) for one in classes[:MAX_CLASSES]),
        free=tuple(sorted({dig_str(v, "spec", "storageClassName") for v in volumes if fits(v, claim)}))[:MAX_CLASSES],
    )


def _class(found: JsonObject) -> ClassSummary:
    notes = dig_object(found, "metadata", "annotations")
    provisioner = dig_str(found, "provisioner")
    return ClassSummary(
        name=dig_str(found, "metadata", "name"),
        is_default=any(notes.get(key) == "true" for key in DEFAULTS),
        provisions=provisioner not in ("", NO_PROVISIONER),
    )


def fits(volume: JsonObject, claim: JsonObject) -> bool:
    """Whether the volume is free and the claim could have it, its class aside; pure.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
    """
    if dig_str(volume, "status", "phase") != "Available" or dig(volume, "metadata", "deletionTimestamp") is not None:
        return False
    kept_for = dig_object(volume, "spec", "claimRef")
    who = (dig_str(claim, "metadata", "namespace"), dig_str(claim, "metadata", "name"))
    if kept_for and (dig_str(kept_for, "namespace"), dig_str(kept_for, "name")) != who:
        return False
    if dig_object(claim, "spec", "selector") or _mode(volume) != _mode(claim):
        return False  # a selector is people's choice of a volume: nothing is guessed about it
    asked, offered = dig_list(claim, "spec", "accessModes"), dig_list(volume, "spec", "accessModes")
    return all(mode in offered for mode in asked) and _is_large_enough(volume, claim)


def _mode(item: JsonObject) -> str:
    return dig_str(item, "spec", "volumeMode") or "Filesystem"


def _is_large_enough(volume: JsonObject, claim: JsonObject) -> bool:
    has = dig(volume, "spec", "capacity", "storage")
    needs = dig(claim, "spec", "resources", "requests", "storage")
    try:
        return parse_quantity(str(has)) >= parse_quantity(str(needs))
    except ValueError:
        return False
