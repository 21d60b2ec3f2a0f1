"""The audit log: every mutating request that came over the wire, with its outcome; and a short line for every other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One mutating request.  `verb` is the RBAC verb; `code` the HTTP status it was answered with (0: never
    answered).
    """

    time: datetime
    user: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    dry_run: bool
    code: int
    body: bytes
    field_manager: str


@dataclass(frozen=True, slots=True)
class Request:
    """Any request that was let in: who asked what, reads and dry runs too."""

    time: datetime
    user: str
    verb: str
    resource: str
    namespace: str


_KEPT = 200_000


class Audit:
    """The entries in the order of their answers; of `requests` the newest."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.requests: deque[Request] = deque(maxlen=_KEPT)

    def add(self, entry: AuditEntry) -> None:
        """Append one."""
        self.entries.append(entry)

    def writes(self, user: str | None = None, *, dry_runs: bool = False) -> list[AuditEntry]:
        """Requests that changed something (or would have, with `dry_runs`): answered 2xx."""
        return [
            e
            for e in self.entries
            if 200 <= e.code < 300 and (dry_runs or not e.dry_run) and (user is None or e.user == user)
        ]

    def clear(self) -> None:
        """Forget all."""
        self.entries.clear()
        self.requests.clear()
