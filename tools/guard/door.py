"""The only way to a write.

::

    assess   read the world, ask every check, show the server the exact bytes as a dry run.  Never writes.
    act      lock, look for an earlier try, assess anew, commit the intent, call once, commit the outcome.
    undo     the recorded inverse as a compare-and-swap, through the same intent, dry run and lock.

The rules: no call without a committed intent of the same id; no repetition of a call whose fate is not known (the
object is read back instead); every answer is a value.

Neighbours: `assess` checks, `undo` takes back, `books` keeps the ledger, `wire` holds the two calls that write.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from tools.clock import Clock
from tools.cluster.client import Blocked
from tools.cluster.resources import KNOWN
from tools.errors import Conflict, Denied, Invalid, NotAllowed, NotFound, Transient
from tools.executors.base import Applied, Executor, Mark
from tools.executors.calls import RemotePort
from tools.executors.inverse import Inverse
from tools.executors.rounds import RoundsExecutor
from tools.guard.assess import TRIES, Assessor, Backoff, Shown, again_if_passing
from tools.guard.books import Books, BooksClosed
from tools.guard.denials import denial, words
from tools.guard.intents import inverse_of, recall
from tools.guard.observe import RETRY_AFTER, FindResource, Observer
from tools.guard.orders import Acted, Again, Assessment, Next, Order, Outcome, Ready, Turn, Undoing, Unknown
from tools.guard.policy import Mode, Policy
from tools.guard.ports import ClusterPort, LedgerPort
from tools.guard.readback import ReadBack
from tools.guard.rounds import Rounds
from tools.guard.undo import Undoer
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.wire import Wire
from tools.guard.world import Missing, Unreadable
from tools.ledger.records import ActionRecord, ActionState, Intent
from tools.refs import ActionId, IncidentId

log = logging.getLogger(__name__)


class Door:
    """One cluster, one ledger, one policy, and the actions that are enabled."""

    def __init__(  # noqa: PLR0917 - six ports, each named at the one call
        self,
        cluster: ClusterPort,
        ledger: LedgerPort,
        policy: Policy,
        clock: Clock,
        executors: Mapping[str, Executor[Any]],
        protected_namespace: str | None,
        *,
        remotes: Mapping[str, RemotePort] | None = None,
        jitter: Callable[[], float] = random.random,
        find: FindResource = KNOWN.get,
    ) -> None:
        """Keep the ports.  `protected_namespace` is our own; `jitter` gives numbers from 0 to 1.

        `remotes` are the other systems that carry out actions, by the names their executors know them by; `find` gives
        the resource of a kind.
        """
        self._policy = policy
        self._executors = dict(executors)
        self._observer = Observer(cluster, ledger, find)
        self._books = Books(ledger, clock)
        self._wire = Wire(cluster, remotes)
        self._backoff = Backoff(clock, jitter)
        self._read_back = ReadBack(self._observer, clock)
        self._assessor = Assessor(
            observer=self._observer,
            wire=self._wire,
            policy=policy,
            clock=clock,
            executors=self._executors,
            own_namespace=protected_namespace,
            backoff=self._backoff,
        )
        self._rounds = Rounds(
            assessor=self._assessor, observer=self._observer, books=self._books, executors=self._executors
        )
        self._undoer = Undoer(
            observer=self._observer,
            wire=self._wire,
            books=self._books,
            clock=clock,
            executors=self._executors,
            backoff=self._backoff,
        )
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._counting = asyncio.Lock()

    @property
    def policy(self) -> Policy:
        """The policy every order is judged by."""
        return self._policy

    @property
    def enabled(self) -> tuple[str, ...]:
        """Names of the actions that can be ordered here."""
        return tuple(self._executors)

    async def assess(self, order: Order) -> Assessment:
        """Say whether `order` could be carried out now, in which mode, and what it would change.

        Nothing is written and no lock is taken.  A refusal with `retry_after_seconds` may turn into a yes.
        """
        executor = self._executors.get(order.action.tool)
        if isinstance(executor, RoundsExecutor):
            return await self._rounds.assess(order, executor)
        found = await self._assessor.assess(order)
        return found.ready if isinstance(found, Shown) else found

    async def next_round(self, order: Order) -> Next:
        """The order to give to `act` now: `order` itself, or the call that comes next of an action that takes several.

        Nothing is written.  Complete when all of them were made.  The round of the answer may be a later one than that
        of `order`: what was begun and came to nothing is not begun again.
        """
        executor = self._executors.get(order.action.tool)
        if not isinstance(executor, RoundsExecutor):
            return Turn(order)
        try:
            found = await self._rounds.next(order, executor)
            if isinstance(found, Refused):
                await self._books.refused(order, found)
        except BooksClosed as closed:
            return closed.refusal()
        return found

    async def act(self, order: Order) -> Outcome:
        """Carry out `order` at most once, however often and from wherever it is given.

        Refuses unless the mode is auto, or approve and the order is approved.  After Acted the write is in the cluster
        and in the ledger.  After Refused nothing was written.  After Again the same order may be given again.
        """
        async with self._turn(order.owner_uid):
            try:
                outcome = await self._locked(order)
                if isinstance(outcome, Refused):
                    await self._books.refused(order, outcome)
            except BooksClosed as closed:
                return closed.refusal()
            return outcome

    async def undo(self, action_id: ActionId, incident_id: IncidentId) -> Undoing:
        """Take back what the action changed, and nothing else.

        Exempt from mode, cooldown and budgets, not from an operator's pause.  A field that somebody changed after us is
        ROLLBACK_CONFLICT and nothing is written.  After Again the same may be asked again; safe to repeat.
        """
        try:
            found = await self._books.find(action_id)
            if found is None or found.intent.incident_id != incident_id:
                return _no("undo", ReasonCode.UNDO_IMPOSSIBLE, f"{action_id} is no action of incident {incident_id}.")
            owner_uid = found.intent.owner_uid
            async with self._turn(owner_uid):
                if not await self._books.lock(owner_uid, incident_id):
                    return Again(delay_seconds=10, error=f"another incident is acting on {found.intent.owner}")
                try:
                    return await self._undoer.undo(found)
                finally:
                    await self._books.unlock(owner_uid, incident_id)
        except BooksClosed as closed:
            return closed.refusal()

    async def check_postcondition(self, order: Order) -> Refused | None:
        """None when the order was carried out and what it promised still holds.  It does not say that this healed."""
        action, executor = order.action, self._executors.get(order.action.tool)
        if isinstance(executor, RoundsExecutor):
            return await self._rounds.postcondition(order, executor)
        try:
            found = await self._books.find(order.action_id)
        except BooksClosed as closed:
            return closed.refusal()
        if found is None or found.state is not ActionState.APPLIED or executor is None:
            return _no("post", ReasonCode.UNKNOWN_OUTCOME, f"{action.tool} {action.target} was not carried out.")
        if found.code == ReasonCode.REMOTE_FAILED:
            return _no("post", ReasonCode.REMOTE_FAILED, found.note)
        before = recall(found.intent.before)
        after = await self._observer.situation(self._assessor.world(order), executor)
        if isinstance(after, Missing):
            gone = executor.was_applied(action, before, None, Mark(order.action_id, order.incident_id))
            return None if gone is Applied.YES else _no("post", ReasonCode.TARGET_GONE, f"{action.target} is gone.")
        if isinstance(after, Unreadable):
            return _no("post", ReasonCode.INPUT_UNREADABLE, f"Could not read {action.target}: {after.reason}")
        inverse = inverse_of(found.intent)
        foreign = inverse.foreign(after.live) if isinstance(inverse, Inverse) else ()
        if foreign:
            return _no(
                "post", ReasonCode.VERIFY_FAILED, f"{action.target}: {', '.join(foreign)} is not as we wrote it."
            )
        return executor.postcondition(action, before, after)

    async def _locked(self, order: Order) -> Outcome:
        if not await self._books.lock(order.owner_uid, order.incident_id):
            reason = f"Another incident is acting on {order.owner}."
            return Refused(code=ReasonCode.LOCKED, reason=reason, check="lock", retry_after_seconds=10)
        try:
            return await self._carry_out(order)
        finally:
            await self._books.unlock(order.owner_uid, order.incident_id)

    async def _carry_out(self, order: Order) -> Outcome:
        if isinstance(self._executors.get(order.action.tool), RoundsExecutor):
            return _no("door", ReasonCode.PLAN_SCHEMA, f"{order.action.tool} takes several calls: order its rounds.")
        for _ in range(TRIES):
            previous = await self._books.find(order.action_id)
            if previous is not None:
                settled = await self._settle(order, previous)
                if settled is not None:
                    return settled
            found = await self._assessor.assess(order)
            if isinstance(found, Refused):
                return again_if_passing(found)
            refused = _mode_refusal(order, found.ready)
            if refused is not None:
                return refused
            if found.ready.is_early:
                reason = f"{order.action.target} is not ready for this; an earlier step of the plan comes first."
                is_there = self._executors[order.action.tool].creates
                return _no("door", ReasonCode.TARGET_EXISTS if is_there else ReasonCode.PLAN_SCHEMA, reason)
            outcome = await self._commit(order, found, previous)
            if outcome is not None:
                return outcome
            await self._backoff.wait()
        return Again(delay_seconds=RETRY_AFTER, error=f"{order.action.target} is being written by somebody else")

    async def _settle(self, order: Order, previous: ActionRecord) -> Outcome | None:
        """What an earlier try at this very step came to; None when it is certain that nothing happened."""
        action = order.action
        if previous.intent.arguments != action.model_dump(mode="json"):
            return _no("door", ReasonCode.PLAN_SCHEMA, f"Step {order.step + 1} of this plan was another action before.")
        match previous.state:
            case ActionState.APPLIED:
                return _acted(previous.intent, previous.note, previous.audit_id, resumed=True)
            case ActionState.UNDONE:
                return _no("door", ReasonCode.REPEAT, f"{action.tool} {action.target} was carried out and taken back.")
            case ActionState.NOT_APPLIED:
                return None
            case ActionState.INTENDED | ActionState.UNKNOWN:
                return await self._resolve(order, previous.intent)

    async def _resolve(self, order: Order, intent: Intent) -> Outcome | None:
        """Find out by reading whether a write happened whose answer is not known; None when it did not."""
        executor = self._executors.get(intent.tool)
        applied: Applied | Unreadable = Applied.UNKNOWN
        if executor is not None:
            applied = await self._read_back.of_action(executor, order.action, intent)
        match applied:
            case Unreadable():
                return Again(delay_seconds=applied.retry_after or RETRY_AFTER, error=applied.reason)
            case Applied.NO:
                return None
            case Applied.YES:
                sentence = f"Reading {intent.target} back showed that {intent.tool} had happened."
                return await self._applied(intent, sentence, None, resumed=True)
            case Applied.UNKNOWN:
                reason = f"It cannot be told whether {intent.tool} happened on {intent.target}; look at the object."
                refusal = _no("door", ReasonCode.UNKNOWN_OUTCOME, reason)
                await self._record(intent, ActionState.UNKNOWN, refusal)
                return Unknown(action_id=intent.action_id, refusal=refusal)

    async def _commit(self, order: Order, shown: Shown, previous: ActionRecord | None) -> Outcome | None:
        """Make it durable, call once, make the outcome durable.  None when somebody else wrote in between."""
        intent = self._books.intent_to_act(order, shown.ready, shown.effect, self._policy.hash)
        if previous is not None:
            if inverse_of(previous.intent) != shown.ready.inverse:
                reason = f"{order.action.target} is not as it was at the first try; plan again."
                return _no("door", ReasonCode.TARGET_CHANGED, reason)
            intent = previous.intent
        async with self._counting:  # two orders at once must not both take the last place in a budget
            refused = await self._assessor.budget(order)
            if refused is not None:
                return refused
            await self._books.start_plan(order)
        committed = await self._books.intend(intent)
        try:
            result = await self._wire.send(shown.ready.request, committed)
        except Exception as error:  # noqa: BLE001 - whatever it was, the write may have happened
            is_first = previous is None or previous.state is ActionState.NOT_APPLIED
            return await self._after_error(order, intent, error, is_first=is_first)
        said = f": {result.note}" if result.note else ""
        sentence = f"Did {intent.tool} {intent.target}{_changed(shown.ready)}{said}."
        code = ReasonCode.REMOTE_FAILED.value if result.has_failed else ""
        return await self._applied(intent, sentence, result.audit_id, code=code, resumed=False)

    async def _applied(
        self, intent: Intent, sentence: str, audit_id: str | None, *, resumed: bool, code: str = ""
    ) -> Outcome:
        """Commit that the write happened.  If that fails, the next try reads it back and commits it then."""
        try:
            await self._books.conclude(intent, ActionState.APPLIED, sentence, code=code, audit_id=audit_id)
        except BooksClosed as closed:
            return Again(delay_seconds=RETRY_AFTER, error=f"it happened but could not be recorded: {closed}")
        return _acted(intent, sentence, audit_id, resumed=resumed)

    async def _after_error(self, order: Order, intent: Intent, error: Exception, *, is_first: bool) -> Outcome | None:
        """The call did not answer with success.  None when somebody else wrote in between.

        A definite no is about this call alone: an earlier one of the same intent, whose answer was lost, may have
        arrived since, and then the object bears our mark.  Without such an earlier call nothing happened at all.
        """
        refusal = _refusal_of_call(intent, error)
        if refusal is None or not (is_first or isinstance(error, Blocked | NotAllowed)):
            settled = await self._resolve(order, intent)
            if settled is not None:
                return settled
        if refusal is None:
            delay = error.delay if isinstance(error, Transient) else None
            seconds = delay.total_seconds() if delay is not None else RETRY_AFTER
            return Again(delay_seconds=seconds, error=f"{type(error).__name__}: {error}")
        await self._record(intent, ActionState.NOT_APPLIED, refusal)
        return None if isinstance(error, Conflict) else refusal

    async def _record(self, intent: Intent, state: ActionState, refusal: Refused) -> None:
        """Commit what was found out; if that fails the intent stays open and the next try finds out the same."""
        try:
            await self._books.conclude(intent, state, refusal.reason, code=str(refusal.code))
        except BooksClosed:
            log.warning("door.outcome_not_recorded", extra={"action_id": intent.action_id})

    def _turn(self, owner_uid: str) -> asyncio.Lock:
        """One at a time on one owner in this process; the ledger's lock keeps other incidents away."""
        lock = self._turns.get(owner_uid)
        if lock is None:
            lock = self._turns[owner_uid] = asyncio.Lock()
        return lock


