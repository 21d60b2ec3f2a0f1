"""Orders of an action that takes several calls: which call is next, and whether all of them could be made.

The rule: every round is an order of its own and passes every check on its own target; the whole is checked as well,
before each of them.  What was begun under a round's id is settled before anything else is asked, and by the very action
that was begun, so that a crash neither loses a call nor repeats one.

Neighbours: `executors.rounds` names what is left, `door` carries the rounds out, `assess` checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tools.executors.base import Situation
from tools.executors.rounds import Round, RoundsExecutor
from tools.guard.assess import Assessor, again_if_passing
from tools.guard.books import Books
from tools.guard.observe import Observer
from tools.guard.orders import Assessment, Complete, Next, Order, Ready, Turn, action_id_of
from tools.guard.policy import strictest
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import AnyExecutor, Missing, Unreadable
from tools.ledger.records import ActionRecord, ActionState
from tools.refs import Pin


class Rounds:
    """Takes an order apart into its calls."""

    def __init__(
        self, *, assessor: Assessor, observer: Observer, books: Books, executors: Mapping[str, AnyExecutor]
    ) -> None:
        """Keep the parts."""
        self._assessor = assessor
        self._observer = observer
        self._books = books
        self._executors = executors

    async def assess(self, order: Order, executor: RoundsExecutor[Any]) -> Assessment:
        """Whether the whole and every call that is left now could be made; the strictest mode holds for all."""
        seen = await self._assessor.look(order)
        if isinstance(seen, Refused):
            return seen
        left = _left(order, executor, seen.situation)
        if isinstance(left, Refused):
            return left
        if not left:
            return _nothing_to_do(order)
        mode, reasons = self._assessor.mode_of(seen.world, executor, seen.situation, executor.inverse_kind)
        shown: list[Ready] = []
        for number, one in enumerate(left):
            found = await self._assessor.assess(_order(order, one, number))
            if isinstance(found, Refused):
                return found
            shown.append(found.ready)
        every = dict.fromkeys((*reasons, *(reason for ready in shown for reason in ready.approval_reasons)))
        return Ready(
            mode=strictest(mode, *(ready.mode for ready in shown)),
            approval_reasons=tuple(every),
            request=shown[0].request,
            diff=tuple(change for ready in shown for change in ready.diff),
            inverse=None,
            inverse_kind=executor.inverse_kind,
            situation=seen.situation,
        )

    async def next(self, order: Order, executor: RoundsExecutor[Any]) -> Next:
        """See `Door.next_round`.  Raises BooksClosed."""
        number = order.round
        earlier = await self._find(order, number)
        if earlier is not None and earlier.state is not ActionState.NOT_APPLIED:
            return self._begun(order, earlier, number)
        seen = await self._assessor.look(order)
        if isinstance(seen, Refused):
            return again_if_passing(seen)
        left = _left(order, executor, seen.situation)
        if isinstance(left, Refused):
            return left
        while earlier is not None:  # it was refused by the server; perhaps somebody else did it meanwhile
            same = next((one for one in left if one.action.model_dump(mode="json") == earlier.intent.arguments), None)
            if same is not None:
                return Turn(_order(order, same, number), is_round=True)
            number += 1
            earlier = await self._find(order, number)
        if not left:
            done = f"{order.action.tool} {order.action.target} is done, in {number} call(s)."
            return Complete(done) if number else _nothing_to_do(order)
        if number > executor.most_rounds:
            reason = f"{order.action.target} does not come to rest: {number} calls were made and there is more to do."
            return _no(ReasonCode.PARAM_OUT_OF_RANGE, reason)
        return Turn(_order(order, left[0], number), is_round=True)

    async def postcondition(self, order: Order, executor: RoundsExecutor[Any]) -> Refused | None:
        """None when the whole holds now."""
        found = await self._observer.situation(self._assessor.world(order), executor)
        if isinstance(found, Missing):
            return _no(ReasonCode.TARGET_GONE, f"{order.action.target} is gone.")
        if isinstance(found, Unreadable):
            return _no(ReasonCode.INPUT_UNREADABLE, f"Could not read {order.action.target}: {found.reason}")
        return executor.postcondition(order.action, found, found)

    async def _find(self, order: Order, number: int) -> ActionRecord | None:
        return await self._books.find(action_id_of(order.incident_id, order.plan_id, order.step, number))

    def _begun(self, order: Order, earlier: ActionRecord, number: int) -> Turn | Refused:
        """The round that was begun under this id, to be settled by the door."""
        intent = earlier.intent
        executor = self._executors.get(intent.tool)
        if executor is None:
            return _no(ReasonCode.TOOL_UNKNOWN, f"{intent.tool}, a part of {order.action.tool}, is not enabled.")
        action = executor.action_type.model_validate(intent.arguments)
        pin = Pin(ref=intent.target, uid=intent.target_uid, resource_version="", generation=None)
        return Turn(_order(order, Round(action, pin), number), is_round=True)


def _left(order: Order, executor: RoundsExecutor[Any], situation: Situation) -> tuple[Round, ...] | Refused:
    try:
        return executor.rounds(order.action, situation)
    except Exception as error:  # noqa: BLE001 - an executor that cannot say what is left is a no
        reason = f"What is left of {order.action.tool} on {order.action.target} cannot be told: {type(error).__name__}."
        return _no(ReasonCode.INPUT_UNREADABLE, reason)


def _order(order: Order, one: Round, number: int) -> Order:
    """The order of one round.  Its target is in scope because code has just read that it belongs to the whole.

    The target of the whole keeps the pin of the diagnosis.
    """
    if one.action.target == order.action.target:
        return replace(order, action=one.action, round=number)
    return replace(order, action=one.action, round=number, pin=one.pin, scope=(*order.scope, one.pin))


def _nothing_to_do(order: Order) -> Refused:
    return _no(ReasonCode.NO_CHANGE, f"Nothing is left to do: {order.action.tool} {order.action.target} is done.")


def _no(code: ReasonCode, reason: str) -> Refused:
    return Refused(code=code, reason=reason, check="rounds")
