"""The fault table: every way in which a model or its server fails, and the one coded outcome it leads to.

Each row runs over a real socket.  `asked` is how many requests the server saw: it shows what is tried again, and that
nothing is tried for ever.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from graph.model.config import Bounds, Planning, Retries
from graph.plan import NoPlan, Planned
from tests.graph.model.bench import CONCLUSION, ROLLBACK, bench, call, plan, rollback_call
from tools.guard.verdict import ReasonCode

C = ReasonCode
GOOD = {"json": plan()}
AGAIN = {"times": "always"}
WHOLE = json.dumps(plan())

TABLE: list[tuple[str, list[dict[str, Any]], ReasonCode | None, int]] = [
    ("a plan", [GOOD], None, 1),
    ("a plan in a code fence", [{"text": "```json\n" + WHOLE + "\n```"}], None, 1),
    ("no plan, said so", [{"json": {**CONCLUSION, "steps": [], "no_plan_because": "disk"}}], C.LLM_NO_PLAN, 1),
    ("a refusal", [{"refusal": "I cannot help with that"}], C.LLM_REFUSED, 1),
    ("content filter", [{"content_filter": ""}], C.LLM_REFUSED, 1),
    ("content filter with a whole plan", [{"content_filter": WHOLE}], C.LLM_REFUSED, 1),
    ("prose", [{"text": "You should roll back.", **AGAIN}], C.LLM_MALFORMED, 2),
    ("prose, then a plan", [{"text": "You should roll back."}, GOOD], None, 2),
    ("prose around the JSON", [{"text": "Sure: " + WHOLE, **AGAIN}], C.LLM_MALFORMED, 2),
    ("two JSON documents", [{"text": "{}\n{}", **AGAIN}], C.LLM_MALFORMED, 2),
    ("a list", [{"json": [plan()], **AGAIN}], C.LLM_MALFORMED, 2),
    ("a thousand brackets", [{"text": "[" * 100_000, **AGAIN}], C.LLM_MALFORMED, 2),
    ("a tool call where none is offered", [{"calls": [rollback_call()], **AGAIN}], C.LLM_MALFORMED, 2),
    ("an empty answer", [{"text": "", **AGAIN}], C.LLM_MALFORMED, 2),
    ("cut off", [{"cut_off": '{"cause": "bad', **AGAIN}], C.LLM_MALFORMED, 2),
    ("cut off, then a plan", [{"cut_off": '{"cause": "bad'}, GOOD], None, 2),
    ("cut off after a whole plan", [{"cut_off": WHOLE, **AGAIN}], C.LLM_MALFORMED, 2),
    ("a key is missing", [{"json": {"cause": "x", "steps": []}, **AGAIN}], C.PLAN_SCHEMA, 2),
    ("a key too many", [{"json": plan(approved=True), **AGAIN}], C.PLAN_SCHEMA, 2),
    ("a wrong type", [{"json": plan(confidence="high"), **AGAIN}], C.PLAN_SCHEMA, 2),
    ("a number as text", [{"json": plan({**ROLLBACK, "to_revision": "3"}), **AGAIN}], C.PLAN_SCHEMA, 2),
    ("confidence beyond one", [{"json": plan(confidence=1.5), **AGAIN}], C.PLAN_SCHEMA, 2),
    ("no step and no reason", [{"json": {**CONCLUSION, "steps": []}, **AGAIN}], C.PLAN_EMPTY, 2),
    ("a body that is no JSON", [{"raw": "<html>", **AGAIN}], C.LLM_MALFORMED, 2),
    ("a body of another shape", [{"raw": '{"id": 3}', **AGAIN}], C.LLM_MALFORMED, 2),
    ("a body without choices", [{"raw": '{"choices": []}', **AGAIN}], C.LLM_MALFORMED, 2),
    ("a body that never ends", [{"raw": "x" * 5_000_000, **AGAIN}], C.LLM_MALFORMED, 2),
    ("a garbled body, then a plan", [{"raw": "<html>"}, GOOD], None, 2),
    ("400", [{"status": 400, **AGAIN}], C.LLM_REFUSED, 2),
    ("400 for the schema, then a plan in words", [{"status": 400}, {"when": {"plain": True}, **GOOD}], None, 2),
    ("401", [{"status": 401, **AGAIN}], C.LLM_UNAVAILABLE, 1),
    ("403", [{"status": 403, **AGAIN}], C.LLM_UNAVAILABLE, 1),
    ("404", [{"status": 404, **AGAIN}], C.LLM_UNAVAILABLE, 1),
    ("302 is not followed", [{"status": 302, **AGAIN}], C.LLM_REFUSED, 2),
    ("429 for ever", [{"status": 429, **AGAIN}], C.LLM_UNAVAILABLE, 3),
    ("429 once", [{"status": 429, "retry_after": "2"}, GOOD], None, 2),
    ("429 with a year to wait", [{"status": 429, "retry_after": "31536000", **AGAIN}], C.LLM_UNAVAILABLE, 1),
    ("429 with a negative wait", [{"status": 429, "retry_after": "-5"}, GOOD], None, 2),
    ("429 with nonsense", [{"status": 429, "retry_after": "soon"}, GOOD], None, 2),
    ("429 for ever and a day", [{"status": 429, "retry_after": "inf"}, GOOD], None, 2),
    ("429 with not a number", [{"status": 429, "retry_after": "nan"}, GOOD], None, 2),
    ("429 without quota", [{"status": 429, "code": "insufficient_quota", **AGAIN}], C.LLM_UNAVAILABLE, 1),
    ("500 for ever", [{"status": 500, **AGAIN}], C.LLM_UNAVAILABLE, 3),
    ("503 twice", [{"status": 503, "times": 2}, GOOD], None, 3),
    ("reset for ever", [{"reset": True, **AGAIN}], C.LLM_UNAVAILABLE, 3),
    ("reset once", [{"reset": True}, GOOD], None, 2),
    ("a hang for ever", [{"hang": True, **AGAIN}], C.LLM_UNAVAILABLE, 3),
    ("a hang once", [{"hang": True}, GOOD], None, 2),
    ("slow bytes", [{"seconds_per_byte": 0.01, **GOOD, **AGAIN}], C.LLM_UNAVAILABLE, 3),
]


def patience(replies: list[dict[str, Any]], code: ReasonCode | None) -> float:
    """Seconds of a call: short only where no answer in time is the point, and none that comes is awaited after it."""
    is_late = any(r.get("hang") or r.get("seconds_per_byte") for r in replies)
    if not is_late:
        return 30
    return 0.25 if code else 2


@pytest.mark.parametrize(("replies", "code", "asked"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
async def test_every_fault_has_one_outcome(replies: list[dict[str, Any]], code: ReasonCode | None, asked: int) -> None:
    async with bench(replies, bounds=Bounds(call_seconds=patience(replies, code))) as b:
        found = await b.propose()
        assert len(b.server.chats) == asked
    if code is None:
        assert isinstance(found, Planned)
    else:
        assert isinstance(found, NoPlan)
        assert found.refusal.code is code
        assert found.refusal.reason.endswith(".") or ":" in found.refusal.reason


TOOLS: list[tuple[str, list[dict[str, Any]], ReasonCode | None, int]] = [
    ("all calls at once", [{"calls": [rollback_call(), call("submit_plan", **CONCLUSION)]}], None, 1),
    ("one call at a time", [{"calls": [rollback_call()]}, {"calls": [call("submit_plan", **CONCLUSION)]}], None, 2),
    ("no plan", [{"calls": [call("submit_plan", **{**CONCLUSION, "no_plan_because": "disk"})]}], C.LLM_NO_PLAN, 1),
    ("words instead of a call", [{"text": "roll it back", **AGAIN}], C.LLM_MALFORMED, 2),
    ("words, then calls", [{"text": "hm"}, {"calls": [rollback_call(), call("submit_plan", **CONCLUSION)]}], None, 2),
    ("never an end", [{"calls": [rollback_call()], **AGAIN}], C.LLM_MALFORMED, 8),
    ("two ends", [{"calls": [call("submit_plan", **CONCLUSION)] * 2, **AGAIN}], C.PLAN_SCHEMA, 2),
    ("arguments that are no JSON", [{"calls": [{"name": "submit_plan", "arguments": "{"}], **AGAIN}], C.PLAN_SCHEMA, 2),
    (
        "arguments as a string of a string",
        [{"calls": [{"name": "submit_plan", "arguments": '"{}"'}], **AGAIN}],
        C.LLM_MALFORMED,
        2,
    ),
    (
        "a tool that is not there",
        [{"calls": [call("delete_namespace", name="kube-system"), call("submit_plan", **CONCLUSION)], **AGAIN}],
        C.TOOL_UNKNOWN,
        2,
    ),
    (
        "the same id twice",
        [{"calls": [{**rollback_call(), "id": "x"}, {**call("submit_plan", **CONCLUSION), "id": "x"}]}],
        None,
        1,
    ),
]


@pytest.mark.parametrize(("replies", "code", "asked"), [r[1:] for r in TOOLS], ids=[r[0] for r in TOOLS])
async def test_the_tools_form_has_one_outcome_too(
    replies: list[dict[str, Any]], code: ReasonCode | None, asked: int
) -> None:
    async with bench(replies, planning=Planning.TOOLS) as b:
        found = await b.propose()
        assert len(b.server.chats) == asked
        assert all(r.reply is not None for r in b.server.chats), "the server refused what we sent"
    if isinstance(found, Planned):
        assert code is None
        assert [s.action.tool for s in found.plan.steps] == ["rollback_workload"]
    else:
        assert found.refusal.code is code


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with bench([]) as b:
        await b.server.stop()
        found = await b.propose()
    assert isinstance(found, NoPlan)
    assert found.refusal.code is C.LLM_UNAVAILABLE


async def test_retry_after_is_waited_for() -> None:
    async with bench([{"status": 429, "retry_after": "7"}, GOOD]) as b:
        await b.propose()
        assert len(b.clock.pauses) == 1
        assert 7 <= b.clock.pauses[0] < 8


async def test_a_date_to_wait_for_is_understood() -> None:
    """The bench's clock starts at midnight of the first of January 2026."""
    async with bench([{"status": 503, "retry_after": "Thu, 01 Jan 2026 00:00:20 GMT"}, GOOD]) as b:
        assert isinstance(await b.propose(), Planned)
        assert 20 <= b.clock.pauses[0] < 21


