"""Taking one action back: the recorded inverse as a compare-and-swap, with its own intent, dry run and audit lines.

The rule: only what we wrote is restored, and only while it still stands as we wrote it.  Every try begins with a read,
so a crash or a lost answer in the middle is found and never repeated blindly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from tools.clock import Clock
from tools.cluster.resources import WriteRequest
from tools.errors import Conflict, NotFound, ToolError, Transient
from tools.executors.base import Applied, InverseKind, Mark
from tools.executors.calls import Call
from tools.executors.inverse import AnyInverse
from tools.executors.remote import RemoteExecutor, RemoteInverse, Stands
from tools.guard.aftermath import Finding, Standing, account_of, beyond, find_out, of_remote, request_of
from tools.guard.assess import TRIES, Backoff
from tools.guard.books import Books
from tools.guard.denials import denial, words
from tools.guard.intents import inverse_of
from tools.guard.observe import RETRY_AFTER, Observer
from tools.guard.orders import Again, Undoing, UndoneBy, undo_id_of
from tools.guard.readback import ReadBack
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.wire import Wire
from tools.guard.world import AnyExecutor, Missing, Unreadable
from tools.jsontypes import JsonObject, dig_str
from tools.ledger.records import ActionRecord, ActionState, Intent
from tools.refs import ObjectRef

_OPEN: Final = frozenset({ActionState.INTENDED, ActionState.UNKNOWN})


class Undoer:
    """Undoes actions of one cluster.  The caller holds the owner's lock."""

    def __init__(
        self,
        *,
        observer: Observer,
        wire: Wire,
        books: Books,
        clock: Clock,
        executors: Mapping[str, AnyExecutor],
        backoff: Backoff,
    ) -> None:
        """Keep the parts."""
        self._observer = observer
        self._wire = wire
        self._books = books
        self._clock = clock
        self._executors = executors
        self._backoff = backoff
        self._read_back = ReadBack(observer, clock)

    async def undo(self, found: ActionRecord) -> Undoing:
        """See `Door.undo`.  Raises BooksClosed."""
        state = await self._settled_state(found)
        if isinstance(state, Again):
            return state
        intent = found.intent
        match state:
            case ActionState.UNDONE:
                return UndoneBy(by="inverse", sentence=f"{intent.tool} was taken back before.", resumed=True)
            case ActionState.NOT_APPLIED:
                return UndoneBy(by="nothing", sentence=f"{intent.tool} on {intent.target} never happened.")
            case ActionState.INTENDED | ActionState.UNKNOWN:
                return no(ReasonCode.UNKNOWN_OUTCOME, f"It cannot be told whether {intent.tool} happened.")
            case ActionState.APPLIED:
                return await self._undo_applied(intent)

    async def _settled_state(self, found: ActionRecord) -> ActionState | Again:
        """Before taking something back: whether it happened at all."""
        executor = self._executors.get(found.intent.tool)
        if found.state not in _OPEN or executor is None:
            return found.state
        try:
            action = executor.action_type.model_validate(found.intent.arguments)
        except ValidationError:
            return found.state
        applied = await self._read_back.of_action(executor, action, found.intent)
        if isinstance(applied, Unreadable):
            return Again(delay_seconds=applied.retry_after or RETRY_AFTER, error=applied.reason)
        if applied is Applied.UNKNOWN:
            return found.state
        state = ActionState.APPLIED if applied is Applied.YES else ActionState.NOT_APPLIED
        sentence = f"Reading {found.intent.target} back showed {found.intent.tool} as {state.value}."
        await self._books.conclude(found.intent, state, sentence)
        return state

    async def _undo_applied(self, intent: Intent) -> Undoing:
        inverse = inverse_of(intent)
        if inverse is None:
            return await self._without_inverse(intent)
        if isinstance(inverse, RemoteInverse) and inverse.call is None:
            await self._books.mark_undone(intent.action_id)
            return UndoneBy(by="controller", sentence=f"There is nothing to take back: {inverse.sentence}.")
        for _ in range(TRIES):
            outcome = await self._once(intent, inverse)
            if outcome is not None:
                return outcome
            await self._backoff.wait()
        return Again(delay_seconds=RETRY_AFTER, error=f"{intent.target} is being written by somebody else")

    async def _without_inverse(self, intent: Intent) -> Undoing:
        executor = self._executors.get(intent.tool)
        if executor is None or executor.inverse_kind is not InverseKind.BY_CONTROLLER:
            return no(ReasonCode.UNDO_IMPOSSIBLE, f"{intent.tool} on {intent.target} has no recorded inverse.")
        await self._books.mark_undone(intent.action_id)
        sentence = f"There is nothing to take back: a controller restores by itself what {intent.tool} did."
        return UndoneBy(by="controller", sentence=sentence)

    async def _once(self, intent: Intent, inverse: AnyInverse) -> Undoing | None:
        """One try; None when somebody else wrote in between."""
        found = await self._observer.live(intent.target)
        if isinstance(found, Unreadable):
            if found.retry_after is not None:
                return Again(delay_seconds=found.retry_after, error=found.reason)
            return no(ReasonCode.INPUT_UNREADABLE, f"Could not read {intent.target}: {found.reason}")
        live: JsonObject = {} if isinstance(found, Missing) else found
        undo_id = undo_id_of(intent.action_id)
        earlier = await self._books.find(undo_id)
        finding = self._finding(intent, inverse, live, earlier)
        if isinstance(finding, Refused | Again):
            return finding
        if finding is Standing.UNDONE:
            return await self._already_undone(intent, earlier)
        return await self._take_back(intent, inverse, live, earlier)

    def _finding(self, intent: Intent, inverse: AnyInverse, live: JsonObject, earlier: ActionRecord | None) -> Finding:
        undo_id = undo_id_of(intent.action_id)
        if not isinstance(inverse, RemoteInverse):
            return find_out(inverse, live, undo_id)
        executor = self._executors.get(intent.tool)
        if not isinstance(executor, RemoteExecutor):
            return no(ReasonCode.UNDO_IMPOSSIBLE, f"{intent.tool} is not enabled, and only it knows the way back.")
        was_tried = earlier is not None and earlier.state in _OPEN
        stands: Stands = executor.stands(inverse, live, undo_id, was_tried=was_tried)
        return of_remote(inverse, stands)

    async def _take_back(
        self, intent: Intent, inverse: AnyInverse, live: JsonObject, earlier: ActionRecord | None
    ) -> Undoing | None:
        """Pause, dry run, intent, call, outcome.  None when somebody else wrote in between."""
        until = await self._books.paused_until(intent.target.namespace or "")
        if until is not None and until > self._clock.now():
            return no(ReasonCode.PAUSED, f"An operator paused acting here until {until.isoformat()}.")
        mark = Mark(undo_id_of(intent.action_id), intent.incident_id)
        request: Call
        if isinstance(inverse, RemoteInverse):
            request = inverse.request(mark)
        else:
            resource = self._observer.resource_of(intent.target)
            if resource is None:
                return no(ReasonCode.UNDO_IMPOSSIBLE, f"selfheal does not write a {intent.target.kind}.")
            request = request_of(inverse, resource, live, mark)
        try:
            result = await self._wire.show(request)
        except (Conflict, NotFound):
            return None
        except ToolError as error:
            return _said(error, intent.target)
        wrong = "" if isinstance(inverse, RemoteInverse) else beyond(inverse, live, result)
        if wrong:
            if await self._moved(intent, live):
                return None  # the difference may be somebody else's: a Deployment's controller counts its revisions
            return no(ReasonCode.DIFF_OUT_OF_BOUNDS, f"Undoing {intent.tool} on {intent.target}: {wrong}.")
        left = result if isinstance(request, WriteRequest) and request.verb != "delete" else None
        undoing = self._books.intent_to_undo(intent, inverse, request, live, left)
        committed = await self._books.intend(undoing if earlier is None else earlier.intent)
        try:
            answer = await self._wire.send(request, committed)
        except (Conflict, NotFound):
            return None  # the next read tells a foreign change from a status update, and our own lost try from both
        except ToolError as error:
            return _said(error, intent.target)
        except Exception as error:  # noqa: BLE001 - it may have happened: the next try reads before it does anything
            return Again(delay_seconds=RETRY_AFTER, error=f"{type(error).__name__}: {error}")
        if answer.has_failed:
            sentence = f"Taking back {intent.tool} on {intent.target} failed: {answer.note}."
            await self._books.conclude(
                committed.intent, ActionState.UNKNOWN, sentence, code=ReasonCode.REMOTE_FAILED.value
            )
            return no(ReasonCode.REMOTE_FAILED, sentence)
        sentence = f"Took back {intent.tool} on {intent.target}: {account_of(inverse, answer.object)}."
        await self._books.conclude(committed.intent, ActionState.APPLIED, sentence, audit_id=answer.audit_id)
        await self._books.mark_undone(intent.action_id)
        return UndoneBy(by="inverse", sentence=sentence)

    async def _moved(self, intent: Intent, live: JsonObject) -> bool:
        """Whether the object was written since `live` was read."""
        now = await self._observer.live(intent.target)
        versions = [dig_str(o, "metadata", "resourceVersion") for o in (live, now) if isinstance(o, dict)]
        return len(set(versions)) > 1

    async def _already_undone(self, intent: Intent, earlier: ActionRecord | None) -> UndoneBy:
        """Everything is as it was: by an earlier try of ours, or by somebody else."""
        if earlier is None:
            await self._books.mark_undone(intent.action_id)
            return UndoneBy(by="nothing", sentence=f"{intent.target} is as it was before {intent.tool} already.")
        sentence = f"Reading {intent.target} back showed that {intent.tool} had been taken back."
        if earlier.state in _OPEN:
            await self._books.conclude(earlier.intent, ActionState.APPLIED, sentence)
        await self._books.mark_undone(intent.action_id)
        return UndoneBy(by="inverse", sentence=sentence, resumed=True)


def no(code: ReasonCode, reason: str) -> Refused:
    """A refusal to undo."""
    return Refused(code=code, reason=reason, check="undo")


def _said(error: ToolError, target: ObjectRef) -> Undoing:
    """What an error of a call means for the undoing; transient ones are read back by the next try."""
    if isinstance(error, Transient):
        delay = error.delay.total_seconds() if error.delay is not None else RETRY_AFTER
        return Again(delay_seconds=delay, error=words(error))
    return no(*denial(error, target, ReasonCode.API_FORBIDDEN))
