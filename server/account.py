"""The account of an incident: everything somebody who was not there needs, in one document.

It is put together from what is durable (the incident's row, its actions, its audit trail), so that a service, a command
on the state folder and a person reading a year later see the same.  Pure; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from graph.incident import Incident, Reason, Signal
from graph.plan import Diagnosis, ExecutionResult, Plan, Status
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.ledger.records import ActionRecord, AuditEntry, IncidentRecord
from tools.refs import IncidentId, ObjectRef

if TYPE_CHECKING:
    # Not at run time: a command that only asks a service need not load the graph and the database.
    from graph.runner import Waiting
    from tools.ledger.ledger import Ledger

_CODES = frozenset(c.value for c in ReasonCode)


class View(BaseModel):
    """A document for readers outside."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IncidentLine(View):
    """One incident in a list."""

    id: str
    status: str
    is_open: bool
    target: ObjectRef
    family: str
    reason: str
    """The newest signal's reason code."""
    opened_at: datetime
    detected_at: datetime | None
    """When our watch had the update that confirmed it, or its grace ended; None when somebody asked for a look."""
    closed_at: datetime | None
    sentence: str
    """The last word, or what is going on."""


class Change(View):
    """One field that a step changes, by the server's own dry run."""

    path: str
    field: str
    """The path as people say it, with the container's name in place of its number where that is known."""
    before: JsonValue
    after: JsonValue


class StepView(View):
    """One step of the plan with its diff."""

    action: str
    target: ObjectRef
    arguments: JsonObject
    why: str
    changes: tuple[Change, ...]


class PlanView(View):
    """The plan: the newest, where several were made."""

    id: str
    hash: str
    steps: tuple[StepView, ...]
    safe_because: str


class ActionView(View):
    """One write: what was ordered and what came of it."""

    id: str
    tool: str
    target: ObjectRef
    arguments: JsonObject
    state: str
    intended_at: datetime
    concluded_at: datetime | None
    code: str
    note: str
    undoes: str | None
    api_audit_id: str | None
    """The API server's own id of the call, for its audit log."""


class Line(View):
    """One sentence of the timeline."""

    seq: int
    at: datetime
    phase: str
    actor: str
    sentence: str
    code: str


class AuditLine(Line):
    """A line of the audit trail with the incident it belongs to."""

    incident_id: str | None


class WhyNot(View):
    """One reason why something was not done."""

    code: str
    sentence: str
    at: datetime


class Question(View):
    """What a person is asked."""

    plan_hash: str
    reasons: tuple[str, ...]
    expires_at: datetime


class Times(View):
    """Seconds from the signal as our watch received it; None where it has not come to that."""

    signal_to_incident: float | None
    signal_to_first_write: float | None
    """The grace of a signal that had to stay for a while is in it; the next one is without."""
    detection_to_first_write: float | None
    """From the status update that confirmed the signal (or the end of its grace) to the first intent."""
    signal_to_recovered: float | None


class Account(View):
    """The whole story of one incident."""

    id: str
    status: str
    is_open: bool
    headline: str
    target: ObjectRef
    target_uid: str
    family: str
    source: str
    opened_at: datetime
    detected_at: datetime | None
    """When our watch had the update that confirmed it, or its grace ended; None when somebody asked for a look."""
    closed_at: datetime | None
    seconds: Times
    signals: tuple[Signal, ...]
    diagnosis: Diagnosis | None
    plan: PlanView | None
    question: Question | None
    actions: tuple[ActionView, ...]
    why_not: tuple[WhyNot, ...]
    timeline: tuple[Line, ...]
    result: ExecutionResult | None


def incident_line(record: IncidentRecord) -> IncidentLine:
    """The record as one line of a list."""
    incident = Incident.model_validate(record.document)
    newest = incident.signals[-1].reason.value if incident.signals else ""
    return IncidentLine(
        id=record.id,
        status=record.status,
        is_open=record.is_open,
        target=record.target,
        family=incident.family.value,
        reason=newest,
        opened_at=record.opened_at,
        detected_at=incident.detected_at,
        closed_at=record.closed_at,
        sentence=dig_str(record.result, "resolution", "sentence") or _going_on(record),
    )


def account_of(
    record: IncidentRecord,
    actions: Sequence[ActionRecord],
    audit: Sequence[AuditEntry],
    waiting: Waiting | None = None,
) -> Account:
    """The account, out of what the ledger holds; `waiting` is the open question when there is one."""
    incident = Incident.model_validate(record.document)
    result = ExecutionResult.model_validate(record.result) if record.result is not None else None
    plan = waiting.plan if waiting is not None else result.plan if result is not None else None
    diagnosis = plan.diagnosis if plan is not None else result.diagnosis if result is not None else None
    return Account(
        id=record.id,
        status=record.status,
        is_open=record.is_open,
        headline=result.resolution.sentence if result is not None else _going_on(record),
        target=record.target,
        target_uid=record.target_uid,
        family=incident.family.value,
        source=incident.source.value,
        opened_at=record.opened_at,
        detected_at=incident.detected_at,
        closed_at=record.closed_at,
        seconds=_times(incident, actions, result),
        signals=incident.signals,
        diagnosis=diagnosis,
        plan=_plan_view(plan, audit) if plan is not None else None,
        question=_question(waiting),
        actions=tuple(_action_view(a) for a in actions),
        why_not=_why_not(audit),
        timeline=tuple(line_of(e) for e in audit),
        result=result,
    )


