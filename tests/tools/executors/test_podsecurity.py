from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.objects import UID, deployment, replica_set
from tools import registry
from tools.executors.base import Situation
from tools.executors.kubernetes.podsecurity import added_powers
from tools.jsontypes import JsonObject


def template(pod: Any = None, container: Any = None, **spec: Any) -> JsonObject:
    main: JsonObject = {"name": "main", **({"securityContext": container} if container is not None else {})}
    return {"spec": {"containers": [main], **({"securityContext": pod} if pod is not None else {}), **spec}}


@pytest.mark.parametrize(
    ("why", "present", "wanted", "powers"),
    [
        ("the same", template(), template(), []),
        ("only another image", template(), template(nodeName="n1"), []),
        ("the node's network", template(), template(hostNetwork=True), ["uses the node's Network"]),
        ("it has it already", template(hostPID=True), template(hostPID=True), []),
        ("less than before", template(hostIPC=True), template(), []),
        (
            "a path of the node",
            template(),
            template(volumes=[{"hostPath": {"path": "/etc"}}]),
            ["mounts /etc of the node"],
        ),
        (
            "another path of the node",
            template(volumes=[{"hostPath": {"path": "/srv"}}]),
            template(volumes=[{"hostPath": {"path": "/"}}]),
            ["mounts / of the node"],
        ),
        ("another account", template(), template(serviceAccountName="admin"), ["runs as service account admin"]),
        ("privileged", template(), template(container={"privileged": True}), ["container main is privileged"]),
        (
            "a capability",
            template(),
            template(container={"capabilities": {"add": ["SYS_ADMIN"]}}),
            ["container main has capability SYS_ADMIN"],
        ),
        ("user 0", template(), template(pod={"runAsUser": 0}), ["container main runs as user 0"]),
        (
            "a container overrides its pod",
            template(pod={"runAsUser": 0}),
            template(pod={"runAsUser": 0}, container={"runAsUser": 7}),
            [],
        ),
        (
            "root is no longer refused",
            template(pod={"runAsNonRoot": True}),
            template(),
            ["container main may run as root"],
        ),
        (
            "a hardening that the old revision did not have",
            template(container={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}),
            template(),
            ["container main keeps the default capabilities", "container main may gain privileges"],
        ),
        (
            "seccomp is taken off",
            template(pod={"seccompProfile": {"type": "RuntimeDefault"}}),
            template(pod={"seccompProfile": {"type": "Unconfined"}}),
            ["container main has no seccomp profile"],
        ),
        (
            "a port of the node",
            template(),
            {"spec": {"containers": [{"name": "main", "ports": [{"hostPort": 22}, {"containerPort": 80}]}]}},
            ["container main listens on port 22 of the node"],
        ),
    ],
)
def test_added_powers(why: str, present: JsonObject, wanted: JsonObject, powers: list[str]) -> None:
    assert list(added_powers(present, wanted)) == powers


def test_a_new_container_is_new_power() -> None:
    wanted: JsonObject = {"spec": {"containers": [{"name": "main"}, {"name": "shell"}]}}
    assert any("container shell" in power for power in added_powers(template(), wanted))


@pytest.mark.parametrize(("host", "asks"), [(True, True), (False, False)])
async def test_a_rollback_that_gives_back_a_power_needs_a_person(host: bool, asks: bool) -> None:
    old = replica_set(1, "shop/web:0", owner=UID)
    spec: Any = old["spec"]
    spec["template"]["spec"]["hostNetwork"] = host
    executor = registry.executors()["rollback_workload"]
    arguments = {"kind": "Deployment", "namespace": "shop", "name": "web", "to_revision": 1}
    found = Situation(deployment(), {"template": spec["template"]})
    assert bool(executor.approval_reasons(registry.parse("rollback_workload", arguments), found)) is asks
