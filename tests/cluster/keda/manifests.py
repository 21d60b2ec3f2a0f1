"""ScaledObjects and their triggers as documents.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.jsontypes import JsonObject

CLOSED = "http://127.0.0.1:9"
"""An address where nobody listens: the operator is refused at once."""


def scaled_object(
    name: str,
    namespace: str,
    target: str,
    triggers: Sequence[JsonObject],
    *,
    bounds: tuple[int, int] = (1, 4),
    annotations: Mapping[str, str] | None = None,
    more: JsonObject | None = None,
) -> JsonObject:
    """A ScaledObject for the Deployment `target` that looks every 5 s.  `more`: further fields of its spec."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations or {})},
        "spec": {
            "scaleTargetRef": {"name": target},
            "pollingInterval": 5,
            "cooldownPeriod": 5,
            "minReplicaCount": bounds[0],
            "maxReplicaCount": bounds[1],
            "triggers": list(triggers),
            **(more or {}),
        },
    }


def at_all_times(replicas: int) -> JsonObject:
    """A trigger that wants so many replicas around the clock, but for a minute at midnight; no outside system."""
    return {
        "type": "cron",
        "metadata": {
            "timezone": "UTC",
            "start": "0 0 * * *",
            "end": "59 23 * * *",
            "desiredReplicas": str(replicas),
        },
    }


def prometheus(address: str = CLOSED) -> JsonObject:
    """A trigger that asks a Prometheus."""
    return {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {"serverAddress": address, "query": "vector(3)", "threshold": "1"},
    }
