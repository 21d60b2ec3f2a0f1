"""The walks that every executor is held to, whatever it makes, changes or deletes: each once, for all contracts.

A walk asserts all the way, so that one staged world shows as much as it can.
"""

from __future__ import annotations

from tests.contract.executors.arena import LISTED, Arena, without_status
from tools import registry
from tools.cluster.resources import WriteRequest
from tools.errors import NotFound, Unreachable
from tools.executors.base import Applied, Mark
from tools.guard.orders import Acted, Again, Order, Ready, UndoneBy
from tools.jsontypes import JsonObject, dig_int
from tools.ledger.records import ActionState
from tools.refs import ObjectRef


async def standing(arena: Arena, ref: ObjectRef) -> JsonObject | None:
    """The object as it stands; None when there is none."""
    try:
        return await arena.get(ref)
    except NotFound:
        return None


async def tried(arena: Arena, order: Order) -> Ready:
    """A dry run is accepted and changes nothing, here or in the ledger."""
    before = await standing(arena, order.action.target)
    found = await arena.door.assess(order)
    assert isinstance(found, Ready), found
    after = await standing(arena, order.action.target)
    assert (after is None) is (before is None)
    if before is not None and after is not None:
        assert without_status(after) == without_status(before)
        assert dig_int(after, "metadata", "generation") == dig_int(before, "metadata", "generation")
    assert arena.diary.lines == []
    return found


async def carried_out_once(arena: Arena, order: Order) -> Acted:
    """It acts; the object tells before and after whether it did; a repetition finds it done; it did what it promised.

    Before: nothing was done in this arena.
    """
    executor = registry.executors(versions=arena.shelf, catalogue=LISTED)[order.action.tool]
    read, mark = await executor.read(order.action, arena.cluster), Mark(order.action_id, order.incident_id)
    now = await standing(arena, order.action.target)
    assert executor.was_applied(order.action, read, now, mark) is Applied.NO
    first = await arena.door.act(order)
    assert isinstance(first, Acted), first
    now = await standing(arena, order.action.target)  # an evicted pod may be gone already
    assert executor.was_applied(order.action, read, now, mark) is Applied.YES
    again = await arena.door.act(order)
    assert isinstance(again, Acted), again
    assert (first.resumed, again.resumed, first.action_id) == (False, True, order.action_id)
    assert arena.diary.lines[0] == f"intent:{order.action_id}"
    assert len(arena.diary.done) == 1
    assert await arena.door.check_postcondition(order) is None
    return first


async def taken_back(arena: Arena, order: Order, acted: Acted) -> UndoneBy:
    """The recorded inverse is carried out, once.  What the object then says is the caller's to compare."""
    done = len(arena.diary.done)
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, UndoneBy), undone
    again = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(again, UndoneBy), again
    assert (undone.by, again.by, again.resumed, len(arena.diary.done)) == ("inverse", "inverse", True, done + 1)
    record = await arena.ledger.action(acted.action_id)
    assert record is not None
    assert record.state is ActionState.UNDONE
    return undone


async def carried_out_though_the_answer_is_lost(arena: Arena, order: Order) -> None:
    """The server had the request: that is found by reading back, and it is not sent again."""

    async def lose(_: WriteRequest) -> None:
        arena.watched.after_call = None
        raise Unreachable("the connection broke after the server had the request")

    arena.watched.after_call = lose
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    assert (acted.resumed, len(arena.diary.done)) == (True, 1)


async def carried_out_after_a_call_that_never_arrived(arena: Arena, order: Order) -> None:
    """The server never had the request: that is found too, and the next attempt is the first of its intent."""

    async def lose(_: WriteRequest) -> None:
        arena.watched.before_call = None
        raise Unreachable("no route to the server")

    arena.watched.before_call = lose
    lost = await arena.door.act(order)
    assert isinstance(lost, Again), lost
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    assert (acted.resumed, len(arena.diary.done)) == (False, 1)
    assert len({line for line in arena.diary.lines if line.startswith("intent:")}) == 1
