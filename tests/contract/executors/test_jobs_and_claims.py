"""Actions that make or delete a Job or a claim, or that cannot be taken back: the same contract, in their own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.contract.executors import walk
from tests.contract.executors.arena import FREE, Arena, without_status, workload
from tests.contract.executors.cases import APP
from tests.contract.executors.platform import cron_job, here
from tools import registry
from tools.cluster.resources import CRON_JOB, JOB, PERSISTENT_VOLUME, POD, PVC, STORAGE_CLASS, WriteRequest
from tools.errors import NotFound
from tools.executors.actions import AnyAction
from tools.executors.whole import MADE_BY
from tools.guard.door import Door
from tools.guard.orders import Acted, Again, Order, Outcome, Ready, Undoing, UndoneBy
from tools.guard.policy import Mode
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str
from tools.ledger.records import ActionState
from tools.refs import ObjectRef

R = ReasonCode


def job(name: str, command: str, *, owner: JsonObject | None = None) -> JsonObject:
    pods = dig_object(workload("Deployment", APP, command=command), "spec", "template")
    spec: JsonObject = {**dig_object(pods, "spec"), "restartPolicy": "Never"}
    metadata: JsonObject = {"name": name, "labels": {"team": "books"}}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"metadata": metadata, "spec": {"backoffLimit": 0, "template": {**pods, "spec": spec}}}


def ended(arena: Arena, name: str, how: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        live = await arena.cluster.get(JOB, name, arena.namespace)
        return any(
            (dig_str(c, "type"), dig_str(c, "status")) == (how, "True") for c in dig_list(live, "status", "conditions")
        )

    return ask


async def failed_job(arena: Arena) -> None:
    await arena.create(JOB, job(APP, "exit 3"))
    await arena.until("the job failed", ended(arena, APP, "Failed"))


async def hanging_job(arena: Arena) -> None:
    await cron_job(suspend=True)(arena)
    made = await arena.cluster.get(CRON_JOB, APP, arena.namespace)
    owner: JsonObject = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": APP,
        "uid": dig_str(made, "metadata", "uid"),
        "controller": True,
    }
    await arena.create(JOB, job(APP, "sleep 3600", owner=owner))

    async def runs() -> bool:
        return len(await pods_of(arena, APP)) == 1

    await arena.until("the job made its pod", runs)


async def pods_of(arena: Arena, name: str) -> list[JsonObject]:
    return await arena.cluster.list(POD, arena.namespace, label_selector=f"batch.kubernetes.io/job-name={name}")


def claim(storage_class: str) -> JsonObject:
    room: JsonObject = {"requests": {"storage": "10Mi"}}
    spec: JsonObject = {"accessModes": ["ReadWriteOnce"], "resources": room, "storageClassName": storage_class}
    return {"metadata": {"name": APP, "labels": {"team": "books"}}, "spec": spec}


async def a_class(arena: Arena, name: str, *, grows: bool = True) -> None:
    await arena.create(
        STORAGE_CLASS,
        {
            "metadata": {"name": name},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "Immediate",
            "allowVolumeExpansion": grows,
        },
    )


async def bound_claim(arena: Arena, *, grows: bool = True) -> None:
    await a_class(arena, arena.namespace, grows=grows)
    spec: JsonObject = {
        "capacity": {"storage": "10Mi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": arena.namespace,
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"/tmp/{arena.namespace}"},
        "claimRef": {"namespace": arena.namespace, "name": APP},
    }
    await arena.create(PERSISTENT_VOLUME, {"metadata": {"name": arena.namespace}, "spec": spec})
    await arena.create(PVC, claim(arena.namespace))

    async def is_bound() -> bool:
        live = await arena.cluster.get(PVC, APP, arena.namespace)
        return dig_str(live, "status", "phase") == "Bound"

    await arena.until("the claim was bound", is_bound)


async def bound_claim_that_cannot_grow(arena: Arena) -> None:
    await bound_claim(arena, grows=False)


async def unbound_claim(arena: Arena) -> None:
    await a_class(arena, arena.namespace)
    await arena.create(PVC, claim("misspelt"))

    async def is_pending() -> bool:
        return dig_str(await arena.cluster.get(PVC, APP, arena.namespace), "status", "phase") == "Pending"

    await arena.until("the claim waits", is_pending)


async def look(arena: Arena, ref: ObjectRef) -> JsonObject:
    """The object, or nothing."""
    with suppress(NotFound):
        return await arena.get(ref)
    return {}


RERUN = here("rerun_job", number=1, deadline_seconds=60)
DELETE = here("delete_job")
EXPAND = here("expand_pvc", size="20Mi")
REMOVE = here("remove_unbound_pvc")
REMOVE_JOB = here("remove_failed_job")
RECREATE_JOB = here("recreate_failed_job", deadline_seconds=60)


@dataclass(frozen=True)
class Whole:
    """`stage` sets the world up, `action` is what is done, `owner` whom the incident is about."""

    name: str
    stage: Callable[[Arena], Awaitable[None]]
    action: Callable[[Arena], Awaitable[AnyAction]]
    owner: str


CASES = (
    Whole("rerun_job", failed_job, RERUN, "Job"),
    Whole("delete_job", hanging_job, DELETE, "CronJob"),
    Whole("expand_pvc", bound_claim, EXPAND, "PersistentVolumeClaim"),
    Whole("remove_unbound_pvc", unbound_claim, REMOVE, "PersistentVolumeClaim"),
    Whole("remove_failed_job", failed_job, REMOVE_JOB, "Job"),
)
COVERED = {*(case.name for case in CASES), "recreate_unbound_pvc", "recreate_failed_job"}
every = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


async def ordered(arena: Arena, case: Whole) -> Order:
    await case.stage(arena)
    owner = ObjectRef(kind=case.owner, namespace=arena.namespace, name=APP)
    return await arena.order(await case.action(arena), owner, approved=True)


@pytest.mark.parametrize(
    ("why", "stage", "action", "owner", "code"),
    [
        ("the job has not failed", hanging_job, RERUN, "Job", R.NO_CHANGE),
        ("no cron job made it", failed_job, DELETE, "Job", R.NO_CONTROLLER),
        ("a cron job made it", hanging_job, REMOVE_JOB, "Job", R.TARGET_PROTECTED),
        ("a cron job made it, so it is not made anew", hanging_job, RECREATE_JOB, "Job", R.TARGET_PROTECTED),
        ("more than twice the size", bound_claim, here("expand_pvc", size="21Mi"), "PersistentVolumeClaim",
         R.PARAM_OUT_OF_RANGE),
        ("smaller than it is", bound_claim, here("expand_pvc", size="5Mi"), "PersistentVolumeClaim",
         R.PARAM_OUT_OF_RANGE),
        ("its class does not let it grow", bound_claim_that_cannot_grow, EXPAND, "PersistentVolumeClaim",
         R.PARAM_OUT_OF_RANGE),
        ("bound to nothing, so nothing grows", unbound_claim, EXPAND, "PersistentVolumeClaim", R.PARAM_OUT_OF_RANGE),
        ("bound, so it holds data", bound_claim, REMOVE, "PersistentVolumeClaim", R.TARGET_PROTECTED),
        ("bound, so nothing is to be made", bound_claim, here("recreate_unbound_pvc", storage_class="other"),
         "PersistentVolumeClaim", R.TARGET_EXISTS),
        ("a class that does not exist", unbound_claim, here("recreate_unbound_pvc", storage_class="nowhere"),
         "PersistentVolumeClaim", R.PARAM_OUT_OF_RANGE),
        ("the class it has", unbound_claim, here("recreate_unbound_pvc", storage_class="misspelt"),
         "PersistentVolumeClaim", R.PARAM_OUT_OF_RANGE),
    ],
)  # fmt: skip
async def test_refuses_when_its_precondition_fails(  # noqa: PLR0917 - one column each
    arena: Arena, why: str, stage: Any, action: Any, owner: str, code: ReasonCode
) -> None:
    order = await ordered(arena, Whole(why, stage, action, owner))
    assessed, acted = await arena.door.assess(order), await arena.door.act(order)
    assert isinstance(assessed, Refused), assessed
    assert isinstance(acted, Refused), acted
    assert (assessed.code, acted.code, arena.diary.lines) == (code, code, [])


@every
async def test_waits_for_a_person_and_changes_nothing_in_a_dry_run(arena: Arena, case: Whole) -> None:
    order = replace(await ordered(arena, case), approved=False)
    before = await look(arena, order.action.target)
    found, acted = await arena.door.assess(order), await arena.door.act(order)
    assert isinstance(found, Ready), found
    assert isinstance(acted, Refused)
    assert (found.mode, acted.code, bool(found.approval_reasons)) == (Mode.APPROVE, R.APPROVAL_REQUIRED, True)
    after = await look(arena, order.action.target)
    assert without_status(after) == without_status(before)
    assert arena.diary.lines == []


@every
async def test_acts_once_and_a_repetition_finds_it_done(arena: Arena, case: Whole) -> None:
    await walk.carried_out_once(arena, await ordered(arena, case))


@every
async def test_an_answer_that_is_lost_is_found_by_reading_back(arena: Arena, case: Whole) -> None:
    await walk.carried_out_though_the_answer_is_lost(arena, await ordered(arena, case))


@every
async def test_a_call_that_never_arrived_is_found_not_to_have_happened(arena: Arena, case: Whole) -> None:
    await walk.carried_out_after_a_call_that_never_arrived(arena, await ordered(arena, case))


# Jobs


async def test_a_job_that_is_run_again_does_the_same_and_nothing_of_it_is_left_after_an_undo(arena: Arena) -> None:
    order = await ordered(arena, CASES[0])
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    old, new = await arena.cluster.get(JOB, APP, arena.namespace), await arena.get(order.action.target)
    assert (dig(new, "spec", "activeDeadlineSeconds"), dig(new, "metadata", "ownerReferences")) == (60, None)
    assert dig_str(new, "metadata", "annotations", MADE_BY) == order.action_id
    assert dig(new, "spec", "template", "spec") == dig(old, "spec", "template", "spec")
    assert dig(new, "spec", "selector") != dig(old, "spec", "selector")

    async def has_a_pod() -> bool:
        return len(await pods_of(arena, order.action.target.name)) == 1

    await arena.until("the new job made its pod", has_a_pod)
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, UndoneBy), undone

    async def is_gone() -> bool:
        left = await pods_of(arena, order.action.target.name)
        return await look(arena, order.action.target) == {} and not left

    await arena.until("the new job and its pod are gone", is_gone)
    assert without_status(await arena.cluster.get(JOB, APP, arena.namespace)) == without_status(old)


async def test_no_second_repetition_beside_one_that_runs_and_none_over_one_that_is_there(arena: Arena) -> None:
    await failed_job(arena)
    await arena.create(JOB, job(f"{APP}-rerun-1", "sleep 3600"))
    owner = ObjectRef(kind="Job", namespace=arena.namespace, name=APP)
    for number in (1, 2):
        action = await here("rerun_job", number=number, deadline_seconds=60)(arena)
        refused = await arena.door.act(await arena.order(action, owner, approved=True))
        assert isinstance(refused, Refused), refused
        assert (refused.code, arena.diary.writes) == (R.NO_CHANGE, [])


async def test_a_job_that_somebody_made_of_that_name_is_not_undone(arena: Arena) -> None:
    order = await ordered(arena, CASES[0])
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    await arena.patch(JOB, order.action.target.name, {"metadata": {"labels": {"seen": "yes"}}})
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, Refused), undone
    assert (undone.code, len(arena.diary.done)) == (R.ROLLBACK_CONFLICT, 1)


async def test_a_hanging_job_goes_with_its_pods_and_cannot_be_brought_back(arena: Arena) -> None:
    order = await ordered(arena, CASES[1])
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted

    async def is_gone() -> bool:
        return await look(arena, order.action.target) == {} and not await pods_of(arena, APP)

    await arena.until("the job and its pod are gone", is_gone)
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, Refused), undone
    assert undone.code is R.UNDO_IMPOSSIBLE


async def redoing(arena: Arena) -> tuple[Order, Order]:
    """The two steps of one plan, as they are judged: before anything was done."""
    first = await ordered(arena, CASES[4])
    second = await arena.order(await RECREATE_JOB(arena), first.owner, approved=True)
    return first, replace(
        second, incident_id=first.incident_id, plan_id=first.plan_id, plan_hash=first.plan_hash, step=1
    )


async def test_a_failed_job_is_made_anew_in_two_steps_that_are_judged_as_one_plan(arena: Arena) -> None:
    first, second = await redoing(arena)
    before = await arena.get(first.action.target)
    judged = [await arena.door.assess(step) for step in (first, second)]
    assert [found.is_early for found in judged if isinstance(found, Ready)] == [False, True], judged
    assert arena.diary.lines == []
    await carried_out(arena, first)
    await carried_out(arena, second)
    live = await arena.get(first.action.target)
    assert (dig(live, "spec", "activeDeadlineSeconds"), dig(live, "spec", "suspend")) == (60, False)
    assert dig(live, "metadata", "uid") != dig(before, "metadata", "uid")
    assert dig(live, "spec", "template", "spec") == dig(before, "spec", "template", "spec")
    assert dig(live, "metadata", "labels", "team") == "books"
    assert await arena.door.check_postcondition(second) is None
    again = await arena.door.act(second)
    assert isinstance(again, Acted), again
    assert (again.resumed, arena.diary.done) == (True, ["done:delete", "done:create"])


async def test_a_failed_job_that_is_put_back_does_not_begin_its_work(arena: Arena) -> None:
    first, _ = await redoing(arena)
    before = await arena.get(first.action.target)
    acted = await carried_out(arena, first)
    await taken_back(arena, acted, first)
    after = await arena.get(first.action.target)
    assert dig(after, "spec", "suspend") is True
    assert dig(after, "spec", "template", "spec") == dig(before, "spec", "template", "spec")
    assert not await pods_of(arena, APP)


# Claims


async def test_room_that_was_given_is_not_taken_back(arena: Arena) -> None:
    order = await ordered(arena, CASES[2])
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    live = await arena.get(order.action.target)
    assert dig(live, "spec", "resources", "requests", "storage") == "20Mi"
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, Refused), undone
    assert undone.code is R.UNDO_IMPOSSIBLE


async def recreation(arena: Arena) -> tuple[Order, Order]:
    """The two steps of one plan, as they are judged: before anything was done."""
    first = await ordered(arena, CASES[3])
    action = await here("recreate_unbound_pvc", storage_class=arena.namespace)(arena)
    second = await arena.order(action, first.owner, approved=True)
    return first, replace(
        second, incident_id=first.incident_id, plan_id=first.plan_id, plan_hash=first.plan_hash, step=1
    )


async def carried_out(arena: Arena, order: Order) -> Acted:
    async def is_settled() -> bool:
        found.append(await arena.door.act(order))
        return not isinstance(found[-1], Again)

    found: list[Outcome] = []
    await arena.until(f"{order.action.tool} came to something", is_settled)
    acted = found[-1]
    assert isinstance(acted, Acted), acted
    return acted


async def taken_back(arena: Arena, acted: Acted, order: Order) -> None:
    async def is_settled() -> bool:
        found.append(await arena.door.undo(acted.action_id, order.incident_id))
        return not isinstance(found[-1], Again)

    found: list[Undoing] = []
    await arena.until(f"{order.action.tool} was taken back", is_settled)
    assert isinstance(found[-1], UndoneBy), found[-1]


async def test_a_claim_gets_another_class_in_two_steps_that_are_judged_as_one_plan(arena: Arena) -> None:
    first, second = await recreation(arena)
    before = await arena.get(first.action.target)
    judged = [await arena.door.assess(step) for step in (first, second)]
    assert all(isinstance(found, Ready) for found in judged), judged
    assert [found.is_early for found in judged if isinstance(found, Ready)] == [False, True]
    assert arena.diary.lines == []
    await carried_out(arena, first)
    await carried_out(arena, second)
    live = await arena.get(first.action.target)
    assert dig_str(live, "spec", "storageClassName") == arena.namespace
    assert dig(live, "metadata", "labels") == dig(before, "metadata", "labels")
    assert dig(live, "spec", "resources") == dig(before, "spec", "resources")
    assert dig(live, "metadata", "uid") != dig(before, "metadata", "uid")
    assert await arena.door.check_postcondition(second) is None
    again = await arena.door.act(second)
    assert isinstance(again, Acted), again
    assert (again.resumed, arena.diary.done) == (True, ["done:delete", "done:create"])


async def test_nothing_is_made_while_the_claim_is_there(arena: Arena) -> None:
    _, second = await recreation(arena)
    refused = await arena.door.act(second)
    assert isinstance(refused, Refused), refused
    assert (refused.code, arena.diary.lines) == (R.TARGET_EXISTS, [])


async def test_nothing_is_made_of_a_claim_that_somebody_else_removed(arena: Arena) -> None:
    _, second = await recreation(arena)
    gone = WriteRequest("delete", PVC, arena.namespace, APP, {})
    await arena.cluster.write(gone, dry_run=False)

    async def is_gone() -> bool:
        return await look(arena, second.action.target) == {}

    await arena.until("the claim is gone", is_gone)
    refused = await arena.door.act(second)
    assert isinstance(refused, Refused), refused
    assert (refused.code, arena.diary.writes) == (R.TARGET_UID_MISMATCH, [])


async def test_a_crash_between_the_two_steps_is_got_over_from_the_ledger(arena: Arena) -> None:
    first, second = await recreation(arena)
    await carried_out(arena, first)
    arena.door = Door(arena.watched, arena.ledger, FREE, arena.clock, registry.executors(), "selfheal")
    await carried_out(arena, second)
    live = await arena.get(first.action.target)
    assert dig_str(live, "spec", "storageClassName") == arena.namespace
    assert dig_object(live, "metadata", "labels") == {"team": "books"}


@pytest.mark.parametrize("steps", [1, 2], ids=["only the first step was done", "both steps were done"])
async def test_undoing_gives_back_the_claim_that_was_there(arena: Arena, steps: int) -> None:
    orders = (await recreation(arena))[:steps]
    before = await arena.get(orders[0].action.target)
    done = [await carried_out(arena, order) for order in orders]
    for acted in reversed(done):
        await taken_back(arena, acted, orders[0])
        record = await arena.ledger.action(acted.action_id)
        assert record is not None
        assert record.state is ActionState.UNDONE
    after = await arena.get(orders[0].action.target)
    assert dig(after, "spec") == dig(before, "spec")
    assert dig(after, "metadata", "labels") == dig(before, "metadata", "labels")


async def test_a_claim_that_is_bound_by_now_is_not_undone(arena: Arena) -> None:
    first, second = await recreation(arena)
    await carried_out(arena, first)
    acted = await carried_out(arena, second)
    change: JsonObject = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}}
    await arena.patch(PVC, APP, change)
    undone = await arena.door.undo(acted.action_id, first.incident_id)
    assert isinstance(undone, Refused), undone
    assert undone.code is R.ROLLBACK_CONFLICT
