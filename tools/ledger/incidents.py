"""Incidents by their keys, and the documents they refer to by digest.

Functions over a transaction; `ledger` gives them theirs.  What a document says is the graph's affair.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from tools.jsontypes import JsonObject, digest
from tools.ledger.columns import utc
from tools.ledger.errors import Contradiction, NoSuchEntry
from tools.ledger.records import IncidentRecord
from tools.ledger.schema import DOCUMENTS, INCIDENTS
from tools.refs import IncidentId, ObjectRef

_REF = {"kind", "namespace", "name"}
_FIELDS = [column for column in INCIDENTS.c if column.name != "seq"]


def open_incident(tx: Connection, record: IncidentRecord) -> tuple[IncidentRecord, bool]:
    """See `Ledger.open_incident`."""
    if not record.is_open:
        raise ValueError(f"incident {record.id} is to be opened and says it is closed")
    by_target = INCIDENTS.c.is_open & (INCIDENTS.c.target_uid == record.target_uid)
    found = tx.execute(select(*_FIELDS).where(or_(INCIDENTS.c.id == record.id, by_target))).mappings().first()
    if found is not None:
        return _record(found), False
    values = record.model_dump(exclude={"target"}) | record.target.model_dump()
    tx.execute(insert(INCIDENTS).values(values))
    return _stored(tx, record.id), True


def save_incident(
    tx: Connection,
    id: IncidentId,
    *,
    status: str,
    is_open: bool,
    document: JsonObject,
    result: JsonObject | None,
    now: datetime,
) -> IncidentRecord:
    """See `Ledger.save_incident`."""
    before = _stored(tx, id)
    if is_open and not before.is_open:
        raise Contradiction(f"incident {id} is closed and stays so: open a new one")
    tx.execute(
        update(INCIDENTS)
        .where(INCIDENTS.c.id == id)
        .values(
            status=status,
            is_open=is_open,
            document=document,
            result=before.result if result is None else result,
            updated_at=now,
            closed_at=None if is_open else before.closed_at or now,
        )
    )
    return _stored(tx, id)


def incident(tx: Connection, id: IncidentId) -> IncidentRecord | None:
    """See `Ledger.incident`."""
    return next(iter(_where(tx, INCIDENTS.c.id == id)), None)


def incidents(
    tx: Connection,
    *,
    limit: int,
    namespace: str | None,
    status: str | None,
    open_only: bool,
    target: ObjectRef | None,
    before: IncidentId | None,
) -> list[IncidentRecord]:
    """See `Ledger.incidents`."""
    wanted: list[ColumnElement[bool]] = []
    if namespace is not None:
        wanted.append(INCIDENTS.c.namespace == namespace)
    if status is not None:
        wanted.append(INCIDENTS.c.status == status)
    if open_only:
        wanted.append(INCIDENTS.c.is_open)
    if target is not None:
        wanted += [INCIDENTS.c[part] == value for part, value in target.model_dump().items()]
    if before is not None:
        wanted.append(INCIDENTS.c.seq < _seq(tx, before))
    return _where(tx, *wanted, limit=limit)


def open_for(tx: Connection, target_uid: str) -> IncidentRecord | None:
    """See `Ledger.open_for`."""
    return next(iter(_where(tx, INCIDENTS.c.is_open, INCIDENTS.c.target_uid == target_uid)), None)


def recent(tx: Connection, target_uid: str, since: datetime) -> list[IncidentRecord]:
    """See `Ledger.recent`."""
    return _where(tx, INCIDENTS.c.target_uid == target_uid, INCIDENTS.c.opened_at >= utc(since))


def put_document(tx: Connection, kind: str, body: JsonObject, now: datetime) -> str:
    """See `Ledger.put_document`."""
    key = digest(body)
    put_at = tx.execute(select(DOCUMENTS.c.put_at).where(DOCUMENTS.c.digest == key)).scalar_one_or_none()
    if put_at is None:
        tx.execute(insert(DOCUMENTS).values(digest=key, kind=kind, body=body, put_at=now))
    elif put_at < now:
        tx.execute(update(DOCUMENTS).where(DOCUMENTS.c.digest == key).values(put_at=now))
    return key


def document(tx: Connection, key: str) -> JsonObject | None:
    """See `Ledger.document`."""
    return tx.execute(select(DOCUMENTS.c.body).where(DOCUMENTS.c.digest == key)).scalar_one_or_none()


def _where(tx: Connection, *wanted: ColumnElement[bool], limit: int | None = None) -> list[IncidentRecord]:
    query = select(*_FIELDS).where(*wanted).order_by(INCIDENTS.c.seq.desc()).limit(limit)
    return [_record(row) for row in tx.execute(query).mappings()]


def _stored(tx: Connection, id: IncidentId) -> IncidentRecord:
    found = incident(tx, id)
    if found is None:
        raise NoSuchEntry(f"no incident {id}: open it first")
    return found


def _seq(tx: Connection, id: IncidentId) -> int:
    found: int | None = tx.execute(select(INCIDENTS.c.seq).where(INCIDENTS.c.id == id)).scalar_one_or_none()
    if found is None:
        raise NoSuchEntry(f"no incident {id} to list before: begin again without it")
    return found


def _record(row: RowMapping) -> IncidentRecord:
    values = dict(row)
    ref = {part: values.pop(part) for part in _REF}
    return IncidentRecord.model_validate({**values, "target": ref})
