"""A reader's own queue of changes: bounded, newest state per object, never in the way of the writer.

The rule: publishing never waits and never fails.  A slow reader loses intermediate states, not objects: what it gets
for an object is one delta from what it last knew to what is true now.  Only when more different objects changed than
`capacity` does it lose the oldest, and `dropped` says how many.

Neighbours: `mirror` publishes; the watcher and the verifier read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from tools.cluster.store import Delta, key_of
from tools.cluster.structs import KubeObject

CAPACITY: Final = 20_000

AnyDelta = Delta[KubeObject]

_log = structlog.get_logger(__name__)


def merge(earlier: AnyDelta, later: AnyDelta) -> AnyDelta:
    """One delta that says what both say to somebody who has seen neither."""
    match earlier.kind, later.kind:
        case _, "gone":
            return Delta("gone", later.object, earlier.old, later.received_at)
        case "added", _:
            return Delta("added", later.object, None, later.received_at)
        case _:
            return Delta("modified", later.object, earlier.old, later.received_at)


class Subscription:
    """An asynchronous iterator of deltas, for one reader.  Ends when it or the mirror is closed."""

    def __init__(self, on_close: Callable[[Subscription], object], capacity: int = CAPACITY) -> None:
        """`on_close` is told once, so that nobody publishes to a reader who left."""
        self._pending: dict[tuple[str, str], AnyDelta] = {}
        self._wake = asyncio.Event()
        self._on_close = on_close
        self._capacity = capacity
        self._closed = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._pending)

    def publish(self, delta: AnyDelta) -> None:
        """Keep `delta` for the reader, merged with what waits for the same object."""
        if self._closed:
            return
        key = (delta.object.kind, key_of(delta.object))
        waiting = self._pending.get(key)
        self._pending[key] = delta if waiting is None else merge(waiting, delta)
        if len(self._pending) > self._capacity:
            del self._pending[next(iter(self._pending))]
            if not self.dropped:
                _log.error("subscription_overflow", capacity=self._capacity)
            self.dropped += 1
        self._wake.set()

    def close(self) -> None:
        """End the iteration; what waits is lost.  Safe to repeat."""
        if not self._closed:
            self._closed = True
            self._pending.clear()
            self._wake.set()
            self._on_close(self)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> AnyDelta:
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._pending))
        return self._pending.pop(key)
