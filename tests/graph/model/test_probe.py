"""What the probe finds decides the form; settings go before it; a server that is silent leaves the question open."""

from __future__ import annotations

from typing import Any

import pytest

from graph.model.config import Investigation, Planning
from graph.model.reasoner import Form
from graph.plan import NoPlan, Planned
from tests.graph.model.bench import CONCLUSION, bench, call, plan, rollback_call
from tools.guard.verdict import ReasonCode, Refused

READY = {"ready": True}
STRICT: dict[str, Any] = {"when": {"schema": "probe"}, "json": READY, "times": "always"}
CALLS: dict[str, Any] = {"when": {"tool": "probe"}, "calls": [call("probe", **READY)], "times": "always"}
WORDS: dict[str, Any] = {"text": "Hello! How can I help?", "times": "always"}

AUTO = Planning.AUTO
TABLE: list[tuple[str, list[dict[str, Any]], dict[str, Any], Planning, Planning]] = [
    ("takes everything", [STRICT, CALLS], {}, AUTO, Planning.SCHEMA),
    ("takes tools alone", [CALLS], {"json_schema": False}, AUTO, Planning.TOOLS),
    ("takes neither", [], {"json_schema": False, "tools": False}, AUTO, Planning.JSON),
    ("ignores what it does not know", [WORDS], {}, AUTO, Planning.JSON),
    ("ignores schemas and calls tools", [CALLS, WORDS], {}, AUTO, Planning.TOOLS),
    ("the setting goes first", [STRICT, CALLS], {}, Planning.TOOLS, Planning.TOOLS),
]


@pytest.mark.parametrize(("replies", "able", "wanted", "found"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
async def test_the_form_follows_from_what_the_server_did(
    replies: list[dict[str, Any]], able: dict[str, Any], wanted: Planning, found: Planning
) -> None:
    async with bench(replies, planning=wanted, capabilities=able) as b:
        form = await b.reasoner.prepare()
    assert form == Form(found, investigates=False)


async def test_settings_for_both_spare_the_probe() -> None:
    async with bench([], planning=Planning.JSON) as b:
        assert await b.reasoner.prepare() == Form(Planning.JSON, investigates=False)
        assert b.server.requests == []


class Nowhere:
    """A source that nobody reads."""

    async def get(self, *_: object, **__: object) -> Any: ...
    async def list(self, *_: object, **__: object) -> Any: ...
    async def logs(self, *_: object, **__: object) -> Any: ...


@pytest.mark.parametrize(
    ("wanted", "replies", "investigates"),
    [
        (Investigation.AUTO, [STRICT, CALLS], True),
        (Investigation.AUTO, [STRICT, WORDS], False),
        (Investigation.ON, [STRICT, WORDS], True),
        (Investigation.OFF, [STRICT, CALLS], False),
    ],
)
async def test_whether_phase_one_takes_place(
    wanted: Investigation, replies: list[dict[str, Any]], investigates: bool
) -> None:
    async with bench(replies, planning=AUTO, investigation=wanted, source=Nowhere()) as b:
        assert await b.reasoner.prepare() == Form(Planning.SCHEMA, investigates=investigates)


async def test_it_is_done_once() -> None:
    async with bench([STRICT, CALLS, {"json": plan(), "times": 2}], planning=AUTO) as b:
        assert isinstance(await b.propose(), Planned)
        assert isinstance(await b.propose(), Planned)
        assert len(b.server.chats) == 4


async def test_a_silent_server_leaves_the_question_open_until_it_answers() -> None:
    down: dict[str, Any] = {"status": 503, "times": 3}
    end = call("submit_plan", **CONCLUSION)
    replies = [down, CALLS, {"when": {"tool": "submit_plan"}, "calls": [rollback_call(), end]}]
    async with bench(replies, planning=AUTO, capabilities={"json_schema": True}) as b:
        first = await b.propose()
        assert isinstance(first, NoPlan)
        assert first.refusal.code is ReasonCode.LLM_UNAVAILABLE
    async with bench([{"status": 503, "times": 3}, STRICT, CALLS], planning=AUTO) as b:
        assert isinstance(await b.reasoner.prepare(), Refused)
        assert await b.reasoner.prepare() == Form(Planning.SCHEMA, investigates=False)
