"""Edits of a pod's placement and of a Service, by tables; and the patches that edits make."""

from __future__ import annotations

import builtins
import copy
from collections.abc import Sequence
from typing import Any

import jsonpatch
import pytest
from pydantic import ValidationError

from tests.tools.executors.edit.asked import OUT, SAME, answer, ask, at, executor
from tests.tools.executors.objects import pod as pod_of
from tools.executors.base import Mark, Situation
from tools.executors.inverse import record
from tools.executors.kubernetes.edit.wanted import Put, Take, Wanted, applied, declared, operations, pending
from tools.executors.patch import find
from tools.guard.diff import diff, outside
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_object
from tools.refs import ActionId, IncidentId

MARK = Mark(ActionId("act-1"), IncidentId("inc-1"))
SPEC = "/spec/template/spec"


class Shown:
    """A cluster in which every get finds `live` and every list all of `items`; it keeps the selectors it was asked."""

    def __init__(self, live: JsonObject, items: Sequence[JsonObject]) -> None:
        self.live, self.items = live, items
        self.asked: list[str | None] = []

    async def get(self, *_: object, **__: object) -> JsonObject:
        return self.live

    async def list(self, *_: object, label_selector: str | None = None, **__: object) -> builtins.list[JsonObject]:
        self.asked.append(label_selector)
        return [*self.items]


def node(name: str, *, closed: bool = False, **labels: str) -> JsonObject:
    spec: JsonObject = {"unschedulable": True} if closed else {}
    return {"kind": "Node", "metadata": {"name": name, "uid": name, "labels": {**labels}}, "spec": spec}


NODES = (node("a", disk="ssd", zone="1"), node("b", disk="hdd", zone="2"), node("c", disk="tape", closed=True))


@pytest.mark.parametrize(
    ("why", "selector", "entries", "code"),
    [
        ("a value that a node bears", {"disk": "sdd"}, {"disk": "ssd"}, None),
        ("no entry any more", {"disk": "sdd"}, {"disk": None}, None),
        ("one of two", {"disk": "sdd", "zone": "1"}, {"disk": "ssd"}, None),
        ("each is borne, and no node bears both", {"disk": "sdd", "zone": "2"}, {"disk": "ssd"}, OUT),
        ("a value that no node bears", {"disk": "sdd"}, {"disk": "nvme"}, OUT),
        ("a value that only a closed node bears", {"disk": "sdd"}, {"disk": "tape"}, OUT),
        ("another node instead of one that fits", {"disk": "hdd"}, {"disk": "ssd"}, OUT),
        ("fewer entries where a node fits", {"disk": "hdd"}, {"disk": None}, None),
        ("an entry that is not there", {"disk": "sdd"}, {"zone": "1"}, OUT),
        ("the same", {"disk": "ssd"}, {"disk": "ssd"}, SAME),
        ("nothing", {"disk": "sdd"}, {}, SAME),
    ],
)
async def test_node_selectors(
    why: str, selector: JsonObject, entries: dict[str, str | None], code: ReasonCode | None
) -> None:
    cluster = Shown(at(pod={"nodeSelector": selector}).live, NODES)
    action = ask("set_placement", node_selector=[{"key": k, "value": v} for k, v in entries.items()])
    assert answer(action, await executor("set_placement").read(action, cluster)) == code


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("why", "present", "drop", "left"),
    [
        ("the only one", {"nodeAffinity": {REQUIRED: {}}}, ["node_affinity"], None),
        ("preferences stay", {"nodeAffinity": {REQUIRED: {}, PREFERRED: [1]}}, ["node_affinity"],
         {"nodeAffinity": {PREFERRED: [1]}}),
        ("others stay", {"nodeAffinity": {REQUIRED: {}}, "podAntiAffinity": {REQUIRED: [1]}}, ["node_affinity"],
         {"podAntiAffinity": {REQUIRED: [1]}}),
        ("two at once", {"nodeAffinity": {REQUIRED: {}}, "podAntiAffinity": {REQUIRED: [1]}},
         ["node_affinity", "pod_anti_affinity"], None),
        ("nothing of the kind", {"nodeAffinity": {PREFERRED: [1]}}, ["pod_affinity"],
         {"nodeAffinity": {PREFERRED: [1]}}),
    ],
)  # fmt: skip
def test_required_affinities(why: str, present: JsonObject, drop: list[str], left: JsonObject | None) -> None:
    live = at(pod={"affinity": present}).live
    wanted = executor("set_placement").wanted(ask("set_placement", drop_required=drop), live)
    assert isinstance(wanted, tuple)
    assert find(applied(live, wanted), f"{SPEC}/affinity") == (left is not None, left)


