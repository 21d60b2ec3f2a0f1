"""An autoscaler that says it cannot work: its target is missing, or its metrics cannot be had.

The rule: the conditions are the evidence and their reason says how long to wait.  A metric that is away comes back, a
target that does not exist rarely does.  An autoscaler at its bound, or switched off by zero replicas, works as it
should.  Neighbours: `scale` has the zero replicas, `object_contexts` looks the target up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import APPLYING, LONG, PATIENT, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import Document, HorizontalPodAutoscaler
from tools.cluster.structs import Condition, condition
from tools.jsontypes import dig_list, dig_str

NO_FAULT: Final = frozenset({"ScalingDisabled", "ScaledToZero"})
"""Reasons why ScalingActive is False with nothing wrong."""
METRICS_COME: Final = timedelta(minutes=3)
"""Pods that have just started have no metrics for a minute or two."""
_LASTING: Final = re.compile(
    r"(?i)missing request for|target's spec is missing|selector (?:is )?required|invalid metric source|ambiguous"
)
_FRESH_PODS: Final = re.compile(r"(?i)no metrics returned|did not receive metrics|no ready pods|unable to get metrics")


@dataclass(frozen=True, slots=True)
class AutoscalerContext(ObjectContext):
    """What an autoscaler points at."""

    target_exists: bool | None = None
    """None when its kind is not in view."""
    target_is_settled: bool = True
    """No rollout of the target is in progress, so that its pods had time to get metrics."""
    changed_since_good: bool = False
    """It was changed itself since it was known good, or differs from what is declared."""


def detect_autoscaler(hpa: HorizontalPodAutoscaler, context: AutoscalerContext, now: datetime) -> list[Signal]:
    """AUTOSCALER_UNABLE while it says that it cannot read its metrics or scale its target."""
    return judge(hpa, context, _findings(hpa, context), now)


def is_plainly_well(hpa: HorizontalPodAutoscaler) -> bool:
    """Whether `detect_autoscaler` finds nothing in any context."""
    return _trouble(hpa) is None


def conditions_of(document: Document) -> tuple[Condition, ...]:
    """The status conditions of an object that is kept whole; a time that does not parse is None."""
    return tuple(
        Condition(
            type=dig_str(found, "type"),
            status=dig_str(found, "status"),
            reason=dig_str(found, "reason"),
            message=dig_str(found, "message"),
            last_transition_time=_time(dig_str(found, "lastTransitionTime")),
        )
        for found in dig_list(document.body, "status", "conditions")
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _trouble(hpa: HorizontalPodAutoscaler) -> Condition | None:
    held = conditions_of(hpa)
    for kind in ("AbleToScale", "ScalingActive"):
        found = condition(held, kind)
        if found is not None and found.status == "False" and found.reason not in NO_FAULT:
            return found
    return None


def _findings(hpa: HorizontalPodAutoscaler, context: AutoscalerContext) -> Iterator[Finding]:
    found = _trouble(hpa)
    if found is not None:
        text = f"{found.type}=False/{found.reason}: {found.message}"
        yield Finding(Reason.AUTOSCALER_UNABLE, text, _grace(found, context), since=found.last_transition_time)


def _grace(found: Condition, context: AutoscalerContext) -> timedelta:
    if found.reason == "FailedGetScale":
        if context.target_exists is not False:
            return LONG
        return APPLYING if context.changed_since_good else PATIENT
    if _LASTING.search(found.message):
        return APPLYING if context.target_is_settled else PATIENT
    if _FRESH_PODS.search(found.message) or not context.target_is_settled:
        return METRICS_COME
    return LONG
