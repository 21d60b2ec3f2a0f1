"""`kill -9` at the three worst moments: after a restart the incident ends, and every write happened once.

The healer is a real process behind a proxy that stops it between intent and call, or between call and outcome;
the third kill is during verification.  It runs on the simulator with Python alone, and on the real cluster with
`-m cluster`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.proxy import Moment, StoppingProxy
from tests.support.process import Healer, Substrate, real, recovered, simulated, until
from tools.jsontypes import dig, dig_int, dig_str

SUBSTRATES = [
    pytest.param(simulated, id="simulator"),
    pytest.param(real, id="real", marks=pytest.mark.cluster),
]


MOMENTS: dict[str, Moment | None] = {
    "before the call": Moment.BEFORE_CALL,
    "after the call": Moment.AFTER_CALL,
    "while verifying": None,
}


@pytest.mark.slow
@pytest.mark.parametrize("substrate", SUBSTRATES)
async def test_killed_and_started_again(
    substrate: Callable[[], contextlib.AbstractAsyncContextManager[Substrate]], tmp_path: Path
) -> None:
    """Each moment has a cluster and a healer of its own; they are played at once, because they mostly wait."""

    async def play(name: str, moment: Moment | None) -> None:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        try:
            await killed_and_started_again(moment, substrate, folder)
        except Exception as error:
            error.add_note(f"killed {name}")
            raise

    found = await asyncio.gather(*(play(name, moment) for name, moment in MOMENTS.items()), return_exceptions=True)
    if failed := [error for error in found if isinstance(error, Exception)]:
        raise ExceptionGroup("not every kill was survived", failed)


async def killed_and_started_again(
    moment: Moment | None,
    substrate: Callable[[], contextlib.AbstractAsyncContextManager[Substrate]],
    folder: Path,
) -> None:
    async with substrate() as cluster:
        died = asyncio.Event()
        healers: list[Healer] = []

        async def kill_at(reached: Moment) -> bool:
            if reached is not moment:
                return False
            await healers[0].kill()
            died.set()
            return True

        async with StoppingProxy(cluster.kubeconfig, kill_at) as proxy:
            healer = Healer(proxy.kubeconfig, folder, cluster.namespace)
            healers.append(healer)
            try:
                await healer.start()
                await cluster.break_it()
                if moment is None:
                    await until(lambda: recovered(cluster), 60)
                    await healer.kill()
                    died.set()
                await asyncio.wait_for(died.wait(), 60)
                await healer.start()

                async def ended() -> bool:
                    found = await healer.incidents()
                    return bool(found) and all(dig(i, "is_open") is False for i in found)

                await until(ended, 90)
                [incident] = await healer.incidents()
                account = await healer.get(f"/incidents/{dig_str(incident, 'id')}")
                assert dig_str(incident, "status") == "healed", account
                assert healer.kills == 1
                assert await recovered(cluster)
                assert len(proxy.writes) == 1, proxy.writes
                carried_out = dig_int(await cluster.get(), "metadata", "generation")
                assert carried_out == 3, "created, broken, healed: the object changed once by our hand"
            finally:
                await healer.stop()
