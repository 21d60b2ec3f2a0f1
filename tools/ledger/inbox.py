"""Requests and signals as they came in, committed before anybody is told 2xx.

Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, or_, select, update

from tools.ledger.columns import utc
from tools.ledger.errors import Contradiction, KeyReused, NoSuchEntry
from tools.ledger.records import InboxEntry, InboxState
from tools.ledger.schema import INBOX
from tools.refs import IncidentId

_FIELDS = [INBOX.c[name] for name in InboxEntry.model_fields]


def accept(tx: Connection, entry: InboxEntry) -> InboxEntry:
    """See `Ledger.accept`."""
    same = INBOX.c.id == entry.id
    if entry.idempotency_key is not None:
        by_key = (INBOX.c.caller == entry.caller) & (INBOX.c.idempotency_key == entry.idempotency_key)
        same = or_(same, by_key)
    found = tx.execute(select(*_FIELDS).where(same)).mappings().first()
    if found is None:
        entry = entry.model_copy(update={"received_at": utc(entry.received_at)})
        tx.execute(insert(INBOX).values(entry.model_dump()))
        return entry
    stored = InboxEntry.model_validate(dict(found))
    if stored.body_hash != entry.body_hash:
        raise KeyReused(
            f"{entry.caller or 'the caller'} used the key {entry.idempotency_key or entry.id!r} before, "
            "with another body: send a new request under a new key"
        )
    return stored


def link(tx: Connection, inbox_id: str, incident_id: IncidentId) -> None:
    """See `Ledger.link`."""
    _leave_new(tx, inbox_id, InboxState.LINKED, incident_id, "")


def discard(tx: Connection, inbox_id: str, note: str) -> None:
    """See `Ledger.discard`."""
    _leave_new(tx, inbox_id, InboxState.DISCARDED, None, note)


def waiting(tx: Connection) -> list[InboxEntry]:
    """See `Ledger.waiting`."""
    rows = tx.execute(select(*_FIELDS).where(INBOX.c.state == InboxState.NEW).order_by(INBOX.c.seq)).mappings()
    return [InboxEntry.model_validate(dict(row)) for row in rows]


def _leave_new(tx: Connection, inbox_id: str, state: InboxState, incident_id: IncidentId | None, note: str) -> None:
    found = tx.execute(select(INBOX.c.state, INBOX.c.incident_id).where(INBOX.c.id == inbox_id)).one_or_none()
    if found is None:
        raise NoSuchEntry(f"no inbox entry {inbox_id}: accept it first")
    if found.state == state and found.incident_id == incident_id:
        return
    if found.state != InboxState.NEW:
        raise Contradiction(f"inbox entry {inbox_id} is {found.state} already: it is not made {state.value}")
    tx.execute(update(INBOX).where(INBOX.c.id == inbox_id).values(state=state, incident_id=incident_id, note=note))
