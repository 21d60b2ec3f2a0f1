"""The pods of a Job or a CronJob cannot start for want of an object that is gone, or that lost what they name: bring
that back.

`changed_dependency` is the same for workloads.  Here only what the kubelet names is taken: a Job that runs and fails
says little about why, and its work may be done twice.  Nothing is started anew, since what waits for an object starts
by itself.
"""

from __future__ import annotations

from typing import Final

from graph.incident import Reason, Signal
from graph.observed import Operation, VersionSource
from graph.rules.case import Answer, Remedy
from graph.rules.dependencies import fits
from graph.rules.objects.case import ObjectCase, described, step_back, way_back
from graph.rules.objects.put_back import what_shows
from graph.rules.words import reasons_of, sentence
from graph.signals.messages import find_missing

_CONFIDENCE: Final = {VersionSource.DESIRED: 0.9, VersionSource.LAST_KNOWN_GOOD: 0.85}


class Needed:
    """Bring back the one object that the pods wait for by its name."""

    name = "needed"
    safe_because = (
        "The pods wait for exactly this object by its name; it becomes what it was when they ran, or what is declared,"
        " and one step takes that back."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """The object's way back; None when the pods wait for nothing by name, or for nothing that was known."""
        if not case.signals or not all(_waits_for_something(signal) for signal in case.signals):
            return None
        ways = [
            way
            for way in case.evidence.objects
            if way.ref != case.target
            and not way.is_ours
            and not case.was_tried(way_back(way))
            and all(fits(signal, way) for signal in case.signals)
        ]
        if len({str(way.ref) for way in ways}) != 1:
            return None
        way = ways[0]
        return Remedy(
            cause="dependency_deleted" if way.operation is Operation.RESTORE else "dependency_changed",
            sentence=sentence(f"{what_shows(case)}.", f"{described(way)}."),
            confidence=_CONFIDENCE[way.source],
            steps=(step_back(way),),
            reasons=reasons_of(case.signals),
        )


def _waits_for_something(signal: Signal) -> bool:
    return signal.reason is Reason.JOB_STUCK and find_missing(signal.message) is not None
