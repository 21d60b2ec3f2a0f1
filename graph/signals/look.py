"""Looks at an object: context, detector and memory together.  What the watcher and the analyzer call.

The rules: every look is remembered, so that a symptom's grace runs from the first look that saw it; and what is well at
first sight costs nothing more, since everything in a namespace is looked at again and again.
"""

from __future__ import annotations

from datetime import datetime

from graph.incident import Signal
from graph.signals import pods, workloads
from graph.signals.contexts import Contexts, Family
from tools.cluster.objects import Pod, Workload


def look_at_pod(pod: Pod, contexts: Contexts, now: datetime) -> list[Signal]:
    """The pod's symptoms now; empty as well when its owner is not in view yet."""
    if pods.is_plainly_well(pod, now):
        contexts.symptoms.note(pod.uid, (), now)
        return []
    return _judge(pod, contexts, now, None)


def look_at_workload(workload: Workload, contexts: Contexts, now: datetime) -> list[Signal]:
    """The workload's own symptoms now, without its pods'."""
    signals: list[Signal] = []
    if not workloads.is_plainly_well(workload):
        signals = workloads.detect_workload(workload, contexts.for_workload(workload, now), now)
    contexts.symptoms.note(workload.uid, signals, now)
    return signals


def look_at_root(workload: Workload, contexts: Contexts, now: datetime) -> list[Signal]:
    """All symptoms of a workload and its pods; confirmed ones first."""
    signals = look_at_workload(workload, contexts, now)
    members = contexts.pods_of(workload)
    family: Family | None = None
    for pod in members:
        if pods.is_plainly_well(pod, now):
            contexts.symptoms.note(pod.uid, (), now)
            continue
        family = family or contexts.family(workload, members)
        signals.extend(_judge(pod, contexts, now, family))
    return sorted(signals, key=lambda s: (not s.confirmed, s.observed_at, str(s.object)))


def _judge(pod: Pod, contexts: Contexts, now: datetime, family: Family | None) -> list[Signal]:
    context = contexts.for_pod(pod, now, family)
    if context is None:
        return []
    signals = pods.detect_pod(pod, context, now)
    contexts.symptoms.note(pod.uid, signals, now)
    return signals
