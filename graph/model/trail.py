"""Writes the record of each request to a model into the audit trail.

Neighbours: `session` makes the records; `graph.ports` connects this with the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tools.clock import Clock
from tools.ledger.records import AuditEntry
from tools.redact import excerpt
from tools.refs import IncidentId

if TYPE_CHECKING:
    from graph.model.session import Audit, ModelRecord

PHASE = "diagnosis"
PROBE = "probe"
MAX_SENTENCE = 2000


class Recorder(Protocol):
    """The part of the ledger that keeps the audit trail."""

    async def record(self, entry: AuditEntry) -> object:
        """Append one line."""
        ...


def trail(recorder: Recorder, clock: Clock) -> Audit:
    """An audit callback over the ledger.  What the ledger raises comes out: an account that cannot be kept stops us."""

    async def write(record: ModelRecord) -> None:
        came = "it answered" if record.outcome == "answered" else record.reason
        sentence = f"Asked the model {record.model} ({record.phase}, turn {record.turn}): {came}"
        await recorder.record(
            AuditEntry(
                at=clock.now(),
                incident_id=None if record.incident_id == PROBE else IncidentId(record.incident_id),
                phase=PHASE,
                actor=f"model:{record.model}",
                sentence=excerpt(sentence, MAX_SENTENCE),
                code="" if record.outcome == "answered" else record.outcome,
                data=record.model_dump(mode="json"),
            )
        )

    return write
