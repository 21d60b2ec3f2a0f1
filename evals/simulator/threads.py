"""Work that an event loop has handed to threads and has not got back: what its selector cannot see.

There are two ways from the loop into a thread here: `run_in_executor` (files, name resolution, `asyncio.to_thread`),
and aiosqlite, which has a thread of its own per connection and a queue into it.  Both end with a future of the loop, so
what is on the way is counted from the hand-over until that future is done.  The rule: a future whose waiter has gone is
no longer counted, since nobody waits for what comes of it; what the same connection is asked next waits behind it.

A thread that somebody starts himself is not counted; `VirtualClock.hold` is for those.  Neighbour: `clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from queue import SimpleQueue
from typing import Final, TypeVar, TypeVarTuple, Unpack
from weakref import WeakKeyDictionary

import aiosqlite.core

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_WATCHED: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadWork]] = WeakKeyDictionary()
"""The loops whose work is counted.  aiosqlite's queues are made without a loop in sight; their items name it."""


class ThreadWork:
    """Counts for one loop, from `watch` to `release`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._on_the_way = 0

    @property
    def is_on_the_way(self) -> bool:
        """Whether a thread works for this loop now, or its answer has not been taken yet."""
        return self._on_the_way > 0

    def watch(self) -> None:
        """Begin to count.  Connections of aiosqlite that were opened before are not seen."""
        _WATCHED[self._loop] = self
        # Neither has a hook: the loop's method is replaced on this one loop, the queue's class where it is looked up.
        setattr(self._loop, "run_in_executor", self._run_in_executor)  # noqa: B010
        setattr(aiosqlite.core, "SimpleQueue", _CountedQueue)  # noqa: B010

    def release(self) -> None:
        """Count no more; the last one to leave puts aiosqlite's queue back.  Safe to repeat."""
        if _WATCHED.pop(self._loop, None) is not None:
            delattr(self._loop, "run_in_executor")
        if not _WATCHED:
            setattr(aiosqlite.core, "SimpleQueue", SimpleQueue)  # noqa: B010

    def count(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """Count until `future` is done."""
        self._on_the_way += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self._on_the_way -= 1

    def _run_in_executor(
        self, executor: Executor | None, call: Callable[[Unpack[Ts]], T], *arguments: *Ts
    ) -> asyncio.Future[T]:
        run = type(self._loop).run_in_executor
        return self.count(run(self._loop, executor, call, *arguments))


class _CountedQueue(SimpleQueue[tuple[asyncio.Future[object] | None, Callable[[], object]]]):
    """The way into one connection's thread."""

    def put_nowait(self, item: tuple[asyncio.Future[object] | None, Callable[[], object]]) -> None:
        future = item[0]
        work = _WATCHED.get(future.get_loop()) if future is not None else None
        if future is not None and work is not None:
            work.count(future)
        super().put_nowait(item)
