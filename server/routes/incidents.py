"""What happened: incidents, the account and the export of one, the audit trail, and what is seen of an object.

Reading never changes anything and asks the cluster nothing; the answers come from the ledger and the mirror.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from graph.plan import Status
from server.account import Account, AuditLine, IncidentLine, incident_line, newest_audit
from server.explain import explain_object
from server.explain_view import ObjectView
from server.export import IncidentExport, export_incident
from server.parse import parse_reference_text
from server.problem import ProblemCode, ProblemError
from server.service import service_of
from tools.refs import DNS_NAME, IncidentId

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=1000)]
Namespace = Annotated[str | None, Query(pattern=DNS_NAME)]


class Incidents(BaseModel):
    """Newest first."""

    model_config = ConfigDict(frozen=True)

    incidents: tuple[IncidentLine, ...]


class Audit(BaseModel):
    """Oldest first."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[AuditLine, ...]


@router.get("/incidents")
async def list_incidents(
    request: Request, namespace: Namespace = None, status: Status | None = None, limit: Limit = 50
) -> Incidents:
    """The newest incidents, of one namespace or status when asked."""
    records = await service_of(request).ports.ledger.incidents(
        limit=limit, namespace=namespace, status=status.value if status is not None else None
    )
    return Incidents(incidents=tuple(incident_line(r) for r in records))


@router.get("/incidents/{incident_id}")
async def show_incident(request: Request, incident_id: str) -> Account:
    """The account of one incident."""
    account = await service_of(request).account(IncidentId(incident_id))
    if account is None:
        raise _no_incident(incident_id)
    return account


@router.get("/incidents/{incident_id}/export")
async def show_export(request: Request, incident_id: str) -> IncidentExport:
    """The whole incident as one file, without secrets: what was seen, planned, decided and done."""
    export = await export_incident(service_of(request).ports.ledger, IncidentId(incident_id))
    if export is None:
        raise _no_incident(incident_id)
    return export


def _no_incident(incident_id: str) -> ProblemError:
    detail = f"there is no incident {incident_id[:64]!r}; GET /incidents lists those there are"
    return ProblemError(404, ProblemCode.NOT_FOUND, detail)


@router.get("/audit")
async def show_audit(
    request: Request, incident: str | None = None, after: Annotated[int, Query(ge=0)] = 0, limit: Limit = 200
) -> Audit:
    """The audit trail: of one incident, or the newest of all; `after` leaves out what was read before."""
    entries = await newest_audit(service_of(request).ports.ledger, incident=incident, after=after, limit=limit)
    return Audit(entries=tuple(entries))


@router.get("/objects/{path:path}")
async def show_object(request: Request, path: str) -> ObjectView:
    """What is seen of NAMESPACE/KIND/NAME, which mode holds for it, and whether it rests."""
    try:
        ref = parse_reference_text(path)
    except ValueError as error:
        raise ProblemError(422, ProblemCode.UNREADABLE, str(error), field="path") from None
    service = service_of(request)
    return await explain_object(ref, service.ports, service.watcher)
