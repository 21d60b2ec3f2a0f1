"""What returned is there after the process is gone, and what two processes do at once has one winner."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from tests.tools.ledger.crashing import CALLS, CRASHED, FORKS, crash_after, ended, fill_the_disk, race, write_for_ever
from tools.ledger.ledger import Ledger

READS = {
    "open", "close", "waiting", "incident", "incidents", "open_for", "recent", "document", "action", "actions_of",
    "actions_on", "unfinished", "failed_attempts", "latest_verdicts", "plans_since", "last_plan", "plans_of",
    "holder_of", "audit", "verify_audit", "audit_head", "approval", "good_revisions", "paused_until", "pauses",
    "object_versions", "object_version", "versions_in", "newest_versions", "surroundings",
}  # fmt: skip


def test_every_method_that_changes_something_is_crashed_after() -> None:
    public = {name for name, _ in inspect.getmembers(Ledger, callable) if not name.startswith("_")}
    assert public - READS == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
async def test_what_returned_survives_the_end_of_the_process(url: str, name: str) -> None:
    call = CALLS[name]
    async with await Ledger.open(url) as ledger:
        await call.before(ledger)
        if name != "put_document":  # reading a document needs its digest, which putting it gives
            assert not await call.holds(ledger) or name == "prune"
    process = FORKS.Process(target=crash_after, args=(url, name))
    process.start()
    assert await ended(process) == CRASHED
    async with await Ledger.open(url) as ledger:
        assert await call.holds(ledger)
        assert await ledger.verify_audit() is None


async def test_everything_acknowledged_before_a_kill_is_there(url: str) -> None:
    told, ours = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=write_for_ever, args=(url, ours))
    process.start()
    ours.close()
    for _ in range(20):
        assert await asyncio.to_thread(told.poll, 30)
        last = told.recv()
    process.kill()
    assert await ended(process) == -9
    while told.poll():
        try:
            last = told.recv()
        except EOFError:
            break
    async with await Ledger.open(url) as ledger:
        assert await ledger.verify_audit() is None
        recorded = [one.sentence for one in await ledger.audit(limit=100_000)]
        assert recorded[: last + 1] == [str(number) for number in range(last + 1)]
        opened = {one.id for one in await ledger.incidents(limit=100_000)}
        assert opened >= {f"i{number}" for number in range(last + 1)}
    told.close()


async def test_a_full_disk_is_told_and_takes_nothing_with_it(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    told, ours = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=fill_the_disk, args=(url, ours))
    process.start()
    ours.close()
    assert await asyncio.to_thread(told.poll, 30)
    kept, code = told.recv()
    await ended(process)
    told.close()
    assert code == "LEDGER_UNAVAILABLE"
    assert len(kept) > 10
    async with await Ledger.open(url) as ledger:
        for number, key in enumerate(kept):
            found = await ledger.document(key)
            assert found is not None
            assert found["n"] == number


async def test_of_two_processes_exactly_one_wins(url: str) -> None:
    rounds = 25
    start = FORKS.Barrier(2)
    pipes = [FORKS.Pipe(duplex=False) for _ in range(2)]
    racers = [FORKS.Process(target=race, args=(url, me, rounds, start, pipe[1])) for me, pipe in enumerate(pipes)]
    for racer in racers:
        racer.start()
    assert await asyncio.to_thread(pipes[0][0].poll, 60)
    assert await asyncio.to_thread(pipes[1][0].poll, 60)
    one, other = (pipe[0].recv() for pipe in pipes)
    assert [await ended(racer) for racer in racers] == [0, 0]
    for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        created, ids, held, intended = zip(mine, theirs, strict=True)
        assert sorted(created) == [False, True], number
        assert ids[0] == ids[1]
        assert sorted(held) == [False, True], number
        assert sorted(intended) == ["LEDGER_CONTRADICTION", "recorded"], number
    async with await Ledger.open(url) as ledger:
        assert len(await ledger.incidents()) == len(await ledger.unfinished()) == rounds
        assert len(await ledger.audit()) == 2 * rounds
        assert await ledger.verify_audit() is None
    for pipe in pipes:
        pipe[0].close()
        pipe[1].close()
