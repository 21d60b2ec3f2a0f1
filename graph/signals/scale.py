"""A workload that was set to zero replicas, fits no node, or is paused with a change waiting: nothing fails, or works.

The rule: zero and paused are often meant.  Zero is a signal only when the workload had replicas before (known good, or
seen to change), a Service leads to it and, unless a number is declared, to nothing else that is ready, and no
declaration says zero; a DaemonSet without a node only when it had some until it was changed itself; a pause only when
the template has no ReplicaSet yet (a rollout paused half way is a canary).
Neighbours: `workloads` has what fails by itself, `autoscalers` what keeps an autoscaler from working.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from graph.incident import Reason, Signal
from graph.signals.findings import APPLYING, HANDLING, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.objects import DaemonSet, Deployment, StatefulSet, Workload


@dataclass(frozen=True, slots=True)
class ScaleContext(ObjectContext):
    """What is known of how many replicas there should be, and whether a pause is meant."""

    declared_replicas: int | None = None
    """None when nothing is declared, or the declaration leaves the number to others."""
    good_replicas: int | None = None
    """As last known good; None when nothing is known."""
    former_replicas: int | None = None
    """Before the newest change of the number that we saw; None when we saw none."""
    services: tuple[str, ...] = ()
    """Names of the Services that select its pods."""
    others_serve: bool = False
    """Each of these Services leads to a ready pod of something else, too: nobody is left without an answer."""
    is_scaled_by_others: bool = False
    """Something that may well mean zero owns the number (an event-driven autoscaler)."""
    is_declared_paused: bool = False
    changed_since_good: bool = False
    """It ran when it was last good and was changed since, or its template is not what is declared."""


def detect_scale(workload: Workload, context: ScaleContext, now: datetime) -> list[Signal]:
    """SCALED_TO_ZERO and ROLLOUT_PAUSED."""
    return judge(workload, context, _findings(workload, context), now)


def is_plainly_well(workload: Workload) -> bool:
    """Whether `detect_scale` finds nothing in any context."""
    match workload:
        case Deployment(spec=spec):
            return spec.replicas > 0 and not spec.paused
        case StatefulSet(spec=spec):
            return spec.replicas > 0
        case DaemonSet(status=status):
            return status.desired_number_scheduled > 0


def _findings(workload: Workload, context: ScaleContext) -> Iterator[Finding]:
    if isinstance(workload, DaemonSet):
        yield from _nowhere(workload, context)
    elif workload.spec.replicas == 0:
        yield from _zero(context)
    if isinstance(workload, Deployment):
        yield from _paused(workload, context)


def _zero(context: ScaleContext) -> Iterator[Finding]:
    known = (
        ("declared", context.declared_replicas),
        ("last known good", context.good_replicas),
        ("before", context.former_replicas),
    )
    source, wanted = next(((s, n) for s, n in known if n is not None), ("", None))
    if not wanted or not context.services or context.is_scaled_by_others:
        return
    if source != "declared" and context.others_serve:
        return  # a canary that ended, the old half of a switch
    text = f"set to 0 replicas, {source}: {wanted}; Service {', '.join(context.services)} leads to it"
    yield Finding(Reason.SCALED_TO_ZERO, text, APPLYING)


def _nowhere(daemon_set: DaemonSet, context: ScaleContext) -> Iterator[Finding]:
    """Its controller has counted the nodes for the present template, and there are none."""
    status = daemon_set.status
    is_counted = status.observed_generation >= daemon_set.metadata.generation
    if is_counted and status.desired_number_scheduled == 0 and context.changed_since_good:
        text = "no node is left for its pods since it was changed"
        yield Finding(Reason.SCALED_TO_ZERO, text, APPLYING)


def _paused(deployment: Deployment, context: ScaleContext) -> Iterator[Finding]:
    """The controller counts pods of the present template, of which there are none while it has no ReplicaSet."""
    spec, status = deployment.spec, deployment.status
    if not spec.paused or context.is_declared_paused or spec.replicas == 0:
        return
    if status.observed_generation >= deployment.metadata.generation and status.updated_replicas == 0 < status.replicas:
        yield Finding(Reason.ROLLOUT_PAUSED, "paused, and its present template is not rolled out", HANDLING)
