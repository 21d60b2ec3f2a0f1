"""What is forgotten, and what never is: the one call that bounds the ledger's growth.

Never forgotten by age: open incidents, intents without an outcome, requests nobody has looked at, last known good
revisions (their owner's end is `Ledger.forget_owner`).  Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Select, delete, exists, func, select

from tools.ledger import audit
from tools.ledger.columns import utc
from tools.ledger.records import ActionState, InboxState
from tools.ledger.schema import (
    ACTIONS,
    APPROVALS,
    DOCUMENTS,
    GOOD_SURROUNDINGS,
    INBOX,
    INCIDENTS,
    LOCKS,
    OBJECT_VERSIONS,
    PAUSES,
    PLANS,
)


def prune(tx: Connection, before: datetime) -> dict[str, int]:
    """See `Ledger.prune`."""
    before = utc(before)
    gone: dict[str, int] = {}
    for table in (APPROVALS, PLANS, ACTIONS, INBOX):
        gone[table.name] = tx.execute(delete(table).where(table.c.incident_id.in_(_ended(before)))).rowcount
    gone[INCIDENTS.name] = tx.execute(delete(INCIDENTS).where(INCIDENTS.c.id.in_(_ended(before)))).rowcount
    discarded = (INBOX.c.state == InboxState.DISCARDED) & (INBOX.c.received_at < before)
    gone[INBOX.name] += tx.execute(delete(INBOX).where(discarded)).rowcount
    gone[DOCUMENTS.name] = tx.execute(delete(DOCUMENTS).where(DOCUMENTS.c.put_at < _oldest_kept(tx, before))).rowcount
    gone[LOCKS.name] = tx.execute(delete(LOCKS).where(LOCKS.c.expires_at < before)).rowcount
    gone[PAUSES.name] = tx.execute(delete(PAUSES).where(PAUSES.c.until < before)).rowcount
    for confirmed in (OBJECT_VERSIONS, GOOD_SURROUNDINGS):
        gone[confirmed.name] = tx.execute(delete(confirmed).where(confirmed.c.confirmed_at < before)).rowcount
    gone["audit"] = audit.prune(tx, before)
    return gone


def _ended(before: datetime) -> Select[tuple[str]]:
    """Incidents that closed before then with every write accounted for."""
    dangling = exists().where(ACTIONS.c.incident_id == INCIDENTS.c.id, ACTIONS.c.state == ActionState.INTENDED)
    return select(INCIDENTS.c.id).where(~INCIDENTS.c.is_open, INCIDENTS.c.closed_at < before, ~dangling)


def _oldest_kept(tx: Connection, before: datetime) -> datetime:
    """A kept incident may refer to any document put since it was opened."""
    oldest = tx.execute(select(func.min(INCIDENTS.c.opened_at))).scalar_one()
    return before if oldest is None else min(before, oldest)
