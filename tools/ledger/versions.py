"""Versions of objects that were good, and what stood beside a workload when it was well.

A version is the content of one object, named by its digest; the same content again only renews the time.  The rule: the
five confirmed last are kept of each object, so that no churn of one object costs more than that.  Functions over a
transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from tools.ledger.columns import utc
from tools.ledger.records import ObjectVersion, Surroundings
from tools.ledger.schema import GOOD_SURROUNDINGS, OBJECT_VERSIONS
from tools.refs import ObjectRef

KEPT_VERSIONS = 5
"""Versions kept of each object."""


def keep_version(tx: Connection, version: ObjectVersion) -> bool:
    """See `Ledger.keep_version`."""
    at = utc(version.confirmed_at)
    this = _of(version.ref) & (OBJECT_VERSIONS.c.digest == version.digest)
    held = tx.execute(select(OBJECT_VERSIONS.c.confirmed_at).where(this)).scalar_one_or_none()
    if held is None:
        tx.execute(
            insert(OBJECT_VERSIONS).values(
                **_key(version.ref),
                digest=version.digest,
                manifest=version.manifest,
                vouched_by=str(version.vouched_by),
                first_confirmed_at=utc(version.first_confirmed_at),
                confirmed_at=at,
            )
        )
    elif held < at:
        renewed = update(OBJECT_VERSIONS).where(this).values(confirmed_at=at, vouched_by=str(version.vouched_by))
        tx.execute(renewed)
    for old in object_versions(tx, version.ref)[KEPT_VERSIONS:]:
        tx.execute(delete(OBJECT_VERSIONS).where(_of(old.ref) & (OBJECT_VERSIONS.c.digest == old.digest)))
    return held is None


def object_versions(tx: Connection, ref: ObjectRef) -> list[ObjectVersion]:
    """See `Ledger.object_versions`."""
    return _versions(tx, _of(ref))


def object_version(tx: Connection, ref: ObjectRef, digest: str) -> ObjectVersion | None:
    """See `Ledger.object_version`."""
    found = _versions(tx, _of(ref) & (OBJECT_VERSIONS.c.digest == digest))
    return found[0] if found else None


def versions_in(tx: Connection, namespace: str) -> list[ObjectVersion]:
    """See `Ledger.versions_in`."""
    return _versions(tx, OBJECT_VERSIONS.c.namespace == namespace)


def newest_versions(tx: Connection) -> list[ObjectVersion]:
    """See `Ledger.newest_versions`."""
    table, other = OBJECT_VERSIONS, OBJECT_VERSIONS.alias()
    same = (other.c.kind == table.c.kind) & (other.c.namespace == table.c.namespace) & (other.c.name == table.c.name)
    newest = select(func.max(other.c.confirmed_at)).where(same).scalar_subquery()
    found: dict[ObjectRef, ObjectVersion] = {}
    for version in _versions(tx, table.c.confirmed_at == newest):
        found.setdefault(version.ref, version)
    return list(found.values())


def keep_surroundings(tx: Connection, good: Surroundings) -> None:
    """See `Ledger.keep_surroundings`."""
    key = _key(good.owner)
    table = GOOD_SURROUNDINGS
    tx.execute(delete(table).where(*(table.c[name] == value for name, value in key.items())))
    tx.execute(insert(table).values(**key, present={"uids": [*good.present]}, confirmed_at=utc(good.confirmed_at)))


def surroundings(tx: Connection, owner: ObjectRef) -> Surroundings | None:
    """See `Ledger.surroundings`."""
    table = GOOD_SURROUNDINGS
    query = select(table.c.present, table.c.confirmed_at)
    found = tx.execute(query.where(*(table.c[n] == v for n, v in _key(owner).items()))).one_or_none()
    if found is None:
        return None
    return Surroundings.model_validate(
        {"owner": owner, "present": found.present["uids"], "confirmed_at": found.confirmed_at}
    )


def _versions(tx: Connection, where: ColumnElement[bool]) -> list[ObjectVersion]:
    table = OBJECT_VERSIONS
    query = select(table).where(where).order_by(table.c.confirmed_at.desc(), table.c.digest)
    return [
        ObjectVersion(
            ref=ObjectRef(kind=row["kind"], namespace=row["namespace"] or None, name=row["name"]),
            digest=row["digest"],
            manifest=row["manifest"],
            vouched_by=ObjectRef.parse(row["vouched_by"]),
            first_confirmed_at=row["first_confirmed_at"],
            confirmed_at=row["confirmed_at"],
        )
        for row in tx.execute(query).mappings()
    ]


def _key(ref: ObjectRef) -> dict[str, str]:
    return {"kind": ref.kind, "namespace": ref.namespace or "", "name": ref.name}


def _of(ref: ObjectRef) -> ColumnElement[bool]:
    table = OBJECT_VERSIONS
    return (table.c.kind == ref.kind) & (table.c.namespace == (ref.namespace or "")) & (table.c.name == ref.name)
