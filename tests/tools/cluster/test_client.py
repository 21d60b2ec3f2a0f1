from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.tools.cluster.hostile import Answer, HostileServer, Reply, Request, failure, pod
from tools.cluster.allowlist import READ_RULES, AllowList, Rule
from tools.cluster.client import AccessQuestion, AlreadyExists, Blocked, Cluster
from tools.cluster.resources import DEPLOYMENT, JOB, NODE, POD, PatchType, WriteRequest
from tools.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    NotAllowed,
    NotFound,
    Overloaded,
    ToolError,
    Undecodable,
    Unreachable,
)
from tools.jsontypes import JsonValue

RULES = AllowList(
    (
        *READ_RULES,
        Rule("create", "", "pods", "eviction"),
        Rule("delete", "", "pods"),
        Rule("patch", "apps", "deployments"),
        Rule("patch", "apps", "deployments", "scale"),
        Rule("update", "apps", "deployments"),
        Rule("create", "batch", "jobs"),
    ),
    denied_namespaces={"kube-system"},
)
MERGE: PatchType = "application/merge-patch+json"
JSON_PATCH: PatchType = "application/json-patch+json"


@asynccontextmanager
async def serving(
    answer: Answer, *, rules: AllowList = RULES, prefix: str = "", timeout: float = 5
) -> AsyncIterator[tuple[Cluster, HostileServer]]:
    async with HostileServer(answer) as server:
        cluster = await Cluster.at(
            server.url + prefix, token="t0ken", allowlist=rules, call_timeout=timedelta(seconds=timeout)
        )
        try:
            yield cluster, server
        finally:
            await cluster.close()


def always(status: int, body: object, **headers: str) -> Answer:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.json(status, body, **headers)

    return answer


def patch(body: JsonValue, content_type: PatchType = MERGE, **more: Any) -> WriteRequest:
    return WriteRequest("patch", DEPLOYMENT, "shop", "web", body, content_type, **more)


# Reading


async def test_get_reads_one_object_as_who_we_are() -> None:
    async with serving(always(200, pod("a", 1))) as (cluster, server):
        assert (await cluster.get(POD, "a", "shop"))["kind"] == "Pod"
        (request,) = server.requests
        assert (request.method, request.target) == ("GET", "/api/v1/namespaces/shop/pods/a")
        assert request.headers["authorization"] == "Bearer t0ken"
        assert request.headers["user-agent"] == "selfheal"
        assert request.headers["accept"] == "application/json"
        assert cluster.host == server.url


async def test_server_behind_a_path_prefix() -> None:
    async with serving(always(200, pod("a", 1)), prefix="/k8s/clusters/c-1/") as (cluster, server):
        await cluster.get(POD, "a", "shop")
        assert server.requests[0].path == "/k8s/clusters/c-1/api/v1/namespaces/shop/pods/a"


async def test_list_reads_all_pages_and_names_every_item() -> None:
    async def paged(request: Request, reply: Reply) -> None:
        token = request.query.get("continue", "")
        items = [{"metadata": {"name": f"{token}{n}"}} for n in range(2)]
        following = {"": "eyJ2IjoiKz0vIn0=+", "eyJ2IjoiKz0vIn0=+": ""}[token]
        await reply.json(200, {"metadata": {"resourceVersion": "5", "continue": following}, "items": items})

    async with serving(paged) as (cluster, server):
        found = await cluster.list(
            DEPLOYMENT, "shop", label_selector="app in (a,b),x=y z", field_selector="metadata.name=é", limit=2
        )
        assert len(found) == 4
        assert {(item["apiVersion"], item["kind"]) for item in found} == {("apps/v1", "Deployment")}
        assert server.requests[0].query == {
            "limit": "2",
            "labelSelector": "app in (a,b),x=y z",
            "fieldSelector": "metadata.name=é",
        }


