"""The specification of zero replicas and of paused rollouts."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.scale import is_plainly_well
from tests.graph.signals.object_samples import Journal, World, deployed, hpa, look, said, service, stateful, web_pod
from tests.graph.signals.samples import T0, daemon_set
from tools.cluster.objects import Deployment, Workload
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject

ZERO, PAUSED = Reason.SCALED_TO_ZERO, Reason.ROLLOUT_PAUSED
WEB = "shop/Deployment/web"
GOOD = Journal(good={WEB: {"spec": {"replicas": 2}}})
AGENT = "shop/DaemonSet/agent"
RAN: dict[str, JsonObject] = {AGENT: {"spec": {"template": {}}}}
NOWHERE = daemon_set(desired=0, currentNumberScheduled=0)
NONE = deployed(replicas=0)
BESIDE = web_pod("blue-1", of="blue", conditions={"Ready": {"status": "True"}})
UNREADY = web_pod("blue-1", of="blue", conditions={"Ready": {"status": "False"}})


def paused(*, updated: int = 0, running: int = 2, seen: int = 2) -> Deployment:
    return deployed(paused=True, updatedReplicas=updated, replicas=running, observedGeneration=seen)


def declared(**spec: int | bool) -> Journal:
    return Journal(good={WEB: {"spec": {"replicas": 2}}}, declared={WEB: {"spec": dict(spec)}})


@dataclass(frozen=True)
class Expect:
    workload: Workload
    others: tuple[KubeObject, ...] = (service(),)
    journal: Journal = field(default_factory=Journal)
    signals: tuple[tuple[Reason, float | None], ...] = ()


CASES = {
    "set to zero, had two when it was good, and a Service leads to it": Expect(
        NONE, journal=GOOD, signals=((ZERO, 5),)
    ),
    "set to zero, and two are declared": Expect(
        NONE, journal=Journal(declared={WEB: {"spec": {"replicas": 2}}}), signals=((ZERO, 5),)
    ),
    "set to zero, and zero is declared: intended": Expect(NONE, journal=declared(replicas=0)),
    "set to zero, and the declaration says no number": Expect(NONE, journal=declared(), signals=((ZERO, 5),)),
    "set to zero, and zero when it was good": Expect(NONE, journal=Journal(good={WEB: {"spec": {"replicas": 0}}})),
    "set to zero, and nothing is known": Expect(NONE),
    "set to zero before our eyes, and nothing else is known": Expect(
        NONE, journal=Journal(replaced={(WEB, "spec.replicas"): "3"}), signals=((ZERO, 5),)
    ),
    "set to zero from zero": Expect(NONE, journal=Journal(replaced={(WEB, "spec.replicas"): "0"})),
    "set to zero before our eyes, and zero is declared": Expect(
        NONE,
        journal=Journal(declared={WEB: {"spec": {"replicas": 0}}}, replaced={(WEB, "spec.replicas"): "3"}),
    ),
    "set to zero, and no Service leads to it": Expect(NONE, (service({"app": "api"}),), GOOD),
    "set to zero, and the Service leads to a ready pod of something else: the end of a canary, of a switch": Expect(
        NONE, (service(), BESIDE), GOOD
    ),
    "set to zero, and what else the Service leads to is not ready": Expect(
        NONE, (service(), UNREADY), GOOD, ((ZERO, 5),)
    ),
    "set to zero, and of two Services one leads nowhere else": Expect(
        deployed(labels={"app": "web", "track": "main"}, replicas=0),
        (service(), service({"track": "main"}, name="main"), BESIDE),
        GOOD,
        ((ZERO, 5),),
    ),
    "set to zero, two are declared, and the Service leads to something else, too": Expect(
        NONE, (service(), BESIDE), Journal(declared={WEB: {"spec": {"replicas": 2}}}), ((ZERO, 5),)
    ),
    "set to zero by an event-driven autoscaler": Expect(NONE, (service(), hpa(owned=True)), GOOD),
    "set to zero by an autoscaler that may go there": Expect(NONE, (service(), hpa(minReplicas=0)), GOOD),
    "set to zero over the head of an autoscaler": Expect(NONE, (service(), hpa()), GOOD, ((ZERO, 5),)),
    "StatefulSet set to zero": Expect(
        stateful(replicas=0),
        (service({"app": "db"}, name="db"),),
        Journal(good={"shop/StatefulSet/db": {"spec": {"replicas": 1}}}),
        ((ZERO, 5),),
    ),
    "scaled down, not to zero": Expect(deployed(replicas=1), journal=GOOD),
    "paused, and a change waits": Expect(paused(), signals=((PAUSED, 10),)),
    "paused, and the controller has not seen the change": Expect(paused(seen=1)),
    "paused, and nothing waits": Expect(paused(updated=2)),
    "paused half way: a canary": Expect(paused(updated=1)),
    "paused, and a pause is declared": Expect(paused(), journal=declared(paused=True)),
    "paused from its birth": Expect(paused(running=0)),
    "paused at zero": Expect(deployed(replicas=0, paused=True)),
    "DaemonSet without a node, and nothing is known": Expect(NOWHERE),
    "DaemonSet without a node, as it was when it ran: the nodes changed": Expect(NOWHERE, journal=Journal(good=RAN)),
    "DaemonSet without a node since it was changed": Expect(
        NOWHERE, journal=Journal(good=RAN, changed={AGENT: T0}), signals=((ZERO, 5),)
    ),
    "DaemonSet without a node, and another template is declared": Expect(
        NOWHERE,
        journal=Journal(differs={AGENT: ("/spec/template/spec/nodeSelector",)}),
        signals=((ZERO, 5), (Reason.DRIFTED, 5)),
    ),
    "DaemonSet that was changed, and its controller has not counted yet": Expect(
        daemon_set(desired=0, generation=4, observedGeneration=3), journal=Journal(changed={AGENT: T0})
    ),
    "DaemonSet that was changed, and has nodes": Expect(daemon_set(), journal=Journal(changed={AGENT: T0})),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_scale(case: Expect) -> None:
    found = look(case.workload, World(case.workload, *case.others), case.journal)
    assert said(found) == list(case.signals)
    if found:
        assert not is_plainly_well(case.workload)


def test_the_message_says_how_many_there_should_be_and_who_says_so() -> None:
    found = look(NONE, World(NONE, service()), declared(replicas=3))
    assert found[0].message == "set to 0 replicas, declared: 3; Service web leads to it"
