"""Where bytes leave for the API server to change something: the two calls of `write` in the whole program.

The rule: a real call takes proof that its intent is committed, and `Books.intend` is what gives it.  A dry run takes
none: it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.cluster.client import WriteResult
from tools.cluster.resources import WriteRequest
from tools.guard.ports import ClusterPort
from tools.jsontypes import JsonObject
from tools.ledger.records import Intent


@dataclass(frozen=True, slots=True)
class Committed:
    """An intent that is durable.  Only `Books.intend` makes one."""

    intent: Intent


class Wire:
    """One cluster, to be written to."""

    def __init__(self, cluster: ClusterPort) -> None:
        """Keep the port."""
        self._cluster = cluster

    async def show(self, request: WriteRequest) -> JsonObject:
        """What the server would make of `request`; nothing changes.  Raises `ToolError`."""
        return (await self._cluster.write(request, dry_run=True)).object

    async def send(self, request: WriteRequest, committed: Committed) -> WriteResult:
        """Make the call that `committed` announced, once.  Raises `ToolError`; the write may have happened then."""
        target = committed.intent.target
        if (request.name, request.namespace, request.resource.kind) != (target.name, target.namespace, target.kind):
            raise ValueError(f"the intent is about {target}, the request about {request.resource.kind} {request.name}")
        return await self._cluster.write(request, dry_run=False)