def test_spread_and_scheduler() -> None:
    hard: JsonObject = {"maxSkew": 1, "minDomains": 2, "whenUnsatisfiable": "DoNotSchedule"}
    soft: JsonObject = {"maxSkew": 2, "whenUnsatisfiable": "ScheduleAnyway"}
    live = at(pod={"topologySpreadConstraints": [soft, hard], "schedulerName": "mine"}).live
    action = ask("set_placement", soften_spread=True, default_scheduler=True)
    found = executor("set_placement").fields(action, Situation(live))
    assert found == (f"{SPEC}/topologySpreadConstraints/1", f"{SPEC}/schedulerName")
    after = jsonpatch.apply_patch(live, executor("set_placement").request(action, Situation(live), MARK).body)
    assert find(after, f"{SPEC}/topologySpreadConstraints/1")[1] == {
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    assert find(after, f"{SPEC}/schedulerName")[1] == "default-scheduler"


def service(**spec: JsonValue) -> JsonObject:
    ports: list[JsonValue] = [
        {"name": "web", "port": 80, "targetPort": "htpp"},
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "targetPort": 53},
    ]
    meta: JsonObject = {"name": "web", "namespace": "shop", "uid": "s", "resourceVersion": "1"}
    return {"kind": "Service", "metadata": meta, "spec": {"selector": {"app": "wbe"}, "ports": ports, **spec}}


PODS: JsonObject = {"pods": 2, "owners": ["web"], "port_names": ["http"]}
WEB = {"key": "app", "value": "web"}


@pytest.mark.parametrize(
    ("why", "spec", "support", "wanted", "code"),
    [
        ("a label", {}, PODS, {"selector": [WEB]}, None),
        ("a port by name to a name", {}, PODS, {"ports": [{"port": "web", "target_port": "http"}]}, None),
        ("a port by number to a number", {}, PODS, {"ports": [{"port": 80, "target_port": 8080}]}, None),
        ("a number that stands twice", {}, PODS, {"ports": [{"port": 53, "target_port": 5353}]}, OUT),
        ("one of the two by its name", {}, PODS, {"ports": [{"port": "dns", "target_port": 5353}]}, None),
        ("a port it does not have", {}, PODS, {"ports": [{"port": 81, "target_port": 8080}]}, OUT),
        ("a name that no pod has", {}, PODS, {"ports": [{"port": 80, "target_port": "https"}]}, OUT),
        ("a selector that selects nothing", {}, {**PODS, "pods": 0}, {"selector": [WEB]}, OUT),
        ("nobody looked", {}, {}, {"selector": [WEB]}, OUT),
        ("the last entry taken away", {}, {}, {"selector": [{"key": "app", "value": None}]}, OUT),
        ("a label named twice", {}, PODS, {"selector": [WEB, WEB]}, OUT),
        ("no selector, endpoints by hand", {"selector": {}}, PODS, {"selector": [WEB]}, OUT),
        ("a name outside", {"type": "ExternalName"}, PODS, {"selector": [WEB]}, OUT),
        ("the same", {}, PODS, {"selector": [{"key": "app", "value": "wbe"}]}, SAME),
        ("nothing", {}, PODS, {}, SAME),
    ],
)
def test_services(
    why: str, spec: JsonObject, support: JsonObject, wanted: dict[str, Any], code: ReasonCode | None
) -> None:
    assert answer(ask("set_service", **wanted), Situation(service(**spec), support)) == code


