"""Comparing an object with what it was: is it the same, may it change so, does the change count as a new generation."""

from __future__ import annotations

from evals.simulator.api.errors import conflict, invalid
from evals.simulator.api.kinds import Kind
from evals.simulator.objects import annotations_of, integer, is_deleting, name_of, texts, uid_of
from tools.jsontypes import JsonObject, JsonValue, dig_object, dig_str


def check_preconditions(kind: Kind, obj: JsonObject, wanted: JsonObject) -> None:
    """Raise 409 when the preconditions of a deletion do not hold."""
    uid, version = dig_str(wanted, "uid"), dig_str(wanted, "resourceVersion")
    if uid and uid != uid_of(obj):
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({uid_of(obj)}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind.resource, name_of(obj), why)
    have = dig_str(obj, "metadata", "resourceVersion")
    if version and version != have:
        why = (
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion "
            f"in record ({have}). "
            "The object might have been modified"
        )
        raise conflict(kind.resource, name_of(obj), why)


def has_new_generation(kind: Kind, old: JsonObject, new: JsonObject) -> bool:
    """Whether the spec changed; of a Deployment its annotations count too (measured on 1.34)."""
    if kind.key == "deployments.apps" and annotations_of(old) != annotations_of(new):
        return True
    return body_of(old) != body_of(new)


def no_new_finalizers(kind: Kind, old: JsonObject, new: JsonObject) -> None:
    """Raise 422 when an object that is being deleted gets another finalizer."""
    added = [f for f in texts(new, "metadata", "finalizers") if f not in texts(old, "metadata", "finalizers")]
    if is_deleting(old) and added:
        listed = ", ".join(f'"{f}"' for f in added)
        why = (
            f"Forbidden: no new finalizers can be added if the object is being deleted, found new "
            f"finalizers []string{{{listed}}}"
        )
        raise invalid(kind.kind, kind.group, name_of(old), [("FieldValueForbidden", "metadata.finalizers", why)])


def body_of(obj: JsonObject) -> JsonObject:
    """Everything but metadata and status."""
    return {k: v for k, v in obj.items() if k not in {"metadata", "status"}}


def same(old: JsonObject, new: JsonObject) -> bool:
    """Whether nothing changed but times of ownership entries."""
    if {k: v for k, v in old.items() if k != "metadata"} != {k: v for k, v in new.items() if k != "metadata"}:
        return False

    def plain(obj: JsonObject) -> JsonObject:
        return {k: v for k, v in dig_object(obj, "metadata").items() if k not in {"managedFields", "resourceVersion"}}

    def owners(obj: JsonObject) -> list[JsonValue]:
        entries = dig_object(obj, "metadata").get("managedFields")
        return (
            [{k: v for k, v in e.items() if k != "time"} for e in entries if isinstance(e, dict)]
            if isinstance(entries, list)
            else []
        )

    return plain(old) == plain(new) and owners(old) == owners(new)


def waits(kind: Kind, obj: JsonObject) -> bool:
    """Whether a deleting object without finalizers still waits for somebody: a pod for its kubelet, a namespace."""
    if kind.key == "namespaces":
        return bool(texts(obj, "spec", "finalizers"))
    return kind.key == "pods" and integer(obj, "metadata", "deletionGracePeriodSeconds") > 0