@pytest.mark.parametrize(("expiries", "outcome"), [(1, "found"), (3, "found"), (4, "expired"), (99, "expired")])
async def test_list_starts_over_when_its_snapshot_expires_but_not_for_ever(expiries: int, outcome: str) -> None:
    left = [expiries]

    async def expiring(request: Request, reply: Reply) -> None:
        if "continue" not in request.query:
            await reply.json(200, {"metadata": {"continue": "n"}, "items": [pod("a", 1)]})
        elif left[0]:
            left[0] -= 1
            await reply.fail(410, "the provided continue parameter is too old", "Expired")
        else:
            await reply.json(200, {"metadata": {}, "items": [pod("b", 2)]})

    async with serving(expiring) as (cluster, server):
        if outcome == "found":
            assert len(await cluster.list(POD)) == 2
        else:
            with pytest.raises(Expired):
                await cluster.list(POD)
        assert len(server.requests) <= 8


@pytest.mark.parametrize(
    "body",
    [{"kind": "Pod"}, {"metadata": {}}, {"items": []}, {"metadata": {}, "items": [1]}, [], "x", None],
    ids=str,
)
async def test_list_that_is_none_is_undecodable(body: object) -> None:
    async with serving(always(200, body)) as (cluster, _):
        with pytest.raises(Undecodable):
            await cluster.list(POD)


async def test_list_whose_pages_never_end_is_undecodable() -> None:
    async with serving(always(200, {"metadata": {"continue": "same"}, "items": []})) as (cluster, server):
        with pytest.raises(Undecodable, match="never end"):
            await cluster.list(POD)
        assert len(server.requests) == 2


async def test_logs_are_text_whatever_the_bytes() -> None:
    async def log(_: Request, reply: Reply) -> None:
        await reply.send(200, b"ok\xff\xfe\n\x00end", mime="text/plain")

    async with serving(log) as (cluster, server):
        text = await cluster.logs("shop", "web-1", "main", previous=True, tail_lines=7, limit_bytes=100)
        assert text == "ok\ufffd\ufffd\n\x00end"
        (request,) = server.requests
        assert request.path == "/api/v1/namespaces/shop/pods/web-1/log"
        assert request.query == {"container": "main", "tailLines": "7", "limitBytes": "100", "previous": "true"}
        await cluster.logs("shop", "web-1", "main")
        assert "previous" not in server.requests[1].query


async def test_logs_of_a_container_without_a_previous_one() -> None:
    said = 'previous terminated container "main" in pod "web-1" not found'
    async with serving(always(400, failure(400, said, "BadRequest"))) as (cluster, _):
        with pytest.raises(Invalid, match="previous terminated container"):
            await cluster.logs("shop", "web-1", "main", previous=True)


async def test_watch_gives_whole_lines_however_they_are_cut() -> None:
    lines = [b'{"type":"ADDED"}', b"x" * 100_000, "ä".encode(), b""]

    async def stream(_: Request, reply: Reply) -> None:
        await reply.begin_stream()
        text = b"\n".join(lines) + b"\n"
        for start in range(0, len(text), 7001):
            await reply.chunk(text[start : start + 7001])
        await reply.end_stream()

    async with serving(stream) as (cluster, server):
        async with aclosing(cluster.watch(POD, "shop", resource_version="5", timeout=timedelta(seconds=300))) as watch:
            assert [line async for line in watch] == lines
        assert server.requests[0].query == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "5",
            "timeoutSeconds": "300",
        }


