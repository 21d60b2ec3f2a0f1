"""What the door may send: a write to the API server, or a call to another system that can change something.

A `RemoteRequest` is the second kind as a value, as `WriteRequest` is the first: what was assessed is what is sent.  A
`RemotePort` speaks to one such system.

The rule: only `tools.guard.wire` sends either, and only with the proof that its intent is durable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tools.cluster.resources import WriteRequest
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class RemoteRequest:
    """One call to a system that is not the API server.  What `call` and `arguments` mean is known to `port` alone."""

    port: str
    target: ObjectRef
    """The object of the cluster that the call is about."""
    call: str
    arguments: JsonObject


Call: TypeAlias = WriteRequest | RemoteRequest


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that was answered: it happened.

    `has_failed` says that it happened and that the other side itself says it did not do what it is for (a script that
    ended with an error); then `note` says how.
    """

    object: JsonObject
    audit_id: str | None = None
    note: str = ""
    has_failed: bool = False


class RemotePort(Protocol):
    """One system that can be asked to change something.  Both methods raise `ToolError` and nothing else."""

    async def show(self, request: RemoteRequest) -> None:
        """Raise what the other side would answer to this very call now, as far as that can be told by reading."""
        ...

    async def send(self, request: RemoteRequest) -> Sent:
        """Make the call once.

        Conflict, Denied, Invalid and NotFound say that nothing happened; any other error leaves it open.
        """
        ...
