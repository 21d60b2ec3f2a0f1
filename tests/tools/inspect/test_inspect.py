"""The investigation tools over a real socket: bounded, redacted, inside the incident, and never an exception."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool

from tests.tools.cluster.hostile import Answer, HostileServer, Reply, Request
from tools.cluster.allowlist import FORBIDDEN_RESOURCES, READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.inspect.manifests import shown
from tools.inspect.results import MAX_BYTES, bounded
from tools.inspect.scope import READABLE, Scope
from tools.inspect.toolbox import inspect_tools

CANARY = "hunter2-canary-value"
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "app",
                "image": "shop/web:2",
                "args": ["--db-password", CANARY, "--verbose"],
                "env": [
                    {"name": "DB_PASSWORD", "value": CANARY},
                    {"name": "MODE", "value": "fast"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "web", "key": "token"}}},
                ],
            }
        ]
    },
}


def meta(name: str, uid: str, owner: tuple[str, str, str, str] | None = None, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"name": name, "namespace": "shop", "uid": uid, **more}
    if owner:
        version, kind, owner_name, owner_uid = owner
        value["ownerReferences"] = [
            {"apiVersion": version, "kind": kind, "name": owner_name, "uid": owner_uid, "controller": True}
        ]
    return value


def replica_set(revision: int, image: str) -> dict[str, Any]:
    template = {**TEMPLATE, "spec": {"containers": [{**TEMPLATE["spec"]["containers"][0], "image": image}]}}
    return {
        "metadata": meta(
            f"web-{revision}",
            f"rs{revision}",
            ("apps/v1", "Deployment", "web", "d1"),
            annotations={"deployment.kubernetes.io/revision": str(revision)},
            labels={"pod-template-hash": f"h{revision}"},
        ),
        "spec": {"replicas": 0, "template": template},
        "status": {},
    }


DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "apiVersion": "apps/v1",
    "metadata": meta(
        "web",
        "d1",
        managedFields=[{"manager": "kubectl"}],
        generation=2,
        annotations={
            "kubectl.kubernetes.io/last-applied-configuration": CANARY,
            "deployment.kubernetes.io/revision": "2",
        },
    ),
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
    "status": {"observedGeneration": 2},
}
POD: dict[str, Any] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": meta("web-1", "p1", ("apps/v1", "ReplicaSet", "web-2", "rs2")),
    "spec": TEMPLATE["spec"],
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
}
EVENT: dict[str, Any] = {
    "metadata": meta("e1", "e1"),
    "involvedObject": {"kind": "Pod", "name": "web-1"},
    "type": "Warning",
    "reason": "BackOff",
    "message": f"back-off, password={CANARY}",
    "count": 3,
    "lastTimestamp": "2026-01-01T10:00:00Z",
}
NODE: dict[str, Any] = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node-1", "uid": "n1"}, "status": {}}
OBJECTS: dict[str, Any] = {
    "/apis/apps/v1/namespaces/shop/deployments/web": DEPLOYMENT,
    "/apis/apps/v1/namespaces/shop/replicasets/web-2": {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        **replica_set(2, "shop/web:2"),
    },
    "/api/v1/namespaces/shop/pods/web-1": POD,
    "/api/v1/nodes/node-1": NODE,
    "/api/v1/namespaces/shop/configmaps/settings": {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": meta("settings", "c1"),
        "data": {"API_TOKEN": CANARY, "mode": "fast", "app.conf": f"user=web\npassword={CANARY}\n"},
    },
    "/api/v1/namespaces/shop/services/web": {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": meta("web", "s1"),
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    },
}
LISTS: dict[str, list[dict[str, Any]]] = {
    "/api/v1/namespaces/shop/events": [EVENT],
    "/apis/apps/v1/namespaces/shop/replicasets": [replica_set(2, "shop/web:2"), replica_set(1, "shop/web:1")],
    "/api/v1/namespaces/shop/pods": [POD],
    "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices": [
        {
            "metadata": meta("web-x", "x"),
            "ports": [{"port": 8080}],
            "endpoints": [{"targetRef": {"name": "web-1"}, "conditions": {"ready": False}}],
        }
    ],
    "/api/v1/namespaces/shop/resourcequotas": [
        {"metadata": meta("q", "q"), "status": {"hard": {"pods": "4"}, "used": {"pods": "4"}}}
    ],
    "/api/v1/namespaces/shop/limitranges": [],
}
LOG = f"starting\nDB_PASSWORD={CANARY}\nAuthorization: Bearer abcdefgh12345678\n\u202epanic\n"


async def api(request: Request, reply: Reply) -> None:
    if request.path.endswith("/log"):
        if request.query.get("previous") == "true":
            await reply.fail(400, 'previous terminated container "app" in pod "web-1" not found', "BadRequest")
            return
        await reply.send(200, LOG.encode(), mime="text/plain")
    elif request.path in OBJECTS:
        await reply.json(200, OBJECTS[request.path])
    elif request.path in LISTS:
        await reply.json(200, {"kind": "List", "metadata": {"resourceVersion": "5"}, "items": LISTS[request.path]})
    else:
        await reply.fail(404, f"{request.path} not found", "NotFound")


Ask = Callable[..., Any]


@asynccontextmanager
async def tools(answer: Answer = api) -> AsyncIterator[tuple[dict[str, StructuredTool], HostileServer]]:
    async with HostileServer(answer) as server:
        cluster = await Cluster.at(server.url, allowlist=AllowList(READ_RULES))
        try:
            made = inspect_tools(cluster, Scope("shop", frozenset({"node-1"})))
            yield {t.name: t for t in made}, server
        finally:
            await cluster.close()


async def read(name: str, answer: Answer = api, /, **arguments: Any) -> ToolMessage:
    async with tools(answer) as (box, _):
        message = await box[name].ainvoke({"name": name, "args": arguments, "id": "1", "type": "tool_call"})
    assert isinstance(message, ToolMessage)
    assert len(message.text.encode()) <= MAX_BYTES
    assert CANARY not in message.text
    return message


READS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("get_object", {"kind": "Deployment", "name": "web"}, ["shop/web:2", "name: MODE", "value: fast", "--verbose"]),
    ("get_object", {"kind": "Pod", "name": "web-1"}, ["phase: Running", "secretKeyRef"]),
    ("get_object", {"kind": "ConfigMap", "name": "settings"}, ["mode: fast", "user=web"]),
    ("get_object", {"kind": "Node", "name": "node-1"}, ["kind: Node"]),
    ("get_owners", {"kind": "Pod", "name": "web-1"}, ["ReplicaSet/web-2", "Deployment/web", "no further owner"]),
    ("get_events", {"kind": "Pod", "name": "web-1"}, ["BackOff Pod/web-1 x3"]),
    ("get_events", {"kind": None, "name": None}, ["BackOff"]),
    (
        "get_logs",
        {"pod": "web-1", "container": "app", "previous": False, "tail_lines": 50},
        ["starting", "\\u{202e}panic"],
    ),
    (
        "get_rollout_history",
        {"kind": "Deployment", "name": "web"},
        ["current revision: 2", "revision 1", "shop/web:2 -> shop/web:1"],
    ),
    (
        "get_endpoints",
        {"name": "web"},
        ["app=web", "80->8080", "endpoint web-1 ports 8080 ready=False", "pod web-1 Running Ready=False"],
    ),
    ("get_quota", {}, ["pods used 4 of 4"]),
]


@pytest.mark.parametrize(
    ("name", "arguments", "says"), READS, ids=[f"{r[0]} {' '.join(map(str, r[1].values()))}" for r in READS]
)
async def test_each_read_says_what_is_there_and_no_secret(
    name: str, arguments: dict[str, Any], says: list[str]
) -> None:
    message = await read(name, **arguments)
    for words in says:
        assert words in message.text
    assert message.artifact.kind == "facts"


async def test_bookkeeping_and_whole_manifests_in_annotations_are_left_out() -> None:
    text = (await read("get_object", kind="Deployment", name="web")).text
    assert "managedFields" not in text
    assert "last-applied" not in text


OTHER: list[tuple[str, dict[str, Any], str]] = [
    ("get_object", {"kind": "Deployment", "name": "api"}, "no such object"),
    ("get_object", {"kind": "Node", "name": "node-9"}, "node-1"),
    ("get_object", {"kind": "Secret", "name": "web"}, "kind"),
    ("get_object", {"kind": "Pod", "name": "../../secrets/x"}, "name"),
    ("get_object", {"kind": "Pod", "name": "web-1", "namespace": "kube-system"}, "namespace"),
    ("get_object", {"kind": "Pod"}, "name"),
    ("get_logs", {"pod": "web-1", "container": "app", "previous": True, "tail_lines": 5}, "previous terminated"),
    ("get_logs", {"pod": "web-1", "container": "app", "previous": False, "tail_lines": 10_000}, "tail_lines"),
    ("get_logs", {"pod": "web-1", "container": "app", "previous": "yes", "tail_lines": 5}, "previous"),
    ("get_rollout_history", {"kind": "Pod", "name": "web-1"}, "DaemonSet"),
]


@pytest.mark.parametrize(("name", "arguments", "says"), OTHER)
async def test_what_other_arguments_may_cure(name: str, arguments: dict[str, Any], says: str) -> None:
    message = await read(name, **arguments)
    assert message.text.startswith("RETRY with other arguments: ")
    assert says in message.text


@pytest.mark.parametrize(
    ("status", "says"), [(403, "not permitted"), (500, "does not answer now"), (503, "does not answer now")]
)
async def test_what_no_argument_cures(status: int, says: str) -> None:
    async def broken(_: Request, reply: Reply) -> None:
        await reply.fail(status, "no")

    message = await read("get_quota", broken)
    assert message.text.startswith("FAILED, choose otherwise: ")
    assert says in message.text
    assert message.artifact.kind == "cannot_read"


async def test_nonsense_from_the_server_is_an_answer_too() -> None:
    async def nonsense(_: Request, reply: Reply) -> None:
        await reply.send(200, b"<html>")

    assert (await read("get_quota", nonsense)).text.startswith("FAILED, choose otherwise: ")


async def test_no_tool_asks_for_anything_but_reads_of_one_namespace() -> None:
    async with tools() as (box, server):
        for name, arguments, _ in READS:
            await box[name].ainvoke(arguments)
        paths = [r.path for r in server.requests]
        assert {r.method for r in server.requests} == {"GET"}
    assert all("/namespaces/shop/" in p or p == "/api/v1/nodes/node-1" for p in paths)
    assert not any("secrets" in p for p in paths)


def test_secrets_are_on_no_list() -> None:
    assert "Secret" not in READABLE
    assert "secrets" in FORBIDDEN_RESOURCES
    assert not any(r.plural == "secrets" for r in READABLE.values())


def test_a_secret_that_came_all_the_same_shows_nothing() -> None:
    assert CANARY not in str(shown({"kind": "Secret", "data": {"a": CANARY}}))


def test_no_tool_takes_a_namespace() -> None:
    made = inspect_tools(_Nothing(), Scope("shop"))
    assert all("namespace" not in t.args for t in made)


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "é" * 100_000, "a\n" * 50_000, "\u202e" * 20_000, "\U0001d518" * 30_000]
)
def test_an_answer_has_a_largest_size_and_says_that_it_was_cut(text: str) -> None:
    short = bounded(text)
    assert len(short.encode()) <= MAX_BYTES
    assert re.search(r"\[\d+ characters, the middle is left out\]$", short)


class _Nothing:
    async def get(self, *_: object, **__: object) -> Any: ...
    async def list(self, *_: object, **__: object) -> Any: ...
    async def logs(self, *_: object, **__: object) -> Any: ...
