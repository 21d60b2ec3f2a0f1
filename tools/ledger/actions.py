"""Writes before and after they are made, and the plans that budgets count.

The rule: an intent is durable before its call, its outcome after it, and neither is ever rewritten into another truth.
Functions over a transaction; `ledger` gives them theirs.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlalchemy.engine import RowMapping

from tools.ledger.columns import utc
from tools.ledger.errors import Contradiction, NoSuchEntry
from tools.ledger.records import ActionRecord, ActionState, Intent, PlanStart
from tools.ledger.schema import ACTIONS, PLANS
from tools.refs import ActionId, IncidentId, PlanId

_FIELDS = [ACTIONS.c[name] for name in ActionRecord.model_fields]
_PLAN_FIELDS = [PLANS.c[name] for name in PlanStart.model_fields]

_MAY_FOLLOW = {
    ActionState.INTENDED: {ActionState.APPLIED, ActionState.NOT_APPLIED, ActionState.UNKNOWN},
    ActionState.UNKNOWN: {ActionState.APPLIED, ActionState.NOT_APPLIED, ActionState.UNDONE},
    ActionState.APPLIED: {ActionState.UNDONE},
    ActionState.NOT_APPLIED: {ActionState.INTENDED},
    ActionState.UNDONE: set[ActionState](),
}
"""Which state may follow which.  UNKNOWN may be cleared up by reading the object back."""

_MADE = (ActionState.APPLIED, ActionState.UNKNOWN, ActionState.UNDONE)
"""States in which the call was, or may have been, carried out."""


def intend(tx: Connection, intent: Intent) -> ActionRecord:
    """See `Ledger.intend`."""
    intent = intent.model_copy(update={"created_at": utc(intent.created_at)})
    found = action(tx, intent.action_id)
    if found is None:
        tx.execute(
            insert(ACTIONS).values(
                **intent.model_dump(include={"action_id", "incident_id", "plan_id", "owner_uid", "created_at"}),
                intent=intent.model_dump(mode="json"),
                state=ActionState.INTENDED,
                code="",
                note="",
            )
        )
        return _stored(tx, intent.action_id)
    if found.intent.model_copy(update={"created_at": intent.created_at}) != intent:
        raise Contradiction(f"action {intent.action_id} was intended with other content: give the new one its own id")
    if found.state is ActionState.NOT_APPLIED:
        _move(tx, found, ActionState.INTENDED, concluded_at=None, code="", note="", audit_id=None)
        return _stored(tx, intent.action_id)
    return found


def conclude(
    tx: Connection,
    action_id: ActionId,
    state: ActionState,
    *,
    now: datetime,
    code: str,
    note: str,
    audit_id: str | None,
) -> None:
    """See `Ledger.conclude`."""
    if state in {ActionState.INTENDED, ActionState.UNDONE}:
        raise ValueError(f"an action is not concluded as {state.value}: use intend or mark_undone")
    found = _stored(tx, action_id)
    if found.state is not state:
        _move(tx, found, state, concluded_at=now, code=code, note=note, audit_id=audit_id)


def mark_undone(tx: Connection, action_id: ActionId, now: datetime) -> None:
    """See `Ledger.mark_undone`."""
    found = _stored(tx, action_id)
    if found.state is not ActionState.UNDONE:
        _move(tx, found, ActionState.UNDONE, undone_at=now)


def mark_verified(tx: Connection, plan_id: PlanId, *, healed: bool) -> None:
    """See `Ledger.mark_verified`."""
    tx.execute(update(ACTIONS).where(ACTIONS.c.plan_id == plan_id).values(verified=healed))


def action(tx: Connection, action_id: ActionId) -> ActionRecord | None:
    """See `Ledger.action`."""
    return next(iter(_where(tx, ACTIONS.c.action_id == action_id)), None)


def actions_of(tx: Connection, incident_id: IncidentId) -> list[ActionRecord]:
    """See `Ledger.actions_of`."""
    return _where(tx, ACTIONS.c.incident_id == incident_id)


def actions_on(tx: Connection, owner_uid: str, since: datetime) -> list[ActionRecord]:
    """See `Ledger.actions_on`."""
    return _where(tx, ACTIONS.c.owner_uid == owner_uid, ACTIONS.c.created_at >= utc(since))


def unfinished(tx: Connection) -> list[ActionRecord]:
    """See `Ledger.unfinished`."""
    return _where(tx, ACTIONS.c.state == ActionState.INTENDED)


def failed_attempts(tx: Connection, incident_id: IncidentId) -> list[ActionRecord]:
    """See `Ledger.failed_attempts`."""
    found = _where(tx, ACTIONS.c.incident_id == incident_id, ACTIONS.c.verified.is_(False), ACTIONS.c.state.in_(_MADE))
    return [one for one in found if one.intent.undoes is None]


def latest_verdicts(tx: Connection, limit: int) -> list[bool]:
    """See `Ledger.latest_verdicts`."""
    newest = func.max(ACTIONS.c.seq)
    query = (
        select(ACTIONS.c.verified)
        .where(ACTIONS.c.verified.is_not(None))
        .group_by(ACTIONS.c.plan_id, ACTIONS.c.verified)
        .order_by(newest.desc())
        .limit(limit)
    )
    return [bool(verified) for verified in tx.execute(query).scalars()]


def start_plan(tx: Connection, plan: PlanStart) -> None:
    """See `Ledger.start_plan`."""
    plan = plan.model_copy(update={"started_at": utc(plan.started_at)})
    found = tx.execute(select(*_PLAN_FIELDS).where(PLANS.c.plan_id == plan.plan_id)).mappings().one_or_none()
    if found is None:
        tx.execute(insert(PLANS).values(plan.model_dump()))
    elif _plan(found).model_copy(update={"started_at": plan.started_at}) != plan:
        raise Contradiction(f"plan {plan.plan_id} was started on something else: give the new one its own id")


def plans_since(tx: Connection, since: datetime, *, owner_uid: str | None, namespace: str | None) -> int:
    """See `Ledger.plans_since`."""
    query = select(func.count()).select_from(PLANS).where(PLANS.c.started_at >= utc(since))
    if owner_uid is not None:
        query = query.where(PLANS.c.owner_uid == owner_uid)
    if namespace is not None:
        query = query.where(PLANS.c.namespace == namespace)
    return tx.execute(query).scalar_one()


def last_plan(tx: Connection, owner_uid: str) -> PlanStart | None:
    """See `Ledger.last_plan`."""
    query = select(*_PLAN_FIELDS).where(PLANS.c.owner_uid == owner_uid)
    newest_first = query.order_by(PLANS.c.started_at.desc(), PLANS.c.seq.desc()).limit(1)
    found = tx.execute(newest_first).mappings().one_or_none()
    return None if found is None else _plan(found)


def plans_of(tx: Connection, owner_uid: str, since: datetime) -> list[PlanStart]:
    """See `Ledger.plans_of`."""
    query = select(*_PLAN_FIELDS).where(PLANS.c.owner_uid == owner_uid, PLANS.c.started_at >= utc(since))
    rows = tx.execute(query.order_by(PLANS.c.started_at, PLANS.c.seq)).mappings()
    return [_plan(row) for row in rows]


def _move(tx: Connection, found: ActionRecord, state: ActionState, **changes: datetime | str | None) -> None:
    if state not in _MAY_FOLLOW[found.state]:
        raise Contradiction(f"action {found.intent.action_id} is {found.state.value}: it cannot become {state.value}")
    tx.execute(update(ACTIONS).where(ACTIONS.c.action_id == found.intent.action_id).values({"state": state, **changes}))


def _where(tx: Connection, *wanted: ColumnElement[bool]) -> list[ActionRecord]:
    rows = tx.execute(select(*_FIELDS).where(*wanted).order_by(ACTIONS.c.seq)).mappings()
    return [ActionRecord.model_validate(dict(row)) for row in rows]


def _stored(tx: Connection, action_id: ActionId) -> ActionRecord:
    found = action(tx, action_id)
    if found is None:
        raise NoSuchEntry(f"no action {action_id}: record its intent first")
    return found


def _plan(row: RowMapping) -> PlanStart:
    return PlanStart.model_validate(dict(row))
