"""What every executor must hold against a running API server, through the door."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from tests.contract.executors import cases
from tests.contract.executors.arena import Arena, resource_of, without_status
from tests.contract.executors.cases import Case
from tests.contract.executors.edits import EDIT_CASES
from tests.contract.executors.platform import PLATFORM_CASES
from tests.contract.executors.reverts import REVERT_CASES
from tools import registry
from tools.cluster.resources import WriteRequest
from tools.errors import NotFound, Unreachable
from tools.executors.base import ACTION_ID, INCIDENT_ID, Applied, Mark
from tools.guard.orders import Acted, Again, Order, Ready, UndoneBy
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str
from tools.ledger.records import ActionState

CASES = (*cases.CASES, *PLATFORM_CASES, *EDIT_CASES, *REVERT_CASES)
CONTESTED = [c for c in CASES if c.exact and c.contested]
every = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
exact = pytest.mark.parametrize("case", [c for c in CASES if c.exact], ids=[c.name for c in CASES if c.exact])
marked = pytest.mark.parametrize(
    "case", [c for c in CASES if "pod" not in c.name], ids=[c.name for c in CASES if "pod" not in c.name]
)


async def ordered(arena: Arena, case: Case) -> Order:
    await case.stage(arena)
    return await arena.order(await case.action(arena), case.owner_ref(arena), approved=case.approved)


@every
async def test_refuses_when_its_precondition_fails(arena: Arena, case: Case) -> None:
    await case.stage(arena)
    action, code = await case.refused(arena)
    order = await arena.order(action, case.owner_ref(arena), reverses_rollout=True)
    assessed, acted = await arena.door.assess(order), await arena.door.act(order)
    assert isinstance(assessed, Refused)
    assert isinstance(acted, Refused)
    assert (assessed.code, acted.code, arena.diary.lines) == (code, code, [])


@every
async def test_changes_nothing_in_a_dry_run(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    before = await arena.get(order.action.target)
    found = await arena.door.assess(order)
    assert isinstance(found, Ready), found
    after = await arena.get(order.action.target)
    assert without_status(after) == without_status(before)
    assert dig_int(after, "metadata", "generation") == dig_int(before, "metadata", "generation")
    assert arena.diary.lines == []


@every
async def test_acts_once_and_a_repetition_finds_it_done(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    first = await arena.door.act(order)
    again = await arena.door.act(order)
    assert isinstance(first, Acted), first
    assert isinstance(again, Acted), again
    assert (first.resumed, again.resumed, first.action_id) == (False, True, order.action_id)
    assert arena.diary.lines[0] == f"intent:{order.action_id}"
    assert len(arena.diary.done) == 1
    assert await arena.door.check_postcondition(order) is None


@marked
async def test_leaves_its_marks_on_the_object_and_not_on_the_pods(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    assert isinstance(await arena.door.act(order), Acted)
    live = await arena.get(order.action.target)
    notes = dig_object(live, "metadata", "annotations")
    assert (notes[ACTION_ID], notes[INCIDENT_ID]) == (order.action_id, order.incident_id)
    assert ACTION_ID not in dig_object(live, "spec", "template", "metadata", "annotations")


@exact
async def test_act_then_undo_is_the_identity(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    before = await arena.get(order.action.target)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    assert without_status(await arena.get(order.action.target)) != without_status(before)
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, UndoneBy), undone
    again = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(again, UndoneBy), again
    assert (undone.by, again.by, again.resumed, len(arena.diary.done)) == ("inverse", "inverse", True, 2)
    assert without_status(await arena.get(order.action.target)) == without_status(before)
    record = await arena.ledger.action(acted.action_id)
    assert record is not None
    assert record.state is ActionState.UNDONE


@pytest.mark.parametrize("case", [c for c in CASES if not c.exact], ids=[c.name for c in CASES if not c.exact])
async def test_what_a_controller_restores_is_left_to_it(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, UndoneBy), undone
    assert (undone.by, len(arena.diary.done)) == ("controller", 1)


@pytest.mark.parametrize("case", CONTESTED, ids=[c.name for c in CONTESTED])
async def test_undo_yields_to_somebody_who_changed_the_field_after_us(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    assert case.foreign is not None
    await arena.patch(resource_of(order.action.target.kind), order.action.target.name, case.foreign)
    theirs = without_status(await arena.get(order.action.target))
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, Refused)
    assert undone.code is ReasonCode.ROLLBACK_CONFLICT
    assert without_status(await arena.get(order.action.target)) == theirs
    assert len(arena.diary.done) == 1


@exact
async def test_act_yields_to_somebody_who_changed_the_spec_since_the_diagnosis(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    assert case.foreign is not None
    await arena.patch(resource_of(order.action.target.kind), order.action.target.name, case.foreign)
    refused = await arena.door.act(replace(order, reverses_rollout=True))
    assert isinstance(refused, Refused)
    assert (refused.code, arena.diary.writes) == (ReasonCode.TARGET_CHANGED, [])


@exact
async def test_somebody_who_writes_between_dry_run_and_call_is_not_overwritten(arena: Arena, case: Case) -> None:
    order = replace(await ordered(arena, case), reverses_rollout=True)

    async def meddle(request: WriteRequest) -> None:
        arena.watched.before_call = None
        assert case.foreign is not None
        await arena.patch(request.resource, request.name, case.foreign)

    arena.watched.before_call = meddle
    refused = await arena.door.act(order)
    assert isinstance(refused, Refused), refused
    assert refused.code is ReasonCode.TARGET_CHANGED
    assert ACTION_ID not in dig_object(await arena.get(order.action.target), "metadata", "annotations")


@marked
async def test_a_mere_status_or_label_update_in_between_is_got_over(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)

    async def label(request: WriteRequest) -> None:
        arena.watched.before_call = None
        await arena.patch(request.resource, request.name, {"metadata": {"labels": {"seen": "yes"}}})

    arena.watched.before_call = label
    acted = await arena.door.act(order)
    live = await arena.get(order.action.target)
    assert dig_str(live, "metadata", "labels", "seen") == "yes"
    if case.owns_labels:
        assert isinstance(acted, Refused), acted
        assert (acted.code, arena.diary.done) == (ReasonCode.TARGET_CHANGED, [])
        return
    assert isinstance(acted, Acted), acted
    assert dig_str(live, "metadata", "annotations", ACTION_ID) == order.action_id
    assert len(arena.diary.writes) == 2


@every
async def test_was_applied_is_right_before_and_after(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)
    executor = registry.executors()[order.action.tool]
    before = await executor.read(order.action, arena.cluster)
    mark = Mark(order.action_id, order.incident_id)
    assert executor.was_applied(order.action, before, await arena.get(order.action.target), mark) is Applied.NO
    assert isinstance(await arena.door.act(order), Acted)
    now: JsonObject | None = None
    with suppress(NotFound):  # an evicted pod may be gone already
        now = await arena.get(order.action.target)
    assert executor.was_applied(order.action, before, now, mark) is Applied.YES


@every
async def test_an_answer_that_is_lost_is_found_by_reading_back(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)

    async def lose(_: WriteRequest) -> None:
        arena.watched.after_call = None
        raise Unreachable("the connection broke after the server had the request")

    arena.watched.after_call = lose
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    assert (acted.resumed, len(arena.diary.done)) == (True, 1)


@every
async def test_a_call_that_never_arrived_is_found_not_to_have_happened(arena: Arena, case: Case) -> None:
    order = await ordered(arena, case)

    async def lose(_: WriteRequest) -> None:
        arena.watched.before_call = None
        raise Unreachable("no route to the server")

    arena.watched.before_call = lose
    lost = await arena.door.act(order)
    assert isinstance(lost, Again), lost
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    assert acted.resumed is False
    assert len({line for line in arena.diary.lines if line.startswith("intent:")}) == 1
