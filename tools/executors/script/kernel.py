"""What the supervisor asks of the kernel beyond Python's `os`: flags of a process, namespaces, who runs below us.

Standard library alone.  Facts: prctl(2), unshare(2), user_namespaces(7), proc(5).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
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


def enter_namespaces() -> bool:
    """Have what is forked next live in PID and IPC namespaces of its own.  False where that is not permitted.

    Without root it takes a user namespace, in which we stay who we are.
    """
    if os.geteuid() == 0:
        return _unshare(_NEW_PID | _NEW_IPC)
    probe = os.fork()  # a user namespace cannot be left again, should it turn out half made
    if probe == 0:
        os._exit(0 if _unshare_with_user() else 1)
    return os.waitpid(probe, 0)[1] == 0 and _unshare_with_user()


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


def _unshare_with_user() -> bool:
    uid, gid = os.geteuid(), os.getegid()
    if not _unshare(_NEW_USER | _NEW_PID | _NEW_IPC):
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:
        return False
    return True


def _unshare(flags: int) -> bool:
    return int(_libc.unshare(flags)) == 0
