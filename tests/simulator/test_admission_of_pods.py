"""Which pods a simulated kubelet turns away, in the words that were measured on a real one."""

from __future__ import annotations

import pytest

from evals.simulator.kubelet.admission import Taken, rejection
from tools.jsontypes import JsonObject

ROOM: JsonObject = {"cpu": "2", "memory": "4Gi", "pods": "110"}


def pod(cpu: str = "10m", memory: str = "16Mi") -> JsonObject:
    return {"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}}


def taken(there: list[JsonObject]) -> Taken:
    made = Taken()
    for number, each in enumerate(there):
        made.take(str(number), each)
    return made


@pytest.mark.parametrize(
    ("asks", "there", "said"),
    [
        pytest.param(pod(), [], None, id="there is room"),
        pytest.param(pod("1"), [pod("1")], None, id="just enough"),
        pytest.param(
            pod("64"),
            [pod("65m")],
            "cpu, requested: 64000, used: 65, capacity: 2000",
            id="more than the node has",
        ),
        pytest.param(pod("1500m"), [pod("1")], "cpu, requested: 1500, used: 1000, capacity: 2000", id="too many"),
        pytest.param(
            pod(memory="5Gi"), [], "memory, requested: 5368709120, used: 0, capacity: 4294967296", id="too much memory"
        ),
    ],
)
def test_what_is_turned_away(asks: JsonObject, there: list[JsonObject], said: str | None) -> None:
    found = rejection(asks, taken(there).used, ROOM)
    if said is None:
        assert found is None
    else:
        resource = said.partition(",")[0]
        assert found == (f"OutOf{resource}", f"Pod was rejected: Node didn't have enough resource: {said}")


def test_a_pod_that_asks_for_nothing_is_taken() -> None:
    assert rejection({"spec": {"containers": [{"name": "app"}]}}, taken([pod("3")]).used, ROOM) is None


def test_room_that_is_given_back_is_there_again() -> None:
    made = taken([pod("1"), pod("1")])
    made.take("1", pod("1"))
    assert rejection(pod("1"), made.used, ROOM) is not None
    made.release("1")
    made.release("1")
    made.release("nobody")
    assert rejection(pod("1"), made.used, ROOM) is None
