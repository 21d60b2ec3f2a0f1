"""The cases of the edit family: a workload or Service as it was made, and one field of it that is set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.contract.executors.arena import Arena, resource_of, workload
from tests.contract.executors.cases import APP, Case, of_workload, refusing
from tools import registry
from tools.executors.actions import AnyAction
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_object
from tools.refs import ObjectRef

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
OUT = ReasonCode.PARAM_OUT_OF_RANGE
BUSYBOX = "localhost/heal-busybox"
OS = "kubernetes.io/os"
LIVENESS: JsonObject = {"httpGet": {"path": "/wrong", "port": 8080}, "initialDelaySeconds": 600}
PORTS: list[JsonValue] = [{"name": "http", "containerPort": 8080}]
Stage = Callable[[Arena], Awaitable[None]]


def container(**fields: JsonValue) -> JsonObject:
    """The container of every workload here, with other fields."""
    (made,) = dig_list(workload("Deployment", APP), "spec", "template", "spec", "containers")
    return {**dig_object(made), **fields}


def pods_with(**fields: JsonValue) -> JsonObject:
    """A merge patch of the template that puts these fields into its container."""
    return {"spec": {"template": {"spec": {"containers": [container(**fields)]}}}}


def made(kind: str, *, settle: bool = True, pod: JsonObject | None = None, **fields: JsonValue) -> Stage:
    async def stage(arena: Arena) -> None:
        document = workload(kind, APP)
        spec = dig_object(document, "spec", "template", "spec")
        spec |= {"containers": [container(**fields)], **(pod or {})}
        await arena.create(resource_of(kind), document)
        ref = ObjectRef(kind=kind, namespace=arena.namespace, name=APP)
        if settle:
            await arena.settled(ref)
            return

        async def is_seen() -> bool:
            live = await arena.get(ref)
            seen = dig_int(live, "status", "observedGeneration") == dig_int(live, "metadata", "generation")
            return seen and dig_int(live, "status", "replicas") == dig_int(live, "spec", "replicas")

        await arena.until("the controller made the pods", is_seen)

    return stage


async def settings(arena: Arena) -> None:
    await made("Deployment")(arena)
    await arena.create(resource_of("ConfigMap"), {"metadata": {"name": "settings"}, "data": {"MODE": "fast"}})


async def misled(arena: Arena) -> None:
    """A Service that selects nothing and leads to a port that is not there."""
    await made("Deployment", ports=PORTS)(arena)
    port: JsonObject = {"name": "web", "port": 80, "targetPort": 9999}
    spec: JsonObject = {"selector": {"app": "wbe", "tier": "front"}, "ports": [port]}
    await arena.create(resource_of("Service"), {"metadata": {"name": APP}, "spec": spec})


def of_service(
    selector: dict[str, str | None], target: int | str | None = None
) -> Callable[[Arena], Awaitable[AnyAction]]:
    async def make(arena: Arena) -> AnyAction:
        entries = [{"key": key, "value": value} for key, value in selector.items()]
        ports = [] if target is None else [{"port": "web", "target_port": target}]
        where = {"namespace": arena.namespace, "name": APP}
        return registry.parse("set_service", {**where, "selector": entries, "ports": ports})

    return make


async def service_to_nowhere(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    return await of_service({"app": "nobody"})(arena), OUT


PROBE = {
    "container": "main", "probe": "liveness", "path": None, "port": None, "scheme": None,
    "initial_delay_seconds": None, "period_seconds": None, "timeout_seconds": None, "failure_threshold": None,
}  # fmt: skip
ENV = {"container": "main", "variable": "VALUE", "operation": "literal", "value": None, "config_map": None, "key": None}
PLACEMENT = {"node_selector": [], "drop_required": [], "soften_spread": False, "default_scheduler": False}
SECURITY = {
    "container": "main", "run_as_non_root": False, "run_as_user": None, "forbid_privilege_escalation": False,
    "drop_all_capabilities": False, "runtime_default_seccomp": False, "read_only_root_filesystem": False,
}  # fmt: skip
AFFINITY: JsonObject = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": OS, "operator": "In", "values": ["plan9"]}]}]
        }
    }
}
SPREAD: list[JsonValue] = [
    {
        "maxSkew": 1,
        "topologyKey": "no/such",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": APP}},
    }
]


EDIT_CASES = (
    *(
        Case(
            f"set_image {kind}",
            made(kind),
            of_workload("set_image", kind, container="main", image=f"{BUSYBOX}:2"),
            refusing("set_image", kind, OUT, container="main", image="registry.example/web:2"),
            owner=kind,
            foreign=pods_with(image=f"{BUSYBOX}:3"),
        )
        for kind in KINDS
    ),
    Case(
        "set_probe",
        made("Deployment", livenessProbe=LIVENESS),
        of_workload("set_probe", "Deployment", **{**PROBE, "path": "/right", "port": 8081, "initial_delay_seconds": 0}),
        refusing("set_probe", "Deployment", OUT, **{**PROBE, "probe": "readiness", "path": "/right"}),
        foreign=pods_with(livenessProbe={**LIVENESS, "httpGet": {"path": "/other", "port": 9090}}),
    ),
    Case(
        "set_env adds from a ConfigMap",
        settings,
        of_workload(
            "set_env", "Deployment", **{**ENV, "variable": "MODE", "operation": "config_map", "config_map": "settings",
                                        "key": "MODE"}
        ),
        refusing(
            "set_env", "Deployment", OUT, **{**ENV, "operation": "config_map", "config_map": "settings", "key": "NOT"}
        ),
        foreign=pods_with(env=[{"name": "VALUE", "value": "1"}, {"name": "MODE", "value": "slow"}]),
    ),
    Case(
        "set_env changes",
        made("StatefulSet"),
        of_workload("set_env", "StatefulSet", **{**ENV, "value": "2"}),
        refusing("set_env", "StatefulSet", OUT, **{**ENV, "variable": "DB_PASSWORD", "value": "hunter2"}),
        owner="StatefulSet",
        foreign=pods_with(env=[{"name": "VALUE", "value": "3"}]),
    ),
    Case(
        "set_env removes the last one",
        made("DaemonSet"),
        of_workload("set_env", "DaemonSet", **{**ENV, "operation": "remove"}),
        refusing("set_env", "DaemonSet", ReasonCode.NO_CHANGE, **{**ENV, "variable": "NOT", "operation": "remove"}),
        owner="DaemonSet",
        foreign=pods_with(env=[{"name": "OTHER", "value": "3"}]),
    ),
    Case(
        "set_env removes one of three",
        made("Deployment", env=[{"name": name, "value": "1"} for name in ("A", "VALUE", "B")]),
        of_workload("set_env", "Deployment", **{**ENV, "operation": "remove"}),
        refusing("set_env", "Deployment", ReasonCode.NO_CHANGE, **{**ENV, "value": "1"}),
        foreign=pods_with(env=[{"name": "B", "value": "2"}]),
    ),
    Case(
        "set_command",
        made("Deployment"),
        of_workload("set_command", "Deployment", container="main", command=["sleep"], args=["7200"]),
        refusing("set_command", "Deployment", OUT, container="main", command=None, args=["--password", "hunter2"]),
        foreign=pods_with(command=["sleep", "1800"]),
    ),
    Case(
        "set_placement by selector",
        made("Deployment", settle=False, pod={"nodeSelector": {OS: "plan9"}}),
        of_workload("set_placement", "Deployment", **{**PLACEMENT, "node_selector": [{"key": OS, "value": "linux"}]}),
        refusing("set_placement", "Deployment", OUT, **{**PLACEMENT, "node_selector": [{"key": OS, "value": "beos"}]}),
        foreign={"spec": {"template": {"spec": {"nodeSelector": {OS: "hurd"}}}}},
    ),
    Case(
        "set_placement of all else",
        made(
            "Deployment",
            settle=False,
            pod={"affinity": AFFINITY, "topologySpreadConstraints": SPREAD, "schedulerName": "mine",
                 "nodeSelector": {OS: "plan9"}},
        ),
        of_workload(
            "set_placement", "Deployment", node_selector=[{"key": OS, "value": None}], drop_required=["node_affinity"],
            soften_spread=True, default_scheduler=True,
        ),
        refusing("set_placement", "Deployment", OUT, **{**PLACEMENT, "node_selector": [{"key": "no", "value": "x"}]}),
        foreign={"spec": {"template": {"spec": {"schedulerName": "theirs"}}}},
    ),
    Case(
        "set_security_context",
        made("Deployment"),
        of_workload(
            "set_security_context",
            "Deployment",
            **{**SECURITY, "run_as_non_root": True, "run_as_user": 1000, "drop_all_capabilities": True,
               "forbid_privilege_escalation": True, "runtime_default_seccomp": True},
        ),
        refusing("set_security_context", "Deployment", ReasonCode.NO_CHANGE, **SECURITY),
        foreign=pods_with(securityContext={"runAsUser": 2000}),
    ),
    Case(
        "set_service",
        misled,
        of_service({"app": APP, "tier": None}, "http"),
        service_to_nowhere,
        owner="Service",
        foreign={"spec": {"selector": {"app": "theirs"}}},
    ),
)  # fmt: skip
