"""The specification of the Service detector, context and all: what the view and the journal show, and what is said."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.knowledge import NoKnowledge
from graph.signals.look import look_at_object
from graph.signals.object_contexts import ObjectContexts
from graph.signals.wiring import may_be_meant
from tests.graph.signals.object_samples import (
    Journal,
    World,
    deployed,
    http,
    look,
    owner,
    replica_set,
    said,
    service,
    stateful,
    web_pod,
)
from tests.graph.signals.samples import at, container, pod, running, status
from tools.cluster.documents import Service
from tools.cluster.structs import KubeObject

EMPTY, PORT, WRONG = Reason.SERVICE_WITHOUT_ENDPOINTS, Reason.SERVICE_PORT_MISSING, Reason.SERVICE_WRONG_PODS
DRIFT = Reason.DRIFTED
SHOP = "shop/Service/web"
GOOD = Journal(good={SHOP: service().body})
WEB = (deployed(), replica_set(), web_pod("web-1"), web_pod("web-2"))
API = (deployed("api"), replica_set("api"), web_pod("api-1", {"app": "api"}, of="api"))
BLUE = (
    deployed("blue", {"app": "web"}),
    replica_set("blue"),
    web_pod("blue-1", {"app": "web", "c": "blue"}, of="blue"),
)
GREEN = (
    deployed("green", {"app": "web"}),
    replica_set("green"),
    web_pod("green-1", {"app": "web", "c": "green"}, of="green"),
)
MUTE = web_pod("web-1", ports=())
OTHER_PORT = ({"name": "grpc", "containerPort": 9090},)


@dataclass(frozen=True)
class Expect:
    service: Service
    others: tuple[KubeObject, ...]
    journal: Journal = field(default_factory=Journal)
    signals: tuple[tuple[Reason, float | None], ...] = ()
    now: float = 0


def was(selector: dict[str, str]) -> Journal:
    return Journal(good={SHOP: service(selector).body})


CASES = {
    # selects nothing
    "selector changed since it was good, and matches nothing": Expect(
        service({"app": "web", "tier": "nope"}), WEB, GOOD, ((EMPTY, 5),)
    ),
    "selector replaced by one that matches nothing": Expect(service({"app": "shop"}), WEB, GOOD, ((EMPTY, 5),)),
    "selector as declared otherwise": Expect(
        service({"app": "web", "tier": "nope"}),
        WEB,
        Journal(differs={SHOP: ("/spec/selector/tier",)}),
        ((EMPTY, 5), (DRIFT, 5)),
    ),
    "selector as it was, but its pods lost their label": Expect(
        service({"app": "web", "tier": "front"}), WEB, was({"app": "web", "tier": "front"}), ((EMPTY, 15),)
    ),
    "born broken: one label too many": Expect(service({"app": "web", "tier": "nope"}), WEB, signals=((EMPTY, 30),)),
    "born broken: misspelt": Expect(service({"app": "wbe"}), WEB, signals=((EMPTY, 30),)),
    "born early: nothing runs that it could mean": Expect(service({"app": "metrics"}), WEB),
    "born early: pods like it belong to another Service": Expect(
        service({"app": "web", "role": "admin"}, name="admin"), (*WEB, service())
    ),
    "only what any chart shares is in common": Expect(
        service({"release": "x", "component": "metrics"}), (web_pod("w", {"release": "x", "component": "worker"}),)
    ),
    "pods of a Job are never meant": Expect(
        service({"app": "web", "tier": "nope"}),
        (
            pod(
                status(running()),
                phase="Running",
                labels={"app": "web"},
                owner=owner("Job", "migrate", api="batch/v1"),
            ),
        ),
    ),
    "workload at zero replicas: its own signal speaks": Expect(service(), (deployed(replicas=0),), GOOD),
    "workload whose pods are refused: its own signal speaks": Expect(service(), (deployed(), *API), GOOD),
    "workload gone: that it is missing is its own signal": Expect(service(), API, GOOD),
    "all pods unready: the workload's own signal speaks": Expect(
        service(), (deployed(), replica_set(), web_pod(phase="Pending")), GOOD
    ),
    "pods on their way out, others to come": Expect(service(), (deployed(), web_pod(deleting=True)), GOOD),
    "headless, its StatefulSet is being made": Expect(
        service({"app": "db-x"}, name="db", clusterIP="None"),
        (stateful(running=0), web_pod("db-0", {"app": "db"}, of="db")),
    ),
    "without a selector, born so": Expect(service({}), WEB),
    "without a selector, and was good so": Expect(service({}), WEB, was({})),
    "selector taken away, and what it led to lives": Expect(service({}), WEB, GOOD, ((EMPTY, 5),)),
    "selector taken away, and nothing of what it led to is left": Expect(service({}), API, GOOD),
    "another host's name": Expect(service({"app": "x"}, type="ExternalName", externalName="db.example"), WEB, GOOD),
    "nothing known and all is well": Expect(service(), WEB),
    # ports
    "named port that no pod bears, after a change": Expect(service(None, http("web-http")), WEB, GOOD, ((PORT, 5),)),
    "named port that no pod bears, born so": Expect(service(None, http("web-http")), WEB, signals=((PORT, 15),)),
    "named port that the pods lost": Expect(service(), (*WEB[:2], web_pod(ports=OTHER_PORT)), GOOD, ((PORT, 15),)),
    "named port that the old pods still bear: a rollout": Expect(
        service(), (*WEB[:2], web_pod("web-1"), web_pod("web-2", ports=OTHER_PORT)), GOOD
    ),
    "named port of another protocol": Expect(service(None, http("http", protocol="UDP")), WEB, GOOD, ((PORT, 5),)),
    "named port of a sidecar that starts first": Expect(
        service(None, http("proxy")),
        (
            pod(
                status(running(), ready=True),
                phase="Running",
                init=[container("proxy", restartPolicy="Always", ports=[{"name": "proxy", "containerPort": 1}])],
                labels={"app": "web"},
            ),
        ),
    ),
    "number that no pod declares, after a change": Expect(service(None, http(9999)), WEB, GOOD, ((PORT, 5),)),
    "number that no pod declares, not as declared": Expect(
        service(None, http(9999)), WEB, Journal(differs={SHOP: ("/spec/ports/0/targetPort",)}), ((PORT, 5), (DRIFT, 5))
    ),
    "number that no pod declares, unchanged: pods need not say": Expect(
        service(None, http(9999)), WEB, Journal(good={SHOP: service(None, http(9999)).body})
    ),
    "number that no pod declares, nothing known": Expect(service(None, http(9999)), WEB),
    "number after a change, and the pods declare none": Expect(service(None, http(9999)), (*WEB[:2], MUTE), GOOD),
    "number after a change, and it is right": Expect(service(None, http(8080)), WEB, GOOD),
    "number after a change of a headless Service means nothing": Expect(
        service(None, http(9999), clusterIP="None"), WEB, GOOD
    ),
    "target left out is the port itself, after a change": Expect(
        service(None, {"name": "http", "port": 81}), WEB, GOOD, ((PORT, 5),)
    ),
    # wrong pods
    "selector leads to another workload": Expect(service({"app": "api"}), (*WEB, *API), GOOD, ((WRONG, 5),)),
    "selector lets another workload in": Expect(
        service({"tier": "back"}),
        (
            *WEB[:2],
            web_pod("web-1", {"app": "web", "tier": "back"}),
            *API[:2],
            web_pod("api-1", {"app": "api", "tier": "back"}, of="api"),
        ),
        GOOD,
        ((WRONG, 5),),
    ),
    "switched from blue to green: another version of the same": Expect(
        service({"app": "web", "c": "green"}), (*BLUE, *GREEN), was({"app": "web", "c": "blue"})
    ),
    "a canary joins": Expect(
        service(), (*WEB, *GREEN), Journal(good={SHOP: service().body}, owners={SHOP: ["shop/Deployment/web"]})
    ),
    "a stranger bears the labels and not the port": Expect(
        service(),
        (*WEB, *API[:2], web_pod("api-1", {"app": "web"}, of="api", ports=OTHER_PORT)),
        Journal(good={SHOP: service().body}, owners={SHOP: ["shop/Deployment/web"]}),
        ((WRONG, 15),),
    ),
    "a stranger, and nobody knows who was there before": Expect(
        service(), (*WEB, *API[:2], web_pod("api-1", {"app": "web"}, of="api", ports=OTHER_PORT)), GOOD
    ),
    "as it was": Expect(service(), WEB, Journal(good={SHOP: service().body}, owners={SHOP: ["shop/Deployment/web"]})),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_service(case: Expect) -> None:
    found = look(case.service, World(case.service, *case.others), case.journal, now=case.now)
    assert said(found) == list(case.signals)


def test_the_message_names_the_selector_and_a_pod_that_may_be_meant() -> None:
    broken = service({"app": "web", "tier": "nope"})
    found = look(broken, World(broken, *WEB), GOOD)
    assert found[0].message == "the selector app=web,tier=nope matches no pod; pod web-1 bears app=web"
    assert str(found[0].object) == SHOP


def test_the_message_names_the_missing_ports_and_who_does_not_offer_them() -> None:
    broken = service(None, http("web-http"), {"name": "m", "port": 9, "targetPort": "metrics"})
    found = look(broken, World(broken, *WEB), GOOD)
    assert "none of the 2 pods it selects offers the port it leads to: web-http (http, TCP), metrics (m, TCP)" in (
        found[0].message
    )


def test_the_message_names_strangers_and_who_was_there_before() -> None:
    broken = service({"app": "api"})
    found = look(broken, World(broken, *WEB, *API), GOOD)
    assert "pods of shop/Deployment/api" in found[0].message
    assert "none that it led to" in found[0].message


def test_a_service_of_a_namespace_that_goes_is_left_alone() -> None:
    broken = service({"app": "web", "tier": "nope"})
    contexts = ObjectContexts(World(broken, *WEB), GOOD, is_leaving=lambda namespace: namespace == "shop")
    assert look_at_object(broken, contexts, at(0)) == []


def test_its_grace_runs_from_the_first_look_that_saw_it() -> None:
    broken = service({"app": "web", "tier": "nope"})
    contexts = ObjectContexts(World(broken, *WEB), NoKnowledge())
    assert said(look_at_object(broken, contexts, at(0))) == [(EMPTY, 30)]
    assert said(look_at_object(broken, contexts, at(30))) == [(EMPTY, None)]
    assert said(look_at_object(broken, contexts, at(900))) == [(EMPTY, None)]


@pytest.mark.parametrize(
    ("selector", "labels", "meant"),
    [
        ({"app": "web", "tier": "nope"}, {"app": "web"}, True),
        ({"app": "frontend"}, {"app": "front-end"}, True),
        ({"apps": "web"}, {"app": "web"}, True),
        ({"app": "web"}, {"app": "worker"}, False),
        ({"app.kubernetes.io/instance": "x"}, {"app.kubernetes.io/instance": "x"}, False),
        ({"app": "web"}, {}, False),
    ],
    ids=["one label of two", "nearly the same value", "nearly the same key", "another word", "shared", "no labels"],
)
def test_which_pods_a_selector_may_have_meant(selector: dict[str, str], labels: dict[str, str], meant: bool) -> None:
    assert may_be_meant(selector, labels) is meant
