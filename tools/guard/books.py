"""The door's book-keeping: intents, outcomes, locks and audit lines, with the words people read.

The rule: whatever the ledger raises, nothing was recorded, and that is `BooksClosed`.  Before a call it means that the
call is not made.  Audit lines name fields and never their values: a pod template may hold secrets.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from tools.clock import Clock
from tools.executors.base import Situation
from tools.executors.calls import Call
from tools.executors.inverse import AnyInverse
from tools.guard.intents import describe, life_of, remember
from tools.guard.orders import Order, Ready, undo_id_of
from tools.guard.ports import LedgerPort
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.wire import Committed
from tools.guard.world import Effect
from tools.jsontypes import JsonObject, JsonValue
from tools.ledger.records import ActionRecord, ActionState, AuditEntry, Intent, PlanStart
from tools.refs import ActionId, IncidentId

LOCK_TTL: Final = timedelta(minutes=2)
"""Longer than one act with all its retries; a crashed holder's incident takes its own lock again at once."""
_ACTOR: Final = "selfheal"

T = TypeVar("T")


class BooksClosed(Exception):
    """The ledger did not record or answer."""

    def refusal(self) -> Refused:
        """What the door answers when nothing was sent."""
        return Refused(
            code=ReasonCode.LEDGER_UNAVAILABLE,
            reason=f"The ledger cannot be used, so nothing was sent: {self}",
            check="ledger",
        )


