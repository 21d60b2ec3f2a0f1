"""What a ScaledObject or ScaledJob says of itself, read once for executors and detectors; pure.

The rules of KEDA that are kept here: a pause is an annotation on the object and not part of its specification; the
annotation `paused` counts unless its value is a boolean that is false; `paused-replicas` counts whatever it says, and
has the workload set to that number; bounds that are left out are 0 and 100.
https://keda.sh/docs/latest/reference/scaledobject-spec/ and .../scaledjob-spec/
"""

from __future__ import annotations

from typing import Final

from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str

_OWN: Final = "autoscaling.keda.sh/"
PAUSED: Final = f"{_OWN}paused"
PAUSED_REPLICAS: Final = f"{_OWN}paused-replicas"
PAUSED_SCALE_OUT: Final = f"{_OWN}paused-scale-out"
HOLDING: Final = (PAUSED, PAUSED_REPLICAS, PAUSED_SCALE_OUT)
"""Annotations that keep a workload from getting more replicas.  One that only keeps it from getting fewer holds up
nobody."""
DEFAULT_LEAST: Final = 0
DEFAULT_GREATEST: Final = 100
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""What Go reads as false."""


def holds(live: JsonObject) -> dict[str, str]:
    """The annotations that hold it at this moment, with their values."""
    annotations = dig_object(live, "metadata", "annotations")
    return {
        name: dig_str(annotations, name)
        for name in HOLDING
        if name in annotations and (name == PAUSED_REPLICAS or dig_str(annotations, name) not in _FALSE)
    }


def paused_replicas(live: JsonObject) -> int | None:
    """The number of replicas at which it is held; None when it is held at none in particular."""
    value = dig_str(live, "metadata", "annotations", PAUSED_REPLICAS)
    return int(value) if value.isdecimal() else None


def bounds(live: JsonObject) -> tuple[int, int]:
    """(least, greatest) in force."""
    least, greatest = (dig_int(live, "spec", name) for name in ("minReplicaCount", "maxReplicaCount"))
    return DEFAULT_LEAST if least is None else least, DEFAULT_GREATEST if greatest is None else greatest


def scales(live: JsonObject) -> tuple[str, str, str]:
    """(apiVersion, kind, name) of the workload of a ScaledObject; KEDA takes a Deployment where it is left out."""
    aim = dig_object(live, "spec", "scaleTargetRef")
    return dig_str(aim, "apiVersion") or "apps/v1", dig_str(aim, "kind") or "Deployment", dig_str(aim, "name")


def autoscaler_of(live: JsonObject) -> str:
    """The name of the HorizontalPodAutoscaler that KEDA made of it, as its status says; "" when there is none."""
    return dig_str(live, "status", "hpaName")
