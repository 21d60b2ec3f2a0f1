from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.tools.guard.setting import Setting, setting


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Setting]:
    async with setting(tmp_path / "ledger.db") as made:
        yield made
