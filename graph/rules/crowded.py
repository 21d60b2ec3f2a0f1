"""Another workload of higher priority took the room: give it back, with a person's word.

Which of the two matters more is for people to say; that the other one came, or grew, just before these pods lost their
place is what code has seen.
"""

from __future__ import annotations

from graph.incident import Reason
from graph.observed import Crowding
from graph.plan import Step
from graph.rules.case import Answer, Case, Remedy, Unclear
from graph.rules.objects.case import action
from graph.rules.words import name_of, reasons_of, sentence, trouble
from tools.executors.actions import AnyAction


class Crowded:
    """Scale the one workload back that took the room."""

    name = "crowded"
    safe_because = "It waits for a person; the other workload goes back to the replicas it had before, in one step."

    def judge(self, case: Case) -> Answer | None:
        """One step; None when pods wait for anything but room, or nobody is seen to have taken it."""
        failing = [s for s in case.signals if s.reason is not Reason.DEADLINE_EXCEEDED]
        crowding = [c for c in case.evidence.crowding if not case.was_tried(_back(c))]
        if not crowding or not failing or any(s.reason is not Reason.UNSCHEDULABLE for s in failing):
            return None
        what = f"{name_of(case.workload.ref)} {trouble(failing[0], case.evidence.pods)}."
        if len(crowding) > 1:
            names = ", ".join(sorted(name_of(c.ref) for c in crowding)[:5])
            return Unclear(
                cause="crowded_out",
                sentence=sentence(what, f"Workloads of higher priority took the room just before: {names}."),
                question="Which of them was not meant to have it?",
                reasons=reasons_of(failing),
            )
        other = crowding[0]
        grew = "was made" if other.before == 0 else f"grew from {other.before} to {other.now} replicas"
        return Remedy(
            cause="crowded_out",
            sentence=sentence(
                what, f"{name_of(other.ref)}, of higher priority ({other.priority}), {grew} just before."
            ),
            confidence=0.7,
            steps=(Step(action=_back(other), why=f"It preempts the pods of {name_of(case.workload.ref)}."[:400]),),
            reasons=reasons_of(failing),
            needs_person=(f"{name_of(other.ref)} would lose what it took; only people know which of the two matters",),
        )


def _back(crowding: Crowding) -> AnyAction:
    return action("scale_workload", crowding.ref, kind=crowding.ref.kind, replicas=crowding.before)
