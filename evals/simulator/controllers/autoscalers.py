"""HorizontalPodAutoscalers on CPU utilisation, from metrics that whoever runs the simulation gives."""

from __future__ import annotations

import math
from decimal import Decimal

from evals.simulator import quantity
from evals.simulator.api import crds
from evals.simulator.api.errors import ApiError
from evals.simulator.api.selectors import selects
from evals.simulator.controllers import pods
from evals.simulator.controllers.base import Controller
from evals.simulator.objects import (
    integer,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    objects,
    set_condition,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

NAME = "horizontal-pod-autoscaler"
_TOLERANCE = 0.1
_STABILISE_SECONDS = 300.0


class NoMetricError(Exception):
    """The metric cannot be had; the text is what the condition says, with this reason."""

    def __init__(self, text: str, reason: str = "FailedGetResourceMetric") -> None:
        super().__init__(text)
        self.reason = reason


class Autoscalers(Controller):
    """The HPA controller: looks every sync period, not on change."""

    name, key = NAME, "horizontalpodautoscalers.autoscaling"

    def sync(self, namespace: str, name: str) -> None:
        """Compute, scale, report, come back."""
        hpa = self.api.store.get(self.key, namespace, name)
        if hpa is None or is_deleting(hpa):
            return
        self.later(namespace, name, self.manager.timings.hpa_sync)
        conditions: list[JsonValue] = [dict(c) for c in objects(hpa, "status", "conditions")]
        status: JsonObject = {k: v for k, v in dig_object(hpa, "status").items() if k == "lastScaleTime"}
        status |= {"currentReplicas": 0, "desiredReplicas": 0, "currentMetrics": None, "conditions": conditions}
        target = self._target(hpa, status)
        if target is not None:
            self._scale(hpa, target, status)
        if status["currentMetrics"] is None:
            del status["currentMetrics"]
        self.api.set_status(self.api.kinds.by_key(self.key), hpa, status)

    def _say(self, status: JsonObject, type_: str, value: str, reason: str, text: str) -> None:
        set_condition(status, type_, value, reason, text, now=self.api.clock.now())

    def _target(self, hpa: JsonObject, status: JsonObject) -> JsonObject | None:
        ref = dig_object(hpa, "spec", "scaleTargetRef")
        kind_name, target = dig_str(ref, "kind"), dig_str(ref, "name")
        kind = next((k for k in self.api.kinds if k.kind == kind_name and "scale" in k.subresources), None)
        found = self.api.store.get(kind.key, namespace_of(hpa), target) if kind else None
        if kind is None or found is None:
            resource = kind.resource if kind else kind_name.lower()
            text = f'{resource} "{target}" not found'
            said = f"the HPA controller was unable to get the target's current scale: {text}"
            self._say(status, "AbleToScale", "False", "FailedGetScale", said)
            self.api.event(hpa, "Warning", "FailedGetScale", text, NAME)
            return None
        self._say(
            status,
            "AbleToScale",
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        )
        return found

    def _scale(self, hpa: JsonObject, target: JsonObject, status: JsonObject) -> None:
        current = integer(target, "spec", "replicas", default=1)
        status["currentReplicas"] = integer(target, "status", "replicas")
        low, high = integer(hpa, "spec", "minReplicas", default=1), integer(hpa, "spec", "maxReplicas", default=1)
        if current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._say(status, "ScalingActive", "False", "ScalingDisabled", text)
            return
        wanted, reason = current, ""
        if current > high:
            wanted, reason = high, "Current number of replicas above Spec.MaxReplicas"
        elif current < low:
            wanted, reason = low, "Current number of replicas below Spec.MinReplicas"
        else:
            try:
                by, what = self._by_cpu, "cpu resource utilization (percentage of request)"
                if dig_str(hpa, "spec", "metrics", 0, "type") == "External":
                    by, what = self._by_external, f"external metric {_external(hpa)[1]}"
                wanted = by(hpa, target, status, current)
                reason = f"{what} {'above' if wanted > current else 'below'} target"
            except NoMetricError as error:
                said = f"the HPA was unable to compute the replica count: {error}"
                self._say(status, "ScalingActive", "False", error.reason, said)
                self.api.event(hpa, "Warning", error.reason, str(error), NAME)
                text = f"invalid metrics (1 invalid out of 1), first error is: {error}"
                self.api.event(hpa, "Warning", "FailedComputeMetricsReplicas", text, NAME)
                status["desiredReplicas"] = current
                return
        bounded = min(max(wanted, low), high)
        self._limited(status, wanted, low, high)
        status["desiredReplicas"] = bounded
        if bounded != current:
            self._resize(hpa, target, bounded, reason, status)

    def _limited(self, status: JsonObject, wanted: int, low: int, high: int) -> None:
        if wanted > high:
            text = "the desired replica count is more than the maximum replica count"
            self._say(status, "ScalingLimited", "True", "TooManyReplicas", text)
        elif wanted < low:
            text = "the desired replica count is less than the minimum replica count"
            self._say(status, "ScalingLimited", "True", "TooFewReplicas", text)
        else:
            self._say(
                status,
                "ScalingLimited",
                "False",
                "DesiredWithinRange",
                "the desired count is within the acceptable range",
            )

    def _by_external(self, hpa: JsonObject, target: JsonObject, status: JsonObject, current: int) -> int:
        """The first external metric: how many replicas bear it at the goal for each."""
        del target
        scaled, metric, goal = _external(hpa)
        value = self.manager.metrics.external(namespace_of(hpa), scaled, metric)
        if value is None:
            raise NoMetricError(
                f"unable to get external metric {namespace_of(hpa)}/{metric}/nil: unable to fetch metrics from "
                "external metrics API: rpc error: code = Unknown desc = error when getting metric values",
                "FailedGetExternalMetric",
            )
        average: JsonObject = {"averageValue": f"{value / current:g}"}
        status["currentMetrics"] = [{"type": "External", "external": {"metric": {"name": metric}, "current": average}}]
        text = f"the HPA was able to successfully calculate a replica count from external metric {metric}"
        self._say(status, "ScalingActive", "True", "ValidMetricFound", text)
        if abs(value / (goal * current) - 1) <= _TOLERANCE:
            return current
        wanted = math.ceil(value / goal)
        return current if wanted < current and self._is_steady(hpa, status, current) else wanted

    def _by_cpu(self, hpa: JsonObject, target: JsonObject, status: JsonObject, current: int) -> int:
        selector = dig_object(target, "spec", "selector")
        found = [
            p for p in self.api.store.select("pods", namespace_of(hpa)) if selector and selects(selector, labels_of(p))
        ]
        found = [p for p in found if pods.is_active(p)]
        requested = Decimal(0)
        for pod in found:
            for container in objects(pod, "spec", "containers"):
                request = dig(container, "resources", "requests", "cpu")
                if request is None:
                    raise NoMetricError(
                        f"failed to get cpu utilization: missing request for cpu in container "
                        f"{dig_str(container, 'name')} "
                        f"of Pod {name_of(pod)}"
                    )
                requested += quantity.parse(request) * 1000
        used = self.manager.metrics.get(namespace_of(hpa), name_of(target))
        ready = [p for p in found if is_ready(p)]
        if used is None or not ready or not requested:
            raise NoMetricError(
                "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics "
                "returned from resource metrics API"
            )
        percent = float(used * len(ready)) / float(requested / len(found) * len(ready)) * 100
        goal = integer(hpa, "spec", "metrics", 0, "resource", "target", "averageUtilization", default=80)
        current_value: JsonObject = {"averageUtilization": int(percent), "averageValue": f"{int(used)}m"}
        status["currentMetrics"] = [{"type": "Resource", "resource": {"name": "cpu", "current": current_value}}]
        text = (
            "the HPA was able to successfully calculate a replica count from cpu resource utilization "
            "(percentage of request)"
        )
        self._say(status, "ScalingActive", "True", "ValidMetricFound", text)
        ratio = percent / goal
        if abs(ratio - 1) <= _TOLERANCE:
            return current
        wanted = math.ceil(current * ratio)
        return current if wanted < current and self._is_steady(hpa, status, current) else wanted

    def _is_steady(self, hpa: JsonObject, status: JsonObject, current: int) -> bool:
        return self.api.clock.monotonic() < self._steady_until(hpa, status, current)

    def _steady_until(self, hpa: JsonObject, status: JsonObject, current: int) -> float:
        """Scaling down waits until the load has been low for the stabilisation window."""
        text = dig_str(dig_object(hpa, "metadata"), "uid")
        known = self.manager.steady.get(text)
        if known is None or known[0] != current:
            known = (current, self.api.clock.monotonic() + _STABILISE_SECONDS)
            self.manager.steady[text] = known
        if self.api.clock.monotonic() < known[1]:
            said = "recent recommendations were higher than current one, applying the highest recent recommendation"
            self._say(status, "AbleToScale", "True", "ScaleDownStabilized", said)
        return known[1]

    def _resize(self, hpa: JsonObject, target: JsonObject, wanted: int, reason: str, status: JsonObject) -> None:
        kind = self.api.kinds.of(target)
        if kind is None:
            return

        def change(obj: JsonObject) -> JsonObject:
            path = crds.scale_paths(kind)[0] if kind.custom is not None else ["spec", "replicas"]
            crds.set_at(obj, path, wanted)
            return obj

        try:
            self.api.modify(kind, namespace_of(target), name_of(target), change, pods.by(NAME))
        except ApiError as error:
            self._say(status, "AbleToScale", "False", "FailedUpdateScale", error.message)
            return
        status["lastScaleTime"] = self.api.stamp()
        said = f"New size: {wanted}; reason: {reason}"
        self.api.event(hpa, "Normal", "SuccessfulRescale", said, NAME)
        self._say(
            status,
            "AbleToScale",
            "True",
            "SucceededRescale",
            f"the HPA controller was able to update the target scale to {wanted}",
        )


def _external(hpa: JsonObject) -> tuple[str, str, float]:
    """(the ScaledObject that its selector names, name of the metric, what one replica is to bear)."""
    metric = dig_object(hpa, "spec", "metrics", 0, "external")
    selector = dig_object(metric, "metric", "selector", "matchLabels")
    goal = quantity.parse(dig(metric, "target", "averageValue"))
    return dig_str(selector, "scaledobject.keda.sh/name"), dig_str(metric, "metric", "name"), float(goal)
