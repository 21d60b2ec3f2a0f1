"""The service over HTTP on a loopback socket: who may pass, what is answered, and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from graph.plan import ExecutionResult, Status
from server.account import Account
from server.app import create_app
from server.auth.gate import OPEN_PATHS
from server.parse import MAX_BODY_BYTES
from server.problem import MEDIA_TYPE
from server.settings import Settings, SettingsError
from tests.server.support import OTHER_TOKEN, TOKEN, WEB, FeedMirror, eventually, serve
from tests.support.http import plain
from tools.ledger.records import InboxState

REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}
EVENT = {
    "kind": "Event",
    "metadata": {"namespace": "shop"},
    "involvedObject": {"kind": "Pod", "name": "web-1"},
    "reason": "BackOff",
}

FOREIGN = {"kind": "Pod", "namespace": "bank", "name": "vault"}
EXPECTED = {
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/metrics"): "token",
    ("POST", "/self-heal"): "token",
    ("GET", "/incidents"): "token",
    ("GET", "/incidents/{incident_id}"): "token",
    ("GET", "/incidents/{incident_id}/export"): "token",
    ("GET", "/incidents/{incident_id}/events"): "token",
    ("POST", "/incidents/{incident_id}/approve"): "token",
    ("POST", "/incidents/{incident_id}/reject"): "token",
    ("POST", "/incidents/{incident_id}/undo"): "token",
    ("GET", "/pauses"): "token",
    ("POST", "/pauses"): "token",
    ("DELETE", "/pauses/{namespace}"): "token",
    ("GET", "/audit"): "token",
    ("GET", "/objects/{path:path}"): "token",
}


def problem_of(answer: httpx.Response) -> dict[str, object]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    document: dict[str, object] = answer.json()
    assert document["status"] == answer.status_code
    assert {"type", "title", "detail", "code"} <= document.keys()
    return document


def routes_of(routes: Sequence[object]) -> set[tuple[str, str]]:
    """All of them, through included routers; a kind of route that is not known here fails the test."""
    found: set[tuple[str, str]] = set()
    for route in routes:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            found |= routes_of(inner.routes)
            continue
        assert isinstance(route, APIRoute), f"{route} is served and is no plain route: no docs, no schema, no mounts"
        found |= {(method, route.path) for method in route.methods or ()}
    return found


def test_the_endpoint_matrix_is_complete() -> None:
    app = create_app(Settings.model_validate({"token": TOKEN}))
    assert routes_of(app.routes) == EXPECTED.keys(), "a new route needs a line here that says who may call it"
    assert {path for (_, path), who in EXPECTED.items() if who == "open"} == OPEN_PATHS


@pytest.mark.parametrize(("method", "path"), EXPECTED)
async def test_who_may_call_what(tmp_path: Path, method: str, path: str) -> None:
    address = path.replace("{incident_id}", "none").replace("{path:path}", "shop/deployment/web")
    async with serve(tmp_path) as running, plain(running.url) as stranger:
        for headers in ({}, {"Authorization": "Bearer " + "x" * 32}, {"Authorization": f"Basic {TOKEN}"}):
            answer = await stranger.request(method, address, headers=headers)
            if EXPECTED[method, path] == "open":
                assert answer.status_code in {200, 503}
                continue
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert problem_of(answer)["code"] == "UNAUTHENTICATED"
    assert not running.healer.runs


async def test_a_stranger_learns_nothing_of_what_exists(tmp_path: Path) -> None:
    async with serve(tmp_path) as running, plain(running.url) as stranger:
        for path in ("/nowhere", "/docs", "/openapi.json", "/incidents/x", "/livez/", "//livez", "/LIVEZ"):
            assert (await stranger.get(path)).status_code == 401, path
        assert (await stranger.put("/self-heal")).status_code == 401


async def test_a_body_is_not_read_before_the_token(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        port = int(running.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /self-heal HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        )
        await writer.drain()
        status = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    assert b"401" in status, "the answer came without a single byte of the body"


async def test_both_active_tokens_pass(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        for token in (TOKEN, OTHER_TOKEN):
            answer = await running.http.get("/incidents", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200


def test_no_token_is_no_application() -> None:
    with pytest.raises(SettingsError, match="no token"):
        create_app(Settings.model_validate({}))


async def test_loopback_without_token_answers_to_loopback_names_only(tmp_path: Path) -> None:
    settings = Settings.model_validate({"insecure_bind": "127.0.0.1", "state_dir": tmp_path, "drain_seconds": 1})
    async with serve(tmp_path, settings=settings) as running:
        assert (await running.http.get("/incidents", headers={"Authorization": ""})).status_code == 200
        rebound = await running.http.get("/incidents", headers={"Host": "attacker.example"})
        assert rebound.status_code == 403
        assert problem_of(rebound)["code"] == "WRONG_HOST"


@pytest.mark.parametrize("body", [REFERENCE, EVENT], ids=["reference", "event"])
async def test_the_result_comes_back_when_it_is_done(tmp_path: Path, body: dict[str, object]) -> None:
    async with serve(tmp_path) as running:
        answer = await running.http.post("/self-heal", json=body)
        assert answer.status_code == 200
        result = ExecutionResult.model_validate(answer.json())
        assert result.status is Status.HEALED
        assert answer.headers["location"] == f"/incidents/{result.incident_id}"
        account = Account.model_validate((await running.http.get(answer.headers["location"])).json())
        assert account.result == result
        assert [line.phase for line in account.timeline] == ["evidence", "close"]


@pytest.mark.parametrize("status", [Status.OBSERVED, Status.REFUSED, Status.ESCALATED, Status.CLEARED])
async def test_every_end_is_a_200_and_the_body_says_which(tmp_path: Path, status: Status) -> None:
    async with serve(tmp_path, ends=[status]) as running:
        answer = await running.http.post("/self-heal", json=REFERENCE)
        assert (answer.status_code, answer.json()["status"]) == (200, status.value)


async def test_an_incident_that_waits_for_a_person_is_a_202_with_the_question(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.WAITING]) as running:
        answer = await running.http.post("/self-heal", json=REFERENCE)
        assert answer.status_code == 202
        assert answer.json()["status"] == "waiting"
        assert answer.json()["plan"]["steps"][0]["action"]["action"] == "restart_workload"
        account = Account.model_validate((await running.http.get(answer.headers["location"])).json())
        assert account.status == "waiting"
        assert account.question is not None
        assert account.question.plan_hash == answer.json()["plan_hash"]
        again = await running.http.post("/self-heal", json=REFERENCE)
        assert (again.status_code, again.headers["location"]) == (202, answer.headers["location"])


@pytest.mark.parametrize("prefer", ["wait=0", "respond-async", "respond-async, wait=0"])
async def test_a_caller_who_does_not_wait_gets_the_address(tmp_path: Path, prefer: str) -> None:
    async with serve(tmp_path) as running:
        running.healer.gate.clear()
        answer = await running.http.post("/self-heal", json=REFERENCE, headers={"Prefer": prefer})
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        account = (await running.http.get(answer.headers["location"])).json()
        assert account["status"] == "open"


async def test_the_wait_is_bounded_by_the_settings(tmp_path: Path) -> None:
    settings = Settings.model_validate({"token": TOKEN, "state_dir": tmp_path, "wait_seconds": 0.2, "drain_seconds": 1})
    async with serve(tmp_path, settings=settings) as running:
        running.healer.gate.clear()
        answer = await running.http.post("/self-heal", json=REFERENCE, headers={"Prefer": "wait=600"})
        assert answer.status_code == 202


async def test_two_callers_for_one_object_get_one_incident(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        running.healer.gate.clear()
        first = asyncio.create_task(running.http.post("/self-heal", json=REFERENCE))
        await eventually(lambda: bool(running.healer.runs), "the first run")
        second = asyncio.create_task(running.http.post("/self-heal", json=REFERENCE))
        while [row["state"] for row in await inbox_rows(tmp_path)] != [InboxState.LINKED.value] * 2:
            await asyncio.sleep(0.01)
        running.healer.gate.set()
        answers = await asyncio.gather(first, second)
        assert {a.json()["incident_id"] for a in answers} == {answers[0].json()["incident_id"]}
        assert len(running.healer.runs) == 1


@pytest.mark.parametrize(
    ("content", "kind", "status", "code", "field"),
    [
        pytest.param(b"{}", "application/json", 422, "UNREADABLE", "kind", id="empty object"),
        pytest.param(b"{", "application/json", 422, "UNREADABLE", "", id="not JSON"),
        pytest.param(b"[" * 50_000, "application/json", 422, "UNREADABLE", "", id="too deep"),
        pytest.param(json.dumps({**REFERENCE, "kind": "deploy"}).encode(), "application/json", 422, "UNREADABLE",
                     "kind", id="short kind"),
        pytest.param(json.dumps({**EVENT, "involvedObject": FOREIGN}).encode(), "application/json", 422, "UNREADABLE",
                     "involvedObject.namespace", id="foreign namespace"),
        pytest.param(json.dumps({**REFERENCE, "name": "gone"}).encode(), "application/json; charset=utf-8", 422,
                     "TARGET_GONE", "", id="object that is not there"),
        pytest.param(b"kind=Pod", "application/x-www-form-urlencoded", 415, "NOT_JSON", None, id="a form"),
        pytest.param(b"{}", "text/plain", 415, "NOT_JSON", None, id="text"),
        pytest.param(b"{}", "", 415, "NOT_JSON", None, id="no type"),
        pytest.param(b" " * (MAX_BODY_BYTES + 1), "application/json", 413, "BODY_TOO_LARGE", None, id="too large"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read(
    tmp_path: Path, *, content: bytes, kind: str, status: int, code: str, field: str | None
) -> None:
    async with serve(tmp_path) as running:
        answer = await running.http.post("/self-heal", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
        problem = problem_of(answer)
        assert problem["code"] == code
        assert problem.get("field") == field
        assert not running.healer.runs


async def test_a_body_without_a_length_is_cut_off_at_the_bound(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while sent < 64 * MAX_BODY_BYTES:
            sent += 65536
            yield b" " * 65536

    async with serve(tmp_path) as running:
        try:
            answer = await running.http.post(
                "/self-heal", content=endless(), headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 413
        except (httpx.WriteError, httpx.ReadError):
            pass  # the server closed the connection while we still wrote: as good an answer
    assert sent < 32 * MAX_BODY_BYTES


async def test_without_a_ledger_nothing_is_accepted(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        await running.service.ports.ledger.close()
        answer = await running.http.post("/self-heal", json=REFERENCE)
        assert answer.status_code == 503
        assert problem_of(answer)["code"] == "LEDGER_UNAVAILABLE"
        assert "retry-after" in answer.headers
        assert not running.healer.runs
        ready = await running.http.get("/readyz")
        assert (ready.status_code, ready.json()["waits_for"]) == (503, ["the ledger"])
        listed = await running.http.get("/incidents")
        assert (listed.status_code, problem_of(listed)["code"]) == (503, "LEDGER_UNAVAILABLE")


async def test_while_draining_nothing_is_accepted_and_waiting_callers_are_told_where_to_look(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        running.healer.gate.clear()
        waiting = asyncio.create_task(running.http.post("/self-heal", json=REFERENCE))
        await eventually(lambda: bool(running.healer.runs), "the run")
        running.service.dispatcher.begin_drain()
        told = await waiting
        assert (told.status_code, told.json()["status"]) == (202, "running")
        refused = await running.http.post("/self-heal", json={**REFERENCE, "name": "api"})
        assert (refused.status_code, problem_of(refused)["code"]) == (503, "STOPPING")


async def test_the_inbox_row_names_caller_and_body_and_is_linked(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        running.healer.gate.clear()
        await running.http.post("/self-heal", json=EVENT, headers={"Prefer": "respond-async"})
        assert await running.service.ports.ledger.waiting() == []
        rows = await inbox_rows(tmp_path)
    assert [(r["source"], r["state"]) for r in rows] == [("event", InboxState.LINKED.value)]
    assert str(rows[0]["caller"]).startswith("token-")
    assert TOKEN not in json.dumps([str(r) for r in rows])


async def inbox_rows(folder: Path) -> list[dict[str, object]]:
    import sqlite3

    with sqlite3.connect(folder / "ledger.db") as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("SELECT * FROM inbox")]
    db.close()
    return rows


async def test_incidents_are_listed_filtered_and_bounded(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.HEALED, Status.ESCALATED]) as running:
        for namespace, name in (("shop", "web"), ("shop", "api"), ("bank", "teller")):
            await running.http.post("/self-heal", json={**REFERENCE, "namespace": namespace, "name": name})

        async def names(query: str) -> list[str]:
            answer = await running.http.get(f"/incidents{query}")
            assert answer.status_code == 200, answer.text
            return [i["target"]["name"] for i in answer.json()["incidents"]]

        assert await names("") == ["teller", "api", "web"]
        assert await names("?namespace=shop") == ["api", "web"]
        assert await names("?status=healed") == ["web"]
        assert await names("?limit=1") == ["teller"]
        assert await names("?namespace=none") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=100000", "limit=x", "status=fine", "namespace=../x"])
async def test_queries_that_cannot_be_read_name_the_parameter(tmp_path: Path, query: str) -> None:
    async with serve(tmp_path) as running:
        answer = await running.http.get(f"/incidents?{query}")
        assert answer.status_code == 422
        assert problem_of(answer)["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/incidents/none", 404), ("GET", "/nowhere", 404), ("GET", "/docs", 404), ("PUT", "/self-heal", 405)],
)
async def test_what_is_not_there_is_a_problem_document(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with serve(tmp_path) as running:
        answer = await running.http.request(method, path)
        assert answer.status_code == status
        assert len(str(problem_of(answer)["detail"])) > 20


async def test_the_audit_trail_can_be_followed(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        result = (await running.http.post("/self-heal", json=REFERENCE)).json()
        trail = (await running.http.get("/audit", params={"incident": result["incident_id"]})).json()["entries"]
        assert [line["phase"] for line in trail] == ["evidence", "close"]
        assert {line["incident_id"] for line in trail} == {result["incident_id"]}
        rest = (await running.http.get("/audit", params={"after": trail[0]["seq"]})).json()["entries"]
        assert [line["seq"] for line in rest] == [trail[1]["seq"]]
        newest = (await running.http.get("/audit", params={"limit": 1})).json()["entries"]
        assert [line["seq"] for line in newest] == [trail[1]["seq"]]


def source(name: str, *, settled: bool) -> SimpleNamespace:
    event = asyncio.Event()
    if settled:
        event.set()
    counters = SimpleNamespace(relists=2, events=5)
    return SimpleNamespace(resource=SimpleNamespace(plural=name), settled=event, counters=counters)


async def test_ready_means_that_the_view_is_complete_and_young(tmp_path: Path) -> None:
    mirror = FeedMirror()
    mirror.reflectors = (source("pods", settled=False), source("nodes", settled=True))
    async with serve(tmp_path, mirror=mirror) as running:
        starting = await running.http.get("/readyz")
        assert (starting.status_code, starting.json()["waits_for"]) == (503, ["the first list of pods"])
        mirror.reflectors[0].settled.set()
        assert (await running.http.get("/readyz")).status_code == 200
        mirror.age = 1000.0
        assert (await running.http.get("/readyz")).status_code == 503
        assert (await running.http.get("/livez")).status_code == 200


async def test_ready_names_what_cannot_be_seen_by_kind_only(tmp_path: Path) -> None:
    mirror = FeedMirror()
    mirror.unseen = ["secrets in bank: user system:serviceaccount:x may not list"]
    async with serve(tmp_path, mirror=mirror) as running:
        answer = await running.http.get("/readyz", headers={"Authorization": ""})
        assert answer.status_code == 200
        assert answer.json()["cannot_see"] == ["secrets in bank"]
        assert "serviceaccount" not in answer.text


async def test_metrics_count_what_ended(tmp_path: Path) -> None:
    mirror = FeedMirror()
    mirror.reflectors = (source("pods", settled=True), source("pods", settled=True))
    async with serve(tmp_path, ends=[Status.HEALED, Status.REFUSED], mirror=mirror) as running:
        for name in ("web", "api"):
            await running.http.post("/self-heal", json={**REFERENCE, "name": name})
        await running.http.post("/self-heal", json={})
        text = (await running.http.get("/metrics")).text
    for line in (
        'selfheal_incidents_total{family="requested",status="healed"} 1.0',
        'selfheal_incidents_total{family="requested",status="refused"} 1.0',
        'selfheal_refusals_total{code="COOLDOWN"} 1.0',
        'selfheal_requests_total{status="200"} 2.0',
        'selfheal_requests_total{status="422"} 1.0',
        'selfheal_relists{resource="pods"} 4.0',
        "selfheal_open_incidents 0.0",
        "selfheal_view_age_seconds 0.0",
    ):
        assert line in text
    assert "shop" not in text, "no label carries a name from the cluster"


async def test_an_object_without_an_incident_can_be_asked_about_in_the_right_form_only(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        answer = await running.http.get("/objects/web")
        assert answer.status_code == 422
        assert "NAMESPACE/KIND/NAME" in str(problem_of(answer)["detail"])


def test_the_example_target_is_what_people_write() -> None:
    assert str(WEB) == "shop/Deployment/web"
