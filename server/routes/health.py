"""The kubelet's questions: alive, and ready.  The only routes without a token; they reveal nothing of the cluster.

Alive means that the event loop turns: an answer is the proof.  Ready means that the view of the cluster is complete, as
far as we are allowed to see it, and that the ledger can be read; what we may not see is named by kind, not by content.
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from server.service import Service, service_of
from tools.errors import ToolError
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import IncidentId

router = APIRouter()
STALE_AFTER = timedelta(minutes=3)
"""A quiet source speaks about once a minute, by bookmark; three of them missed is a broken view."""


@router.get("/livez")
async def livez() -> JSONResponse:
    """Whether the event loop turns."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Whether the view is complete and the ledger answers; 503 with the reasons while they are not."""
    service = service_of(request)
    missing = await reasons_not_ready(service)
    mirror, desired = service.ports.mirror, service.ports.journal.desired
    unseen: list[JsonValue] = [line.partition(":")[0] for line in (*mirror.unavailable(), *mirror.blind_spots())]
    document: JsonObject = {"status": "not ready" if missing else "ready", "waits_for": missing, "cannot_see": unseen}
    if desired is not None:
        document["desired_state"] = {"read": desired.is_read, "problems": len(desired.problems)}
    return JSONResponse(document, 503 if missing else 200)


async def reasons_not_ready(service: Service) -> list[JsonValue]:
    """Why no traffic should come; empty when it should."""
    missing: list[JsonValue] = []
    mirror = service.ports.mirror
    starting = sorted({r.resource.plural for r in mirror.reflectors if not r.settled.is_set()})
    if starting:
        missing.append(f"the first list of {', '.join(starting)}")
    elif mirror.view_age() > STALE_AFTER.total_seconds():
        missing.append("an answer of the API server: the view of the cluster is too old")
    try:
        await service.ports.ledger.incident(IncidentId("readyz"))
    except ToolError:
        missing.append("the ledger")
    return missing
