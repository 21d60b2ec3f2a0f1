"""Jobs that failed, hang or cannot start, and CronJobs that somebody suspended: all of it waits for a person.

A Job's work may be done twice by running it again, so what is right is known to its owners alone; the plan is made and
they say yes or no.
"""

from __future__ import annotations

from typing import Final

from graph.incident import Reason
from graph.observed import ObjectCandidate, Operation
from graph.plan import Step
from graph.rules.case import Answer, Hopeless, Remedy
from graph.rules.objects.case import ObjectCase, action, described, step_back, way_back
from graph.rules.words import name_of, reasons_of, said_of, sentence
from graph.subjects import CONTROLLED_BY, MADE_AGAIN
from tools.executors.models.batch import LONGEST_RERUN, MOST_RERUNS, rerun_name
from tools.refs import absent_uid

LONGER: Final = 10
LEAST_DEADLINE: Final = 900
"""Seconds: how much too short a deadline was cannot be told, so the work gets plenty; a person agrees to it."""
TEMPLATE: Final = "spec.jobTemplate"
_DEADLINE: Final = "activeDeadlineSeconds: "


class Batch:
    """Run a failed Job again with more time, delete a hung one, resume a CronJob."""

    name = "batch"
    safe_because = (
        "It waits for a person; work is only done again where nothing is doing it, what is replaced is kept in the"
        " ledger, and a resumed CronJob can be suspended."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """One step; or why none helps; None for anything but Jobs and CronJobs."""
        for signal in case.signals:
            match signal.reason:
                case Reason.JOB_FAILED:
                    return _failed(case, said_of(signal))
                case Reason.JOB_HUNG:
                    return _hung(case, said_of(signal))
                case Reason.JOB_STUCK:
                    return _stuck(case, said_of(signal))
                case Reason.CRONJOB_SUSPENDED:
                    return _suspended(case)
                case _:
                    continue
        return None


def _failed(case: ObjectCase, said: str) -> Answer | None:
    deadline = _deadline(case)
    what = f"{name_of(case.target)} failed for good ({said})."
    if deadline is None or "deadline" not in said.lower():
        return Hopeless(
            cause="job_failed",
            sentence=sentence(what),
            advice="Look at the log of its last pod; when the cause is gone, run the Job again.",
            reasons=reasons_of(case.signals),
        )
    longer = min(max(deadline * LONGER, LEAST_DEADLINE), LONGEST_RERUN)
    again = _again(case, longer)
    if again is None:
        return Hopeless(
            cause="job_needs_longer",
            sentence=sentence(what, "It was run again, and that did not do."),
            advice="Find out why it takes so long.",
            reasons=reasons_of(case.signals),
        )
    if any(case.was_tried(step.action) for step in again):
        return None
    return Remedy(
        cause="job_deadline_too_short",
        sentence=sentence(what, f"Its deadline is {deadline} seconds."),
        confidence=0.7,
        steps=again,
        reasons=reasons_of(case.signals),
    )


def _again(case: ObjectCase, longer: int) -> tuple[Step, ...] | None:
    """The work once more: under its own name where nobody controls the Job, else beside it; None when it was before.

    Whoever waits for a Job waits for its name; one that a CronJob made is part of that CronJob's record.
    """
    lines = case.evidence.subject.lines if case.evidence.subject is not None else ()
    why = f"The same work with {longer} seconds for it."
    if any(line.startswith(CONTROLLED_BY) for line in lines):
        number = _free_number(case)
        if number is None:
            return None
        return (Step(action=action("rerun_job", case.target, number=number, deadline_seconds=longer), why=why),)
    if MADE_AGAIN in lines:
        return None
    remove = action("remove_failed_job", case.target)
    again = action("recreate_failed_job", case.target, deadline_seconds=longer)
    return (
        Step(action=remove, why="A Job that has ended cannot be changed, and others wait for it by its name."),
        Step(action=again, why=why),
    )


def _free_number(case: ObjectCase) -> int | None:
    """The first repetition that is not there yet, as the evidence says; None when all have been made."""
    free = {p.ref.name for p in case.evidence.scope if p.uid == absent_uid(p.ref)}
    numbers = range(1, MOST_RERUNS + 1)
    return next((n for n in numbers if rerun_name(case.target.name, n) in free), None)


def _deadline(case: ObjectCase) -> int | None:
    lines = case.evidence.subject.lines if case.evidence.subject is not None else ()
    found = next((line.removeprefix(_DEADLINE) for line in lines if line.startswith(_DEADLINE)), "")
    return int(found) if found.isdigit() and int(found) > 0 else None


def _hung(case: ObjectCase, said: str) -> Answer | None:
    delete = action("delete_job", case.target)
    if case.was_tried(delete):
        return None
    template = _template(case)
    steps = [Step(action=delete, why="Later runs start once this one is gone; its work so far is lost.")]
    what = f"{name_of(case.target)} hangs and keeps later runs of its CronJob from starting ({said})."
    return Remedy(
        cause="job_hung",
        sentence=sentence(what, f"{described(template)}.") if template is not None else sentence(what),
        confidence=0.75,
        steps=tuple([step_back(template), *steps] if template is not None else steps),
        reasons=reasons_of(case.signals),
    )


def _template(case: ObjectCase) -> ObjectCandidate | None:
    """How its CronJob makes good Jobs again, where nothing but what it makes them from has changed since it did."""
    ways = (w for w in case.evidence.objects if w.ref.kind == "CronJob" and w.operation is Operation.REVERT)
    return next(
        (
            way
            for way in ways
            if not (way.is_ours or way.truncated or case.was_tried(way_back(way)))
            and all(change.path.startswith(TEMPLATE) for change in way.changes)
        ),
        None,
    )


def _stuck(case: ObjectCase, said: str) -> Answer:
    """A Job's template cannot be changed, so whoever made it must make another."""
    return Hopeless(
        cause="job_cannot_start",
        sentence=sentence(f"No pod of {name_of(case.target)} can start ({said})."),
        advice="Put right what its pods need. A Job keeps the template it was made with: where that is wrong, correct "
        "whoever makes the Job (its CronJob, a pipeline), delete this one and let it be made again.",
        reasons=reasons_of(case.signals),
    )


def _suspended(case: ObjectCase) -> Answer | None:
    resume = action("resume_cronjob", case.target)
    if case.was_tried(resume):
        return None
    return Remedy(
        cause="cronjob_suspended",
        sentence=sentence(f"{name_of(case.target)} used to run and is suspended."),
        confidence=0.6,
        steps=(Step(action=resume, why="It runs again at its next time."),),
        reasons=reasons_of(case.signals),
    )
