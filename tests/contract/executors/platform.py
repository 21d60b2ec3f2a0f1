"""The cases of actions that patch a node, a rollout's pause, a schedule or an autoscaler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.contract.executors.arena import HPA, Arena, env_change, resource_of, workload
from tests.contract.executors.cases import APP, TEMPLATE_EDIT, Case, staged
from tools import registry
from tools.cluster.resources import CRON_JOB, NODE, WriteRequest
from tools.executors.actions import AnyAction
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

Made = Callable[[Arena], Awaitable[AnyAction]]
HELD = "team.example/held"
LONG_FROM_NOW = "2099-01-01T00:00:00Z"
CLOSED: JsonObject = {"key": "team.example/closed", "effect": "NoExecute"}
"""Keeps every pod away, those of DaemonSets too: a node without a kubelet must not disturb anybody else's test."""
OTHER: JsonObject = {"key": "team.example/other", "effect": "PreferNoSchedule"}


@dataclass(frozen=True)
class OnNode(Case):
    """A case about a node that only this arena has: no kubelet, so nothing runs there."""

    def owner_ref(self, arena: Arena) -> ObjectRef:
        return ObjectRef(kind="Node", namespace=None, name=arena.namespace)


def a_node(**spec: JsonValue) -> Callable[[Arena], Awaitable[None]]:
    """A node that calls itself ready: its controller has nothing to say about it for as long as a test takes."""

    async def stage(arena: Arena) -> None:
        taints: list[JsonValue] = [{"key": HELD, "effect": "NoSchedule", "value": "yes"}, CLOSED]
        await arena.create(NODE, {"metadata": {"name": arena.namespace}, "spec": {"taints": taints, **spec}})
        ready: JsonObject = {"type": "Ready", "status": "True", "reason": "Said", "lastHeartbeatTime": LONG_FROM_NOW}
        change: JsonObject = {"status": {"conditions": [ready]}}
        request = WriteRequest("patch", NODE, None, arena.namespace, change, "application/merge-patch+json", "status")
        await arena.cluster.write(request, dry_run=False)
        wanted = {(HELD, "NoSchedule"), (dig_str(CLOSED, "key"), "NoExecute")}
        if spec.get("unschedulable") is True:
            wanted.add(("node.kubernetes.io/unschedulable", "NoSchedule"))

        async def is_judged() -> bool:
            live = await arena.cluster.get(NODE, arena.namespace)
            return {(dig_str(t, "key"), dig_str(t, "effect")) for t in dig_list(live, "spec", "taints")} == wanted

        await arena.until("the node's controller judged it", is_judged)

    return stage


def on_node(name: str, **arguments: object) -> Made:
    async def make(arena: Arena) -> AnyAction:
        return registry.parse(name, {"name": arena.namespace, **arguments})

    return make


def here(name: str, **arguments: object) -> Made:
    async def make(arena: Arena) -> AnyAction:
        return registry.parse(name, {"namespace": arena.namespace, "name": APP, **arguments})

    return make


def refused_with(code: ReasonCode, make: Made) -> Callable[[Arena], Awaitable[tuple[AnyAction, ReasonCode]]]:
    async def ask(arena: Arena) -> tuple[AnyAction, ReasonCode]:
        return await make(arena), code

    return ask


async def held(arena: Arena) -> None:
    """Paused, and changed since: what was changed waits."""
    await staged("Deployment")(arena)
    await arena.patch(resource_of("Deployment"), APP, {"spec": {"paused": True}})
    await arena.patch(resource_of("Deployment"), APP, env_change("2"))


async def held_no_more(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    await arena.patch(resource_of("Deployment"), APP, {"spec": {"paused": False}})
    return await here("resume_rollout")(arena), ReasonCode.NO_CHANGE


def cron_job(*, suspend: bool) -> Callable[[Arena], Awaitable[None]]:
    async def stage(arena: Arena) -> None:
        pods = dig_object(workload("Deployment", APP), "spec", "template")
        spec: JsonObject = {**dig_object(pods, "spec"), "restartPolicy": "Never"}
        job: JsonObject = {"spec": {"template": {**pods, "spec": spec}}}
        body: JsonObject = {"schedule": "0 0 1 1 *", "suspend": suspend, "jobTemplate": job}
        await arena.create(CRON_JOB, {"metadata": {"name": APP}, "spec": body})

    return stage


async def autoscaled(arena: Arena) -> None:
    target: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP}
    spec: JsonObject = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4}
    await arena.create(HPA, {"metadata": {"name": APP}, "spec": spec})


SCHEDULE_EDIT: JsonObject = {"spec": {"schedule": "0 0 2 2 *"}}
TAINTS_EDIT: JsonObject = {"spec": {"taints": [CLOSED, OTHER]}}

PLATFORM_CASES: tuple[Case, ...] = (
    Case(
        "resume_rollout", held, here("resume_rollout"), held_no_more,
        foreign=TEMPLATE_EDIT, approved=True, contested=False,
    ),
    OnNode(
        "cordon_node", a_node(), on_node("cordon_node"), refused_with(ReasonCode.NO_CHANGE, on_node("uncordon_node")),
        owner="Node", foreign=TAINTS_EDIT, approved=True, contested=False,
    ),
    OnNode(
        "uncordon_node", a_node(unschedulable=True), on_node("uncordon_node"),
        refused_with(ReasonCode.NO_CHANGE, on_node("cordon_node")),
        owner="Node", foreign=TAINTS_EDIT, approved=True, contested=False,
    ),
    OnNode(
        "remove_taint", a_node(), on_node("remove_taint", key=HELD, effect="NoSchedule"),
        refused_with(
            ReasonCode.TARGET_PROTECTED,
            on_node("remove_taint", key="node.kubernetes.io/unreachable", effect="NoExecute"),
        ),
        owner="Node", foreign=TAINTS_EDIT, approved=True,
    ),
    Case(
        "suspend_cronjob", cron_job(suspend=False), here("suspend_cronjob"),
        refused_with(ReasonCode.NO_CHANGE, here("resume_cronjob")),
        owner="CronJob", foreign=SCHEDULE_EDIT, approved=True, contested=False,
    ),
    Case(
        "resume_cronjob", cron_job(suspend=True), here("resume_cronjob"),
        refused_with(ReasonCode.NO_CHANGE, here("suspend_cronjob")),
        owner="CronJob", foreign=SCHEDULE_EDIT, approved=True, contested=False,
    ),
    Case(
        "set_hpa_bounds", autoscaled, here("set_hpa_bounds", min_replicas=3, max_replicas=8),
        refused_with(ReasonCode.PARAM_OUT_OF_RANGE, here("set_hpa_bounds", min_replicas=None, max_replicas=9)),
        owner="HorizontalPodAutoscaler", foreign={"spec": {"maxReplicas": 5}},
    ),
)  # fmt: skip
