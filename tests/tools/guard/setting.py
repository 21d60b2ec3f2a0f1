"""A sound world in which one order would be carried out: tests spoil one thing at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.tools.executors.objects import UID, pod, replica_set, workload
from tests.tools.guard.fake import FakeCluster, WatchedLedger
from tools import registry
from tools.executors.actions import AnyAction
from tools.guard.door import Door
from tools.guard.orders import Order, OrderContext
from tools.guard.policy import Policy
from tools.guard.world import Counts, World
from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str
from tools.ledger.ledger import Ledger
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId, ObjectRef, Pin, PlanId

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
POD = ObjectRef(kind="Pod", namespace="shop", name="web-1-a")
INCIDENT = IncidentId("inc-1")
AUTO = Policy.model_validate({"default": "auto"})

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
}


def web(**spec: Any) -> JsonObject:
    live = workload("Deployment", **spec)
    containers = dig_object(live, "spec", "template", "spec")["containers"]
    assert isinstance(containers, list)
    containers[0]["resources"] = {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}}  # type: ignore[index, call-overload]
    return live


def namespace(**annotations: Any) -> JsonObject:
    return {"kind": "Namespace", "metadata": {"name": "shop", "uid": "uid-ns", "annotations": annotations}}


def failed_pod() -> JsonObject:
    return pod(phase="Failed")


def action(tool: str = "scale_workload", /, **changes: Any) -> AnyAction:
    where = {"namespace": "shop", "name": "web-1-a" if tool.endswith("pod") else "web"}
    return registry.parse(tool, {**where, **ARGUMENTS[tool], **changes})


def pin(ref: ObjectRef, live: JsonObject) -> Pin:
    return Pin(
        ref=ref,
        uid=dig_str(live, "metadata", "uid"),
        resource_version=dig_str(live, "metadata", "resourceVersion"),
        generation=dig_int(live, "metadata", "generation"),
    )


def context(**changes: Any) -> OrderContext:
    scope = (pin(WEB, web()), pin(POD, failed_pod()))
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
    return context(**changes).order(action(name))


async def good_world(name: str = "scale_workload", *, policy: Policy = AUTO, **changes: Any) -> World:
    """Every check but the dry run says yes to this."""
    executor = registry.executors()[name]
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
        counts=Counts(0, 0, 0),
        holds_lock=True,
    )


def cluster(journal: list[str] | None = None) -> FakeCluster:
    made = FakeCluster(journal=journal if journal is not None else [])
    for document in (web(), failed_pod(), namespace(), replica_set(1, "shop/web:0"), replica_set(2, "shop/web:1")):
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
        executors = changes.pop("executors", registry.executors())
        return Door(
            self.cluster,
            self.ledger,
            changes.pop("policy", self.policy),
            self.clock,
            executors,
            "selfheal",
            jitter=lambda: 0.5,
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
    async with await Ledger.open(f"sqlite+aiosqlite:///{path}") as ledger:
        made = Setting(cluster(journal), WatchedLedger(ledger, journal), ledger, StillClock(), journal)
        await made.open(INCIDENT)
        yield made
