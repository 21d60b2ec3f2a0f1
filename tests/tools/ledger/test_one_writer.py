"""A write that has to wait holds up nobody but itself, and cancelling its caller does not cut it in half."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.ledger.samples import NOW, entry, incident
from tools.ledger.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def opened(path: Path) -> Ledger:
    return await Ledger.open(f"sqlite+aiosqlite:///{path}")


@pytest.fixture
def other_writer(path: Path, opened: Ledger) -> Iterator[sqlite3.Connection]:
    """Another process's connection, with the write lock in its hands."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def test_a_waiting_write_stalls_neither_the_loop_nor_readers(
    opened: Ledger, other_writer: sqlite3.Connection
) -> None:
    write = asyncio.create_task(opened.record(entry()))
    for _ in range(20):
        assert await opened.audit() == []
    assert not write.done()
    other_writer.execute("COMMIT")
    assert await write == 1
    await opened.close()


async def test_a_cancelled_caller_leaves_a_whole_transaction_behind(
    opened: Ledger, other_writer: sqlite3.Connection
) -> None:
    first = asyncio.create_task(opened.open_incident(incident()))
    second = asyncio.create_task(opened.record(entry()))
    await opened.incidents()
    for task in (first, second):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    other_writer.execute("COMMIT")
    assert await opened.record(entry()) == 2
    assert len(await opened.incidents()) == 1
    assert await opened.verify_audit() is None
    await opened.close()


async def test_closing_lets_a_cancelled_write_come_to_its_end(
    path: Path, opened: Ledger, other_writer: sqlite3.Connection
) -> None:
    write = asyncio.create_task(opened.put_document("k", {}, NOW))
    await opened.incidents()
    write.cancel()
    closing_ = asyncio.create_task(opened.close())
    await asyncio.sleep(0)
    other_writer.execute("COMMIT")
    await closing_
    async with await Ledger.open(f"sqlite+aiosqlite:///{path}") as again:
        assert (await again.prune(NOW))["documents"] == 0
        assert await again.document(await again.put_document("k", {}, NOW)) == {}


async def test_an_error_inside_leaves_the_writer_usable(opened: Ledger) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await opened.record(entry(at=NOW.replace(tzinfo=None)))
    assert await opened.record(entry()) == 1
    await opened.close()
