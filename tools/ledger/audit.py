"""The audit trail: append only, numbered without gaps, each entry sealed by the hash of the one before.

What is hashed is the stored line itself, so there is no second form in which an edit could hide.  `audit_chain` keeps
both ends: the last entry pruned away and the newest.  Whoever can rewrite the whole store can forge the whole chain;
only a head kept elsewhere (`Ledger.audit_head`) shows that.  Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from tools.jsontypes import JsonObject, canonical
from tools.ledger.columns import utc
from tools.ledger.errors import LedgerError
from tools.ledger.records import AuditEntry, ChainHead
from tools.ledger.schema import AUDIT, AUDIT_CHAIN, INCIDENTS

_CHUNK = 200
"""Entries read at a time: hashing them takes a few milliseconds of the event loop."""


class _Line(NamedTuple):
    seq: int
    incident_id: str | None
    line: str
    hash: str


class _Chain(NamedTuple):
    base_seq: int
    base_hash: str
    head_seq: int
    head_hash: str


def record(tx: Connection, entry: AuditEntry) -> int:
    """See `Ledger.record`."""
    chain = _chain(tx)
    if chain is None:
        raise LedgerError("the audit trail has lost its chain: somebody edited the store; run the audit verification")
    seq = chain.head_seq + 1
    entry = entry.model_copy(update={"seq": seq, "at": utc(entry.at)})
    body: JsonObject = {**entry.model_dump(mode="json"), "prev_hash": chain.head_hash}
    line = canonical(body).decode()
    sealed = _hash(line)
    tx.execute(insert(AUDIT).values(seq=seq, incident_id=entry.incident_id, line=line, hash=sealed))
    tx.execute(update(AUDIT_CHAIN).values(head_seq=seq, head_hash=sealed))
    return seq


def audit(tx: Connection, *, incident_id: str | None, since_seq: int, limit: int) -> list[AuditEntry]:
    """See `Ledger.audit`."""
    query = select(AUDIT.c.line).where(AUDIT.c.seq > since_seq).order_by(AUDIT.c.seq).limit(limit)
    if incident_id is not None:
        query = query.where(AUDIT.c.incident_id == incident_id)
    return [_entry(line) for line in tx.execute(query).scalars()]


def head(tx: Connection) -> ChainHead:
    """See `Ledger.audit_head`."""
    chain = _chain(tx)
    if chain is None:
        raise LedgerError("the audit trail has lost its chain: somebody edited the store; run the audit verification")
    return ChainHead(seq=chain.head_seq, hash=chain.head_hash)


def verify(tx: Connection) -> int | None:
    """See `Ledger.verify_audit`."""
    chain = _chain(tx)
    if chain is None:
        return 1
    seq, seal = chain.base_seq, chain.base_hash
    for row in _lines(tx):
        if row.seq != seq + 1:
            return min(row.seq, seq + 1)
        if not _is_sound(row, seal):
            return row.seq
        seq, seal = row.seq, row.hash
    if seq != chain.head_seq:
        return min(seq, chain.head_seq) + 1
    return None if seal == chain.head_hash else max(seq, 1)


def prune(tx: Connection, before: datetime) -> int:
    """Cut entries off the front while they are older than `before` and their incident is not kept; how many."""
    last: _Line | None = None
    kept = set(tx.execute(select(INCIDENTS.c.id)).scalars())
    for row in _lines(tx):
        if row.incident_id in kept or utc(_entry(row.line).at) >= utc(before):
            break
        last = row
    if last is None:
        return 0
    tx.execute(update(AUDIT_CHAIN).values(base_seq=last.seq, base_hash=last.hash))
    return tx.execute(delete(AUDIT).where(AUDIT.c.seq <= last.seq)).rowcount


def _lines(tx: Connection) -> Iterator[_Line]:
    """Every row in order, a chunk at a time."""
    wanted: list[ColumnElement[bool]] = []
    while True:
        query = select(AUDIT.c.seq, AUDIT.c.incident_id, AUDIT.c.line, AUDIT.c.hash)
        rows = tx.execute(query.where(*wanted).order_by(AUDIT.c.seq).limit(_CHUNK)).all()
        for row in rows:
            yield _Line(*row)
        if len(rows) < _CHUNK:
            return
        wanted = [AUDIT.c.seq > rows[-1].seq]


def _is_sound(row: _Line, seal_before: str) -> bool:
    """Whether the row is the line that was written, under its number, after its predecessor."""
    if _hash(str(row.line)) != row.hash:
        return False
    try:
        told: JsonObject = json.loads(row.line)
        found = (told["seq"], told["prev_hash"], told["incident_id"])
    except (ValueError, KeyError, TypeError):
        return False
    return found == (row.seq, seal_before, row.incident_id)


def _entry(line: str) -> AuditEntry:
    told: JsonObject = json.loads(line)
    return AuditEntry.model_validate({name: told[name] for name in AuditEntry.model_fields})


def _chain(tx: Connection) -> _Chain | None:
    ends = select(*(AUDIT_CHAIN.c[name] for name in _Chain._fields))
    found = tx.execute(ends).one_or_none()
    return None if found is None else _Chain(*found)


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
