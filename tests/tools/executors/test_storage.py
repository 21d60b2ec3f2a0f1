"""Claims that grow, claims that are made anew, bounds of an autoscaler, and a rollout that goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.objects import deployment
from tests.tools.executors.test_workload import MARK, Shelf
from tests.tools.guard.platform import autoscaler, claim, storage_class
from tools import registry
from tools.executors.base import Earlier, Situation
from tools.executors.kubernetes.autoscaling import SetHpaBoundsExecutor
from tools.executors.kubernetes.storage import ExpandPvcExecutor
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, dig, dig_object, dig_str
from tools.refs import ObjectRef

R = ReasonCode
CLAIM = ObjectRef(kind="PersistentVolumeClaim", namespace="shop", name="data")


async def seen(name: str, *objects: JsonObject, **arguments: object) -> tuple[Any, Any, Situation]:
    executor = registry.executors()[name]
    target = {"set_hpa_bounds": "web", "resume_rollout": "web"}.get(name, "data")
    action = registry.parse(name, {"namespace": "shop", "name": target, **arguments})
    shelf = Shelf()
    for document in objects:
        shelf.objects.setdefault(dig_str(document, "kind"), []).append(document)
    return executor, action, await executor.read(action, shelf)


async def code(name: str, *objects: JsonObject, **arguments: object) -> ReasonCode | None:
    executor, action, situation = await seen(name, *objects, **arguments)
    refused = executor.precondition(action, situation)
    return None if refused is None else refused.code


GROWING: JsonObject = {
    **claim("data", "fast", bound=True),
    "status": {"phase": "Bound", "capacity": {"storage": "8Gi"}},
}
LOST: JsonObject = {**claim("data", "fast", bound=True), "status": {"phase": "Lost"}}


@pytest.mark.parametrize(
    ("why", "live", "grows", "size", "expected"),
    [
        ("twice the size", claim("data", "fast", bound=True), True, "20Gi", None),
        ("a little more, in other words", claim("data", "fast", bound=True), True, "10241Mi", None),
        ("more than twice", claim("data", "fast", bound=True), True, "21Gi", R.PARAM_OUT_OF_RANGE),
        ("less", claim("data", "fast", bound=True), True, "9Gi", R.PARAM_OUT_OF_RANGE),
        ("the same, in other words", claim("data", "fast", bound=True), True, "10240Mi", R.NO_CHANGE),
        ("the class forbids it", claim("data", "fast", bound=True), False, "20Gi", R.PARAM_OUT_OF_RANGE),
        ("the class is gone", claim("data", "gone", bound=True), True, "20Gi", R.PARAM_OUT_OF_RANGE),
        ("no class", claim("data", "", bound=True), True, "20Gi", R.PARAM_OUT_OF_RANGE),
        ("bound to nothing", claim("data", "fast", bound=False), True, "20Gi", R.PARAM_OUT_OF_RANGE),
        ("still growing", GROWING, True, "20Gi", R.NO_CHANGE),
        (
            "a size that cannot be read",
            claim("data", "fast", bound=True, size="a lot"),
            True,
            "20Gi",
            R.INPUT_UNREADABLE,
        ),
    ],
)
async def test_when_a_claim_grows(
    why: str, live: JsonObject, grows: bool, size: str, expected: ReasonCode | None
) -> None:
    assert await code("expand_pvc", live, storage_class("fast", grows=grows), size=size) is expected


@pytest.mark.parametrize("executor", [ExpandPvcExecutor, SetHpaBoundsExecutor])
def test_a_bound_that_lets_nothing_through_is_an_error(executor: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        executor(0)


async def test_the_policy_s_bound_counts() -> None:
    executor = registry.executors(storage_factor=3)["expand_pvc"]
    action = registry.parse("expand_pvc", {"namespace": "shop", "name": "data", "size": "30Gi"})
    shelf = Shelf({CLAIM.kind: [claim("data", "fast", bound=True)], "StorageClass": [storage_class("fast")]})
    assert executor.precondition(action, await executor.read(action, shelf)) is None


@pytest.mark.parametrize(
    ("why", "live", "expected"),
    [
        ("bound to nothing", claim("data", "misspelt", bound=False), None),
        ("bound", claim("data", "fast", bound=True), R.TARGET_PROTECTED),
        ("its volume is lost, its data may not be", LOST, R.TARGET_PROTECTED),
        ("going", claim("data", "x", bound=False, deletionTimestamp="2026-01-01T00:00:00Z"), R.NO_CHANGE),
    ],
)
async def test_when_a_claim_is_removed(why: str, live: JsonObject, expected: ReasonCode | None) -> None:
    assert await code("remove_unbound_pvc", live) is expected


NOTES: JsonObject = {
    "team": "a",
    "volume.kubernetes.io/storage-provisioner": "x",
    "volume.beta.kubernetes.io/storage-class": "misspelt",
    "selfheal.dev/action-id": "act-0",
}
OLD = claim("data", "misspelt", bound=False, labels={"app": "db"}, annotations=NOTES)
REMOVED = Earlier("remove_unbound_pvc", CLAIM, {"kind": "removed", "uid": "uid-data", "manifest": OLD})
ELSEWHERE = CLAIM.model_copy(update={"name": "other"})
NEW_LIFE: JsonObject = {**OLD, "metadata": {**dig_object(OLD, "metadata"), "uid": "uid-2"}}


@pytest.mark.parametrize(
    ("why", "live", "earlier", "wanted", "expected"),
    [
        ("removed by this plan", None, [REMOVED], "fast", None),
        ("judged before it is removed", OLD, [], "fast", None),
        ("still on its way out", OLD, [REMOVED], "fast", R.TARGET_DELETING),
        ("somebody made one meanwhile", NEW_LIFE, [REMOVED], "fast", R.TARGET_EXISTS),
        ("bound", claim("data", "misspelt", bound=True), [], "fast", R.TARGET_EXISTS),
        ("not there, and not removed by us", None, [], "fast", R.VERSION_UNKNOWN),
        ("this plan removed another", None, [Earlier("remove_unbound_pvc", ELSEWHERE, {})], "fast", R.VERSION_UNKNOWN),
        ("this plan did something else to it", None, [Earlier("expand_pvc", CLAIM, {})], "fast", R.VERSION_UNKNOWN),
        ("a class that does not exist", None, [REMOVED], "nowhere", R.PARAM_OUT_OF_RANGE),
    ],
)
async def test_when_a_claim_is_made_anew(
    why: str, live: JsonObject | None, earlier: list[Earlier], wanted: str, expected: ReasonCode | None
) -> None:
    there = [] if live is None else [live]
    executor, action, read = await seen("recreate_unbound_pvc", storage_class("fast"), *there, storage_class=wanted)
    refused = executor.precondition(action, executor.recall(action, read, earlier))
    assert (refused.code if refused else None) == expected


async def test_the_class_it_had_is_no_other() -> None:
    executor, action, read = await seen("recreate_unbound_pvc", storage_class("misspelt"), storage_class="misspelt")
    assert executor.precondition(action, executor.recall(action, read, [REMOVED])).code is R.NO_CHANGE


async def test_a_claim_is_the_same_but_for_its_class() -> None:
    executor, action, read = await seen("recreate_unbound_pvc", storage_class("fast"), storage_class="fast")
    situation = executor.recall(action, read, [REMOVED])
    made = executor.request(action, situation, MARK).body
    assert dig_object(made, "spec") == {**dig_object(OLD, "spec"), "storageClassName": "fast"}
    assert dig(made, "metadata", "labels") == {"app": "db"}
    notes = dig_object(made, "metadata", "annotations")
    assert (notes["team"], notes["selfheal.dev/action-id"], len(notes)) == ("a", "act-1", 4)
    assert "uid" not in dig_object(made, "metadata")
    assert "status" not in made
    assert executor.postcondition(action, situation, Situation(made)) is None
    assert executor.postcondition(action, situation, Situation(OLD)).code is R.VERIFY_FAILED


@pytest.mark.parametrize(
    ("why", "bounds", "least", "greatest", "expected"),
    [
        ("twice the upper bound", (2, 4), None, 8, None),
        ("half of it", (2, 4), None, 2, None),
        ("both", (2, 4), 3, 6, None),
        ("more than twice", (2, 4), None, 9, R.PARAM_OUT_OF_RANGE),
        ("less than half", (2, 10), None, 4, R.PARAM_OUT_OF_RANGE),
        ("the lower above twice", (2, 10), 5, None, R.PARAM_OUT_OF_RANGE),
        ("the lower above the upper", (3, 4), 5, None, R.PARAM_OUT_OF_RANGE),
        ("the upper below the lower", (4, 6), None, 3, R.PARAM_OUT_OF_RANGE),
        ("nothing is given", (2, 4), None, None, R.NO_CHANGE),
        ("what there is", (2, 4), 2, 4, R.NO_CHANGE),
    ],
)
async def test_bounds_of_an_autoscaler(
    why: str, bounds: tuple[int, int], least: int | None, greatest: int | None, expected: ReasonCode | None
) -> None:
    found = await code("set_hpa_bounds", autoscaler(*bounds), min_replicas=least, max_replicas=greatest)
    assert found is expected


@pytest.mark.parametrize(
    ("why", "least", "greatest", "running", "asks"),
    [
        ("more room", None, 8, 4, False),
        ("less room, but nothing runs there", None, 3, 2, False),
        ("pods that run would go", None, 2, 4, True),
        ("it could go lower than it may now", 1, None, 4, True),
        ("it may not go as low any more", 3, None, 4, False),
    ],
)
async def test_when_new_bounds_need_a_person(
    why: str, least: int | None, greatest: int | None, running: int, asks: bool
) -> None:
    live = autoscaler(2, 4, running=running)
    executor, action, situation = await seen("set_hpa_bounds", live, min_replicas=least, max_replicas=greatest)
    assert executor.precondition(action, situation) is None
    assert bool(executor.approval_reasons(action, situation)) is asks


@pytest.mark.parametrize(
    ("why", "live", "expected"),
    [("paused", deployment(paused=True), None), ("not paused", deployment(), R.NO_CHANGE)],
)
async def test_when_a_rollout_goes_on(why: str, live: JsonObject, expected: ReasonCode | None) -> None:
    assert await code("resume_rollout", live) is expected
    executor, action, situation = await seen("resume_rollout", live)
    assert executor.approval_reasons(action, situation)
    assert executor.is_stopped_by_rollout(action) is False
