"""One incident as one file: what is in it, what is not, and who refuses to read it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evals.cases import FOLDER
from graph.plan import Status
from server.cli import app
from server.export import UnreadableExport, export_incident, read_export
from tests.server.support import TOKEN, serve
from tests.support.healing import bench, end_of, set_container
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str
from tools.refs import IncidentId

REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SELFHEAL_URL", raising=False)


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environ)


def recording() -> JsonObject:
    found: JsonObject = json.loads((FOLDER / "image-pull-bad-tag.json").read_text())
    return found


def with_(**changes: JsonValue) -> JsonObject:
    return {**recording(), **changes}


def with_world(**changes: JsonValue) -> JsonObject:
    attempts = dig_list(recording(), "attempts")
    first = dig_object(attempts[0])
    return with_(attempts=[{**first, "world": {**dig_object(first, "world"), **changes}}])


REFUSED: list[tuple[str, JsonValue, str]] = [
    ("something else", {"kind": "List"}, "no selfheal-incident file: make one with `selfheal incident export"),
    ("no object at all", [1], "no selfheal-incident file"),
    ("a later format", with_(format=2), "has format 2 and this version reads 1: use the version of selfheal"),
    ("an earlier format", with_(format=0), "export or record the incident again"),
    ("no format", with_(format=None), "has format None"),
    ("a world of another format", with_world(format=7), "recorded world has format 7"),
    ("a field nobody knows", with_(surprise=1), "surprise"),
    ("a field that is missing", {k: v for k, v in recording().items() if k != "incident"}, "incident"),
]


@pytest.mark.parametrize(("document", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_read_is_refused_with_the_remedy(document: JsonValue, why: str) -> None:
    with pytest.raises(UnreadableExport) as refused:
        read_export(document)
    assert why in str(refused.value)


def test_what_is_committed_can_be_read() -> None:
    export = read_export(recording())
    assert export.attempts[0].world is not None
    assert export.model_dump(mode="json", exclude_unset=True) == recording(), "nothing is lost on the way in and out"


async def test_everything_about_a_healed_incident_and_no_secret(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.clock.sleep(timedelta(seconds=40))
        await set_container(it, image="registry.invalid/shop/web:2", env=[{"name": "DB_PASSWORD", "value": "sesame"}])
        result = await end_of(it)
        export = await export_incident(it.ports.ledger, IncidentId(result.incident_id))
        assert export is not None
        assert await export_incident(it.ports.ledger, IncidentId("nobody")) is None
    document = export.model_dump(mode="json")
    assert "sesame" not in json.dumps(document)
    (attempt,) = export.attempts
    assert (export.status, attempt.finding) == ("healed", "wrong")
    assert attempt.world is not None
    assert attempt.validated_on is not None
    (judgement,) = attempt.judgements
    assert dig_str(judgement.plan, "steps", 0, "action", "action") == "rollback_workload"
    assert dig_str(judgement.verdict, "kind") == "accepted"
    assert dig(judgement.dry_runs[0], "diff"), "what the server would have changed"
    assert dig_str(attempt.diagnosis, "cause") == "bad_revision"
    assert [a.state for a in export.actions] == ["applied"]
    assert not any("request" in a for a in dig_list(document, "actions")), "the bytes that were sent stay here"
    assert export.versions.policy
    assert export.versions.kubernetes
    assert export.resolution is not None
    assert read_export(document) == export


async def test_by_http_and_by_command(tmp_path: Path) -> None:
    async with serve(tmp_path, ends=[Status.OBSERVED]) as running:
        incident = (await running.http.post("/self-heal", json=REFERENCE)).json()["incident_id"]
        answer = await running.http.get(f"/incidents/{incident}/export")
        assert read_export(answer.json()).incident.id == incident
        missing = await running.http.get("/incidents/nobody/export")
        assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
        out = tmp_path / "incident.json"
        environment = {"SELFHEAL_URL": running.url, "SELFHEAL_TOKEN": TOKEN, "NO_PROXY": "*"}
        done = await asyncio.to_thread(run, "incident", "export", incident, "--out", str(out), **environment)
        assert done.exit_code == 0, done.output
        assert json.loads(out.read_text()) == answer.json()
        lost = await asyncio.to_thread(run, "incident", "export", "nobody", **environment)
        assert lost.exit_code == 2
        assert "selfheal incidents" in lost.stderr


async def test_from_the_state_folder_it_is_the_same(tmp_path: Path, quiet: None) -> None:
    async with bench(tmp_path) as it:
        await set_container(it, image="registry.invalid/shop/web:2")
        result = await end_of(it)
        export = await export_incident(it.ports.ledger, IncidentId(result.incident_id))
        with it.sim.clock.hold():  # type: ignore[attr-defined]
            arguments = ("incident", "export", result.incident_id, "--state-dir", str(tmp_path / "state"))
            done = await asyncio.to_thread(run, *arguments)
    assert export is not None
    assert done.exit_code == 0, done.output
    found = read_export(json.loads(done.stdout))
    assert (found.incident, found.actions, found.account) == (export.incident, export.actions, export.account)
