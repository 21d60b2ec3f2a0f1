"""The cluster and the ledger as the guard needs them: just these methods.

`tools.cluster.client.Cluster` and `tools.ledger.ledger.Ledger` fulfil them; tests bring recording ones.
The rule: only `tools.guard.door` calls `ClusterPort.write`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from tools.cluster.client import AccessQuestion, WriteResult
from tools.cluster.resources import WriteRequest
from tools.executors.base import Reader
from tools.ledger.records import ActionRecord, ActionState, AuditEntry, Intent, PlanStart
from tools.refs import ActionId, IncidentId


class ClusterPort(Reader, Protocol):
    """Reading, asking for permission, writing.  All raise `ToolError` and nothing else."""

    async def write(self, request: WriteRequest, *, dry_run: bool) -> WriteResult:
        """Send one mutating call."""
        ...

    async def can_i(self, review: AccessQuestion, /) -> bool:
        """Ask the server whether our identity may do this."""
        ...


class LedgerPort(Protocol):
    """Intents, outcomes, budgets, locks, pauses, audit.  Whatever it raises means that nothing was recorded or read."""

    async def intend(self, intent: Intent) -> ActionRecord:
        """Commit an intent; idempotent for the same content."""
        ...

    async def conclude(
        self, action_id: ActionId, state: ActionState, *, now: datetime, code: str, note: str, audit_id: str | None
    ) -> None:
        """Commit what became of an intent."""
        ...

    async def mark_undone(self, action_id: ActionId, now: datetime) -> None:
        """Commit that the inverse of an applied action was applied."""
        ...

    async def action(self, action_id: ActionId) -> ActionRecord | None:
        """One intent and what became of it."""
        ...

    async def actions_of(self, incident_id: IncidentId) -> list[ActionRecord]:
        """All intents of an incident, oldest first."""
        ...

    async def start_plan(self, plan: PlanStart) -> None:
        """Count a plan at its first write; idempotent by plan id."""
        ...

    async def plans_since(self, since: datetime, *, owner_uid: str | None = None, namespace: str | None = None) -> int:
        """How many plans started since then."""
        ...

    async def last_plan(self, owner_uid: str) -> PlanStart | None:
        """The newest plan about this owner."""
        ...

    async def plans_of(self, owner_uid: str, *, since: datetime) -> list[PlanStart]:
        """The plans about this owner since then, oldest first."""
        ...

    async def acquire(self, key: str, holder: str, ttl: timedelta, now: datetime) -> bool:
        """Take or renew a lock; False when another holder has it."""
        ...

    async def release(self, key: str, holder: str) -> None:
        """Give a lock back; nothing happens when `holder` does not have it."""
        ...

    async def paused_until(self, namespace: str, now: datetime) -> datetime | None:
        """Until when an operator paused acting in this namespace, or everywhere; None when nobody did."""
        ...

    async def record(self, entry: AuditEntry) -> object:
        """Append one line to the audit trail."""
        ...
