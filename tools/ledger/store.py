"""One database with one writer: every write is one transaction, on disk before the caller goes on.

Work is a plain function over a `Connection`; the store decides where it runs.  Writes queue for one connection and take
the database's write lock at their start, so that what a transaction has read still holds when it commits, also against
other processes.  A caller that is cancelled leaves its transaction to end by itself: it is never cut in half.
Neighbours: `opening` makes stores, `ways` lead to the database, `ledger` is what others see.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from tools.ledger.errors import LedgerError, StoreCorrupt
from tools.ledger.ways import Way

P = ParamSpec("P")
T = TypeVar("T")

_CORRUPT_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Store:
    """Two ways into one database, one for those who write and one for those who read.

    Every failure of the database is raised as `LedgerError` with the original chained; what the work itself raises
    passes through and rolls the transaction back.
    """

    def __init__(self, *, writer: Way, reader: Way, where: str) -> None:
        """`where` names the store in messages; it holds no password."""
        self._writer = writer
        self._reader = reader
        self._where = where
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[object]] = set()
        self._closed = False

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction of its own; when this returns, it is committed and flushed to disk."""

        async def run() -> T:
            async with self._turn:
                return await self._writer.write(lambda tx: work(tx, *args, **kwargs))

        return await self._apart(run())

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on one snapshot; it sees every write that had returned before."""

        async def run() -> T:
            return await self._reader.read(lambda tx: work(tx, *args, **kwargs))

        return await self._apart(run())

    async def close(self) -> None:
        """Let what runs come to its end, then let go of the database.  Safe to repeat."""
        self._closed = True
        await asyncio.shield(asyncio.create_task(self._end()))

    async def _end(self) -> None:
        if self._running:
            await asyncio.wait(self._running)
        await self._writer.close()
        await self._reader.close()

    async def _apart(self, run: Coroutine[None, None, T]) -> T:
        """Await `run` in a task of its own, out of reach of the caller's cancellation."""
        if self._closed:
            run.close()
            raise LedgerError(f"the ledger {self._where} is closed: open it again")
        task = asyncio.create_task(run)
        self._running.add(task)
        task.add_done_callback(self._settle)
        try:
            return await asyncio.shield(task)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._translated(error) from error

    def _settle(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # a cancelled caller never asks; unasked, asyncio would complain

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
            return ValueError(f"a value cannot be kept in the ledger: {error.orig}")
        cause = error.orig if isinstance(error, DBAPIError) else error
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _CORRUPT_CODES:
            return StoreCorrupt(
                f"the ledger {self._where} is damaged ({cause}): keep the file, restore the newest sound copy"
            )
        if isinstance(error, IntegrityError):
            return LedgerError(
                f"the ledger {self._where} refuses the row ({cause}): record what it refers to first, under a new id"
            )
        return LedgerError(
            f"the ledger {self._where} cannot be used ({cause}): check that it is there, writable, not full"
        )
