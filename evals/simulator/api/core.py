"""The API without its protocol: create, read, change and delete objects with the semantics of the API server.

The HTTP handlers and the controllers use the same methods, so a controller meets the same quotas and validation as a
client.  Every method is synchronous: nothing can come between the read and the write of one call.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from evals.simulator.api import admission, crds, deletion, escalation, fields, quota, shapes, validation
from evals.simulator.api.defaults import apply_defaults
from evals.simulator.api.differences import has_new_generation, no_new_finalizers, same, waits
from evals.simulator.api.errors import ApiError, already_exists, bad_request, conflict, invalid, not_found
from evals.simulator.api.events import Recorder, accept
from evals.simulator.api.identity import CONTROLLER, User
from evals.simulator.api.kinds import Kind, KindTable
from evals.simulator.api.patches import json_patch, merge
from evals.simulator.api.rbac import Rbac
from evals.simulator.api.store import Store
from evals.simulator.api.strategic import strategic_merge
from evals.simulator.clock import SimClock
from evals.simulator.objects import (
    child,
    clone,
    integer,
    is_deleting,
    name_of,
    namespace_of,
    stamp,
    texts,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

_NO_GENERATION = frozenset(
    [
        "services",
        "endpoints",
        "configmaps",
        "secrets",
        "serviceaccounts",
        "persistentvolumeclaims",
        "persistentvolumes",
        "nodes",
        "namespaces",
        "events",
        "limitranges",
        "resourcequotas",
        "leases.coordination.k8s.io",
        "horizontalpodautoscalers.autoscaling",
        "controllerrevisions.apps",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
    ]
)
_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields")
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

Change = Callable[[JsonObject], JsonObject]


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes, and how."""

    user: User = CONTROLLER
    manager: str = "kube-controller-manager"
    dry_run: bool = False
    track_fields: bool = False


BY_CONTROLLER = Write()


def random_suffix(length: int = 5) -> str:
    """Letters as generated names have them."""
    return "".join(secrets.choice(_NAME_LETTERS) for _ in range(length))


