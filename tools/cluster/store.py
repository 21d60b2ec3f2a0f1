"""What one reflector has seen: objects by uid, by name, and by the uids they point at; and how they change.

The rule: the store is changed only through `put` and `drop`, each of which says what happened as a `Delta`, so that
whoever follows the deltas knows what the store knows.

Neighbours: `reflector` fills one store per resource; `mirror` reads them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from tools.cluster.structs import KubeObject

T = TypeVar("T", bound=KubeObject)
T_co = TypeVar("T_co", bound=KubeObject, covariant=True)


class Delta(Struct, Generic[T_co], frozen=True, gc=False):
    """One change of one object.

    `added`: we see it for the first time, `old` is None.  `modified`: `old` is what we held.  `gone`: it was deleted,
    perhaps while we were not looking; `object` is the last state anybody showed us.  `received_at` is when the reader
    had it, by its clock: what "detection" is measured from.
    """

    kind: Literal["added", "modified", "gone"]
    object: T_co
    old: T_co | None = None
    received_at: datetime | None = None


def owner_uids(item: KubeObject) -> Iterable[str]:
    """The uids of all owners: the index `pods_of` needs."""
    return (owner.uid for owner in item.metadata.owner_references)


def key_of(item: KubeObject) -> str:
    """The uid, or namespace/name for what has none (virtual objects of some aggregated APIs)."""
    return item.uid or f"{item.namespace}/{item.name}"


class Store(Generic[T]):
    """Objects of one kind.  Not locked: all users share one event loop and nothing here awaits."""

    def __init__(self, points_at: Callable[[T], Iterable[str]] = owner_uids) -> None:
        """`points_at` gives the uids under which an object is found by `pointing_at`."""
        self._points_at = points_at
        self._objects: dict[str, T] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._pointers: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._objects.values()))

    def keys(self) -> set[str]:
        """All keys, as a copy."""
        return set(self._objects)

    def by_uid(self, uid: str) -> T | None:
        """The object with that uid."""
        return self._objects.get(uid)

    def by_name(self, namespace: str, name: str) -> T | None:
        """The newest object of that name; namespace "" for cluster-scoped ones."""
        return self._objects.get(self._names.get((namespace, name), ""))

    def pointing_at(self, uid: str) -> list[T]:
        """The objects that name `uid` (as owner, or as what an event is about)."""
        return [self._objects[key] for key in self._pointers.get(uid, ())]

    def put(self, item: T) -> Delta[T] | None:
        """Hold `item`; None when we held this very version already."""
        key = key_of(item)
        old = self._objects.get(key)
        if old is None:
            delta = Delta("added", item)
        elif old.metadata.resource_version == item.metadata.resource_version != "":
            return None
        else:
            delta = Delta("modified", item, old)
            self._unpoint(key, old)
        self._objects[key] = item
        self._names[item.namespace, item.name] = key
        for uid in self._points_at(item):
            self._pointers.setdefault(uid, set()).add(key)
        return delta

    def drop(self, key: str, last: T | None = None) -> Delta[T] | None:
        """Forget the object; None when it was not held.  `last` is its final state, when the server sent one."""
        old = self._objects.pop(key, None)
        if old is None:
            return None
        self._unpoint(key, old)
        if self._names.get((old.namespace, old.name)) == key:
            del self._names[old.namespace, old.name]
        return Delta("gone", last or old, old)

    def _unpoint(self, key: str, old: T) -> None:
        for uid in self._points_at(old):
            held = self._pointers.get(uid)
            if held is not None:
                held.discard(key)
                if not held:
                    del self._pointers[uid]
