"""`POST /self-heal`: an Event, a reference or an Alertmanager payload in, the structured result out.

The order is the promise: authenticated (before this runs), read, counted, understood, committed to the inbox, and only
then answered.  What is answered when stands in `docs/api.md`, in one table; a test walks it row by row.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from graph.incident import FromReference, Source
from graph.plan import Executed, ExecutionResult, Status
from server.alerts import Alert, is_payload, read_payload
from server.auth.gate import caller_of
from server.body import read_json_bytes
from server.entries import note_of
from server.parse import Unreadable, parse_document, read_document
from server.problem import ProblemCode, ProblemError
from server.service import Service, service_of
from server.tickets import Dropped, Ended, Outcome, Running, StoppingError, Ticket, Waits
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, digest
from tools.ledger.errors import KeyReused, LedgerError
from tools.ledger.records import InboxEntry
from tools.refs import IncidentId

router = APIRouter()
_WAIT = re.compile(r"\bwait=(\d{1,6})\b")
_KEY = re.compile(r"[!-~]{1,255}")
_BROKE = frozenset({ReasonCode.UNKNOWN_OUTCOME, ReasonCode.API_UNAVAILABLE})
"""An escalation for one of these is a failure of the healing, whatever was written before."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, read: who asks, what, under which key, and whether the caller is over its rate."""

    caller: str
    body: JsonObject
    key: str | None
    wait_seconds: int | None


@router.post("/self-heal")
async def self_heal(request: Request) -> JSONResponse:
    """Heal what an Event or a reference names, and answer when it is done; take the alerts of a payload."""
    service = service_of(request)
    try:
        call = await _read(request, service)
        answer = await (_take_alerts(call, service) if is_payload(call.body) else _heal(request, call, service))
    except ProblemError as problem:
        service.metrics.answered(problem.status)
        raise
    service.metrics.answered(answer.status_code)
    return answer


async def _read(request: Request, service: Service) -> _Call:
    caller = caller_of(request)
    wait = service.rates.take(caller)
    body = read_document(await read_json_bytes(request))
    if isinstance(body, Unreadable):
        raise _unreadable(body)
    key = request.headers.get("idempotency-key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise ProblemError(
            422,
            ProblemCode.UNREADABLE,
            "Idempotency-Key: it is 1 to 255 visible ASCII characters, a new UUID for example",
            field="Idempotency-Key",
        )
    return _Call(caller, body, key, wait)


async def _heal(request: Request, call: _Call, service: Service) -> JSONResponse:
    if call.wait_seconds is not None:
        raise ProblemError(
            429,
            ProblemCode.TOO_MANY_REQUESTS,
            f"this caller may ask {service.settings.requests_per_minute:g} times a minute; "
            f"come again in {call.wait_seconds} s",
            headers={"Retry-After": str(call.wait_seconds)},
        )
    trigger = parse_document(call.body)
    if isinstance(trigger, Unreadable):
        raise _unreadable(trigger)
    ticket = await _submit(_entry(call, call.body, trigger.source, service), trigger, service)
    longest = wait_of(request.headers.get("prefer", ""), timedelta(seconds=service.settings.wait_seconds))
    if longest <= timedelta(0):
        await ticket.admitted(timedelta(seconds=service.settings.wait_seconds))
    outcome = await ticket.result(longest)
    if isinstance(outcome, Ended) and has_failed(outcome.result):
        raise await _failure(outcome.result, service)
    return answer_for(outcome, ticket)