class Books:
    """One ledger, with its failures in one shape."""

    def __init__(self, ledger: LedgerPort, clock: Clock) -> None:
        """Keep both."""
        self._ledger = ledger
        self._clock = clock

    async def find(self, action_id: ActionId) -> ActionRecord | None:
        """What is known of a write."""
        found = _untrusted(await _kept(self._ledger.action(action_id)))
        if found is None or isinstance(found, ActionRecord):
            return found
        raise BooksClosed("its answer about an action is not of the promised shape")

    async def lock(self, owner_uid: str, holder: IncidentId) -> bool:
        """Take the owner's lock for an incident; the same incident takes it again after a crash."""
        return await _kept(self._ledger.acquire(_key(owner_uid), holder, LOCK_TTL, self._clock.now())) is True

    async def unlock(self, owner_uid: str, holder: IncidentId) -> None:
        """Give the lock back; when that fails it ends by itself."""
        try:
            await _kept(self._ledger.release(_key(owner_uid), holder))
        except BooksClosed:
            return

    async def paused_until(self, namespace: str) -> datetime | None:
        """Until when an operator paused acting there; None when nobody did."""
        until = _untrusted(await _kept(self._ledger.paused_until(namespace, self._clock.now())))
        if until is None or (isinstance(until, datetime) and until.tzinfo is not None):
            return until
        raise BooksClosed("its answer about a pause is not of the promised shape")

    async def start_plan(self, order: Order) -> None:
        """Count the plan, at its first write."""
        plan = PlanStart(
            plan_id=order.plan_id,
            incident_id=order.incident_id,
            owner_uid=order.owner_uid,
            owner=order.owner,
            namespace=order.owner.namespace or "",
            started_at=self._clock.now(),
        )
        await _kept(self._ledger.start_plan(plan))

    async def intend(self, intent: Intent) -> Committed:
        """Commit an intent and say so in the audit trail.  What comes back is the proof the wire asks for."""
        recorded = _untrusted(await _kept(self._ledger.intend(intent)))
        if not isinstance(recorded, ActionRecord) or recorded.intent.action_id != intent.action_id:
            raise BooksClosed("its answer about an intent is not of the promised shape")
        if recorded.state is not ActionState.INTENDED:
            raise BooksClosed(f"action {intent.action_id} is recorded as {recorded.state.value}")
        await self._record(intent, "intent", f"About to {_sentence(intent)}.")
        return Committed(intent)

    async def conclude(
        self, intent: Intent, state: ActionState, sentence: str, *, code: str = "", audit_id: str | None = None
    ) -> None:
        """Say in the audit trail what became of a write, and commit it."""
        await self._record(intent, "undo" if intent.undoes else "outcome", sentence, code=code, audit_id=audit_id)
        now = self._clock.now()
        await _kept(
            self._ledger.conclude(intent.action_id, state, now=now, code=code, note=sentence[:1000], audit_id=audit_id)
        )

    async def mark_undone(self, action_id: ActionId) -> None:
        """Commit that nothing of an applied action stands any more."""
        await _kept(self._ledger.mark_undone(action_id, self._clock.now()))

    async def refused(self, order: Order, refused: Refused) -> None:
        """Say in the audit trail what was not done, and why."""
        data: JsonObject = {
            "action_id": order.action_id,
            "plan_id": order.plan_id,
            "step": order.step,
            "tool": order.action.tool,
            "target": str(order.action.target),
            "check": refused.check,
        }
        sentence = f"Did not {order.action.tool} {order.action.target}: {refused.reason}"
        await self._audit(order.incident_id, "decision", sentence, str(refused.code), data)

    async def _record(
        self, intent: Intent, phase: str, sentence: str, *, code: str = "", audit_id: str | None = None
    ) -> None:
        data: JsonObject = {
            "action_id": intent.action_id,
            "plan_id": intent.plan_id,
            "plan_hash": intent.plan_hash,
            "step": intent.step,
            "tool": intent.tool,
            "arguments": intent.arguments,
            "target": str(intent.target),
            "target_uid": intent.target_uid,
            "undoes": intent.undoes,
            "k8s_audit_id": audit_id,
        }
        await self._audit(intent.incident_id, phase, sentence, code, data)

    async def _audit(self, incident_id: IncidentId, phase: str, sentence: str, code: str, data: JsonObject) -> None:
        entry = AuditEntry(
            at=self._clock.now(),
            incident_id=incident_id,
            phase=phase,
            actor=_ACTOR,
            sentence=sentence[:2000],
            code=code,
            data=data,
        )
        await _kept(self._ledger.record(entry))

    def intent_to_act(self, order: Order, ready: Ready, effect: Effect, policy_hash: str) -> Intent:
        """The intent of an order that passed every check."""
        paths: list[JsonValue] = [change.path for change in effect.changes]
        before = remember(ready.situation, effect.result or None)
        return Intent(
            action_id=order.action_id,
            incident_id=order.incident_id,
            plan_id=order.plan_id,
            plan_hash=order.plan_hash,
            step=order.step,
            tool=order.action.tool,
            arguments=order.action.model_dump(mode="json"),
            target=order.action.target,
            target_uid=life_of(order.action.target, ready.situation.live),
            owner_uid=order.owner_uid,
            owner=order.owner,
            origin=order.origin,
            request=describe(ready.request),
            before={**before, "changes": paths, "policy_hash": policy_hash},
            inverse=None if ready.inverse is None else ready.inverse.model_dump(mode="json"),
            created_at=self._clock.now(),
        )

    def intent_to_undo(
        self, undone: Intent, inverse: AnyInverse, request: Call, live: JsonObject, result: JsonObject | None
    ) -> Intent:
        """The intent to take another one back."""
        return undone.model_copy(
            update={
                "action_id": undo_id_of(undone.action_id),
                "target_uid": life_of(inverse.target, live),
                "request": describe(request),
                "before": remember(Situation(live), result),
                "inverse": None,
                "undoes": undone.action_id,
                "created_at": self._clock.now(),
            }
        )


async def _kept(work: Awaitable[T]) -> T:
    try:
        return await work
    except Exception as error:
        raise BooksClosed(f"{type(error).__name__}: {error}") from error


def _untrusted(answer: object) -> object:
    """Forget the declared type: what a store answers is checked, not believed."""
    return answer


def _key(owner_uid: str) -> str:
    return f"owner/{owner_uid}"


def _sentence(intent: Intent) -> str:
    if intent.undoes is not None:
        return f"take back {intent.tool} on {intent.target}"
    return f"{intent.tool} {intent.target}"
