"""One incident's evidence, and the reasoner over a scripted model on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from evals.scripted_model.script import Capabilities, Reply, Script
from evals.scripted_model.server import ScriptedModel
from graph.incident import Family, Reason, Signal
from graph.model.build import build_model
from graph.model.config import Bounds, Investigation, ModelConfig, Planning, Retries
from graph.model.reasoner import ModelReasoner
from graph.model.schema import Catalog
from graph.model.session import ModelRecord
from graph.model.view import Offer, offer_of
from graph.observed import (
    CandidateRevert,
    ContainerFacts,
    ContainerSpec,
    EventFacts,
    Evidence,
    FieldChange,
    Health,
    LogExcerpt,
    PodFacts,
    WorkloadFacts,
)
from tests.tools.cluster.hostile import JumpClock
from tools import registry
from tools.clock import Clock
from tools.inspect.scope import Source
from tools.refs import ObjectRef, Pin

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
KEY = "sk-scripted-0123456789abcdef0123456789"
CATALOG = Catalog.of(registry.executors())


def pod_ref(name: str) -> ObjectRef:
    return ObjectRef(kind="Pod", namespace="shop", name=name)


def pin(ref: ObjectRef, uid: str) -> Pin:
    return Pin(ref=ref, uid=uid, resource_version="100", generation=4 if ref.kind == "Deployment" else None)


def failing_pod(name: str, message: str = "exit 1") -> PodFacts:
    return PodFacts(
        ref=pod_ref(name),
        uid=f"uid-{name}",
        revision="7d9c5b4f66",
        phase="Running",
        ready=False,
        node="node-1",
        containers=(
            ContainerFacts(
                name="app",
                image="shop/web:2",
                state="waiting",
                reason="CrashLoopBackOff",
                message=message,
                restarts=4,
                last_reason="Error",
                last_exit_code=1,
            ),
        ),
    )


def ready_pod(name: str) -> PodFacts:
    return PodFacts(
        ref=pod_ref(name),
        uid=f"uid-{name}",
        revision="5c6f7d8b99",
        phase="Running",
        ready=True,
        node="node-2",
        containers=(ContainerFacts(name="app", image="shop/web:1", state="running", ready=True),),
    )


def signal(message: str = "back-off 40s restarting failed container") -> Signal:
    return Signal(
        reason=Reason.CRASH_LOOP,
        family=Family.CRASH,
        object=pod_ref("web-7d9c5b4f66-aaaaa"),
        uid="uid-a",
        container="app",
        revision="7d9c5b4f66",
        message=message,
        observed_at=NOW,
    )


def revert(revision: int, health: Health = Health.CONFIRMED, **more: Any) -> CandidateRevert:
    changes = (FieldChange(path="containers[app].image", now="shop/web:2", then=f"shop/web:{revision}"),)
    return CandidateRevert(
        to_revision=revision,
        revision_hash=f"hash{revision}",
        health=health,
        created_at=NOW,
        **{"changes": changes, **more},
    )


def event(note: str, kind: str = "Warning") -> EventFacts:
    return EventFacts(about=WEB, type=kind, reason="BackOff", note=note, count=2, last_seen=NOW)


def log(text: str) -> LogExcerpt:
    return LogExcerpt(pod=pod_ref("web-7d9c5b4f66-aaaaa"), container="app", previous=True, text=text)


def evidence(**more: Any) -> Evidence:
    pods = (failing_pod("web-7d9c5b4f66-aaaaa"), ready_pod("web-5c6f7d8b99-bbbbb"))
    values: dict[str, Any] = {
        "observed_at": NOW,
        "workload": WorkloadFacts(
            ref=WEB,
            uid="uid-web",
            generation=4,
            observed_generation=4,
            desired=2,
            updated=1,
            ready=1,
            available=1,
            paused=False,
            revision=4,
            revision_hash="7d9c5b4f66",
        ),
        "containers": (ContainerSpec(name="app", image="shop/web:2", memory_limit="128Mi"),),
        "pods": pods,
        "signals": (signal(),),
        "candidates": (revert(3), revert(2, Health.UNKNOWN), revert(1, Health.BAD)),
        "rollout_is_recent": True,
        "events": (event("Back-off restarting failed container"),),
        "logs": (log("panic: no route table"),),
        "scope": (pin(WEB, "uid-web"), *(pin(p.ref, p.uid) for p in pods)),
    }
    return Evidence.model_validate({**values, **more})


def offered(found: Evidence | None = None, failed: frozenset[str] = frozenset()) -> Offer:
    offer = offer_of(found or evidence(), CATALOG.names, failed)
    assert offer is not None
    return offer


ROLLBACK: dict[str, Any] = {
    "action": "rollback_workload",
    "kind": "Deployment",
    "namespace": "shop",
    "name": "web",
    "to_revision": 3,
}
CONCLUSION: dict[str, Any] = {
    "cause": "bad_revision",
    "sentence": "Revision 4 brought an image that panics at start.",
    "confidence": 0.9,
    "safe_because": "Revision 3 was confirmed healthy.",
    "no_plan_because": None,
}


def plan(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    steps = [{"why": "it removes the cause", "action": a} for a in (actions or (ROLLBACK,))]
    return {**CONCLUSION, "steps": steps, **more}


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def rollback_call(revision: int = 3) -> dict[str, Any]:
    arguments = {**ROLLBACK, "to_revision": revision}
    name = arguments.pop("action")
    return call(name, why="it removes the cause", **arguments)


@dataclass
class Bench:
    """A reasoner, the server it asks, and what it put on record."""

    reasoner: ModelReasoner
    server: ScriptedModel
    clock: JumpClock
    records: list[ModelRecord] = field(default_factory=list)

    async def propose(self, found: Evidence | None = None, **more: Any) -> Any:
        values: dict[str, Any] = {"refusals": (), "failed": frozenset(), "incident_id": "inc-1", **more}
        return await self.reasoner.propose(found or evidence(), **values)


@asynccontextmanager
async def bench(
    replies: Sequence[dict[str, Any]],
    *,
    planning: Planning = Planning.SCHEMA,
    investigation: Investigation = Investigation.OFF,
    bounds: Bounds | None = None,
    retries: Retries | None = None,
    capabilities: dict[str, Any] | None = None,
    source: Source | None = None,
    clock: Clock | None = None,
    key: str | None = KEY,
) -> AsyncIterator[Bench]:
    script = Script(
        replies=tuple(Reply.model_validate(r) for r in replies),
        capabilities=Capabilities.model_validate(capabilities or {}),
    )
    records: list[ModelRecord] = []

    async def audit(record: ModelRecord) -> None:
        records.append(record)

    jumping = JumpClock()
    async with ScriptedModel(script) as server:
        config = ModelConfig(
            model="scripted-1",
            base_url=server.url,
            api_key=SecretStr(key) if key else None,
            planning=planning,
            investigation=investigation,
            bounds=bounds or Bounds(call_seconds=5),
            retries=retries or Retries(),
        )
        reasoner = build_model(
            config,
            executors=registry.executors(registry.without(argocd=False, scripts=False)),
            clock=clock or jumping,
            source=source,
            audit=audit,
        )
        assert reasoner is not None
        try:
            yield Bench(reasoner, server, jumping, records)
        finally:
            await reasoner.close()
