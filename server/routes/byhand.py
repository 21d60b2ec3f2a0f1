"""What a person decides: the answer to a plan that waits, an undo, a pause.

Who it was is the caller's name behind the gate, never a field of the body.  An answer names the plan it is about by its
hash: what a person did not see is not what they agreed to.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.auth.gate import caller_of
from server.body import read_json_bytes
from server.byhand import NotDone, pause, pauses, undo_incident, unpause
from server.byhand_view import PauseView, Word, parse_duration, parse_namespace
from server.parse import Unreadable, read_document
from server.problem import ProblemCode, ProblemError
from server.questions import NotTaken
from server.service import Service, service_of
from tools.refs import IncidentId

router = APIRouter()
MAX_ORDER_BYTES = 16_384
M = TypeVar("M", bound=BaseModel)
Why = Annotated[str, Field(max_length=400)]


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Approval(_Order):
    """Yes to exactly this plan."""

    plan_hash: str = Field(min_length=1, max_length=128)


class Rejection(_Order):
    """No to this plan, and why."""

    plan_hash: str = Field(min_length=1, max_length=128)
    why: Why = "no reason was given"


class PauseOrder(_Order):
    """`for` is a length of time such as 2h."""

    namespace: str
    length: str = Field(alias="for")
    why: Why = ""


class Pauses(BaseModel):
    """The pauses that hold now."""

    model_config = ConfigDict(frozen=True)

    pauses: tuple[PauseView, ...]


@router.post("/incidents/{incident_id}/approve")
async def approve(request: Request, incident_id: str) -> JSONResponse:
    """Agree to the plan that waits; it is carried out, unless the world has moved since."""
    order = await _order(request, Approval)
    return await _answer(request, incident_id, "approved", order.plan_hash, why="")


@router.post("/incidents/{incident_id}/reject")
async def reject(request: Request, incident_id: str) -> JSONResponse:
    """Decline the plan that waits; nothing is done."""
    order = await _order(request, Rejection)
    return await _answer(request, incident_id, "declined", order.plan_hash, why=order.why)


@router.post("/incidents/{incident_id}/undo")
async def undo(request: Request, incident_id: str) -> JSONResponse:
    """Take back what the incident wrote."""
    service = service_of(request)
    if service.dispatcher.is_draining:
        raise _stopping()
    report = await undo_incident(IncidentId(incident_id), service.ports, by=caller_of(request))
    if report is None:
        raise _unknown(incident_id)
    if isinstance(report, NotDone):
        raise ProblemError(409, report.code, report.sentence, incident_id=incident_id)
    if not report.complete:
        code = next(step.code for step in report.steps if step.code)
        raise ProblemError(409, code, report.sentence, report=report.model_dump(mode="json"))
    return JSONResponse(report.model_dump(mode="json"))


@router.get("/pauses")
async def list_pauses(request: Request) -> Pauses:
    """Where acting is paused now."""
    ports = service_of(request).ports
    return Pauses(pauses=tuple(await pauses(ports.ledger, ports.clock.now())))


@router.post("/pauses")
async def add_pause(request: Request) -> PauseView:
    """Stop acting in a namespace for a while; watching goes on."""
    order = await _order(request, PauseOrder)
    ports = service_of(request).ports
    try:
        namespace, length = parse_namespace(order.namespace), parse_duration(order.length)
    except ValueError as error:
        raise ProblemError(422, ProblemCode.UNREADABLE, str(error), field="for") from None
    return await pause(
        ports.ledger, namespace, length, by=caller_of(request), why=order.why, now=ports.clock.now()
    )  # fmt: skip


@router.delete("/pauses/{namespace}")
async def lift_pause(request: Request, namespace: str) -> Response:
    """Act there again."""
    ports = service_of(request).ports
    if not await unpause(ports.ledger, namespace, by=caller_of(request), now=ports.clock.now()):
        raise ProblemError(404, ProblemCode.NOT_FOUND, f"no pause holds for {namespace[:64]!r}; GET /pauses lists them")
    return Response(status_code=204)


async def _answer(request: Request, incident_id: str, word: Word, plan_hash: str, *, why: str) -> JSONResponse:
    service = service_of(request)
    await _known(incident_id, service)
    if service.dispatcher.is_draining:
        raise _stopping()
    taken = await service.dispatcher.questions.answer(
        IncidentId(incident_id), word, plan_hash=plan_hash, by=caller_of(request), why=why
    )
    if isinstance(taken, NotTaken):
        raise ProblemError(409, taken.code, taken.sentence, incident_id=incident_id)
    document = {
        "status": "running",
        "incident_id": incident_id,
        "sentence": f"The plan {plan_hash} was {word}; look at the incident for how it ends.",
    }
    return JSONResponse(document, 202, headers={"Location": f"/incidents/{incident_id}"})


async def _known(incident_id: str, service: Service) -> None:
    if await service.ports.ledger.incident(IncidentId(incident_id)) is None:
        raise _unknown(incident_id)


def _unknown(incident_id: str) -> ProblemError:
    return ProblemError(
        404, ProblemCode.NOT_FOUND, f"there is no incident {incident_id[:64]!r}; GET /incidents lists those there are"
    )


def _stopping() -> ProblemError:
    return ProblemError(
        503, ProblemCode.STOPPING, "the service is shutting down; send it again", headers={"Retry-After": "5"}
    )


async def _order(request: Request, model: type[M]) -> M:
    """The order in the body.  `ProblemError` 422 with the field that cannot be read."""
    body = read_document(await read_json_bytes(request, MAX_ORDER_BYTES))
    if isinstance(body, Unreadable):
        raise ProblemError(422, ProblemCode.UNREADABLE, body.remedy, field=body.field)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ProblemError(422, ProblemCode.UNREADABLE, f"{field}: {first['msg']}", field=field) from None
