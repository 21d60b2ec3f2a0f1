"""A controller that does with ScaledObjects and ScaledJobs what KEDA does, as far as it shows in the cluster.

What it follows, from KEDA's documentation and its published behaviour (2.21): a HorizontalPodAutoscaler `keda-hpa-NAME`
made of each ScaledObject and removed while it is paused; the conditions Ready, Active, Fallback and Paused, without
times; failures counted per metric where a fallback is set; the way from none to one and back.  Two sorts of triggers:
`kubernetes-workload`, which counts pods by their labels, and any other, whose value a test gives (`give`) or which
cannot be read.

What it leaves out: authentication, scaling modifiers, idle replicas, Jobs (of a ScaledJob only the conditions are
kept), and the admission webhook.  A trigger is asked when the autoscaler asks, not from a cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from evals.simulator.api.core import Api, Write
from evals.simulator.api.identity import service_account
from evals.simulator.api.kinds import Kind
from evals.simulator.controllers.base import Controller
from evals.simulator.controllers.manager import Manager
from evals.simulator.objects import (
    annotations_of,
    clone,
    integer,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    objects,
    owner_reference,
    parse_time,
    put,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

_OWN: Final = "autoscaling.keda.sh/"
_LABEL: Final = "scaledobject.keda.sh/name"
_POLLING: Final = 30.0
_COOLDOWN: Final = 300.0
_BY_KEDA: Final = Write(service_account("keda", "keda-operator"), "keda")
_READY: Final = ("True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling")


@dataclass(frozen=True, slots=True)
class _Trigger:
    """One trigger of a ScaledObject; `goal` is what one replica is to bear."""

    metric: str
    goal: float
    value: float | None
    """None when it could not be read."""


class Keda(Controller):
    """ScaledObjects."""

    name, key = "keda-operator", "scaledobjects.keda.sh"

    def __init__(self, api: Api, manager: Manager) -> None:
        super().__init__(api, manager)
        self._given: dict[tuple[str, str], float] = {}
        self._polled: dict[str, float] = {}
        """When the triggers of each object were last asked: its own status must not have it ask again."""
        manager.metrics.external = self.metric

    def give(self, namespace: str, name: str, value: float | None) -> None:
        """What the triggers of a ScaledObject that count no pods say from now on; None: they cannot be read."""
        self._given.pop((namespace, name), None)
        if value is not None:
            self._given[namespace, name] = value
        self.sync(namespace, name)

    # ---- one ScaledObject

    def sync(self, namespace: str, name: str) -> None:
        """Make its autoscaler what it says, move the workload to and from zero, report."""
        item = self.api.store.get(self.key, namespace, name)
        if item is None or is_deleting(item):
            return
        self.later(namespace, name, _interval(item))
        item = self._labelled(item)
        status = clone(dig_object(item, "status"))
        held = _held(item)
        was_held = dig_str(_condition(status, "Paused"), "status") == "True"
        if held:
            _say(status, "Paused", "True", "ScaledObjectPaused", "ScaledObject is paused")
            self._remove_autoscaler(item)
            self._hold(item)
            _say(status, "Ready", "True", "ScaledObjectReady", "ScaledObject is paused")
        else:
            if was_held or not _condition(status, "Paused"):
                _say(status, "Paused", "False", "ScaledObjectUnpaused", "pause annotation removed for ScaledObject")
            self._work(item, status)
        if status != dig_object(item, "status"):
            self.api.set_status(self._kind(), item, status)

    def _work(self, item: JsonObject, status: JsonObject) -> None:
        target = self._target(item)
        if target is None:
            _, kind, name = _aim(item)
            missing = f'{kind.lower()}s.apps "{name}" not found'
            text = f"ScaledObject doesn't have correct scaleTargetRef specification: {missing}"
            _say(status, "Ready", "False", "ScaledObjectCheckFailed", text)
            _say(status, "Active", "Unknown", "UnknownState", "ScaledObject check failed")
            return
        triggers = self._triggers(item)
        self._make_autoscaler(item, triggers)
        status["hpaName"] = _autoscaler_name(item)
        status["externalMetricNames"] = [t.metric for t in triggers]
        failed = [t for t in triggers if t.value is None]
        falls_back = self._count_failures(item, status, triggers)
        if falls_back is not None:
            words = ("True", "FallbackExists", "At least one trigger is falling back on this scaled object")
            no = ("False", "NoFallbackFound", "No fallbacks are active on this scaled object")
            _say(status, "Fallback", *(words if falls_back else no))
        is_active = any(t.value for t in triggers)
        self._report(status, failed=bool(failed), active=is_active, has_fallback=falls_back is not None)
        self._to_and_from_zero(item, target, status, active=is_active, failed=bool(failed))

    @staticmethod
    def _report(status: JsonObject, *, failed: bool, active: bool, has_fallback: bool) -> None:
        if failed and active:
            text = "Some triggers defined in ScaledObject are not working correctly"
            _say(status, "Ready", "Unknown", "PartialTriggerError", text)
        elif failed and not has_fallback:
            text = "Triggers defined in ScaledObject are not working correctly"
            _say(status, "Ready", "False", "TriggerError", text)
        else:
            _say(status, "Ready", *_READY)
        if active:
            _say(status, "Active", "True", "ScalerActive", "Scaling is performed because triggers are active")
        else:
            text = "Scaling is not performed because triggers are not active"
            _say(status, "Active", "False", "ScalerNotActive", text)

    def _count_failures(self, item: JsonObject, status: JsonObject, triggers: list[_Trigger]) -> bool | None:
        """Per metric; whether any is beyond the threshold.  None, and nothing is counted, without a fallback."""
        fallback = dig_object(item, "spec", "fallback")
        if not fallback:
            return None
        health = dict(dig_object(status, "health"))
        for trigger in triggers if self._is_due(item) else ():
            before = integer(health, trigger.metric, "numberOfFailures")
            count = before + 1 if trigger.value is None else 0
            state: JsonObject = {"numberOfFailures": count, "status": "Failing" if count else "Happy"}
            health[trigger.metric] = state
        status["health"] = health
        return any(integer(h, "numberOfFailures") > integer(fallback, "failureThreshold") for h in health.values())

    def _is_due(self, item: JsonObject) -> bool:
        uid, now = uid_of(item), self.api.clock.monotonic()
        if now - self._polled.get(uid, -_POLLING * 1000) < _interval(item):
            return False
        self._polled[uid] = now
        return True

    def _to_and_from_zero(
        self, item: JsonObject, target: JsonObject, status: JsonObject, *, active: bool, failed: bool
    ) -> None:
        """What the autoscaler does not do: it leaves a workload at none alone."""
        current, least = integer(target, "spec", "replicas", default=1), integer(item, "spec", "minReplicaCount")
        if active:
            status["lastActiveTime"] = self.api.stamp()
            if current == 0:
                self._scale(target, max(least, 1))
        elif failed:
            return
        elif current < least:
            self._scale(target, least)
        elif current > 0 and least == 0 and self._has_cooled_down(item, status):
            self._scale(target, 0)

    def _has_cooled_down(self, item: JsonObject, status: JsonObject) -> bool:
        last = parse_time(dig_str(status, "lastActiveTime"))
        period = integer(item, "spec", "cooldownPeriod", default=int(_COOLDOWN))
        return last is None or (self.api.clock.now() - last).total_seconds() > period

    # ---- triggers

    def metric(self, namespace: str, selector: str, metric: str) -> float | None:
        """What KEDA's metrics server answers an autoscaler; None when the trigger fails and no fallback is due."""
        item = self.api.store.get(self.key, namespace, selector)
        if item is None:
            return None
        found = next((t for t in self._triggers(item) if t.metric == metric), None)
        if found is None or found.value is not None:
            return None if found is None else found.value
        failures = integer(item, "status", "health", metric, "numberOfFailures")
        fallback = dig_object(item, "spec", "fallback")
        if fallback and failures > integer(fallback, "failureThreshold"):
            return found.goal * integer(fallback, "replicas")
        return None

    def _triggers(self, item: JsonObject) -> list[_Trigger]:
        return [self._trigger(item, number, one) for number, one in enumerate(objects(item, "spec", "triggers"))]

    def _trigger(self, item: JsonObject, number: int, trigger: JsonObject) -> _Trigger:
        namespace, metadata = namespace_of(item), dig_object(trigger, "metadata")
        goal = float(dig_str(metadata, "value") or dig_str(metadata, "targetValue") or "1")
        if dig_str(trigger, "type") != "kubernetes-workload":
            given = self._given.get((namespace, name_of(item)))
            return _Trigger(f"s{number}-{dig_str(trigger, 'type')}", goal, given)
        wanted = dict(part.split("=", 1) for part in dig_str(metadata, "podSelector").split(",") if "=" in part)
        living = [p for p in self.api.store.select("pods", namespace) if dig_str(p, "status", "phase") in _LIVING]
        count = sum(all(labels_of(p).get(k) == v for k, v in wanted.items()) for p in living)
        return _Trigger(f"s{number}-workload-{namespace}", goal, float(count))

    # ---- what it makes

    def _make_autoscaler(self, item: JsonObject, triggers: list[_Trigger]) -> None:
        kind, namespace, name = self._autoscalers(), namespace_of(item), _autoscaler_name(item)
        version, target_kind, target = _aim(item)
        metrics: list[JsonValue] = [
            {
                "type": "External",
                "external": {
                    "metric": {"name": t.metric, "selector": {"matchLabels": {_LABEL: name_of(item)}}},
                    "target": {"type": "AverageValue", "averageValue": f"{t.goal:g}"},
                },
            }
            for t in triggers
        ]
        spec: JsonObject = {
            "scaleTargetRef": {"apiVersion": version, "kind": target_kind, "name": target},
            "minReplicas": max(1, integer(item, "spec", "minReplicaCount")),
            "maxReplicas": integer(item, "spec", "maxReplicaCount", default=100),
            "metrics": metrics,
        }
        known = self.api.store.get(kind.key, namespace, name)
        if known is None:
            made: JsonObject = {
                "metadata": {
                    "name": name,
                    "labels": {**dict(labels_of(item)), "app.kubernetes.io/managed-by": "keda-operator"},
                    "ownerReferences": [owner_reference(item)],
                },
                "spec": spec,
            }
            self.api.create(kind, namespace, made, _BY_KEDA)
        elif any(dig(known, "spec", key) != value for key, value in spec.items()):

            def change(obj: JsonObject) -> JsonObject:
                obj["spec"] = {**dig_object(obj, "spec"), **spec}
                return obj

            self.api.modify(kind, namespace, name, change, _BY_KEDA)

    def _remove_autoscaler(self, item: JsonObject) -> None:
        kind, namespace, name = self._autoscalers(), namespace_of(item), _autoscaler_name(item)
        if self.api.store.get(kind.key, namespace, name) is not None:
            self.api.delete(kind, namespace, name, {}, _BY_KEDA)

    def _hold(self, item: JsonObject) -> None:
        text, target = annotations_of(item).get(f"{_OWN}paused-replicas", ""), self._target(item)
        if target is not None and text.isdecimal() and integer(target, "spec", "replicas", default=1) != int(text):
            self._scale(target, int(text))

    def _scale(self, target: JsonObject, replicas: int) -> None:
        kind = self.api.kinds.of(target)
        if kind is None:
            return

        def change(obj: JsonObject) -> JsonObject:
            put(obj, replicas, "spec", "replicas")
            return obj

        self.api.modify(kind, namespace_of(target), name_of(target), change, _BY_KEDA)

    def _labelled(self, item: JsonObject) -> JsonObject:
        """With the label by which the metrics server finds it."""
        if labels_of(item).get(_LABEL) == name_of(item):
            return item

        def change(obj: JsonObject) -> JsonObject:
            put(obj, name_of(item), "metadata", "labels", _LABEL)
            return obj

        self.api.modify(self._kind(), namespace_of(item), name_of(item), change, _BY_KEDA)
        return self.api.get(self._kind(), namespace_of(item), name_of(item))

    def _target(self, item: JsonObject) -> JsonObject | None:
        _, kind_name, name = _aim(item)
        kind = next((k for k in self.api.kinds if k.kind == kind_name and "scale" in k.subresources), None)
        return None if kind is None else self.api.store.get(kind.key, namespace_of(item), name)

    def _kind(self) -> Kind:
        return self.api.kinds.by_key(self.key)

    def _autoscalers(self) -> Kind:
        return self.api.kinds.by_key("horizontalpodautoscalers.autoscaling")


