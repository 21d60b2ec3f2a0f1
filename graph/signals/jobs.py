"""Jobs that failed, hang or cannot start, and CronJobs that somebody suspended.

The rule: a Job that failed counts while it is the last word (the newest of its CronJob, or made by nobody's schedule)
and recent; a Job that runs long counts when it keeps its CronJob from running and several runs were missed by then.
Kubernetes itself ends a Job with a deadline.  Neighbours: `schedules` says when runs are due, `object_contexts` who
made a Job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import APPLYING, AT_ONCE, LONG, PATIENT, VERY_LONG, Finding
from graph.signals.jobpods import Hindrance
from graph.signals.objects import ObjectContext, judge
from graph.signals.schedules import nth_due
from tools.cluster.objects import CronJob, Job, condition
from tools.executors.whole import MADE_BY
from tools.guard.orders import BY_UNDO

OLD_NEWS: Final = timedelta(hours=1)
"""Failed Jobs stay until somebody deletes them: one that failed longer ago was failed before anybody asked us."""
MISSED: Final = 3
HUNG_LEAST: Final = timedelta(minutes=5)
MISSED_AFTER_CHANGE: Final = 2
"""A CronJob that was changed since it was good is the likely cause: two missed runs are enough."""
HUNG_LEAST_AFTER_CHANGE: Final = timedelta(seconds=90)
DEADLINE_SLACK: Final = timedelta(minutes=1)
"""The Job controller ends a Job at its deadline; later than this it does not."""


@dataclass(frozen=True, slots=True)
class JobContext(ObjectContext):
    """Who made a Job, and what became of its siblings."""

    cron_job: CronJob | None = None
    """The CronJob it belongs to, when there is one."""
    is_others: bool = False
    """Something that is no CronJob controls it, and will do about it what it thinks right."""
    is_newest: bool = True
    """No Job of the same CronJob came after it."""
    is_listed: bool = False
    """Its CronJob counts it as active; one that somebody made by hand is not counted, and blocks nothing."""
    cron_changed_since_good: bool = False
    is_redone: bool = False
    """A repetition of it runs, or has come to a good end."""
    hindrance: Hindrance | None = None
    """What keeps all its pods from starting."""


def detect_job(job: Job, context: JobContext, now: datetime) -> list[Signal]:
    """JOB_FAILED, JOB_STUCK and JOB_HUNG."""
    return judge(job, context, _of_job(job, context, now), now)


def is_plainly_well(job: Job) -> bool:
    """Whether `detect_job` finds nothing in any context: it is complete, or nobody's schedule waits for it."""
    failed = condition(job.status.conditions, "Failed")
    if failed is not None and failed.status == "True":
        return False
    if _was_put_back(job):
        return False
    owner = job.metadata.controller
    works = job.status.ready >= job.status.active
    return job.status.active == 0 or (works and (owner is None or owner.kind != CronJob.kind))


def _of_job(job: Job, context: JobContext, now: datetime) -> Iterator[Finding]:
    failed = condition(job.status.conditions, "Failed")
    if failed is not None and failed.status == "True":
        since = failed.last_transition_time
        is_history = context.is_redone or not context.is_newest or (since is not None and now - since > OLD_NEWS)
        if context.is_others or is_history:
            return
        yield Finding(Reason.JOB_FAILED, f"{failed.reason}: {failed.message}", AT_ONCE, since=since)
    elif _was_put_back(job):
        yield Finding(Reason.JOB_FAILED, "it failed, was to be made anew, and was put back suspended", AT_ONCE)
    elif (hindrance := _hindrance(job, context)) is not None:
        grace = VERY_LONG if hindrance.is_place else LONG
        yield Finding(Reason.JOB_STUCK, hindrance.text, grace, since=hindrance.since)
    elif (limit := _patience(job, context)) is not None and job.status.start_time is not None:
        text = f"active since {job.status.start_time:%Y-%m-%d %H:%M:%S}Z, and its CronJob forbids a second one"
        yield Finding(Reason.JOB_HUNG, text, limit, since=job.status.start_time)


def _was_put_back(job: Job) -> bool:
    """Whether an undo of ours made it: its work failed, was not done again, and waits for a person."""
    return job.spec.suspend and job.metadata.annotations.get(MADE_BY, "").startswith(BY_UNDO)


def _hindrance(job: Job, context: JobContext) -> Hindrance | None:
    """What keeps it from starting, where nobody else says it: a CronJob speaks once for all that it makes."""
    if context.is_others or context.cron_job is not None or job.spec.suspend:
        return None
    return context.hindrance


def _patience(job: Job, context: JobContext) -> timedelta | None:
    """How long after its start it counts as hung; None when it does not matter how long it runs."""
    cron, start = context.cron_job, job.status.start_time
    if cron is None or start is None or job.status.active == 0 or job.spec.suspend or not context.is_listed:
        return None
    if cron.spec.concurrency_policy != "Forbid" or cron.spec.suspend:
        return None
    is_changed = context.cron_changed_since_good
    count, least = (MISSED_AFTER_CHANGE, HUNG_LEAST_AFTER_CHANGE) if is_changed else (MISSED, HUNG_LEAST)
    missed = nth_due(cron.spec.schedule, cron.spec.time_zone, start, count)
    if missed is None:
        return None
    deadline = job.spec.active_deadline_seconds
    bounded = timedelta(0) if deadline is None else timedelta(seconds=deadline) + DEADLINE_SLACK
    return max(missed - start, least, bounded)


@dataclass(frozen=True, slots=True)
class CronJobContext(ObjectContext):
    """Whether a CronJob is meant to run."""

    declared_suspended: bool | None = None
    """None when it is not declared."""
    good_suspended: bool | None = None
    """As last known good; None when nothing is known."""
    hindrance: Hindrance | None = None
    """What keeps all pods of its newest Job from starting."""


def detect_cron_job(cron_job: CronJob, context: CronJobContext, now: datetime) -> list[Signal]:
    """CRONJOB_SUSPENDED, or JOB_STUCK."""
    return judge(cron_job, context, _of_cron_job(cron_job, context), now)


def _of_cron_job(cron_job: CronJob, context: CronJobContext) -> Iterator[Finding]:
    if cron_job.spec.suspend:
        yield from _suspended(cron_job, context)
    elif context.hindrance is not None:
        # From the first look on: each run has new pods, and would begin to count anew.
        grace = VERY_LONG if context.hindrance.is_place else LONG
        yield Finding(Reason.JOB_STUCK, context.hindrance.text, grace)


def _suspended(cron_job: CronJob, context: CronJobContext) -> Iterator[Finding]:
    last = cron_job.status.last_schedule_time
    ran = f", last run {last:%Y-%m-%d %H:%M:%S}Z" if last is not None else ""
    if context.declared_suspended is False:
        yield Finding(Reason.CRONJOB_SUSPENDED, f"suspended, and declared to run{ran}", APPLYING)
    elif context.declared_suspended is None and context.good_suspended is False:
        yield Finding(Reason.CRONJOB_SUSPENDED, f"suspended, and it used to run{ran}", PATIENT)
