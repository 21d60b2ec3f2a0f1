"""Rows of the inbox and of incidents, read again: what was asked, what became of it, how a broken run is closed.

Pure.  Neighbour: `server.dispatch`, which runs what these say.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from graph.incident import Family, FromReference, FromSignal, Incident, Source, Trigger
from graph.plan import ExecutionResult, Resolution
from server.alerts import read_alert
from server.parse import Unreadable, parse_document
from server.tickets import Dropped
from tools.ledger.records import InboxEntry, IncidentRecord

TRIGGERS: TypeAdapter[FromSignal | FromReference] = TypeAdapter(Trigger)
WATCHER_SOURCE = Source.WATCHER.value


def trigger_of(entry: InboxEntry) -> FromSignal | FromReference | Unreadable:
    """Read an entry of the inbox again, as it was read when it came."""
    if entry.source == Source.ALERT.value:
        alert = read_alert(entry.body)
        return alert.trigger or Unreadable("labels", alert.sentence)
    if entry.source != WATCHER_SOURCE:
        return parse_document(entry.body)
    try:
        return TRIGGERS.validate_python(entry.body)
    except ValidationError as error:
        return Unreadable("", f"a signal of another version of this program: {error.error_count()} fields differ")


def note_of(outcome: Dropped) -> str:
    """What an entry's row says of why nothing came of it."""
    return f"{outcome.code}: {outcome.sentence}"


def dropped_before(note: str) -> Dropped:
    """The reading of `note_of`; a note in another form is a sentence without a code of its own."""
    code, separator, sentence = note.partition(": ")
    known = bool(separator) and code.replace("_", "").isalnum() and code.isupper()
    return Dropped(code, sentence) if known else Dropped("INTERNAL", note)


def rebuild_trigger(record: IncidentRecord) -> FromSignal | FromReference:
    """What started an incident, out of its own record: for a run that was cut off before its first checkpoint."""
    incident = Incident.model_validate(record.document)
    newest = incident.signals[-1] if incident.signals else None
    if newest is None or newest.family is Family.REQUESTED:
        return FromReference(ref=incident.target, source=incident.source)
    return FromSignal(signal=newest, target=incident.target, target_uid=incident.target_uid)


def broken_result(record: IncidentRecord, resolution: Resolution) -> ExecutionResult:
    """The last word on a run that broke off; what it had decided is in the audit trail."""
    return ExecutionResult(
        incident_id=record.id,
        status=resolution.status,
        target=record.target,
        diagnosis=None,
        plan=None,
        outcomes=(),
        verification=None,
        undo=None,
        resolution=resolution,
        opened_at=record.opened_at,
        attempts=0,
    )
