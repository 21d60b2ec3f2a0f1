"""The tables, as SQLAlchemy Core: the shape the code reads and writes.

The shape on disk is made by `migrations/`; a test holds the two together.  Portable between SQLite and PostgreSQL: only
types of `columns`, text, integers and booleans.  Columns that are searched or counted by stand alone, everything else
travels inside a document.  `seq` is the order in which rows were committed: there is one writer.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tools.ledger.columns import ROW_NUMBER, CanonicalJson, UtcTime

HEAD = "0002"
"""The newest revision in `migrations/versions`: what a store must stand at before it is used."""

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("fingerprint", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("namespace", Text),
    Column("name", Text, nullable=False),
    Column("target_uid", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("document", CanonicalJson, nullable=False),
    Column("result", CanonicalJson),
    Index("ix_incidents_target_uid_opened_at", "target_uid", "opened_at"),
    # At most one open incident per target, whoever races: the rule is the database's.
    Index(
        "uq_incidents_open_target",
        "target_uid",
        unique=True,
        sqlite_where=text("is_open"),
        postgresql_where=text("is_open"),
    ),
)

INBOX = Table(
    "inbox",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("received_at", UtcTime, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", CanonicalJson, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("state", Text, nullable=False, index=True),
    Column("incident_id", Text, ForeignKey(INCIDENTS.c.id), index=True),
    Column("note", Text, nullable=False),
    UniqueConstraint("caller", "idempotency_key"),
)

DOCUMENTS = Table(
    "documents",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", CanonicalJson, nullable=False),
    Column("put_at", UtcTime, nullable=False, index=True),
)

ACTIONS = Table(
    "actions",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True),
    Column("action_id", Text, nullable=False, unique=True),
    Column("incident_id", Text, ForeignKey(INCIDENTS.c.id), nullable=False, index=True),
    Column("plan_id", Text, nullable=False, index=True),
    Column("owner_uid", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("intent", CanonicalJson, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("concluded_at", UtcTime),
    Column("undone_at", UtcTime),
    Column("code", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("audit_id", Text),
    Column("verified", Boolean),
    Index("ix_actions_owner_uid_created_at", "owner_uid", "created_at"),
)

PLANS = Table(
    "plans",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True),
    Column("plan_id", Text, nullable=False, unique=True),
    Column("incident_id", Text, ForeignKey(INCIDENTS.c.id), nullable=False, index=True),
    Column("owner_uid", Text, nullable=False),
    Column("owner", CanonicalJson, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False, index=True),
    Index("ix_plans_owner_uid_started_at", "owner_uid", "started_at"),
)

LOCKS = Table(
    "locks",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("incident_id", Text, index=True),
    # The entry with its number and its predecessor's hash, as one canonical line: what is hashed is what is kept.
    Column("line", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

AUDIT_CHAIN = Table(
    "audit_chain",
    METADATA,
    # One row.  `base` is the last entry that was pruned away, `head` the newest: neither end can be cut unnoticed.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("base_seq", ROW_NUMBER, nullable=False),
    Column("base_hash", Text, nullable=False),
    Column("head_seq", ROW_NUMBER, nullable=False),
    Column("head_hash", Text, nullable=False),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True),
    Column("incident_id", Text, ForeignKey(INCIDENTS.c.id), nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("policy_hash", Text, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("decision", Text),
    Column("decided_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("decided_at", UtcTime),
    UniqueConstraint("incident_id", "plan_hash"),
)

GOOD_REVISIONS = Table(
    "good_revisions",
    METADATA,
    Column("owner_uid", Text, primary_key=True),
    Column("revision_hash", Text, primary_key=True),
    Column("owner", CanonicalJson, nullable=False),
    Column("confirmed_at", UtcTime, nullable=False),
)

PAUSES = Table(
    "pauses",
    METADATA,
    Column("namespace", Text, primary_key=True),
    Column("until", UtcTime, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("paused_at", UtcTime, nullable=False),
)

OBJECT_VERSIONS = Table(
    "object_versions",
    METADATA,
    Column("kind", Text, primary_key=True),
    # "" for cluster-scoped objects: a key has no null.
    Column("namespace", Text, primary_key=True, index=True),
    Column("name", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("manifest", CanonicalJson, nullable=False),
    Column("vouched_by", Text, nullable=False),
    Column("first_confirmed_at", UtcTime, nullable=False),
    Column("confirmed_at", UtcTime, nullable=False, index=True),
)

GOOD_SURROUNDINGS = Table(
    "good_surroundings",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("present", CanonicalJson, nullable=False),
    Column("confirmed_at", UtcTime, nullable=False, index=True),
)
