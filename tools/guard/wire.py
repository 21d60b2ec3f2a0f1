"""Where bytes leave to change something: the only callers of `write` and of the ports to other systems.

The rule: a real call takes proof that its intent is committed, and `Books.intend` is what gives it.  A dry run takes
none: it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.errors import Permanent
from tools.executors.calls import Call, RemotePort, RemoteRequest, Sent
from tools.guard.ports import ClusterPort
from tools.jsontypes import JsonObject
from tools.ledger.records import Intent


@dataclass(frozen=True, slots=True)
class Committed:
    """An intent that is durable.  Only `Books.intend` makes one."""

    intent: Intent


class NotConnected(Permanent):
    """The system that should carry it out is not configured.  Remedy: configure it, or disable its actions."""

    code = "NOT_CONNECTED"


class Wire:
    """One cluster to be written to, and the other systems that can be asked to act on it."""

    def __init__(self, cluster: ClusterPort, remotes: Mapping[str, RemotePort] | None = None) -> None:
        """Keep the ports, those of other systems by name."""
        self._cluster = cluster
        self._remotes = dict(remotes or {})

    async def show(self, request: Call) -> JsonObject:
        """What the server would make of `request`; nothing changes.  Raises `ToolError`.

        Another system shows nothing: it only raises what it would refuse.
        """
        if isinstance(request, RemoteRequest):
            await self._port(request).show(request)
            return {}
        return (await self._cluster.write(request, dry_run=True)).object

    async def send(self, request: Call, committed: Committed) -> Sent:
        """Make the call that `committed` announced, once.  Raises `ToolError`; the write may have happened then."""
        target = committed.intent.target
        if isinstance(request, RemoteRequest):
            if request.target != target:
                raise ValueError(f"the intent is about {target}, the request about {request.target}")
            return await self._port(request).send(request)
        if (request.name, request.namespace, request.resource.kind) != (target.name, target.namespace, target.kind):
            raise ValueError(f"the intent is about {target}, the request about {request.resource.kind} {request.name}")
        result = await self._cluster.write(request, dry_run=False)
        return Sent(result.object, result.audit_id)

    def _port(self, request: RemoteRequest) -> RemotePort:
        port = self._remotes.get(request.port)
        if port is None:
            raise NotConnected(f"there is no connection to {request.port}: configure it, or disable its actions")
        return port
