"""PodDisruptionBudgets: how many of the selected pods may go now."""

from __future__ import annotations

import math

from evals.simulator.api.selectors import selects
from evals.simulator.api.store import Change
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    controller_of,
    integer,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    objects,
    parse_time,
    set_condition,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

_STALE_SECONDS = 120


class Budgets(Controller):
    """The disruption controller."""

    name, key = "disruption-controller", "poddisruptionbudgets.policy"

    def related(self, change: Change) -> list[Key]:
        """Budgets of the namespace that select a pod that changed, and all when a workload changed its size."""
        obj, namespace = change.object, namespace_of(change.object)
        if change.key == "pods":
            labels = [labels_of(o) for o in (obj, change.before) if o is not None]
            found = self.api.store.select(self.key, namespace)
            return [(namespace, name_of(b)) for b in found if any(selects(_selector(b), w) for w in labels)]
        if change.key in {"deployments.apps", "replicasets.apps", "statefulsets.apps"}:
            return [(namespace, name_of(b)) for b in self.api.store.select(self.key, namespace)]
        return []

    def sync(self, namespace: str, name: str) -> None:
        """Count and write the status."""
        budget = self.api.store.get(self.key, namespace, name)
        if budget is None or is_deleting(budget):
            return
        pods = [p for p in self.api.store.select("pods", namespace) if selects(_selector(budget), labels_of(p))]
        pods = [p for p in pods if dig_str(p, "status", "phase") not in {"Succeeded", "Failed"}]
        expected, desired = self._bounds(budget, pods)
        disrupted = self._disrupted(budget, pods)
        healthy = sum(1 for p in pods if is_ready(p) and not is_deleting(p) and name_of(p) not in disrupted)
        allowed = max(0, healthy - desired) if expected > 0 else 0
        status: JsonObject = {
            "observedGeneration": integer(budget, "metadata", "generation"),
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "conditions": [dict(c) for c in objects(budget, "status", "conditions")],
        }
        if disrupted:
            status["disruptedPods"] = {**disrupted}
            self.later(namespace, name, _STALE_SECONDS)
        value, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        set_condition(status, "DisruptionAllowed", value, reason, now=self.api.clock.now())
        self.api.set_status(self.api.kinds.by_key(self.key), budget, status)

    def _disrupted(self, budget: JsonObject, pods: list[JsonObject]) -> dict[str, JsonValue]:
        """Evictions that were granted and whose pods are not seen going yet."""
        going = {name_of(p) for p in pods if not is_deleting(p)}
        found: dict[str, JsonValue] = {}
        for name, at in dig_object(budget, "status", "disruptedPods").items():
            since = parse_time(at) if isinstance(at, str) else None
            if name in going and since and (self.api.clock.now() - since).total_seconds() < _STALE_SECONDS:
                found[name] = at
        return found

    def _bounds(self, budget: JsonObject, pods: list[JsonObject]) -> tuple[int, int]:
        """(expected, desired healthy)."""
        low, high = dig(budget, "spec", "minAvailable"), dig(budget, "spec", "maxUnavailable")
        if isinstance(low, int):
            return len(pods), low
        expected = self._expected(pods)
        if high is not None:
            return expected, max(0, expected - _part(high, expected))
        return expected, _part(low, expected)

    def _expected(self, pods: list[JsonObject]) -> int:
        """What the controllers of the pods want in sum."""
        owners: dict[str, int] = {}
        for pod in pods:
            ref = controller_of(pod)
            if ref is None:
                owners[name_of(pod)] = 1
                continue
            key = {"ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps"}.get(dig_str(ref, "kind"), "")
            owner = self.api.store.get(key, namespace_of(pod), dig_str(ref, "name"))
            above = controller_of(owner) if owner else None
            if above is not None and dig_str(above, "kind") == "Deployment":
                owner = self.api.store.get("deployments.apps", namespace_of(pod), dig_str(above, "name"))
            if owner is not None:
                owners[dig_str(owner, "metadata", "uid")] = integer(owner, "spec", "replicas", default=1)
        return sum(owners.values())


def _selector(budget: JsonObject) -> JsonValue:
    return dig(budget, "spec", "selector")


def _part(value: JsonValue, total: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(total * int(value[:-1]) / 100)
    return value if isinstance(value, int) else 0
