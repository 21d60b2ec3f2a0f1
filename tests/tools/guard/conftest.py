from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.tools.guard.setting import Setting, setting
from tools.ledger.ledger import Ledger


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger at the newest schema, to copy: making one takes longer than a test."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"

    async def make() -> None:
        async with await Ledger.open(f"sqlite+aiosqlite:///{path}"):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
async def at(tmp_path: Path, empty_ledger: Path) -> AsyncIterator[Setting]:
    path = tmp_path / "ledger.db"
    shutil.copy(empty_ledger, path)
    async with setting(path) as made:
        yield made
