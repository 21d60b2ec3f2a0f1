"""How often each caller may ask: a token bucket per authenticated name, in memory.

The rule: what is refused here was not looked at and costs nothing, and the caller is told when to come again.  In
memory, because a restart that forgives a few requests harms nobody; the names are those of our own tokens, so their
number is bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tools.clock import Clock


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Rates:
    """`per_minute` requests in the long run, `burst` of them at once."""

    def __init__(self, clock: Clock, *, per_minute: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_minute / 60
        self._burst = burst
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: str) -> int | None:
        """Take one request of this caller; None when it may go on, else the whole seconds to wait."""
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(caller, _Bucket(float(self._burst), now))
        bucket.tokens = min(float(self._burst), bucket.tokens + (now - bucket.filled_at) * self._per_second)
        bucket.filled_at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return None
        return max(1, math.ceil((1 - bucket.tokens) / self._per_second))
