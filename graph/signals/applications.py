"""An Argo CD Application that is not as it should be: drift, operations that fail or hang, sources that cannot be read.

The rule: what Argo CD is about to do by itself is left to it, and a revision that nobody has deployed yet is a matter
of whoever releases it.  A workload of the Application that fails has an incident of its own; here only those resources
count that nobody else looks at.  Somebody who told Argo CD to leave the Application alone is heeded.

Neighbours: `tools.executors.argocd` knows what the fields mean, `graph.applications` what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.applications import is_drift, since_of, unwatched
from graph.incident import Reason, Signal
from graph.signals.findings import AT_ONCE, HANDLING, LONG, PASSING, PATIENT, VERY_LONG, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import Application
from tools.executors.argocd import application as argo
from tools.executors.argocd import decisions
from tools.executors.argocd.application import Health, Phase, Sync
from tools.jsontypes import JsonObject

LOOKED_AT: Final = frozenset(
    {
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Pod",
        "Job",
        "CronJob",
        "Service",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "ScaledObject",
        "ScaledJob",
    }
)
"""Kinds with detectors of their own."""
_ENDED_BADLY: Final = frozenset({Phase.FAILED, Phase.ERROR})


@dataclass(frozen=True, slots=True)
class ApplicationContext(ObjectContext):
    """What is counted as hanging."""

    hangs_after: timedelta = decisions.HANGS_AFTER


def detect_application(app: Application, context: ApplicationContext, now: datetime) -> list[Signal]:
    """What is wrong with it now."""
    return judge(app, context, _findings(app, context, now), now)


def is_plainly_well(app: Application) -> bool:
    """Whether `detect_application` finds nothing in any context: all is as declared, healthy and at rest."""
    live = app.body
    at_rest = argo.operation(live).phase in {Phase.NONE, Phase.SUCCEEDED}
    is_good = argo.health(live) is Health.HEALTHY and argo.sync(live) is Sync.SYNCED
    return (at_rest and is_good and not argo.errors(live)) or argo.is_skipped(live)


def _findings(app: Application, context: ApplicationContext, now: datetime) -> Iterator[Finding]:
    live = app.body
    if is_plainly_well(app):
        return
    latest = argo.operation(live)
    hangs = decisions.hanging(live, now, context.hangs_after)
    if hangs is not None and not decisions.waits_for_window(live):
        yield Finding(Reason.OPERATION_HUNG, hangs, AT_ONCE)
    broken = argo.errors(live)
    if broken:
        since = since_of(live, broken[0].partition(":")[0])
        yield Finding(Reason.COMPARISON_FAILED, broken[0], PASSING, since=since)
        return  # what follows rests on a comparison
    if latest.is_under_way:
        return
    was_stopped = "operation terminated" in latest.message.lower()
    if latest.phase in _ENDED_BADLY and not was_stopped and argo.sync(live) is not Sync.SYNCED:
        why = "; ".join(argo.failures(live)[:3]) or latest.message
        yield Finding(Reason.OPERATION_FAILED, why, PATIENT, since=latest.finished_at)
    elif is_drift(live):
        heals = argo.auto_sync(live).heals
        yield Finding(Reason.APPLICATION_DRIFTED, _differences(live), LONG if heals else HANDLING)
    others = unwatched(live, LOOKED_AT) if argo.health(live) is Health.DEGRADED else ()
    if others:
        is_said = any(resource.health for resource in argo.resources(live))
        text = "Argo CD finds degraded:" if is_said else "Argo CD finds it degraded and does not say which of:"
        yield Finding(Reason.APPLICATION_DEGRADED, f"{text} {', '.join(others)}", LONG if is_said else VERY_LONG)


def _differences(live: JsonObject) -> str:
    names = [f"{f.key.kind}/{f.key.name}" for f in argo.resources(live) if f.sync is Sync.OUT_OF_SYNC]
    return f"not as declared: {', '.join(names[:5]) or 'something that Argo CD does not name'}"
