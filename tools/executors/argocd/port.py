"""The port through which Argo CD is asked: from a call of the door to one request of its API.

Neighbours: `client` makes the requests and translates errors, `actions` builds the calls.
"""

from __future__ import annotations

from tools.errors import Conflict, Denied, Invalid
from tools.executors.argocd import application as argo
from tools.executors.argocd.application import Phase
from tools.executors.argocd.client import AppRef, ArgoClient, SyncRequest
from tools.executors.argocd.form import info_of
from tools.executors.calls import RemoteRequest, Sent
from tools.jsontypes import JsonObject, dig, dig_int, dig_str


class ArgoPort:
    """One Argo CD."""

    def __init__(self, client: ArgoClient) -> None:
        """Keep the client; it belongs to whoever opened it."""
        self._client = client

    async def sync_windows(self, ref: AppRef) -> JsonObject:
        """Active and assigned sync windows, and the server's verdict."""
        return await self._client.sync_windows(ref)

    async def may_sync(self, ref: AppRef) -> bool:
        """Whether our account may order operations on it."""
        return await self._client.can("sync", ref)

    async def show(self, request: RemoteRequest) -> None:
        """Raises what stands against the call now: no right to it, or another operation under way."""
        ref = _ref(request)
        if not await self._client.can("sync", ref):
            raise Denied(f"our account may not sync {ref}: grant it in Argo CD's RBAC")
        app = await self._client.application(ref)
        found = argo.operation(app)
        if request.call in {"sync", "rollback"} and found.is_under_way:
            raise Conflict(f"an operation is under way on {ref} ({found.phase}); read it and decide again")
        if request.call == "terminate" and found.phase not in {Phase.RUNNING, Phase.TERMINATING}:
            raise Conflict(f"no operation runs on {ref} any more; read it and decide again")

    async def send(self, request: RemoteRequest) -> Sent:
        """One request; see `ArgoClient` for what is raised."""
        ref, given = _ref(request), request.arguments
        match request.call:
            case "refresh":
                app = await self._client.refresh(ref, is_hard=dig(given, "is_hard") is True)
            case "sync":
                app = await self._client.sync(
                    ref, SyncRequest(revision=dig_str(given, "revision") or None, info=info_of(given))
                )
            case "rollback":
                entry = dig_int(given, "entry")
                if entry is None:
                    raise Invalid(f"no entry of the history of {ref} is named")
                app = await self._client.rollback(ref, entry)
            case "terminate":
                await self._client.terminate(ref)
                return Sent({}, note=f"Argo CD stops the operation of {ref}")
            case _:
                raise Invalid(f"Argo CD is never asked to {request.call}")
        return Sent({}, note=f"Argo CD accepted it and says: {argo.health(app)}, {argo.sync(app)}")


def _ref(request: RemoteRequest) -> AppRef:
    given = request.arguments
    ref = AppRef(dig_str(given, "name"), dig_str(given, "namespace"), dig_str(given, "project"))
    if (ref.namespace, ref.name) != (request.target.namespace, request.target.name):
        raise Invalid(f"the call is about {ref} and the target is {request.target}")
    return ref
