"""Asking for the version that an action names, and refusing what is not one of this very object.

The rule: a digest that nobody knows is refused, and so is a manifest that speaks of another object than the one it was
asked for, whoever kept it.

Neighbours: `tools.journal.versions` is what is asked; `objects` and `restore` ask.
"""

from __future__ import annotations

from typing import Final

from tools.cluster.resources import Resource
from tools.executors.kubernetes.common import refuse
from tools.guard.verdict import ReasonCode, Refused
from tools.journal.versions import Versions
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.refs import ObjectRef

LAST_KNOWN_GOOD: Final = "last_known_good"
_SHOWN: Final = 12


async def version_of(versions: Versions | None, ref: ObjectRef, digest: str) -> JsonObject:
    """`source` and `manifest` of the version, for a `Situation.support`; without `source` there is none."""
    found = None if versions is None else await versions.version(ref, digest)
    if found is None:
        return {"remembers": versions is not None}
    return {"remembers": True, "source": found.source, "manifest": found.manifest}


def unknown(ref: ObjectRef, digest: str, support: JsonObject, resource: Resource) -> Refused | None:
    """Why the version cannot be used; None when it is one of this object."""
    if not support.get("remembers"):
        return _no("Nothing remembers versions of objects here: configure a desired state, or let the journal run.")
    if not dig_str(support, "source"):
        return _no(f"No version {digest[:_SHOWN]} of {ref} is remembered.")
    manifest = dig_object(support, "manifest")
    said = (
        dig_str(manifest, "apiVersion"),
        dig_str(manifest, "kind"),
        dig_str(manifest, "metadata", "namespace") or ref.namespace,
        dig_str(manifest, "metadata", "name"),
    )
    if said == (resource.api_version, ref.kind, ref.namespace, ref.name):
        return None
    named = f"{said[2]}/{said[1]}/{said[3]} in {said[0] or 'no API version'}"
    return _no(f"Version {digest[:_SHOWN]} is of {named}, not of {ref} in {resource.api_version}.")


def vouched(support: JsonObject) -> str:
    """Who vouches for the version, in words."""
    return "last known good" if dig_str(support, "source") == LAST_KNOWN_GOOD else "declared"


def _no(reason: str) -> Refused:
    return refuse(ReasonCode.VERSION_UNKNOWN, reason)
