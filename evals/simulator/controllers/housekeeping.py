"""Quota status, garbage collection by owner, and the end of namespaces."""

from __future__ import annotations

from evals.simulator import quantity
from evals.simulator.api import quota
from evals.simulator.api.errors import ApiError
from evals.simulator.api.store import Change
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    child,
    clone,
    is_deleting,
    name_of,
    namespace_of,
    objects,
    set_condition,
    texts,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str


class Quotas(Controller):
    """`status.used` of ResourceQuotas; it lags a moment behind, as the real one does."""

    name, key = "resourcequota-controller", "resourcequotas"

    def related(self, change: Change) -> list[Key]:
        """Quotas of the namespace when something that is counted came or went."""
        if change.key in {"events", "resourcequotas", "endpoints"} or (
            change.type == "MODIFIED" and change.key != "pods"
        ):
            return []
        namespace = namespace_of(change.object)
        for found in self.api.store.select(self.key, namespace) if namespace else []:
            self.later(namespace, name_of(found), 0.2)
        return []

    def sync(self, namespace: str, name: str) -> None:
        """Count again."""
        found = self.api.store.get(self.key, namespace, name)
        if found is None:
            return
        used: JsonObject = {r: quantity.show(r, v) for r, v in quota.used(self.api.store, found).items()}
        status: JsonObject = {"hard": dig_object(found, "spec", "hard"), "used": used}
        self.api.set_status(self.api.kinds.by_key(self.key), found, status)


class Collector(Controller):
    """Deletes what has lost its owner, and finishes foreground and orphaning deletions.

    It works on uids, so its queue holds ("", uid) instead of names.
    """

    name, key = "generic-garbage-collector", "-"

    def related(self, change: Change) -> list[Key]:
        """Owners that went or are to go, and dependents that went or came too late."""
        obj = change.object
        found: list[Key] = []
        if change.type == "DELETED":
            if self.api.store.owned_by(uid_of(obj)):
                found.append(("", uid_of(obj)))
        elif change.type == "ADDED":
            self.manager.owners[uid_of(obj)] = (change.key, namespace_of(obj), name_of(obj))
        if is_deleting(obj) and set(texts(obj, "metadata", "finalizers")) & {"orphan", "foregroundDeletion"}:
            found.append(("", uid_of(obj)))
        if change.type in {"DELETED", "ADDED"}:
            found += [("", dig_str(r, "uid")) for r in objects(obj, "metadata", "ownerReferences") if self._needs(r)]
        return found

    def _needs(self, ref: JsonObject) -> bool:
        """Whether the owner waits for its dependents, or has gone before this one came."""
        owner = self._owner(dig_str(ref, "uid"))
        return owner is None or is_deleting(owner)

    def _owner(self, uid: str) -> JsonObject | None:
        place = self.manager.owners.get(uid)
        found = self.api.store.get(*place) if place else None
        return found if found is not None and uid_of(found) == uid else None

    def sync(self, namespace: str, name: str) -> None:  # noqa: ARG002 - cluster-scoped
        """`name` is the uid of an owner."""
        owner = self._owner(name)
        dependents = self.api.store.owned_by(name)
        if owner is None:
            for key, obj in dependents:
                self._release_or_delete(key, obj, name)
            return
        finalizers = texts(owner, "metadata", "finalizers")
        if "orphan" in finalizers:
            for key, obj in dependents:
                self._drop_reference(key, obj, name)
            self._finish(owner, "orphan")
        elif "foregroundDeletion" in finalizers:
            blocking = [(k, o) for k, o in dependents if self._blocks(o, name)]
            for key, obj in blocking:
                if not is_deleting(obj):
                    self._delete(key, obj, "Foreground")
            if not [1 for _, o in self.api.store.owned_by(name) if self._blocks(o, name)]:
                self._finish(owner, "foregroundDeletion")

    def _blocks(self, obj: JsonObject, uid: str) -> bool:
        return any(r.get("uid") == uid for r in objects(obj, "metadata", "ownerReferences"))

    def _release_or_delete(self, key: str, obj: JsonObject, uid: str) -> None:
        others = [r for r in objects(obj, "metadata", "ownerReferences") if dig_str(r, "uid") != uid]
        if any(self._owner(dig_str(r, "uid")) is not None for r in others):
            self._drop_reference(key, obj, uid)
        elif not is_deleting(obj):
            self._delete(key, obj, "Background")

    def _delete(self, key: str, obj: JsonObject, policy: str) -> None:
        try:
            kind = self.api.kinds.by_key(key)
            self.api.delete(kind, namespace_of(obj), name_of(obj), {"propagationPolicy": policy})
        except (ApiError, KeyError):
            return

    def _drop_reference(self, key: str, obj: JsonObject, uid: str) -> None:
        changed = clone(obj)
        kept: list[JsonValue] = [r for r in objects(obj, "metadata", "ownerReferences") if dig_str(r, "uid") != uid]
        child(changed, "metadata")["ownerReferences"] = kept
        self.api.store.put(key, changed)

    def _finish(self, owner: JsonObject, finalizer: str) -> None:
        kind = self.api.kinds.of(owner)
        if kind is None:
            return

        def change(obj: JsonObject) -> JsonObject:
            kept: list[JsonValue] = [f for f in texts(obj, "metadata", "finalizers") if f != finalizer]
            meta = child(obj, "metadata")
            if kept:
                meta["finalizers"] = kept
            else:
                meta.pop("finalizers", None)
            return obj

        self.api.modify(kind, namespace_of(owner), name_of(owner), change)


