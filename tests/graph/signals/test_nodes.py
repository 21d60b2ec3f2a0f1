"""The specification of the node detector."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.look import look_at_object
from graph.signals.nodes import is_plainly_well
from graph.signals.object_contexts import ObjectContexts
from tests.graph.signals.object_samples import Journal, World, look, node, said, taint, web_pod
from tests.graph.signals.samples import at, condition_of, unschedulable
from tools.cluster.objects import Node, Pod, decode_json
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject, JsonValue

AWAY, PRESSURE, CLOSED = Reason.NODE_NOT_READY, Reason.NODE_PRESSURE, Reason.NODE_CLOSED
FAULTY = Reason.NODE_PROBLEM
CORDONED = "0/2 nodes are available: 2 node(s) were unschedulable. preemption: 0/2 nodes are available."
TAINTED = "0/2 nodes are available: 2 node(s) had untolerated taint {example.com/evict: yes}. no new claims"
UNNAMED = "0/2 nodes are available: 2 node(s) had untolerated taint(s). no new claims to deallocate"
FULL = "0/2 nodes are available: 2 Insufficient cpu."
KNOWN = Journal(good={"Node/node1": {"spec": {}}})
EVICT = taint("example.com/evict")


def waits(said: str = CORDONED, tolerations: list[JsonValue] | None = None, **spec: JsonValue) -> Pod:
    body: JsonObject = {"containers": [], "tolerations": tolerations or [], **spec}
    scheduled = unschedulable(said)["PodScheduled"]
    return decode_json(
        {
            "metadata": {"name": "web-9", "namespace": "shop", "uid": "p9"},
            "spec": body,
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", **scheduled}]},
        },
        Pod,
    )


EVICTED = web_pod(deleting=True, conditions={"DisruptionTarget": {"status": "True", "reason": "EvictionByEvictionAPI"}})
CORDON = taint("node.kubernetes.io/unschedulable", "", "NoSchedule", added=0)


def low(kind: str, value: str = "True") -> JsonObject:
    return condition_of(kind, value, "KubeletHasInsufficient", "low")


@dataclass(frozen=True)
class Expect:
    node: Node
    others: tuple[KubeObject, ...] = ()
    journal: Journal = field(default_factory=Journal)
    signals: tuple[tuple[Reason, float | None], ...] = ()
    now: float = 0


CASES = {
    "well": Expect(node()),
    # away
    "silent": Expect(node(ready="Unknown"), signals=((AWAY, 20),)),
    "silent for long enough": Expect(node(ready="Unknown"), signals=((AWAY, None),), now=20),
    "says itself that it is not ready: it may be starting again": Expect(node(ready="False"), signals=((AWAY, 60),)),
    "joins: it gets five minutes": Expect(node(ready="False", age=10), signals=((AWAY, 290),)),
    "joined two minutes ago, was ready and went away": Expect(
        node(ready="Unknown", age=120, since=0), signals=((AWAY, 20),)
    ),
    "has never reported": Expect(node(ready="", age=0), signals=((AWAY, 300),)),
    "silent after somebody closed it: it is being restarted": Expect(
        node(ready="Unknown", unschedulable=True), signals=((AWAY, 600),)
    ),
    "silent, and annotated as under maintenance": Expect(
        node(ready="Unknown", annotations={"example.com/maintenance": "true"}), now=900
    ),
    "silent, and no longer under maintenance": Expect(
        node(ready="Unknown", annotations={"example.com/maintenance": "false"}), signals=((AWAY, None),), now=900
    ),
    "silent, and a maintenance condition stands": Expect(
        node(condition_of("MaintenanceInProgress", "True", "x"), ready="Unknown"), now=900
    ),
    # pressure
    "memory runs out": Expect(node(low("MemoryPressure")), signals=((PRESSURE, 30),)),
    "disk runs out, for long enough": Expect(node(low("DiskPressure")), signals=((PRESSURE, None),), now=30),
    "nothing is known of its memory": Expect(node(low("MemoryPressure", "Unknown")), now=900),
    "silent, which says nothing of its memory": Expect(
        node(low("MemoryPressure"), ready="Unknown"), signals=((AWAY, 20),)
    ),
    # faults of its own
    "its kernel hangs": Expect(node(low("KernelDeadlock")), signals=((FAULTY, 30),)),
    "its kernel hangs, for long enough": Expect(node(low("KernelDeadlock")), signals=((FAULTY, None),), now=30),
    "it joins, and has no network yet": Expect(node(low("NetworkUnavailable"), age=10), signals=((FAULTY, 290),)),
    "its network went away": Expect(node(low("NetworkUnavailable"), age=900), signals=((FAULTY, 60),)),
    "a condition that nobody knows: it may be good": Expect(node(low("ExampleReady")), now=900),
    "its kernel is well": Expect(node(low("KernelDeadlock", "False")), now=900),
    # closed
    "cordoned, and a pod finds no place": Expect(node(unschedulable=True), (waits(),), signals=((CLOSED, 15),)),
    "cordoned, and nobody waits": Expect(node(unschedulable=True)),
    "cordoned, and a pod waits for something else": Expect(node(unschedulable=True), (waits(FULL),)),
    "cordoned, and the pod wants another node anyway": Expect(
        node(unschedulable=True, labels={"zone": "a"}), (waits(nodeSelector={"zone": "b"}),)
    ),
    "cordoned, and the node is another's by a taint of its role": Expect(
        node(unschedulable=True, taints=[taint("node-role.kubernetes.io/control-plane", "", "NoSchedule")]), (waits(),)
    ),
    "cordoned, and being drained": Expect(node(unschedulable=True, taints=[CORDON]), (waits(), EVICTED), now=60),
    "cordoned, and the drain takes very long": Expect(
        node(unschedulable=True, taints=[CORDON]), (waits(), EVICTED), signals=((CLOSED, 615),), now=600
    ),
    "cordoned for maintenance": Expect(
        node(unschedulable=True, annotations={"example.com/maintenance-until": "friday"}), (waits(),)
    ),
    "tainted since it was good": Expect(node(taints=[EVICT]), (waits(TAINTED),), KNOWN, ((CLOSED, 15),)),
    "tainted since it was good, and the scheduler names no taint": Expect(
        node(taints=[EVICT]), (waits(UNNAMED),), KNOWN, ((CLOSED, 15),)
    ),
    "tainted since it was good, and the pod minds another taint": Expect(
        node(taints=[taint("example.com/other")]), (waits(TAINTED),), KNOWN
    ),
    "tainted, and the pod tolerates it": Expect(
        node(taints=[EVICT]), (waits(UNNAMED, [{"key": "example.com/evict", "operator": "Exists"}]),), KNOWN
    ),
    "tainted when it was good: meant": Expect(
        node(taints=[EVICT]), (waits(TAINTED),), Journal(good={"Node/node1": {"spec": {"taints": [EVICT]}}})
    ),
    "tainted when we saw it first: taken to be meant": Expect(node(taints=[EVICT]), (waits(TAINTED),)),
    "tainted only as a preference": Expect(
        node(taints=[taint("example.com/evict", effect="PreferNoSchedule")]), (waits(TAINTED),), KNOWN
    ),
    "tainted by an autoscaler that takes it away": Expect(
        node(taints=[taint("ToBeDeletedByClusterAutoscaler", "1", "NoSchedule")]), (waits(UNNAMED),), KNOWN
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_node(case: Expect) -> None:
    found = look(case.node, World(case.node, *case.others), case.journal, now=case.now)
    assert said(found) == list(case.signals)
    if found:
        assert not is_plainly_well(case.node)


def test_a_taint_that_comes_while_we_watch_was_not_there_before() -> None:
    world = World(node())
    contexts = ObjectContexts(world, Journal())
    assert look_at_object(node(), contexts, at(0)) == []
    closed = node(taints=[EVICT])
    world.objects[:] = [closed, waits(TAINTED)]
    assert said(look_at_object(closed, contexts, at(1))) == [(CLOSED, 16)]
    contexts.forget(closed)
    assert look_at_object(closed, contexts, at(30)) == []


def test_the_message_says_how_it_is_closed_and_who_waits() -> None:
    closed = node(taints=[EVICT])
    found = look(closed, World(closed, waits(TAINTED)), KNOWN)
    assert found[0].message.startswith(
        "tainted example.com/evict=yes:NoExecute, and 1 pods find no place, such as shop/web-9: 0/2 nodes"
    )
    assert str(found[0].object) == "Node/node1"
