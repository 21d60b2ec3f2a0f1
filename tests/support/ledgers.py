"""An empty ledger to begin with, copied: making one from its first revision takes ten times as long as the copy.

How a ledger is made and brought up to date is shown by `tests/tools/ledger`; everybody else begins with the result.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from tools.ledger.ledger import Ledger


async def ledger_at(path: Path) -> str:
    """The URL to open the ledger at `path` by; an empty one, as `Ledger.open` makes it, when there is none yet."""
    original = Path(_folder().name) / "ledger.db"
    if _is_missing(original):
        await (await Ledger.open(_url(original))).close()
    if _is_missing(path):
        _copy(original, path)
    return _url(path)


def _url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def _is_missing(path: Path) -> bool:
    return not path.exists()


def _copy(original: Path, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(original, path)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """One for this process; it goes when the process ends."""
    return tempfile.TemporaryDirectory(prefix="selfheal-ledger-")
