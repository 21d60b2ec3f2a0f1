"""Jobs that are run again or ended, schedules that are held and let go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.test_workload import MARK, Shelf
from tests.tools.guard.platform import cron_job, job
from tools import registry
from tools.executors.base import Situation
from tools.executors.models.batch import rerun_name
from tools.executors.whole import MADE_BY, without_job_identity
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, dig, dig_object

R = ReasonCode
FAILED = job("import", ended="Failed")


async def seen(tool: str, /, *objects: JsonObject, **arguments: object) -> tuple[Any, Any, Situation]:
    executor = registry.executors()[tool]
    action = registry.parse(tool, {"namespace": "shop", **arguments})
    shelf = Shelf({kind: [o for o in objects if o["kind"] == kind] for kind in ("Job", "CronJob")})
    return executor, action, await executor.read(action, shelf)


async def code(tool: str, /, *objects: JsonObject, **arguments: object) -> ReasonCode | None:
    executor, action, situation = await seen(tool, *objects, **arguments)
    refused = executor.precondition(action, situation)
    return None if refused is None else refused.code


@pytest.mark.parametrize(
    ("why", "jobs", "number", "expected"),
    [
        ("it failed", [FAILED], 1, None),
        ("it runs", [job("import")], 1, R.NO_CHANGE),
        ("it succeeded", [job("import", ended="Complete")], 1, R.NO_CHANGE),
        ("its repetition failed too", [FAILED, job("import-rerun-1", ended="Failed")], 2, None),
        ("that repetition is there", [FAILED, job("import-rerun-1", ended="Failed")], 1, R.TARGET_EXISTS),
        ("a repetition runs", [FAILED, job("import-rerun-1")], 2, R.NO_CHANGE),
        ("a repetition runs, of a later number", [FAILED, job("import-rerun-3")], 2, R.NO_CHANGE),
        ("it brought its own selector", [job("import", ended="Failed", manualSelector=True)], 1, R.PARAM_OUT_OF_RANGE),
    ],
)
async def test_when_a_job_is_run_again(
    why: str, jobs: list[JsonObject], number: int, expected: ReasonCode | None
) -> None:
    assert await code("rerun_job", *jobs, name="import", number=number, deadline_seconds=60) is expected


@pytest.mark.parametrize(
    ("why", "name", "number", "expected"),
    [
        ("a short name", "import", 1, "import-rerun-1"),
        ("a repetition of a repetition is one of the first", "import-rerun-1", 2, "import-rerun-2"),
        ("a name that only looks like one", "import-rerun-x", 1, "import-rerun-x-rerun-1"),
        ("cut to what a label holds", "a" * 63, 1, "a" * 55 + "-rerun-1"),
        ("and never at a dash", "a" * 54 + "-" + "b" * 8, 1, "a" * 54 + "-rerun-1"),
    ],
)
def test_the_name_of_a_repetition(why: str, name: str, number: int, expected: str) -> None:
    assert rerun_name(name, number) == expected
    assert len(rerun_name(name, number)) <= 63


async def test_a_repetition_is_the_same_work_without_the_old_one_s_identity() -> None:
    failed = job("import", owner="nightly", ended="Failed", activeDeadlineSeconds=5, suspend=False)
    executor, action, situation = await seen("rerun_job", failed, name="import", number=1, deadline_seconds=60)
    request = executor.request(action, situation, MARK)
    made = request.body
    assert (request.verb, request.name, request.namespace) == ("create", "import-rerun-1", "shop")
    assert set(dig_object(made, "metadata")) == {"name", "namespace", "labels", "annotations"}
    assert dig_object(made, "metadata", "labels") == {"app": "books"}
    assert dig(made, "metadata", "annotations", MADE_BY) == MARK.action_id
    assert set(dig_object(made, "spec")) == {"backoffLimit", "template", "activeDeadlineSeconds"}
    assert dig(made, "spec", "activeDeadlineSeconds") == 60
    assert dig_object(made, "spec", "template", "metadata", "labels") == {"app": "books"}
    assert dig(made, "spec", "template", "spec") == dig(failed, "spec", "template", "spec")
    assert executor.approval_reasons(action, situation)
    assert "ownerReferences" not in dig_object(executor.subject(action, situation), "metadata")


@pytest.mark.parametrize(
    ("why", "now", "holds"),
    [
        ("it does the same", job("import-rerun-1", activeDeadlineSeconds=60), True),
        ("it has another limit", job("import-rerun-1", activeDeadlineSeconds=5), False),
        ("it has another template", job("import-rerun-1", activeDeadlineSeconds=60, template={"spec": {}}), False),
        ("it is not there", {}, False),
    ],
)
async def test_what_a_repetition_promises(why: str, now: JsonObject, holds: bool) -> None:
    executor, action, before = await seen("rerun_job", FAILED, name="import", number=1, deadline_seconds=60)
    assert (executor.postcondition(action, before, Situation(now)) is None) is holds


def test_a_selector_that_people_wrote_is_kept() -> None:
    own = job("import", manualSelector=True)
    assert without_job_identity(own) == own


@pytest.mark.parametrize(
    ("why", "live", "expected"),
    [
        ("it hangs", job("n-1", owner="nightly"), None),
        ("nobody would make another", job("n-1"), R.NO_CONTROLLER),
        ("it has ended", job("n-1", owner="nightly", ended="Complete"), R.NO_CHANGE),
        ("it has failed", job("n-1", owner="nightly", ended="Failed"), R.NO_CHANGE),
        ("it is going", {**job("n-1"), "metadata": {**dig_object(job("n-1", owner="nightly"), "metadata"),
                                                     "deletionTimestamp": "2026-01-01T00:00:00Z"}}, R.NO_CHANGE),
    ],
)  # fmt: skip
async def test_when_a_job_is_deleted(why: str, live: JsonObject, expected: ReasonCode | None) -> None:
    assert await code("delete_job", live, name="n-1") is expected


async def test_a_job_is_deleted_with_its_pods_and_only_in_the_life_that_was_judged() -> None:
    executor, action, situation = await seen("delete_job", job("n-1", owner="nightly"), name="n-1")
    assert executor.request(action, situation, MARK).body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "uid-n-1", "resourceVersion": "20"},
    }


@pytest.mark.parametrize(
    ("name", "suspended", "expected"),
    [
        ("suspend_cronjob", False, None),
        ("suspend_cronjob", True, R.NO_CHANGE),
        ("resume_cronjob", True, None),
        ("resume_cronjob", False, R.NO_CHANGE),
    ],
)
async def test_when_a_schedule_is_held_and_let_go(name: str, suspended: bool, expected: ReasonCode | None) -> None:
    assert await code(name, cron_job("nightly", suspend=suspended), name="nightly") is expected
    executor, action, situation = await seen(name, cron_job("nightly", suspend=suspended), name="nightly")
    assert executor.approval_reasons(action, situation)
    after = Situation(cron_job("nightly", suspend=name == "suspend_cronjob"))
    assert executor.postcondition(action, situation, after) is None
    before = Situation(cron_job("nightly", suspend=name != "suspend_cronjob"))
    assert executor.postcondition(action, situation, before).code is R.VERIFY_FAILED
