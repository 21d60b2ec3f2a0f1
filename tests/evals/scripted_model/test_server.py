"""The scripted model speaks the protocol, misbehaves on order, and is no easier to please than a real server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from evals.scripted_model.protocol import strict_fault
from evals.scripted_model.script import parse_script
from evals.scripted_model.server import ScriptedModel
from tests.support.http import plain

HELLO: dict[str, Any] = {"model": "scripted-1", "messages": [{"role": "user", "content": "hi"}]}


async def ask(server: ScriptedModel, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    async with plain(server.url, timeout=5) as client:
        return await client.post("chat/completions", json=body or HELLO, headers=headers)


def format_of(schema: dict[str, Any], name: str = "plan") -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}}


async def test_replies_are_given_in_order_and_usage_is_reported() -> None:
    async with ScriptedModel(
        parse_script("replies: [{text: one}, {text: two, usage: {prompt: 7, completion: 3}}]")
    ) as s:
        first, second = (await ask(s)).json(), (await ask(s)).json()
    assert [r["choices"][0]["message"]["content"] for r in (first, second)] == ["one", "two"]
    assert second["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert first["usage"]["total_tokens"] > 0
    assert first["id"] != second["id"]


async def test_conditions_choose_the_reply() -> None:
    script = """
    replies:
      - when: {tool: probe}
        text: for the tool
      - when: {schema: plan}
        text: for the schema
      - when: {contains: shop/web}
        text: for the words
      - when: {plain: true}
        times: always
        text: for the rest
    """
    tool = {"type": "function", "function": {"name": "probe", "parameters": {"type": "object"}}}
    empty: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    asked = [
        HELLO,
        {**HELLO, **format_of(empty)},
        {**HELLO, "tools": [tool]},
        {**HELLO, "messages": [{"role": "user", "content": "see shop/web"}]},
        HELLO,
    ]
    async with ScriptedModel(parse_script(script)) as s:
        answers = [(await ask(s, body)).json()["choices"][0]["message"]["content"] for body in asked]
        assert s.unused == []
    assert answers == ["for the rest", "for the schema", "for the tool", "for the words", "for the rest"]


async def test_a_request_that_no_reply_fits_is_seen() -> None:
    async with ScriptedModel(parse_script("replies: [{when: {tool: x}, text: a}]")) as s:
        answer = await ask(s)
        assert s.unused == [0]
    assert answer.status_code == 500
    assert "no reply left" in answer.text


async def test_tool_calls_finish_as_such_and_broken_arguments_are_sent_as_they_are() -> None:
    async with ScriptedModel(parse_script('replies: [{calls: [{name: x, arguments: "{", id: same}, {name: y}]}]')) as s:
        choice = (await ask(s)).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert [(c["id"], c["function"]["arguments"]) for c in choice["message"]["tool_calls"]] == [
        ("same", "{"),
        ("call_1_1", "{}"),
    ]


@pytest.mark.parametrize(
    ("reply", "finish", "refusal"),
    [
        ("cut_off: x", "length", None),
        ("content_filter: x", "content_filter", None),
        ("refusal: I decline", "stop", "I decline"),
    ],
)
async def test_how_an_answer_ended(reply: str, finish: str, refusal: str | None) -> None:
    async with ScriptedModel(parse_script(f"replies: [{{{reply}}}]")) as s:
        choice = (await ask(s)).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == (finish, refusal)


async def test_errors_carry_retry_after_as_it_is_written() -> None:
    async with ScriptedModel(parse_script('replies: [{status: 429, retry_after: "soon", code: rate_limit}]')) as s:
        answer = await ask(s)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "soon")
    assert answer.json()["error"]["code"] == "rate_limit"


async def test_a_reset_is_a_reset_and_the_next_connection_works() -> None:
    async with ScriptedModel(parse_script("replies: [{reset: true}, {text: back}]")) as s:
        with pytest.raises(httpx.ReadError):
            await ask(s)
        assert (await ask(s)).status_code == 200


async def test_a_hang_says_nothing_until_the_client_leaves() -> None:
    async with ScriptedModel(parse_script("replies: [{hang: true}]")) as s:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(s)
        assert len(s.chats) == 1


async def test_slow_bytes_arrive_in_the_end() -> None:
    async with ScriptedModel(parse_script("replies: [{raw: abcdef, seconds_per_byte: 0.01}]")) as s:
        start = asyncio.get_running_loop().time()
        assert (await ask(s)).text == "abcdef"
        assert asyncio.get_running_loop().time() - start >= 0.05


async def test_every_request_is_kept_with_what_was_said() -> None:
    async with ScriptedModel(parse_script("replies: [{text: a}]")) as s:
        await ask(s, Authorization="Bearer k")
        async with plain(s.url) as client:
            models = await client.get("models")
        kept = s.requests
    assert [(r.method, r.path) for r in kept] == [("POST", "/v1/chat/completions"), ("GET", "/v1/models")]
    assert (kept[0].authorization, kept[0].spoken, kept[0].reply) == ("Bearer k", "hi", 0)
    assert models.json()["data"][0]["id"] == "scripted-1"


CALL = {"id": "a", "type": "function", "function": {"name": "x", "arguments": "{}"}}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no messages", {"model": "m"}, "messages"),
    ("a role that is none", {**HELLO, "messages": [{"role": "robot", "content": ""}]}, "role"),
    (
        "an answer nobody asked for",
        {**HELLO, "messages": [{"role": "tool", "tool_call_id": "z", "content": ""}]},
        "nobody called",
    ),
    (
        "a call without an answer",
        {**HELLO, "messages": [{"role": "assistant", "tool_calls": [CALL]}]},
        "without an answer",
    ),
    (
        "two calls with one id",
        {**HELLO, "messages": [{"role": "assistant", "tool_calls": [CALL, CALL]}]},
        "share an id",
    ),
    (
        "a tool name with a dot",
        {**HELLO, "tools": [{"function": {"name": "a.b", "parameters": {"type": "object"}}}]},
        "no name",
    ),
    ("an open schema", {**HELLO, **format_of({"type": "object", "properties": {}})}, "additionalProperties"),
]


@pytest.mark.parametrize(("body", "told"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
async def test_what_real_servers_refuse_is_refused_here(body: dict[str, Any], told: str) -> None:
    async with ScriptedModel(parse_script("replies: [{text: a, times: always}]")) as s:
        answer = await ask(s, body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


async def test_capabilities_are_enforced() -> None:
    script = parse_script(
        "{capabilities: {tools: false, json_schema: false, key: k}, replies: [{text: a, times: always}]}"
    )
    tool = {"type": "function", "function": {"name": "x", "parameters": {"type": "object"}}}
    async with ScriptedModel(script) as s:
        codes = [
            (await ask(s, Authorization="Bearer wrong")).status_code,
            (await ask(s, {**HELLO, "tools": [tool]}, Authorization="Bearer k")).status_code,
            (await ask(s, {**HELLO, **format_of({})}, Authorization="Bearer k")).status_code,
            (await ask(s, Authorization="Bearer k")).status_code,
        ]
    assert codes == [401, 400, 400, 200]


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "is_in"),
    [
        (closed(a={"type": "string", "description": "d"}), True),
        (closed(a={"anyOf": [{"type": "string"}, {"type": "null"}]}), True),
        (closed(a={"type": "array", "items": closed(b={"type": "integer"})}), True),
        (closed(a={"type": "string", "enum": ["x"]}), True),
        (closed(a={"type": "string", "default": "x"}), False),
        (closed(a={"type": "string", "pattern": "x"}), False),
        (closed(a={"oneOf": [{"type": "string"}]}), False),
        (closed(a={"$ref": "#/$defs/A"}), False),
        (closed(a={"type": "array", "prefixItems": []}), False),
        (closed(a={"type": "object", "additionalProperties": {"type": "string"}}), False),
        (closed(a={}), False),
        ({**closed(a={"type": "string"}), "required": []}, False),
        ({"anyOf": [closed()]}, False),
        ({"type": "array", "items": {"type": "string"}}, True),
    ],
)
def test_the_strict_subset(schema: dict[str, Any], is_in: bool) -> None:
    assert (strict_fault(schema) is None) is is_in


async def test_it_listens_on_loopback_alone() -> None:
    async with ScriptedModel(parse_script("replies: []")) as s:
        assert s.url.startswith("http://127.0.0.1:")


async def test_as_a_program_it_says_where_it_is_and_records(tmp_path: Path) -> None:
    script, record = tmp_path / "s.yaml", tmp_path / "r.jsonl"
    script.write_text("replies: [{text: hello}]")
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "evals.scripted_model",
        str(script),
        "--record",
        str(record),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert program.stdout is not None
        line = (await asyncio.wait_for(program.stdout.readline(), 60)).decode()
        async with plain() as client:
            answer = await client.post(line.split(" at ")[1].strip() + "/chat/completions", json=HELLO)
        assert answer.json()["choices"][0]["message"]["content"] == "hello"
        for _ in range(100):
            if record.exists() and record.read_text():
                break
            await asyncio.sleep(0.05)
        assert json.loads(record.read_text()) == HELLO
    finally:
        program.terminate()
        await asyncio.wait_for(program.wait(), 20)


async def test_a_wrong_script_ends_the_program_with_its_reason(tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "evals.scripted_model", str(tmp_path / "none.yaml"), stderr=asyncio.subprocess.PIPE
    )
    _, told = await program.communicate()
    assert program.returncode == 2
    assert b"none.yaml" in told
