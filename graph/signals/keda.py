"""KEDA's ScaledObjects and ScaledJobs: paused, misconfigured, deaf to their triggers, or at their bound.

The rules: the conditions that KEDA writes and those of the HorizontalPodAutoscaler behind are the evidence, and what
they say of that autoscaler is said here, of the object that people write.  A pause is somebody's: it is a symptom only
against what is declared, while the workload suffers, or after long.  A fallback that holds is no outage and still worth
a word.  KEDA's conditions bear no time, so a grace runs from when they were first seen.

Sources: https://keda.sh/docs/latest/concepts/scaling-deployments/ and .../reference/scaledobject-spec/; the reasons are
those of KEDA 2.21.  Neighbours: `object_contexts` looks the workload up, `autoscalers` judges autoscalers of people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from graph.incident import Reason, Signal
from graph.signals.autoscalers import NO_FAULT, conditions_of
from graph.signals.findings import APPLYING, HANDLING, LONG, PASSING, PATIENT, VERY_LONG, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import HorizontalPodAutoscaler, ScaledJob, ScaledObject
from tools.cluster.structs import Condition, condition
from tools.executors.keda.scaled import bounds, holds, paused_replicas
from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str

Scaled: TypeAlias = ScaledObject | ScaledJob

FORGOTTEN: Final = timedelta(hours=1)
"""A pause that is older was forgotten, mostly; a maintenance is over by then or declared."""
NO_TARGET: Final = re.compile(r"(?i)scaleTargetRef|Target resource doesn't exist|current replicas count")
NO_AUTHENTICATION: Final = re.compile(r"(?i)triggerauthentications?\S* .*not found|error getting triggerAuth")
METRICS_API: Final = re.compile(
    r"(?i)external metrics API: .*(?:unable to handle the request|could not find the requested resource|no matches for"
    r"|unavailable|timed out|timeout|connection refused|no endpoints)"
)
"""What an autoscaler says when nobody answers for `external.metrics.k8s.io`; a trigger that fails says otherwise."""
_DEAF: Final = frozenset({"TriggerError", "PartialTriggerError"})
"""Reasons of Ready by which KEDA says that triggers could not be read."""


@dataclass(frozen=True, slots=True)
class KedaContext(ObjectContext):
    """What KEDA scales by this object, and how the object should be."""

    behind: HorizontalPodAutoscaler | None = None
    """The autoscaler that KEDA made of it, as far as it is in view."""
    target_exists: bool | None = None
    """None when its kind is not in view."""
    lacks: str = ""
    """What the workload lacks since nobody scales it: replicas that it should have at least."""
    fails: str = ""
    """How the workload fails; "" while it does its work."""
    declared_paused: bool | None = None
    """None when the object is not declared."""
    good_paused: bool | None = None
    """None when nothing is known of how it was."""
    left_good_at: datetime | None = None
    changed_since_good: bool = False
    """Its specification changed since it was known good, or is not as declared."""
    greatest_then: int | None = None
    """The upper bound that is declared, or was known good."""


def detect_keda(item: Scaled, context: KedaContext, now: datetime) -> list[Signal]:
    """AUTOSCALER_PAUSED or AUTOSCALER_FORGOTTEN while it is held; else what its triggers, its target and its autoscaler
    say: AUTOSCALER_UNABLE, SCALER_FAILING, AUTOSCALER_AT_LIMIT."""
    held = holds(item.body)
    return judge(item, context, _held(item, held, context) if held else _at_work(item, context), now)


def _held(item: Scaled, held: dict[str, str], context: KedaContext) -> Iterator[Finding]:
    """While it is held nothing else that it says is up to date."""
    if context.declared_paused:
        return
    number = paused_replicas(item.body)
    by = f"paused by {', '.join(held)}" + ("" if number is None else f" at {number} replicas")
    if context.declared_paused is False:
        yield Finding(Reason.AUTOSCALER_PAUSED, f"{by}, and declared without", HANDLING)
    elif context.lacks:
        yield Finding(Reason.AUTOSCALER_PAUSED, f"{by}; {context.lacks}", HANDLING)
    elif context.fails:
        yield Finding(Reason.AUTOSCALER_PAUSED, f"{by}; {context.fails}", LONG)
    elif context.good_paused is False:
        yield Finding(Reason.AUTOSCALER_FORGOTTEN, by, FORGOTTEN, since=context.left_good_at)


def _at_work(item: Scaled, context: KedaContext) -> Iterator[Finding]:
    trouble = _unready(item, context) or _deaf(item, context) or _behind(item, context)
    if trouble is not None:
        yield trouble
    limited = _limited(context)
    if limited is not None:
        yield limited


def _unready(item: Scaled, context: KedaContext) -> Finding | None:
    """KEDA cannot make anything of it: its target, its triggers as they are written, its authentication."""
    ready = condition(conditions_of(item), "Ready")
    if ready is None or ready.status != "False" or ready.reason in _DEAF:
        return None
    text = f"Ready=False/{ready.reason}: {ready.message}"
    if NO_TARGET.search(ready.message) and context.target_exists:
        return Finding(Reason.AUTOSCALER_UNABLE, text, LONG)  # it is there again, the condition is of before
    patience = PATIENT if context.target_exists is False or NO_AUTHENTICATION.search(ready.message) else LONG
    return Finding(Reason.AUTOSCALER_UNABLE, text, APPLYING if context.changed_since_good else patience)


def _deaf(item: Scaled, context: KedaContext) -> Finding | None:
    """Triggers that cannot be read: KEDA's own word, or the count of its failures where a fallback is set."""
    held = conditions_of(item)
    ready, fallback = condition(held, "Ready"), condition(held, "Fallback")
    failing = failing_metrics(item.body)
    falls_back = fallback is not None and fallback.status == "True"
    if ready is not None and ready.status != "True" and ready.reason in _DEAF:
        text = f"Ready={ready.status}/{ready.reason}: {ready.message}"
    elif falls_back or failing:
        text = "its triggers cannot be read"
    else:
        return None
    text += f" ({', '.join(failing)})" if failing else ""
    if falls_back:
        text += f"; its fallback keeps {dig_int(item.body, 'spec', 'fallback', 'replicas')} replicas"
    return Finding(Reason.SCALER_FAILING, text, PATIENT if context.changed_since_good else LONG)


