"""A failed Job that nobody controls, run again under its own name: out, and in again."""

from __future__ import annotations

import pytest

from tests.tools.executors.test_batch import code, seen
from tests.tools.executors.test_workload import MARK
from tests.tools.guard.platform import job
from tools.cluster.resources import JOB
from tools.executors.base import Earlier, Situation
from tools.executors.lives import removed
from tools.executors.whole import MADE_BY
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, dig, dig_object
from tools.refs import ObjectRef

R = ReasonCode
TRACKED = "batch.kubernetes.io/job-tracking"
REF = ObjectRef(kind="Job", namespace="shop", name="import")
NOTES: JsonObject = {
    "team": "a",
    "selfheal.dev/mode": "approve",
    MADE_BY: "act-0",
    TRACKED: "",
}


def failed(**spec: object) -> JsonObject:
    made = job("import", ended="Failed", activeDeadlineSeconds=5, **spec)  # type: ignore[arg-type]
    return {**made, "metadata": {**dig_object(made, "metadata"), "annotations": NOTES}}


FAILED = failed()
GOING: JsonObject = {
    **FAILED,
    "metadata": {**dig_object(FAILED, "metadata"), "deletionTimestamp": "2026-01-01T00:00:00Z"},
}
NEW_LIFE: JsonObject = {**FAILED, "metadata": {**dig_object(FAILED, "metadata"), "uid": "uid-2"}}
WAY_BACK = removed(REF, FAILED, JOB).model_dump(mode="json")
REMOVED = Earlier("remove_failed_job", REF, WAY_BACK)


@pytest.mark.parametrize(
    ("why", "live", "expected"),
    [
        ("it failed", FAILED, None),
        ("it runs", job("import"), R.NO_CHANGE),
        ("it succeeded", job("import", ended="Complete"), R.NO_CHANGE),
        ("it is going", GOING, R.NO_CHANGE),
        ("a CronJob made it", job("import", owner="nightly", ended="Failed"), R.TARGET_PROTECTED),
        ("it brought its own selector", failed(manualSelector=True), R.PARAM_OUT_OF_RANGE),
    ],
)
async def test_when_a_failed_job_is_removed(why: str, live: JsonObject, expected: ReasonCode | None) -> None:
    assert await code("remove_failed_job", live, name="import") is expected


@pytest.mark.parametrize(
    ("why", "live", "earlier", "expected"),
    [
        ("removed by this plan", None, [REMOVED], None),
        ("judged before it is removed", FAILED, [], None),
        ("judged, and there is nothing to be removed", job("import"), [], R.NO_CHANGE),
        ("still on its way out", GOING, [REMOVED], R.TARGET_DELETING),
        ("somebody made one meanwhile", NEW_LIFE, [REMOVED], R.TARGET_EXISTS),
        ("not there, and not removed by us", None, [], R.VERSION_UNKNOWN),
        ("this plan did something else to it", None, [Earlier("delete_job", REF, {})], R.VERSION_UNKNOWN),
    ],
)
async def test_when_it_is_made_anew(
    why: str, live: JsonObject | None, earlier: list[Earlier], expected: ReasonCode | None
) -> None:
    there = [] if live is None else [live]
    executor, action, read = await seen("recreate_failed_job", *there, name="import", deadline_seconds=60)
    refused = executor.precondition(action, executor.recall(action, read, earlier))
    assert (refused.code if refused else None) == expected


async def test_it_is_the_same_work_under_the_same_name() -> None:
    executor, action, read = await seen("recreate_failed_job", name="import", deadline_seconds=60)
    situation = executor.recall(action, read, [REMOVED])
    request = executor.request(action, situation, MARK)
    made = request.body
    assert (request.verb, request.name) == ("create", "import")
    assert set(dig_object(made, "spec")) == {"backoffLimit", "template", "activeDeadlineSeconds"}, "and not suspended"
    assert dig(made, "spec", "activeDeadlineSeconds") == 60
    assert dig_object(made, "metadata", "labels") == {"app": "books"}
    notes = dig_object(made, "metadata", "annotations")
    assert (notes["team"], notes["selfheal.dev/mode"], notes[MADE_BY]) == ("a", "approve", MARK.action_id)
    assert TRACKED not in notes
    assert executor.approval_reasons(action, situation)
    assert executor.postcondition(action, situation, Situation(made)) is None
    assert executor.postcondition(action, situation, Situation(FAILED)).code is R.VERIFY_FAILED


def test_an_undo_never_begins_work() -> None:
    spec = dig_object(WAY_BACK, "manifest", "spec")
    assert (spec["suspend"], "selector" in spec) == (True, False)
    assert dig_object(WAY_BACK, "manifest", "metadata", "labels") == {"app": "books"}
