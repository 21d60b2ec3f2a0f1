"""What the API server's audit log says an identity wrote.

Rule: a write is a request that could have changed something: verbs that change, no dry run, and neither Events,
Leases nor access reviews (its own traces).  Whether it was accepted is the response code, kept beside it.  Every
request that names a namespace is counted too, reads and dry runs with the rest: that is the cost of an incident.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_str

WRITING_VERBS = {"create", "update", "patch", "delete", "deletecollection"}
TRACES = {
    "events", "leases", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews", "tokenreviews",
    "selfsubjectreviews",
}  # fmt: skip


@dataclass(frozen=True)
class Write:
    """One mutating request.  `at` is when the server answered it, in seconds since the epoch."""

    at: float
    user: str
    verb: str
    namespace: str
    resource: str
    name: str
    uid: str
    code: int
    uri: str
    groups: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the server did it."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.namespace}/{self.name} → {self.code}"


def parse_write(line: bytes | str, user: str) -> Write | None:
    """The line as a write of that user; None when it is something else.  ValueError when it is no audit event."""
    event = cast("JsonValue", json.loads(line))
    if not isinstance(event, dict) or event.get("kind") != "Event" or "verb" not in event:
        raise ValueError(f"not an audit event: {str(event)[:120]}")
    if dig_str(event, "user", "username") != user or dig_str(event, "verb") not in WRITING_VERBS:
        return None
    if dig_str(event, "stage") not in ("ResponseComplete", "Panic"):
        return None
    reference = event.get("objectRef")
    if dig_str(reference, "resource") in TRACES or is_dry_run(dig_str(event, "requestURI")):
        return None
    return _write(event, user)


def is_dry_run(uri: str) -> bool:
    """`dryRun=All` among the query's parameters."""
    return "All" in parse_qs(urlsplit(uri).query).get("dryRun", [])


def _write(event: JsonObject, user: str) -> Write:
    reference = event.get("objectRef")
    resource, below = dig_str(reference, "resource"), dig_str(reference, "subresource")
    stamp = datetime.fromisoformat(dig_str(event, "stageTimestamp"))
    return Write(
        at=stamp.timestamp(),
        user=user,
        verb=dig_str(event, "verb"),
        namespace=dig_str(reference, "namespace"),
        resource=f"{resource}/{below}" if below else resource,
        name=dig_str(reference, "name"),
        uid=dig_str(reference, "uid"),
        code=dig_int(event, "responseStatus", "code") or 0,
        uri=dig_str(event, "requestURI"),
        groups=tuple(str(g) for g in dig_list(event, "user", "groups")),
    )


@dataclass(frozen=True)
class Request:
    """Any finished request, in seconds since the epoch; a watch is finished when it ends."""

    at: float
    namespace: str


def parse_request(line: bytes | str, user: str, group: str) -> Request | None:
    """The line as a request of that user with that group; None when it is somebody else's or not finished."""
    event = cast("JsonValue", json.loads(line))
    mine = dig_str(event, "user", "username") == user and group in dig_list(event, "user", "groups")
    if not mine or dig_str(event, "stage") not in ("ResponseComplete", "Panic"):
        return None
    at = datetime.fromisoformat(dig_str(event, "stageTimestamp")).timestamp()
    return Request(at, dig_str(event, "objectRef", "namespace"))


class AuditTail:
    """Follows the log from where it ends now and keeps one user's writes, apart by whether they carry the group.

    Several processes may be the same user; the group is in the certificate of the one that is watched.
    """

    def __init__(self, path: Path, user: str, group: str) -> None:
        self._path = path
        self._user = user
        self._group = group
        self._marker = f'"username":"{user}"'.encode()
        self._offset = path.stat().st_size
        self._rest = b""
        self.writes: list[Write] = []
        self.foreign: list[Write] = []
        self.requests: list[Request] = []

    def requests_in(self, namespace: str, since: float) -> int:
        """How many of its requests named the namespace from a moment on."""
        return sum(r.namespace == namespace and r.at >= since for r in self.requests)

    def in_namespace(self, namespace: str, since: float) -> list[Write]:
        """The watched process's writes into the namespace from a moment on, oldest first."""
        return sorted((w for w in self.writes if w.namespace == namespace and w.at >= since), key=lambda w: w.at)

    def foreign_in(self, namespace: str) -> list[Write]:
        """Accepted writes into the namespace by another process of the same user."""
        return [w for w in self.foreign if w.namespace == namespace and w.accepted]

    async def follow(self, every: float = 0.2) -> None:
        """Read what was appended, for ever."""
        while True:
            self.read()
            await asyncio.sleep(every)

    def read(self) -> None:
        """Read what was appended since the last call.  A line that is not finished waits for its end."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            data = self._rest + log.read()
            self._offset = log.tell()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            if self._marker not in line:
                continue
            if (write := parse_write(line, self._user)) is not None:
                (self.writes if self._group in write.groups else self.foreign).append(write)
            if (request := parse_request(line, self._user, self._group)) is not None:
                self.requests.append(request)
