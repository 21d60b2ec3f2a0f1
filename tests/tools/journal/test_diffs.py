"""Differences between templates as a person reads them, and what they loosen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.journal.diffs import VALUE_LIMIT, diff_templates, loosened, same_template
from tools.jsontypes import JsonObject, JsonValue


def template(*containers: JsonObject, metadata: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    return {"metadata": metadata or {}, "spec": {"containers": list(containers), **spec}}


def app(**fields: JsonValue) -> JsonObject:
    return {"name": "app", "image": "web:1", **fields}


def env(name: str, value: str) -> JsonObject:
    return {"name": name, "value": value}


SECRET_REF: JsonObject = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "web", "key": "TOKEN_V2"}}}
OTHER_REF: JsonObject = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "web", "key": "TOKEN"}}}

DIFFS: dict[str, tuple[JsonObject, JsonObject, list[tuple[str, str, str]]]] = {
    "the same": (template(app()), template(app()), []),
    "image": (template(app(image="web:2")), template(app()), [("containers[app].image", "web:2", "web:1")]),
    "command": (
        template(app(command=["sh", "-c", "x"])),
        template(app()),
        [("containers[app].command", '["sh","-c","x"]', "")],
    ),
    "variable taken away": (
        template(app(env=[env("A", "1")])),
        template(app(env=[env("A", "1"), env("MODE", "prod")])),
        [("containers[app].env[MODE]", "", '{"name":"MODE","value":"prod"}')],
    ),
    "variable changed, in another place of the list": (
        template(app(env=[env("B", "2"), env("A", "9")])),
        template(app(env=[env("A", "1"), env("B", "2")])),
        [("containers[app].env[A].value", "9", "1")],
    ),
    "variable emptied": (
        template(app(env=[env("MODE", "")])),
        template(app(env=[env("MODE", "prod")])),
        [("containers[app].env[MODE].value", '""', "prod")],
    ),
    "secret variable changed: only that it differs": (
        template(app(env=[env("DB_PASSWORD", "hunter3")])),
        template(app(env=[env("DB_PASSWORD", "hunter2")])),
        [("containers[app].env[DB_PASSWORD].value", "[REDACTED]", "[REDACTED] (another value)")],
    ),
    "secret variable added": (
        template(app(env=[env("DB_PASSWORD", "hunter2")])),
        template(app()),
        [("containers[app].env[DB_PASSWORD]", '{"name":"DB_PASSWORD","value":"[REDACTED]"}', "")],
    ),
    "reference to a secret stays readable": (
        template(app(env=[SECRET_REF])),
        template(app(env=[OTHER_REF])),
        [("containers[app].env[TOKEN].valueFrom.secretKeyRef.key", "TOKEN_V2", "TOKEN")],
    ),
    "probe": (
        template(app(livenessProbe={"httpGet": {"port": 9999}})),
        template(app(livenessProbe={"httpGet": {"port": 8080}})),
        [("containers[app].livenessProbe.httpGet.port", "9999", "8080")],
    ),
    "resources": (
        template(app(resources={"limits": {"memory": "24Mi"}})),
        template(app(resources={"limits": {"memory": "64Mi", "cpu": "1"}})),
        [
            ("containers[app].resources.limits.cpu", "", "1"),
            ("containers[app].resources.limits.memory", "24Mi", "64Mi"),
        ],
    ),
    "node selector": (
        template(app(), nodeSelector={"kubernetes.io/hostname": "x"}),
        template(app()),
        [("nodeSelector[kubernetes.io/hostname]", "x", "")],
    ),
    "container added": (
        template(app(), {"name": "side", "image": "s:1"}),
        template(app()),
        [("containers[side]", '{"image":"s:1","name":"side"}', "")],
    ),
    "init container added": (
        template(app(), initContainers=[{"name": "prepare", "image": "p:1"}]),
        template(app()),
        [("initContainers[prepare]", '{"image":"p:1","name":"prepare"}', "")],
    ),
    "volume": (
        template(app(), volumes=[{"name": "d", "configMap": {"name": "new"}}]),
        template(app(), volumes=[{"name": "d", "configMap": {"name": "old"}}]),
        [("volumes[d].configMap.name", "new", "old")],
    ),
    "restart": (
        template(app(), metadata={"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}),
        template(app()),
        [("metadata.annotations[kubectl.kubernetes.io/restartedAt]", "now", "")],
    ),
    "metadata comes last": (
        template(app(image="web:2"), metadata={"labels": {"a": "1"}}),
        template(app()),
        [("containers[app].image", "web:2", "web:1"), ("metadata.labels.a", "1", "")],
    ),
    "label called like a list": (
        template(app(), metadata={"labels": {"env": "prod"}}),
        template(app(), metadata={"labels": {"env": "test"}}),
        [("metadata.labels.env", "prod", "test")],
    ),
    "hash labels and creation time are no difference": (
        template(app(), metadata={"labels": {"pod-template-hash": "x"}, "creationTimestamp": None}),
        template(app()),
        [],
    ),
    "patch directive is no difference": ({**template(app()), "$patch": "replace"}, template(app()), []),
    "name that occurs twice: the list as a whole": (
        template(app(env=[env("A", "1"), env("A", "2")])),
        template(app(env=[env("A", "1")])),
        [
            (
                "containers[app].env",
                '[{"name":"A","value":"1"},{"name":"A","value":"2"}]',
                '[{"name":"A","value":"1"}]',
            )
        ],
    ),
    "secret behind a flag": (
        template(app(args=["--db-password", "hunter2", "--port", "1"])),
        template(app()),
        [("containers[app].args", '["--db-password","[REDACTED]","--port","1"]', "")],
    ),
}


@pytest.mark.parametrize(("now", "then", "expected"), DIFFS.values(), ids=DIFFS)
def test_diff(now: JsonObject, then: JsonObject, expected: list[tuple[str, str, str]]) -> None:
    assert [(c.path, c.now, c.then) for c in diff_templates(now, then)] == expected
    assert same_template(now, then) is (expected == [])


def test_a_long_value_is_shown_around_its_difference() -> None:
    script = "x" * 3000
    change = diff_templates(template(app(args=[script + "NEW"])), template(app(args=[script + "OLD"])))[0]
    assert max(len(change.now), len(change.then)) <= VALUE_LIMIT
    assert ("NEW" in change.now, "OLD" in change.then) == (True, True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
TEMPLATES = st.dictionaries(st.sampled_from(["containers", "volumes", "env", "x", "y"]), VALUES, max_size=4)


@settings(deadline=None)
@given(TEMPLATES, TEMPLATES)
def test_equal_templates_never_differ_and_the_way_back_has_the_same_paths(one: JsonObject, other: JsonObject) -> None:
    now, then = {"spec": one}, {"spec": other}
    assert diff_templates(now, now) == []
    if diff_templates(now, then):
        assert not same_template(now, then)
    assert [c.path for c in diff_templates(then, now)] == [c.path for c in diff_templates(now, then)]


TIGHT: JsonObject = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOOSENED: dict[str, tuple[JsonObject, JsonObject, tuple[str, ...]]] = {
    "nothing": (template(app(securityContext=TIGHT)), template(app(securityContext=TIGHT)), ()),
    "tightening": (template(app()), template(app(securityContext=TIGHT)), ()),
    "read-only root is not part of the standards": (
        template(app(securityContext={"readOnlyRootFilesystem": True})),
        template(app()),
        (),
    ),
    "root again": (
        template(app(), securityContext={"runAsNonRoot": True}),
        template(app()),
        ("running as root is allowed",),
    ),
    "privileged again": (
        template(app()),
        template(app(securityContext={"privileged": True})),
        ("a container is privileged",),
    ),
    "everything again": (
        template(app(securityContext=TIGHT)),
        template(app()),
        (
            "capabilities are not dropped",
            "no seccomp profile is set",
            "privilege escalation is allowed",
            "running as root is allowed",
        ),
    ),
    "host network again": (template(app()), template(app(), hostNetwork=True), ("hostNetwork is used",)),
    "host path again": (
        template(app()),
        template(app(), volumes=[{"name": "h", "hostPath": {"path": "/"}}]),
        ("a folder of the node is mounted",),
    ),
    "host port gone is no loosening": (template(app(ports=[{"containerPort": 1, "hostPort": 1}])), template(app()), ()),
    "capability again": (
        template(app()),
        template(app(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})),
        ("capability SYS_ADMIN is added",),
    ),
}


@pytest.mark.parametrize(("now", "then", "rules"), LOOSENED.values(), ids=LOOSENED)
def test_loosened(now: JsonObject, then: JsonObject, rules: tuple[str, ...]) -> None:
    assert loosened(now, then) == rules