async def test_stream_that_ends_in_mid_line_was_cut_off() -> None:
    """Without chunks or a length, only the missing end of the line tells a cut from an end."""

    async def cut(_: Request, reply: Reply) -> None:
        await reply.raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"type":"ADDED"}\n{"type":"DEL')
        await reply.cut()

    async with serving(cut) as (cluster, _), aclosing(cluster.watch(POD, resource_version="1")) as watch:
        assert await anext(watch) == b'{"type":"ADDED"}'
        with pytest.raises(Unreachable, match="middle of a line"):
            await anext(watch)


async def test_watch_outlives_the_timeout_of_calls() -> None:
    async def slow(_: Request, reply: Reply) -> None:
        await reply.begin_stream()
        for _number in range(4):
            await asyncio.sleep(0.15)
            await reply.chunk(b"{}\n")
        await reply.end_stream()

    async with (
        serving(slow, timeout=0.4) as (cluster, _),
        aclosing(cluster.watch(POD, resource_version="5")) as watch,
    ):
        assert len([line async for line in watch]) == 4


async def test_questions_about_the_server() -> None:
    async def answer(request: Request, reply: Reply) -> None:
        match request.path:
            case "/version":
                await reply.json(200, {"gitVersion": "v1.34.4"})
            case "/readyz":
                await reply.send(200, b"ok", mime="text/plain")
            case _:
                attributes = request.json()["spec"]["resourceAttributes"]
                await reply.json(201, {"status": {"allowed": attributes["namespace"] == "shop"}})

    async with serving(answer) as (cluster, server):
        assert await cluster.server_version() == "v1.34.4"
        assert await cluster.is_ready()
        assert await cluster.can_i(AccessQuestion("patch", "apps", "deployments", "scale", "shop", "web"))
        assert not await cluster.can_i(AccessQuestion("patch", "apps", "deployments"))
        asked = server.requests[2].json()
        assert asked["kind"] == "SelfSubjectAccessReview"
        assert asked["spec"]["resourceAttributes"] == {
            "verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale", "namespace": "shop",
            "name": "web",
        }  # fmt: skip
        assert cluster.requests == {"get": 2, "create": 2}


async def test_a_server_that_does_not_say_gets_no_guess() -> None:
    async with serving(always(200, {"status": {}})) as (cluster, _):
        with pytest.raises(Undecodable):
            await cluster.can_i(AccessQuestion("get", "", "pods"))
        with pytest.raises(Undecodable):
            await cluster.server_version()


async def test_server_that_is_not_ready() -> None:
    async with serving(always(500, "etcd failed")) as (cluster, _):
        assert not await cluster.is_ready()


# Writing

WRITES: dict[str, tuple[WriteRequest, bool, str, str, dict[str, str], object]] = {
    "patch for real": (
        patch({"spec": {"replicas": 2, "paused": None}}),
        False,
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        {"fieldManager": "selfheal"},
        {"spec": {"replicas": 2, "paused": None}},
    ),
    "patch tried out": (
        patch({"spec": {}}),
        True,
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        {"dryRun": "All", "fieldManager": "selfheal"},
        {"spec": {}},
    ),
    "JSON patch": (
        patch([{"op": "test", "path": "/metadata/uid", "value": "u"}], JSON_PATCH),
        False,
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        {"fieldManager": "selfheal"},
        [{"op": "test", "path": "/metadata/uid", "value": "u"}],
    ),
    "patch of a subresource": (
        patch({"spec": {"replicas": 1}}, subresource="scale", field_manager="selfheal/scale"),
        False,
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        {"fieldManager": "selfheal/scale"},
        {"spec": {"replicas": 1}},
    ),
    "replacement": (
        WriteRequest("update", DEPLOYMENT, "shop", "web", {"kind": "Deployment"}),
        False,
        "PUT",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        {"fieldManager": "selfheal"},
        {"kind": "Deployment"},
    ),
    "creation": (
        WriteRequest("create", JOB, "shop", "again", {"kind": "Job"}),
        False,
        "POST",
        "/apis/batch/v1/namespaces/shop/jobs",
        {"fieldManager": "selfheal"},
        {"kind": "Job"},
    ),
    "eviction": (
        WriteRequest(
            "create", POD, "shop", "web-1", {"deleteOptions": {"preconditions": {"uid": "u"}}}, subresource="eviction"
        ),
        False,
        "POST",
        "/api/v1/namespaces/shop/pods/web-1/eviction",
        {"fieldManager": "selfheal"},
        {"deleteOptions": {"preconditions": {"uid": "u"}}},
    ),
    "eviction tried out says so where evictions look": (
        WriteRequest(
            "create", POD, "shop", "web-1", {"deleteOptions": {"preconditions": {"uid": "u"}}}, subresource="eviction"
        ),
        True,
        "POST",
        "/api/v1/namespaces/shop/pods/web-1/eviction",
        {"dryRun": "All", "fieldManager": "selfheal"},
        {"deleteOptions": {"preconditions": {"uid": "u"}, "dryRun": ["All"]}},
    ),
    "deletion": (
        WriteRequest("delete", POD, "shop", "web-1", {"preconditions": {"uid": "u"}}),
        False,
        "DELETE",
        "/api/v1/namespaces/shop/pods/web-1",
        {},
        {"preconditions": {"uid": "u"}},
    ),
    "deletion tried out says so in its body, which hides the query": (
        WriteRequest("delete", POD, "shop", "web-1", {"preconditions": {"uid": "u"}}),
        True,
        "DELETE",
        "/api/v1/namespaces/shop/pods/web-1",
        {"dryRun": "All"},
        {"preconditions": {"uid": "u"}, "dryRun": ["All"]},
    ),
}


@pytest.mark.parametrize("name", WRITES)
async def test_write(name: str) -> None:
    request, dry_run, method, path, query, body = WRITES[name]
    before = json.dumps(request.body)
    async with serving(always(200, {"kind": "Done"}, Audit_Id="a-1")) as (cluster, server):
        result = await cluster.write(request, dry_run=dry_run)
        assert (result.object, result.audit_id, result.status) == ({"kind": "Done"}, "a-1", 200)
        (sent,) = server.requests
        assert (sent.method, sent.path, sent.query, sent.json()) == (method, path, query, body)
        assert sent.headers["content-type"] == request.content_type
        assert json.dumps(request.body) == before, "the request is a value; sending it leaves it alone"
        assert cluster.requests == {request.verb: 1}


@pytest.mark.parametrize(
    ("what", "request_", "error"),
    [
        ("a JSON patch that is no list", patch({"spec": {}}, JSON_PATCH), Invalid),
        ("a merge patch that is a list", patch([]), Invalid),
        ("an object that is a list", WriteRequest("create", JOB, "shop", "x", []), Invalid),
        ("its own dryRun", WriteRequest("delete", POD, "shop", "x", {"dryRun": ["All"]}), Invalid),
        (
            "an eviction's own dryRun",
            WriteRequest("create", POD, "shop", "x", {"deleteOptions": {"dryRun": []}}, subresource="eviction"),
            Invalid,
        ),
        ("no namespace", WriteRequest("delete", POD, None, "x", {}), NotAllowed),
        ("an empty namespace", WriteRequest("create", JOB, "", "x", {}), NotAllowed),
        ("an empty name", WriteRequest("delete", POD, "shop", "", {}), NotAllowed),
        ("a protected namespace", WriteRequest("delete", POD, "kube-system", "x", {}), NotAllowed),
        ("no rule", WriteRequest("delete", DEPLOYMENT, "shop", "x", {}), NotAllowed),
        ("a name that climbs", WriteRequest("delete", POD, "shop", "../../kube-system/pods/x", {}), NotAllowed),
        ("a name of dots", WriteRequest("delete", POD, "shop", "..", {}), NotAllowed),
        ("a namespace that climbs", WriteRequest("delete", POD, "..", "x", {}), NotAllowed),
        ("a name with a query", WriteRequest("delete", POD, "shop", "x?dryRun=", {}), NotAllowed),
        ("a name with a subresource", WriteRequest("create", POD, "shop", "x", {}, subresource="exec"), NotAllowed),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_write_refused_before_a_byte_is_sent(
    what: str, request_: WriteRequest, error: type[ToolError], dry_run: bool
) -> None:
    async with serving(always(200, {})) as (cluster, server):
        with pytest.raises(error):
            await cluster.write(request_, dry_run=dry_run)
        assert server.requests == [], what
        assert not cluster.requests


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.get(POD, "..", "shop"),
        lambda c: c.get(POD, "", "shop"),
        lambda c: c.get(POD, "x", ""),
        lambda c: c.get(POD, "x/log", "shop"),
        lambda c: c.get(NODE, "n", subresource="proxy"),
        lambda c: c.get(POD, "x", "shop", subresource="exec"),
        lambda c: c.list(POD, "a/../../secrets"),
        lambda c: c.logs("shop", "x/../y", "main"),
        lambda c: c.logs("shop", "x?container=other", "main"),
        lambda c: c.logs("shop", "", "main"),
    ],
)
async def test_odd_reads_are_refused_before_a_byte_is_sent(call: Callable[[Cluster], Any]) -> None:
    async with serving(always(200, {})) as (cluster, server):
        with pytest.raises(NotAllowed):
            await call(cluster)
        assert server.requests == []


async def test_observing_allows_a_dry_run_and_nothing_else() -> None:
    rules = AllowList([Rule("patch", "apps", "deployments", dry_run_only=True)])
    async with serving(always(200, {}), rules=rules) as (cluster, server):
        await cluster.write(patch({}), dry_run=True)
        with pytest.raises(NotAllowed):
            await cluster.write(patch({}), dry_run=False)
        assert len(server.requests) == 1


async def test_write_whose_answer_is_garbage_may_have_happened() -> None:
    async def garbage(_: Request, reply: Reply) -> None:
        await reply.send(200, b"{half")

    async with serving(garbage) as (cluster, server):
        with pytest.raises(Unreachable, match="may have happened"):
            await cluster.write(patch({}), dry_run=False)
        assert len(server.requests) == 1


@pytest.mark.parametrize("verb", ["update", "delete", "patch", "create"])
async def test_write_on_a_connection_that_breaks_is_sent_once(verb: str) -> None:
    """The HTTP library repeats idempotent methods on a reused connection by itself; a write must not be repeated."""
    resource = {"update": DEPLOYMENT, "delete": POD, "patch": DEPLOYMENT, "create": JOB}[verb]
    content_type: PatchType | str = MERGE if verb == "patch" else "application/json"
    write = WriteRequest(cast("Any", verb), resource, "shop", "x", {}, cast("Any", content_type))

    async def breaks_on_write(request: Request, reply: Reply) -> None:
        if request.method == "GET":
            await reply.json(200, {})
        else:
            await reply.cut()

    async with serving(breaks_on_write) as (cluster, server):
        await cluster.get(POD, "a", "shop")  # leaves a connection behind
        with pytest.raises(Unreachable):
            await cluster.write(write, dry_run=False)
        assert [r.method for r in server.requests].count("GET") == 1
        assert len(server.requests) == 2


# What every failure becomes

POD_DENIED = 'pods "a" is forbidden: User "healer" cannot get resource "pods" in API group "" in the namespace "shop"'
BUDGET = {
    "causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2"}]
}
UID_CAUSE = {"causes": [{"field": "metadata.uid", "message": 'Invalid value: "x": field is immutable'}]}
REJECTED = "the server rejected our request due to an error in our request"