class KedaJobs(Controller):
    """ScaledJobs: their conditions alone."""

    name, key = "keda-operator-jobs", "scaledjobs.keda.sh"

    def sync(self, namespace: str, name: str) -> None:
        """Say whether it is paused."""
        item = self.api.store.get(self.key, namespace, name)
        if item is None or is_deleting(item):
            return
        status = clone(dig_object(item, "status"))
        held = _held(item)
        reason = "ScaledJobPaused" if held else "ScaledJobUnpaused"
        text = "ScaledJob is paused" if held else "ScaledJob is unpaused"
        _say(status, "Paused", "True" if held else "False", reason, text)
        _say(status, "Ready", "True", "ScaledJobReady", "ScaledJob is defined correctly and is ready to scaling")
        if status != dig_object(item, "status"):
            self.api.set_status(self.api.kinds.by_key(self.key), item, status)


_LIVING: Final = frozenset({"", "Pending", "Running"})


def _held(item: JsonObject) -> bool:
    notes = annotations_of(item)
    if f"{_OWN}paused-replicas" in notes:
        return True
    return notes.get(f"{_OWN}paused", "false") not in {"0", "f", "F", "false", "FALSE", "False"}


def _interval(item: JsonObject) -> float:
    return float(integer(item, "spec", "pollingInterval", default=int(_POLLING)))


def _aim(item: JsonObject) -> tuple[str, str, str]:
    aim = dig_object(item, "spec", "scaleTargetRef")
    return dig_str(aim, "apiVersion") or "apps/v1", dig_str(aim, "kind") or "Deployment", dig_str(aim, "name")


def _autoscaler_name(item: JsonObject) -> str:
    return f"keda-hpa-{name_of(item)}"


def _condition(status: JsonObject, kind: str) -> JsonObject:
    found = next((c for c in dig_list(status, "conditions") if dig(c, "type") == kind), None)
    return dig_object(found)


def _say(status: JsonObject, kind: str, value: str, reason: str, message: str) -> None:
    """KEDA's conditions have no times."""
    fresh: JsonObject = {"type": kind, "status": value, "reason": reason, "message": message}
    others: list[JsonValue] = [c for c in dig_list(status, "conditions") if dig(c, "type") != kind]
    status["conditions"] = sorted([*others, fresh], key=lambda c: dig_str(c, "type"))
