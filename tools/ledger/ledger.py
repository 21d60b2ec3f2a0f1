"""The ledger: what this service has promised, done and decided, and the only way to it.

The rule: a method that changes something has committed it to disk when it returns.  A caller that is cancelled while it
waits does not know whether it was committed, but never leaves half of it.  Every method may raise
`tools.ledger.errors.LedgerError`; then nothing may be sent to a cluster.  Times are timezone-aware and come back in
UTC; a time without a zone is a ValueError.

Neighbours: `records` are the values; `inbox`, `incidents`, `actions`, `locks`, `audit`, `approvals`, `standing`,
`versions` and `pruning` hold the work of each method; `store` runs it; `opening` finds the database.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Self

from tools.jsontypes import JsonObject
from tools.ledger import actions, approvals, audit, inbox, incidents, locks, pruning, standing, versions
from tools.ledger.opening import open_store
from tools.ledger.records import (
    ActionRecord,
    ActionState,
    Approval,
    AuditEntry,
    ChainHead,
    GoodRevision,
    InboxEntry,
    IncidentRecord,
    Intent,
    ObjectVersion,
    Pause,
    PlanStart,
    Surroundings,
)
from tools.ledger.store import Store
from tools.refs import ActionId, IncidentId, ObjectRef, PlanId


class Ledger:
    """One open ledger.  Made by `open`, ended by `close` (or `async with`); used from one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    async def open(cls, url: str) -> Self:
        """The ledger at `url` (`sqlite+aiosqlite:///PATH`), made on the first time, at this program's schema.

        Raises `StoreCorrupt` for a damaged file (it is never replaced), `SchemaNewer` for one of a later version, and
        `LedgerError` when it cannot be reached.  Several processes may hold one ledger open.
        """
        return cls(await open_store(url))

    async def close(self) -> None:
        """Let what is being written be written, then let go.  Safe to repeat."""
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    # Inbox

    async def accept(self, entry: InboxEntry) -> InboxEntry:
        """Keep a request.  The same key from the same caller (or the same id) with the same body hash gives the stored
        entry, as it stands now; with another body hash `KeyReused` is raised.
        """
        return await self._store.write(inbox.accept, entry)

    async def link(self, inbox_id: str, incident_id: IncidentId) -> None:
        """An incident works on it.  Safe to repeat; `Contradiction` when the entry went another way before."""
        await self._store.write(inbox.link, inbox_id, incident_id)

    async def discard(self, inbox_id: str, note: str) -> None:
        """Nothing comes of it; `note` says why.  Safe to repeat; `Contradiction` when an incident has it."""
        await self._store.write(inbox.discard, inbox_id, note)

    async def waiting(self) -> list[InboxEntry]:
        """Entries nobody has looked at, oldest first."""
        return await self._store.read(inbox.waiting)

    # Incidents and documents

    async def open_incident(self, record: IncidentRecord) -> tuple[IncidentRecord, bool]:
        """Open it, unless its target has an open incident or its id exists: then that one, and False."""
        return await self._store.write(incidents.open_incident, record)

    async def save_incident(
        self,
        id: IncidentId,
        *,
        status: str,
        is_open: bool,
        document: JsonObject,
        result: JsonObject | None = None,
        now: datetime,
    ) -> IncidentRecord:
        """Replace what is known of it and return it as stored.  `result` None keeps the earlier one.

        It is closed at the first `now` that comes with `is_open` False; opening it again is a `Contradiction`.
        """
        return await self._store.write(
            incidents.save_incident, id, status=status, is_open=is_open, document=document, result=result, now=now
        )

    async def incident(self, id: IncidentId) -> IncidentRecord | None:
        """The incident, or None."""
        return await self._store.read(incidents.incident, id)

    async def incidents(
        self,
        *,
        limit: int = 100,
        namespace: str | None = None,
        status: str | None = None,
        open_only: bool = False,
        target: ObjectRef | None = None,
        before: IncidentId | None = None,
    ) -> list[IncidentRecord]:
        """Incidents, newest first.  For the next page, `before` is the last id of this one."""
        return await self._store.read(
            incidents.incidents,
            limit=limit,
            namespace=namespace,
            status=status,
            open_only=open_only,
            target=target,
            before=before,
        )

    async def open_for(self, target_uid: str) -> IncidentRecord | None:
        """The open incident of a target, or None."""
        return await self._store.read(incidents.open_for, target_uid)

    async def recent(self, target_uid: str, since: datetime) -> list[IncidentRecord]:
        """Incidents of a target opened at or after `since`, newest first."""
        return await self._store.read(incidents.recent, target_uid, since)

    async def put_document(self, kind: str, body: JsonObject, now: datetime) -> str:
        """Keep a document under the digest of its content, which is returned.  Safe to repeat."""
        return await self._store.write(incidents.put_document, kind, body, now)

    async def document(self, digest: str) -> JsonObject | None:
        """The document, or None when it was never put or is pruned."""
        return await self._store.read(incidents.document, digest)

    # Actions

    async def intend(self, intent: Intent) -> ActionRecord:
        """Record a write before it is made; make it only if the returned state is `intended`.

        Afterwards the intent is on disk.  The same id with the same content (`created_at` aside) changes nothing and
        shows what became of it, save that one which did not happen (`not_applied`) is intended again.  The same id
        with other content is a `Contradiction`.  Its incident must be open in this ledger or have been.
        """
        return await self._store.write(actions.intend, intent)

    async def conclude(
        self,
        action_id: ActionId,
        state: ActionState,
        *,
        now: datetime,
        code: str = "",
        note: str = "",
        audit_id: str | None = None,
    ) -> None:
        """Record what came of it: applied, not_applied or unknown; unknown may be cleared up later.

        The same state again changes nothing; a state that contradicts the recorded one is a `Contradiction`.
        """
        await self._store.write(actions.conclude, action_id, state, now=now, code=code, note=note, audit_id=audit_id)

    async def mark_verified(self, plan_id: PlanId, healed: bool) -> None:  # noqa: FBT001 - reads as it is said
        """Record on every action of a plan whether the plan healed."""
        await self._store.write(actions.mark_verified, plan_id, healed=healed)

    async def mark_undone(self, action_id: ActionId, now: datetime) -> None:
        """Record that the inverse of an applied action was applied.  Safe to repeat."""
        await self._store.write(actions.mark_undone, action_id, now)

    async def action(self, action_id: ActionId) -> ActionRecord | None:
        """The action, or None."""
        return await self._store.read(actions.action, action_id)

    async def actions_of(self, incident_id: IncidentId) -> list[ActionRecord]:
        """Actions of an incident in the order they were intended."""
        return await self._store.read(actions.actions_of, incident_id)

    async def actions_on(self, owner_uid: str, since: datetime) -> list[ActionRecord]:
        """Actions about an owner intended at or after `since`, oldest first."""
        return await self._store.read(actions.actions_on, owner_uid, since)

    async def unfinished(self) -> list[ActionRecord]:
        """Intents without an outcome, oldest first: read their objects back before anything else."""
        return await self._store.read(actions.unfinished)

    async def failed_attempts(self, incident_id: IncidentId) -> list[ActionRecord]:
        """Actions of an incident that were (or may have been) carried out and whose plan did not heal, no undos."""
        return await self._store.read(actions.failed_attempts, incident_id)

    async def latest_verdicts(self, limit: int = 10) -> list[bool]:
        """Whether the newest verified plans healed, newest first: what a circuit breaker looks at."""
        return await self._store.read(actions.latest_verdicts, limit)

    # Budgets

    async def start_plan(self, plan: PlanStart) -> None:
        """Count a plan, once: the same id again changes nothing, with another owner it is a `Contradiction`."""
        await self._store.write(actions.start_plan, plan)

    async def plans_since(self, since: datetime, *, owner_uid: str | None = None, namespace: str | None = None) -> int:
        """How many plans were started at or after `since`: everywhere, on an owner, in a namespace."""
        return await self._store.read(actions.plans_since, since, owner_uid=owner_uid, namespace=namespace)

    async def last_plan(self, owner_uid: str) -> PlanStart | None:
        """The newest plan on an owner, or None."""
        return await self._store.read(actions.last_plan, owner_uid)

    async def plans_of(self, owner_uid: str, *, since: datetime) -> list[PlanStart]:
        """The plans on an owner that were started at or after `since`, oldest first."""
        return await self._store.read(actions.plans_of, owner_uid, since)

    # Locks

    async def acquire(self, key: str, holder: str, ttl: timedelta, now: datetime) -> bool:
        """Hold `key` until `now + ttl`; False when somebody else holds it.  The holder may acquire again."""
        return await self._store.write(locks.acquire, key, holder, ttl, now)

    async def renew(self, key: str, holder: str, ttl: timedelta, now: datetime) -> bool:
        """Hold it until `now + ttl`; False when it had ended or is another's: acquire, and read the world again."""
        return await self._store.write(locks.renew, key, holder, ttl, now)

    async def release(self, key: str, holder: str) -> None:
        """Let go of `key` if `holder` holds it."""
        await self._store.write(locks.release, key, holder)

    async def holder_of(self, key: str, now: datetime) -> str | None:
        """Who holds `key` now, or None."""
        return await self._store.read(locks.holder_of, key, now)

    # Audit

    async def record(self, entry: AuditEntry) -> int:
        """Append an entry and return its number; the `seq` it came with is ignored.  Nothing is ever changed."""
        return await self._store.write(audit.record, entry)

    async def audit(
        self, *, incident_id: IncidentId | None = None, since_seq: int = 0, limit: int = 1000
    ) -> list[AuditEntry]:
        """Entries numbered above `since_seq`, oldest first."""
        return await self._store.read(audit.audit, incident_id=incident_id, since_seq=since_seq, limit=limit)

    async def verify_audit(self) -> int | None:
        """Number of the first entry that was edited, moved, cut out or cut off; None when the trail is whole."""
        return await self._store.read(audit.verify)

    async def audit_head(self) -> ChainHead:
        """The newest entry's number and hash, to be kept somewhere that an intruder here cannot reach."""
        return await self._store.read(audit.head)

    # Approvals

    async def request_approval(
        self, incident_id: IncidentId, plan_hash: str, policy_hash: str, expires_at: datetime, now: datetime
    ) -> Approval:
        """Put a question, or find it put: the same plan under the same policy keeps its answer and its end.

        Under another policy the earlier answer is void and the question is open again.
        """
        return await self._store.write(
            approvals.request, incident_id, plan_hash, policy_hash, expires_at=expires_at, now=now
        )

    async def decide(  # noqa: PLR0917 - the order a sentence has: this plan, yes or no, by whom, why, when
        self,
        incident_id: IncidentId,
        plan_hash: str,
        decision: Literal["approved", "declined"],
        by: str,
        why: str,
        now: datetime,
    ) -> bool:
        """Answer; True for the first answer before the end, False (and nothing changed) for any other."""
        return await self._store.write(approvals.decide, incident_id, plan_hash, decision, by=by, why=why, now=now)

    async def approval(self, incident_id: IncidentId) -> Approval | None:
        """The newest question about an incident with its answer, or None."""
        return await self._store.read(approvals.approval, incident_id)

    # Last known good, pauses

    async def confirm_good(self, good: GoodRevision) -> None:
        """Remember a revision as good; each owner keeps the five confirmed last."""
        await self._store.write(standing.confirm_good, good)

    async def good_revisions(self, owner_uid: str) -> list[GoodRevision]:
        """Good revisions of an owner, confirmed last first."""
        return await self._store.read(standing.good_revisions, owner_uid)

    async def forget_owner(self, owner_uid: str) -> None:
        """Forget the good revisions of an owner that is gone for good."""
        await self._store.write(standing.forget_owner, owner_uid)

    async def pause(self, namespace: str, until: datetime, by: str, now: datetime) -> None:
        """Stop acting in a namespace (`standing.EVERYWHERE`: in all) until then.  A later pause replaces it."""
        await self._store.write(standing.pause, namespace, until, by, now)

    async def paused_until(self, namespace: str, now: datetime) -> datetime | None:
        """When the pause that holds there now ends, pauses of everywhere included; None when none holds."""
        return await self._store.read(standing.paused_until, namespace, now)

    async def pauses(self, now: datetime) -> list[Pause]:
        """Pauses that hold now, by namespace."""
        return await self._store.read(standing.pauses, now)

    async def unpause(self, namespace: str) -> None:
        """Lift the pause of a namespace (`standing.EVERYWHERE`: the one of all, no single ones)."""
        await self._store.write(standing.unpause, namespace)

    # Versions of objects

    async def keep_version(self, version: ObjectVersion) -> bool:
        """Remember a version as good; True when it is a new one.  The same digest again only renews the time.

        Each object keeps the five confirmed last.
        """
        return await self._store.write(versions.keep_version, version)

    async def object_versions(self, ref: ObjectRef) -> list[ObjectVersion]:
        """Good versions of an object, confirmed last first."""
        return await self._store.read(versions.object_versions, ref)

    async def object_version(self, ref: ObjectRef, digest: str) -> ObjectVersion | None:
        """The version of this very object with that digest, or None."""
        return await self._store.read(versions.object_version, ref, digest)

    async def newest_versions(self) -> list[ObjectVersion]:
        """The good version confirmed last of every object."""
        return await self._store.read(versions.newest_versions)

    async def versions_in(self, namespace: str) -> list[ObjectVersion]:
        """Good versions of all objects of a namespace ("": of cluster-scoped ones), confirmed last first."""
        return await self._store.read(versions.versions_in, namespace)

    async def keep_surroundings(self, good: Surroundings) -> None:
        """Remember what stood beside a workload when it was well; replaces what was remembered of it."""
        await self._store.write(versions.keep_surroundings, good)

    async def surroundings(self, owner: ObjectRef) -> Surroundings | None:
        """What stood beside a workload when it was last well, or None."""
        return await self._store.read(versions.surroundings, owner)

    # Housekeeping

    async def prune(self, before: datetime) -> dict[str, int]:
        """Forget what ended before then; how many rows, by table.  Called daily, it bounds the ledger's growth.

        Goes: incidents closed before then whose writes are all accounted for, with their requests, plans, actions and
        approvals; discarded requests; ended locks and pauses; versions of objects that nobody confirmed since then;
        documents put before the oldest incident that stays (and before then); and the front of the audit trail up to
        the first entry that is younger or whose incident stays.  An idempotency key that is forgotten may be used anew.
        `before` must lie before every budget's window.
        """
        return await self._store.write(pruning.prune, before)