@pytest.mark.parametrize(
    ("status", "message", "reason", "details", "error", "words"),
    [
        (400, "no such field", "BadRequest", None, Invalid, "no such field"),
        (401, "Unauthorized", "Unauthorized", None, Denied, "renew the token"),
        (403, POD_DENIED, "Forbidden", None, Denied, "grant this permission"),
        (403, 'pods "x" is forbidden: exceeded quota: small', "Forbidden", None, Denied, "quota"),
        (404, 'pods "a" not found', "NotFound", None, NotFound, "not found"),
        (405, "not supported", "MethodNotAllowed", None, Invalid, "405"),
        (409, "the object has been modified", "Conflict", None, Conflict, "read the object again"),
        (409, 'jobs "a" already exists', "AlreadyExists", None, AlreadyExists, "already exists"),
        (410, "too old resource version", "Expired", None, Expired, "list again"),
        (413, "too large", "RequestEntityTooLarge", None, Invalid, "too large"),
        (415, "unsupported", "UnsupportedMediaType", None, Invalid, "415"),
        (422, "spec.replicas: must be positive", "Invalid", None, Invalid, "positive"),
        (422, "metadata.uid: field is immutable", "Invalid", UID_CAUSE, Conflict, "precondition"),
        (422, "spec.selector: field is immutable", "Invalid", None, Invalid, "immutable"),
        (422, REJECTED, "Invalid", None, Invalid, "rejected"),
        (429, "try again later", "TooManyRequests", None, Overloaded, "wait"),
        (429, "Cannot evict pod", "TooManyRequests", BUDGET, Blocked, "needs 2 healthy"),
        (500, "etcdserver: timeout", "InternalError", None, Overloaded, "etcdserver"),
        (500, "This pod has more than one PodDisruptionBudget, which is not supported", "", None, Invalid, "one Pod"),
        (502, "bad gateway", "", None, Overloaded, "502"),
        (503, "apiserver is shutting down", "ServiceUnavailable", None, Overloaded, "shutting down"),
        (504, "timed out", "Timeout", None, Overloaded, "timed out"),
        (300, "choices", "", None, Undecodable, "redirected"),
    ],
)
async def test_status_becomes(  # noqa: PLR0917
    status: int, message: str, reason: str, details: Any, error: type[ToolError], words: str
) -> None:
    async with serving(always(status, failure(status, message, reason, details))) as (cluster, server):
        with pytest.raises(error) as caught:
            await cluster.get(POD, "a", "shop")
        assert type(caught.value) is error
        assert words in str(caught.value)
        assert "/api/v1/namespaces/shop/pods/a" in str(caught.value)
        assert len(server.requests) == 1, "never repeated"


