"""The first schema: inbox, incidents, documents, actions, plans, locks, audit, approvals, good revisions, pauses.

Revision 0001, the beginning.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOTHING_BEFORE = "0" * 64
"""What the first audit entry names as the hash of its predecessor."""


def upgrade() -> None:
    """Make every table, and the one row of the audit chain."""
    _incidents()
    _inbox()
    _documents()
    _actions()
    _plans()
    _approvals()
    _audit()
    _small_tables()


def _number() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=optional)


def _time(name: str, *, optional: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", _number(), nullable=False, autoincrement=True)


def _incidents() -> None:
    op.create_table(
        "incidents",
        _seq(),
        _text("id"),
        _text("fingerprint"),
        _text("kind"),
        _text("namespace", optional=True),
        _text("name"),
        _text("target_uid"),
        _text("status"),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        _time("opened_at"),
        _time("updated_at"),
        _time("closed_at", optional=True),
        _text("document"),
        _text("result", optional=True),
        sa.PrimaryKeyConstraint("seq", name="pk_incidents"),
        sa.UniqueConstraint("id", name="uq_incidents_id"),
    )
    op.create_index("ix_incidents_target_uid_opened_at", "incidents", ["target_uid", "opened_at"])
    op.create_index(
        "uq_incidents_open_target",
        "incidents",
        ["target_uid"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        _seq(),
        _text("id"),
        _time("received_at"),
        _text("source"),
        _text("body"),
        _text("body_hash"),
        _text("caller"),
        _text("idempotency_key", optional=True),
        _text("state"),
        _text("incident_id", optional=True),
        _text("note"),
        sa.PrimaryKeyConstraint("seq", name="pk_inbox"),
        sa.UniqueConstraint("caller", "idempotency_key", name="uq_inbox_caller_idempotency_key"),
        sa.UniqueConstraint("id", name="uq_inbox_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_inbox_incident_id"),
    )
    op.create_index("ix_inbox_incident_id", "inbox", ["incident_id"])
    op.create_index("ix_inbox_state", "inbox", ["state"])


def _documents() -> None:
    op.create_table(
        "documents",
        _text("digest"),
        _text("kind"),
        _text("body"),
        _time("put_at"),
        sa.PrimaryKeyConstraint("digest", name="pk_documents"),
    )
    op.create_index("ix_documents_put_at", "documents", ["put_at"])


def _actions() -> None:
    op.create_table(
        "actions",
        _seq(),
        _text("action_id"),
        _text("incident_id"),
        _text("plan_id"),
        _text("owner_uid"),
        _time("created_at"),
        _text("intent"),
        _text("state"),
        _time("concluded_at", optional=True),
        _time("undone_at", optional=True),
        _text("code"),
        _text("note"),
        _text("audit_id", optional=True),
        sa.Column("verified", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_actions"),
        sa.UniqueConstraint("action_id", name="uq_actions_action_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_actions_incident_id"),
    )
    op.create_index("ix_actions_incident_id", "actions", ["incident_id"])
    op.create_index("ix_actions_owner_uid_created_at", "actions", ["owner_uid", "created_at"])
    op.create_index("ix_actions_plan_id", "actions", ["plan_id"])
    op.create_index("ix_actions_state", "actions", ["state"])


def _plans() -> None:
    op.create_table(
        "plans",
        _seq(),
        _text("plan_id"),
        _text("incident_id"),
        _text("owner_uid"),
        _text("owner"),
        _text("namespace"),
        _time("started_at"),
        sa.PrimaryKeyConstraint("seq", name="pk_plans"),
        sa.UniqueConstraint("plan_id", name="uq_plans_plan_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_plans_incident_id"),
    )
    op.create_index("ix_plans_incident_id", "plans", ["incident_id"])
    op.create_index("ix_plans_owner_uid_started_at", "plans", ["owner_uid", "started_at"])
    op.create_index("ix_plans_started_at", "plans", ["started_at"])


def _approvals() -> None:
    op.create_table(
        "approvals",
        _seq(),
        _text("incident_id"),
        _text("plan_hash"),
        _text("policy_hash"),
        _time("requested_at"),
        _time("expires_at"),
        _text("decision", optional=True),
        _text("decided_by"),
        _text("why"),
        _time("decided_at", optional=True),
        sa.PrimaryKeyConstraint("seq", name="pk_approvals"),
        sa.UniqueConstraint("incident_id", "plan_hash", name="uq_approvals_incident_id_plan_hash"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_approvals_incident_id"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", _number(), nullable=False, autoincrement=False),
        _text("incident_id", optional=True),
        _text("line"),
        _text("hash"),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_incident_id", "audit", ["incident_id"])
    chain = op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("base_seq", _number(), nullable=False),
        _text("base_hash"),
        sa.Column("head_seq", _number(), nullable=False),
        _text("head_hash"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_chain"),
    )
    start = {"id": 1, "base_seq": 0, "base_hash": NOTHING_BEFORE, "head_seq": 0, "head_hash": NOTHING_BEFORE}
    op.bulk_insert(chain, [start])


def _small_tables() -> None:
    op.create_table(
        "locks",
        _text("key"),
        _text("holder"),
        _time("taken_at"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("key", name="pk_locks"),
    )
    op.create_table(
        "good_revisions",
        _text("owner_uid"),
        _text("revision_hash"),
        _text("owner"),
        _time("confirmed_at"),
        sa.PrimaryKeyConstraint("owner_uid", "revision_hash", name="pk_good_revisions"),
    )
    op.create_table(
        "pauses",
        _text("namespace"),
        _time("until"),
        _text("paused_by"),
        _time("paused_at"),
        sa.PrimaryKeyConstraint("namespace", name="pk_pauses"),
    )
