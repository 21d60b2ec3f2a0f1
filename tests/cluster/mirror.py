"""A live copy of the cluster's objects, kept by list and watch: six lanes look four times a second.

A `View` is what one namespace looks like at one moment; oracles see nothing else.  The mirror may lag by
milliseconds, so a verdict is always taken on a view read freshly (`fresh_view`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tests.cluster.kube import KINDS, Kube, KubeError
from tools.jsontypes import JsonObject, dig_list, dig_str


@dataclass(frozen=True)
class View:
    """The objects of one namespace: kind → name → object."""

    objects: Mapping[str, Mapping[str, JsonObject]]

    def get(self, reference: str) -> JsonObject | None:
        """The object `Kind/name`, if it exists."""
        kind, _, name = reference.partition("/")
        return self.objects.get(kind, {}).get(name)

    def all(self, kind: str) -> list[JsonObject]:
        """Every object of the kind."""
        return list(self.objects.get(kind, {}).values())


async def fresh_view(kube: Kube, namespace: str) -> View:
    """Read every kind from the API server now."""
    lists = await asyncio.gather(*(kube.list(kind, namespace) for kind in KINDS))
    return View({kind: _by_name(kind, answer, namespace) for kind, answer in zip(KINDS, lists, strict=True)})


def _by_name(kind: str, answer: JsonObject, namespace: str) -> dict[str, JsonObject]:
    named = {dig_str(o, "metadata", "name"): o for o in dig_list(answer, "items") if isinstance(o, dict)}
    return {name: o for name, o in named.items() if belongs(kind, name, namespace)}


def belongs(kind: str, name: str, namespace: str) -> bool:
    """Whether an object of a cluster-wide kind is part of what a namespace's scenario looks at: every node, the
    namespace itself, and what begins with the namespace's name."""
    return KINDS[kind].namespaced or kind == "Node" or name.startswith(namespace)


class Mirror:
    """One watch per kind over all namespaces."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._objects: dict[str, dict[tuple[str, str], JsonObject]] = {kind: {} for kind in KINDS}
        self._listed = {kind: asyncio.Event() for kind in KINDS}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._follow(kind)) for kind in KINDS]
        await asyncio.wait_for(asyncio.gather(*(e.wait() for e in self._listed.values())), 30)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def view(self, namespace: str) -> View:
        """The namespace as known now."""
        return View(
            {
                k: {n: o for (ns, n), o in objs.items() if ns in (namespace, "") and belongs(k, n, namespace)}
                for k, objs in self._objects.items()
            }
        )

    async def _follow(self, kind: str) -> None:
        while True:
            try:
                await self._list_and_watch(kind)
            except KubeError:
                await asyncio.sleep(0.5)  # list again: the only safe answer to a broken watch

    async def _list_and_watch(self, kind: str) -> None:
        answer = await self._kube.list(kind)
        self._objects[kind] = {self._key(o): o for o in dig_list(answer, "items") if isinstance(o, dict)}
        self._listed[kind].set()
        version = dig_str(answer, "metadata", "resourceVersion")
        while True:
            async for type_, object_ in self._kube.watch(kind, version):
                if type_ == "ERROR":
                    raise KubeError(f"watch {kind}: {dig_str(object_, 'message')}")
                version = dig_str(object_, "metadata", "resourceVersion")
                if type_ == "DELETED":
                    self._objects[kind].pop(self._key(object_), None)
                elif type_ != "BOOKMARK":
                    self._objects[kind][self._key(object_)] = object_

    @staticmethod
    def _key(object_: JsonObject) -> tuple[str, str]:
        return dig_str(object_, "metadata", "namespace"), dig_str(object_, "metadata", "name")
