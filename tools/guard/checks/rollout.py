"""Rollout: while a workload replaces its pods by those of another revision, nothing is put on top of that.

Two exceptions: the action takes back the very rollout whose pods fail, and the rollout is our own plan's.  Pods that
are merely missing or broken are no rollout; neither is one that ran out of its deadline.
"""

from __future__ import annotations

from typing import Final

from tools.guard.checks.freshness import own_generation
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import JsonObject, dig, dig_int, dig_list, dig_str

LOOK_AGAIN: Final = 2.0
"""Seconds in which a controller that works has looked at a new spec."""


def check(world: World) -> Refused | None:
    """Refuse while the owner's template is being rolled out."""
    owner = known(world.owner, f"{world.order.owner}")
    executor, action = world.executor, world.order.action
    if executor is None or not executor.is_stopped_by_rollout(action) or world.order.reverses_rollout:
        return None
    if not is_rolling(world.order.owner.kind, owner):
        return None
    if own_generation(world, dig_str(owner, "metadata", "uid")) == dig_int(owner, "metadata", "generation"):
        return None
    return no(
        ReasonCode.ROLLOUT_IN_PROGRESS,
        f"{world.order.owner} is being rolled out and {action.tool} does not take that back.",
        retry_after=LOOK_AGAIN if is_unobserved(owner) else 30,
    )


def is_rolling(kind: str, workload: JsonObject) -> bool:
    """Whether pods of two revisions stand side by side, or the newest spec was not looked at yet."""
    match kind:
        case "Deployment":
            return is_unobserved(workload) or (not _is_over_deadline(workload) and _deployment_rolls(workload))
        case "StatefulSet":
            return is_unobserved(workload) or _stateful_set_rolls(workload)
        case "DaemonSet":
            return is_unobserved(workload) or _daemon_set_rolls(workload)
        case _:
            return False


def is_unobserved(workload: JsonObject) -> bool:
    """Whether the controller has yet to look at the newest spec.  An annotation of a Deployment is enough for that."""
    return _number(workload, "metadata", "generation") > _number(workload, "status", "observedGeneration")


def _is_over_deadline(workload: JsonObject) -> bool:
    return any(
        dig_str(c, "type") == "Progressing" and dig_str(c, "reason") == "ProgressDeadlineExceeded"
        for c in dig_list(workload, "status", "conditions")
    )


def _deployment_rolls(workload: JsonObject) -> bool:
    """A paused one stands still, whatever its pods are."""
    if dig(workload, "spec", "paused") is True:
        return False
    return _number(workload, "status", "replicas") > _number(workload, "status", "updatedReplicas")


def _stateful_set_rolls(workload: JsonObject) -> bool:
    if dig_str(workload, "spec", "updateStrategy", "type") == "OnDelete":
        return False
    revisions = {dig_str(workload, "status", "currentRevision"), dig_str(workload, "status", "updateRevision")}
    partition = _number(workload, "spec", "updateStrategy", "rollingUpdate", "partition")
    wanted = max(0, _number(workload, "spec", "replicas") - partition)
    return len(revisions) > 1 and _number(workload, "status", "updatedReplicas") < wanted


def _daemon_set_rolls(workload: JsonObject) -> bool:
    if dig_str(workload, "spec", "updateStrategy", "type") == "OnDelete":
        return False
    updated = _number(workload, "status", "updatedNumberScheduled")
    return updated < _number(workload, "status", "currentNumberScheduled")


def _number(workload: JsonObject, *path: str) -> int:
    found = dig(workload, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
