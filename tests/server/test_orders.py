"""The commands that decide and order, against a running service: what is shown, asked, sent, and told by exit code."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from graph.plan import Status
from server.cli import app
from tests.server.support import TOKEN, Running, serve
from tests.server.test_cli import restored, run

REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}
__all__ = ["restored"]


async def order(it: Running, *arguments: str, typed: str | None = None) -> Result:
    environ = {"SELFHEAL_URL": it.url, "SELFHEAL_TOKEN": TOKEN, "NO_PROXY": "*"}
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments, env=environ, input=typed))


async def waiting(it: Running) -> str:
    told = (await it.http.post("/self-heal", json=REFERENCE)).json()
    assert told["status"] == "waiting"
    incident: str = told["incident_id"]
    return incident


async def test_approve_shows_the_plan_asks_and_follows_to_the_end(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.WAITING]) as it:
        incident = await waiting(it)
        done = await order(it, "approve", incident, typed="y\n")
        assert it.healer.runs[-1] == f"decide {incident} approved"
    assert done.exit_code == 0, done.output
    for piece in ("The process hangs.", "restart_workload", "the policy asks for approval here", "Approve this plan"):
        assert piece in done.stderr, piece
    assert "healed" in done.stdout


@pytest.mark.parametrize(("typed", "code"), [("n\n", 3), ("", 2)], ids=["no", "nobody there"])
async def test_what_is_not_confirmed_is_not_sent(tmp_path: Path, typed: str, code: int) -> None:
    async with serve(tmp_path, ends=[Status.WAITING]) as it:
        incident = await waiting(it)
        done = await order(it, "approve", incident, typed=typed)
        assert (await it.service.ports.ledger.approval(incident)).decision is None  # type: ignore[arg-type, union-attr]
    assert done.exit_code == code, done.output
    assert "nothing was done" in done.stderr


async def test_reject_gives_the_reason_and_the_second_answer_is_refused(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.WAITING]) as it:
        incident = await waiting(it)
        done = await order(it, "reject", incident, "--why", "we deploy at noon", "--yes", "-o", "json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["status"] == "refused"
        asked = await it.service.ports.ledger.approval(incident)  # type: ignore[arg-type]
        assert asked is not None
        assert (asked.decision, asked.why) == ("declined", "we deploy at noon")
        assert asked.decided_by.startswith("token-")
        again = await order(it, "approve", incident, "--yes")
    assert (again.exit_code, "NOT_WAITING" in again.stderr) == (3, True)


async def test_undo_of_what_wrote_nothing(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        incident = (await it.http.post("/self-heal", json=REFERENCE)).json()["incident_id"]
        done = await order(it, "undo", incident, "--yes")
        unknown = await order(it, "undo", "none", "--yes")
    assert (done.exit_code, "Nothing of it stands." in done.stdout) == (0, True)
    assert (unknown.exit_code, "selfheal incidents" in unknown.stderr) == (2, True)


async def test_pause_and_unpause(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        done = await order(it, "pause", "shop", "--for", "2h", "--why", "maintenance")
        assert (done.exit_code, "shop" in done.stdout) == (0, True)
        assert await it.service.ports.ledger.paused_until("shop", it.service.ports.clock.now()) is not None
        listed = await order(it, "pauses", "-o", "json")
        assert [p["namespace"] for p in json.loads(listed.stdout)] == ["shop"]
        assert (await order(it, "unpause", "shop")).exit_code == 0
        gone = await order(it, "unpause", "shop")
        assert (gone.exit_code, "no pause holds" in gone.stderr) == (2, True)
        said = [e.sentence for e in await it.service.ports.ledger.audit() if e.phase == "pause"]
    assert [": maintenance" in said[0], "lifted" in said[1]] == [True, True]


async def test_everything_can_be_paused_and_a_state_folder_is_enough(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        for name in ("*", "shop"):
            done = await asyncio.to_thread(run, "pause", name, "--for", "30m", "--state-dir", str(tmp_path))
            assert done.exit_code == 0, done.output
        held = (await it.http.get("/pauses")).json()["pauses"]
        assert [p["namespace"] for p in held] == ["*", "shop"]
        assert held[0]["by"].startswith("local")
        assert (await it.http.delete("/pauses/*")).status_code == 204


@pytest.mark.parametrize(
    "arguments",
    [["shop", "--for", "long"], ["../x", "--for", "2h"], ["shop", "--for", "0h"], ["shop", "--for", "60d"]],
    ids=" ".join,
)
def test_what_is_no_pause_is_wrong_usage(arguments: list[str]) -> None:
    done = run("pause", *arguments, SELFHEAL_URL="http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "write" in done.stderr
