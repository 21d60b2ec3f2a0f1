"""Phase one: reads are bounded, framed, made once, and within the incident; planning always has something left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from graph.model.config import Bounds, Investigation
from graph.plan import NoPlan, Planned
from tests.graph.model.bench import Bench, bench, call, plan
from tests.tools.cluster.hostile import HostileServer, Reply, Request
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.guard.verdict import ReasonCode

SECRET = "hunter2-canary-value"
LOGS = call("get_logs", pod="web-7d9c5b4f66-aaaaa", container="app", previous=True, tail_lines=50)
QUOTA = call("get_quota")
GOOD = {"when": {"schema": "plan"}, "json": plan()}


async def api(request: Request, reply: Reply) -> None:
    """A small API server: logs with a secret in them, and empty lists."""
    if request.path.endswith("/log"):
        await reply.send(200, f"listening\nDB_PASSWORD={SECRET}\npanic: no route\n".encode(), mime="text/plain")
    elif "/resourcequotas" in request.path or "/limitranges" in request.path:
        await reply.json(200, {"kind": "List", "metadata": {}, "items": []})
    else:
        await reply.fail(404, "not found", "NotFound")


@asynccontextmanager
async def investigating(replies: list[dict[str, Any]], **more: Any) -> AsyncIterator[tuple[Bench, HostileServer]]:
    async with HostileServer(api) as server:
        cluster = await Cluster.at(server.url, allowlist=AllowList(READ_RULES))
        try:
            async with bench(replies, investigation=Investigation.ON, source=cluster, **more) as b:
                yield b, server
        finally:
            await cluster.close()


async def test_what_was_read_is_there_when_it_is_planned_and_the_secret_is_not() -> None:
    script = [{"calls": [LOGS]}, {"text": "The image panics: no route."}, GOOD]
    async with investigating(script) as (b, _):
        assert isinstance(await b.propose(), Planned)
        last = b.server.chats[-1]
        assert "panic: no route" in last.spoken
        assert "The image panics" in last.spoken
        assert all(SECRET not in r.raw for r in b.server.chats)
        assert [r.phase for r in b.records] == ["investigate", "investigate", "plan"]


async def test_only_reading_tools_are_within_reach() -> None:
    async with investigating([{"text": "nothing to read"}, GOOD]) as (b, _):
        await b.propose()
        assert b.server.chats[0].tools == [
            "get_object",
            "get_owners",
            "get_events",
            "get_logs",
            "get_rollout_history",
            "get_endpoints",
            "get_quota",
        ]


async def test_a_write_asked_for_while_reading_is_no_tool() -> None:
    script = [{"calls": [call("delete_pod", namespace="shop", name="web-1")]}, {"text": "done"}, GOOD]
    async with investigating(script) as (b, api_server):
        await b.propose()
        assert api_server.requests == []
        assert "RETRY with other arguments: there is no tool delete_pod" in b.server.chats[1].spoken


async def test_the_same_read_is_made_once_and_going_round_in_circles_ends_it() -> None:
    async with investigating([{"calls": [LOGS], "times": 8, "when": {"tool": "get_logs"}}, GOOD]) as (b, api_server):
        assert isinstance(await b.propose(), Planned)
        assert len(api_server.requests) == 1
        assert len([r for r in b.records if r.phase == "investigate"]) == 2


async def test_reads_are_bounded_within_one_turn_too() -> None:
    many = [call("get_logs", pod=f"web-{i}", container="app", previous=False, tail_lines=5) for i in range(60)]
    async with investigating([{"calls": many}, {"text": "enough"}, GOOD]) as (b, api_server):
        await b.propose()
        assert len(api_server.requests) == 25


async def test_an_endless_investigation_leaves_turns_for_the_plan() -> None:
    endless: list[dict[str, Any]] = [
        {
            "when": {"tool": "get_logs"},
            "calls": [call("get_logs", pod=f"web-{i}", container="app", previous=False, tail_lines=5)],
        }
        for i in range(20)
    ]
    async with investigating([*endless, {**GOOD, "times": "always"}]) as (b, _):
        assert isinstance(await b.propose(), Planned)
        assert len([r for r in b.records if r.phase == "investigate"]) == 9
        assert len(b.records) <= 12


async def test_an_investigation_that_eats_tokens_leaves_some_for_the_plan() -> None:
    costly = {
        "calls": [LOGS],
        "usage": {"prompt": 9_000, "completion": 100},
        "times": "always",
        "when": {"tool": "get_logs"},
    }
    async with investigating([costly, GOOD], bounds=Bounds(tokens=20_000, call_seconds=5)) as (b, _):
        assert isinstance(await b.propose(), Planned)


async def test_arguments_that_do_not_fit_are_explained_and_reading_goes_on() -> None:
    wrong = call(
        "get_logs", pod="../../secrets/x", container="app", previous="yes", tail_lines=5, namespace="kube-system"
    )
    async with investigating([{"calls": [wrong]}, {"calls": [QUOTA]}, {"text": "ok"}, GOOD]) as (b, api_server):
        await b.propose()
        assert "RETRY with other arguments" in b.server.chats[1].spoken
        assert all("secrets" not in r.target and "kube-system" not in r.target for r in api_server.requests)
        assert len(api_server.requests) == 2  # quotas and limit ranges


async def test_duplicate_ids_and_parallel_calls_are_answered_one_by_one() -> None:
    twice = [{**LOGS, "id": "same"}, {**QUOTA, "id": "same"}, {"name": "", "arguments": {}, "id": ""}]
    async with investigating([{"calls": twice}, {"text": "ok"}, GOOD]) as (b, _):
        assert isinstance(await b.propose(), Planned)
        assert all(r.reply is not None for r in b.server.chats), "the server found our history well formed"


async def test_a_refusal_while_reading_does_not_end_the_incident() -> None:
    async with investigating([{"refusal": "I will not look"}, GOOD]) as (b, _):
        assert isinstance(await b.propose(), Planned)


async def test_a_server_that_is_down_while_reading_is_not_asked_again_for_the_plan() -> None:
    async with investigating([{"status": 500, "times": "always"}]) as (b, _):
        found = await b.propose()
        assert isinstance(found, NoPlan)
        assert found.refusal.code is ReasonCode.LLM_UNAVAILABLE
        assert len(b.server.chats) == 3


async def test_old_results_are_cut_since_each_turn_sends_them_again() -> None:
    script: list[dict[str, Any]] = [
        {"calls": [call("get_logs", pod=f"web-{i}", container="app", previous=False, tail_lines=5)]} for i in range(8)
    ]
    async with investigating([*script, {"text": "ok"}, GOOD]) as (b, _):
        await b.propose()
        sizes = [len(str(m["content"])) for m in b.server.chats[8].messages if m["role"] == "tool"]
        assert len(sizes) == 8
        assert all("data-" in str(m["content"]) for m in b.server.chats[8].messages if m["role"] == "tool")
