"""Moments to come back to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from server.timers import Timers
from tests.server.support import START, SteppedClock

SECOND = timedelta(seconds=1)


@asynccontextmanager
async def collected(clock: SteppedClock, timers: Timers[str]) -> AsyncGenerator[list[str]]:
    got: list[str] = []

    async def collect() -> None:
        while True:
            got.append((await timers.due())[0])

    task = asyncio.create_task(collect())
    yield got
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_keys_come_in_the_order_of_their_moments() -> None:
    clock = SteppedClock()
    timers: Timers[str] = Timers(clock)
    for key, seconds in (("c", 3), ("a", 1), ("b", 2)):
        timers.at(key, START + seconds * SECOND)
    async with collected(clock, timers) as got:
        await clock.step(SECOND)
        assert got == ["a"]
        await clock.step(2 * SECOND)
        assert got == ["a", "b", "c"]
        assert len(timers) == 0


async def test_an_earlier_moment_replaces_a_later_one_and_not_the_other_way() -> None:
    clock = SteppedClock()
    timers: Timers[str] = Timers(clock)
    timers.at("a", START + 10 * SECOND)
    async with collected(clock, timers) as got:
        await clock.step(SECOND)
        timers.at("a", START + 3 * SECOND)
        timers.at("a", START + 60 * SECOND)
        await clock.step(3 * SECOND)
        assert got == ["a"]
        await clock.step(timedelta(minutes=5))
        assert got == ["a"], "once is once"


async def test_a_moment_that_has_passed_is_due_now() -> None:
    clock = SteppedClock()
    timers: Timers[str] = Timers(clock)
    async with collected(clock, timers) as got:
        timers.at("a", START - SECOND)
        await clock.step(timedelta(0))
        assert got == ["a"]


async def test_a_dropped_key_never_comes_and_may_be_set_again() -> None:
    clock = SteppedClock()
    timers: Timers[str] = Timers(clock)
    async with collected(clock, timers) as got:
        timers.at("a", START + SECOND)
        timers.drop("a")
        timers.at("b", START + 2 * SECOND)
        timers.at("a", START + 3 * SECOND)
        timers.drop("never set")
        await clock.step(5 * SECOND)
        assert got == ["b", "a"]
