"""Edits of one container, by tables: what is asked, what is there, what is answered."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.tools.executors.edit.asked import OUT, SAME, answer, ask, at, executor
from tests.tools.executors.objects import container, deployment
from tools.executors.base import Situation
from tools.executors.kubernetes.edit.image import SetImageExecutor, parse_image
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue

SHA = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("why", "image", "code"),
    [
        ("a tag below an allowed path", "registry.example/shop/web:2", None),
        ("an allowed host with a port", "mirror:5000/anything/web:2", None),
        ("a digest", f"registry.example/shop/web@{SHA}", None),
        ("latest with a digest", f"registry.example/shop/web:latest@{SHA}", None),
        ("the allowed path itself", "registry.example/shop:1", None),
        ("latest", "registry.example/shop/web:latest", OUT),
        ("no tag, which is latest", "registry.example/shop/web", OUT),
        ("a path that only begins alike", "registry.example/shopping/web:2", OUT),
        ("another path of the host", "registry.example/other/web:2", OUT),
        ("the same host at another port", "mirror:5001/web:2", OUT),
        ("a host that ends alike", "evil-mirror:5000/web:2", OUT),
        ("no registry", "web:2", OUT),
        ("a path without a registry", "shop/web:2", OUT),
        ("a host and nothing else", "registry.example:2", OUT),
        ("a tag with a space", "registry.example/shop/web: 2", OUT),
        ("a line end", "registry.example/shop/web:2\n", OUT),
        ("capitals in the path", "registry.example/shop/Web:2", OUT),
        ("a short digest", "registry.example/shop/web@sha256:abc", OUT),
        ("a way up", "registry.example/shop/../other/web:2", OUT),
        ("a scheme", "https://registry.example/shop/web:2", OUT),
        ("a user before the host", "mirror:5000@evil.example/web:2", OUT),
    ],
)
def test_images(why: str, image: str, code: ReasonCode | None) -> None:
    assert answer(ask("set_image", image=image), at(image="registry.example/shop/web:1")) == code


def test_without_a_list_every_image_is_refused_and_the_remedy_is_named() -> None:
    refused = SetImageExecutor().precondition(ask("set_image", image="registry.example/shop/web:2"), at())  # type: ignore[arg-type]
    assert refused is not None
    assert "image_registries" in refused.reason


def test_a_reference_is_taken_apart() -> None:
    found = parse_image(f"mirror:5000/a/b__c:v1.2_x@{SHA}")
    assert found is not None
    assert (found.repository, found.tag, found.digest) == ("mirror:5000/a/b__c", "v1.2_x", SHA)


@pytest.mark.parametrize(
    ("present", "asks"),
    [
        ("registry.example/shop/web:1", False),
        ("registry.example/shop/wbe:1", True),
        ("web:1", True),
        ("no image", True),
    ],
)
def test_another_repository_needs_a_person_whatever_is_trusted(present: str, asks: bool) -> None:
    action = ask("set_image", image="registry.example/shop/web:2")
    assert bool(executor("set_image").approval_reasons(action, at(image=present))) is asks


def http(**more: JsonValue) -> JsonObject:
    return {"httpGet": {"path": "/x", "port": 80, "scheme": "HTTP"}, "periodSeconds": 10, "failureThreshold": 3, **more}


EXEC: JsonObject = {"exec": {"command": ["true"]}}
TCP: JsonObject = {"tcpSocket": {"port": 80}}
GRPC: JsonObject = {"grpc": {"port": 80}}


@pytest.mark.parametrize(
    ("why", "probe", "wanted", "code"),
    [
        ("a path", http(), {"path": "/y"}, None),
        ("the same path", http(), {"path": "/x"}, SAME),
        ("nothing", http(), {}, SAME),
        ("a number", http(), {"port": 8080}, None),
        ("a port by its name", http(), {"port": "http"}, None),
        ("a name that no port has", http(), {"port": "htpp"}, OUT),
        ("a scheme", http(), {"scheme": "HTTPS"}, None),
        ("a delay", http(), {"initial_delay_seconds": 60}, None),
        ("no delay where there is none", http(), {"initial_delay_seconds": 0}, SAME),
        ("no delay where there is one", http(initialDelaySeconds=5), {"initial_delay_seconds": 0}, None),
        ("as patient as may be", http(), {"period_seconds": 300}, None),
        ("more patient than that", http(initialDelaySeconds=1), {"period_seconds": 300}, OUT),
        ("patient by its tries", http(), {"failure_threshold": 91}, OUT),
        ("a port of a socket probe", TCP, {"port": 8080}, None),
        ("a path of a socket probe", TCP, {"path": "/y"}, OUT),
        ("a port of a grpc probe", GRPC, {"port": 8080}, None),
        ("a named port of a grpc probe", GRPC, {"port": "http"}, OUT),
        ("a port of an exec probe", EXEC, {"port": 8080}, OUT),
        ("a scheme of an exec probe", EXEC, {"scheme": "HTTP"}, OUT),
        ("the timing of an exec probe", EXEC, {"timeout_seconds": 5}, None),
        ("a probe that is not there", None, {"path": "/y"}, OUT),
        ("a probe without a handler", {"periodSeconds": 3}, {"path": "/y"}, OUT),
    ],
)
def test_probes(why: str, probe: JsonObject | None, wanted: dict[str, Any], code: ReasonCode | None) -> None:
    situation = at(livenessProbe=probe, ports=[{"name": "http", "containerPort": 80}])
    assert answer(ask("set_probe", **wanted), situation) == code


SECRET_REF: JsonObject = {"name": "MODE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
PLAIN: JsonObject = {"name": "MODE", "value": "slow"}
FROM_MAP = {"operation": "config_map", "config_map": "settings", "key": "mode"}


@pytest.mark.parametrize(
    ("why", "env", "wanted", "code"),
    [
        ("another value", [PLAIN], {"value": "fast"}, None),
        ("the same value", [PLAIN], {"value": "slow"}, SAME),
        ("a new variable", [], {"value": "fast"}, None),
        ("an empty value", [PLAIN], {"value": ""}, None),
        ("an empty value where it is empty", [{"name": "MODE"}], {"value": ""}, SAME),
        ("text that merely mentions one", [], {"value": "token bucket"}, None),
        ("removal", [PLAIN], {"operation": "remove"}, None),
        ("removal of what is not there", [], {"operation": "remove"}, SAME),
        ("a secret's name", [], {"variable": "DB_PASSWORD", "value": "x"}, OUT),
        ("a secret's look", [], {"value": "AKIAABCDEFGHIJKLMNOP"}, OUT),
        ("a URL with a password", [], {"value": "postgres://u:p4ss@db/x"}, OUT),
        ("what cannot be seen", [], {"value": "fast\u202e"}, OUT),
        ("a variable from a Secret", [SECRET_REF], {"value": "fast"}, OUT),
        ("removal of one from a Secret", [SECRET_REF], {"operation": "remove"}, OUT),
        ("two of the name", [PLAIN, PLAIN], {"value": "fast"}, OUT),
    ],
)
def test_env(why: str, env: list[JsonValue], wanted: dict[str, Any], code: ReasonCode | None) -> None:
    assert answer(ask("set_env", **wanted), at(env=env)) == code


@pytest.mark.parametrize(
    ("why", "support", "code"),
    [
        ("map and key are there", {"config_map": True, "key": True}, None),
        ("no such key", {"config_map": True, "key": False}, OUT),
        ("no such map", {"config_map": False, "key": False}, OUT),
        ("nobody looked", {}, OUT),
    ],
)
def test_env_from_a_config_map(why: str, support: JsonObject, code: ReasonCode | None) -> None:
    assert answer(ask("set_env", **FROM_MAP), Situation(at().live, support)) == code


@pytest.mark.parametrize(
    "wanted",
    [
        {"operation": "literal"},
        {"operation": "literal", "value": "x", "key": "k"},
        {"operation": "config_map", "config_map": "settings"},
        {"operation": "config_map", "config_map": "settings", "key": "k", "value": "x"},
        {"operation": "remove", "value": "x"},
        {"operation": "secret", "value": "x"},
        {"variable": "A B", "value": "x"},
        {"variable": "A=B", "value": "x"},
        {"value": "x" * 2049},
    ],
)
def test_env_takes_one_source_and_no_other(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask("set_env", **wanted)


@pytest.mark.parametrize(
    ("why", "wanted", "code"),
    [
        ("another command", {"command": ["serve"]}, None),
        ("other arguments", {"args": ["--fast"]}, None),
        ("the image's own", {"command": [], "args": []}, None),
        ("the same", {"command": ["run"], "args": ["--slow"]}, SAME),
        ("nothing", {}, SAME),
        ("a secret", {"args": ["--token", "abc123def456"]}, OUT),
        ("a secret over two words", {"args": ["--password=", "hunter22"]}, OUT),
        ("what cannot be seen", {"args": ["\u200b--fast"]}, OUT),
        ("too long in all", {"args": ["x" * 2000] * 5}, OUT),
    ],
)
def test_commands(why: str, wanted: dict[str, Any], code: ReasonCode | None) -> None:
    assert answer(ask("set_command", **wanted), at(command=["run"], args=["--slow"])) == code


@pytest.mark.parametrize(
    ("why", "present", "wanted", "asks"),
    [
        ("a program", ["run"], ["serve"], False),
        ("a shell", ["run"], ["sh", "-c", "serve"], True),
        ("a shell by its path", ["run"], ["/bin/bash", "x"], True),
        ("a shell behind env", ["run"], ["env", "sh"], True),
        ("an interpreter with a version", ["run"], ["python3.11", "-c", "x"], True),
        ("other words for a shell that is there", ["sh", "-c", "a"], ["sh", "-c", "b"], True),
        ("a program instead of a shell", ["sh", "-c", "a"], ["serve"], False),
    ],
)
def test_an_interpreter_needs_a_person_whatever_is_trusted(
    why: str, present: list[JsonValue], wanted: list[str], asks: bool
) -> None:
    reasons = executor("set_command").approval_reasons(ask("set_command", command=wanted), at(command=present))
    assert bool(reasons) is asks


TIGHT: JsonObject = {
    "runAsNonRoot": True, "runAsUser": 1000, "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}, "readOnlyRootFilesystem": True,
}  # fmt: skip
ALL = {
    "run_as_non_root": True, "run_as_user": 1000, "forbid_privilege_escalation": True,
    "drop_all_capabilities": True, "runtime_default_seccomp": True, "read_only_root_filesystem": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("why", "own", "pod", "wanted", "code"),
    [
        ("everything", {}, {}, ALL, None),
        ("everything is there", TIGHT, {}, ALL, SAME),
        ("nothing", {}, {}, {}, SAME),
        ("a user where root is set", {"runAsUser": 0}, {}, {"run_as_user": 1000}, None),
        ("a user where the pod says root", {}, {"runAsUser": 0}, {"run_as_user": 1000}, None),
        ("another user than the container's", {"runAsUser": 7}, {}, {"run_as_user": 1000}, OUT),
        ("another user than the pod's", {}, {"runAsUser": 7}, {"run_as_user": 1000}, OUT),
        ("not root while user 0 is set", {"runAsUser": 0}, {}, {"run_as_non_root": True}, OUT),
        ("not root for an image's own user", {}, {}, {"run_as_non_root": True}, None),
        ("a profile of its own", {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}, {},
         {"runtime_default_seccomp": True}, OUT),
        ("a profile of the pod's own", {}, {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}},
         {"runtime_default_seccomp": True}, OUT),
        ("some are dropped", {"capabilities": {"drop": ["NET_RAW"]}}, {}, {"drop_all_capabilities": True}, None),
    ],
)  # fmt: skip
def test_security(why: str, own: JsonObject, pod: JsonObject, wanted: dict[str, Any], code: ReasonCode | None) -> None:
    situation = at(securityContext=own, pod={"securityContext": pod})
    assert answer(ask("set_security_context", **wanted), situation) == code


@pytest.mark.parametrize("wanted", [{"run_as_user": 0}, {"run_as_user": -1}, {"privileged": True}])
def test_a_loosening_cannot_even_be_said(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask("set_security_context", **wanted)


EACH = {
    "set_image": {"image": "registry.example/shop/web:2"},
    "set_probe": {"path": "/y"},
    "set_env": {"value": "fast"},
    "set_command": {"command": ["serve"]},
    "set_security_context": {"run_as_non_root": True},
}


@pytest.mark.parametrize("tool", EACH)
def test_a_container_that_is_not_there_is_refused_with_those_that_are(tool: str) -> None:
    refused = executor(tool).precondition(ask(tool, **{**EACH[tool], "container": "nope"}), at(init=container("first")))
    assert refused is not None
    assert "side, main, first" in refused.reason


@pytest.mark.parametrize("tool", EACH)
def test_an_init_container_is_one_of_them(tool: str) -> None:
    situation = at(init=container("first", livenessProbe=http()))
    action = ask(tool, **{**EACH[tool], "container": "first"})
    (path,) = executor(tool).fields(action, situation)
    assert path.startswith("/spec/template/spec/initContainers/0/")


@pytest.mark.parametrize("tool", EACH)
def test_a_paused_workload_is_refused(tool: str) -> None:
    assert answer(ask(tool, **EACH[tool]), Situation(deployment(paused=True))) is ReasonCode.WORKLOAD_PAUSED


@pytest.mark.parametrize("tool", EACH)
def test_what_nobody_has_seen_work_asks_unless_trusted(tool: str) -> None:
    assert executor(tool).default_reasons(ask(tool, **EACH[tool]), at())
