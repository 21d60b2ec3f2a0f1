"""The workload was set to something that somebody may have meant: no replicas, a pause, a field that is not declared.

Where a state is declared, that is what people want and the difference goes.  Where none is, a person says.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason
from graph.observed import ObjectCandidate, VersionSource
from graph.plan import Step
from graph.rules.bad_revision import MAX_STEPS, removals
from graph.rules.case import MEANT, Answer, Case, Hopeless, Remedy
from graph.rules.objects.case import action, described, step_back, way_back
from graph.rules.words import name_of, reasons_of, sentence, trouble

_PLACE: Final = re.compile(r"nodeSelector|affinity|tolerations|nodeName")


class Intent:
    """Put back what is declared; without a declaration, ask."""

    name = "intent"
    safe_because = (
        "It makes the workload what its declared state says, or waits for a person;"
        " the old value is put back by one step."
    )

    def judge(self, case: Case) -> Answer | None:
        """One step; None when something else is wrong: that comes first."""
        found = [s for s in case.signals if s.reason in MEANT]
        if not found or len(found) != len(case.signals):
            return None
        declared = next((c for c in _own(case) if c.source is VersionSource.DESIRED), None)
        who, first = name_of(case.workload.ref), found[0]
        if declared is not None and declared.is_ours:
            return undeclared_healing(f"{who} {trouble(first)}", declared, reasons_of(found))
        if declared is not None and not case.was_tried(way_back(declared)):
            return Remedy(
                cause="drift",
                sentence=sentence(f"{who} {trouble(first)}.", f"{described(declared)}."),
                confidence=0.95,
                steps=(step_back(declared), *_in_the_way(declared, case))[:MAX_STEPS],
                reasons=reasons_of(found),
                needs_person=_held_by_hand(declared),
            )
        step = _undeclared(first.reason, case)
        if step is None or case.was_tried(step.action):
            return None
        return Remedy(
            cause="set_by_hand",
            sentence=sentence(f"{who} {trouble(first)}, and nothing declares that it should be so."),
            confidence=0.6,
            steps=(step,),
            reasons=reasons_of(found),
            needs_person=("nothing is declared here, so the change may have been meant",),
        )


def _in_the_way(declared: ObjectCandidate, case: Case) -> list[Step]:
    """Pods of the template that goes, which would stay for ever although nothing is said of them yet."""
    return removals(case) if any("template" in c.path for c in declared.changes) else []


def undeclared_healing(what: str, declared: ObjectCandidate, reasons: tuple[Reason, ...]) -> Hopeless:
    """Two truths: what is declared failed, and what heals is not declared.  People decide; we do not go to and fro."""
    return Hopeless(
        cause="healing_not_declared",
        sentence=sentence(f"{what}.", f"{described(declared)}.", "It was changed by selfheal, to heal a failure."),
        advice="Declare what heals it, or take it back by hand (`selfheal undo`); until then it stays as it is.",
        reasons=reasons,
    )


def _held_by_hand(declared: ObjectCandidate) -> tuple[str, ...]:
    """A rollout is only paused by somebody who means to hold it."""
    is_paused = any(c.path.endswith("paused") and c.now == "true" for c in declared.changes)
    return ("somebody paused the rollout, and going back to what is declared lets it go on",) if is_paused else ()


def _own(case: Case) -> list[ObjectCandidate]:
    return [c for c in case.evidence.objects if c.ref == case.workload.ref]


def _undeclared(reason: Reason, case: Case) -> Step | None:
    ref = case.workload.ref
    match reason:
        case Reason.ROLLOUT_PAUSED:
            return Step(action=action("resume_rollout", ref), why="The change that waits is rolled out.")
        case Reason.SCALED_TO_ZERO if ref.kind == "DaemonSet":
            return _to_other_nodes(case)
        case Reason.SCALED_TO_ZERO:
            before = replicas_before(_own(case))
            when = "when it was known good" if before is not None else "before it was set to none"
            before = before or case.workload.former_replicas
            if not before:
                return None
            scale = action("scale_workload", ref, kind=ref.kind, replicas=before)
            return Step(action=scale, why=f"It had {before} replicas {when}.")
        case _:
            return None


def _to_other_nodes(case: Case) -> Step | None:
    """Back to the best revision that chose its nodes otherwise; None when none did."""
    for candidate in case.usable:
        if any(_PLACE.match(change.path) for change in candidate.changes):
            number = candidate.to_revision
            back = action("rollback_workload", case.workload.ref, kind=case.workload.ref.kind, to_revision=number)
            return Step(action=back, why=f"Revision {number} chose its nodes otherwise, and had some.")
    return None


def replicas_before(ways: list[ObjectCandidate]) -> int | None:
    """How many replicas the workload had, by its last known good; None when that is not known."""
    for way in ways:
        for change in way.changes:
            if change.path.endswith("replicas") and change.then.isdigit() and int(change.then) > 0:
                return int(change.then)
    return None
