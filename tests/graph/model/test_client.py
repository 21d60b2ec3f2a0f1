"""What is sent, what is counted, and what never gets out."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from graph.model.build import ModelMisconfigured, build_model, mode_of
from graph.model.client import NO_KEY, read_key
from graph.model.config import Bounds, Mode, ModelConfig, Planning
from graph.plan import NoPlan, Planned
from prompts.loader import version
from tests.graph.model.bench import CONCLUSION, KEY, bench, call, evidence, log, plan, rollback_call, signal
from tests.tools.cluster.hostile import JumpClock
from tools import registry
from tools.guard.verdict import ReasonCode

C = ReasonCode


async def test_each_request_is_on_record_with_prompt_version_response_and_tokens() -> None:
    replies = [
        {"calls": [rollback_call()], "usage": {"prompt": 700, "completion": 30}},
        {"calls": [call("submit_plan", **CONCLUSION)], "usage": {"prompt": 760, "completion": 40}},
    ]
    async with bench(replies, planning=Planning.TOOLS) as b:
        await b.propose(incident_id="inc-7")
        seen = [(r.incident_id, r.phase, r.turn, r.response_id, r.prompt_tokens, r.answer_tokens) for r in b.records]
        assert seen == [
            ("inc-7", "plan", 1, "chatcmpl-scripted-1", 700, 30),
            ("inc-7", "plan", 2, "chatcmpl-scripted-2", 760, 40),
        ]
        assert {r.prompt_version for r in b.records} == {version()}
        assert {r.model for r in b.records} == {"scripted-1"}
        assert b.records[-1].incident_tokens == 1530


async def test_a_failed_request_is_on_record_with_its_code() -> None:
    async with bench([{"status": 401, "message": f"Incorrect API key provided: {KEY}"}]) as b:
        await b.propose()
        assert [r.outcome for r in b.records] == ["LLM_UNAVAILABLE"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401, "message": f"Incorrect API key provided: {KEY}"},
        {"status": 400, "message": f"the key {KEY} may not"},
        {"status": 500, "message": KEY},
        {"text": KEY},
    ],
)
async def test_the_key_is_sent_and_nothing_else_ever_shows_it(
    fault: dict[str, Any], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with bench([{**fault, "times": "always"}]) as b:
            found = await b.propose()
            assert all(r.authorization == f"Bearer {KEY}" for r in b.server.chats)
            assert KEY not in repr(b.reasoner)
            shown = found.model_dump_json() + "".join(r.model_dump_json() for r in b.records)
    out = capsys.readouterr()
    assert KEY not in shown + caplog.text + out.out + out.err


def test_the_configuration_does_not_show_the_key() -> None:
    assert KEY not in repr(ModelConfig(model="m", api_key=SecretStr(KEY)))


async def test_a_key_file_is_read_again_so_that_a_new_key_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key\n")
    config = ModelConfig(model="m", api_key=SecretStr("other"), api_key_file=file)
    assert read_key(config) == "first-key"
    file.write_text("second-key\n")
    assert read_key(config) == "second-key"


async def test_without_a_key_a_word_is_sent_that_is_none() -> None:
    async with bench([{"json": plan()}], key=None) as b:
        assert isinstance(await b.propose(), Planned)
        assert b.server.chats[0].authorization == f"Bearer {NO_KEY}"


def test_a_key_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    config = ModelConfig(model="m", api_key_file=tmp_path / "none")
    with pytest.raises(ModelMisconfigured, match="none cannot be read"):
        build_model(config, executors=registry.executors(), clock=JumpClock())


def test_no_configuration_is_no_model() -> None:
    assert build_model(None, executors=registry.executors(), clock=JumpClock()) is None


@pytest.mark.parametrize(
    ("wanted", "has_model", "mode"),
    [
        (None, True, Mode.HYBRID),
        (None, False, Mode.RULES),
        (Mode.RULES, True, Mode.RULES),
        (Mode.HYBRID, False, Mode.HYBRID),
        (Mode.MODEL, True, Mode.MODEL),
    ],
)
def test_who_reasons(wanted: Mode | None, has_model: bool, mode: Mode) -> None:
    assert mode_of(wanted, has_model=has_model) is mode


def test_a_model_that_is_wanted_and_not_there_stops_the_start() -> None:
    with pytest.raises(ModelMisconfigured, match="none is configured"):
        mode_of(Mode.MODEL, has_model=False)


def test_a_start_without_a_model_does_not_load_the_client_library() -> None:
    program = "import sys, graph.ports; sys.exit(any(m in sys.modules for m in ('openai', 'langchain_openai')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


CANARIES = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ0123",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "hunter2-canary-value",
]


async def test_no_secret_in_the_evidence_reaches_the_server() -> None:
    """The reader redacts already; this shows that a gap there is not a leak here."""
    aws, github, jwt, password = CANARIES
    leaky = evidence(
        logs=(log(f"connecting with DB_PASSWORD={password} and {aws}"),),
        signals=(signal(f"Authorization: Bearer {jwt}"),),
        unseen=(f"https://user:{password}@db/ and {github}",),
    )
    for style in (Planning.SCHEMA, Planning.TOOLS, Planning.JSON):
        async with bench([{"refusal": "no"}], planning=style) as b:
            await b.propose(leaky)
            sent = b.server.chats[0].raw
        assert "connecting with DB_PASSWORD" in sent, "the line itself is there"
        assert [c for c in CANARIES if c in sent] == []


async def test_too_many_tokens_of_one_day_end_the_asking_for_the_namespace() -> None:
    bounds = Bounds(tokens_per_namespace_day=1000)
    costly = {"json": plan(), "usage": {"prompt": 900, "completion": 200}}
    async with bench([costly, costly], bounds=bounds) as b:
        assert isinstance(await b.propose(), Planned)
        refused = await b.propose()
        assert isinstance(refused, NoPlan)
        assert refused.refusal.code is C.LLM_BUDGET
        assert "namespace shop" in refused.refusal.reason
        assert len(b.server.chats) == 1
        b.clock.elapsed += 86_400
        assert isinstance(await b.propose(), Planned)


async def test_a_target_that_was_not_read_is_not_asked_about() -> None:
    async with bench([]) as b:
        found = await b.propose(evidence(workload=None))
        assert isinstance(found, NoPlan)
        assert found.refusal.code is C.INPUT_UNREADABLE
        assert b.server.requests == []


async def test_a_case_that_cannot_be_made_to_fit_is_refused_unasked() -> None:
    async with bench([], bounds=Bounds(prompt_tokens=100)) as b:
        found = await b.propose()
        assert isinstance(found, NoPlan)
        assert found.refusal.code is C.LLM_BUDGET
        assert b.server.requests == []
