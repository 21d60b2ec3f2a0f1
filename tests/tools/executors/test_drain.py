"""What a drain moves, what it leaves, and what stands against it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.test_workload import MARK, Shelf
from tests.tools.guard.platform import node
from tools.executors.base import Applied, Situation
from tools.executors.kubernetes.drain import MOST_PODS, DrainNodeExecutor, Stays, stays
from tools.executors.models.node import DrainNode
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue

R = ReasonCode
EXECUTOR = DrainNodeExecutor()
DRAIN = DrainNode(action="drain_node", name="n1")
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
KEEPS: list[JsonValue] = [{"name": "v", "emptyDir": {}}]


def a_pod(
    name: str = "p",
    *,
    controller: str = "ReplicaSet",
    on: str = "n1",
    phase: str = "Running",
    volumes: list[JsonValue] | None = None,
    tolerates: JsonObject | None = None,
    **metadata: JsonValue,
) -> JsonObject:
    owner: JsonObject = {"kind": controller, "name": "x", "uid": "u", "controller": True}
    head: JsonObject = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "7", **metadata}
    return {
        "metadata": {**head, "ownerReferences": [owner] if controller else []},
        "spec": {"nodeName": on, "volumes": volumes or [], "tolerations": [tolerates] if tolerates else []},
        "status": {"phase": phase},
    }


async def seen(*pods: JsonObject, nodes: tuple[JsonObject, ...] = ()) -> Situation:
    return await EXECUTOR.read(DRAIN, Shelf({"Node": [*(nodes or (node("n1"), node("n2")))], "Pod": [*pods]}))


def calls(situation: Situation) -> list[str]:
    return [f"{one.action.tool} {one.action.target.name}" for one in EXECUTOR.rounds(DRAIN, situation)]


@pytest.mark.parametrize(
    ("why", "pod", "expected"),
    [
        ("a controller makes another", a_pod(), None),
        ("of a StatefulSet", a_pod(controller="StatefulSet"), None),
        ("a DaemonSet's would come back", a_pod(controller="DaemonSet"), Stays.DAEMON),
        ("nothing would make another", a_pod(controller=""), Stays.UNMANAGED),
        ("a static pod's mirror", a_pod(controller="Node"), Stays.MIRROR),
        (
            "a mirror by its annotation",
            a_pod(controller="", annotations={"kubernetes.io/config.mirror": "x"}),
            Stays.MIRROR,
        ),
        ("data that would be lost", a_pod(volumes=KEEPS), Stays.LOCAL_DATA),
        ("a volume that is no emptyDir", a_pod(volumes=[{"name": "v", "configMap": {"name": "c"}}]), None),
        ("it tolerates everything", a_pod(tolerates={"operator": "Exists"}), Stays.TOLERATES),
        ("it tolerates a cordon", a_pod(tolerates={"operator": "Exists", "key": UNSCHEDULABLE}), Stays.TOLERATES),
        ("by an equal value", a_pod(tolerates={"key": UNSCHEDULABLE, "effect": "NoSchedule"}), Stays.TOLERATES),
        ("another effect", a_pod(tolerates={"operator": "Exists", "effect": "NoExecute"}), None),
        ("another taint", a_pod(tolerates={"operator": "Exists", "key": "node.kubernetes.io/not-ready"}), None),
        ("nobody's, and it tolerates: it is left", a_pod(controller="", tolerates={"operator": "Exists"}),
         Stays.TOLERATES),
    ],
)  # fmt: skip
def test_which_pods_a_drain_moves(why: str, pod: JsonObject, expected: Stays | None) -> None:
    assert stays(pod) is expected, why


@pytest.mark.parametrize(
    ("why", "pod"),
    [
        ("on another node", a_pod(on="n2")),
        ("not placed yet", a_pod(on="")),
        ("it has ended", a_pod(phase="Succeeded", controller="")),
        ("it has failed", a_pod(phase="Failed", volumes=KEEPS)),
        ("it is going", a_pod(deletionTimestamp="2026-01-01T00:00:00Z", controller="")),
    ],
)
async def test_what_a_drain_does_not_look_at(why: str, pod: JsonObject) -> None:
    situation = await seen(pod)
    assert EXECUTOR.precondition(DRAIN, situation) is None, why
    assert calls(situation) == ["cordon_node n1"]


async def test_it_cordons_first_and_then_evicts_in_a_fixed_order() -> None:
    pods = [a_pod(name) for name in ("c", "a", "b")]
    assert calls(await seen(*pods)) == ["cordon_node n1", "evict_pod a", "evict_pod b", "evict_pod c"]
    cordoned = (node("n1", unschedulable=True), node("n2"))
    left = await seen(pods[0], pods[2], nodes=cordoned)
    assert calls(left) == ["evict_pod b", "evict_pod c"]
    assert [one.pin.uid for one in EXECUTOR.rounds(DRAIN, left)] == ["uid-b", "uid-c"]
    assert calls(await seen(nodes=cordoned)) == []


@pytest.mark.parametrize(
    ("why", "pods", "nodes", "code", "named"),
    [
        ("all is well", [a_pod()], (), None, ""),
        ("a DaemonSet's pod keeps nothing from it", [a_pod(controller="DaemonSet", volumes=KEEPS)], (), None, ""),
        ("nothing would make one of them again", [a_pod(), a_pod("bare", controller="")], (), R.NO_CONTROLLER,
         "shop/bare"),
        ("data would be lost", [a_pod(), a_pod("cache", volumes=KEEPS)], (), R.LOCAL_DATA, "shop/cache"),
        ("no other node", [a_pod()], (node("n1"),), R.PARAM_OUT_OF_RANGE, "Node/n1"),
        ("the other one is cordoned", [a_pod()], (node("n1"), node("n2", unschedulable=True)), R.PARAM_OUT_OF_RANGE,
         "Node/n1"),
        ("the other one is not ready", [a_pod()], (node("n1"), node("n2", ready="Unknown")), R.PARAM_OUT_OF_RANGE,
         "Node/n1"),
        ("Kubernetes does it by itself", [a_pod()], (node("n1", ready="Unknown"), node("n2")), R.NODE_NOT_READY,
         "Node/n1"),
        ("as many as it may move", [a_pod(f"p{i}") for i in range(MOST_PODS)], (), None, ""),
        ("one more", [a_pod(f"p{i}") for i in range(MOST_PODS + 1)], (), R.PARAM_OUT_OF_RANGE, "51 pods"),
    ],
)  # fmt: skip
async def test_what_stands_against_it(
    why: str, pods: list[JsonObject], nodes: tuple[JsonObject, ...], code: ReasonCode | None, named: str
) -> None:
    refused = EXECUTOR.precondition(DRAIN, await seen(*pods, nodes=nodes))
    assert (refused.code if refused else None) is code, why
    assert named in (refused.reason if refused else "")


async def test_a_person_is_always_asked_and_told_which_pods() -> None:
    situation = await seen(a_pod("web-1"), a_pod("agent", controller="DaemonSet"))
    said = " ".join(EXECUTOR.approval_reasons(DRAIN, situation))
    assert "1 pod(s) off Node/n1: shop/web-1" in said
    assert "1 stay, of DaemonSets, static or tolerating it: shop/agent" in said
    assert EXECUTOR.reaches(DRAIN, situation) == {"shop"}
    assert len(EXECUTOR.approval_reasons(DRAIN, await seen())) == 1


async def test_it_is_done_when_the_node_is_closed_and_nothing_is_left_to_move() -> None:
    closed = (node("n1", unschedulable=True), node("n2"))
    cases: list[tuple[Any, bool]] = [
        (await seen(a_pod("agent", controller="DaemonSet"), nodes=closed), True),
        (await seen(a_pod(), nodes=closed), False),
        (await seen(), False),
    ]
    assert [EXECUTOR.postcondition(DRAIN, found, found) is None for found, _ in cases] == [done for _, done in cases]


async def test_it_is_no_single_call() -> None:
    situation = await seen(a_pod())
    with pytest.raises(TypeError, match="order its rounds"):
        EXECUTOR.request(DRAIN, situation, MARK)
    assert EXECUTOR.was_applied(DRAIN, situation, node("n1"), MARK) is Applied.UNKNOWN