async def test_without_retry_after_waits_grow() -> None:
    async with bench([{"status": 500, **AGAIN}]) as b:
        await b.propose()
        first, second = b.clock.pauses
        assert 0.5 <= first <= 1
        assert 1 <= second <= 2


async def test_five_failures_in_a_row_open_the_circuit_and_time_closes_it() -> None:
    rules = Retries(attempts=1, break_after=5, break_seconds=60)
    async with bench([{"status": 500, "times": 5}, GOOD, GOOD], retries=rules) as b:
        for _ in range(5):
            await b.propose()
        assert not b.reasoner.is_available
        refused = await b.propose()
        assert isinstance(refused, NoPlan)
        assert refused.refusal.code is C.LLM_UNAVAILABLE
        assert len(b.server.chats) == 5, "an open circuit asks nothing"
        b.clock.elapsed += 61
        assert isinstance(await b.propose(), Planned)
        assert b.reasoner.is_available


async def test_the_refusal_goes_back_to_the_model_once() -> None:
    wrong = plan({**ROLLBACK, "namespace": "kube-system"})
    async with bench([{"json": wrong}, GOOD]) as b:
        assert isinstance(await b.propose(), Planned)
        again = b.server.chats[1].spoken
    assert "TARGET_OUT_OF_SCOPE" in again
    assert "kube-system/Deployment/web is not among the targets" in again
