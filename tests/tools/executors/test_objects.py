"""`revert_fields`: what it writes, what it leaves alone, what it refuses, and whom it asks."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest

from tests.tools.executors.objects import changed, container, workload
from tests.tools.executors.test_workload import MARK
from tests.tools.executors.test_workload import Shelf as Reader
from tools import registry
from tools.executors.base import Situation
from tools.executors.inverse import record
from tools.executors.kubernetes.objects import RevertFieldsExecutor
from tools.executors.kubernetes.putback import FIELDS, RESOURCES, RESTORED
from tools.executors.models.objects import RemovableKind, RestorableKind, RevertFields, RevertibleKind
from tools.executors.patch import split
from tools.guard.diff import diff, outside
from tools.guard.verdict import ReasonCode
from tools.journal.compare import normal
from tools.journal.versions import Source, Version
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object
from tools.refs import ObjectRef

R = ReasonCode
VERSION = "aaaaaaaa"


class Versions:
    """One version of one object, whoever asks for it by its digest."""

    def __init__(self, manifest: JsonObject, source: Source) -> None:
        self._version = Version(manifest, source)

    async def version(self, ref: ObjectRef, version: str) -> Version | None:
        return self._version if version == VERSION else None


def live(kind: str, **parts: JsonValue) -> JsonObject:
    metadata: JsonObject = {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "5"}
    return {"apiVersion": RESOURCES[kind].api_version, "kind": kind, "metadata": metadata, **copy.deepcopy(parts)}


def parse(kind: str, version: str = VERSION) -> Any:
    return registry.parse("revert_fields", {"kind": kind, "namespace": "shop", "name": "web", "version": version})


async def read(
    now: JsonObject, then: JsonObject, source: Source = "desired", **others: list[JsonObject]
) -> tuple[RevertFieldsExecutor, RevertFields, Situation]:
    kind = str(now["kind"])
    executor = RevertFieldsExecutor(Versions(normal(then), source))
    return executor, parse(kind), await executor.read(parse(kind), Reader({kind: [now], **others}))


async def code(now: JsonObject, then: JsonObject, source: Source = "desired") -> ReasonCode | None:
    executor, action, situation = await read(now, then, source)
    refused = executor.precondition(action, situation)
    return None if refused is None else refused.code


async def written(now: JsonObject, then: JsonObject, source: Source = "desired") -> JsonObject:
    """The object after the patch; checks on the way that the patch stays in its fields and can be taken back."""
    executor, action, situation = await read(now, then, source)
    assert executor.precondition(action, situation) is None
    request = executor.request(action, situation, MARK)
    result: JsonObject = jsonpatch.apply_patch(now, request.body)
    fields = executor.fields(action, situation)
    assert outside(diff(now, result), fields) == ()
    assert executor.postcondition(action, situation, Situation(result)) is None
    assert executor.postcondition(action, situation, Situation(now)) is not None
    inverse = record(action.target, fields, now, result)
    assert inverse is not None
    back = jsonpatch.apply_patch(result, inverse.request(RESOURCES[action.kind], result, MARK).body)
    assert diff(now, back) == ()
    return result


def service(port: JsonObject, *more: JsonValue, **spec: JsonValue) -> JsonObject:
    return live("Service", spec={"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": [port, *more], **spec})


HTTP: JsonObject = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}


# what is written


@pytest.mark.parametrize(
    ("why", "now", "then", "path", "value"),
    [
        (
            "a renamed key goes back",
            live("ConfigMap", data={"MOED": "fast"}),
            live("ConfigMap", data={"MODE": "fast"}),
            "data",
            {"MODE": "fast"},
        ),
        (
            "a key that is left out of the declared map goes",
            live("ConfigMap", data={"MODE": "fast", "DEBUG": "1"}),
            live("ConfigMap", data={"MODE": "fast"}),
            "data",
            {"MODE": "fast"},
        ),
        (
            "a map that is missing altogether comes back",
            live("ConfigMap"),
            live("ConfigMap", data={"MODE": "fast"}),
            "data",
            {"MODE": "fast"},
        ),
        (
            "a port that was taken out comes back beside the other one",
            service({**HTTP, "name": "admin", "port": 81}),
            service({**HTTP, "name": "admin", "port": 81}, HTTP),
            "spec.ports",
            [{**HTTP, "name": "admin", "port": 81}, HTTP],
        ),
        (
            "a port that was put in goes, and the other one keeps what the server gave it",
            service({**HTTP, "name": "evil", "port": 22}, {**HTTP, "nodePort": 30080}),
            service(HTTP),
            "spec.ports",
            [{**HTTP, "nodePort": 30080}],
        ),
        (
            "the address of a Service stays",
            service(HTTP, selector={"app": "wbe"}),
            service(HTTP, selector={"app": "web"}, clusterIP="10.9.9.9"),
            "spec",
            service(HTTP, selector={"app": "web"})["spec"],
        ),
        (
            "a label too many goes from a selector",
            service(HTTP, selector={"app": "web", "tier": "nope"}),
            service(HTTP, selector={"app": "web"}),
            "spec.selector",
            {"app": "web"},
        ),
    ],
)
async def test_what_differs_is_written(
    why: str, now: JsonObject, then: JsonObject, path: str, value: JsonValue
) -> None:
    assert dig(await written(now, then), *path.split(".")) == value


async def test_a_template_goes_back_to_what_is_declared() -> None:
    then = workload(containers=[container(image="shop/web:1", env=[{"name": "MODE", "value": "fast"}])])
    now = workload(containers=[container(image="shop/web:1", env=[{"name": "MODE", "value": "slow"}])])
    result = await written(now, then)
    (main,) = dig_list(result, "spec", "template", "spec", "containers")
    assert dig(main, "env", 0, "value") == "fast"
    executor, action, situation = await read(now, then)
    assert executor.fields(action, situation) == ("/spec/template/spec/containers/0/env/0/value",)


async def test_notes_in_annotations_are_left_as_they_are() -> None:
    now, then = live("ConfigMap", data={"MODE": "slow"}), live("ConfigMap", data={"MODE": "fast"})
    now["metadata"] = {**dig_object(now, "metadata"), "annotations": {"team": "theirs"}}
    then["metadata"] = {**dig_object(then, "metadata"), "annotations": {"team": "ours", "more": "x"}}
    assert dig(await written(now, then), "metadata", "annotations", "team") == "theirs"
    assert await code({**now, "data": {"MODE": "fast"}}, then) is R.NO_CHANGE


async def test_a_count_that_an_autoscaler_chooses_is_left_to_it() -> None:
    now, then = workload(replicas=7, paused=True), workload(replicas=3)
    autoscaler: JsonObject = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}
    executor, action, situation = await read(now, then, HorizontalPodAutoscaler=[autoscaler])
    assert executor.precondition(action, situation) is None
    assert executor.fields(action, situation) == ("/spec/paused",)
    assert executor.writes_replicas(action, situation) is False
    executor, action, situation = await read(now, then)
    assert executor.fields(action, situation) == ("/spec/paused", "/spec/replicas")
    assert executor.writes_replicas(action, situation) is True


def test_a_rollout_stops_only_what_belongs_to_a_workload() -> None:
    executor = RevertFieldsExecutor()
    assert [executor.is_stopped_by_rollout(parse(kind)) for kind in ("Deployment", "ConfigMap")] == [True, False]


# what is refused


@pytest.mark.parametrize(
    ("why", "now", "then", "source", "expected"),
    [
        (
            "nothing differs",
            live("ConfigMap", data={"A": "1"}),
            live("ConfigMap", data={"A": "1"}),
            "desired",
            R.NO_CHANGE,
        ),
        ("the type of a Service", service(HTTP, type="NodePort"), service(HTTP), "desired", R.NOT_ON_THE_LIST),
        (
            "a node's port",
            service({**HTTP, "nodePort": 30001}),
            service({**HTTP, "nodePort": 30002}),
            "desired",
            R.NOT_ON_THE_LIST,
        ),
        (
            "a port that would go with its node's port",
            service(HTTP, {**HTTP, "name": "evil", "port": 22, "nodePort": 30022}),
            service(HTTP),
            "desired",
            R.NOT_ON_THE_LIST,
        ),
        (
            "one field on the list and one that is not",
            service(HTTP, selector={"app": "wbe"}, type="NodePort"),
            service(HTTP, selector={"app": "web"}),
            "desired",
            R.NOT_ON_THE_LIST,
        ),
        (
            "the role that a binding names",
            live("RoleBinding", roleRef={"kind": "Role", "name": "other"}, subjects=[]),
            live("RoleBinding", roleRef={"kind": "Role", "name": "reader"}, subjects=[]),
            "desired",
            R.NOT_ON_THE_LIST,
        ),
        (
            "how much history of a CronJob is kept",
            live("CronJob", spec={"schedule": "* * * * *", "failedJobsHistoryLimit": 1}),
            live("CronJob", spec={"schedule": "* * * * *", "failedJobsHistoryLimit": 2}),
            "desired",
            R.NOT_ON_THE_LIST,
        ),
        (
            "a template that nobody declared",
            workload(containers=[container(image="shop/web:2")]),
            workload(containers=[container(image="shop/web:1")]),
            "last_known_good",
            R.NOT_ON_THE_LIST,
        ),
        (
            "it is being deleted",
            changed(live("ConfigMap", data={"A": "1"}), "metadata.deletionTimestamp", "2026-01-01T00:00:00Z"),
            live("ConfigMap", data={"A": "2"}),
            "desired",
            R.TARGET_DELETING,
        ),
        (
            "another name",
            live("ConfigMap"),
            changed(live("ConfigMap"), "metadata.name", "api"),
            "desired",
            R.VERSION_UNKNOWN,
        ),
        (
            "another namespace",
            live("ConfigMap"),
            changed(live("ConfigMap"), "metadata.namespace", "bank"),
            "desired",
            R.VERSION_UNKNOWN,
        ),
        ("another kind", live("ConfigMap"), changed(live("ConfigMap"), "kind", "Secret"), "desired", R.VERSION_UNKNOWN),
        (
            "another version of the API",
            live("HorizontalPodAutoscaler", spec={"maxReplicas": 2}),
            changed(live("HorizontalPodAutoscaler", spec={"maxReplicas": 3}), "apiVersion", "autoscaling/v1"),
            "desired",
            R.VERSION_UNKNOWN,
        ),
    ],
)
async def test_what_is_refused(
    why: str, now: JsonObject, then: JsonObject, source: Source, expected: ReasonCode
) -> None:
    assert await code(now, then, source) is expected


async def test_without_a_memory_and_for_an_unknown_digest_nothing_is_done() -> None:
    reader = Reader({"ConfigMap": [live("ConfigMap", data={"A": "1"})]})
    for executor in (
        RevertFieldsExecutor(),
        RevertFieldsExecutor(Versions(live("ConfigMap", data={"A": "2"}), "desired")),
    ):
        action = parse("ConfigMap", "deadbeef")
        refused = executor.precondition(action, await executor.read(action, reader))
        assert refused is not None
        assert refused.code is R.VERSION_UNKNOWN


# who is asked

HPA = "HorizontalPodAutoscaler"
PODS_1: JsonObject = {"hard": {"pods": "1"}}
PODS_9: JsonObject = {"hard": {"pods": "9"}}
SCALES_A: JsonObject = {"scaleTargetRef": {"name": "a"}}
SCALES_B: JsonObject = {"scaleTargetRef": {"name": "b"}}
SOMEBODY: JsonObject = {"kind": "User", "name": "x"}
PRIVILEGED: JsonObject = {"privileged": True}


@pytest.mark.parametrize(
    ("why", "now", "then", "asks"),
    [
        ("settings", live("ConfigMap", data={"A": "1"}), live("ConfigMap", data={"A": "2"}), False),
        ("a selector", service(HTTP, selector={"a": "1"}), service(HTTP, selector={"a": "2"}), False),
        ("affinity", service(HTTP, sessionAffinity="ClientIP"), service(HTTP, sessionAffinity="None"), True),
        ("a quota", live("ResourceQuota", spec=PODS_1), live("ResourceQuota", spec=PODS_9), True),
        ("rights", live("Role", rules=[]), live("Role", rules=[{"verbs": ["get"]}]), True),
        ("whom rights are for", live("RoleBinding", subjects=[]), live("RoleBinding", subjects=[SOMEBODY]), True),
        (
            "a schedule",
            live("CronJob", spec={"schedule": "@daily"}),
            live("CronJob", spec={"schedule": "@yearly"}),
            True,
        ),
        ("what is scaled", live(HPA, spec=SCALES_A), live(HPA, spec=SCALES_B), False),
        ("replicas", workload(replicas=1), workload(replicas=3), False),
        ("no replicas", workload(replicas=3), workload(replicas=0), True),
        (
            "an image",
            workload(containers=[container(image="a:2")]),
            workload(containers=[container(image="a:1")]),
            False,
        ),
        ("power over the node", workload(), workload(containers=[container(securityContext=PRIVILEGED)]), True),
    ],
)
async def test_who_is_asked(why: str, now: JsonObject, then: JsonObject, asks: bool) -> None:
    executor, action, situation = await read(now, then)
    assert executor.precondition(action, situation) is None
    reasons = executor.approval_reasons(action, situation)
    assert bool(reasons) is asks
    assert executor.needs_failure(action, situation) is False


async def test_what_nobody_declared_is_put_back_only_while_something_fails() -> None:
    executor, action, situation = await read(
        live("ConfigMap", data={"A": "1"}), live("ConfigMap", data={"A": "2"}), "last_known_good"
    )
    assert executor.precondition(action, situation) is None
    assert executor.needs_failure(action, situation) is True


async def test_no_sentence_shows_a_value() -> None:
    now, then = live("ConfigMap", data={"DB_PASSWORD": "hunter1"}), live("ConfigMap", data={"DB_PASSWORD": "hunter2"})
    executor, action, situation = await read(now, then)
    failed = executor.postcondition(action, situation, Situation(now))
    assert failed is not None
    assert "hunter" not in failed.reason + "".join(executor.approval_reasons(action, situation))


def test_the_lists_of_kinds_and_the_models_say_the_same() -> None:
    def kinds(model: Any) -> set[str]:
        return set(model.__args__)

    assert kinds(RevertibleKind) == set(FIELDS) == set(RESOURCES)
    assert kinds(RestorableKind) == set(RESTORED)
    assert kinds(RemovableKind) <= set(FIELDS)
    assert not {"PersistentVolumeClaim", "Secret"} & (set(FIELDS) | set(RESTORED))
    for listed in FIELDS.values():
        assert not [
            path for path in listed if {"clusterIP", "nodePort", "type", "roleRef", "status"} & set(split(path))
        ]