async def test_json_patch_that_does_not_apply_is_a_lost_precondition() -> None:
    body: JsonValue = [{"op": "test", "path": "/spec/replicas", "value": 1}]
    async with serving(always(422, failure(422, REJECTED, "Invalid"))) as (cluster, _):
        with pytest.raises(Conflict, match="precondition"):
            await cluster.write(patch(body, JSON_PATCH), dry_run=False)
        with pytest.raises(Invalid):
            await cluster.write(patch({}), dry_run=False)


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [
        ("7", None, 7),
        ("", {"retryAfterSeconds": 9}, 9),
        ("7", {"retryAfterSeconds": 9}, 7),
        ("999999999", None, 300),
        ("99999999999999999999", None, None),
        ("-3", None, None),
        ("0", None, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, None),
        ("٣", None, None),
        ("", {"retryAfterSeconds": 10**18}, 300),
        ("", {"retryAfterSeconds": "soon"}, None),
        ("", None, None),
    ],
)
async def test_how_long_we_are_asked_to_wait(header: str, details: Any, seconds: int | None) -> None:
    async def busy(_: Request, reply: Reply) -> None:
        body = json.dumps(failure(429, "wait", details=details)).encode()
        await reply.send(429, body, headers={"Retry-After": header} if header else {})

    async with serving(busy) as (cluster, _):
        with pytest.raises(Overloaded) as caught:
            await cluster.get(POD, "a", "shop")
        assert caught.value.delay == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "nothing"),
        (b"{half", "half an object"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"<html></html>", "a page"),
        (b'{"a":"\xff\xfe"}', "no UTF-8"),
        (b"[" * 100_000, "very deep JSON"),
    ],
)
async def test_answer_that_is_no_object(body: bytes, what: str) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.send(200, body)

    async with serving(answer) as (cluster, _):
        with pytest.raises(Undecodable, match="check what answers"):
            await cluster.get(POD, "a", "shop")


