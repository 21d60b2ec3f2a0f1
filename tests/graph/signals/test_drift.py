"""The specification of drift and of objects that are gone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.look import look_at_missing, look_at_object, look_for_missing
from graph.signals.object_contexts import ObjectContexts
from tests.graph.signals.object_samples import (
    Journal,
    World,
    config_map,
    deployed,
    hpa,
    look,
    owner,
    replica_set,
    said,
    service,
    web_pod,
)
from tests.graph.signals.samples import at, container
from tools.cluster.objects import Identity, decode_json
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

DRIFTED, MISSING = Reason.DRIFTED, Reason.OBJECT_MISSING
WEB = "shop/Deployment/web"
RESTARTED = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt"


@dataclass(frozen=True)
class Drift:
    item: KubeObject
    differs: tuple[str, ...]
    others: tuple[KubeObject, ...] = ()
    found: bool = True


DRIFTS = {
    "a value of settings": Drift(config_map(), ("/data/a",)),
    "a label of a workload": Drift(deployed(), ("/metadata/labels/team",)),
    "as declared": Drift(config_map(), (), found=False),
    "only restarted since": Drift(deployed(), (RESTARTED,), found=False),
    "restarted, and changed": Drift(deployed(), (RESTARTED, "/spec/template/spec/containers/0/image")),
    "another number of replicas": Drift(deployed(replicas=3), ("/spec/replicas",)),
    "another number of replicas, which an autoscaler owns": Drift(
        deployed(replicas=3), ("/spec/replicas",), (hpa(),), found=False
    ),
    "another number of replicas, and an autoscaler owns another workload's": Drift(
        deployed(replicas=3), ("/spec/replicas",), (hpa(target="api"),)
    ),
    "being deleted": Drift(config_map(deletionTimestamp="2026-03-01T12:00:00Z"), ("/data/a",), found=False),
}


@pytest.mark.parametrize("case", DRIFTS.values(), ids=DRIFTS)
def test_drift(case: Drift) -> None:
    journal = Journal(differs={str(case.item.ref): case.differs})
    found = look(case.item, World(case.item, *case.others), journal)
    assert said(found) == ([(DRIFTED, 5)] if case.found else [])


def test_a_change_that_is_no_failure_and_not_declared_is_nobody_s_business() -> None:
    changed = config_map()
    journal = Journal(good={str(changed.ref): {"data": {"a": "z"}}}, changed={str(changed.ref): at(-5)})
    assert look(changed, World(changed), journal) == []


def test_drift_of_a_namespace_that_goes_is_left_alone() -> None:
    item = config_map()
    journal = Journal(differs={str(item.ref): ("/data/a",)})
    contexts = ObjectContexts(World(item), journal, is_leaving=lambda _: True)
    assert look_at_object(item, contexts, at(0)) == []


def test_the_message_names_the_first_places_and_how_many_more_there_are() -> None:
    item = config_map()
    found = look(item, World(item), Journal(differs={str(item.ref): tuple(f"/data/k{n}" for n in range(10))}))
    assert found[0].message.startswith("differs from its declared state at /data/k0, /data/k1")
    assert found[0].message.endswith("and 2 more")


def test_an_object_whose_name_no_reference_holds_is_passed_over() -> None:
    role = decode_json({"metadata": {"name": "system:node", "uid": "u", "finalizers": ["x/y"]}}, Identity)
    assert look(role, World(role)) == []


def needs(name: str, *, optional: bool = False) -> JsonObject:
    source: JsonObject = {"name": name, "optional": optional}
    return {"containers": [container(envFrom=[{"configMapRef": source}])]}


GOOD_CONFIG = Journal(good={"shop/ConfigMap/settings": {"data": {"a": "b"}, "metadata": {"uid": "old"}}})
GOOD_SERVICE = Journal(good={"shop/Service/web": service().body})
GOOD_WEB = Journal(good={WEB: {"spec": {"template": {"metadata": {"labels": {"app": "web"}}}}}})
GOOD_ACCOUNT = Journal(good={"shop/ServiceAccount/web": {}})
RUNNING = (deployed(), replica_set(), web_pod())


@dataclass(frozen=True)
class Gone:
    ref: str
    world: World
    journal: Journal = field(default_factory=Journal)
    due: float | None = None


GONE = {
    "declared": Gone("shop/ConfigMap/settings", World(), Journal(declared={"shop/ConfigMap/settings": {}}), due=5),
    "declared, and there": Gone(
        "shop/ConfigMap/settings", World(config_map()), Journal(declared={"shop/ConfigMap/settings": {}})
    ),
    "declared, and its kind is not in view": Gone(
        "shop/ConfigMap/settings", World(unseen=["ConfigMap"]), Journal(declared={"shop/ConfigMap/settings": {}})
    ),
    "declared, of a kind that is not followed": Gone("shop/Widget/x", World(), Journal(declared={"shop/Widget/x": {}})),
    "settings that a running workload needs": Gone(
        "shop/ConfigMap/settings", World(deployed(pod_spec=needs("settings"))), GOOD_CONFIG, due=10
    ),
    "settings that a workload at zero would need": Gone(
        "shop/ConfigMap/settings", World(deployed(replicas=0, pod_spec=needs("settings"))), GOOD_CONFIG
    ),
    "settings that are optional": Gone(
        "shop/ConfigMap/settings", World(deployed(pod_spec=needs("settings", optional=True))), GOOD_CONFIG
    ),
    "settings that nobody refers to any more": Gone(
        "shop/ConfigMap/settings", World(deployed(pod_spec=needs("settings-2"))), GOOD_CONFIG
    ),
    "settings that were never known good": Gone("shop/ConfigMap/settings", World(deployed(pod_spec=needs("settings")))),
    "settings that a controller makes again": Gone(
        "shop/ConfigMap/settings",
        World(deployed(pod_spec=needs("settings"))),
        Journal(good={"shop/ConfigMap/settings": {"metadata": {"ownerReferences": [owner("Widget", "w")]}}}),
    ),
    "account of a running workload": Gone(
        "shop/ServiceAccount/web", World(deployed(pod_spec={"serviceAccountName": "web"})), GOOD_ACCOUNT, due=10
    ),
    "account of nobody": Gone("shop/ServiceAccount/web", World(deployed()), GOOD_ACCOUNT),
    "Service whose pods run": Gone("shop/Service/web", World(*RUNNING), GOOD_SERVICE, due=10),
    "Service taken down with its workload": Gone("shop/Service/web", World(), GOOD_SERVICE),
    "workload, and its Service leads to nothing": Gone(WEB, World(service()), GOOD_WEB, due=10),
    "workload, and its pods are not collected yet": Gone(
        WEB, World(service(), replica_set(), web_pod()), GOOD_WEB, due=10
    ),
    "workload, and its pods are still going": Gone(WEB, World(service(), web_pod(deleting=True)), GOOD_WEB, due=10),
    "workload taken down with its Service": Gone(WEB, World(service({"app": "api"}, name="api")), GOOD_WEB),
    "workload replaced by another that its Service selects": Gone(
        WEB,
        World(service(), deployed("web2"), replica_set("web2"), web_pod("web2-1", {"app": "web"}, of="web2")),
        GOOD_WEB,
    ),
    "workload that was never known good": Gone(WEB, World(service())),
}


@pytest.mark.parametrize("case", GONE.values(), ids=GONE)
def test_gone(case: Gone) -> None:
    found = look_at_missing(ObjectRef.parse(case.ref), ObjectContexts(case.world, case.journal), at(0))
    assert said(found) == ([] if case.due is None else [(MISSING, case.due)])


def test_what_is_gone_is_confirmed_after_its_time_and_says_who_needs_it() -> None:
    contexts = ObjectContexts(World(deployed(pod_spec=needs("settings"))), GOOD_CONFIG)
    ref = ObjectRef.parse("shop/ConfigMap/settings")
    look_at_missing(ref, contexts, at(0))
    found = look_at_missing(ref, contexts, at(10))
    assert said(found) == [(MISSING, None)]
    assert found[0].message == "shop/ConfigMap/settings is gone, and still needed by shop/Deployment/web"
    assert found[0].uid == "old"


def test_what_came_back_begins_anew() -> None:
    world = World()
    contexts = ObjectContexts(world, Journal(declared={"shop/ConfigMap/settings": {}}))
    assert said(look_for_missing(contexts, at(0))) == [(MISSING, 5)]
    world.objects.append(config_map())
    assert look_for_missing(contexts, at(2)) == []
    world.objects.clear()
    assert said(look_for_missing(contexts, at(40))) == [(MISSING, 45)]


def test_nothing_is_missed_in_a_namespace_that_goes() -> None:
    journal = Journal(declared={"shop/ConfigMap/settings": {}})
    contexts = ObjectContexts(World(), journal, is_leaving=lambda namespace: namespace == "shop")
    assert look_for_missing(contexts, at(0)) == []
