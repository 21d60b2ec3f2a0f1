"""The one tree of exceptions below the graph.

::

    ToolError                 something unexpected; `code` is stable, the message names the remedy
    ├── Transient             the same call may work later; `delay` says when, if the other side said so
    │   ├── Unreachable       no answer: refused, reset, timed out, cut off in the middle
    │   └── Overloaded        429 or 5xx: the server answered that it cannot now
    └── Permanent             the same call will fail again; somebody must change something
        ├── NotFound          404: the object is not there
        ├── Denied            401 or 403: the identity may not do this
        ├── Conflict          409, or a precondition that no longer holds: read again, decide again
        ├── Invalid           400, 413, 422: the server read the request and refuses its content
        ├── Expired           410: the version asked for is gone; list again
        ├── Undecodable       the answer is not what the protocol says
        └── NotAllowed        our own transport allow-list refused; the bytes never left

Expected refusals are values (`tools.guard.verdict.Refused`), never exceptions.  Only `tools.cluster` translates HTTP
into this tree; the original is chained.
"""

from __future__ import annotations

from datetime import timedelta


class ToolError(Exception):
    """Base of the tree.  `code` is part of the public vocabulary (audit, API, metrics) and never changes meaning."""

    code: str = "TOOL_ERROR"


class Transient(ToolError):
    """Try again.  Remedy: wait `delay` (or the caller's own backoff when None) and repeat the same call."""

    code = "TRANSIENT"

    def __init__(self, message: str, *, delay: timedelta | None = None) -> None:
        """Keep how long the other side asked us to wait."""
        super().__init__(message)
        self.delay = delay


class Unreachable(Transient):
    """No complete answer came.  A write may or may not have happened: read the object back before repeating it."""

    code = "API_UNREACHABLE"


class Overloaded(Transient):
    """The server answered 429 or 5xx.  Remedy: wait; `delay` carries Retry-After."""

    code = "API_OVERLOADED"


class Permanent(ToolError):
    """Repeating is useless.  Remedy: in the message."""

    code = "PERMANENT"


class NotFound(Permanent):
    """The object does not exist (any more).  Remedy: read the world again."""

    code = "NOT_FOUND"


class Denied(Permanent):
    """The identity may not do this.  Remedy: grant the permission named in the message, or disable the action."""

    code = "PERMISSION_DENIED"


class Conflict(Permanent):
    """Somebody else changed the object, or a precondition failed.  Remedy: read again and plan again."""

    code = "CONFLICT"


class Invalid(Permanent):
    """The server refuses the content (validation, admission).  Remedy: another plan; the message is the server's."""

    code = "INVALID"


class Expired(Permanent):
    """The requested resourceVersion is too old.  Remedy: list again."""

    code = "EXPIRED"


class Undecodable(Permanent):
    """The bytes are not the protocol.  Remedy: check what answers at that address."""

    code = "UNDECODABLE"


class NotAllowed(Permanent):
    """The transport allow-list has no rule for this call.  Remedy: none at run time; it is a defect or an attack."""

    code = "TRANSPORT_REFUSED"
