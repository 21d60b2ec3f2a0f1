"""A sound world in which one order would be carried out: tests spoil one thing at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.ledgers import ledger_at
from tests.tools.executors.objects import UID, pod, replica_set, workload
from tests.tools.guard import platform
from tests.tools.guard.fake import FakeCluster, WatchedLedger
from tools import registry
from tools.cluster.documents import content_of
from tools.executors.actions import AnyAction
from tools.executors.models.edit import EDITS
from tools.guard.door import Door
from tools.guard.orders import Order, OrderContext
from tools.guard.policy import Policy
from tools.guard.world import Counts, World
from tools.journal.versions import Version, Versions
from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str
from tools.ledger.ledger import Ledger
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId, ObjectRef, Pin, PlanId

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
POD = ObjectRef(kind="Pod", namespace="shop", name="web-1-a")
SERVICE = ObjectRef(kind="Service", namespace="shop", name="web")
CONFIG = ObjectRef(kind="ConfigMap", namespace="shop", name="web")
ACCOUNT = ObjectRef(kind="ServiceAccount", namespace="shop", name="web")
WALL = ObjectRef(kind="NetworkPolicy", namespace="shop", name="web")
INCIDENT = IncidentId("inc-1")
AUTO = Policy.model_validate({"default": "auto", "namespaces": {"shop": {"mode": "auto", "trusted_edits": EDITS}}})
IMAGE = "registry.example/shop/web"

ARGUMENTS: dict[str, dict[str, Any]] = {
    "rollback_workload": {"kind": "Deployment", "to_revision": 1},
    "restart_workload": {"kind": "Deployment"},
    "scale_workload": {"kind": "Deployment", "replicas": 2},
    "set_resources": {
        "kind": "Deployment",
        "container": "main",
        "memory_limit": "128Mi",
        "memory_request": None,
        "cpu_limit": None,
        "cpu_request": None,
    },
    "evict_pod": {},
    "delete_pod": {},
    "set_image": {"kind": "Deployment", "container": "main", "image": f"{IMAGE}:2"},
    "set_probe": {
        "kind": "Deployment",
        "container": "main",
        "probe": "liveness",
        "path": "/healthz",
        **dict.fromkeys(("port", "scheme", "initial_delay_seconds", "period_seconds", "timeout_seconds")),
        "failure_threshold": None,
    },
    "set_env": {
        "kind": "Deployment",
        "container": "main",
        "variable": "MODE",
        "operation": "literal",
        "value": "fast",
        "config_map": None,
        "key": None,
    },
    "set_command": {"kind": "Deployment", "container": "main", "command": ["serve"], "args": None},
    "set_placement": {
        "kind": "Deployment",
        "node_selector": [],
        "drop_required": [],
        "soften_spread": False,
        "default_scheduler": True,
    },
    "set_security_context": {
        "kind": "Deployment",
        "container": "main",
        "run_as_non_root": True,
        "run_as_user": 1000,
        "forbid_privilege_escalation": True,
        "drop_all_capabilities": True,
        "runtime_default_seccomp": True,
        "read_only_root_filesystem": False,
    },
    "set_service": {"selector": [{"key": "app", "value": "web"}], "ports": []},
    "revert_fields": {"kind": "ConfigMap", "version": "aaaaaaaa"},
    "restore_object": {"kind": "ServiceAccount", "version": "bbbbbbbb"},
    "remove_object": {"kind": "NetworkPolicy"},
    **platform.ARGUMENTS,
}
FOR_PEOPLE = frozenset({"remove_object"}) | platform.FOR_PEOPLE
"""Actions that a person must agree to, whatever the policy says."""
REGISTRIES = ("registry.example",)
"""What `set_image` may take from; the policy says so in a service."""


def web(**spec: Any) -> JsonObject:
    live = workload("Deployment", **spec)
    containers = dig_object(live, "spec", "template", "spec")["containers"]
    assert isinstance(containers, list)
    containers[0]["resources"] = {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}}  # type: ignore[index, call-overload]
    containers[0]["image"] = f"{IMAGE}:1"  # type: ignore[index, call-overload]
    containers[0]["livenessProbe"] = {"httpGet": {"path": "/", "port": 80}}  # type: ignore[index, call-overload]
    return live


def service() -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "uid-svc", "resourceVersion": "7"},
        "spec": {"selector": {"app": "wbe"}, "ports": [{"port": 80, "targetPort": 80}]},
    }


def config(**data: Any) -> JsonObject:
    metadata: JsonObject = {"name": "web", "namespace": "shop", "uid": "uid-cm", "resourceVersion": "8"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"MODE": "slow", **data}}


def account() -> JsonObject:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "shop"}}


def wall() -> JsonObject:
    metadata: JsonObject = {"name": "web", "namespace": "shop", "uid": "uid-np", "resourceVersion": "9"}
    spec: JsonObject = {"podSelector": {}, "policyTypes": ["Ingress"]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


class Shelf:
    """Versions of objects by their digests."""

    def __init__(self) -> None:
        fast = config(MODE="fast")
        fast["metadata"] = {"name": "web", "namespace": "shop"}
        self.kept: dict[tuple[ObjectRef, str], Version] = {
            (CONFIG, "aaaaaaaa"): Version(fast, "desired"),
            (ACCOUNT, "bbbbbbbb"): Version(account(), "desired"),
        }

    async def version(self, ref: ObjectRef, version: str) -> Version | None:
        return self.kept.get((ref, version))


def executors(versions: Versions | None = None) -> dict[str, registry.AnyExecutor]:
    return registry.executors(image_registries=REGISTRIES, versions=versions or Shelf())


def namespace(**annotations: Any) -> JsonObject:
    return {"kind": "Namespace", "metadata": {"name": "shop", "uid": "uid-ns", "annotations": annotations}}


def failed_pod() -> JsonObject:
    return pod(phase="Failed")


def action(tool: str = "scale_workload", /, **changes: Any) -> AnyAction:
    where = {"namespace": "shop", "name": "web-1-a" if tool.endswith("pod") else "web"}
    arguments = {**where, **ARGUMENTS[tool], **changes}
    if tool in {"cordon_node", "uncordon_node", "remove_taint"}:
        del arguments["namespace"]
    return registry.parse(tool, arguments)


def pin(ref: ObjectRef, live: JsonObject) -> Pin:
    return Pin(
        ref=ref,
        uid=dig_str(live, "metadata", "uid"),
        resource_version=dig_str(live, "metadata", "resourceVersion"),
        generation=dig_int(live, "metadata", "generation"),
        content=content_of(live),
    )


def context(**changes: Any) -> OrderContext:
    scope = (
        pin(WEB, web()),
        pin(POD, failed_pod()),
        pin(SERVICE, service()),
        pin(CONFIG, config()),
        Pin.absent(ACCOUNT),
        Pin.absent(platform.RERUN),
        *(pin(ref, live) for ref, live in platform.refs()),
        pin(WALL, wall()),
    )
    made = OrderContext(
        incident_id=INCIDENT,
        plan_id=PlanId("plan-1"),
        plan_hash="hash",
        step=0,
        scope=scope,
        pin=None,
        owner=WEB,
        owner_uid=UID,
        origin="rule",
    )
    return replace(made, **changes)


def order(name: str = "scale_workload", **changes: Any) -> Order:
    """What needs a person in every mode has one's agreement."""
    return context(**{"approved": name in FOR_PEOPLE, **changes}).order(action(name))


