"""The specification of failed and hung Jobs, suspended CronJobs, and of schedules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from graph.incident import Reason
from graph.signals.jobs import is_plainly_well
from graph.signals.schedules import nth_due
from tests.graph.signals.object_samples import Journal, World, cron_job, job, look, owner, said
from tests.graph.signals.samples import condition_of, pod, running, stamp, status, unschedulable, waiting
from tools.cluster.objects import CronJob, Job, Pod
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject

FAILED, HUNG, SUSPENDED = Reason.JOB_FAILED, Reason.JOB_HUNG, Reason.CRONJOB_SUSPENDED
STUCK = Reason.JOB_STUCK
TICK = "shop/CronJob/tick"
LATE = condition_of("Failed", "True", "DeadlineExceeded", "Job was active longer than specified deadline")
GAVE_UP = condition_of("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
DONE = condition_of("Complete", "True", "CompletionsReached")
TARGET = condition_of("FailureTarget", "True", "DeadlineExceeded")
CHANGED = Journal(changed={TICK: datetime(2026, 3, 1, 11, 59, tzinfo=UTC)})


@dataclass(frozen=True)
class Expect:
    job: Job
    others: tuple[KubeObject, ...] = ()
    journal: Journal = field(default_factory=Journal)
    signal: tuple[Reason, float | None] | None = None
    now: float = 0


def hangs(*, deadline: int | None = None, suspend: bool = False) -> Job:
    return job(cron="tick", active=1, deadline=deadline, suspend=suspend)


OWNED = owner("Job", "tick-1", api="batch/v1")
PULL = waiting("ImagePullBackOff", "not found")


def stuck(state: JsonObject, *, restarts: int = 0) -> Pod:
    return pod(status(state, restarts=restarts), owner=OWNED, phase="Pending")


CASES = {
    "past its deadline": Expect(job(LATE), signal=(FAILED, None)),
    "out of tries": Expect(job(GAVE_UP), signal=(FAILED, None)),
    "about to fail, not yet": Expect(job(TARGET, active=1)),
    "complete": Expect(job(DONE)),
    "failed long before anybody asked": Expect(job(LATE), now=4000),
    "failed, newest of its CronJob": Expect(
        job(LATE, name="tick-2", cron="tick", started=60),
        (cron_job(), job(DONE, name="tick-1", cron="tick")),
        signal=(FAILED, None),
    ),
    "failed, and its CronJob ran again since": Expect(
        job(LATE, cron="tick"), (cron_job(), job(DONE, name="tick-2", cron="tick", started=60))
    ),
    "failed, and something else looks after it": Expect(job(LATE, of=owner("Workflow", "w", api="example.com/v1"))),
    "failed, and its CronJob is gone": Expect(job(LATE, cron="tick")),
    "runs, and three runs were missed, but not five minutes": Expect(
        hangs(), (cron_job("tick-1"),), signal=(HUNG, 300), now=200
    ),
    "runs for five minutes": Expect(hangs(), (cron_job("tick-1"),), signal=(HUNG, None), now=300),
    "runs for five minutes, three runs take an hour and a half": Expect(
        hangs(), (cron_job("tick-1", schedule="*/30 * * * *"),), signal=(HUNG, 5400), now=300
    ),
    "runs, and its CronJob was changed since it was good": Expect(
        hangs(), (cron_job("tick-1"),), CHANGED, signal=(HUNG, 120), now=20
    ),
    "runs, and its CronJob is not as declared": Expect(
        hangs(),
        (cron_job("tick-1"),),
        Journal(differs={TICK: ("/spec/jobTemplate/spec/template/spec/containers/0/command",)}),
        signal=(HUNG, 120),
    ),
    "runs, and will be ended at its deadline": Expect(
        hangs(deadline=600), (cron_job("tick-1"),), signal=(HUNG, 660), now=300
    ),
    "runs, made by hand: it blocks nothing": Expect(hangs(), (cron_job(),), now=900),
    "runs, and others may run beside it": Expect(hangs(), (cron_job("tick-1", policy="Allow"),), now=900),
    "runs, and would be replaced": Expect(hangs(), (cron_job("tick-1", policy="Replace"),), now=900),
    "runs, and its CronJob is suspended": Expect(hangs(), (cron_job("tick-1", suspend=True),), now=900),
    "suspended itself": Expect(hangs(suspend=True), (cron_job("tick-1"),), now=900),
    "runs, nobody's schedule waits": Expect(job(active=1), now=9000),
    "its image cannot be pulled": Expect(job(active=1), (stuck(PULL),), signal=(STUCK, 60)),
    "its image cannot be pulled, for a minute": Expect(job(active=1), (stuck(PULL),), signal=(STUCK, None), now=60),
    "cannot start, and its CronJob says so": Expect(
        hangs(), (cron_job("tick-1", policy="Replace"), stuck(PULL)), now=900
    ),
    "no node fits": Expect(
        job(active=1),
        (pod(owner=OWNED, phase="Pending", node="", conditions=unschedulable("no room")),),
        signal=(STUCK, 600),
    ),
    "one pod cannot start and another works": Expect(
        job(active=2), (stuck(PULL), pod(status(running(), ready=True), owner=OWNED, name="p2", uid="uid-p2"))
    ),
    "it ran and cannot be pulled again": Expect(job(active=1), (stuck(PULL, restarts=1),), now=900),
    "its pod is being set up": Expect(job(active=1), (stuck(waiting("ContainerCreating")),), now=900),
    "cannot start, and is suspended": Expect(job(active=1, suspend=True), (stuck(PULL),), now=900),
    "cannot start, and something else looks after it": Expect(
        job(active=1, of=owner("Workflow", "w", api="example.com/v1")), (stuck(PULL),), now=900
    ),
    "runs, and the schedule does not parse": Expect(hangs(), (cron_job("tick-1", schedule="often"),), now=9000),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_job(case: Expect) -> None:
    found = look(case.job, World(case.job, *case.others), case.journal, now=case.now)
    assert said(found) == ([] if case.signal is None else [case.signal])
    if found:
        assert not is_plainly_well(case.job)


def spec(*, suspend: bool) -> JsonObject:
    return {"spec": {"suspend": suspend}}


@dataclass(frozen=True)
class Rest:
    cron_job: CronJob
    journal: Journal
    due: float | None = None


SUSPENDS = {
    "suspended, and it used to run": Rest(cron_job(suspend=True), Journal(good={TICK: spec(suspend=False)}), 15),
    "suspended, and declared to run": Rest(cron_job(suspend=True), Journal(declared={TICK: {"spec": {}}}), 5),
    "suspended, and declared so": Rest(
        cron_job(suspend=True), Journal(declared={TICK: spec(suspend=True)}, good={TICK: spec(suspend=False)})
    ),
    "suspended, and it was when it was good": Rest(cron_job(suspend=True), Journal(good={TICK: spec(suspend=True)})),
    "suspended, and nothing is known": Rest(cron_job(suspend=True), Journal()),
    "suspended before our eyes": Rest(cron_job(suspend=True), Journal(replaced={(TICK, "spec.suspend"): "false"}), 15),
    "suspended before our eyes, and it was when it was good": Rest(
        cron_job(suspend=True),
        Journal(good={TICK: spec(suspend=True)}, replaced={(TICK, "spec.suspend"): "false"}),
    ),
    "runs": Rest(cron_job(), Journal(good={TICK: spec(suspend=False)})),
}


NEWER = job(name="tick-2", cron="tick", active=1, started=60)
STARTS = {
    "its Job cannot start": (cron_job("tick-1"), (hangs(), stuck(PULL)), 60),
    "no node fits": (
        cron_job("tick-1"),
        (hangs(), pod(owner=OWNED, phase="Pending", node="", conditions=unschedulable("no room"))),
        600,
    ),
    "its Job cannot start, and a newer one has no pod yet": (cron_job("tick-2"), (hangs(), stuck(PULL), NEWER), None),
    "its Job cannot start, and it is suspended": (cron_job("tick-1", suspend=True), (hangs(), stuck(PULL)), None),
    "its Job works": (cron_job("tick-1"), (hangs(), pod(status(running(), ready=True), owner=OWNED)), None),
    "no Job is there": (cron_job("tick-1"), (), None),
}


@pytest.mark.parametrize("case", STARTS.values(), ids=STARTS)
def test_cron_job_whose_jobs_cannot_start(case: tuple[CronJob, tuple[KubeObject, ...], float | None]) -> None:
    item, others, due = case
    found = look(item, World(item, *others))
    assert said(found) == ([] if due is None else [(STUCK, due)])


@pytest.mark.parametrize("case", SUSPENDS.values(), ids=SUSPENDS)
def test_cron_job(case: Rest) -> None:
    found = look(case.cron_job, World(case.cron_job), case.journal)
    assert said(found) == ([] if case.due is None else [(SUSPENDED, case.due)])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


START = moment("2026-03-01 12:00:30")  # a Sunday
DUE = {
    "every minute": ("*/1 * * * *", "", 3, "2026-03-01 12:03"),
    "every quarter of an hour": ("*/15 * * * *", "", 2, "2026-03-01 12:30"),
    "lists and ranges": ("0,30 9-17 * * *", "", 1, "2026-03-01 12:30"),
    "working days, by name": ("0 9 * * MON-FRI", "", 2, "2026-03-03 09:00"),
    "Sunday as seven": ("0 18 * * 7", "", 2, "2026-03-08 18:00"),
    "a day of the month or of the week": ("0 0 13 * 5", "", 2, "2026-03-13 00:00"),
    "a day of the month and any of the week": ("0 0 13 * *", "", 1, "2026-03-13 00:00"),
    "a month by name": ("0 0 1 jun *", "", 1, "2026-06-01 00:00"),
    "a leap day": ("0 0 29 2 *", "", 1, "2028-02-29 00:00"),
    "from a value with a step": ("10/20 * * * *", "", 3, "2026-03-01 12:50"),
    "question mark": ("0 13 ? * *", "", 1, "2026-03-01 13:00"),
    "hourly": ("@hourly", "", 1, "2026-03-01 13:00"),
    "weekly": ("@weekly", "", 1, "2026-03-08 00:00"),
    "every hour and a half": ("@every 1h30m", "", 2, "2026-03-01 15:00:30"),
    "in another zone": ("0 9 * * *", "Asia/Kolkata", 1, "2026-03-02 03:30"),
    "in a zone that nobody knows": ("0 9 * * *", "Moon/Base", 1, "2026-03-02 09:00"),
}


@pytest.mark.parametrize("case", DUE.values(), ids=DUE)
def test_schedule(case: tuple[str, str, int, str]) -> None:
    schedule, zone, count, expected = case
    assert nth_due(schedule, zone, START, count) == moment(expected)


NOT_DUE = {
    "four fields": "* * * *",
    "out of bounds": "61 * * * *",
    "backwards": "0 9-5 * * *",
    "no step": "*/0 * * * *",
    "words": "now and then a b",
    "a day that never comes": "0 0 31 2 *",
    "every nothing": "@every 0s",
    "empty": "",
}


@pytest.mark.parametrize("schedule", NOT_DUE.values(), ids=NOT_DUE)
def test_what_is_no_schedule_is_never_due(schedule: str) -> None:
    assert nth_due(schedule, "", START, 1) is None


def test_the_message_of_a_hung_job_says_since_when() -> None:
    stuck = hangs()
    found = look(stuck, World(stuck, cron_job("tick-1")), now=300)
    assert found[0].message.startswith(f"active since {stamp(0).replace('T', ' ')}")
