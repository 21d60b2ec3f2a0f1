"""The same contract for actions that make or delete whole objects, and for what undoing them does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.contract.executors import walk
from tests.contract.executors.arena import Arena, resource_of, without_status, workload
from tests.contract.executors.cases import APP
from tests.contract.executors.reverts import DRIFTS, Drift, one_job
from tests.contract.executors.walk import standing
from tools import registry
from tools.cluster.client import Cluster
from tools.cluster.resources import WriteRequest
from tools.executors.actions import AnyAction
from tools.executors.base import ACTION_ID, Action
from tools.executors.models.objects import RemoveObject
from tools.executors.whole import MADE_BY
from tools.guard.orders import Acted, Again, Order, OrderContext, Ready, UndoneBy
from tools.guard.policy import Mode
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.refs import IncidentId, ObjectRef, Pin, PlanId, absent_uid

R = ReasonCode
DECLARED: dict[str, Drift] = {drift.kind: drift for drift in DRIFTS}
AUTO_KINDS = ("ConfigMap", "Service", "ServiceAccount", "HorizontalPodAutoscaler")
RESTORED = (
    *AUTO_KINDS, "PodDisruptionBudget", "NetworkPolicy", "Role", "RoleBinding", "Deployment", "StatefulSet",
    "DaemonSet", "CronJob",
)  # fmt: skip
REMOVED = ("NetworkPolicy", "ResourceQuota", "LimitRange")
LABELLED: JsonObject = {"metadata": {"labels": {"team": "theirs"}}}


@dataclass(frozen=True)
class Life:
    """One action on one kind."""

    tool: str
    kind: str

    def ref(self, arena: Arena) -> ObjectRef:
        return ObjectRef(kind=self.kind, namespace=arena.namespace, name=APP)

    @property
    def makes(self) -> bool:
        return self.tool == "restore_object"


LIVES = (*(Life("restore_object", kind) for kind in RESTORED), *(Life("remove_object", kind) for kind in REMOVED))
every = pytest.mark.parametrize("life", LIVES, ids=[f"{x.tool} {x.kind}" for x in LIVES])
made = pytest.mark.parametrize("life", LIVES[: len(RESTORED)], ids=RESTORED)


def manifest(kind: str) -> JsonObject:
    body = {"CronJob": one_job(), **{k: {"spec": workload(k, APP)["spec"]} for k in RESTORED[8:11]}}.get(kind)
    return {"metadata": {"name": APP, "labels": {"team": "shop"}}, **(body or DECLARED[kind].declared)}


async def ordered(arena: Arena, life: Life, **changes: object) -> Order:
    """An order in a world where it makes sense: the object is missed, or it stands in the way."""
    ref = life.ref(arena)
    version = arena.shelf.put(ref, manifest(life.kind))
    if not life.makes:
        await arena.create(resource_of(life.kind), manifest(life.kind))
    return await order_for(arena, action(life, ref, version), approved=True, **changes)


def action(life: Life, ref: ObjectRef, version: str) -> AnyAction:
    return registry.parse(life.tool, {**ref.model_dump(), **({"version": version} if life.makes else {})})


async def order_for(arena: Arena, asked: Action, **changes: object) -> Order:
    """An order about the target itself, as it stands or is missed."""
    pin = await arena.pin(asked.target)
    incident = IncidentId(f"inc-{arena.namespace}-{len(arena.diary.lines)}-{asked.digest[:8]}")
    await arena.open_incident(incident, asked.target, pin.uid)
    context = OrderContext(
        incident_id=incident,
        plan_id=PlanId(f"plan-{incident}"),
        plan_hash="h",
        step=0,
        scope=(pin,),
        pin=pin,
        owner=asked.target,
        owner_uid=pin.uid,
        origin="rule",
    )
    return replace(context, **changes).order(asked)  # type: ignore[arg-type]


@every
async def test_it_waits_for_a_person_by_kind(arena: Arena, life: Life) -> None:
    order = replace(await ordered(arena, life), approved=False)
    found = await arena.door.assess(order)
    assert isinstance(found, Ready), found
    assert found.mode is (Mode.AUTO if life.kind in AUTO_KINDS else Mode.APPROVE)
    if found.mode is Mode.APPROVE:
        refused = await arena.door.act(order)
        assert isinstance(refused, Refused)
        assert (refused.code, arena.diary.lines) == (R.APPROVAL_REQUIRED, [])


@every
async def test_it_is_tried_carried_out_once_and_taken_back(arena: Arena, life: Life) -> None:
    order = await ordered(arena, life)
    before = await standing(arena, life.ref(arena))
    assert (before is None) is life.makes
    await walk.tried(arena, order)
    assert await standing(arena, life.ref(arena)) == before, "not even a new version"
    acted = await walk.carried_out_once(arena, order)
    live = await standing(arena, life.ref(arena))
    assert (live is None) is not life.makes
    if live is not None:
        assert_made(live, life, order)
    undone = await walk.taken_back(arena, order, acted)
    after = await standing(arena, life.ref(arena))
    assert declared(after) == declared(before)
    if after is not None:
        assert dig_str(after, "metadata", "uid") in undone.sentence


def assert_made(live: JsonObject, life: Life, order: Order) -> None:
    """It says what its version says, and bears our marks."""
    notes = dig_object(live, "metadata", "annotations")
    assert (notes[ACTION_ID], notes[MADE_BY]) == (order.action_id, order.action_id)
    assert dig_object(live, "metadata", "labels") == {"team": "shop"}
    assert ACTION_ID not in dig_object(live, "spec", "template", "metadata", "annotations")
    assert dig_object(live, "data") == dig_object(manifest(life.kind), "data")


def declared(document: JsonObject | None) -> JsonObject | None:
    """What a person declared: another life of it says the same."""
    if document is None:
        return None
    plain = without_status(document)
    metadata = {k: v for k, v in dig_object(plain, "metadata").items() if k not in {"uid", "creationTimestamp"}}
    notes = {k: v for k, v in dig_object(metadata, "annotations").items() if k != MADE_BY}
    return {**plain, "metadata": {**metadata, "annotations": notes}}


@every
async def test_undo_yields_to_somebody_who_came_after_us(arena: Arena, life: Life) -> None:
    order = await ordered(arena, life)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    if life.makes:
        await arena.patch(resource_of(life.kind), APP, LABELLED)
    else:
        await arena.create(resource_of(life.kind), manifest(life.kind))
    theirs = dig_str(await arena.get(life.ref(arena)), "metadata", "uid")
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, Refused), undone
    assert (undone.code, len(arena.diary.done)) == (R.ROLLBACK_CONFLICT, 1)
    assert dig_str(await arena.get(life.ref(arena)), "metadata", "uid") == theirs


@made
async def test_undo_leaves_a_life_that_somebody_made_of_the_same_manifest(arena: Arena, life: Life) -> None:
    order = await ordered(arena, life)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    ours = await arena.get(life.ref(arena))
    await delete(arena.cluster, life, ours)

    async def is_gone() -> bool:
        return await standing(arena, life.ref(arena)) is None

    await arena.until("the object is gone", is_gone)
    notes: JsonObject = {MADE_BY: str(order.action_id)}
    body = manifest(life.kind)
    copied = {**body, "metadata": {**dig_object(body, "metadata"), "annotations": notes}}
    await arena.create(resource_of(life.kind), copied)
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, Refused), undone
    assert (undone.code, len(arena.diary.done)) == (R.ROLLBACK_CONFLICT, 1)


async def delete(cluster: Cluster, life: Life, live: JsonObject) -> None:
    space = dig_str(live, "metadata", "namespace")
    await cluster.write(WriteRequest("delete", resource_of(life.kind), space, APP, {}), dry_run=False)


async def test_undo_finds_that_somebody_deleted_it_already(arena: Arena) -> None:
    life = Life("restore_object", "ConfigMap")
    order = await ordered(arena, life)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    await delete(arena.cluster, life, await arena.get(life.ref(arena)))
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, UndoneBy), undone
    assert (undone.by, len(arena.diary.done)) == ("nothing", 1)


@every
async def test_somebody_who_comes_between_dry_run_and_call_is_not_overwritten(arena: Arena, life: Life) -> None:
    order = await ordered(arena, life)

    async def meddle(request: WriteRequest) -> None:
        arena.watched.before_call = None
        if life.makes:
            await arena.create(request.resource, {**manifest(life.kind), "metadata": {"name": APP}})
        else:
            await arena.patch(request.resource, request.name, DECLARED[life.kind].foreign)

    arena.watched.before_call = meddle
    refused = await arena.door.act(order)
    assert isinstance(refused, Refused), refused
    assert (refused.code, arena.diary.done) == (R.TARGET_EXISTS if life.makes else R.TARGET_CHANGED, [])
    assert MADE_BY not in dig_object(await arena.get(life.ref(arena)), "metadata", "annotations")


@every
async def test_an_answer_that_is_lost_is_found_by_reading_back(arena: Arena, life: Life) -> None:
    await walk.carried_out_though_the_answer_is_lost(arena, await ordered(arena, life))


@every
async def test_a_call_that_never_arrived_is_found_not_to_have_happened(arena: Arena, life: Life) -> None:
    await walk.carried_out_after_a_call_that_never_arrived(arena, await ordered(arena, life))


# what is refused


@made
async def test_what_is_there_is_not_made_again(arena: Arena, life: Life) -> None:
    order = await ordered(arena, life)
    await arena.create(resource_of(life.kind), manifest(life.kind))
    for asked in (order, await order_for(arena, order.action, approved=True)):
        refused = await arena.door.act(asked)
        assert isinstance(refused, Refused), refused
        assert (refused.code, arena.diary.lines) == (R.TARGET_EXISTS, [])


async def test_what_is_still_on_its_way_out_is_made_when_it_is_gone(arena: Arena) -> None:
    life = Life("restore_object", "ConfigMap")
    held: JsonObject = {"metadata": {"name": APP, "finalizers": ["team.example/hold"]}, "data": {"MODE": "old"}}
    order = await ordered(arena, life)
    live = await arena.create(resource_of("ConfigMap"), held)
    await delete(arena.cluster, life, live)
    waiting = await arena.door.act(order)
    assert isinstance(waiting, Refused), waiting
    assert (waiting.code, waiting.retry_after_seconds) == (R.TARGET_DELETING, 5)
    await arena.patch(resource_of("ConfigMap"), APP, {"metadata": {"finalizers": None}})
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted


async def test_a_removal_that_waits_for_a_finalizer_is_taken_back_when_it_is_over(arena: Arena) -> None:
    life = Life("remove_object", "NetworkPolicy")
    order = await ordered(arena, life)
    await arena.patch(resource_of(life.kind), APP, {"metadata": {"finalizers": ["team.example/hold"]}})
    order = await order_for(arena, order.action, approved=True)
    acted = await arena.door.act(order)
    assert isinstance(acted, Acted), acted
    waiting = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(waiting, Again), waiting
    await arena.patch(resource_of(life.kind), APP, {"metadata": {"finalizers": None}})
    undone = await arena.door.undo(acted.action_id, order.incident_id)
    assert isinstance(undone, UndoneBy), undone


async def test_a_version_is_only_good_for_the_object_it_is_of(arena: Arena) -> None:
    life, other = Life("restore_object", "ConfigMap"), ObjectRef(kind="ConfigMap", namespace="elsewhere", name=APP)
    ref = life.ref(arena)
    known = arena.shelf.put(ref, manifest("ConfigMap"))
    elsewhere = arena.shelf.put(other, {"metadata": {"name": APP}, "data": {"MODE": "theirs"}})
    arena.shelf.kept[ref, "feedface"] = arena.shelf.kept[other, elsewhere]
    arena.shelf.kept[ref, "cafecafe"] = replace(
        arena.shelf.kept[ref, known], manifest={**arena.shelf.kept[ref, known].manifest, "kind": "Secret"}
    )
    for version in ("deadbeef", elsewhere, "feedface", "cafecafe"):
        refused = await arena.door.act(await order_for(arena, action(life, ref, version), approved=True))
        assert isinstance(refused, Refused), refused
        assert (refused.code, arena.diary.lines) == (R.VERSION_UNKNOWN, [])
    assert isinstance(await arena.door.act(await order_for(arena, action(life, ref, known))), Acted)


async def test_what_nobody_declared_is_made_again_only_while_something_fails(arena: Arena) -> None:
    life = Life("restore_object", "ConfigMap")
    ref = life.ref(arena)
    version = arena.shelf.put(ref, manifest("ConfigMap"), "last_known_good")
    order = await order_for(arena, action(life, ref, version))
    idle, failing = await arena.door.assess(order), await arena.door.assess(replace(order, shows_failure=True))
    assert isinstance(idle, Ready), idle
    assert isinstance(failing, Ready), failing
    assert (idle.mode, failing.mode) == (Mode.APPROVE, Mode.AUTO)


async def test_what_argo_cd_declares_is_left_to_it_though_it_is_gone(arena: Arena) -> None:
    life = Life("restore_object", "ConfigMap")
    ref = life.ref(arena)
    tracked = f"shop:/ConfigMap:{arena.namespace}/web"
    metadata: JsonObject = {"name": APP, "annotations": {"argocd.argoproj.io/tracking-id": tracked}}
    version = arena.shelf.put(ref, {"metadata": metadata, "data": {"MODE": "fast"}})
    refused = await arena.door.act(await order_for(arena, action(life, ref, version)))
    assert isinstance(refused, Refused), refused
    assert refused.code is R.OWNED_BY_GITOPS


async def test_a_network_policy_of_argo_cd_is_not_removed(arena: Arena) -> None:
    life = Life("remove_object", "NetworkPolicy")
    order = await ordered(arena, life)
    tracked = f"shop:networking.k8s.io/NetworkPolicy:{arena.namespace}/web"
    tracking: JsonObject = {"argocd.argoproj.io/tracking-id": tracked}
    await arena.patch(resource_of(life.kind), APP, {"metadata": {"annotations": tracking}})
    refused = await arena.door.act(await order_for(arena, order.action, approved=True))
    assert isinstance(refused, Refused), refused
    assert refused.code is R.OWNED_BY_GITOPS


async def test_an_object_that_was_not_missed_in_the_incident_is_not_made(arena: Arena) -> None:
    order = await ordered(arena, Life("restore_object", "ConfigMap"))
    another = ObjectRef(kind="ConfigMap", namespace=arena.namespace, name="other")
    for pin in (Pin.absent(another), order.scope[0].model_copy(update={"uid": "made-up"})):
        refused = await arena.door.act(replace(order, scope=(pin,), pin=None))
        assert isinstance(refused, Refused), refused
        assert refused.code in {R.TARGET_OUT_OF_SCOPE, R.TARGET_UID_MISMATCH}


async def test_the_incident_goes_on_with_what_it_made(arena: Arena) -> None:
    life = Life("restore_object", "ConfigMap")
    order = await ordered(arena, life)
    assert isinstance(await arena.door.act(order), Acted)
    await arena.patch(resource_of("ConfigMap"), APP, {"data": {"MODE": "slow"}})
    ref = life.ref(arena)
    again = registry.parse("revert_fields", {**ref.model_dump(), "version": arena.shelf.newest[ref]})
    second = replace(order, action=again, step=1, pin=await arena.pin(ref), scope=(await arena.pin(ref),))
    assert order.owner_uid == absent_uid(ref)
    acted = await arena.door.act(second)
    assert isinstance(acted, Acted), acted


def test_a_removal_of_any_other_kind_is_no_action() -> None:
    kinds = RemoveObject.model_json_schema()["properties"]["kind"]["enum"]
    assert sorted(kinds) == sorted(REMOVED)
