"""One case per action and kind: how its world is set up, what is ordered, and what it must refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.contract.executors.arena import Arena, env_change, resource_of, workload
from tools import registry
from tools.executors.actions import AnyAction
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, dig_list, dig_str
from tools.refs import ObjectRef

APP = "web"


@dataclass(frozen=True)
class Case:
    """`stage` sets the world up; `action` is what heals it, `refused` what must be refused, and with which code."""

    name: str
    stage: Callable[[Arena], Awaitable[None]]
    action: Callable[[Arena], Awaitable[AnyAction]]
    refused: Callable[[Arena], Awaitable[tuple[AnyAction, ReasonCode]]]
    owner: str = "Deployment"
    exact: bool = True
    foreign: JsonObject | None = None
    """A merge patch by somebody else on a field that the action changed."""

    approved: bool = False
    """Whether a person agreed: for what always waits for one."""
    contested: bool = True
    """Whether somebody can set what we set to a third value; a field that is either so or not cannot be."""

    owns_labels: bool = False
    """Whether it writes labels too, so that one which comes meanwhile stops it."""

    def owner_ref(self, arena: Arena) -> ObjectRef:
        return ObjectRef(kind=self.owner, namespace=arena.namespace, name=APP)


def staged(
    kind: str, *, replicas: int = 1, changed: bool = False, command: str = "sleep 3600", settle: bool = True
) -> Callable[[Arena], Awaitable[None]]:
    async def stage(arena: Arena) -> None:
        ref = ObjectRef(kind=kind, namespace=arena.namespace, name=APP)
        await arena.create(resource_of(kind), workload(kind, APP, replicas=replicas, command=command))
        if settle:
            await arena.settled(ref)
        if changed:
            await arena.patch(resource_of(kind), APP, env_change("2"))
            await arena.settled(ref)

    return stage


def of_workload(name: str, kind: str, **arguments: object) -> Callable[[Arena], Awaitable[AnyAction]]:
    async def make(arena: Arena) -> AnyAction:
        return registry.parse(name, {"kind": kind, "namespace": arena.namespace, "name": APP, **arguments})

    return make


def refusing(
    name: str, kind: str, code: ReasonCode, **arguments: object
) -> Callable[[Arena], Awaitable[tuple[AnyAction, ReasonCode]]]:
    async def make(arena: Arena) -> tuple[AnyAction, ReasonCode]:
        return await of_workload(name, kind, **arguments)(arena), code

    return make


async def paused_restart(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    await arena.patch(resource_of("Deployment"), APP, {"spec": {"paused": True}})
    return await of_workload("restart_workload", "Deployment")(arena), ReasonCode.WORKLOAD_PAUSED


async def first_pod(arena: Arena) -> str:
    return dig_str((await arena.pods(APP))[0], "metadata", "name")


def of_pod(name: str) -> Callable[[Arena], Awaitable[AnyAction]]:
    async def make(arena: Arena) -> AnyAction:
        return registry.parse(name, {"namespace": arena.namespace, "name": await first_pod(arena)})

    return make


async def bare_pod(arena: Arena, name: str) -> tuple[AnyAction, ReasonCode]:
    body = workload("Deployment", "bare")["spec"]
    assert isinstance(body, dict)
    made = body["template"]
    assert isinstance(made, dict)
    await arena.create(resource_of("Pod"), {"metadata": {"name": "bare"}, "spec": made["spec"]})
    return registry.parse(name, {"namespace": arena.namespace, "name": "bare"}), ReasonCode.NO_CONTROLLER


async def bare_eviction(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    return await bare_pod(arena, "evict_pod")


async def healthy_deletion(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    await arena.create(resource_of("Deployment"), workload("Deployment", "sound"))
    await arena.settled(ObjectRef(kind="Deployment", namespace=arena.namespace, name="sound"))
    pod = dig_str((await arena.pods("sound"))[0], "metadata", "name")
    return registry.parse("delete_pod", {"namespace": arena.namespace, "name": pod}), ReasonCode.POD_HEALTHY


async def crashing(arena: Arena) -> None:
    await staged("Deployment", command="exit 3", settle=False)(arena)

    async def is_waiting() -> bool:
        """Between two starts: while a container runs that will end, its pod is ready."""
        found = [s for p in await arena.pods(APP) for s in dig_list(p, "status", "containerStatuses")]
        return any(dig_str(s, "state", "waiting", "reason") == "CrashLoopBackOff" for s in found)

    await arena.until("the pod waits to be started again", is_waiting)


TEMPLATE_EDIT = env_change("somebody's")
REPLICAS_EDIT: JsonObject = {"spec": {"replicas": 4}}


def resources_edit() -> JsonObject:
    change = env_change("1")
    spec = change["spec"]
    assert isinstance(spec, dict)
    container = dig_list(spec, "template", "spec", "containers")[0]
    assert isinstance(container, dict)
    container["resources"] = {"limits": {"memory": "96Mi"}}
    return change


CASES = (
    *(
        Case(
            f"rollback_workload {kind}",
            staged(kind, changed=True),
            of_workload("rollback_workload", kind, to_revision=1),
            refusing("rollback_workload", kind, ReasonCode.NO_REVISION, to_revision=2),
            owner=kind,
            foreign=TEMPLATE_EDIT,
        )
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
    ),
    *(
        Case(
            f"restart_workload {kind}",
            staged(kind),
            of_workload("restart_workload", kind),
            paused_restart
            if kind == "Deployment"
            else refusing("rollback_workload", kind, ReasonCode.NO_REVISION, to_revision=7),
            owner=kind,
            exact=False,
        )
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
    ),
    Case(
        "scale_workload Deployment",
        staged("Deployment"),
        of_workload("scale_workload", "Deployment", replicas=2),
        refusing("scale_workload", "Deployment", ReasonCode.NO_CHANGE, replicas=1),
        foreign=REPLICAS_EDIT,
    ),
    Case(
        "scale_workload StatefulSet",
        staged("StatefulSet"),
        of_workload("scale_workload", "StatefulSet", replicas=2),
        refusing("scale_workload", "StatefulSet", ReasonCode.NO_CHANGE, replicas=1),
        owner="StatefulSet",
        foreign=REPLICAS_EDIT,
    ),
    Case(
        "set_resources Deployment",
        staged("Deployment"),
        of_workload(
            "set_resources",
            "Deployment",
            container="main",
            memory_limit="131072Ki",
            memory_request=None,
            cpu_limit=None,
            cpu_request="10m",
        ),
        refusing(
            "set_resources",
            "Deployment",
            ReasonCode.PARAM_OUT_OF_RANGE,
            container="main",
            memory_limit="4Gi",
            memory_request=None,
            cpu_limit=None,
            cpu_request=None,
        ),
        foreign=resources_edit(),
    ),
    Case("evict_pod", staged("Deployment"), of_pod("evict_pod"), bare_eviction, exact=False),
    Case("delete_pod", crashing, of_pod("delete_pod"), healthy_deletion, exact=False),
)
