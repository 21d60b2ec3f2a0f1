"""A script's file between check and execution: opened once, hashed, and sealed, so that what was checked is what runs.

The contents are copied into anonymous memory that nobody can write to any more, and the hash is taken of the copy.
Whoever changes the file afterwards changes nothing.

Facts: memfd_create(2), fcntl(2) on file seals (Linux).
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.executors.script.outcome import Refused, ScriptCode

MAX_BYTES: Final = 2**20
_MAY_BE_EXECUTED: Final = 0x10
"""MFD_EXEC, from Linux 6.3 on; older kernels refuse the flag and need none."""


@contextmanager
def sealed(folder: Path, file: str, sha256: str) -> Generator[int | Refused]:
    """A descriptor of the checked contents for as long as the block lasts, or why they may not be run."""
    found = _open(folder, file, sha256)
    try:
        yield found
    finally:
        if isinstance(found, int):
            os.close(found)


def check(folder: Path, file: str, sha256: str) -> Refused | None:
    """None when the file would be run as it stands."""
    contents = _read(folder, file)
    return contents if isinstance(contents, Refused) else _compare(folder / file, contents, sha256)


def _open(folder: Path, file: str, sha256: str) -> int | Refused:
    contents = _read(folder, file)
    if isinstance(contents, Refused):
        return contents
    return _compare(folder / file, contents, sha256) or _seal(file, contents)


def _read(folder: Path, file: str) -> bytes | Refused:
    path = folder / file
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve(strict=True)):  # a mounted ConfigMap links within its own folder
            return _unreadable(f"{path} leads out of {folder}: put the script itself there")
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return _unreadable(f"{path} is not there: put it there, or take it out of the manifest")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle; ValueError: a NUL
        return _unreadable(f"{path} cannot be read ({error}): check its owner and mode")
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _unreadable(f"{path} is no regular file: put the script itself there")
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            contents = opened.read(MAX_BYTES + 1)
    except OSError as error:
        return _unreadable(f"{path} cannot be read ({error.strerror}): look at its file system")
    finally:
        os.close(descriptor)
    if len(contents) > MAX_BYTES:
        return _unreadable(f"{path} is larger than {MAX_BYTES} bytes: install what it needs, and keep the script small")
    if not contents.startswith((b"#!/", b"\x7fELF")):
        return _unreadable(f"{path} begins neither with `#!/` and an interpreter nor as an ELF program")
    return contents


def _compare(path: Path, contents: bytes, sha256: str) -> Refused | None:
    found = hashlib.sha256(contents).hexdigest()
    if hmac.compare_digest(found, sha256):
        return None
    return Refused(
        code=ScriptCode.TAMPERED,
        sentence=f"{path} is not what its manifest says: its sha256 is {found}. Read what changed, then write that "
        f"hash into the manifest or put the old file back.",
    )


def _seal(name: str, contents: bytes) -> int:
    descriptor = _memory(name)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(contents)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def _memory(name: str) -> int:
    flags = os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC
    try:
        return os.memfd_create(name, flags | _MAY_BE_EXECUTED)
    except OSError:
        return os.memfd_create(name, flags)


def _unreadable(sentence: str) -> Refused:
    return Refused(code=ScriptCode.UNREADABLE, sentence=sentence)