class Api:
    """The resources of one cluster."""

    def __init__(self, store: Store, clock: SimClock, *, toleration_seconds: int = 300) -> None:
        self.store = store
        self.clock = clock
        self.kinds = KindTable()
        self.recorder = Recorder(store)
        self._rbac = Rbac(store)
        self._toleration_seconds = toleration_seconds

    def stamp(self) -> str:
        """Now, as objects show it."""
        return stamp(self.clock.now())

    def event(
        self,
        regarding: JsonObject,
        type_: str,
        reason: str,
        message: str,
        component: str,
        *,
        host: str = "",
        path: str = "",
    ) -> None:
        """Record an event."""
        self.recorder.emit(
            regarding, type_, reason, message, component=component, now=self.clock.now(), host=host, field_path=path
        )

    # ---- reads

    def get(self, kind: Kind, namespace: str, name: str) -> JsonObject:
        """The stored object.  Raises 404."""
        found = self.store.get(kind.key, namespace, name)
        if found is None:
            raise not_found(kind.resource, name)
        return found

    # ---- create

    def create(self, kind: Kind, namespace: str, obj: JsonObject, write: Write = BY_CONTROLLER) -> JsonObject:
        """POST.  The argument is not changed; the answer is the stored object (or what it would be, in a dry run)."""
        obj = accept(kind, clone(obj))
        self._address(kind, namespace, obj)
        meta = child(obj, "metadata")
        if meta.get("resourceVersion"):
            raise ApiError(500, "resourceVersion should not be set on objects to be created", reason="")
        if not meta.get("name") and isinstance(meta.get("generateName"), str):
            meta["name"] = f"{meta['generateName']}{random_suffix()}"
        name = name_of(obj)
        now = self.stamp()
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"):
            meta.pop(field, None)
        meta["uid"], meta["creationTimestamp"] = str(uuid.uuid4()), now
        if kind.key not in _NO_GENERATION:
            meta["generation"] = 1
        if kind.status_is_separate and "status" in kind.subresources and kind.key not in {"nodes", "pods"}:
            obj.pop("status", None)
        obj = self._shape(kind, obj)
        admission.admit(self.store, kind, obj, "CREATE", toleration_seconds=self._toleration_seconds)
        if kind.key == "pods":
            obj = self._shape(kind, obj)
        validation.check(kind, obj, None)
        self._special_create(kind, obj)
        if self.store.get(kind.key, namespace_of(obj), name) is not None:
            raise already_exists(kind.resource, name)
        quota.check(self.store, kind.key, obj)
        escalation.check(self._rbac, write.user, kind, obj, None)
        if write.track_fields:
            paths = fields.leaves({k: v for k, v in obj.items() if k != "status"})
            paths = {p for p in paths if p[:1] not in {("f:apiVersion",), ("f:kind",)} and p[:2] not in _NAMES}
            fields.record(obj, write.manager, "Update", paths, now=now, steal=False)
        if write.dry_run:
            return obj
        stored = self.store.put(kind.key, obj)
        self._after_create(kind, stored)
        return stored

    def _address(self, kind: Kind, namespace: str, obj: JsonObject) -> None:
        meta = child(obj, "metadata")
        if kind.namespaced:
            stated = meta.get("namespace")
            if stated and stated != namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        obj["apiVersion"], obj["kind"] = ("v1" if kind.storage == "events" else kind.api_version), kind.kind

    def _shape(self, kind: Kind, obj: JsonObject) -> JsonObject:
        if kind.custom is not None:
            return crds.shape(kind, obj)
        shapes.check(kind, obj)
        apply_defaults(kind.key, obj)
        return obj

    def _special_create(self, kind: Kind, obj: JsonObject) -> None:
        if kind.key == "customresourcedefinitions.apiextensions.k8s.io":
            crds.check_definition(obj)
        elif kind.key == "services":
            spec = child(obj, "spec")
            if spec.get("type") != "ExternalName" and not spec.get("clusterIP"):
                number = self.store.version % 60_000 + 10
                spec["clusterIP"] = f"10.96.{number // 250}.{number % 250 + 1}"
            if spec.get("clusterIP"):
                spec["clusterIPs"] = [spec["clusterIP"]]
            obj.setdefault("status", {"loadBalancer": {}})
        elif kind.key == "jobs.batch" and not dig(obj, "spec", "manualSelector"):
            uid = uid_of(obj)
            labels: JsonObject = {
                "controller-uid": uid,
                "job-name": name_of(obj),
                "batch.kubernetes.io/controller-uid": uid,
                "batch.kubernetes.io/job-name": name_of(obj),
            }
            child(obj, "spec", "template", "metadata", "labels").update(labels)
            child(obj, "spec")["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}

    def _after_create(self, kind: Kind, obj: JsonObject) -> None:
        if kind.key == "customresourcedefinitions.apiextensions.k8s.io":
            crds.serve(self.kinds, obj)
            self.store.put(kind.key, {**clone(obj), "status": crds.established(obj, self.stamp())})
        elif kind.key == "namespaces":
            name = name_of(obj)
            self.create(self.kinds.named("ServiceAccount"), name, {"metadata": {"name": "default"}})
            self.create(
                self.kinds.named("ConfigMap"), name, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}}
            )

    # ---- change

    def modify(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Change,
        write: Write = BY_CONTROLLER,
        *,
        subresource: str = "",
    ) -> JsonObject:
        """Read, let `change` make a new object out of a clone, and write that with all checks."""
        old = self.get(kind, namespace, name)
        return self.replace(kind, old, change(clone(old)), write, subresource=subresource)

    def set_status(self, kind: Kind, obj: JsonObject, status: JsonObject) -> JsonObject:
        """A controller's write of `status`; nothing happens when it is the same or the object has gone."""
        old = self.store.get(kind.key, namespace_of(obj), name_of(obj))
        if old is None or uid_of(old) != uid_of(obj) or old.get("status") == status:
            return old or obj
        return self.store.put(kind.key, {**old, "metadata": dict(dig_object(old, "metadata")), "status": status})

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        obj: JsonObject,
        write: Write = BY_CONTROLLER,
        *,
        subresource: str = "",
    ) -> JsonObject:
        """PUT."""
        obj = accept(kind, clone(obj))
        self._address(kind, namespace, obj)
        if name_of(obj) != name:
            stated = name_of(obj)
            raise bad_request(f"the name of the object ({stated}) does not match the name on the URL ({name})")
        old = self.get(kind, namespace, name)
        uid = dig_str(obj, "metadata", "uid")
        if uid and uid != uid_of(old):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(old)}"
            raise conflict(kind.resource, name, why)
        return self.replace(kind, old, obj, write, subresource=subresource)

    def patch(  # noqa: PLR0917 - one request, taken apart
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: JsonValue,
        media: str,
        write: Write,
        *,
        subresource: str = "",
        force: bool = False,
    ) -> tuple[JsonObject, bool]:
        """PATCH in any of the four kinds; the answer is (object, whether an apply created it)."""
        if media == "application/apply-patch+yaml":
            return self._apply(kind, namespace, name, body, write, subresource=subresource, force=force)
        old = self.get(kind, namespace, name)
        if media == "application/json-patch+json":
            new = json_patch(old, body)
        elif media == "application/merge-patch+json":
            merged = merge(old, body)
            if not isinstance(merged, dict):
                raise bad_request("error decoding patch: the body must be an object")
            new = merged
        elif media == "application/strategic-merge-patch+json" and kind.custom is None:
            new = clone(strategic_merge(old, body))
        else:
            accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            raise ApiError(
                415, f"the body of the request was in an unknown format - accepted media types include: {accepted}"
            )
        self._same_identity(kind, old, new)
        return self.replace(kind, old, new, write, subresource=subresource), False

    def _same_identity(self, kind: Kind, old: JsonObject, new: JsonObject) -> None:
        for field in ("uid", "name", "namespace"):
            had, has = dig(old, "metadata", field), dig(new, "metadata", field)
            if has != had:
                why = f'Invalid value: "{has}": field is immutable'
                raise invalid(kind.kind, kind.group, name_of(old), [("FieldValueInvalid", f"metadata.{field}", why)])

    def _apply(
        self, kind: Kind, namespace: str, name: str, body: JsonValue, write: Write, *, subresource: str, force: bool
    ) -> tuple[JsonObject, bool]:
        if not isinstance(body, dict):
            raise bad_request("error decoding YAML: the body must be an object")
        if not body.get("apiVersion") or not body.get("kind"):
            raise bad_request("apply patch must name apiVersion and kind")
        if dig(body, "metadata", "managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        old = self.store.get(kind.key, namespace, name)
        if old is None:
            if subresource:
                raise not_found(kind.resource, name)
            fresh = clone(body)
            child(fresh, "metadata")["name"] = name
            created = clone(self.create(kind, namespace, fresh, replace(write, track_fields=False, dry_run=True)))
            fields.record(
                created, write.manager, "Apply", fields.leaves(body) - _IDENTITY_PATHS, now=self.stamp(), steal=False
            )
            if not write.dry_run:
                self.store.put(kind.key, created)
                self._after_create(kind, created)
            return created, True
        uid = dig_str(body, "metadata", "uid")
        if uid and uid != uid_of(old):
            raise conflict(
                kind.resource,
                name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(old)}",
            )
        new = fields.apply(old, body, write.manager, force=force, now=self.stamp())
        version = dig_str(body, "metadata", "resourceVersion")
        if version:
            child(new, "metadata")["resourceVersion"] = version
        return self.replace(
            kind, old, new, replace(write, track_fields=False), subresource=subresource, keep_fields=True
        ), False

    def replace(
        self,
        kind: Kind,
        old: JsonObject,
        new: JsonObject,
        write: Write,
        *,
        subresource: str = "",
        keep_fields: bool = False,
    ) -> JsonObject:
        """Write `new` over `old`: preconditions, what may not change, defaults, admission, validation, generation."""
        name = name_of(old)
        version = dig_str(new, "metadata", "resourceVersion")
        if version and version != dig_str(old, "metadata", "resourceVersion"):
            raise conflict(kind.resource, name)
        new = self._merge_parts(kind, old, new, subresource)
        _keep_identity(old, new, keep_fields=keep_fields)
        no_new_finalizers(kind, old, new)
        if subresource != "status":
            new = self._shape(kind, new)
            admission.admit(self.store, kind, new, "UPDATE", toleration_seconds=self._toleration_seconds)
            validation.check(kind, new, old)
            escalation.check(self._rbac, write.user, kind, new, old)
            if kind.key not in _NO_GENERATION and has_new_generation(kind, old, new):
                meta = child(new, "metadata")
                meta["generation"] = integer(old, "metadata", "generation", default=1) + 1
        elif kind.custom is not None:
            new = self._shape(kind, new)
        paths = fields.changed(old, new) if write.track_fields else set[fields.FieldPath]()
        if paths:
            at, sub = self.stamp(), _tracked(subresource)
            fields.record(new, write.manager, "Update", paths, now=at, subresource=sub, steal=True)
        if same(old, new):
            return old
        return new if write.dry_run else self._store(kind, new, subresource)

    def _store(self, kind: Kind, new: JsonObject, subresource: str) -> JsonObject:
        if is_deleting(new) and not texts(new, "metadata", "finalizers") and not waits(kind, new):
            return deletion.finish(self, kind, new)
        stored = self.store.put(kind.key, new)
        if kind.key == "customresourcedefinitions.apiextensions.k8s.io" and subresource != "status":
            crds.serve(self.kinds, stored)
        return stored

    def _merge_parts(self, kind: Kind, old: JsonObject, new: JsonObject, subresource: str) -> JsonObject:
        """What this endpoint may change: everything but status, or status only."""
        if not kind.status_is_separate or "status" not in kind.subresources:
            return new
        if subresource == "status":
            meta = {**dig_object(old, "metadata")}
            for field in ("labels", "annotations", "finalizers", "managedFields"):
                if field in dig_object(new, "metadata"):
                    meta[field] = dig_object(new, "metadata")[field]
            return {**old, "metadata": meta, "status": new.get("status")}
        result = {k: v for k, v in new.items() if k != "status"}
        if "status" in old:
            result["status"] = old["status"]
        return result

    # ---- delete

    def delete(
        self, kind: Kind, namespace: str, name: str, options: JsonObject | None = None, write: Write = BY_CONTROLLER
    ) -> tuple[JsonObject, bool]:
        """DELETE; the answer is (last state, whether it has gone already).  Pods get their grace period."""
        return deletion.delete(self, kind, namespace, name, options or {}, write)


_NAMES = {("f:metadata", "f:name"), ("f:metadata", "f:namespace"), ("f:metadata", "f:generateName")}
_IDENTITY_PATHS = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}


def _keep_identity(old: JsonObject, new: JsonObject, *, keep_fields: bool) -> None:
    """What only the server writes stays as it was, in place."""
    meta, old_meta = child(new, "metadata"), dig_object(old, "metadata")
    for field in _KEPT:
        if field == "managedFields" and keep_fields:
            continue
        if field in old_meta:
            meta[field] = old_meta[field]
        else:
            meta.pop(field, None)
    meta["resourceVersion"] = old_meta.get("resourceVersion")


def _tracked(subresource: str) -> str:
    return subresource if subresource in {"status", "scale"} else ""