async def test_error_body_that_is_no_status_still_has_its_code() -> None:
    async def page(_: Request, reply: Reply) -> None:
        await reply.send(503, b"<h1>upstream</h1>" * 100_000, mime="text/html")

    async with serving(page) as (cluster, _):
        with pytest.raises(Overloaded, match="upstream") as caught:
            await cluster.get(POD, "a", "shop")
        assert len(str(caught.value)) < 3_000


async def test_too_big_an_answer_is_refused() -> None:
    async def huge(_: Request, reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _number in range(9):
            await reply.chunk(b" " * 2**20)
        await reply.end_stream()

    async with serving(huge) as (cluster, _):
        with pytest.raises(Undecodable, match="more than"):
            await cluster.get(POD, "a", "shop")


async def test_too_long_a_watch_line_is_refused() -> None:
    async def huge(_: Request, reply: Reply) -> None:
        await reply.begin_stream()
        for _number in range(9):
            await reply.chunk(b"x" * 2**20)
        await reply.silence()

    async with serving(huge) as (cluster, _), aclosing(cluster.watch(POD, resource_version="1")) as watch:
        with pytest.raises(Undecodable, match="more than"):
            await anext(watch)


async def nothing_but_a_cut(_: Request, reply: Reply) -> None:
    await reply.cut()


async def nothing_but_a_reset(_: Request, reply: Reply) -> None:
    await reply.reset()


async def half_a_body(_: Request, reply: Reply) -> None:
    await reply.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"kind":')
    await reply.cut()


async def no_answer(_: Request, reply: Reply) -> None:
    await reply.silence()


async def half_an_answer(_: Request, reply: Reply) -> None:
    await reply.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"kind":')
    await reply.silence()


async def other_protocol(_: Request, reply: Reply) -> None:
    await reply.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await reply.cut()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (nothing_but_a_cut, Unreachable),
        (nothing_but_a_reset, Unreachable),
        (half_a_body, Unreachable),
        (no_answer, Unreachable),
        (half_an_answer, Unreachable),
        (other_protocol, Undecodable),
    ],
)
async def test_connection_that_fails(answer: Answer, error: type[ToolError]) -> None:
    async with serving(answer, timeout=0.2 if error is Unreachable else 20) as (cluster, _):
        with pytest.raises(error) as caught:
            await cluster.get(POD, "a", "shop")
        assert type(caught.value) is error
        assert caught.value.__cause__ is not None, "the original is chained"


