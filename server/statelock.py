"""One worker per state folder: two processes healing over the same SQLite files would run the same incidents twice.

The lock is the kernel's (`flock`), so that a process that is killed leaves none behind.  Readers (`incidents`,
`explain`, `audit`) take no lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from server.settings import SettingsError


@contextlib.contextmanager
def hold_state(state_dir: Path) -> Generator[None]:
    """Hold the folder, which is made when it is missing.  `SettingsError` when another process holds it."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (state_dir / "worker.lock").open("a+", encoding="utf-8")
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
