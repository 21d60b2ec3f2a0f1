"""What the ledger keeps, as values.

Documents of the graph (incidents, evidence, plans, results) are opaque JSON here: the ledger sits below the graph and
knows only the keys it must search and count by.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tools.jsontypes import JsonObject
from tools.refs import ActionId, IncidentId, ObjectRef, PlanId


class Record(BaseModel):
    """A frozen row that accepts nothing it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InboxState(StrEnum):
    """Where an accepted request stands."""

    NEW = "new"
    """Durable, not yet looked at.  After a restart these are looked at first."""
    LINKED = "linked"
    """An incident works on it."""
    DISCARDED = "discarded"
    """Looked at, and no incident came of it; `note` says why."""


class InboxEntry(Record):
    """One accepted request or signal, exactly as it came.  It is committed before anybody is told 2xx."""

    id: str
    received_at: datetime
    source: str
    body: JsonObject
    body_hash: str
    caller: str = ""
    idempotency_key: str | None = None
    state: InboxState = InboxState.NEW
    incident_id: IncidentId | None = None
    note: str = ""


class IncidentRecord(Record):
    """An incident by its keys, with its document.  `status` is a word of `graph.plan.Status`."""

    id: IncidentId
    fingerprint: str
    target: ObjectRef
    target_uid: str
    status: str
    is_open: bool
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    document: JsonObject
    result: JsonObject | None = None


class ActionState(StrEnum):
    """What is known of one write."""

    INTENDED = "intended"
    """Durable before the call; the call may or may not have been made."""
    APPLIED = "applied"
    """The API server said yes, or reading back showed it."""
    NOT_APPLIED = "not_applied"
    """It did not happen: refused, failed before it left, or shown so by reading back."""
    UNKNOWN = "unknown"
    """It cannot be told."""
    UNDONE = "undone"
    """It was applied, and its inverse was applied afterwards."""


class Intent(Record):
    """One write, recorded before it is made.

    `request` is the exact call; `before` the situation it was decided on; `inverse` the recorded way back (None when a
    controller restores, or nothing can).  `undoes` names the action whose inverse this write is.
    """

    action_id: ActionId
    incident_id: IncidentId
    plan_id: PlanId
    plan_hash: str
    step: int = Field(ge=0)
    tool: str
    arguments: JsonObject
    target: ObjectRef
    target_uid: str
    owner_uid: str
    """Uid of the root owner the incident is about: cooldowns and budgets count by it."""
    owner: ObjectRef
    origin: str
    request: JsonObject
    before: JsonObject
    inverse: JsonObject | None
    undoes: ActionId | None = None
    created_at: datetime


class ActionRecord(Record):
    """An intent and what came of it."""

    intent: Intent
    state: ActionState
    concluded_at: datetime | None = None
    code: str = ""
    note: str = ""
    audit_id: str | None = None
    """The API server's own Audit-Id of the call, so that both logs can be joined."""
    verified: bool | None = None
    """Whether the plan it belonged to healed; None while that is open."""


class PlanStart(Record):
    """A plan at its first write: what budgets and cooldowns count."""

    plan_id: PlanId
    incident_id: IncidentId
    owner_uid: str
    owner: ObjectRef
    namespace: str
    started_at: datetime


class AuditEntry(Record):
    """One line of the audit trail: who, what, about which incident, with which result, and why.

    `phase` is one of: signal, evidence, diagnosis, plan, decision, approval, intent, outcome, verify, undo, revert,
    close, pause.
    """

    seq: int = 0
    """Given by the ledger; strictly rising."""
    at: datetime
    incident_id: IncidentId | None
    phase: str
    actor: str
    sentence: str = Field(max_length=2000)
    code: str = ""
    data: JsonObject


class GoodRevision(Record):
    """A revision of a workload that was seen healthy long enough: last known good."""

    owner_uid: str
    owner: ObjectRef
    revision_hash: str
    confirmed_at: datetime


class ObjectVersion(Record):
    """The content of one object as it was while a workload that uses it was verified healthy."""

    ref: ObjectRef
    digest: str
    """Of the manifest: what an action names the version by."""
    manifest: JsonObject
    """Normalised (see `tools.journal.compare.normal`); never of a Secret."""
    vouched_by: ObjectRef
    """The workload that was healthy."""
    first_confirmed_at: datetime
    confirmed_at: datetime


class Surroundings(Record):
    """What stood in the way of a workload and did not hurt it: its namespace's quotas, limits and network policies."""

    owner: ObjectRef
    present: tuple[str, ...]
    """Uids, sorted."""
    confirmed_at: datetime


class Approval(Record):
    """A question put to a person, and the answer.  It binds one plan under one policy and works once."""

    incident_id: IncidentId
    plan_hash: str
    policy_hash: str
    requested_at: datetime
    expires_at: datetime
    """From this moment on nobody can say yes any more."""
    decision: Literal["approved", "declined"] | None = None
    """None while nobody has answered; past `expires_at` that means no."""
    decided_by: str = ""
    why: str = ""
    decided_at: datetime | None = None


class Pause(Record):
    """Nothing is written in a namespace (`standing.EVERYWHERE`: in all of them) until then."""

    namespace: str
    until: datetime
    paused_by: str
    paused_at: datetime


class ChainHead(Record):
    """The newest audit entry's number and hash: kept outside, it proves later that nothing was cut off."""

    seq: int
    hash: str
