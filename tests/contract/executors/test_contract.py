"""What every executor must hold against a running API server, through the door."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.executors import cases, walk
from tests.contract.executors.arena import Arena, resource_of, without_status
from tests.contract.executors.cases import Case
from tests.contract.executors.delivery import DELIVERY_CASES
from tests.contract.executors.edits import EDIT_CASES
from tests.contract.executors.externals import EXTERNAL_CASES
from tests.contract.executors.keda import KEDA_CASES
from tests.contract.executors.platform import PLATFORM_CASES
from tests.contract.executors.reverts import REVERT_CASES
from tools.cluster.resources import WriteRequest
from tools.executors.base import ACTION_ID, INCIDENT_ID
from tools.guard.orders import Acted, Order, UndoneBy
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_object, dig_str

CASES = (
    *cases.CASES,
    *PLATFORM_CASES,
    *EDIT_CASES,
    *REVERT_CASES,
    *KEDA_CASES,
    *EXTERNAL_CASES,
    *DELIVERY_CASES,
)
CONTESTED = [c for c in CASES if c.exact and c.contested]
every = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
exact = pytest.mark.parametrize("case", [c for c in CASES if c.exact], ids=[c.name for c in CASES if c.exact])
MARKED = [c for c in CASES if "pod" not in c.name]
marked = pytest.mark.parametrize("case", MARKED, ids=[c.name for c in MARKED])


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
async def test_is_tried_carried_out_once_and_taken_back(arena: Arena, case: Case) -> None:
    """Nothing in a dry run; once; known by its marks; then as before, or left to the controller that restores it."""
    order = await ordered(arena, case)
    target = order.action.target
    before = without_status(await arena.get(target))
    await walk.tried(arena, order)
    acted = await walk.carried_out_once(arena, order)
    if case in MARKED:
        assert_marks(await arena.get(target), order)
    if case.exact:
        assert without_status(await arena.get(target)) != before
        await walk.taken_back(arena, order, acted)
        assert without_status(await arena.get(target)) == before
    else:
        undone = await arena.door.undo(acted.action_id, order.incident_id)
        assert isinstance(undone, UndoneBy), undone
        assert (undone.by, len(arena.diary.done)) == ("controller", 1)


def assert_marks(live: JsonObject, order: Order) -> None:
    """On the object, and not on its pods."""
    notes = dig_object(live, "metadata", "annotations")
    assert (notes[ACTION_ID], notes[INCIDENT_ID]) == (order.action_id, order.incident_id)
    assert ACTION_ID not in dig_object(live, "spec", "template", "metadata", "annotations")


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
async def test_an_answer_that_is_lost_is_found_by_reading_back(arena: Arena, case: Case) -> None:
    await walk.carried_out_though_the_answer_is_lost(arena, await ordered(arena, case))


@every
async def test_a_call_that_never_arrived_is_found_not_to_have_happened(arena: Arena, case: Case) -> None:
    await walk.carried_out_after_a_call_that_never_arrived(arena, await ordered(arena, case))
