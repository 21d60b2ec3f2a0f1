"""What holds a ScaledObject, when its bounds may be set, and when a person must agree; all of it without a server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.test_workload import MARK, Shelf
from tests.tools.guard.platform import head, scaled_object
from tools import registry
from tools.executors.base import Applied, Situation
from tools.executors.keda.bounds import KedaSetBoundsExecutor
from tools.executors.keda.pause import KedaResumeExecutor
from tools.executors.keda.scaled import PAUSED, PAUSED_REPLICAS, PAUSED_SCALE_OUT, bounds, holds, paused_replicas
from tools.executors.patch import find
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object

R = ReasonCode
SCALE_IN = "autoscaling.keda.sh/paused-scale-in"
NOTE = "team.example/note"


def noted(**values: str) -> JsonObject:
    names = {"paused": PAUSED, "replicas": PAUSED_REPLICAS, "scale_out": PAUSED_SCALE_OUT, "scale_in": SCALE_IN}
    notes: JsonObject = {names[key]: value for key, value in values.items()}
    return scaled_object("web", annotations={**notes, NOTE: "kept"})


async def seen(name: str, live: JsonObject, *more: JsonObject, **arguments: object) -> tuple[Any, Any, Situation]:
    executor = registry.executors()[name]
    action = registry.parse(name, {"namespace": "shop", "name": "web", **arguments})
    shelf = Shelf()
    for document in (live, *more):
        shelf.objects.setdefault(str(document["kind"]), []).append(document)
    return executor, action, await executor.read(action, shelf)


@pytest.mark.parametrize(
    ("why", "annotations", "held", "at"),
    [
        ("nothing", {}, (), None),
        ("true", {"paused": "true"}, (PAUSED,), None),
        ("false, which does not count", {"paused": "false"}, (), None),
        ("any of Go's words for false", {"paused": "F"}, (), None),
        ("a word that is no boolean counts as true", {"paused": "off"}, (PAUSED,), None),
        ("an empty value is no boolean either", {"paused": ""}, (PAUSED,), None),
        ("at a number", {"replicas": "3"}, (PAUSED_REPLICAS,), 3),
        ("at none", {"replicas": "0"}, (PAUSED_REPLICAS,), 0),
        ("at what is no number", {"replicas": "many"}, (PAUSED_REPLICAS,), None),
        ("both", {"paused": "true", "replicas": "2"}, (PAUSED, PAUSED_REPLICAS), 2),
        ("upwards only", {"scale_out": "true"}, (PAUSED_SCALE_OUT,), None),
        ("downwards only, which holds up nobody", {"scale_in": "true"}, (), None),
    ],
)
def test_what_holds(why: str, annotations: dict[str, str], held: tuple[str, ...], at: int | None) -> None:
    live = noted(**annotations)
    assert (tuple(holds(live)), paused_replicas(live)) == (held, at)


@pytest.mark.parametrize(
    ("why", "spec", "expected"),
    [
        ("both are given", {"minReplicaCount": 1, "maxReplicaCount": 7}, (1, 7)),
        ("nothing is given: KEDA's defaults", {}, (0, 100)),
    ],
)
def test_bounds_in_force(why: str, spec: JsonObject, expected: tuple[int, int]) -> None:
    assert bounds({"spec": spec}) == expected


async def test_resuming_takes_what_holds_and_nothing_else() -> None:
    executor, action, situation = await seen(
        "keda_resume", noted(paused="true", replicas="2", scale_in="true"), kind="ScaledObject"
    )
    assert executor.precondition(action, situation) is None
    body: list[JsonValue] = dig_list({"body": executor.request(action, situation, MARK).body}, "body")
    gone = [op["path"] for op in body if isinstance(op, dict) and op["op"] == "remove"]
    assert gone == [f"/metadata/annotations/{name.replace('/', '~1')}" for name in (PAUSED, PAUSED_REPLICAS)]


@pytest.mark.parametrize(
    ("why", "name", "live", "expected"),
    [
        ("resume: it is paused", "keda_resume", noted(paused="true"), None),
        ("resume: it is not", "keda_resume", noted(), R.NO_CHANGE),
        ("resume: it goes", "keda_resume", {**noted(paused="true")}, R.TARGET_DELETING),
        ("pause: it is not paused", "keda_pause", noted(), None),
        ("pause: it says no to that", "keda_pause", noted(paused="false"), None),
        ("pause: it is paused", "keda_pause", noted(replicas="1"), R.NO_CHANGE),
    ],
)
async def test_when_there_is_something_to_do(why: str, name: str, live: JsonObject, expected: R | None) -> None:
    if expected is R.TARGET_DELETING:
        live["metadata"] = {**dig_object(live, "metadata"), "deletionTimestamp": "2026-01-01T00:00:00Z"}
    executor, action, situation = await seen(name, live, kind="ScaledObject")
    refused = executor.precondition(action, situation)
    assert (None if refused is None else refused.code) is expected


@pytest.mark.parametrize(
    ("why", "declared", "code", "needs_failure"),
    [
        ("nothing is declared: somebody may have meant it", None, None, True),
        ("declared as running", scaled_object("web"), None, False),
        ("declared as paused", noted(paused="true"), R.WORKLOAD_PAUSED, False),
    ],
)
async def test_what_is_declared_decides_about_a_pause(
    why: str, declared: JsonObject | None, code: R | None, needs_failure: bool
) -> None:
    executor = KedaResumeExecutor(lambda _: declared)
    _, action, situation = await seen("keda_resume", noted(paused="true"), kind="ScaledObject")
    refused = executor.precondition(action, situation)
    assert (None if refused is None else refused.code) is code
    assert executor.needs_failure(action, situation) is needs_failure


async def test_a_pause_always_needs_a_person() -> None:
    executor, action, situation = await seen("keda_pause", noted(), kind="ScaledObject")
    assert executor.approval_reasons(action, situation)
    assert KedaResumeExecutor().approval_reasons(action, situation) == ()


@pytest.mark.parametrize(
    ("why", "now", "expected"),
    [
        ("our mark", {"selfheal.dev/action-id": str(MARK.action_id)}, Applied.YES),
        ("still paused, without our mark", {PAUSED: "true", NOTE: "kept"}, Applied.NO),
        ("somebody wrote another note, it is still paused", {PAUSED: "true", NOTE: "new"}, Applied.NO),
        ("not paused any more, and no mark: it cannot be told by whom", {NOTE: "kept"}, Applied.UNKNOWN),
    ],
)
async def test_annotations_tell_what_no_generation_does(why: str, now: dict[str, str], expected: Applied) -> None:
    executor, action, situation = await seen("keda_resume", noted(paused="true"), kind="ScaledObject")
    later = scaled_object("web", annotations={**now})
    later["metadata"] = {**dig_object(later, "metadata"), "resourceVersion": "21"}
    assert executor.was_applied(action, situation, later, MARK) is expected


@pytest.mark.parametrize(
    ("why", "live", "least", "greatest", "expected"),
    [
        ("twice the upper bound", scaled_object("web"), None, 8, None),
        ("half of it", scaled_object("web"), None, 2, None),
        ("both", scaled_object("web"), 3, 6, None),
        ("more than twice", scaled_object("web"), None, 9, R.PARAM_OUT_OF_RANGE),
        ("less than half", scaled_object("web", 2, 10), None, 4, R.PARAM_OUT_OF_RANGE),
        ("the lower above twice", scaled_object("web", 2, 10), 5, None, R.PARAM_OUT_OF_RANGE),
        ("a lower bound of none counts as one", scaled_object("web", 0, 10), 2, None, None),
        ("but not as more", scaled_object("web", 0, 10), 3, None, R.PARAM_OUT_OF_RANGE),
        ("none again is less than half", scaled_object("web", 1, 10), 0, None, R.PARAM_OUT_OF_RANGE),
        ("the lower above the upper", scaled_object("web", 3, 4), 5, None, R.PARAM_OUT_OF_RANGE),
        ("the lower at the idle count", scaled_object("web", 4, 8, idleReplicaCount=2), 2, None, R.PARAM_OUT_OF_RANGE),
        ("the lower above the idle count", scaled_object("web", 4, 8, idleReplicaCount=2), 3, None, None),
        ("nothing is given", scaled_object("web"), None, None, R.NO_CHANGE),
        ("what there is", scaled_object("web"), 2, 4, R.NO_CHANGE),
    ],
)  # fmt: skip
async def test_bounds_that_may_be_set(
    why: str, live: JsonObject, least: int | None, greatest: int | None, expected: R | None
) -> None:
    executor, action, situation = await seen("keda_set_bounds", live, min_replicas=least, max_replicas=greatest)
    refused = executor.precondition(action, situation)
    assert (None if refused is None else refused.code) is expected


@pytest.mark.parametrize(
    ("why", "least", "greatest", "running", "asks"),
    [
        ("more room", None, 8, 4, False),
        ("less room, but nothing runs there", None, 3, 2, False),
        ("pods that run would go", None, 2, 4, True),
        ("how many run is not known", None, 3, None, True),
        ("more room, though it is not known how many run", None, 8, None, False),
        ("it could go lower than it may now", 1, None, 4, True),
        ("it may not go as low any more", 3, None, 4, False),
    ],
)
async def test_when_new_bounds_need_a_person(
    why: str, least: int | None, greatest: int | None, running: int | None, asks: bool
) -> None:
    live: JsonObject = {**scaled_object("web"), "status": {"hpaName": "keda-hpa-web"}}
    behind: list[JsonObject] = []
    if running is not None:
        behind = [{**head("HorizontalPodAutoscaler", "keda-hpa-web"), "status": {"currentReplicas": running}}]
    executor, action, situation = await seen(
        "keda_set_bounds", live, *behind, min_replicas=least, max_replicas=greatest
    )
    assert executor.precondition(action, situation) is None
    assert bool(executor.approval_reasons(action, situation)) is asks


async def test_a_bound_that_was_left_out_is_added() -> None:
    live = scaled_object("web")
    live["spec"] = {"scaleTargetRef": {"name": "held"}}
    executor, action, situation = await seen("keda_set_bounds", live, min_replicas=1, max_replicas=None)
    body = dig_list({"body": executor.request(action, situation, MARK).body}, "body")
    assert {"op": "add", "path": "/spec/minReplicaCount", "value": 1} in body
    assert find(live, "/spec/minReplicaCount") == (False, None)


def test_a_factor_that_lets_nothing_through_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        KedaSetBoundsExecutor(0)