def _no(check: str, code: ReasonCode, reason: str) -> Refused:
    return Refused(code=code, reason=reason, check=check)


def _acted(intent: Intent, sentence: str, audit_id: str | None, *, resumed: bool) -> Acted:
    said = sentence or f"Did {intent.tool} {intent.target}."
    return Acted(action_id=intent.action_id, sentence=said, audit_id=audit_id, resumed=resumed)


def _mode_refusal(order: Order, ready: Ready) -> Refused | None:
    """Whether the mode lets this order through to a write."""
    match ready.mode:
        case Mode.AUTO:
            return None
        case Mode.APPROVE if order.approved:
            return None
        case Mode.APPROVE:
            why = " ".join(ready.approval_reasons) or "The policy says approve."
            return _no("mode", ReasonCode.APPROVAL_REQUIRED, f"A person must agree first. {why}")
        case Mode.OBSERVE:
            return _no("mode", ReasonCode.OBSERVE_ONLY, f"The policy says observe for {order.action.target}.")
        case Mode.OFF:
            return _no("mode", ReasonCode.MODE_OFF, f"The policy says hands off {order.action.target}.")


def _refusal_of_call(intent: Intent, error: Exception) -> Refused | None:
    """What the server's definite no means; None when its answer leaves it open."""
    what = f"{intent.tool} {intent.target}"
    match error:
        case Blocked(delay=delay):
            seconds = delay.total_seconds() if delay is not None else 10.0
            reason = f"{what}: a disruption budget does not allow it now. {words(error)}"
            return Refused(code=ReasonCode.PDB_BLOCKED, reason=reason, check="call", retry_after_seconds=seconds)
        case NotFound():
            return _no("call", ReasonCode.TARGET_GONE, f"{intent.target} was gone when the call came: {words(error)}")
        case Conflict():
            return _no(
                "call", ReasonCode.TARGET_CHANGED, f"{intent.target} was written by somebody else: {words(error)}"
            )
        case NotAllowed() | Denied() | Invalid():
            forbidden = ReasonCode.REMOTE_REFUSED if "port" in intent.request else ReasonCode.API_FORBIDDEN
            code, reason = denial(error, intent.target, forbidden)
            return _no("call", code, f"{what}: {reason}")
        case _:
            return None


def _changed(ready: Ready) -> str:
    """Which fields, without their values."""
    paths = [change.path for change in ready.diff]
    return (
        f" ({len(paths)} field(s) changed: {', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})" if paths else ""
    )
