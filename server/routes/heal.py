"""`POST /self-heal`: an Event or a reference in, the structured result out.

The order is the promise: authenticated (before this runs), read, understood, committed to the inbox, and only then
answered.  200 means that the incident has ended and the body says how; 202 that it goes on at `Location`.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import assert_never

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from server.auth.gate import CALLER
from server.body import read_json_bytes
from server.parse import Parsed, Unreadable, parse_body
from server.problem import ProblemCode, ProblemError
from server.service import Service, service_of
from server.tickets import Dropped, Ended, Outcome, Running, StoppingError, Ticket, Waits
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, digest
from tools.ledger.errors import LedgerError
from tools.ledger.records import InboxEntry

router = APIRouter()
_WAIT = re.compile(r"\bwait=(\d{1,6})\b")


@router.post("/self-heal")
async def self_heal(request: Request) -> JSONResponse:
    """Heal what an Event or a reference names, and answer when it is done."""
    service = service_of(request)
    try:
        answer = await _answer(request, service)
    except ProblemError as problem:
        service.metrics.answered(problem.status)
        raise
    service.metrics.answered(answer.status_code)
    return answer


async def _answer(request: Request, service: Service) -> JSONResponse:
    parsed = parse_body(await read_json_bytes(request))
    if isinstance(parsed, Unreadable):
        where = f"{parsed.field}: " if parsed.field else ""
        raise ProblemError(422, ProblemCode.UNREADABLE, where + parsed.remedy, field=parsed.field)
    ticket = await _accept(parsed, str(request.scope.get(CALLER, "")), service)
    longest = wait_of(request.headers.get("prefer", ""), timedelta(seconds=service.settings.wait_seconds))
    if longest <= timedelta(0):
        await ticket.admitted(timedelta(seconds=service.settings.wait_seconds))
    return answer_for(await ticket.result(longest), ticket)


async def _accept(parsed: Parsed, caller: str, service: Service) -> Ticket:
    entry = InboxEntry(
        id=uuid.uuid4().hex,
        received_at=service.ports.clock.now(),
        source=parsed.trigger.source.value,
        body=parsed.body,
        body_hash=digest(parsed.body),
        caller=caller,
    )
    try:
        return await service.dispatcher.submit(entry, parsed.trigger)
    except StoppingError:
        raise ProblemError(
            503,
            ProblemCode.STOPPING,
            "the service is shutting down; send it again",
            headers={"Retry-After": "5", "Connection": "close"},
        ) from None
    except LedgerError as error:
        raise ProblemError(
            503,
            ProblemCode.LEDGER_UNAVAILABLE,
            f"the request could not be made durable and was not accepted: {error}",
            headers={"Retry-After": "10"},
        ) from error


def wait_of(prefer: str, longest: timedelta) -> timedelta:
    """How long the caller lets us take, by RFC 7240: `respond-async` not at all, `wait=N` at most N seconds."""
    asked = _WAIT.search(prefer)
    if asked is not None:
        return min(longest, timedelta(seconds=int(asked[1])))
    return timedelta(0) if "respond-async" in prefer else longest


def answer_for(outcome: Outcome, ticket: Ticket) -> JSONResponse:
    """The answer to what came of it."""
    match outcome:
        case Ended(result=result):
            return JSONResponse(result.model_dump(mode="json"), headers=_address(result.incident_id))
        case Waits(waiting=waiting):
            document: JsonObject = {
                "status": "waiting",
                "incident_id": waiting.incident_id,
                "sentence": "A plan waits for a person's approval: " + "; ".join(waiting.reasons) + ".",
                "plan": waiting.plan.model_dump(mode="json"),
                "plan_hash": waiting.plan_hash,
                "expires_at": waiting.expires_at.isoformat(),
            }
            return JSONResponse(document, 202, headers=_address(waiting.incident_id))
        case Running(incident_id=incident_id):
            return JSONResponse(
                {
                    "status": "running",
                    "incident_id": incident_id,
                    "request_id": ticket.entry_id,
                    "sentence": "It was accepted and goes on; look at the incident for how it ends.",
                },
                202,
                headers=_address(incident_id) if incident_id is not None else None,
            )
        case Dropped(code=code, sentence=sentence):
            raise _refusal(code, sentence)
        case _:
            assert_never(outcome)


def _refusal(code: str, sentence: str) -> ProblemError:
    """Nothing came of it: the caller's error when the object is not there, ours when the cluster or the ledger is."""
    if code in {ReasonCode.TARGET_GONE.value, ProblemCode.TARGET_UNSUPPORTED.value}:
        return ProblemError(422, ReasonCode.TARGET_GONE, sentence, field="")
    if code == ReasonCode.LEDGER_UNAVAILABLE.value:
        return ProblemError(503, ProblemCode.LEDGER_UNAVAILABLE, sentence, headers={"Retry-After": "10"})
    known = code in {c.value for c in ReasonCode}
    return ProblemError(503, ReasonCode(code) if known else ProblemCode.INTERNAL, sentence)


def _address(incident_id: str) -> dict[str, str]:
    return {"Location": f"/incidents/{incident_id}"}
