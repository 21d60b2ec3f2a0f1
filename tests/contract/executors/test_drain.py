"""The contract of an action that takes several calls: each round is held to what every single call is held to.

The node is this arena's own and has no kubelet: its pods are placed and never run, and an eviction takes them at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.executors.arena import Arena, resource_of, without_status, workload
from tests.contract.executors.cases import APP
from tests.contract.executors.platform import LONG_FROM_NOW
from tools import registry
from tools.cluster.resources import NODE, POD, WriteRequest
from tools.errors import Unreachable
from tools.guard.orders import Acted, Again, Complete, Order, Ready, Turn, UndoneBy, action_id_of
from tools.guard.policy import Mode
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str
from tools.ledger.records import ActionState

R = ReasonCode
OURS = "team.example/drained"
REPLICAS = 3
IN_ROUNDS = {"drain_node"}


async def staged(arena: Arena, *, volumes: list[JsonObject] | None = None) -> None:
    """A node that calls itself ready, and pods of one Deployment that want to be there and nowhere else."""
    metadata: JsonObject = {"name": arena.namespace, "labels": {OURS: arena.namespace}}
    spec: JsonObject = {"taints": [{"key": OURS, "effect": "NoSchedule"}]}
    await arena.create(NODE, {"metadata": metadata, "spec": spec})
    ready: JsonObject = {"type": "Ready", "status": "True", "reason": "Said", "lastHeartbeatTime": LONG_FROM_NOW}
    room: JsonObject = {"cpu": "4", "memory": "4Gi", "pods": "20"}
    change: JsonObject = {"status": {"conditions": [ready], "capacity": room, "allocatable": room}}
    request = WriteRequest("patch", NODE, None, arena.namespace, change, "application/merge-patch+json", "status")
    await arena.cluster.write(request, dry_run=False)
    body: Any = workload("Deployment", APP, replicas=REPLICAS)
    wanted = body["spec"]["template"]["spec"]
    wanted["nodeSelector"] = {OURS: arena.namespace}
    wanted["tolerations"] = [{"key": OURS, "operator": "Exists"}]
    wanted["volumes"] = volumes or []
    await arena.create(resource_of("Deployment"), body)

    async def are_placed() -> bool:
        return len(await here(arena)) == REPLICAS

    await arena.until("the pods are placed", are_placed)


async def here(arena: Arena) -> list[str]:
    pods = await arena.cluster.list(POD, arena.namespace, field_selector=f"spec.nodeName={arena.namespace}")
    return sorted(dig_str(p, "metadata", "name") for p in pods if not dig_str(p, "metadata", "deletionTimestamp"))


async def drain(arena: Arena, **changes: Any) -> Order:
    action = registry.parse("drain_node", {"name": arena.namespace})
    return await arena.order(action, approved=True, **changes)


async def turn(arena: Arena, order: Order, number: int) -> Turn | Complete:
    found = await arena.door.next_round(replace(order, round=number))
    assert isinstance(found, Turn | Complete), found
    return found


async def carried_out(arena: Arena, order: Order) -> list[Order]:
    """Every round of it, in order; a round that cannot be told to have happened is asked for again."""
    done: list[Order] = []
    number = 0
    for _ in range(60):
        found = await turn(arena, order, number)
        if isinstance(found, Complete):
            return done
        acted = await arena.door.act(found.order)
        if isinstance(acted, Acted):
            done.append(found.order)
            number = found.order.round + 1
        else:
            assert isinstance(acted, Again), acted
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize("what", ["a bare pod", "data on the node", "nothing to do"])
async def test_refuses_when_its_precondition_fails(arena: Arena, what: str) -> None:
    await staged(arena, volumes=[{"name": "scratch", "emptyDir": {}}] if what == "data on the node" else None)
    expected = {"a bare pod": R.NO_CONTROLLER, "data on the node": R.LOCAL_DATA, "nothing to do": R.NO_CHANGE}[what]
    if what == "a bare pod":
        body: Any = workload("Deployment", "bare")
        spec: JsonObject = {**body["spec"]["template"]["spec"], "nodeName": arena.namespace}
        await arena.create(POD, {"metadata": {"name": "bare"}, "spec": spec})
    if what == "nothing to do":
        await carried_out(arena, await drain(arena))
        arena.diary.lines.clear()
    order = await drain(arena)
    assessed, asked = await arena.door.assess(order), await arena.door.next_round(order)
    assert isinstance(assessed, Refused), assessed
    assert isinstance(asked, Refused), asked
    assert (assessed.code, asked.code, arena.diary.lines) == (expected, expected, [])


async def test_changes_nothing_in_a_dry_run_and_waits_for_a_person(arena: Arena) -> None:
    await staged(arena)
    before, pods = await arena.cluster.get(NODE, arena.namespace), await here(arena)
    found = await arena.door.assess(await drain(arena))
    assert isinstance(found, Ready), found
    assert found.mode is Mode.APPROVE
    assert all(f"{arena.namespace}/{name}" in " ".join(found.approval_reasons) for name in pods)
    assert [change.path for change in found.diff] == ["/spec/unschedulable"]
    assert without_status(await arena.cluster.get(NODE, arena.namespace)) == without_status(before)
    assert (await here(arena), arena.diary.lines) == (pods, [])


async def test_it_is_no_single_order(arena: Arena) -> None:
    await staged(arena)
    refused = await arena.door.act(await drain(arena))
    assert isinstance(refused, Refused)
    assert (refused.code, arena.diary.lines) == (R.PLAN_SCHEMA, [])


async def test_the_first_round_has_the_id_of_the_step_and_no_other_has(arena: Arena) -> None:
    await staged(arena)
    order = await drain(arena)
    ids = [one.action_id for one in await carried_out(arena, order)]
    assert ids[0] == order.action_id == action_id_of(order.incident_id, order.plan_id, order.step)
    assert len(set(ids)) == len(ids) == REPLICAS + 1


async def test_it_ends_cordoned_and_empty_and_a_repetition_finds_it_done(arena: Arena) -> None:
    await staged(arena)
    order, pods = await drain(arena), await here(arena)
    done = await carried_out(arena, order)
    assert [one.action.tool for one in done] == ["cordon_node", *["evict_pod"] * REPLICAS]
    assert [one.action.target.name for one in done[1:]] == pods
    assert await here(arena) == []
    assert await arena.door.check_postcondition(order) is None
    assert len(arena.diary.done) == REPLICAS + 1
    again = await arena.door.act(done[1])
    assert isinstance(again, Acted)
    assert (again.resumed, len(arena.diary.done)) == (True, REPLICAS + 1)


@pytest.mark.parametrize("arrived", [True, False], ids=["the server had it", "it never arrived"])
async def test_an_answer_that_is_lost_is_found_by_reading_back(arena: Arena, arrived: bool) -> None:
    await staged(arena)
    lost: set[str] = set()

    async def lose(request: WriteRequest) -> None:
        if request.name not in lost:
            lost.add(request.name)
            raise Unreachable("the connection broke")

    arena.watched.after_call, arena.watched.before_call = (lose, None) if arrived else (None, lose)
    order, pods = await drain(arena), await here(arena)
    await carried_out(arena, order)
    assert lost == {arena.namespace, *pods}
    assert (await here(arena), len(arena.diary.done)) == ([], REPLICAS + 1), "each call once"


async def test_every_round_is_taken_back_in_its_own_way(arena: Arena) -> None:
    await staged(arena)
    before = without_status(await arena.cluster.get(NODE, arena.namespace))
    order = await drain(arena)
    ways: list[str] = []
    for one in reversed(await carried_out(arena, order)):
        undone = await arena.door.undo(one.action_id, order.incident_id)
        assert isinstance(undone, UndoneBy), undone
        ways.append(undone.by)
    assert ways == [*["controller"] * REPLICAS, "inverse"]
    assert without_status(await arena.cluster.get(NODE, arena.namespace)) == before


async def test_a_pod_that_somebody_else_moved_is_not_missed(arena: Arena) -> None:
    """Between the reading and the call, and after a call that was refused: the next round is another pod's."""
    await staged(arena)
    order, pods = await drain(arena), await here(arena)
    first = await turn(arena, order, 0)
    assert isinstance(first, Turn)
    assert isinstance(await arena.door.act(first.order), Acted)
    second = await turn(arena, order, 1)
    assert isinstance(second, Turn)

    async def take(request: WriteRequest) -> None:
        arena.watched.before_call = None
        gone = WriteRequest("delete", POD, arena.namespace, request.name, {})
        await arena.cluster.write(gone, dry_run=False)

    arena.watched.before_call = take
    refused = await arena.door.act(second.order)
    assert isinstance(refused, Refused), refused
    assert refused.code is R.TARGET_GONE
    record = await arena.ledger.action(second.order.action_id)
    assert record is not None
    assert record.state is ActionState.NOT_APPLIED
    third = await turn(arena, order, 1)
    assert isinstance(third, Turn)
    assert (third.order.action.target.name, third.order.round) == (pods[1], 2)


async def test_a_node_that_is_another_by_now_is_left(arena: Arena) -> None:
    await staged(arena)
    order = await drain(arena)
    await arena.cluster.write(WriteRequest("delete", NODE, None, arena.namespace, {}), dry_run=False)
    arena.outside.clear()
    refused = await arena.door.next_round(order)
    assert isinstance(refused, Refused), refused
    assert (refused.code, arena.diary.lines) == (R.TARGET_GONE, [])


async def test_the_pods_keep_what_they_had(arena: Arena) -> None:
    """Nothing is written onto a pod, and nothing but one field and our marks onto the node."""
    await staged(arena)
    before = await arena.cluster.get(NODE, arena.namespace)
    await carried_out(arena, await drain(arena))
    after = await arena.cluster.get(NODE, arena.namespace)
    assert dig(after, "spec", "unschedulable") is True
    assert dig_object(after, "metadata", "labels") == dig_object(before, "metadata", "labels")
    assert {(r.verb, r.subresource) for r in arena.watched.requests} == {("patch", None), ("create", "eviction")}
    assert {dig_str(t, "key") for t in dig_list(after, "spec", "taints")} >= {OURS}
