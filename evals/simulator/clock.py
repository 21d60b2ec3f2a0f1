"""Time of the simulator: virtual, or real time by a factor.

Virtual time: the event loop itself lives in it.  When nothing is runnable and no bytes are on the way, the loop would
block until its next timer; instead the clock jumps there.  So every timer of everybody on this loop (controllers,
client timeouts, `asyncio.sleep` of the code under test) is in virtual time, and a request in flight holds time still,
because its bytes are readable or its handler runnable.

Work that the loop has handed to threads (SQLite, files, name resolution) holds time still in the same way: it is
counted (`threads`).  `hold()` is for what nobody can count, such as another process.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self, TypeAlias

from evals.simulator.threads import ThreadWork
from tools.clock import Clock

_File: TypeAlias = "int | HasFileno"

_NAP = 0.05
"""Real seconds of one wait while time is held."""
START = datetime(2026, 1, 5, 9, 0, 0, tzinfo=UTC)
"""Where virtual time begins: a Monday morning, so that schedules and stamps are the same in every run."""


class HasFileno(Protocol):
    """What a selector takes besides numbers."""

    def fileno(self) -> int:
        """The file descriptor."""
        ...


class SimClock(Clock, Protocol):
    """What the simulator needs of a clock besides the port: timers."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after so many seconds of this clock."""
        ...


class ScaledClock:
    """Real time times `factor`: 10 makes ten simulated seconds pass in one.  `now` starts at the real time."""

    def __init__(self, factor: float = 1.0) -> None:
        if factor <= 0:
            raise ValueError(f"factor {factor}: time must go forward, use a number above 0")
        self._factor = factor
        self._wall = datetime.now(UTC)
        self._start = time.monotonic()

    def now(self) -> datetime:
        """Simulated wall time."""
        return self._wall + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Simulated seconds since the clock was made."""
        return (time.monotonic() - self._start) * self._factor

    async def sleep(self, delay: timedelta) -> None:
        """Return after `delay` of simulated time."""
        await asyncio.sleep(delay.total_seconds() / self._factor)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """A timer in simulated time."""
        return asyncio.get_running_loop().call_later(max(0.0, seconds) / self._factor, callback)


class _JumpingSelector(selectors.BaseSelector):
    """Stands between the loop and its selector: an idle wait becomes a jump of the clock."""

    def __init__(self, inner: selectors.BaseSelector, clock: VirtualClock) -> None:
        self.inner = inner
        self._clock = clock

    def register(self, fileobj: _File, events: int, data: object = None) -> selectors.SelectorKey:
        return self.inner.register(fileobj, events, data)

    def unregister(self, fileobj: _File) -> selectors.SelectorKey:
        return self.inner.unregister(fileobj)

    def modify(self, fileobj: _File, events: int, data: object = None) -> selectors.SelectorKey:
        return self.inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        # The standard library's own type for the keys is private.
        return self.inner.get_map()

    def close(self) -> None:
        self.inner.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The loop asks for I/O; `timeout` is how long it would sleep: 0 when something is runnable."""
        ready = self.inner.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return self.inner.select(None)
        if self._clock.is_held:
            return self.inner.select(_NAP)  # a thread that has done its work wakes the loop through its own pipe
        self._clock.jump(timeout)
        return []


class VirtualClock:
    """Virtual time on the running event loop (a selector loop: asyncio's default on Unix).

    ::

        with VirtualClock() as clock:      # the running loop lives in virtual time until the block ends
            await clock.sleep(timedelta(hours=1))   # returns at once
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._offset = 0.0
        self._base = 0.0
        self._held = 0
        self._work: ThreadWork | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inner: selectors.BaseSelector | None = None

    def __enter__(self) -> Self:
        """Take over the running loop.  Raises RuntimeError on a loop without a selector (uvloop), remedy in the
        message.
        """
        loop = asyncio.get_running_loop()
        inner = getattr(loop, "_selector", None)
        if not isinstance(inner, selectors.BaseSelector):
            raise RuntimeError(f"{type(loop).__name__} has no selector: virtual time needs asyncio's own selector loop")  # noqa: TRY004
        if isinstance(inner, _JumpingSelector):
            raise RuntimeError("this loop lives in virtual time already: use the clock that made it so")  # noqa: TRY004
        self._loop, self._inner, self._base = loop, inner, loop.time()
        # The loop has no public hook for "about to block"; its selector is the one object it asks, and `time` its
        # clock.
        setattr(loop, "_selector", _JumpingSelector(inner, self))  # noqa: B010
        setattr(loop, "time", self._loop_time)  # noqa: B010
        self._work = ThreadWork(loop)
        self._work.watch()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the loop back; its time goes on from where it is, at real speed."""
        if self._loop is None:
            return
        if self._work is not None:
            self._work.release()
        ahead = self._loop_time() - time.monotonic()
        setattr(self._loop, "_selector", self._inner)  # noqa: B010
        setattr(self._loop, "time", lambda: time.monotonic() + ahead)  # noqa: B010
        self._loop = None

    def _loop_time(self) -> float:
        return self._base + self._offset

    @property
    def is_held(self) -> bool:
        """Whether time stands still: somebody holds it, or a thread works for this loop."""
        return self._held > 0 or (self._work is not None and self._work.is_on_the_way)

    @contextmanager
    def hold(self) -> Generator[None, None, None]:
        """Time stands still inside: for work that cannot be counted (a subprocess, a thread started by hand)."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def jump(self, seconds: float) -> None:
        """Move time forward; called when the loop is idle."""
        self._offset += seconds

    def now(self) -> datetime:
        """Virtual wall time."""
        return self._start + timedelta(seconds=self._offset)

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._offset

    async def sleep(self, delay: timedelta) -> None:
        """Return after `delay` of virtual time."""
        due = self._offset + delay.total_seconds()
        await asyncio.sleep(delay.total_seconds())
        self._offset = max(self._offset, due)  # the loop calls back up to a billionth of a second early

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """A timer in virtual time."""
        return asyncio.get_running_loop().call_later(max(0.0, seconds), callback)
