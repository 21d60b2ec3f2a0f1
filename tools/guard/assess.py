"""Assessing an order: read the world, ask every check, show the server the exact bytes.  Nothing is written.

The rule: what passes here is bytes, not an intention: the request that was dry-run is the request that is sent.

Neighbours: `guard` lists the checks, `observe` reads for them, `door` sends what passed.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from tools.clock import Clock
from tools.cluster.client import AlreadyExists, Blocked
from tools.errors import Conflict, Denied, NotFound, ToolError, Transient
from tools.executors.base import InverseKind, Mark, Situation
from tools.executors.calls import Call, RemoteRequest
from tools.executors.inverse import AnyInverse, record
from tools.executors.lives import created, removed
from tools.executors.remote import RemoteExecutor, RemoteInverse
from tools.guard.checks import budget
from tools.guard.checks.mode import approval_reasons, declared_mode
from tools.guard.checks.rollout import LOOK_AGAIN
from tools.guard.denials import denial, words
from tools.guard.diff import diff, redacted
from tools.guard.guard import ON_THE_EFFECT, ON_THE_ORDER, ON_THE_WORLD, judge
from tools.guard.observe import RETRY_AFTER, Observer
from tools.guard.orders import Again, Order, Ready
from tools.guard.policy import Mode, Policy, strictest
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.wire import Wire
from tools.guard.world import AnyExecutor, Effect, Unreadable, World
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

log = logging.getLogger(__name__)

TRIES: Final = 4
"""How often to begin anew because somebody else wrote to the object in between (mostly a status update)."""
_PAUSE: Final = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Shown:
    """An order that passed every check, with what the dry run showed."""

    ready: Ready
    effect: Effect


@dataclass(frozen=True, slots=True)
class Seen:
    """An order that passed every check but the dry run, and what was read for it."""

    world: World
    executor: AnyExecutor
    situation: Situation


class Backoff:
    """Short pauses of uneven length, so that two who met do not meet again."""

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        """`jitter` gives numbers from 0 to 1."""
        self._clock = clock
        self._jitter = jitter

    async def wait(self) -> None:
        """Between 50 and 150 milliseconds."""
        await self._clock.sleep(_PAUSE * (0.5 + self._jitter()))


class Assessor:
    """The checks over one cluster and one ledger."""

    def __init__(
        self,
        *,
        observer: Observer,
        wire: Wire,
        policy: Policy,
        clock: Clock,
        executors: Mapping[str, AnyExecutor],
        own_namespace: str | None,
        backoff: Backoff,
    ) -> None:
        """Keep the parts."""
        self._observer = observer
        self._wire = wire
        self._policy = policy
        self._clock = clock
        self._executors = executors
        self._own_namespace = own_namespace
        self._backoff = backoff

    def world(self, order: Order) -> World:
        """The order and the moment; nothing read yet."""
        return World(
            order=order,
            policy=self._policy,
            own_namespace=self._own_namespace,
            now=self._clock.now(),
            executor=self._executors.get(order.action.tool),
        )

    async def assess(self, order: Order) -> Refused | Shown:
        """Every check, in order; anew when the object was written between the read and the dry run."""
        for _ in range(TRIES):
            found = await self._once(order)
            if found is not None:
                return found
            await self._backoff.wait()
        return Refused(
            code=ReasonCode.TARGET_CHANGED,
            reason=f"{order.action.target} is being written by somebody else all the time.",
            check="dry_run",
            retry_after_seconds=RETRY_AFTER,
        )

    async def budget(self, order: Order) -> Refused | None:
        """Only the budgets, as they stand now."""
        world = await self._observer.books(self.world(order))
        return judge((("budget", budget.check),), world)

    async def look(self, order: Order) -> Refused | Seen:
        """Every check but the dry run, on the world as it stands."""
        world = self.world(order)
        refused = judge(ON_THE_ORDER, world)
        executor = world.executor
        if refused is not None or executor is None:
            return refused or _no(ReasonCode.TOOL_UNKNOWN, f"{order.action.tool} is not an enabled action.")
        # While assessing no lock is needed; while acting it was taken before this.
        world = replace(await self._observer.observe(world, executor), holds_lock=True)
        refused = judge(ON_THE_WORLD, world)
        if refused is not None or not isinstance(world.situation, Situation):
            return refused or _no(ReasonCode.INPUT_UNREADABLE, f"{order.action.target} was not read.")
        return Seen(world, executor, world.situation)

    async def _once(self, order: Order) -> Refused | Shown | None:
        """None when the dry run met a conflict."""
        seen = await self.look(order)
        if isinstance(seen, Refused):
            return seen
        try:
            return await self._show(seen.world, seen.executor, seen.situation)
        except Conflict:
            return None
        except Exception as error:  # an executor that cannot build its request is a no
            log.exception("assess.failed", extra={"incident_id": order.incident_id})
            what = f"{order.action.tool} on {order.action.target} cannot be prepared: {type(error).__name__}."
            return _no(ReasonCode.INPUT_UNREADABLE, what)

    async def _show(self, world: World, executor: AnyExecutor, situation: Situation) -> Refused | Shown:
        """Build the bytes, send them as a dry run, compare, record the way back.  Raises Conflict."""
        order = world.order
        mark = Mark(order.action_id, order.incident_id)
        request = executor.request(order.action, situation, mark)
        effect: Effect | Refused | Unreadable
        try:
            result = await self._wire.show(request)
            effect = Effect(result, diff(situation.live, result)) if executor.declared_fields else Effect({}, ())
        except AlreadyExists:
            if not (executor.creates and situation.live):
                raise
            return self._early(world, executor, situation, request)
        except Conflict:
            raise
        except ToolError as error:
            effect = refusal_of_dry_run(error, order.action.target)
        refused = judge(ON_THE_EFFECT, replace(world, effect=effect))
        if refused is not None or not isinstance(effect, Effect):
            return refused or _no(ReasonCode.DRY_RUN_REFUSED, f"{order.action.target}: there was no dry run.")
        inverse: AnyInverse | None = None
        kind = executor.inverse_kind
        if kind is InverseKind.EXACT:
            inverse = way_back(order, executor, situation, request, effect.result)
            if inverse is None and not isinstance(request, RemoteRequest):
                return _no(ReasonCode.UNDO_IMPOSSIBLE, f"No way back from {order.action.tool} could be recorded.")
            kind = InverseKind.NONE if inverse is None else kind
        mode, reasons = self.mode_of(world, executor, situation, kind)
        shown = redacted(effect.changes, situation.live, effect.result)
        is_early = executor.is_early(order.action, situation)
        ready = Ready(mode, reasons, request, shown, inverse, kind, situation, is_early=is_early)
        return Shown(ready, effect)

    def _early(self, world: World, executor: AnyExecutor, situation: Situation, request: Call) -> Shown:
        """The name is taken by what an earlier step of the plan is to remove; the executor's precondition says so.

        The server looks at the name last, when validation and admission have let the bytes pass.
        """
        mode, reasons = self.mode_of(world, executor, situation, executor.inverse_kind)
        ready = Ready(mode, reasons, request, (), None, executor.inverse_kind, situation, is_early=True)
        return Shown(ready, Effect({}, ()))

    @staticmethod
    def mode_of(
        world: World, executor: AnyExecutor, situation: Situation, kind: InverseKind
    ) -> tuple[Mode, tuple[str, ...]]:
        """How far it may go, and why a person must agree; `kind` is what it could be taken back by."""
        reasons = approval_reasons(world, executor, situation, kind)
        return strictest(declared_mode(world), Mode.APPROVE if reasons else Mode.AUTO), reasons


def way_back(
    order: Order, executor: AnyExecutor, situation: Situation, request: Call, result: JsonObject
) -> AnyInverse | None:
    """The inverse of a write whose dry run gave `result`; None when there is nothing to restore.  Pure."""
    target = order.action.target
    if isinstance(request, RemoteRequest):
        if not isinstance(executor, RemoteExecutor):
            return None
        found: RemoteInverse | None = executor.way_back(
            order.action, situation, Mark(order.action_id, order.incident_id)
        )
        return found
    match request.verb:
        case "create":
            return created(target, order.action_id, request.field_manager, result)
        case "delete":
            return removed(target, situation.live, request.resource)
        case _:
            return record(target, executor.fields(order.action, situation), situation.live, result)


def again_if_passing(refused: Refused) -> Refused | Again:
    """What may be readable in a moment, or looked at by its controller, is no refusal of the order."""
    seconds = refused.retry_after_seconds
    if seconds is None:
        return refused
    is_unread = refused.code in {ReasonCode.INPUT_UNREADABLE, ReasonCode.TARGET_CHANGED}
    is_passing = refused.code in {ReasonCode.ROLLOUT_IN_PROGRESS, ReasonCode.TARGET_DELETING}
    is_unobserved = is_passing and seconds <= LOOK_AGAIN
    return Again(delay_seconds=seconds, error=refused.reason) if is_unread or is_unobserved else refused


def refusal_of_dry_run(error: ToolError, target: ObjectRef) -> Refused | Unreadable:
    """What the server's answer to a dry run means.  A server that gives none has refused nothing: it is unreadable."""
    match error:
        case Blocked():
            seconds = error.delay.total_seconds() if error.delay is not None else 10.0
            return Refused(code=ReasonCode.PDB_BLOCKED, reason=words(error), retry_after_seconds=seconds)
        case Transient():
            delay = error.delay.total_seconds() if error.delay is not None else RETRY_AFTER
            return Unreadable(words(error), retry_after=delay)
        case NotFound():
            return Refused(code=ReasonCode.TARGET_GONE, reason=words(error))
        case Denied():
            code, reason = denial(error, target, ReasonCode.API_FORBIDDEN)
            return Refused(code=code, reason=reason)
        case _:
            return Refused(code=ReasonCode.DRY_RUN_REFUSED, reason=words(error))


def _no(code: ReasonCode, reason: str) -> Refused:
    return Refused(code=code, reason=reason, check="assess")
