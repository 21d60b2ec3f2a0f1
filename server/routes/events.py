"""`GET /incidents/{id}/events`: the audit lines of one incident as server-sent events, while they are written.

The contract: every line once, in order, its number as the event's id, so that `Last-Event-ID` goes on where a
connection broke; `status` events, without an id, whenever the incident's status is another one; a comment when nothing
happened for a while, so that no proxy takes the silence for the end; and the end after the last line of a closed
incident.  Who comes back after that end is told 204, which tells a browser to stop asking.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse

from server.account import audit_line_of
from server.problem import ProblemCode, ProblemError
from server.service import service_of
from tools.ledger.ledger import Ledger
from tools.refs import IncidentId

router = APIRouter()
LOOK = timedelta(milliseconds=250)
"""How often the ledger is asked for new lines."""
HEARTBEAT = timedelta(seconds=15)
AT_ONCE = 500
RECONNECT_MILLISECONDS = 1000


@router.get("/incidents/{incident_id}/events")
async def follow(request: Request, incident_id: str, last_event_id: Annotated[str, Header()] = "") -> Response:
    """Follow one incident."""
    service = service_of(request)
    ledger, this = service.ports.ledger, IncidentId(incident_id)
    record = await ledger.incident(this)
    if record is None:
        raise ProblemError(404, ProblemCode.NOT_FOUND, f"there is no incident {incident_id[:64]!r}")
    after = read_position(last_event_id)
    if not record.is_open and after and not await ledger.audit(incident_id=this, since_seq=after, limit=1):
        return Response(status_code=204)
    return StreamingResponse(
        events(this, ledger, service.dispatcher.drained, after=after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def read_position(last_event_id: str) -> int:
    """The number in a `Last-Event-ID` header; `ProblemError` 422 for what we never gave."""
    if not last_event_id:
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
        detail = "Last-Event-ID: it is the id of an event that was received before"
        raise ProblemError(422, ProblemCode.UNREADABLE, detail, field="Last-Event-ID")
    return int(last_event_id)


async def events(
    incident_id: IncidentId,
    ledger: Ledger,
    stops: Callable[[timedelta], Awaitable[bool]],
    *,
    after: int = 0,
    heartbeat: timedelta = HEARTBEAT,
    look: timedelta = LOOK,
) -> AsyncGenerator[str]:
    """The stream, line by line; `stops` waits that long and says whether the service is stopping."""
    yield f"retry: {RECONNECT_MILLISECONDS}\n\n"
    status, silence = "", timedelta(0)
    while True:
        record = await ledger.incident(incident_id)  # before the lines: what is closed now has its last line already
        if record is None:
            return
        lines = await ledger.audit(incident_id=incident_id, since_seq=after, limit=AT_ONCE)
        for entry in lines:
            yield f"id: {entry.seq}\nevent: line\ndata: {audit_line_of(entry).model_dump_json()}\n\n"
            after = entry.seq
        if record.status != status:
            status = record.status
            yield f'event: status\ndata: {{"status":"{status}","is_open":{str(record.is_open).lower()}}}\n\n'
        if len(lines) == AT_ONCE:
            continue
        if not record.is_open:
            return
        silence = timedelta(0) if lines else silence + look
        if silence >= heartbeat:
            yield ": nothing new\n\n"
            silence = timedelta(0)
        if await stops(look):
            return
