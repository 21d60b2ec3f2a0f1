"""Storage: objects by resource, one version counter for all of them, and the history that watches replay.

The rule it keeps: an object that went in is never changed again.  A write replaces it, gets the next version, is
appended to the history and told to the subscribers, in that order and without waiting in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal

from evals.simulator.objects import child, name_of, namespace_of, objects, uid_of
from tools.jsontypes import JsonObject, dig_str

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Change:
    """One write as a watcher sees it; `before` is what a selector may have matched until now."""

    version: int
    key: str
    type: ChangeType
    object: JsonObject
    before: JsonObject | None


class Store:
    """All objects.  `window` is how many changes a watch can look back; older versions have expired (410)."""

    def __init__(self, window: int = 20_000) -> None:
        self._objects: dict[str, dict[tuple[str, str], JsonObject]] = {}
        self._places: dict[tuple[str, str], set[str]] = {}
        self._owned: dict[str, dict[str, tuple[str, str, str]]] = {}
        self._history: deque[Change] = deque(maxlen=window)
        self._subscribers: list[Callable[[Change], None]] = []
        self._oldest = 1
        self.version = 1

    def get(self, key: str, namespace: str, name: str) -> JsonObject | None:
        """The stored object itself: clone it before changing it."""
        return self._objects.get(key, {}).get((namespace, name))

    def select(self, key: str, namespace: str = "") -> list[JsonObject]:
        """All objects of a resource, or those of a namespace, in the order of namespace and name."""
        kept = self._objects.get(key, {})
        if namespace:
            return [kept[namespace, name] for name in sorted(self._places.get((key, namespace), ()))]
        return [o for _, o in sorted(kept.items(), key=itemgetter(0))]

    def scan(self, key: str) -> Iterable[JsonObject]:
        """All objects of a resource in no particular order: cheaper than `select`."""
        return list(self._objects.get(key, {}).values())

    def count(self, key: str) -> int:
        """How many objects a resource has."""
        return len(self._objects.get(key, {}))

    def keys_in_use(self) -> list[str]:
        """Resources that have objects."""
        return [k for k, v in self._objects.items() if v]

    def owned_by(self, uid: str) -> list[tuple[str, JsonObject]]:
        """(key, object) of every object with an owner reference to `uid`."""
        found: list[tuple[str, JsonObject]] = []
        for key, namespace, name in list(self._owned.get(uid, {}).values()):
            obj = self.get(key, namespace, name)
            if obj is not None:
                found.append((key, obj))
        return found

    def put(self, key: str, obj: JsonObject) -> JsonObject:
        """Store a new or changed object; it gets the next version and belongs to the store from now on."""
        place = (namespace_of(obj), name_of(obj))
        before = self._objects.setdefault(key, {}).get(place)
        self.version += 1
        child(obj, "metadata")["resourceVersion"] = str(self.version)
        self._objects[key][place] = obj
        self._places.setdefault((key, place[0]), set()).add(place[1])
        if before is not None:
            self._forget_owners(before)
        self._remember_owners(key, obj)
        self._tell(Change(self.version, key, "MODIFIED" if before else "ADDED", obj, before))
        return obj

    def restore(self, key: str, obj: JsonObject) -> None:
        """Store an object as it was recorded, version and all; nobody is told.  Before: nothing of that name is here.

        After: the store's version is not below the object's, so that whoever lists can watch from there.
        """
        place = (namespace_of(obj), name_of(obj))
        version = dig_str(obj, "metadata", "resourceVersion")
        self.version = max(self.version, int(version) if version.isdigit() else 0)
        self._objects.setdefault(key, {})[place] = obj
        self._places.setdefault((key, place[0]), set()).add(place[1])
        self._remember_owners(key, obj)

    def remove(self, key: str, obj: JsonObject) -> JsonObject:
        """Delete an object; watchers see its last state under the version of the deletion."""
        before = self._objects[key].pop((namespace_of(obj), name_of(obj)))
        self._places[key, namespace_of(obj)].discard(name_of(obj))
        self._forget_owners(before)
        self.version += 1
        last: JsonObject = {**obj, "metadata": {**child(obj, "metadata"), "resourceVersion": str(self.version)}}
        self._tell(Change(self.version, key, "DELETED", last, before))
        return last

    def since(self, version: int) -> list[Change] | None:
        """Changes after `version`; None when the history no longer reaches back that far."""
        if version + 1 < self._oldest:
            return None
        if self._history and version < self._history[-1].version:
            back = self._history[-1].version - version
            recent = list(self._history)[-back:] if back < len(self._history) else list(self._history)
            return [c for c in recent if c.version > version]
        return []

    def is_expired(self, version: int) -> bool:
        """Whether a watch from `version` would be answered 410."""
        return version + 1 < self._oldest

    def compact(self) -> None:
        """Forget the history: every older version has expired now."""
        self._history.clear()
        self.version += 1
        self._oldest = self.version + 1

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Be told of every change as it happens; the answer ends it.  A listener must not write to the store."""
        self._subscribers.append(listener)
        return lambda: self._subscribers.remove(listener) if listener in self._subscribers else None

    def _tell(self, change: Change) -> None:
        if self._history.maxlen is not None and len(self._history) == self._history.maxlen:
            self._oldest = self._history[0].version + 1
        self._history.append(change)
        for listener in list(self._subscribers):
            listener(change)

    def _remember_owners(self, key: str, obj: JsonObject) -> None:
        for ref in objects(obj, "metadata", "ownerReferences"):
            place = (key, namespace_of(obj), name_of(obj))
            self._owned.setdefault(dig_str(ref, "uid"), {})[uid_of(obj)] = place

    def _forget_owners(self, obj: JsonObject) -> None:
        for ref in objects(obj, "metadata", "ownerReferences"):
            owned = self._owned.get(dig_str(ref, "uid"))
            if owned is not None:
                owned.pop(uid_of(obj), None)
                if not owned:
                    del self._owned[dig_str(ref, "uid")]