def line_of(entry: AuditEntry) -> Line:
    """An audit entry as a line of the timeline."""
    return Line(
        seq=entry.seq, at=entry.at, phase=entry.phase, actor=entry.actor, sentence=entry.sentence, code=entry.code
    )


def audit_line_of(entry: AuditEntry) -> AuditLine:
    """An audit entry as a line of the whole trail."""
    return AuditLine(**line_of(entry).model_dump(), incident_id=entry.incident_id)


def seen_at(incident: Incident) -> datetime | None:
    """When our watch received what the incident was opened for; None when nobody but a caller saw something."""
    moments = [s.observed_at for s in incident.signals if s.reason is not Reason.REQUESTED]
    return min(moments) if moments else None


def _going_on(record: IncidentRecord) -> str:
    if record.status == Status.WAITING.value:
        return "A plan waits for a person's approval."
    return "Being worked on."


def _plan_view(plan: Plan, audit: Sequence[AuditEntry]) -> PlanView:
    diffs = _diffs(plan, audit)
    steps = [
        StepView(
            action=step.action.action,
            target=step.action.target,
            arguments=step.action.model_dump(mode="json", exclude={"action"}),
            why=step.why,
            changes=diffs.get(index, ()),
        )
        for index, step in enumerate(plan.steps)
    ]
    return PlanView(id=plan.id, hash=plan.hash, steps=tuple(steps), safe_because=plan.safe_because)


def _diffs(plan: Plan, audit: Sequence[AuditEntry]) -> dict[int, tuple[Change, ...]]:
    """The validator's newest dry run of each step of this very plan."""
    return {
        step: tuple(_change(row) for row in dig_list(entry.data, "diff"))
        for entry in audit
        if entry.phase == "plan" and "diff" in entry.data and entry.data.get("plan_id") == plan.id
        if (step := dig_int(entry.data, "step")) is not None
    }


def _change(row: JsonValue) -> Change:
    path = dig_str(row, "path")
    return Change(
        path=path, field=dig_str(row, "field") or path, before=dig(row, "before"), after=dig(row, "after")
    )  # fmt: skip


def _question(waiting: Waiting | None) -> Question | None:
    if waiting is None:
        return None
    return Question(plan_hash=waiting.plan_hash, reasons=waiting.reasons, expires_at=waiting.expires_at)


def _action_view(action: ActionRecord) -> ActionView:
    intent = action.intent
    return ActionView(
        id=intent.action_id,
        tool=intent.tool,
        target=intent.target,
        arguments=intent.arguments,
        state=action.state.value,
        intended_at=intent.created_at,
        concluded_at=action.concluded_at,
        code=action.code,
        note=action.note,
        undoes=intent.undoes,
        api_audit_id=action.audit_id,
    )


def _why_not(audit: Sequence[AuditEntry]) -> tuple[WhyNot, ...]:
    """Every refusal, with its own code and sentence: a rejected plan may hold several."""
    reasons: list[WhyNot] = []
    for entry in audit:
        refusals = dig_list(dig_object(entry.data, "verdict"), "refusals")
        if refusals:
            reasons += [WhyNot(code=dig_str(r, "code"), sentence=dig_str(r, "reason"), at=entry.at) for r in refusals]
        elif entry.code in _CODES and entry.phase != "close":
            reasons.append(WhyNot(code=entry.code, sentence=entry.sentence, at=entry.at))
    return tuple(reasons)


def _times(incident: Incident, actions: Sequence[ActionRecord], result: ExecutionResult | None) -> Times:
    seen = seen_at(incident)
    first = min((a.intent.created_at for a in actions), default=None)
    recovered = result.resolution.recovered_at if result is not None else None
    return Times(
        signal_to_incident=_between(seen, incident.opened_at),
        signal_to_first_write=_between(seen, first),
        detection_to_first_write=_between(incident.detected_at, first),
        signal_to_recovered=_between(seen, recovered),
    )


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 3) if start is not None and end is not None else None


async def newest_audit(ledger: Ledger, *, incident: str | None, after: int, limit: int) -> list[AuditLine]:
    """The newest lines of the trail after number `after`, oldest first; of one incident when asked."""
    if incident is not None:
        entries = await ledger.audit(incident_id=IncidentId(incident), since_seq=after, limit=limit)
    else:
        head = await ledger.audit_head()
        entries = await ledger.audit(since_seq=max(after, head.seq - limit), limit=limit)
    return [audit_line_of(e) for e in entries]
