"""Recordings out of a state folder: by incident, by namespace, and anew for the cases that are known."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from evals import record
from evals.cases import load_cases
from evals.replay import replay
from evals.scorers import score
from tests.support.healing import bench, end_of, set_container
from tools.jsontypes import dig_str

TRUTH = """
about: A new revision names an image that cannot be pulled.
target: Deployment/web
cause: [bad_revision]
plans: [["rollback_workload Deployment/web"]]
"""
"""The namespace of the test is `shop`; what the pattern below makes of it is the name of the case."""
BY_NAMESPACE = ("--by-namespace", "s(ho)p")


async def state_of_a_healed_incident(folder: Path) -> Path:
    async with bench(folder) as it:
        await set_container(it, image="registry.invalid/shop/web:2")
        await end_of(it)
    return folder / "state"


async def test_what_a_service_healed_becomes_a_case_that_is_answered_alike(tmp_path: Path) -> None:
    state = await state_of_a_healed_incident(tmp_path)
    out = tmp_path / "cases"
    (out / "truth").mkdir(parents=True)
    (out / "truth" / "ho.yaml").write_text(TRUTH)
    arguments = ["--state-dir", str(state), "--recorded-on", "simulator", "--out", str(out), *BY_NAMESPACE]
    assert await asyncio.to_thread(record.main, [*arguments, "--known"]) == 0
    (case,) = load_cases(out)
    assert (case.name, case.export.recorded_on) == ("ho", "simulator")
    (tmp_path / "replay").mkdir()
    found = score(await replay(case, tmp_path / "replay"), case.truth)
    assert (found.points, found.said_verdict) == (1.0, "accepted")
    (out / "truth" / "ho.yaml").write_text(TRUTH.replace("Deployment/web", "Service/web"))
    (out / "ho.json").unlink()
    assert await asyncio.to_thread(record.main, [*arguments, "--known"]) == 1, "no incident is about that"
    assert await asyncio.to_thread(record.main, arguments) == 0, "without a truth it is only named"
    assert dig_str(json.loads((out / "ho.json").read_text()), "kind") == "selfheal-incident"


@pytest.mark.parametrize(
    "arguments",
    [[], ["abc"], ["abc=name", *BY_NAMESPACE], ["nobody=name"]],
    ids=["nothing", "no-name", "both", "no-such-incident"],
)
async def test_wrong_usage_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    state = await state_of_a_healed_incident(tmp_path) if arguments == ["nobody=name"] else tmp_path
    given = [*arguments, "--state-dir", str(state), "--recorded-on", "x", "--out", str(tmp_path / "out")]
    assert await asyncio.to_thread(record.main, given) == 2
    assert capsys.readouterr().err.strip()
