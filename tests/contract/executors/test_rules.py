"""What a running API server decides together with the guard: budgets, owners, modes, and plans that heal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.executors.arena import FREE, HPA, PDB, Arena, has_settled, resource_of, workload
from tests.contract.executors.cases import APP, of_workload, staged
from tests.contract.executors.test_contract import CASES as ALL_CASES
from tests.contract.executors.test_drain import IN_ROUNDS
from tests.contract.executors.test_jobs_and_claims import COVERED
from tests.contract.executors.test_lives import LIVES
from tools import registry
from tools.cluster.resources import NAMESPACE
from tools.executors.remote import RemoteExecutor
from tools.guard.door import Door
from tools.guard.orders import Acted, Order
from tools.guard.policy import Policy
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str
from tools.refs import ObjectRef


def web(arena: Arena, kind: str = "Deployment") -> ObjectRef:
    return ObjectRef(kind=kind, namespace=arena.namespace, name=APP)


async def refused(arena: Arena, order: Order, door: Door | None = None) -> ReasonCode:
    found = await (door or arena.door).act(order)
    assert isinstance(found, Refused), found
    assert arena.diary.done == []
    return found.code


async def test_a_disruption_budget_is_never_passed_by(arena: Arena) -> None:
    await staged("Deployment")(arena)
    budget: JsonObject = {"minAvailable": 1, "selector": {"matchLabels": {"app": APP}}}
    await arena.create(PDB, {"metadata": {"name": APP}, "spec": budget})

    async def is_counted() -> bool:
        found = await arena.cluster.get(PDB, APP, arena.namespace)
        return dig_object(found, "status").get("currentHealthy") == 1

    await arena.until("the budget was counted", is_counted)
    pod = dig_str((await arena.pods(APP))[0], "metadata", "name")
    action = registry.parse("evict_pod", {"namespace": arena.namespace, "name": pod})
    assert await refused(arena, await arena.order(action, web(arena))) is ReasonCode.PDB_BLOCKED


async def test_replicas_that_an_autoscaler_owns_are_left_to_it(arena: Arena) -> None:
    await staged("Deployment")(arena)
    spec: JsonObject = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
        "minReplicas": 1,
        "maxReplicas": 3,
    }
    await arena.create(HPA, {"metadata": {"name": "auto"}, "spec": spec})
    action = await of_workload("scale_workload", "Deployment", replicas=2)(arena)
    assert await refused(arena, await arena.order(action)) is ReasonCode.OWNED_BY_AUTOSCALER


@pytest.mark.parametrize(
    ("mode", "code"),
    [("off", ReasonCode.MODE_OFF), ("observe", ReasonCode.OBSERVE_ONLY), ("approve", ReasonCode.APPROVAL_REQUIRED)],
)
async def test_an_annotation_on_the_namespace_restricts(arena: Arena, mode: str, code: ReasonCode) -> None:
    await staged("Deployment")(arena)
    await arena.patch(NAMESPACE, arena.namespace, {"metadata": {"annotations": {"selfheal.dev/mode": mode}}})
    action = await of_workload("scale_workload", "Deployment", replicas=2)(arena)
    order = await arena.order(action)
    assert await refused(arena, order) is code
    if mode == "approve":
        assert isinstance(await arena.door.act(replace(order, approved=True)), Acted)


async def test_what_argo_cd_keeps_is_left_to_it(arena: Arena) -> None:
    await staged("Deployment")(arena)
    tracking = {"argocd.argoproj.io/tracking-id": f"shop:apps/Deployment:{arena.namespace}/web"}
    await arena.patch(resource_of("Deployment"), APP, {"metadata": {"annotations": tracking}})
    await arena.settled(web(arena))
    action = await of_workload("scale_workload", "Deployment", replicas=2)(arena)
    assert await refused(arena, await arena.order(action)) is ReasonCode.OWNED_BY_GITOPS


async def test_a_namespace_that_the_policy_protects_is_not_touched(arena: Arena) -> None:
    await staged("Deployment")(arena)
    policy = FREE.model_copy(
        update={"protected": Policy.model_validate({"protected": {"namespaces": ["door-*"]}}).protected}
    )
    door = Door(arena.watched, arena.ledger, policy, arena.clock, registry.executors(), "selfheal")
    action = await of_workload("scale_workload", "Deployment", replicas=2)(arena)
    assert await refused(arena, await arena.order(action), door) is ReasonCode.TARGET_PROTECTED


async def test_a_foreign_rollout_is_left_alone_and_the_bad_one_is_taken_back(arena: Arena) -> None:
    await staged("Deployment", replicas=2)(arena)
    broken = dig_list(workload("Deployment", APP, command="exit 7"), "spec", "template", "spec", "containers")
    await arena.patch(resource_of("Deployment"), APP, {"spec": {"template": {"spec": {"containers": broken}}}})

    async def is_rolling() -> bool:
        status = dig_object(await arena.get(web(arena)), "status")
        return (status.get("updatedReplicas"), status.get("replicas")) == (1, 3)

    await arena.until("the rollout is stuck halfway", is_rolling)
    restart = await of_workload("restart_workload", "Deployment")(arena)
    assert await refused(arena, await arena.order(restart)) is ReasonCode.ROLLOUT_IN_PROGRESS
    back = await of_workload("rollback_workload", "Deployment", to_revision=1)(arena)
    assert isinstance(await arena.door.act(await arena.order(back, reverses_rollout=True)), Acted)
    await arena.settled(web(arena))


async def test_a_stateful_set_heals_by_going_back_and_deleting_its_stuck_pod(arena: Arena) -> None:
    await staged("StatefulSet")(arena)
    broken = dig_list(workload("StatefulSet", APP), "spec", "template", "spec", "containers")
    assert isinstance(broken[0], dict)
    broken[0]["image"] = "registry.invalid/none:1"
    await arena.patch(resource_of("StatefulSet"), APP, {"spec": {"template": {"spec": {"containers": broken}}}})

    async def is_stuck() -> bool:
        statuses = [s for p in await arena.pods(APP) for s in dig_list(p, "status", "containerStatuses")]
        return any(dig_str(s, "state", "waiting", "reason") in {"ErrImagePull", "ImagePullBackOff"} for s in statuses)

    await arena.until("the pod has no image", is_stuck)
    back = await of_workload("rollback_workload", "StatefulSet", to_revision=1)(arena)
    first = await arena.order(back, reverses_rollout=True)
    assert isinstance(await arena.door.act(first), Acted)
    delete = registry.parse("delete_pod", {"namespace": arena.namespace, "name": f"{APP}-0"})
    second = await arena.order(delete, web(arena, "StatefulSet"))
    second = replace(second, incident_id=first.incident_id, plan_id=first.plan_id, step=1)
    acted = await arena.door.act(second)
    assert isinstance(acted, Acted), acted

    async def is_healed() -> bool:
        return has_settled(await arena.get(web(arena, "StatefulSet")))

    await arena.until("it healed", is_healed)


def test_every_action_has_a_case() -> None:
    covered = {case.name.split()[0] for case in ALL_CASES} | COVERED | {life.tool for life in LIVES} | IN_ROUNDS
    by_others = {name for name, executor in registry.ALL.items() if issubclass(executor, RemoteExecutor)}
    assert covered | by_others == set(registry.ALL), "what others carry out has a contract of its own, at the guard"