class Namespaces(Controller):
    """Empties a namespace that is to go, and lets it go when it is empty."""

    name, key = "namespace-controller", "namespaces"

    def related(self, change: Change) -> list[Key]:
        """A namespace on its way out, when one of its objects went or changed."""
        name = namespace_of(change.object)
        found = self.api.store.get("namespaces", "", name) if name else None
        return [("", name)] if found is not None and is_deleting(found) else []

    def sync(self, namespace: str, name: str) -> None:  # noqa: ARG002 - cluster-scoped
        """Delete everything once, then look whether it has gone."""
        found = self.api.store.get("namespaces", "", name)
        if found is None or not is_deleting(found):
            return
        left = 0
        for key in self.api.store.keys_in_use():
            if key == "events":
                continue
            for obj in self.api.store.select(key, name):
                left += 1
                if not is_deleting(obj):
                    self._delete(key, obj)
        left = sum(len(self.api.store.select(k, name)) for k in self.api.store.keys_in_use() if k != "events")
        if left:
            self._remaining(found, left)
            return
        for event in self.api.store.select("events", name):
            self.api.store.remove("events", event)
        self.api.store.remove("namespaces", found)

    def _delete(self, key: str, obj: JsonObject) -> None:
        try:
            self.api.delete(
                self.api.kinds.by_key(key), namespace_of(obj), name_of(obj), {"propagationPolicy": "Background"}
            )
        except (ApiError, KeyError):
            self.later("", namespace_of(obj), 5.0)

    def _remaining(self, found: JsonObject, left: int) -> None:
        status: JsonObject = {**dig_object(found, "status")}
        status["conditions"] = [dict(c) for c in objects(found, "status", "conditions")]
        stuck = [
            o
            for k in self.api.store.keys_in_use()
            for o in self.api.store.select(k, name_of(found))
            if dig(o, "metadata", "finalizers")
        ]
        if not stuck:
            return
        names = sorted({f for o in stuck for f in texts(o, "metadata", "finalizers")})
        text = (
            f"Some content in the namespace has finalizers remaining: "
            f"{', '.join(f'{n} in {len(stuck)} resource instances' for n in names)}"
        )
        now = self.api.clock.now()
        set_condition(
            status, "NamespaceContentRemaining", "True", "SomeResourcesRemain", f"{left} objects remain", now=now
        )
        set_condition(status, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", text, now=now)
        self.api.set_status(self.api.kinds.by_key(self.key), found, status)