def failing_metrics(body: JsonObject) -> list[str]:
    """The metrics that KEDA counts failures of, as `NAME failed N times`."""
    return [
        f"{name} failed {dig_int(health, 'numberOfFailures')} times"
        for name, health in sorted(dig_object(body, "status", "health").items())
        if dig_str(health, "status") == "Failing" and (dig_int(health, "numberOfFailures") or 0) > 0
    ]


def _behind(item: Scaled, context: KedaContext) -> Finding | None:
    """The autoscaler cannot compute: nobody answers for metrics, or a trigger fails of which KEDA says nothing."""
    said = _scaling(item, context)
    if said is None or said.status != "False" or said.reason in NO_FAULT:
        return None
    text = f"{said.reason}: {said.message}"
    if METRICS_API.search(said.message):
        return Finding(Reason.AUTOSCALER_UNABLE, text, LONG, since=said.last_transition_time)
    is_trigger = said.reason == "FailedGetExternalMetric"
    reason = Reason.SCALER_FAILING if is_trigger else Reason.AUTOSCALER_UNABLE
    patience = PATIENT if context.changed_since_good else LONG
    return Finding(reason, text, patience, since=said.last_transition_time)


def _scaling(item: Scaled, context: KedaContext) -> Condition | None:
    """What the autoscaler says of its metrics: itself, or as KEDA repeats it."""
    if context.behind is not None:
        return condition(conditions_of(context.behind), "ScalingActive")
    return condition(conditions_of(item), "HPAActive")


def _limited(context: KedaContext) -> Finding | None:
    """Its metrics ask for more than the upper bound; at once suspicious where that bound was lowered."""
    if context.behind is None:
        return None
    said = condition(conditions_of(context.behind), "ScalingLimited")
    if said is None or (said.status, said.reason) != ("True", "TooManyReplicas"):
        return None
    greatest = dig_int(context.behind.body, "spec", "maxReplicas")
    was_lowered = None not in {greatest, context.greatest_then} and (context.greatest_then or 0) > (greatest or 0)
    text = f"its metrics ask for more than its upper bound of {greatest}"
    if was_lowered:
        text += f", which was {context.greatest_then}"
    patience = PASSING if was_lowered else VERY_LONG
    return Finding(Reason.AUTOSCALER_AT_LIMIT, text, patience, since=said.last_transition_time)


def lacking(replicas: int, least: int, services: tuple[str, ...]) -> str:
    """What a workload that nobody scales lacks by the number of its replicas; "" when nothing."""
    if replicas == 0 and services:
        return f"its workload has no replicas, and Service {services[0]} leads to it"
    if replicas < least:
        return f"its workload has {replicas} replicas, and its lower bound is {least}"
    return ""


def greatest_of(manifest: JsonObject | None) -> int | None:
    """The upper bound that a manifest gives; None without one."""
    return None if manifest is None else bounds(manifest)[1]
