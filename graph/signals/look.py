"""Looks at an object: context, detector and memory together.  What the watcher and the analyzer call.

The rule: every look is remembered, so that a symptom's grace runs from the first look that saw it.
"""

from __future__ import annotations

from datetime import datetime

from graph.incident import Signal
from graph.signals.contexts import Contexts
from graph.signals.pods import detect_pod
from graph.signals.workloads import detect_workload
from tools.cluster.objects import Pod, Workload


def look_at_pod(pod: Pod, contexts: Contexts, now: datetime) -> list[Signal]:
    """The pod's symptoms now; empty as well when its owner is not in view yet."""
    context = contexts.for_pod(pod, now)
    if context is None:
        return []
    signals = detect_pod(pod, context, now)
    contexts.symptoms.note(pod.uid, signals, now)
    return signals


def look_at_workload(workload: Workload, contexts: Contexts, now: datetime) -> list[Signal]:
    """The workload's own symptoms now, without its pods'."""
    signals = detect_workload(workload, contexts.for_workload(workload, now), now)
    contexts.symptoms.note(workload.uid, signals, now)
    return signals


def look_at_root(workload: Workload, contexts: Contexts, now: datetime) -> list[Signal]:
    """All symptoms of a workload and its pods; confirmed ones first."""
    signals = look_at_workload(workload, contexts, now)
    for pod in contexts.pods_of(workload):
        signals.extend(look_at_pod(pod, contexts, now))
    return sorted(signals, key=lambda s: (not s.confirmed, s.observed_at, str(s.object)))