async def _take_alerts(call: _Call, service: Service) -> JSONResponse:
    """Commit what the alerts are about, then answer 202: Alertmanager sends again whatever it is not told 2xx for.

    One row for each object, however many alerts name it.  When the ledger fails in the middle the answer is 503 and the
    whole payload comes again: what was committed already is found open, or looked at once more.
    """
    if call.wait_seconds is not None:
        raise ProblemError(
            503,
            ProblemCode.TOO_MANY_REQUESTS,
            f"this caller asks too often; come again in {call.wait_seconds} s",
            headers={"Retry-After": str(call.wait_seconds)},
        )
    alerts = read_payload(call.body)
    if isinstance(alerts, Unreadable):
        raise _unreadable(alerts)
    tickets: dict[str, Ticket] = {}
    answers: list[JsonValue] = [await _take_alert(alert, call, tickets, service) for alert in alerts]
    return JSONResponse({"status": "accepted", "alerts": answers}, 202)


async def _take_alert(alert: Alert, call: _Call, tickets: dict[str, Ticket], service: Service) -> JsonObject:
    answer: JsonObject = {"fingerprint": alert.fingerprint, "alertname": alert.name}
    if not alert.is_firing:
        return {**answer, "status": "resolved", "sentence": "A resolved alert opens nothing."}
    if alert.trigger is None:
        entry = _entry(call, alert.body, Source.ALERT, service)
        with _refusing():
            await service.ports.ledger.accept(entry)
            await service.ports.ledger.discard(entry.id, note_of(Dropped("UNREADABLE", alert.sentence)))
        return {**answer, "status": "unknown", "request_id": entry.id, "sentence": f"Not looked at: {alert.sentence}."}
    target = str(alert.trigger.ref)
    if target not in tickets:
        tickets[target] = await _submit(_entry(call, alert.body, Source.ALERT, service), alert.trigger, service)
    sentence = f"Accepted; {target} is looked at."
    return {
        **answer,
        "status": "accepted",
        "target": target,
        "request_id": tickets[target].entry_id,
        "sentence": sentence,
    }


def _entry(call: _Call, body: JsonObject, source: Source, service: Service) -> InboxEntry:
    return InboxEntry(
        id=uuid.uuid4().hex,
        received_at=service.ports.clock.now(),
        source=source.value,
        body=body,
        body_hash=digest(body),
        caller=call.caller,
        idempotency_key=call.key if source is not Source.ALERT else None,
    )


async def _submit(entry: InboxEntry, trigger: FromReference, service: Service) -> Ticket:
    with _refusing():
        return await service.dispatcher.submit(entry, trigger)


@contextlib.contextmanager
def _refusing() -> Generator[None]:
    """Turn what stands against accepting an entry into its answer."""
    try:
        yield
    except StoppingError:
        raise ProblemError(
            503,
            ProblemCode.STOPPING,
            "the service is shutting down; send it again",
            headers={"Retry-After": "5", "Connection": "close"},
        ) from None
    except KeyReused as error:
        raise ProblemError(409, ProblemCode.IDEMPOTENCY_KEY_REUSED, str(error)) from error
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


def has_failed(result: ExecutionResult) -> bool:
    """Whether the healing itself failed for good: it was acted on, or the run broke, and it is not healed; pure.

    An escalation before anything was written is no failure but an answer: a person is needed.
    """
    acted = result.undo is not None or any(isinstance(o, Executed) for o in result.outcomes)
    return result.status is Status.ESCALATED and (acted or result.resolution.code in _BROKE)


async def _failure(result: ExecutionResult, service: Service) -> ProblemError:
    """The answer to a healing that failed, with the whole account."""
    account = await service.account(IncidentId(result.incident_id))
    return ProblemError(
        500,
        ProblemCode.HEALING_FAILED,
        result.resolution.sentence,
        headers=_address(result.incident_id),
        incident_id=result.incident_id,
        reason=result.resolution.code.value if result.resolution.code is not None else None,
        account=account.model_dump(mode="json") if account is not None else None,
    )


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


def _unreadable(found: Unreadable) -> ProblemError:
    where = f"{found.field}: " if found.field else ""
    return ProblemError(422, ProblemCode.UNREADABLE, where + found.remedy, field=found.field)


def _address(incident_id: str) -> dict[str, str]:
    return {"Location": f"/incidents/{incident_id}"}
