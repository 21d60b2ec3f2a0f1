"""One worker per state folder: two processes healing over the same SQLite files would run the same incidents twice.

The lock is the kernel's (`flock`), so that a process that is killed leaves none behind.  Readers (`incidents`,
`explain`, `audit`) take no lock.  A folder that is removed or replaced under a running service takes its locks, budgets
and audit trail with it, and nothing could be written any more: the service ends and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Final

from server.logging import get_logger
from server.settings import SettingsError
from tools.errors import Permanent

_LOG = get_logger(__name__)
_LOCK: Final = "worker.lock"
LOOK_SECONDS: Final = 1.0


class StateLostError(Permanent):
    """The state folder is not the one that was opened any more."""

    code = "STATE_LOST"


@contextlib.contextmanager
def hold_state(state_dir: Path) -> Generator[None]:
    """Hold the folder, which is made when it is missing.  `SettingsError` when another process holds it."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (state_dir / _LOCK).open("a+", encoding="utf-8")
    except OSError as problem:
        raise SettingsError(f"SELFHEAL_STATE_DIR {state_dir} cannot be written: {problem.strerror}") from problem
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            handle.seek(0)
            holder = handle.read(32).strip() or "unknown"
            raise SettingsError(
                f"process {holder} works on {state_dir} already: use it by --server URL, stop it, "
                "or set another SELFHEAL_STATE_DIR"
            ) from problem
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


@contextlib.asynccontextmanager
async def leave_when_lost(state_dir: Path, leave: Callable[[], None]) -> AsyncGenerator[None]:
    """Inside, `leave` is called once when the held folder was removed or replaced; look once a second.

    Raises `StateLostError` at the end when that was so.  To be entered while `hold_state` holds the folder.
    """
    held = _identity(state_dir)
    lost = asyncio.Event()

    async def look() -> None:
        while held is not None and _identity(state_dir) == held:  # noqa: ASYNC110 -- file systems tell nobody
            await asyncio.sleep(LOOK_SECONDS)
        lost.set()
        _LOG.critical("state.lost", folder=str(state_dir))
        leave()

    looking = asyncio.create_task(look(), name="state folder")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    if lost.is_set():
        raise StateLostError(
            f"{state_dir} was removed or replaced while the service ran, and with it what it had done and was doing: "
            "it has stopped. Put the folder back, or look at the cluster for what was begun and start with a new one."
        )


def _identity(state_dir: Path) -> tuple[int, int] | None:
    """Of the lock file: device and inode; None when it is not there."""
    try:
        found = (state_dir / _LOCK).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
