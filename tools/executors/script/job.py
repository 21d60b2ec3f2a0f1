"""One run of a script as the supervisor is told of it, and what it reports: the two lines of JSON between us and it.

Standard library alone: the supervisor has nothing else.  Neighbours: `run` writes jobs and reads reports.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

How: TypeAlias = Literal["finished", "asked", "killed", "abandoned", "not_started"]
"""How a run ended: by itself; by SIGTERM at its time limit; by SIGKILL after that; because nobody waits any more; never
begun, because the kernel refused to execute the file."""


@dataclass(frozen=True)
class Job:
    """What to run and within which bounds."""

    script: int
    """The descriptor of the script's checked contents."""
    name: str
    stdin: str
    environment: dict[str, str]
    user: tuple[int, int] | None
    """uid and gid to become; None to stay who we are."""
    folder: str
    """Where the working directory is made."""
    namespaces: bool
    """Whether a PID namespace is tried for."""
    timeout: float
    grace: float
    """Seconds between SIGTERM and SIGKILL."""
    memory_mib: int
    address_space_mib: int
    processes: int
    file_mib: int
    output: int
    """Bytes of output to keep."""

    def dump(self) -> bytes:
        """The line that the supervisor reads."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Job:
        """The same again."""
        fields = json.loads(line)
        user = fields.pop("user")
        return cls(user=None if user is None else (user[0], user[1]), **fields)


@dataclass(frozen=True)
class Report:
    """What became of a job."""

    how: How
    seconds: float = 0
    code: int | None = None
    signal: int | None = None
    errno: int = 0
    left: int | None = None
    """Processes that still ran when the script had ended, and were killed; None when they went with it unseen."""
    isolated: bool = False
    """Whether there was a PID namespace."""
    head: str = ""
    tail: str = ""
    dropped: int = 0
    """Bytes of output between head and tail that were not kept."""

    def dump(self) -> bytes:
        """The line that the supervisor writes."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Report:
        """The same again.  Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(line))


class Capture:
    """The beginning and the end of what was written, in bounded memory."""

    def __init__(self, cap: int) -> None:
        """Keep at most `cap` bytes: half from the beginning, half from the end."""
        self._head_cap = cap // 2
        self._tail_cap = cap - cap // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def feed(self, chunk: bytes) -> None:
        """Take in what was written next."""
        self._total += len(chunk)
        room = self._head_cap - len(self._head)
        self._head += chunk[:room]
        rest = chunk[room:]
        self._tail = bytearray(rest) if len(rest) >= self._tail_cap else self._tail + rest
        del self._tail[: max(0, len(self._tail) - self._tail_cap)]

    def parts(self) -> tuple[str, str, int]:
        """Beginning and end as text, and how many bytes between them are gone; all in the first when none are."""
        dropped = self._total - len(self._head) - len(self._tail)
        head, tail = (self._head, self._tail) if dropped else (self._head + self._tail, b"")
        return head.decode(errors="replace"), tail.decode(errors="replace"), dropped
