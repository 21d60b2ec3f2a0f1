"""The status of a Deployment: counts, Available, Progressing with its deadline, ReplicaFailure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.simulator.objects import (
    condition,
    integer,
    name_of,
    namespace_of,
    objects,
    parse_time,
    set_condition,
    stamp,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_str

if TYPE_CHECKING:
    from evals.simulator.controllers.deployments import Deployments


def _sum(sets: list[JsonObject], field: str) -> int:
    return sum(integer(s, "status", field) for s in sets)


def report(controller: Deployments, deployment: JsonObject, sets: list[JsonObject], current: JsonObject | None) -> None:
    """Write the status and, while a rollout is under way, look again when its deadline passes."""
    api = controller.api
    fresh = next((s for s in sets if current is not None and uid_of(s) == uid_of(current)), None)
    total = integer(deployment, "spec", "replicas", default=1)
    available, replicas = _sum(sets, "availableReplicas"), _sum(sets, "replicas")
    updated = integer(fresh, "status", "replicas") if fresh else 0
    conditions: list[JsonValue] = [dict(c) for c in objects(deployment, "status", "conditions")]
    status: JsonObject = {"observedGeneration": integer(deployment, "metadata", "generation")}
    counts = {
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total - available) if replicas <= total else max(0, replicas - available),
    }
    status |= {k: v for k, v in counts.items() if v}
    status["conditions"] = conditions
    _available_condition(controller, deployment, status, available)
    _failure(sets, status, controller)
    _progressing(controller, deployment, status, fresh, replicas=replicas, updated=updated, available=available)
    api.set_status(api.kinds.by_key(controller.key), deployment, status)


def _available_condition(controller: Deployments, deployment: JsonObject, status: JsonObject, available: int) -> None:
    from evals.simulator.controllers.deployments import bounds

    total = integer(deployment, "spec", "replicas", default=1)
    rolling = dig_str(deployment, "spec", "strategy", "type") == "RollingUpdate"
    least = total - (bounds(deployment).unavailable if rolling else 0)
    now = controller.api.clock.now()
    if available >= least:
        text = "Deployment has minimum availability."
        set_condition(status, "Available", "True", "MinimumReplicasAvailable", text, now=now, update=True)
    else:
        text = "Deployment does not have minimum availability."
        set_condition(status, "Available", "False", "MinimumReplicasUnavailable", text, now=now, update=True)


def _failure(sets: list[JsonObject], status: JsonObject, controller: Deployments) -> None:
    failing = next((c for s in sets if (c := condition(s, "ReplicaFailure")) and c.get("status") == "True"), None)
    conditions = status["conditions"]
    if failing is not None:
        reason, message = dig_str(failing, "reason"), dig_str(failing, "message")
        set_condition(status, "ReplicaFailure", "True", reason, message, now=controller.api.clock.now(), update=True)
    elif isinstance(conditions, list):
        status["conditions"] = [
            c for c in conditions if not (isinstance(c, dict) and c.get("type") == "ReplicaFailure")
        ]


def _progressing(
    controller: Deployments,
    deployment: JsonObject,
    status: JsonObject,
    fresh: JsonObject | None,
    *,
    replicas: int,
    updated: int,
    available: int,
) -> None:
    now, name = controller.api.clock.now(), name_of(deployment)
    deadline = integer(deployment, "spec", "progressDeadlineSeconds", default=600)
    old = condition(deployment, "Progressing")
    if dig(deployment, "spec", "paused") is True:
        set_condition(
            status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now=now, update=True
        )
        return
    if old is not None and old.get("reason") == "DeploymentPaused":
        set_condition(
            status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now=now, update=True
        )
        old = condition({"status": status}, "Progressing")
    total = integer(deployment, "spec", "replicas", default=1)
    set_name = name_of(fresh) if fresh else ""
    complete = fresh is not None and updated == total and replicas == total and available == total
    if complete:
        text = f'ReplicaSet "{set_name}" has successfully progressed.'
        set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", text, now=now, update=True)
        return
    before = dig(deployment, "status") or {}
    moved = any(
        integer(before, f) < v for f, v in (("updatedReplicas", updated), ("readyReplicas", integer(status,
        "readyReplicas")),
                                            ("availableReplicas", available))
    ) or integer(before, "replicas") - integer(before, "updatedReplicas") > replicas - updated  # fmt: skip
    began = old is None or (
        old.get("reason") == "NewReplicaSetAvailable" and f'"{set_name}"' not in dig_str(old, "message")
    )
    if began:
        text = f'Created new replica set "{set_name}"'
        fresh_one = integer(fresh, "metadata", "generation") == 1 if fresh else True
        reason = "NewReplicaSetCreated" if fresh_one else "FoundNewReplicaSet"
        text = text if fresh_one else f'Found new replica set "{set_name}"'
        set_condition(status, "Progressing", "True", reason, text, now=now, update=True)
    elif old is not None and old.get("reason") == "NewReplicaSetAvailable":
        return
    elif moved:
        text = f'ReplicaSet "{set_name}" is progressing.'
        if not set_condition(status, "Progressing", "True", "ReplicaSetUpdated", text, now=now, update=True):
            _touch(status, stamp(now))
    elif old is not None and old.get("reason") != "ProgressDeadlineExceeded":
        since = parse_time(dig_str(old, "lastUpdateTime"))
        if since is not None and (now - since).total_seconds() >= deadline:
            text = f'ReplicaSet "{set_name}" has timed out progressing.'
            set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", text, now=now, update=True)
            return
    latest = condition({"status": status}, "Progressing") or {}
    if latest.get("reason") != "ProgressDeadlineExceeded":
        since = parse_time(dig_str(latest, "lastUpdateTime"))
        left = deadline - (now - since).total_seconds() if since else deadline
        controller.later(namespace_of(deployment), name, max(0.5, left + 1.0))


def _touch(status: JsonObject, at: str) -> None:
    """Progress was made again: the deadline counts from now."""
    found = condition({"status": status}, "Progressing")
    if found is not None:
        found["lastUpdateTime"] = at
