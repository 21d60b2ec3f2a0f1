"""Virtual time: it jumps when nothing is runnable, and only then."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import aiohttp
import aiosqlite
import pytest

from evals.simulator import ScaledClock, Simulator, VirtualClock


async def test_an_hour_takes_no_time() -> None:
    begin = time.monotonic()
    with VirtualClock() as clock:
        before = clock.now()
        await clock.sleep(timedelta(hours=1))
        assert clock.now() - before == timedelta(hours=1)
    assert time.monotonic() - begin < 30


async def test_a_moment_that_was_slept_for_has_come() -> None:
    """Else whoever sleeps until a moment sleeps for a billionth of a second again and again, and time stands still."""
    with VirtualClock() as clock:
        for number in range(1, 3000):
            delay = timedelta(microseconds=371 * number)
            due = clock.monotonic() + delay.total_seconds()
            await clock.sleep(delay)
            assert clock.monotonic() >= due


async def test_timers_fire_in_the_order_of_their_times() -> None:
    order: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    with VirtualClock():
        await asyncio.gather(after(300, "c"), after(10, "a"), after(20, "b"))
    assert order == ["a", "b", "c"]


async def test_a_timeout_of_the_code_under_test_is_virtual_too() -> None:
    with VirtualClock() as clock:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(75):
                await asyncio.Event().wait()
        assert clock.monotonic() == pytest.approx(75)


async def test_a_request_in_flight_holds_time_still() -> None:
    async with Simulator.virtual() as sim, aiohttp.ClientSession() as session:
        asyncio.get_running_loop().call_later(0.5, lambda: None)
        before = sim.clock.monotonic()
        for _ in range(200):
            async with session.get(f"{sim.url}/healthz") as response:
                assert await response.text() == "ok"
        assert sim.clock.monotonic() == before


async def test_held_time_does_not_move() -> None:
    with VirtualClock() as clock:
        sleeping = asyncio.create_task(clock.sleep(timedelta(seconds=5)))
        with clock.hold():
            await asyncio.to_thread(time.sleep, 0.05)
            assert clock.monotonic() == 0
            assert not sleeping.done()
        await sleeping


async def test_work_in_a_thread_holds_time_still() -> None:
    with VirtualClock() as clock:
        alarm = asyncio.create_task(clock.sleep(timedelta(seconds=5)))
        await asyncio.to_thread(time.sleep, 0.1)
        assert clock.monotonic() == 0
        await alarm
        assert clock.monotonic() == pytest.approx(5)


async def test_sqlite_at_work_holds_time_still() -> None:
    with VirtualClock() as clock:
        alarm = asyncio.create_task(clock.sleep(timedelta(seconds=5)))
        async with aiosqlite.connect(":memory:") as database:
            await database.create_function("nap", 1, time.sleep)
            for _ in range(5):
                await database.execute("SELECT nap(0.02)")
        assert clock.monotonic() == 0
        await alarm
        assert clock.monotonic() == pytest.approx(5)


async def test_work_whose_waiter_gave_up_does_not_stop_time() -> None:
    with VirtualClock() as clock:
        task = asyncio.create_task(asyncio.to_thread(time.sleep, 0.2))
        await asyncio.sleep(0)
        task.cancel()
        await clock.sleep(timedelta(hours=1))
        assert clock.monotonic() == pytest.approx(3600)


async def test_a_hung_request_ends_by_the_clients_own_timeout() -> None:
    begin = time.monotonic()
    async with Simulator.virtual() as sim, aiohttp.ClientSession() as session:
        sim.faults.hang(verb="list")
        timeout = aiohttp.ClientTimeout(total=30)
        with pytest.raises(TimeoutError):
            await session.get(
                f"{sim.url}/api/v1/pods", headers={"Authorization": f"Bearer {sim.token()}"}, timeout=timeout
            )
    assert time.monotonic() - begin < 25


async def test_the_loop_is_given_back() -> None:
    with VirtualClock() as clock:
        await clock.sleep(timedelta(hours=3))
    begin = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - begin >= 0.045


async def test_two_virtual_clocks_on_one_loop_are_refused() -> None:
    with VirtualClock(), pytest.raises(RuntimeError, match="virtual time already"):
        VirtualClock().__enter__()


async def test_a_scaled_clock_is_faster() -> None:
    clock, begin = ScaledClock(100), time.monotonic()
    await clock.sleep(timedelta(seconds=5))
    assert clock.monotonic() >= 5
    assert time.monotonic() - begin < 4


def test_time_does_not_go_backwards() -> None:
    with pytest.raises(ValueError, match="above 0"):
        ScaledClock(0)
