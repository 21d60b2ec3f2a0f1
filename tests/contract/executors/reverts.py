"""The cases of `revert_fields`: an object as it was declared, the drift, and somebody who writes to the same field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.contract.executors.arena import Arena, env_change, resource_of, workload
from tests.contract.executors.cases import APP, Case
from tools import registry
from tools.executors.actions import AnyAction
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_object
from tools.refs import ObjectRef

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Drift:
    """One kind: what is declared beside the name, and merge patches for the drift and for the foreign hand."""

    kind: str
    declared: JsonObject
    drift: JsonObject
    foreign: JsonObject
    approved: bool = False
    labels: JsonObject = field(default_factory=dict)


def stage(drift: Drift) -> Callable[[Arena], Awaitable[None]]:
    async def make(arena: Arena) -> None:
        ref = ObjectRef(kind=drift.kind, namespace=arena.namespace, name=APP)
        metadata: JsonObject = {"name": APP, **({"labels": drift.labels} if drift.labels else {})}
        body: JsonObject = {"metadata": metadata, **dig_object(drift.declared)}
        await arena.create(resource_of(drift.kind), body)
        arena.shelf.put(ref, body)
        if drift.kind in WORKLOADS:
            await arena.settled(ref)
        await arena.patch(resource_of(drift.kind), APP, drift.drift)
        if drift.kind in WORKLOADS:
            await arena.settled(ref)

    return make


def revert(kind: str, *, known: bool = True) -> Callable[[Arena], Awaitable[AnyAction]]:
    async def make(arena: Arena) -> AnyAction:
        ref = ObjectRef(kind=kind, namespace=arena.namespace, name=APP)
        version = arena.shelf.newest[ref] if known else "deadbeef"
        return registry.parse("revert_fields", {**ref.model_dump(), "version": version})

    return make


def unknown(kind: str) -> Callable[[Arena], Awaitable[tuple[AnyAction, ReasonCode]]]:
    async def make(arena: Arena) -> tuple[AnyAction, ReasonCode]:
        return await revert(kind, known=False)(arena), ReasonCode.VERSION_UNKNOWN

    return make


def rules(*verbs: JsonValue) -> JsonObject:
    return {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": [*verbs]}]}


def subjects(name: str) -> JsonObject:
    return {"subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]}


def ports(port: int, target: JsonValue) -> JsonObject:
    return {"ports": [{"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}]}


def quota(pods: str) -> JsonObject:
    return {"spec": {"hard": {"pods": pods}}}


def limit(cpu: str) -> JsonObject:
    return {"spec": {"limits": [{"type": "Container", "max": {"cpu": cpu}, "default": {"cpu": cpu}}]}}


def scaled(name: str, most: int) -> JsonObject:
    target: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {"spec": {"scaleTargetRef": target, "maxReplicas": most}}


def one_job() -> JsonObject:
    template = dig_object(workload("Deployment", APP), "spec", "template")
    spec: JsonObject = {**dig_object(template, "spec"), "restartPolicy": "Never"}
    return {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {**template, "spec": spec}}}}}


DRIFTS = (
    Drift("ConfigMap", {"data": {"MODE": "fast"}}, {"data": {"MODE": None, "MOED": "fast"}}, {"data": {"MOED": "x"}}),
    Drift(
        "Service",
        {"spec": {"selector": {"app": APP}, **ports(80, 8080)}},
        {"spec": {"selector": {"app": "wbe"}, **ports(80, 9999)}},
        {"spec": {"selector": {"app": "other"}, **ports(80, 7777)}},
        labels={"team": "shop"},
    ),
    Drift("HorizontalPodAutoscaler", scaled(APP, 4), scaled("wbe", 2), scaled("other", 3)),
    Drift(
        "PodDisruptionBudget",
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": APP}}}},
        {"spec": {"minAvailable": 5}},
        {"spec": {"minAvailable": 2}},
        approved=True,
    ),
    Drift("CronJob", one_job(), {"spec": {"suspend": True}}, {"spec": {"suspend": False}}, approved=True),
    Drift("ResourceQuota", quota("20"), quota("1"), quota("2"), approved=True),
    Drift("LimitRange", limit("2"), limit("10m"), limit("20m"), approved=True),
    Drift(
        "NetworkPolicy",
        {"spec": {"podSelector": {"matchLabels": {"app": "none"}}, "policyTypes": ["Ingress"]}},
        {"spec": {"podSelector": {"matchLabels": {"app": APP}}}},
        {"spec": {"podSelector": {"matchLabels": {"app": "other"}}}},
        approved=True,
    ),
    Drift("Role", rules("get", "list"), rules("list"), rules("watch"), approved=True),
    Drift(
        "RoleBinding",
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}, **subjects(APP)},
        subjects("wbe"),
        subjects("other"),
        approved=True,
    ),
    Drift(
        "ServiceAccount",
        {"imagePullSecrets": [{"name": "registry"}]},
        {"imagePullSecrets": [{"name": "wrong"}]},
        {"imagePullSecrets": [{"name": "other"}]},
        approved=True,
    ),
    *(
        Drift(kind, {"spec": workload(kind, APP)["spec"]}, env_change("2"), env_change("somebody's"))
        for kind in WORKLOADS
    ),
)
REVERT_CASES: tuple[Case, ...] = tuple(
    Case(
        f"revert_fields {drift.kind}",
        stage(drift),
        revert(drift.kind),
        unknown(drift.kind),
        owner=drift.kind,
        foreign=drift.foreign,
        approved=drift.approved,
        contested=drift.kind != "CronJob",
        owns_labels=True,
    )
    for drift in DRIFTS
)
