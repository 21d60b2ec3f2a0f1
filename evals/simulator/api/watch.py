"""Watches: history, live changes through a selector, bookmarks, initial events, and expiry."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from evals.simulator.api.core import Api
from evals.simulator.api.errors import ApiError, expired, invalid
from evals.simulator.api.events import present
from evals.simulator.api.kinds import Kind
from evals.simulator.api.listing import Query
from evals.simulator.api.selectors import Matcher, matcher
from evals.simulator.api.store import Change
from evals.simulator.api.tables import table
from evals.simulator.objects import namespace_of
from tools.jsontypes import JsonObject, dig_object

BOOKMARK_SECONDS = 60.0
_encode = msgspec.json.Encoder().encode
_CACHE_SIZE = 2_000


class EncodedChanges:
    """The bytes of recent changes, encoded once for all watchers."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[int, str, str], bytes] = OrderedDict()

    def line(self, kind: Kind, type_: str, change: Change, obj: JsonObject) -> bytes:
        """One line of a watch stream."""
        key = (change.version, kind.api_version, type_)
        found = self._lines.get(key)
        if found is None:
            found = encode(type_, present(kind, obj))
            self._lines[key] = found
            if len(self._lines) > _CACHE_SIZE:
                self._lines.popitem(last=False)
        return found


def encode(type_: str, obj: JsonObject) -> bytes:
    """One line of a watch stream."""
    return _encode({"type": type_, "object": obj}) + b"\n"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The parameters of a watch beyond the query."""

    bookmarks: bool = False
    initial_events: bool | None = None
    seconds: float = 3600.0


class Watch:
    """One watch.  Changes queue up from the moment it is made; `lines` yields them until the time is over."""

    def __init__(  # noqa: PLR0917 - one request, taken apart
        self, api: Api, kind: Kind, namespace: str, query: Query, options: WatchOptions, cache: EncodedChanges
    ) -> None:
        if options.initial_events is not None and query.version_match != "NotOlderThan":
            why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid("ListOptions", "meta.k8s.io", "", [("FieldValueForbidden", "resourceVersionMatch", why)])
        if query.version and not query.version.isdigit():
            why = (
                f'resourceVersion: Invalid value: "{query.version}": strconv.ParseUint: parsing '
                f'"{query.version}": invalid syntax'
            )
            raise ApiError(500, why, reason="")
        self._api, self._kind, self._namespace = api, kind, namespace if kind.namespaced else ""
        self._options, self._cache = options, cache
        self._matches: Matcher | None = matcher(query.labels, query.fields, kind.key)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._version = query.version
        self._form, self._include = "", "Metadata"
        self._cancel = api.store.subscribe(self._on_change)
        self._begin()

    def _begin(self) -> None:
        store, start = self._api.store, int(self._version or 0)
        initial = self._options.initial_events
        if initial is True or (initial is None and start == 0):
            for obj in store.select(self._kind.key, self._namespace):
                if self._matches is None or self._matches(obj):
                    self._queue.put_nowait(encode("ADDED", present(self._kind, obj)))
            if initial is True:
                self._queue.put_nowait(self._bookmark(initial_end=True))
            return
        past = store.since(start) if start else []
        if past is None or store.is_expired(start):
            error = expired(f"too old resource version: {start} ({store.version})")
            self._queue.put_nowait(encode("ERROR", error.status()))
            self._queue.put_nowait(None)
            return
        for change in past:
            self._on_change(change)

    def present_as(self, form: str, include: str) -> None:
        """Show objects as tables or bare metadata from now on; what is queued already is shown again in that form."""
        if not form:
            return
        waiting: list[bytes | None] = []
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        self._form, self._include = form, include
        for line in waiting:
            self._queue.put_nowait(line if line is None else self._reshape(line))

    def _reshape(self, line: bytes) -> bytes:
        event = msgspec.json.decode(line)
        if event["type"] in {"ERROR", "BOOKMARK"}:
            return line
        return encode(event["type"], self._shown(event["object"]))

    def _shown(self, obj: JsonObject) -> JsonObject:
        if self._form == "Table":
            columns: JsonObject = {"resourceVersion": dig_object(obj, "metadata").get("resourceVersion")}
            return table(self._kind, [obj], self._api.clock.now(), columns, self._include)
        return {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": dig_object(obj, "metadata"),
        }

    def _on_change(self, change: Change) -> None:
        if change.key != self._kind.key or (self._namespace and namespace_of(change.object) != self._namespace):
            return
        type_ = change.type
        if self._matches is not None:
            now = change.type != "DELETED" and self._matches(change.object)
            before = change.before is not None and self._matches(change.before)
            if not now and not before:
                return
            type_ = "DELETED" if not now else "MODIFIED" if before else "ADDED"
        line = self._cache.line(self._kind, type_, change, change.object)
        self._queue.put_nowait(self._reshape(line) if self._form else line)

    def _bookmark(self, *, initial_end: bool = False) -> bytes:
        metadata: JsonObject = {"resourceVersion": str(self._api.store.version), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        body: JsonObject = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        return encode("BOOKMARK", body)

    def fail(self) -> None:
        """End the watch with 410, as after a compaction."""
        self._queue.put_nowait(encode("ERROR", expired("too old resource version").status()))
        self._queue.put_nowait(None)

    def end(self) -> None:
        """End the watch cleanly."""
        self._queue.put_nowait(None)

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines as they come; several that are ready come as one chunk."""
        clock = self._api.clock
        over = clock.call_later(self._options.seconds, self.end)
        tick = clock.call_later(BOOKMARK_SECONDS, self._tick) if self._options.bookmarks else None
        self._timer = tick
        try:
            while True:
                line = await self._queue.get()
                chunk = bytearray()
                while line is not None:
                    chunk += line
                    if self._queue.empty() or len(chunk) > 256_000:
                        break
                    line = self._queue.get_nowait()
                if chunk:
                    yield bytes(chunk)
                if line is None:
                    return
        finally:
            over.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self.close()

    def _tick(self) -> None:
        self._queue.put_nowait(self._bookmark())
        self._timer = self._api.clock.call_later(BOOKMARK_SECONDS, self._tick)

    def close(self) -> None:
        """Stop listening."""
        self._cancel()