async def good_world(name: str = "scale_workload", *, policy: Policy = AUTO, **changes: Any) -> World:
    """Every check but the dry run says yes to this."""
    executor = executors()[name]
    asked = order(name, **changes)
    return World(
        order=asked,
        policy=policy,
        own_namespace="selfheal",
        now=NOW,
        executor=executor,
        situation=await executor.read(asked.action, cluster()),
        owner=web(),
        namespace=namespace(),
        autoscalers=(),
        permitted=True,
        paused_until=None,
        history=(),
        last_plan=None,
        owner_plans=(),
        counts=Counts(0, 0, 0),
        holds_lock=True,
    )


def cluster(journal: list[str] | None = None) -> FakeCluster:
    made = FakeCluster(journal=journal if journal is not None else [])
    for document in (
        web(),
        failed_pod(),
        service(),
        config(),
        wall(),
        namespace(),
        replica_set(1, f"{IMAGE}:0"),
        replica_set(2, f"{IMAGE}:1"),
        *platform.documents(),
    ):
        made.put(document)
    return made


class StillClock:
    """Time that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.at = NOW
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, delay: timedelta) -> None:
        self.slept.append(delay.total_seconds())
        self.at += delay


@dataclass
class Setting:
    """A door over a fake cluster and a real ledger."""

    cluster: FakeCluster
    ledger: WatchedLedger
    real: Ledger
    clock: StillClock
    journal: list[str]
    policy: Policy = AUTO

    def door(self, **changes: Any) -> Door:
        enabled = changes.pop("executors", executors())
        return Door(
            self.cluster,
            self.ledger,
            changes.pop("policy", self.policy),
            self.clock,
            enabled,
            "selfheal",
            jitter=lambda: 0.5,
            **changes,
        )

    async def open(self, incident: str) -> None:
        await self.real.open_incident(
            IncidentRecord(
                id=IncidentId(incident),
                fingerprint=incident,
                target=WEB,
                target_uid=f"{UID}-{incident}",
                status="open",
                is_open=True,
                opened_at=NOW,
                updated_at=NOW,
                document={},
            )
        )


@asynccontextmanager
async def setting(path: Path) -> AsyncIterator[Setting]:
    journal: list[str] = []
    async with await Ledger.open(await ledger_at(path)) as ledger:
        made = Setting(cluster(journal), WatchedLedger(ledger, journal), ledger, StillClock(), journal)
        await made.open(INCIDENT)
        yield made
