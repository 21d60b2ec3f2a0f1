"""Why no pod of a Job has begun its work, as far as its pods say.

The rule: one pod that runs, or has run, means that the Job can start; a pod that merely waits for a node may get one
when other work ends.  Neighbours: `jobs` says how long that may last; `pods` judges the pods of what runs for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from graph.signals.wiring import is_living
from tools.cluster.objects import Pod, condition

_CANNOT_START: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""Waiting reasons of containers that stay until somebody changes something (kubelet, `pkg/kubelet`)."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps a Job's pods from starting."""

    text: str
    since: datetime | None
    is_place: bool
    """They find no node."""


def hindrance_of(pods: Sequence[Pod]) -> Hindrance | None:
    """What keeps all the living pods of a Job from starting; None while one works, or while nothing is said."""
    living = [pod for pod in pods if is_living(pod)]
    found = [_hindrance(pod) for pod in living]
    first = next((f for f in found if f is not None), None)
    return first if first is not None and all(f is not None for f in found) else None


def _hindrance(pod: Pod) -> Hindrance | None:
    mains = pod.status.container_statuses
    if any(s.restart_count or s.state.running is not None or s.state.terminated is not None for s in mains):
        return None
    placed = condition(pod.status.conditions, "PodScheduled")
    if not pod.spec.node_name and placed is not None and placed.status == "False" and placed.reason == "Unschedulable":
        return Hindrance(
            f"pod {pod.name}: {placed.reason}: {placed.message}", placed.last_transition_time, is_place=True
        )
    for status in (*pod.status.init_container_statuses, *mains):
        waiting = status.state.waiting
        if waiting is not None and waiting.reason in _CANNOT_START:
            text = f"pod {pod.name}, container {status.name}: {waiting.reason}: {waiting.message}".rstrip(": ")
            return Hindrance(text, pod.status.start_time, is_place=False)
    return None
