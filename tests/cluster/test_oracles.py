"""Oracles by example: what each check accepts, and what it must not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tests.cluster.checks import (
    Check,
    Condition,
    CronJobCompleted,
    CronJobFired,
    DaemonSetReady,
    EndpointsReady,
    FieldAbsent,
    FieldAtLeast,
    FieldEquals,
    FieldExists,
    JobWorks,
    LikeBefore,
    NoFailedPods,
    NoOomSince,
    ObjectAbsent,
    PodsStable,
    RolloutComplete,
    placed,
)
from tests.cluster.mirror import View
from tests.cluster.oracles import Moment, Past, changed_paths, collateral, differences, judge, moment
from tools.jsontypes import JsonObject, dig_object

Change = Callable[[dict[str, JsonObject]], object]


def world() -> dict[str, JsonObject]:
    """A healthy namespace: Kind/name → object."""
    template: JsonObject = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "a:1", "resources": {"limits": {"memory": "64Mi"}}}]},
    }
    return {
        "Deployment/web": {
            "metadata": {
                "name": "web", "generation": 3, "resourceVersion": "10", "uid": "d1",
                "annotations": {"deployment.kubernetes.io/revision": "1", "team": "shop"},
            },
            "spec": {"replicas": 2, "template": template},
            "status": {
                "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2,
                "readyReplicas": 2, "availableReplicas": 2,
            },
        },
        "StatefulSet/db": {
            "metadata": {"name": "db", "generation": 1},
            "spec": {"replicas": 1},
            "status": {
                "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                "readyReplicas": 1, "availableReplicas": 1,
                "currentRevision": "db-1", "updateRevision": "db-1",
            },
        },
        "DaemonSet/agent": {
            "metadata": {"name": "agent", "generation": 2},
            "status": {
                "observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
                "numberReady": 2, "numberAvailable": 2,
            },
        },
        "Pod/web-1": pod("web-1"),
        "Pod/web-2": pod("web-2"),
        "EndpointSlice/web-x": {
            "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [
                {"conditions": {"ready": True}, "targetRef": {"name": "web-1"}},
                {"conditions": {"ready": True}, "targetRef": {"name": "web-2"}},
            ],
        },
        "ConfigMap/web-config": {"metadata": {"name": "web-config"}, "data": {"MODE": "prod"}},
        "Namespace/sh-x": {"metadata": {"name": "sh-x", "labels": {"a.b/enforce": "restricted"}}},
        "Node/node1": {"metadata": {"name": "node1", "labels": {"x": "1"}}, "spec": {"podCIDR": "10.0.0.0/24"}},
        "PodDisruptionBudget/web": {"metadata": {"name": "web"}, "status": {"disruptionsAllowed": 1}},
        "HorizontalPodAutoscaler/web": {
            "metadata": {"name": "web"},
            "status": {"conditions": [{"type": "AbleToScale", "status": "True"}]},
        },
        "CronJob/tick": {"metadata": {"name": "tick"}, "spec": {"suspend": False}},
        "Job/tick-1": {
            "metadata": {
                "name": "tick-1", "creationTimestamp": "1970-01-01T00:09:00Z",
                "ownerReferences": [{"kind": "CronJob", "name": "tick"}],
            },
            "status": {"conditions": [{"type": "Complete", "status": "True"}]},
        },
        "Job/slow": {"metadata": {"name": "slow"}, "status": {"active": 1}},
    }  # fmt: skip


def pod(name: str) -> JsonObject:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"app": "web"}},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 0, "ready": True}]},
    }


def view(objects: dict[str, JsonObject]) -> View:
    kinds: dict[str, dict[str, JsonObject]] = {}
    for reference, value in objects.items():
        kind, _, name = reference.partition("/")
        kinds.setdefault(kind, {})[name] = value
    return View(kinds)


def put(reference: str, *path: str, value: object) -> Change:
    """A change of one field; `path` leads through mappings and, by number, lists."""

    def apply(objects: dict[str, JsonObject]) -> None:
        here: object = objects[reference]
        for step in path[:-1]:
            here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})  # type: ignore[attr-defined]
        here[path[-1]] = value  # type: ignore[index]

    return apply


def drop(reference: str) -> Change:
    return lambda objects: objects.pop(reference)


INJECTED = 500.0
SINCE = Moment(1000.0, {"uid-web-1": 0, "uid-web-2": 0})
OOM: JsonObject = {"terminated": {"reason": "OOMKilled", "finishedAt": "1970-01-01T00:20:00Z"}}
OLD_OOM: JsonObject = {"terminated": {"reason": "OOMKilled", "finishedAt": "1970-01-01T00:10:00Z"}}
WEB = {"app": "web"}
STATUS = "containerStatuses"
CONTAINERS = ("spec", "template", "spec", "containers")
RESTARTED: JsonObject = {"kubectl.kubernetes.io/restartedAt": "now"}


def restart(name: str, count: int) -> Change:
    return put(f"Pod/{name}", "status", STATUS, "0", "restartCount", value=count)


def ended(name: str, state: JsonObject) -> Change:
    return put(f"Pod/{name}", "status", STATUS, "0", "lastState", value=state)


HOLDS: list[tuple[str, Check, list[Change]]] = [
    ("a complete Deployment", RolloutComplete("Deployment/web", 2), []),
    ("a complete StatefulSet", RolloutComplete("StatefulSet/db", 1), []),
    ("a DaemonSet on every node", DaemonSetReady("DaemonSet/agent", 2), []),
    ("enough ready endpoints", EndpointsReady("web", 2), []),
    ("a field with its value", FieldEquals("ConfigMap/web-config", "data.MODE", "prod"), []),
    ("a field that is there", FieldExists("Deployment/web", "spec.template.spec.containers.0.image"), []),
    ("a field whose name has dots in it",
     FieldEquals("Namespace/sh-x", "metadata.labels[a.b/enforce]", "restricted"), []),
    ("a field that nobody set", FieldAbsent("Node/node1", "spec.unschedulable"), []),
    ("a field that was set to null", FieldAbsent("Node/node1", "spec.unschedulable"),
     [put("Node/node1", "spec", "unschedulable", value=None)]),
    ("a number that is large enough", FieldAtLeast("PodDisruptionBudget/web", "status.disruptionsAllowed"), []),
    ("an object that never was", ObjectAbsent("NetworkPolicy/lockdown"), []),
    ("a condition", Condition("HorizontalPodAutoscaler/web", "AbleToScale"), []),
    ("a Job that runs", JobWorks("slow"), []),
    ("a Job that has completed", JobWorks("tick-1"), []),
    ("a CronJob that fired since the fault", CronJobFired("tick"), []),
    ("a CronJob whose Job completed since the fault", CronJobCompleted("tick"), []),
    ("what is written to a node all the time", LikeBefore(),
     [put("Node/node1", "metadata", "labels", "x", value="2")]),
    ("an object that may come", LikeBefore({"Secret/x": ("*",)}),
     [lambda o: o.update({"Secret/x": {"metadata": {"name": "x"}}})]),
    ("no failed pod", NoFailedPods(), []),
    ("a pod that fails on its way out", NoFailedPods(), [
        put("Pod/web-1", "status", "phase", value="Failed"),
        put("Pod/web-1", "metadata", "deletionTimestamp", value="2026-01-01T00:00:00Z"),
    ]),
    ("the same pods with the same restarts", PodsStable(WEB), []),
    ("a restart of somebody else's pod", PodsStable({"app": "db"}), [restart("web-1", 5)]),
    ("an OOM from before the recovery", NoOomSince(WEB), [ended("web-1", OLD_OOM)]),
    ("nothing changed", LikeBefore(), []),
    ("what the server sets and the healer's traces", LikeBefore(), [
        put("Deployment/web", "metadata", "resourceVersion", value="99"),
        put("Deployment/web", "metadata", "generation", value=9),
        put("Deployment/web", "status", value={}),
        put("Deployment/web", "metadata", "annotations", "deployment.kubernetes.io/revision", value="7"),
        put("Deployment/web", "metadata", "annotations", "selfheal.dev/action", value="abc"),
        put("Deployment/web", "spec", "template", "metadata", "annotations", value=RESTARTED),
    ]),
    ("a change that is allowed", LikeBefore({"Deployment/web": ("spec.template.spec.containers",)}), [
        put("Deployment/web", *CONTAINERS, "0", "resources", "limits", "memory", value="128Mi"),
    ]),
    ("pods that come and go", LikeBefore(), [drop("Pod/web-1")]),
]  # fmt: skip

FAILS: list[tuple[str, Check, list[Change], str]] = [
    ("a Deployment that is gone", RolloutComplete("Deployment/web", 2), [drop("Deployment/web")], "does not exist"),
    ("a spec the controller has not seen", RolloutComplete("Deployment/web", 2),
     [put("Deployment/web", "metadata", "generation", value=4)], "not seen the newest spec"),
    ("a surplus pod of the old revision", RolloutComplete("Deployment/web", 2),
     [put("Deployment/web", "status", "replicas", value=3)], "'replicas': 3"),
    ("a Deployment scaled down instead", RolloutComplete("Deployment/web", 2),
     [put("Deployment/web", "spec", "replicas", value=0)], "spec.replicas is 0"),
    ("a StatefulSet between revisions", RolloutComplete("StatefulSet/db", 1),
     [put("StatefulSet/db", "status", "updateRevision", value="db-2")], "between two revisions"),
    ("a DaemonSet that no node runs", DaemonSetReady("DaemonSet/agent", 1),
     [put("DaemonSet/agent", "status", value={"observedGeneration": 2})], "'numberReady': 0"),
    ("a DaemonSet with one pod of the old revision", DaemonSetReady("DaemonSet/agent", 1),
     [put("DaemonSet/agent", "status", "updatedNumberScheduled", value=1)], "'updatedNumberScheduled': 1"),
    ("an endpoint that is not ready", EndpointsReady("web", 2),
     [put("EndpointSlice/web-x", "endpoints", "0", "conditions", "ready", value=False)], "1 ready endpoints"),
    ("an endpoint of a pod that is gone", EndpointsReady("web", 2), [drop("Pod/web-1")], "1 ready endpoints"),
    ("a service without endpoints", EndpointsReady("shop", 1), [], "0 ready endpoints"),
    ("another value", FieldEquals("ConfigMap/web-config", "data.MODE", "prod"),
     [put("ConfigMap/web-config", "data", "MODE", value="debug")], "is 'debug', not 'prod'"),
    ("a field of a lost object", FieldEquals("ConfigMap/lost", "data", None), [], "nothing at data"),
    ("a field that is not there", FieldExists("ConfigMap/web-config", "data.OTHER"), [], "nothing at data.OTHER"),
    ("a field that is set", FieldAbsent("Node/node1", "spec.unschedulable"),
     [put("Node/node1", "spec", "unschedulable", value=True)], "is True"),
    ("a field of an object that is gone", FieldAbsent("Node/node1", "spec.x"), [drop("Node/node1")], "spec.x"),
    ("a number that is too small", FieldAtLeast("PodDisruptionBudget/web", "status.disruptionsAllowed", 2), [],
     "is 1, below 2"),
    ("an object that is still there", ObjectAbsent("Job/slow"), [], "Job/slow exists"),
    ("a condition that is absent", Condition("HorizontalPodAutoscaler/web", "ScalingActive"), [], "is absent"),
    ("a Job that has failed", JobWorks("slow"),
     [put("Job/slow", "status", "conditions", value=[{"type": "Failed", "status": "True"}])], "has failed"),
    ("a Job that does nothing", JobWorks("slow"), [put("Job/slow", "status", "active", value=0)], "neither runs"),
    ("a suspended CronJob", CronJobFired("tick"), [put("CronJob/tick", "spec", "suspend", value=True)], "suspended"),
    ("a CronJob that fired before the fault", CronJobFired("tick"),
     [put("Job/tick-1", "metadata", "creationTimestamp", value="1970-01-01T00:08:20Z")], "no Job started"),
    ("a CronJob whose Job still runs", CronJobCompleted("tick"), [put("Job/tick-1", "status", value={})],
     "no Job completed"),
    ("a cordoned node", LikeBefore(), [put("Node/node1", "spec", "unschedulable", value=True)],
     "Node/node1 spec.unschedulable"),
    ("a failed pod", NoFailedPods(), [put("Pod/web-1", "status", "phase", value="Failed")], "failed pods: web-1"),
    ("a restart since the recovery", PodsStable(WEB), [restart("web-2", 1)],
     "web-2 restarted"),
    ("a new pod since the recovery", PodsStable(WEB),
     [put("Pod/web-2", "metadata", "uid", value="other")], "web-2 is new"),
    ("an OOM since the recovery", NoOomSince(WEB),
     [ended("web-1", OOM)],
     "web-1 ran out of memory"),
    ("a changed image", LikeBefore(),
     [put("Deployment/web", *CONTAINERS, "0", "image", value="a:2")],
     "Deployment/web spec.template.spec.containers.0.image"),
    ("a change beside the allowed one", LikeBefore({"Deployment/web": ("spec.template.spec.containers",)}),
     [put("Deployment/web", "spec", "replicas", value=3)], "Deployment/web spec.replicas"),
    ("an allowed path is no prefix of a word", LikeBefore({"Deployment/web": ("spec.rep",)}),
     [put("Deployment/web", "spec", "replicas", value=3)], "Deployment/web spec.replicas"),
    ("a user's annotation", LikeBefore(),
     [put("Deployment/web", "metadata", "annotations", "team", value="other")],
     "Deployment/web metadata.annotations.team"),
    ("a lost object", LikeBefore(), [drop("ConfigMap/web-config")], "ConfigMap/web-config is gone"),
    ("a new object", LikeBefore(), [lambda o: o.update({"Secret/x": {"metadata": {"name": "x"}}})], "Secret/x is new"),
]  # fmt: skip


def judged(check: Check, changes: list[Change]) -> str | None:
    objects = world()
    for change in changes:
        change(objects)
    return judge(check, view(objects), Past(view(world()), INJECTED, SINCE))


@pytest.mark.parametrize(("check", "changes"), [pytest.param(c, ch, id=i) for i, c, ch in HOLDS])
def test_holds_for(check: Check, changes: list[Change]) -> None:
    assert judged(check, changes) is None


@pytest.mark.parametrize(("check", "changes", "reason"), [pytest.param(c, ch, r, id=i) for i, c, ch, r in FAILS])
def test_does_not_hold_for(check: Check, changes: list[Change], reason: str) -> None:
    assert reason in (judged(check, changes) or "")


def test_before_the_recovery_the_checks_about_time_do_not_object() -> None:
    objects = world()
    restart("web-1", 7)(objects)
    assert judge(PodsStable(WEB), view(objects), Past(view(objects))) is None
    assert judge(PodsStable(WEB), view(objects), Past(view(objects), since=moment(view(objects), 1.0))) is None


def test_comparing_leaves_the_snapshot_as_it_was() -> None:
    objects = world()
    put("Deployment/web", "spec", "template", "metadata", "annotations", value={"selfheal.dev/x": "1"})(objects)
    kept = copy.deepcopy(objects)
    assert list(differences(view(objects), view(world()), {})) == []
    assert objects == kept


def test_a_job_made_by_a_cronjob_is_no_collateral() -> None:
    objects = world()
    owner: JsonObject = {"kind": "CronJob", "name": "tick"}
    objects["Job/tick-2"] = {"metadata": {"name": "tick-2", "ownerReferences": [owner]}}
    assert list(differences(view(world()), view(objects), {})) == []
    dig_object(objects["Job/tick-2"], "metadata").pop("ownerReferences")
    assert list(differences(view(world()), view(objects), {})) == ["Job/tick-2 is new"]


def test_collateral_is_neither_as_before_nor_as_the_fault_left_it() -> None:
    before, broken, after = world(), world(), world()
    put("Deployment/web", *CONTAINERS, "0", "image", value="bad")(broken)  # the fault, healed
    for objects in (broken, after):
        put("ConfigMap/web-config", "data", "MODE", value="debug")(objects)  # the fault, as it was left
    put("Deployment/web", "spec", "replicas", value=7)(after)
    put("PodDisruptionBudget/web", "spec", value={"minAvailable": 1})(after)
    allowed = {"PodDisruptionBudget/web": ("spec",)}
    assert collateral(view(before), view(broken), view(after), allowed) == ["Deployment/web spec.replicas"]


def test_a_check_is_placed_in_its_namespace() -> None:
    assert placed(FieldAbsent("Namespace/${NS}", "x"), "sh-x") == FieldAbsent("Namespace/sh-x", "x")
    assert placed(LikeBefore({"Namespace/${NS}": ("*",)}), "sh-x") == LikeBefore({"Namespace/sh-x": ("*",)})


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="equal"),
        pytest.param({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, ["a.b.1.c"], id="as deep as possible"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, ["a"], id="lists of other length as a whole"),
        pytest.param({"a": None}, {}, ["a"], id="null is not absent"),
        pytest.param({"a": {}}, {"a": {"b": 1}}, ["a.b"], id="added below"),
    ],
)
def test_changed_paths(old: JsonObject, new: JsonObject, paths: list[str]) -> None:
    assert list(changed_paths(old, new)) == paths
