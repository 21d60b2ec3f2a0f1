"""Locks that survive a restart: one holder per key, always with an end.

A lock keeps two of our own incidents or processes apart; it does not fence a process that sleeps past its end.  The
fence is the precondition of each write.  Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from tools.ledger.columns import utc
from tools.ledger.schema import LOCKS


def acquire(tx: Connection, key: str, holder: str, ttl: timedelta, now: datetime) -> bool:
    """See `Ledger.acquire`."""
    ends = _end(ttl, now)
    found = tx.execute(select(LOCKS.c.holder, LOCKS.c.expires_at).where(LOCKS.c.key == key)).one_or_none()
    if found is None:
        tx.execute(insert(LOCKS).values(key=key, holder=holder, taken_at=now, expires_at=ends))
        return True
    is_live = found.expires_at > utc(now)
    if is_live and found.holder != holder:
        return False
    changes = {"expires_at": max(ends, found.expires_at)} if is_live else {"taken_at": now, "expires_at": ends}
    tx.execute(update(LOCKS).where(LOCKS.c.key == key).values(holder=holder, **changes))
    return True


def renew(tx: Connection, key: str, holder: str, ttl: timedelta, now: datetime) -> bool:
    """See `Ledger.renew`."""
    mine = (LOCKS.c.key == key) & (LOCKS.c.holder == holder) & (LOCKS.c.expires_at > utc(now))
    return tx.execute(update(LOCKS).where(mine).values(expires_at=_end(ttl, now))).rowcount > 0


def release(tx: Connection, key: str, holder: str) -> None:
    """See `Ledger.release`."""
    tx.execute(delete(LOCKS).where(LOCKS.c.key == key, LOCKS.c.holder == holder))


def holder_of(tx: Connection, key: str, now: datetime) -> str | None:
    """See `Ledger.holder_of`."""
    return tx.execute(
        select(LOCKS.c.holder).where(LOCKS.c.key == key, LOCKS.c.expires_at > utc(now))
    ).scalar_one_or_none()


def _end(ttl: timedelta, now: datetime) -> datetime:
    if ttl <= timedelta(0):
        raise ValueError(f"a lock must end after it began: {ttl} is not a time to live")
    return utc(now) + ttl
