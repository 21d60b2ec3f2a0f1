"""A token in a file, as a mounted Secret: read again whenever the file has changed.

The rule: what is sent is one line of plain characters, or nothing is sent.  Neighbour: `client`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tools.executors.argocd.faults import Misconfigured

_MAX_BYTES: Final = 16 * 2**10
_TOKEN: Final = re.compile(r"[\x21-\x7e]{8,}")


class TokenFile:
    """One file with one token."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._token = ""

    def read(self) -> str:
        """The token as the file holds it now.  Raises Misconfigured, which never shows the contents."""
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp != self._stamp:
                self._token = self._parse()
                self._stamp = stamp
        except OSError as error:
            raise Misconfigured(f"{self._path}: the token cannot be read ({error.strerror}); mount it there") from error
        return self._token

    def _parse(self) -> str:
        with self._path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        text = raw.decode("ascii", errors="replace").strip()
        if len(raw) > _MAX_BYTES or not _TOKEN.fullmatch(text):
            raise Misconfigured(f"{self._path}: write one line into it, the token of an account or a project role")
        return text
