"""What the supervisor asks of the kernel beyond Python's `os`: flags of a process, namespaces, who runs below us.

Standard library alone.  Facts: prctl(2), unshare(2), user_namespaces(7), proc(5).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

PDEATHSIG: Final = 1
SUBREAPER: Final = 36
NO_NEW_PRIVS: Final = 38
_DUMPABLE: Final = 4
_NEW_IPC: Final = 0x08000000
_NEW_USER: Final = 0x10000000
_NEW_PID: Final = 0x20000000

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set a flag of this process.  Raises OSError."""
    if int(_libc.prctl(option, value, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def hide_memory() -> None:
    """Keep other processes of our user out of our memory and our environment under /proc."""
    prctl(_DUMPABLE, 0)


class Apart(Enum):
    """How far apart from everything else what is forked next will live."""

    NOT = "not"
    """In no namespaces of its own."""
    BY_PID = "by pid"
    """Its processes see and reach nobody else's, and end with the first of them."""
    BY_USER = "by user"
    """And what its user runs is counted for it alone."""


def enter_namespaces(user: tuple[int, int] | None) -> Apart:
    """Have what is forked next live apart, as far as that is permitted here.

    `user` is whom root is going to become; without root we stay who we are.  A user namespace cannot be left again
    should it turn out half made, so it is tried in a fork first.
    """
    mine = (os.geteuid(), os.getegid())
    probe = os.fork()
    if probe == 0:
        os._exit(0 if _unshare_with_user(mine, user) else 1)
    if os.waitpid(probe, 0)[1] == 0 and _unshare_with_user(mine, user):
        return Apart.BY_USER
    return Apart.BY_PID if mine[0] == 0 and _unshare(_NEW_PID | _NEW_IPC) else Apart.NOT


def tasks_of(uid: int) -> int:
    """How many tasks count against the limit on processes, which is one for everything that a user runs."""
    tasks = 0
    for _, text in _processes("status"):
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if lines.get("Uid", "").split()[:1] == [str(uid)]:
            tasks += int(lines.get("Threads", "1"))
    return tasks


def descendants() -> tuple[set[int], set[int]]:
    """Every process below this one, and those of them that still run.

    /proc is read while it changes, so a running one may be missed.  None at all is certain, though: what is below us
    has a topmost process that is our own child, and a child of ours stays, if only as a zombie, until we reap it.
    """
    children: dict[int, list[int]] = {}
    running: set[int] = set()
    for pid, text in _processes("stat"):
        fields = text.rpartition(")")[2].split()  # state, parent, ...; the name before it may hold anything
        children.setdefault(int(fields[1]), []).append(pid)
        if fields[0] not in "ZX" or int(fields[17]) > 1:  # threads may outlive the first one of a process
            running.add(pid)
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found, found & running


def _processes(file: str) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                yield int(entry.name), (entry / file).read_text(errors="replace")


def _unshare_with_user(mine: tuple[int, int], user: tuple[int, int] | None) -> bool:
    """A user namespace in which nobody exists but us and `user`, with the others inside of it."""
    ids = [mine] if user is None else [mine, user]
    is_root = mine[0] == 0
    write, begin = (None, -1) if not is_root else _writer_outside(ids)
    if not _unshare(_NEW_USER | _NEW_PID | _NEW_IPC):
        if write is not None:
            os.close(begin)
            os.waitpid(write, 0)
        return False
    if write is None:
        return _write_maps("self", ids, deny_groups=True)
    os.close(begin)
    return os.waitpid(write, 0)[1] == 0


def _writer_outside(ids: list[tuple[int, int]]) -> tuple[int, int]:
    """A process that stays outside and writes our maps when the descriptor is closed: only there is it permitted."""
    us, (wait, begin) = str(os.getpid()), os.pipe()
    writer = os.fork()
    if writer == 0:
        os.close(begin)
        os.read(wait, 1)
        os._exit(0 if _write_maps(us, ids, deny_groups=False) else 1)
    os.close(wait)
    return writer, begin


def _write_maps(process: str, ids: list[tuple[int, int]], *, deny_groups: bool) -> bool:
    folder = Path("/proc") / process
    try:
        if deny_groups:
            (folder / "setgroups").write_text("deny")
        for file, position in (("uid_map", 0), ("gid_map", 1)):
            (folder / file).write_text("".join(f"{each} {each} 1\n" for each in sorted({id_[position] for id_ in ids})))
    except OSError:
        return False
    return True


def _unshare(flags: int) -> bool:
    return int(_libc.unshare(flags)) == 0
