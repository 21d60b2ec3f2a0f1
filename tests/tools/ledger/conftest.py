"""A ledger per test.

Set SELFHEAL_TEST_POSTGRES to the async URL of a database that may be emptied, and PostgreSQL is held to the contract
too.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tools.ledger.ledger import Ledger

POSTGRES = os.environ.get("SELFHEAL_TEST_POSTGRES")
STORES = ["sqlite", *(["postgres"] if POSTGRES else [])]


async def emptied(url: str) -> str:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
    return url


@pytest.fixture(params=STORES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        assert POSTGRES is not None
        return await emptied(POSTGRES)
    return f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    async with await Ledger.open(url) as opened:
        yield opened
