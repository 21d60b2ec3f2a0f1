"""What stands until it is changed: last known good revisions, and pauses.

Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from tools.ledger.columns import utc
from tools.ledger.records import GoodRevision, Pause
from tools.ledger.schema import GOOD_REVISIONS, PAUSES

KEPT_REVISIONS = 5
"""Confirmed revisions kept for each owner."""

EVERYWHERE = "*"
"""The namespace of a pause that holds in all of them."""

_FIELDS = [GOOD_REVISIONS.c[name] for name in GoodRevision.model_fields]
_PAUSE_FIELDS = [PAUSES.c[name] for name in Pause.model_fields]


def confirm_good(tx: Connection, good: GoodRevision) -> None:
    """See `Ledger.confirm_good`."""
    good = good.model_copy(update={"confirmed_at": utc(good.confirmed_at)})
    held = good_revisions(tx, good.owner_uid)
    this = next((one for one in held if one.revision_hash == good.revision_hash), None)
    if this is None:
        tx.execute(insert(GOOD_REVISIONS).values(good.model_dump()))
    elif this.confirmed_at < good.confirmed_at:
        tx.execute(update(GOOD_REVISIONS).where(_is(good)).values(confirmed_at=good.confirmed_at))
    for old in good_revisions(tx, good.owner_uid)[KEPT_REVISIONS:]:
        tx.execute(delete(GOOD_REVISIONS).where(_is(old)))


def good_revisions(tx: Connection, owner_uid: str) -> list[GoodRevision]:
    """See `Ledger.good_revisions`."""
    query = select(*_FIELDS).where(GOOD_REVISIONS.c.owner_uid == owner_uid)
    newest_first = query.order_by(GOOD_REVISIONS.c.confirmed_at.desc(), GOOD_REVISIONS.c.revision_hash)
    return [GoodRevision.model_validate(dict(row)) for row in tx.execute(newest_first).mappings()]


def forget_owner(tx: Connection, owner_uid: str) -> None:
    """See `Ledger.forget_owner`."""
    tx.execute(delete(GOOD_REVISIONS).where(GOOD_REVISIONS.c.owner_uid == owner_uid))


def pause(tx: Connection, namespace: str, until: datetime, by: str, now: datetime) -> None:
    """See `Ledger.pause`."""
    unpause(tx, namespace)
    tx.execute(insert(PAUSES).values(namespace=namespace, until=until, paused_by=by, paused_at=now))


def paused_until(tx: Connection, namespace: str, now: datetime) -> datetime | None:
    """See `Ledger.paused_until`."""
    here = PAUSES.c.namespace.in_((namespace, EVERYWHERE)) & (PAUSES.c.until > utc(now))
    ends: datetime | None = tx.execute(select(func.max(PAUSES.c.until)).where(here)).scalar_one()
    return ends


def pauses(tx: Connection, now: datetime) -> list[Pause]:
    """See `Ledger.pauses`."""
    query = select(*_PAUSE_FIELDS).where(PAUSES.c.until > utc(now)).order_by(PAUSES.c.namespace)
    return [Pause.model_validate(dict(row)) for row in tx.execute(query).mappings()]


def unpause(tx: Connection, namespace: str) -> None:
    """See `Ledger.unpause`."""
    tx.execute(delete(PAUSES).where(PAUSES.c.namespace == namespace))


def _is(good: GoodRevision) -> ColumnElement[bool]:
    return (GOOD_REVISIONS.c.owner_uid == good.owner_uid) & (GOOD_REVISIONS.c.revision_hash == good.revision_hash)
