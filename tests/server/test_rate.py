"""The token bucket: what passes, what waits, and for how long."""

from __future__ import annotations

from datetime import timedelta

from server.rate import Rates
from tests.server.support import SteppedClock


async def test_a_burst_passes_then_the_pace_holds_for_each_caller_alone() -> None:
    clock = SteppedClock()
    rates = Rates(clock, per_minute=6, burst=3)
    assert [rates.take("ann") for _ in range(5)] == [None, None, None, 10, 10]
    assert rates.take("bob") is None
    await clock.step(timedelta(seconds=4))
    assert rates.take("ann") == 6, "a refusal costs nothing"
    await clock.step(timedelta(seconds=6))
    assert [rates.take("ann"), rates.take("ann")] == [None, 10]
    await clock.step(timedelta(hours=1))
    assert [rates.take("ann") for _ in range(4)] == [None, None, None, 10], "never more than a burst is saved up"
