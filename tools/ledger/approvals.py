"""Questions to people and their answers: one per incident and plan, under one policy, once, before its end.

Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, insert, select, update

from tools.ledger.columns import utc
from tools.ledger.records import Approval
from tools.ledger.schema import APPROVALS
from tools.refs import IncidentId

_FIELDS = [APPROVALS.c[name] for name in Approval.model_fields]


def request(
    tx: Connection, incident_id: IncidentId, plan_hash: str, policy_hash: str, *, expires_at: datetime, now: datetime
) -> Approval:
    """See `Ledger.request_approval`."""
    this = (APPROVALS.c.incident_id == incident_id) & (APPROVALS.c.plan_hash == plan_hash)
    found = tx.execute(select(*_FIELDS).where(this)).mappings().one_or_none()
    if found is not None and found["policy_hash"] == policy_hash:
        return Approval.model_validate(dict(found))
    # An answer under another policy is void: the question is put anew.
    tx.execute(delete(APPROVALS).where(this))
    asked = Approval(
        incident_id=incident_id,
        plan_hash=plan_hash,
        policy_hash=policy_hash,
        requested_at=utc(now),
        expires_at=utc(expires_at),
    )
    tx.execute(insert(APPROVALS).values(asked.model_dump()))
    return asked


def decide(
    tx: Connection,
    incident_id: IncidentId,
    plan_hash: str,
    decision: Literal["approved", "declined"],
    *,
    by: str,
    why: str,
    now: datetime,
) -> bool:
    """See `Ledger.decide`."""
    waiting = (
        (APPROVALS.c.incident_id == incident_id)
        & (APPROVALS.c.plan_hash == plan_hash)
        & APPROVALS.c.decision.is_(None)
        & (APPROVALS.c.expires_at > utc(now))
    )
    answer = {"decision": decision, "decided_by": by, "why": why, "decided_at": utc(now)}
    return tx.execute(update(APPROVALS).where(waiting).values(answer)).rowcount > 0


def approval(tx: Connection, incident_id: IncidentId) -> Approval | None:
    """See `Ledger.approval`."""
    query = select(*_FIELDS).where(APPROVALS.c.incident_id == incident_id).order_by(APPROVALS.c.seq.desc()).limit(1)
    found = tx.execute(query).mappings().one_or_none()
    return None if found is None else Approval.model_validate(dict(found))
