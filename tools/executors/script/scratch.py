"""The script's working directory: made before it runs, removed with everything in it afterwards.

The rule: what a script left there leads the supervisor nowhere else.  It is removed with the rights of the script's
user, since another script of that user, running at the same time, may put links in our way.

Standard library alone.  Neighbour: `supervisor`, which removes it when no process of the script is left.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

User = tuple[int, int] | None
_CLEAR_SECONDS: Final = 20.0
"""Longest that removing takes; only somebody who goes on writing makes it longer."""


@contextmanager
def scratch(parent: str, user: User) -> Generator[Path]:
    """An empty directory of mode 0700 below `parent` that belongs to `user`, for as long as the block lasts.

    What cannot be removed at the end is told on stderr and stays.
    """
    folder = Path(tempfile.mkdtemp(prefix="selfheal-script-", dir=parent))
    try:
        if user is not None:
            os.chown(folder, *user)
        yield folder
    finally:
        try:
            with _acting_as(user):
                _empty(folder)
            folder.rmdir()
        except OSError as error:
            sys.stderr.write(f"could not remove {folder}: {error}\n")


@contextmanager
def _acting_as(user: User) -> Generator[None]:
    if user is None:
        yield
        return
    os.setgroups([])
    os.setegid(user[1])
    os.seteuid(user[0])
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _empty(folder: Path) -> None:
    """Remove what is in a folder.  Folders are lifted up first, so that none is too deep."""
    end = time.monotonic() + _CLEAR_SECONDS
    while entries := list(folder.iterdir()):
        for entry in entries:
            if time.monotonic() > end:
                raise TimeoutError(f"still not empty after {_CLEAR_SECONDS:.0f} s")
            if not _is_folder(entry):
                entry.unlink()
                continue
            entry.chmod(0o700)
            for inner in list(entry.iterdir()):
                if _is_folder(inner):
                    inner.chmod(0o700)
                    inner.rename(folder / secrets.token_hex(16))
                else:
                    inner.unlink()
            entry.rmdir()


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)