async def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    async with await Cluster.at(f"http://127.0.0.1:{port}", allowlist=RULES) as cluster:
        with pytest.raises(Unreachable, match="check that the API server runs"):
            await cluster.get(POD, "a", "shop")
        with pytest.raises(Unreachable, match="check that the API server runs"):
            await cluster.write(patch({}), dry_run=False)


@pytest.mark.parametrize(
    "call", [lambda c: c.get(POD, "a", "shop"), lambda c: c.write(patch({}), dry_run=False)], ids=["read", "write"]
)
async def test_redirect_is_never_followed(call: Callable[[Cluster], Any]) -> None:
    async with HostileServer(always(200, {})) as elsewhere:

        async def redirecting(_: Request, reply: Reply) -> None:
            await reply.json(307, {}, Location=elsewhere.url + "/api/v1/namespaces/shop/pods/a")

        async with serving(redirecting) as (cluster, server):
            with pytest.raises((Undecodable, Unreachable), match="redirected"):
                await call(cluster)
            assert elsewhere.requests == []
            assert len(server.requests) == 1


async def test_closing_ends_a_watch_that_waits() -> None:
    async with HostileServer(no_answer) as server:
        cluster = await Cluster.at(server.url, allowlist=RULES)
        lines = cluster.watch(POD, resource_version="1")
        waiting = asyncio.ensure_future(anext(lines))
        while not server.requests:
            await asyncio.sleep(0.002)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await cluster.close()
        await cluster.close()
