"""Deleting: preconditions, finalizers, propagation, and the grace period of pods."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from evals.simulator.api import admission, crds
from evals.simulator.api.differences import check_preconditions, same
from evals.simulator.api.kinds import Kind
from evals.simulator.objects import child, clone, integer, is_deleting, name_of, stamp, texts, uid_of
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

if TYPE_CHECKING:
    from evals.simulator.api.core import Api, Write

_ORPHANING = "jobs.batch"
"""The kind whose dependents stay when a deletion says nothing about them; of every other kind they go."""


def delete(  # noqa: PLR0917 - one request, taken apart
    api: Api, kind: Kind, namespace: str, name: str, options: JsonObject, write: Write
) -> tuple[JsonObject, bool]:
    """DELETE; the answer is (last state, whether it has gone already).  Pods get their grace period."""
    old = api.get(kind, namespace, name)
    check_preconditions(kind, old, dig_object(options, "preconditions"))
    admission.call_webhooks(api.store, kind, old, "DELETE")
    dry_run = write.dry_run or bool(options.get("dryRun"))
    doomed = clone(old)
    meta = child(doomed, "metadata")
    finalizers: list[JsonValue] = [f for f in texts(meta, "finalizers") if f not in {"orphan", "foregroundDeletion"}]
    policy = options.get("propagationPolicy") or ("Orphan" if kind.key == _ORPHANING else None)
    if policy in {"Orphan", "Foreground"} and api.store.owned_by(uid_of(old)):
        finalizers.append("orphan" if policy == "Orphan" else "foregroundDeletion")
    if finalizers:
        meta["finalizers"] = finalizers
    grace = _grace(kind, old, options)
    if not finalizers and grace == 0 and kind.key != "namespaces":
        return (old, True) if dry_run else (finish(api, kind, old), True)
    if is_deleting(old) and grace >= integer(old, "metadata", "deletionGracePeriodSeconds") and kind.key == "pods":
        return old, False
    if not is_deleting(old) or kind.key == "pods":
        at = api.clock.now() + timedelta(seconds=grace)
        meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"] = stamp(at), grace
        if "generation" in meta:
            meta["generation"] = integer(meta, "generation") + 1
    if kind.key == "namespaces":
        child(doomed, "status")["phase"] = "Terminating"
    if dry_run:
        return doomed, False
    return (old, False) if same(old, doomed) else (api.store.put(kind.key, doomed), False)


def _grace(kind: Kind, obj: JsonObject, options: JsonObject) -> int:
    if kind.key != "pods":
        return 0
    asked = options.get("gracePeriodSeconds")
    wanted = asked if isinstance(asked, int) else integer(obj, "spec", "terminationGracePeriodSeconds", default=30)
    ended = dig_str(obj, "status", "phase") in {"Succeeded", "Failed"}
    return 0 if ended or not dig(obj, "spec", "nodeName") else max(0, wanted)


def finish(api: Api, kind: Kind, obj: JsonObject) -> JsonObject:
    """Take an object away for good; a definition takes its instances along."""
    if kind.key == "customresourcedefinitions.apiextensions.k8s.io":
        for custom in [k for k in api.kinds if k.custom is not None and k.resource == name_of(obj)]:
            for instance in api.store.select(custom.key):
                api.store.remove(custom.key, instance)
        crds.drop(api.kinds, obj)
    return api.store.remove(kind.key, obj)
