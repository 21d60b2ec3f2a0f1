"""ResourceQuota: what a namespace uses, and refusing what would exceed it."""

from __future__ import annotations

from decimal import Decimal

from evals.simulator import quantity
from evals.simulator.api.errors import forbidden
from evals.simulator.api.store import Store
from evals.simulator.objects import name_of, namespace_of, objects, texts
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

_COUNTED = {
    "pods": "pods",
    "services": "services",
    "configmaps": "configmaps",
    "secrets": "secrets",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
}


def is_over(pod: JsonObject) -> bool:
    """Whether the pod has ended: its resources are free."""
    return dig_str(pod, "status", "phase") in {"Succeeded", "Failed"}


def pod_usage(pod: JsonObject, resource: str) -> Decimal:
    """Of `requests.cpu`, `cpu`, `limits.memory` and the like: the sum over containers, or the largest init
    container.
    """
    part, _, name = resource.rpartition(".")
    part = part or "requests"

    def of(container: JsonObject) -> Decimal:
        return quantity.parse(dig(container, "resources", part, name))

    running = sum((of(c) for c in objects(pod, "spec", "containers")), Decimal(0))
    return max([running, *(of(c) for c in objects(pod, "spec", "initContainers"))])


def _usage(key: str, obj: JsonObject, resource: str) -> Decimal:
    """What one object takes of one quota resource."""
    if resource == f"count/{key}" or _COUNTED.get(key) == resource:
        return Decimal(1)
    if key == "pods" and resource.rpartition(".")[2] in {"cpu", "memory", "ephemeral-storage"}:
        return pod_usage(obj, resource)
    if key == "persistentvolumeclaims" and resource == "requests.storage":
        return quantity.parse(dig(obj, "spec", "resources", "requests", "storage"))
    return Decimal(0)


def _in_scope(quota: JsonObject, key: str, obj: JsonObject) -> bool:
    scopes = texts(quota, "spec", "scopes")
    if not scopes:
        return True
    if key != "pods":
        return False
    best_effort = dig_str(obj, "status", "qosClass") == "BestEffort"
    ends = dig(obj, "spec", "activeDeadlineSeconds") is not None
    tests = {
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "Terminating": ends,
        "NotTerminating": not ends,
    }
    return all(tests.get(s, False) for s in scopes)


def used(store: Store, quota: JsonObject) -> dict[str, Decimal]:
    """What the namespace uses of each resource the quota names."""
    totals = dict.fromkeys(dig_object(quota, "spec", "hard"), Decimal(0))
    keys = {"pods", "persistentvolumeclaims", *_COUNTED}
    keys |= {r.removeprefix("count/") for r in totals if r.startswith("count/")}
    for key in keys:
        for obj in store.select(key, namespace_of(quota)):
            if (key == "pods" and is_over(obj)) or not _in_scope(quota, key, obj):
                continue
            for resource in totals:
                totals[resource] += _usage(key, obj, resource)
    return totals


def check(store: Store, key: str, obj: JsonObject) -> None:
    """Raise 403 when creating `obj` would exceed a quota of its namespace, or when it lacks what the quota counts."""
    for quota in store.select("resourcequotas", namespace_of(obj)):
        hard = dig_object(quota, "spec", "hard")
        wanted = {r: _usage(key, obj, r) for r in hard if _in_scope(quota, key, obj)}
        if key == "pods":
            _must_specify(quota, obj, hard)
        wanted = {r: w for r, w in wanted.items() if w}
        if not wanted:
            continue
        have = used(store, quota)
        over = sorted(r for r, w in wanted.items() if have[r] + w > quantity.parse(hard[r]))
        if over:

            def shown(values: dict[str, Decimal], over: list[str] = over) -> str:
                return ",".join(f"{r}={quantity.show(r, values[r])}" for r in over)

            limited = {r: quantity.parse(hard[r]) for r in over}
            why = (
                f"exceeded quota: {name_of(quota)}, requested: {shown(wanted)}, used: {shown(have)}, "
                f"limited: {shown(limited)}"
            )
            raise forbidden(key, name_of(obj), why)


def _must_specify(quota: JsonObject, pod: JsonObject, hard: JsonObject) -> None:
    missing: list[str] = []
    for resource in sorted(hard):
        part, _, name = resource.rpartition(".")
        if name not in {"cpu", "memory"}:
            continue
        lacking = [
            dig_str(c, "name")
            for c in objects(pod, "spec", "containers")
            if dig(c, "resources", part or "requests", name) is None
        ]
        if lacking:
            missing.append(f"{resource} for: {','.join(lacking)}")
    if missing:
        raise forbidden("pods", name_of(pod), f"failed quota: {name_of(quota)}: must specify {'; '.join(missing)}")
