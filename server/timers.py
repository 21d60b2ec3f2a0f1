"""Moments to come back to, by the clock port: a heap of keys, each with the earliest moment asked for.

Neighbour: `server.watcher` keeps unconfirmed signals and quiet periods in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from tools.clock import Clock

K = TypeVar("K")


class Timers(Generic[K]):
    """Give keys with `at`, take those that are due with `due`.  One reader; the same key is held once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[datetime, int, K]] = []
        self._moments: dict[K, datetime] = {}
        self._count = 0
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        return len(self._moments)

    def at(self, key: K, moment: datetime) -> None:
        """Make `key` due at `moment`, or earlier if that was asked before."""
        held = self._moments.get(key)
        if held is not None and held <= moment:
            return
        self._moments[key] = moment
        self._count += 1  # equal moments come in the order they were asked for, and keys are never compared
        heapq.heappush(self._heap, (moment, self._count, key))
        if self._heap[0][2] == key:
            self._sooner.set()

    def drop(self, key: K) -> None:
        """Forget the key."""
        self._moments.pop(key, None)

    async def due(self) -> tuple[K, datetime]:
        """Wait for the next key that is due, and forget it; with the moment it was due at."""
        while True:
            self._sooner.clear()
            self._skip_stale()
            if not self._heap:
                await self._sooner.wait()
                continue
            moment, _, key = self._heap[0]
            left = moment - self._clock.now()
            if left <= timedelta(0):
                heapq.heappop(self._heap)
                del self._moments[key]
                return key, moment
            await self._sleep_or_sooner(left)

    def _skip_stale(self) -> None:
        while self._heap and self._moments.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    async def _sleep_or_sooner(self, left: timedelta) -> None:
        alarm = asyncio.ensure_future(self._clock.sleep(left))
        sooner = asyncio.ensure_future(self._sooner.wait())
        try:
            await asyncio.wait({alarm, sooner}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (alarm, sooner):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
