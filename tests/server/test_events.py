"""Server-sent events of one incident: order, resumption, heartbeats, and their end."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

from graph.plan import Status
from server.routes.events import events
from tests.server.support import Running, eventually, serve

REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}


async def begin(it: Running) -> str:
    """An incident that runs and has told its first line."""
    it.healer.gate.clear()
    answer = await it.http.post("/self-heal", json=REFERENCE, headers={"Prefer": "respond-async"})
    incident: str = answer.json()["incident_id"]
    await eventually(lambda: bool(it.healer.runs), "the run")
    return incident


def fields(text: str, name: str) -> list[str]:
    return [line.partition(": ")[2] for line in text.splitlines() if line.startswith(f"{name}: ")]


async def test_every_line_comes_once_in_order_and_the_stream_ends_with_the_incident(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        incident = await begin(it)
        async with it.http.stream("GET", f"/incidents/{incident}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            text = ""
            async for chunk in answer.aiter_text():
                text += chunk
                if "CRASH_LOOP" in text:
                    it.healer.gate.set()
        trail = (await it.http.get("/audit", params={"incident": incident})).json()["entries"]
    assert [int(i) for i in fields(text, "id")] == [line["seq"] for line in trail]
    data = [json.loads(d) for d in fields(text, "data")]
    assert [d for d in data if "seq" in d] == trail
    assert [d["status"] for d in data if "seq" not in d] == ["open", "healed"]


async def test_last_event_id_goes_on_after_that_line(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.OBSERVED]) as it:
        result = (await it.http.post("/self-heal", json=REFERENCE)).json()
        address = f"/incidents/{result['incident_id']}/events"
        ids = fields((await it.http.get(address)).text, "id")
        assert len(ids) == 3
        rest = await it.http.get(address, headers={"Last-Event-ID": ids[0]})
        assert fields(rest.text, "id") == ids[1:]
        done = await it.http.get(address, headers={"Last-Event-ID": ids[-1]})
        assert (done.status_code, done.content) == (204, b"")
        odd = await it.http.get(address, headers={"Last-Event-ID": "x"})
        assert (odd.status_code, odd.json()["field"]) == (422, "Last-Event-ID")
        assert (await it.http.get("/incidents/none/events")).status_code == 404


async def test_silence_is_filled_and_the_drain_ends_the_stream(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        incident = await begin(it)
        ledger, moment = it.service.ports.ledger, timedelta(milliseconds=5)
        stream = events(incident, ledger, it.service.dispatcher.drained, heartbeat=2 * moment, look=moment)  # type: ignore[arg-type]
        heard: list[str] = []
        async with asyncio.timeout(30):
            async for piece in stream:
                heard.append(piece)
                if heard.count(": nothing new\n\n") == 2:
                    it.service.dispatcher.begin_drain()
        assert heard[0] == "retry: 1000\n\n"
        assert heard[-1] == ": nothing new\n\n"
