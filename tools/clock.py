"""Time as a port: everything that waits or stamps takes a `Clock`, so that tests and the simulator can own time.

Neighbours: `evals.simulator` brings a virtual clock; the service uses `SystemClock`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where time comes from.  `now` is wall time in UTC for records; `monotonic` is seconds for measuring."""

    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back."""
        ...

    async def sleep(self, delay: timedelta) -> None:
        """Return after `delay` of this clock's time."""
        ...


class SystemClock:
    """The machine's clocks and the event loop's sleep."""

    def now(self) -> datetime:
        """Wall time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    async def sleep(self, delay: timedelta) -> None:
        """`asyncio.sleep`."""
        await asyncio.sleep(delay.total_seconds())
