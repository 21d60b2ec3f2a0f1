"""Actions on a node that are one write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.test_workload import MARK, Shelf
from tests.tools.guard.platform import TAINT, node
from tools import registry
from tools.executors.base import Applied, Situation
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_object

R = ReasonCode
OWNED: JsonObject = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


async def seen(name: str, *nodes: JsonObject, **arguments: object) -> tuple[Any, Any, Situation]:
    executor = registry.executors()[name]
    action = registry.parse(name, {"name": "n1", **arguments})
    return executor, action, await executor.read(action, Shelf({"Node": [*nodes]}))


@pytest.mark.parametrize(
    ("why", "name", "nodes", "code"),
    [
        ("another one takes pods", "cordon_node", [node("n1"), node("n2")], None),
        ("cordoned already", "cordon_node", [node("n1", unschedulable=True), node("n2")], R.NO_CHANGE),
        ("it is the only node", "cordon_node", [node("n1")], R.PARAM_OUT_OF_RANGE),
        ("the other is cordoned", "cordon_node", [node("n1"), node("n2", unschedulable=True)], R.PARAM_OUT_OF_RANGE),
        ("the other is not ready", "cordon_node", [node("n1"), node("n2", ready="Unknown")], R.PARAM_OUT_OF_RANGE),
        ("cordoned", "uncordon_node", [node("n1", unschedulable=True)], None),
        ("never cordoned", "uncordon_node", [node("n1")], R.NO_CHANGE),
        ("a field that says false", "uncordon_node", [node("n1", unschedulable=False)], R.NO_CHANGE),
    ],
)
async def test_when_a_node_is_cordoned_and_uncordoned(
    why: str, name: str, nodes: list[JsonObject], code: ReasonCode | None
) -> None:
    executor, action, situation = await seen(name, *nodes)
    refused = executor.precondition(action, situation)
    assert (refused.code if refused else None) == code


@pytest.mark.parametrize(
    ("why", "taints", "key", "effect", "code"),
    [
        ("people's", [TAINT], "team.example/held", "NoSchedule", None),
        ("of another effect", [TAINT], "team.example/held", "NoExecute", R.NO_CHANGE),
        ("not there", [], "team.example/held", "NoSchedule", R.NO_CHANGE),
        ("the node controller's", [OWNED], "node.kubernetes.io/not-ready", "NoSchedule", R.TARGET_PROTECTED),
        ("the control plane's", [], "node-role.kubernetes.io/control-plane", "NoSchedule", R.TARGET_PROTECTED),
        ("the cloud's", [], "node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule", R.TARGET_PROTECTED),
    ],
)
async def test_which_taints_are_taken_off(
    why: str, taints: list[JsonValue], key: str, effect: str, code: ReasonCode | None
) -> None:
    executor, action, situation = await seen("remove_taint", node("n1", taints=taints), key=key, effect=effect)
    refused = executor.precondition(action, situation)
    assert (refused.code if refused else None) == code


@pytest.mark.parametrize(
    ("why", "taints", "operations"),
    [
        (
            "one of several",
            [OWNED, TAINT],
            [("test", "/spec/taints/1"), ("remove", "/spec/taints/1")],
        ),
        ("the only one", [TAINT], [("test", "/spec/taints/0"), ("remove", "/spec/taints")]),
    ],
)
async def test_a_taint_is_removed_only_where_it_was_read(
    why: str, taints: list[JsonValue], operations: list[tuple[str, str]]
) -> None:
    executor, action, situation = await seen(
        "remove_taint", node("n1", taints=taints), key="team.example/held", effect="NoSchedule"
    )
    request = executor.request(action, situation, MARK)
    body = [dig_object(o) for o in request.body]
    assert [(o["op"], o["path"]) for o in body if str(o["path"]).startswith("/spec")] == operations
    assert body[2]["value"] == TAINT
    assert (body[0]["path"], body[0]["value"], body[1]["path"]) == ("/metadata/resourceVersion", "20", "/metadata/uid")
    assert (request.namespace, request.name, request.content_type) == (None, "n1", "application/json-patch+json")


@pytest.mark.parametrize("name", ["cordon_node", "uncordon_node", "remove_taint"])
async def test_a_person_is_always_asked(name: str) -> None:
    arguments: dict[str, object] = {"key": "a", "effect": "NoSchedule"} if name == "remove_taint" else {}
    executor, action, situation = await seen(name, node("n1"), **arguments)
    assert executor.approval_reasons(action, situation)


@pytest.mark.parametrize(
    ("why", "now", "expected"),
    [
        ("our mark", {"annotations": {"selfheal.dev/action-id": "act-1"}, "resourceVersion": "21"}, Applied.YES),
        ("nobody wrote", {}, Applied.NO),
        ("a heartbeat, the field as before", {"resourceVersion": "21"}, Applied.NO),
        ("another node of that name", {"uid": "uid-x", "resourceVersion": "21"}, Applied.UNKNOWN),
    ],
)
async def test_reading_back_a_kind_without_a_generation(why: str, now: JsonObject, expected: Applied) -> None:
    executor, action, situation = await seen("cordon_node", node("n1"), node("n2"))
    live = node("n1")
    live["metadata"] = {**dig_object(live, "metadata"), **now}
    assert executor.was_applied(action, situation, live, MARK) is expected
    moved: JsonObject = {**live, "spec": {"unschedulable": True}}
    if expected is Applied.NO and now:
        assert executor.was_applied(action, situation, moved, MARK) is Applied.UNKNOWN
