"""The command line: answers for people and programs, exit codes, and its speed."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import resource
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import structlog
from rich.console import Console
from typer.testing import CliRunner, Result

from graph.plan import Status
from server.account import IncidentLine
from server.cli import app
from server.commands import render
from tests.server.support import TOKEN, Running, serve

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("selfheal"))
REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    for key in list(os.environ):
        if key.startswith("SELFHEAL_"):
            monkeypatch.delenv(key)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environ)


async def ask(running: Running, *arguments: str, token: str = TOKEN) -> Result:
    return await asyncio.to_thread(run, *arguments, SELFHEAL_URL=running.url, SELFHEAL_TOKEN=token, NO_PROXY="*")


def test_help_is_fast_and_names_every_command() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert spent < 1.5, "usually a quarter of a second of processor time; with the graph loaded it is several"
    for command in ("serve", "watch", "heal", "incidents", "explain", "audit", "approve", "reject", "undo", "pause"):
        assert command in done.stdout


def test_help_loads_neither_the_graph_nor_the_database() -> None:
    heavy = "('langgraph', 'sqlalchemy', 'kubernetes', 'fastapi')"
    program = f"import sys, server.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.HEALED, 0),
        (Status.CLEARED, 0),
        (Status.ESCALATED, 1),
        (Status.OBSERVED, 3),
        (Status.REFUSED, 3),
        (Status.WAITING, 4),
    ],
)
async def test_heal_ends_with_the_code_of_the_status(tmp_path: Path, status: Status, code: int) -> None:
    async with serve(tmp_path, ends=[status]) as running:
        done = await ask(running, "heal", "shop/deploy/web")
    assert done.exit_code == code, done.output
    assert status.value in done.stdout
    assert "CRASH_LOOP on Pod web-1" in done.stderr, "the progress is told while it runs"


async def test_heal_for_programs_is_one_document_on_stdout(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        done = await ask(running, "heal", "shop/Deployment/web", "--output", "json")
    assert json.loads(done.stdout)["status"] == "healed"


async def test_heal_of_what_is_not_there(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        done = await ask(running, "heal", "shop/deployment/gone")
    assert done.exit_code == 2
    assert "does not exist" in done.stderr


async def test_incidents_and_audit(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.OBSERVED]) as running:
        result = (await running.http.post("/self-heal", json=REFERENCE)).json()
        table = await ask(running, "incidents")
        assert table.exit_code == 0
        assert result["incident_id"] in table.stdout
        assert "shop/Deployment/web" in table.stdout
        filtered = await ask(running, "incidents", "--status", "healed", "--output", "json")
        assert json.loads(filtered.stdout) == []
        trail = await ask(running, "audit", "-i", result["incident_id"], "-o", "json")
        assert [line["phase"] for line in json.loads(trail.stdout)] == ["evidence", "decision", "close"]
        assert "OBSERVE_ONLY" in (await ask(running, "audit")).stdout


@pytest.mark.parametrize("width", [80, 60])
async def test_the_list_shows_id_status_age_and_target_on_a_narrow_terminal(tmp_path: Path, width: int) -> None:
    async with serve(tmp_path, ends=[Status.ESCALATED]) as running:
        name = "a-rather-long-name-of-a-deployment-as-people-give-them"
        result = (await running.http.post("/self-heal", json={**REFERENCE, "name": name})).json()
        lines = (await running.http.get("/incidents")).json()["incidents"]
    out = io.StringIO()
    render.incidents(
        [IncidentLine.model_validate(line) for line in lines], as_json=False, out=Console(file=out, width=width)
    )
    shown = out.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= width
    for piece in ("ID", "STATUS", "AGE", "TARGET", result["incident_id"], "escalated"):
        assert piece in shown
    target = "".join(line[-(width - 28) :].strip() for line in shown.splitlines()[1:])
    assert name in target.replace(" ", "")


async def test_explain_tells_the_story_and_why_nothing_was_done(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.REFUSED]) as running:
        result = (await running.http.post("/self-heal", json=REFERENCE)).json()
        story = await ask(running, "explain", result["incident_id"])
    assert story.exit_code == 0
    for piece in (
        "refused", "shop/Deployment/web", "The process hangs.", "restart_workload", "A restart frees it.",
        "Why not", "[COOLDOWN] It was not done.", "What happened",
    ):  # fmt: skip
        assert piece in story.stdout, piece


async def test_explain_of_an_unknown_incident(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        done = await ask(running, "explain", "none")
    assert done.exit_code == 2
    assert "selfheal incidents" in done.stderr


async def test_a_wrong_token_is_said_to_be_one(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        done = await ask(running, "incidents", token="x" * 32)
    assert done.exit_code == 5
    assert "UNAUTHENTICATED" in done.stderr


def test_a_service_that_is_not_there() -> None:
    done = run("incidents", "--server", "http://127.0.0.1:9")
    assert done.exit_code == 5
    assert "does not answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["heal", "web"], "NAMESPACE/KIND/NAME"),
        (["incidents", "--status", "fine", "--server", "http://127.0.0.1:9"], "healed"),
        (["incidents", "--server", "127.0.0.1:8080"], "write http://HOST:PORT"),
        (["incidents", "--limit", "0"], "--limit"),
        (["serve"], "SELFHEAL_TOKEN_FILE"),
        (["serve", "--insecure-bind", "192.0.2.7"], "not a loopback address"),
        (["audit", "--verify", "--server", "http://127.0.0.1:9"], "where the state folder is"),
        (["dance"], "No such command"),
    ],
)
def test_wrong_usage_is_code_2_and_says_what_to_write(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run(*arguments, SELFHEAL_STATE_DIR=str(tmp_path / "state"))
    assert done.exit_code == 2, done.output
    assert said in done.stderr


def test_a_misspelt_variable_stops_every_command(tmp_path: Path) -> None:
    done = run("incidents", SELFHEAL_STATEDIR=str(tmp_path))
    assert done.exit_code == 2
    assert "SELFHEAL_STATE_DIR" in done.stderr


def test_a_question_makes_no_ledger(tmp_path: Path) -> None:
    done = run("incidents", "--state-dir", str(tmp_path / "none"))
    assert done.exit_code == 2
    assert "--server" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_policy_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("version: 1\nnamespaces: {shop: {mode: maybe}}\n")
    done = run(
        "serve", "--insecure-bind", "127.0.0.1", "--policy-file", str(tmp_path / "policy.yaml"),
        "--state-dir", str(tmp_path / "state"),
    )  # fmt: skip
    assert done.exit_code == 2
    assert "policy.yaml:2" in done.stderr


def test_without_a_cluster_serve_ends_with_a_sentence(tmp_path: Path) -> None:
    arguments = ["serve", "--insecure-bind", "127.0.0.1", "--kubeconfig", str(tmp_path / "none")]
    done = run(*arguments, SELFHEAL_STATE_DIR=str(tmp_path))
    assert done.exit_code == 5, done.output
    assert isinstance(done.exception, SystemExit)
    assert "kubeconfig" in done.stderr


async def test_the_state_folder_answers_without_a_service(tmp_path: Path) -> None:
    async with serve(tmp_path) as running:
        result = (await running.http.post("/self-heal", json=REFERENCE)).json()
    arguments = ["explain", result["incident_id"], "--state-dir", str(tmp_path), "-o", "json"]
    done = await asyncio.to_thread(run, *arguments)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["result"] == result
    whole = await asyncio.to_thread(run, "audit", "--verify", "--state-dir", str(tmp_path))
    assert (whole.exit_code, "whole" in whole.stdout) == (0, True)
