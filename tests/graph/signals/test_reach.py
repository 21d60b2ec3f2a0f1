"""Which objects are looked at again when another one changes; and that pods, which change most, reach few."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from graph.incident import Reason
from graph.signals.look import look_at_object
from graph.signals.object_contexts import ObjectContexts
from graph.signals.reach import affected
from graph.signals.wiring import Wiring
from tests.graph.signals.object_samples import (
    Journal,
    World,
    budget,
    claim,
    config_map,
    cron_job,
    deployed,
    event,
    hpa,
    job,
    node,
    said,
    service,
    stateful,
    web_pod,
)
from tests.graph.signals.samples import at
from tests.graph.signals.test_claims import waits as claiming
from tests.graph.signals.test_nodes import waits as homeless
from tools.cluster.documents import Service
from tools.cluster.store import Delta
from tools.cluster.structs import KubeObject
from tools.cluster.subscription import AnyDelta

WEB, API = service(), service({"app": "api"}, name="api")
FRONT = service({"app": "web", "tier": "front"}, name="front")
SERVICES = (WEB, API, FRONT)


def came(item: KubeObject) -> AnyDelta:
    return Delta("added", item)


def became(old: KubeObject, item: KubeObject) -> AnyDelta:
    return Delta("modified", item, old)


def went(item: KubeObject) -> AnyDelta:
    return Delta("gone", item, item)


@dataclass(frozen=True)
class Expect:
    delta: AnyDelta
    world: tuple[KubeObject, ...]
    reached: tuple[str, ...] = ()


CASES = {
    "pod that came: the Services that select it": Expect(came(web_pod()), SERVICES, ("shop/Service/web",)),
    "pod that went": Expect(went(web_pod()), SERVICES, ("shop/Service/web",)),
    "pod of two Services": Expect(
        came(web_pod(labels={"app": "web", "tier": "front"})), SERVICES, ("shop/Service/front", "shop/Service/web")
    ),
    "pod that changed its labels: those that did and those that do": Expect(
        became(web_pod(), web_pod(labels={"app": "api"})), SERVICES, ("shop/Service/api", "shop/Service/web")
    ),
    "pod that is on its way out": Expect(became(web_pod(), web_pod(deleting=True)), SERVICES, ("shop/Service/web",)),
    "pod that ended": Expect(became(web_pod(), web_pod(phase="Failed")), SERVICES, ("shop/Service/web",)),
    "pod that only started again": Expect(became(web_pod(), web_pod(image="other")), SERVICES),
    "pod that was on its way out and went": Expect(
        Delta("gone", web_pod(deleting=True), web_pod(deleting=True)), SERVICES
    ),
    "pod of another namespace's labels": Expect(came(web_pod(labels={"app": "x"})), SERVICES),
    "pod that waits for storage: its claims": Expect(
        came(claiming()), (claim(),), ("shop/PersistentVolumeClaim/data",)
    ),
    "pod that finds no node: the closed nodes": Expect(
        came(homeless()), (node(unschedulable=True), node(name="node2")), ("Node/node1",)
    ),
    "workload of another spec: its Services and autoscaler": Expect(
        became(deployed(), deployed(generation=3)),
        (*SERVICES, hpa()),
        ("shop/Service/web", "shop/HorizontalPodAutoscaler/web"),
    ),
    "workload of another status": Expect(became(deployed(), deployed(updatedReplicas=1)), (*SERVICES, hpa())),
    "workload that went": Expect(went(deployed()), SERVICES, ("shop/Service/web",)),
    "Service that selects otherwise: workloads at zero": Expect(
        became(WEB, service({"app": "db"})), (*SERVICES, stateful(replicas=0), deployed()), ("shop/StatefulSet/db",)
    ),
    "Service of another port": Expect(
        became(WEB, service(None, {"name": "x", "port": 1})), (*SERVICES, deployed(replicas=0))
    ),
    "node that was cordoned: the budgets": Expect(
        became(node(), node(unschedulable=True)), (budget(),), ("shop/PodDisruptionBudget/web",)
    ),
    "cordoned node that breathes": Expect(became(node(unschedulable=True), node(unschedulable=True)), (budget(),)),
    "CronJob: its Jobs": Expect(came(cron_job()), (job(cron="tick"), job(name="other")), ("shop/Job/tick-1",)),
    "Event about a claim: the claim": Expect(
        came(event("uid-data", "FailedBinding", "x")), (claim(),), ("shop/PersistentVolumeClaim/data",)
    ),
    "Event that expired": Expect(went(event("uid-data", "FailedBinding", "x")), (claim(),)),
    "settings": Expect(came(config_map()), SERVICES),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reach(case: Expect) -> None:
    contexts = ObjectContexts(World(*case.world), Journal())
    assert tuple(str(ref) for ref in affected(case.delta, contexts)) == case.reached


def test_a_pod_that_a_service_does_not_select_reaches_it_while_it_selects_nothing() -> None:
    broken = service({"app": "web", "tier": "nope"})
    world = World(broken)
    contexts = ObjectContexts(world, Journal())
    assert look_at_object(broken, contexts, at(0)) == []
    world.objects.append(web_pod())
    assert [str(r) for r in affected(came(web_pod()), contexts)] == ["shop/Service/web"]
    assert said(look_at_object(broken, contexts, at(1))) == [(Reason.SERVICE_WITHOUT_ENDPOINTS, 31)]
    right = service()
    world.objects[0] = right
    assert affected(became(broken, right), contexts) == ()
    assert look_at_object(right, contexts, at(2)) == []
    assert affected(came(web_pod("x", {"app": "x"})), contexts) == ()


def test_a_service_that_goes_is_reached_no_more() -> None:
    broken = service({"app": "web", "tier": "nope"})
    world = World(broken)
    contexts = ObjectContexts(world, Journal())
    look_at_object(broken, contexts, at(0))
    world.objects.clear()
    affected(went(broken), contexts)
    assert affected(came(web_pod()), contexts) == ()


class Counted(World):
    """Counts how often all Services of a namespace are read."""

    reads = 0

    def documents(self, struct: type, namespace: str | None = None) -> list:  # type: ignore[type-arg]
        self.reads += struct is Service
        return super().documents(struct, namespace)


def test_many_pods_cost_one_reading_of_the_services() -> None:
    world = Counted(*SERVICES)
    contexts = ObjectContexts(world, Journal())
    for n in range(100):
        affected(came(web_pod(f"web-{n}")), contexts)
    assert world.reads == 1
    affected(became(WEB, service({"app": "db"})), contexts)
    affected(came(web_pod()), contexts)
    assert world.reads == 2


def test_a_service_on_its_way_out_selects_nobody() -> None:
    wiring = Wiring(World(service(), service({}, name="none")))
    assert list(wiring.services_of("shop", {"app": "web"})) == ["web"]
    assert list(wiring.services_of("shop", {})) == []
    assert list(wiring.services_of("other", {"app": "web"})) == []