async def test_the_pods_are_those_that_the_new_selector_selects() -> None:
    cluster = Shown(service(), (pod_of(),))
    action = ask("set_service", selector=[WEB, {"key": "tier", "value": "front"}])
    found = await executor("set_service").read(action, cluster)
    assert (cluster.asked, found.support["pods"], found.support["owners"]) == (
        ["app=web,tier=front"],
        1,
        ["ReplicaSet web-1"],
    )


@pytest.mark.parametrize(("owners", "asks"), [(["web"], False), (["web", "api"], True), ([], False)])
def test_pods_of_several_owners_need_a_person_whatever_is_trusted(owners: list[JsonValue], asks: bool) -> None:
    situation = Situation(service(), {**PODS, "owners": owners})
    assert bool(executor("set_service").approval_reasons(ask("set_service", selector=[WEB]), situation)) is asks


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "NodePort"},
        {"ports": [{"port": 80, "target_port": 8080, "node_port": 30000}]},
        {"ports": [{"port": 80, "target_port": 0}]},
        {"ports": [{"port": 80, "target_port": "a_b"}]},
        {"selector": [{"key": "a b", "value": "x"}]},
        {"selector": [{"key": "app", "value": "x,y"}]},
    ],
)
def test_what_is_no_edit_of_a_service_cannot_be_said(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask("set_service", **wanted)


THING: JsonObject = {
    "spec": {"items": [{"n": 1}, {"n": 2}, {"n": 3}], "map": {"a": 1, "b": 2}},
    "metadata": {"uid": "u"},
}


@pytest.mark.parametrize(
    ("why", "wanted", "paths"),
    [
        ("a field", (Put(("spec", "map", "a"), 5),), ["/spec/map/a"]),
        ("a field that is as wanted", (Put(("spec", "map", "a"), 1),), []),
        ("a new field", (Put(("spec", "map", "c"), 5),), ["/spec/map/c"]),
        ("two below a parent that is missing", (Put(("spec", "new", "x"), 1), Put(("spec", "new", "y"), 2)),
         ["/spec/new"]),
        ("two levels missing", (Put(("spec", "new", "x", "y"), [1]),), ["/spec/new"]),
        ("one more item", (Put(("spec", "items", 3), {"n": 4}),), ["/spec/items/3"]),
        ("an item of a list that is missing", (Put(("spec", "list", 0), {"n": 4}),), ["/spec/list"]),
        ("an item taken out of the middle", (Take(("spec", "items", 1)),), ["/spec/items"]),
        ("a field taken away", (Take(("spec", "map", "a")),), ["/spec/map/a"]),
        ("a field taken away that is not there", (Take(("spec", "map", "x")),), []),
    ],
)  # fmt: skip
def test_the_patch_changes_what_is_declared_and_its_inverse_restores_it(
    why: str, wanted: tuple[Wanted, ...], paths: list[str]
) -> None:
    before = copy.deepcopy(THING)
    patch = operations(THING, wanted)
    after: JsonObject = jsonpatch.apply_patch(THING, patch)
    assert (list(declared(THING, wanted)), THING) == (paths, before)
    assert after == applied(THING, wanted)
    assert pending(after, [w for w in wanted if not isinstance(w.path[-1], int)]) == ()
    assert outside(diff(THING, after), paths) == ()
    target = ask("set_service").target
    inverse = record(target, paths, THING, after)
    assert (inverse is None) is (not paths)
    if inverse is not None:
        back: JsonObject = after
        for field in inverse.fields:
            back = jsonpatch.apply_patch(back, field.swap(back))
        assert dig_object(back, "spec") == dig_object(THING, "spec")
