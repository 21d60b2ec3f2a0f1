"""The specification of who took the room that a pod waits for."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.signals.crowding import crowders
from tests.graph.signals.object_samples import Journal, World, metadata, node, owner
from tests.graph.signals.samples import stamp, unschedulable
from tools.cluster.objects import DaemonSet, Deployment, Pod, Workload, decode_json
from tools.jsontypes import JsonObject, JsonValue

FULL = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. no new claims to deallocate"
HOG = "shop/Deployment/hog"


def waits(said: str = FULL, *, made: float = 600, **spec: JsonValue) -> Pod:
    scheduled = {"type": "PodScheduled", **unschedulable(said)["PodScheduled"]}
    return decode_json(
        {
            "metadata": {**metadata("web-9"), "creationTimestamp": stamp(made)},
            "spec": {"containers": [], **spec},
            "status": {"phase": "Pending", "conditions": [scheduled]},
        },
        Pod,
    )


def hog(kind: type[Workload] = Deployment, *, made: float = 590, replicas: int = 3) -> Workload:
    told = {**metadata("hog", "uid-hog"), "creationTimestamp": stamp(made)}
    return decode_json({"metadata": told, "spec": {"replicas": replicas}}, kind)


def taker(
    *,
    made: float = 595,
    priority: int = 1000,
    asks: str = "cpu",
    on: str = "node1",
    kind: str = "Deployment",
    **status: JsonValue,
) -> Pod:
    containers: list[JsonValue] = [{"name": "hog", "resources": {"requests": {asks: "1"}}}]
    told: JsonObject = {**metadata("hog-1"), "creationTimestamp": stamp(made)}
    told["ownerReferences"] = [owner(kind, "hog", "uid-hog")]
    spec: JsonObject = {"containers": containers, "priority": priority, "nodeName": on}
    return decode_json({"metadata": told, "spec": spec, "status": {"phase": "Running", **status}}, Pod)


@dataclass(frozen=True)
class Expect:
    waiting: Pod = field(default_factory=waits)
    taker: Pod = field(default_factory=taker)
    hog: Workload = field(default_factory=hog)
    journal: Journal = field(default_factory=Journal)
    former: int | None = None


GREW = Journal(replaced={(HOG, "spec.replicas"): "1"})
CASES = {
    "it came just before and outranks it": Expect(former=0),
    "it grew just before": Expect(hog=hog(made=0), journal=GREW, former=1),
    "it is new, and grew since": Expect(journal=GREW, former=1),
    "it is old, and was not seen to grow": Expect(hog=hog(made=0)),
    "it is old, and became smaller": Expect(
        hog=hog(made=0, replicas=1), journal=Journal(replaced={(HOG, "spec.replicas"): "3"})
    ),
    "it has not arrived yet, its place is promised": Expect(taker=taker(on="", nominatedNodeName="node1"), former=0),
    "it does not outrank it": Expect(waits(priority=1000)),
    "it came long before": Expect(taker=taker(made=100)),
    "it came afterwards": Expect(taker=taker(made=700)),
    "it has ended": Expect(taker=taker(phase="Succeeded")),
    "it asks for nothing that is short": Expect(taker=taker(asks="memory")),
    "it stands where the pod could not": Expect(waits(nodeSelector={"zone": "b"})),
    "the pod waits for something else": Expect(waits("0/2 nodes are available: 2 node(s) were unschedulable.")),
    "a DaemonSet has no number": Expect(taker=taker(kind="DaemonSet"), hog=hog(DaemonSet)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_who_took_the_room(case: Expect) -> None:
    world = World(node(labels={"zone": "a"}), case.waiting, case.taker, case.hog)
    found = crowders(case.waiting, world, case.journal)
    assert [(c.workload.name, c.priority, c.former) for c in found] == (
        [] if case.former is None else [("hog", 1000, case.former)]
    )
