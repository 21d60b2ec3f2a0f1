"""The object itself was changed or deleted: put back what is declared, or what was known good.

The most general rule there is about objects, as `bad_revision` is about workloads: reverse exactly the change that
preceded the trouble.  A declared state is what people want and needs no further reason; the last known good is gone
back to only because the object shows a trouble that it did not have then.
"""

from __future__ import annotations

from typing import Final

from graph.incident import Reason
from graph.observed import ObjectCandidate, Operation, VersionSource
from graph.rules.case import Answer, Remedy
from graph.rules.intent import undeclared_healing
from graph.rules.objects.batch import TEMPLATE
from graph.rules.objects.case import ObjectCase, described, step_back, way_back
from graph.rules.words import by_weight, name_of, reasons_of, said_of, sentence, trouble

CONFIDENCE: Final = {VersionSource.DESIRED: 0.95, VersionSource.LAST_KNOWN_GOOD: 0.85}
_NEVER: Final = frozenset(
    {
        Reason.DELETION_STUCK,
        Reason.NODE_NOT_READY,
        Reason.NODE_PRESSURE,
        Reason.NODE_PROBLEM,
        Reason.JOB_FAILED,
    }
)
"""What no manifest brings back."""
_FIXED: Final = frozenset({"PersistentVolumeClaim"})
"""What differs of these cannot be written on the live object."""
_NOTES: Final = "metadata.annotations"
_PERSON: Final = frozenset({Reason.SCALED_TO_ZERO, Reason.ROLLOUT_PAUSED, Reason.CRONJOB_SUSPENDED, Reason.DRIFTED})
"""What somebody may have meant: without a declared state a person says."""
_PART: Final = {Reason.JOB_STUCK: TEMPLATE}
"""Where in the target the cause of a symptom must lie: a schedule that was moved keeps no pod from starting."""


class PutBack:
    """Put the target back to its declared or last known good version."""

    name = "put_back"
    safe_because = (
        "It puts back fields that are declared, or that the object had when everything that uses it was healthy;"
        " nothing else is touched, and what it replaces is kept and can be put back by one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """The first way back that was not tried; None when there is none for the target itself."""
        if case.target.kind in _FIXED or any(s.reason in _NEVER for s in case.signals):
            return None
        ways = (w for w in case.ways if writes_something(w) and _can_be_the_cause(case, w))
        way = next((w for w in ways if not case.was_tried(way_back(w))), None)
        if way is None:
            return None
        if way.is_ours:
            return undeclared_healing(what_shows(case), way, reasons_of(case.signals))
        return Remedy(
            cause="object_deleted" if way.operation is Operation.RESTORE else "object_changed",
            sentence=sentence(f"{what_shows(case)}.", f"{described(way)}."),
            confidence=CONFIDENCE[way.source],
            steps=(step_back(way),),
            reasons=reasons_of(case.signals),
            needs_person=_doubts(case, way),
        )


def writes_something(way: ObjectCandidate) -> bool:
    """Whether going this way writes anything: reverting leaves an object's own notes (annotations) as they are."""
    return way.operation is not Operation.REVERT or any(not c.path.startswith(_NOTES) for c in way.changes)


def what_shows(case: ObjectCase) -> str:
    """What is wrong with the target, or who fails because of it."""
    own = [s for s in case.signals if s.object == case.target]
    if own:
        return f"{name_of(case.target)} {trouble(by_weight(own)[0])}"
    first = by_weight(case.signals)[0]
    pods = len({str(s.object) for s in case.signals})
    return f"{pods} objects fail for {name_of(case.target)} ({first.reason.value}: {said_of(first)})"


def _can_be_the_cause(case: ObjectCase, way: ObjectCandidate) -> bool:
    """Whether what is different lies where the symptom can come from; what is declared needs no cause."""
    part = _part(case)
    return _is_wanted(way) or part is None or any(c.path.startswith(part) for c in way.changes)


def _doubts(case: ObjectCase, way: ObjectCandidate) -> tuple[str, ...]:
    """Why a person must agree, where nothing is declared and the change may have been meant."""
    if _is_wanted(way):
        return ()
    if all(s.reason in _PERSON for s in case.signals):
        return ("nothing is declared here, so the change may have been meant",)
    part = _part(case)
    if part is not None and (way.truncated or not all(c.path.startswith(part) for c in way.changes)):
        return ("more was changed than what keeps it from working, and that may have been meant",)
    return ()


def _is_wanted(way: ObjectCandidate) -> bool:
    """Whether going this way needs no cause in the fields that it puts back."""
    return way.source is VersionSource.DESIRED or way.operation is not Operation.REVERT


def _part(case: ObjectCase) -> str | None:
    """Where in the target the cause lies, as far as all its symptoms say the same."""
    parts = {_PART.get(s.reason) for s in case.signals}
    return parts.pop() if len(parts) == 1 else None
