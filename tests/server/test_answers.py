"""The answer table of docs/api.md, walked row by row over a real socket."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from graph.plan import Executed, Status
from server.parse import MAX_BODY_BYTES
from server.problem import MEDIA_TYPE
from server.settings import Settings
from tests.server.support import AUTO, TOKEN, Running, SteppedClock, serve, settle
from tools.guard.policy import Policy
from tools.refs import ActionId

API = Path(__file__).parents[2] / "docs" / "api.md"
REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}
KEY = {"Idempotency-Key": "k-1"}
ALERTS = {"version": "4", "alerts": [
    {"status": "firing", "fingerprint": "f1", "labels": {"alertname": "Down", "namespace": "shop", "deployment": "web"}}
]}  # fmt: skip


@dataclass(frozen=True)
class Row:
    case: str
    request: str
    status: int
    code: str


def table() -> list[Row]:
    text = API.read_text(encoding="utf-8").partition("## What is answered when")[2]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    rows = [Row(c[0], c[1], int(c[2]), c[3]) for c in cells if re.fullmatch(r"\d{3}", c[2])]
    assert len(rows) > 30
    return rows


Ask = Callable[[Running], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Case:
    """How a row is brought about: how the service stands, and what is asked."""

    ask: Ask
    ends: tuple[Status, ...] = (Status.HEALED,)
    burst: int = 60
    policy: Policy = AUTO


def heal(body: object = REFERENCE, **headers: str) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        return await it.http.post("/self-heal", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return ask


def raw(content: bytes, kind: str) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        return await it.http.post("/self-heal", content=content, headers={"Content-Type": kind})

    return ask


def held(prefer: str) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        it.healer.gate.clear()
        return await it.http.post("/self-heal", json=REFERENCE, headers={"Prefer": prefer})

    return ask


def twice(body: object, other: object) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        first = await it.http.post("/self-heal", json=body, headers=KEY)
        answer = await it.http.post("/self-heal", json=other, headers=KEY)
        assert len(it.healer.runs) == 1, "nothing ran a second time"
        if answer.status_code == 200:
            assert (answer.content, answer.headers["location"]) == (first.content, first.headers["location"])
        return answer

    return ask


def too_often(body: object) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        await it.http.post("/self-heal", json=REFERENCE)
        answer = await it.http.post("/self-heal", json=body)
        assert int(answer.headers["retry-after"]) >= 1
        assert len(it.healer.runs) == 1
        return answer

    return ask


def without_ledger(body: object) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        await it.service.ports.ledger.close()
        return await it.http.post("/self-heal", json=body)

    return ask


async def stopping(it: Running) -> httpx.Response:
    it.service.dispatcher.begin_drain()
    return await it.http.post("/self-heal", json=REFERENCE)


async def stranger(it: Running) -> httpx.Response:
    return await it.http.get("/incidents", headers={"Authorization": "Bearer " + "x" * 32})


async def failed(it: Running) -> httpx.Response:
    it.healer.outcomes = (Executed(step=0, action_id=ActionId("act-1"), summary="", at=it.service.ports.clock.now()),)
    answer = await it.http.post("/self-heal", json=REFERENCE)
    assert answer.json()["account"]["id"] == answer.json()["incident_id"]
    return answer


async def question(it: Running) -> tuple[str, str]:
    told = (await it.http.post("/self-heal", json=REFERENCE)).json()
    return told["incident_id"], told["plan_hash"]


def decide(verb: str, plan_hash: str | None = None, *, times: int = 1) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        incident, asked = await question(it)
        body = {"plan_hash": plan_hash or asked}
        for _ in range(times - 1):
            assert (await it.http.post(f"/incidents/{incident}/{verb}", json=body)).status_code == 202
        return await it.http.post(f"/incidents/{incident}/{verb}", json=body)

    return ask


async def late(it: Running) -> httpx.Response:
    incident, asked = await question(it)
    assert isinstance(it.service.ports.clock, SteppedClock)
    await it.service.ports.clock.step(it.service.ports.timing.approval + timedelta(seconds=1))
    await settle()
    return await it.http.post(f"/incidents/{incident}/approve", json={"plan_hash": asked})


def post(path: str, body: object = None, *, first: bool = True) -> Ask:
    """Heal once, then post to `path`, in which ID is that incident."""

    async def ask(it: Running) -> httpx.Response:
        found = (await it.http.post("/self-heal", json=REFERENCE)).json()["incident_id"] if first else "none"
        return await it.http.post(path.replace("ID", found), json=body)

    return ask


def lift(*, paused: bool) -> Ask:
    async def ask(it: Running) -> httpx.Response:
        if paused:
            await it.http.post("/pauses", json={"namespace": "shop", "for": "2h"})
        return await it.http.delete("/pauses/shop")

    return ask


OBSERVING = AUTO.observing()
HASH = {"plan_hash": "abc"}
CASES = {
    "healed": Case(heal()),
    "cleared": Case(heal(), ends=(Status.CLEARED,)),
    "observed": Case(heal(), ends=(Status.OBSERVED,)),
    "refused": Case(heal(), ends=(Status.REFUSED,)),
    "escalated": Case(heal(), ends=(Status.ESCALATED,)),
    "healing-failed": Case(failed, ends=(Status.ESCALATED,)),
    "waiting": Case(heal(), ends=(Status.WAITING,)),
    "respond-async": Case(held("respond-async")),
    "deadline": Case(held("wait=0")),
    "same-key": Case(twice(REFERENCE, REFERENCE)),
    "other-body": Case(twice(REFERENCE, {**REFERENCE, "name": "api"})),
    "alerts": Case(heal(ALERTS)),
    "not-alerts": Case(heal({**ALERTS, "version": "3"})),
    "not-json": Case(raw(b"kind=Pod", "application/x-www-form-urlencoded")),
    "unreadable": Case(raw(b"{", "application/json")),
    "not-there": Case(heal({**REFERENCE, "name": "gone"})),
    "too-large": Case(raw(b" " * (MAX_BODY_BYTES + 1), "application/json")),
    "too-often": Case(too_often(REFERENCE), burst=1),
    "alerts-too-often": Case(too_often(ALERTS), burst=1),
    "no-ledger": Case(without_ledger(REFERENCE)),
    "alerts-no-ledger": Case(without_ledger(ALERTS)),
    "stopping": Case(stopping),
    "no-token": Case(stranger),
    "approve": Case(decide("approve"), ends=(Status.WAITING,)),
    "reject": Case(decide("reject"), ends=(Status.WAITING,)),
    "approve-twice": Case(decide("approve", times=2), ends=(Status.WAITING,)),
    "approve-other": Case(decide("approve", "another"), ends=(Status.WAITING,)),
    "approve-late": Case(late, ends=(Status.WAITING,)),
    "approve-nothing": Case(post("/incidents/ID/approve", HASH)),
    "approve-whom": Case(post("/incidents/ID/approve", HASH, first=False)),
    "approve-what": Case(post("/incidents/ID/approve", {})),
    "undo-open": Case(post("/incidents/ID/undo"), ends=(Status.WAITING,)),
    "undo-nothing": Case(post("/incidents/ID/undo")),
    "undo-observing": Case(post("/incidents/ID/undo"), policy=OBSERVING),
    "pause": Case(post("/pauses", {"namespace": "shop", "for": "2h"}, first=False)),
    "pause-how-long": Case(post("/pauses", {"namespace": "shop", "for": "a while"}, first=False)),
    "unpause": Case(lift(paused=True)),
    "unpause-nothing": Case(lift(paused=False)),
}


def test_every_row_of_the_table_is_walked() -> None:
    assert [row.case for row in table()] == list(CASES)


@contextlib.asynccontextmanager
async def standing(folder: Path, case: Case, clock: SteppedClock | None) -> AsyncGenerator[Running]:
    settings = Settings.model_validate(
        {
            "token": TOKEN,
            "state_dir": folder,
            "drain_seconds": 1,
            "requests_burst": case.burst,
            "requests_per_minute": case.burst,
        }
    )
    async with serve(folder, settings=settings, ends=list(case.ends), policy=case.policy, clock=clock) as running:
        yield running


@pytest.mark.parametrize("row", table(), ids=lambda row: row.case)
async def test_the_answer_is_the_one_in_the_table(tmp_path: Path, row: Row) -> None:
    case = CASES[row.case]
    async with standing(tmp_path, case, SteppedClock() if row.case == "approve-late" else None) as running:
        answer = await case.ask(running)
    assert answer.status_code == row.status, answer.text
    said = answer.json() if answer.content else {}
    if row.status >= 400:
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert (said["status"], said["code"]) == (row.status, row.code)
        assert len(said["detail"]) > 15
    elif row.code:
        assert said["status"] == row.code
    method, _, path = row.request.split("`")[1].partition(" ") if "`" in row.request else ("GET", "", "")
    if path:
        pattern = "/.*".join(re.escape(part) for part in re.split(r"/\{\w+\}", path))
        assert answer.request.method == method
        assert re.fullmatch(pattern, answer.request.url.path)
