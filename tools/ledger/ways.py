"""How a transaction reaches the database: in one go in a thread (a file), or step by step over the network (a server).

The rule: a transaction is begun, worked on and ended in one place, and whoever gives up waiting for it does not end it.
A file needs no waiting between two statements, so the whole transaction is one call of a thread; each statement by
itself would be a dozen of them.  Neighbours: `opening` makes ways, `store` sends work along them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

WRITER_LOCK = 0x5E1F_4EA1
"""Key of the advisory lock that makes one writer of many PostgreSQL sessions."""


class Way(Protocol):
    """Runs work in a transaction."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run it and commit; roll back what raises.  After: it is on disk."""
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run it on one snapshot; nothing of it stays."""
        ...

    async def close(self) -> None:
        """Let go of the database.  Before: nothing runs.  Safe to repeat."""
        ...


class FileWay:
    """A database in a file, with as many threads as connections."""

    def __init__(self, engine: Engine, threads: int) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ledger")
        self._is_closed = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Way`."""

        def transaction() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Way`."""

        def transaction() -> T:
            with self._engine.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    async def close(self) -> None:
        """See `Way`."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.dispose)
        self._threads.shutdown(wait=False)


class ServerWay:
    """A database server, PostgreSQL at present."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Way`; writers queue for one lock, as they do for a file."""
        async with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
            return await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Way`."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """See `Way`."""
        await self._engine.dispose()
