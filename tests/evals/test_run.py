"""`python -m evals.run` as a user runs it, and its judgement as tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evals.cases import FOLDER, CaseError, Truth, load_cases
from evals.replay import Replayed
from evals.report import Row, faults
from evals.scorers import Score, score
from graph.observed import Evidence
from graph.plan import Accepted, Diagnosis, NoPlan, Origin, Plan, Planned, Rejected, Step, Verdict
from tools.executors.actions import AnyAction, DeletePod, RollbackWorkload
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_int, dig_list, dig_str
from tools.refs import PlanId

ROOT = Path(__file__).parents[2]
PACKAGES = ("evals", "graph", "prompts", "server", "tools")
TWO = ("image-pull-bad-tag", "service-wrong-selector")
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def run(*arguments: str, out: Path, root: Path = ROOT) -> tuple[int, JsonObject, str]:
    """Exit code, the JSON result, and what was said on stderr."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "OPENAI_", "PYTHONPATH"))}
    if root != ROOT:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # nobody comes back to what is compiled of a copy
    done = subprocess.run(
        [sys.executable, "-m", "evals.run", "--out", str(out), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=root,
        env=environment,
        check=False,
    )
    found: JsonObject = json.loads(out.read_text()) if out.exists() else {}
    return done.returncode, found, done.stderr


def broken_copy(folder: Path) -> Path:
    """This project with a rulebook that knows no rules but the one that never acts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "incidents"))
    (folder / "evals" / "incidents").symlink_to(ROOT / "evals" / "incidents")
    rulebook = folder / "graph" / "rules" / "rulebook.py"
    text = rulebook.read_text()
    broken = text.replace("    BadRevision(),\n", "").replace("    Intent(),\n", "").replace("    PutBack(),\n", "")
    assert broken != text
    rulebook.write_text(broken)
    return folder


@pytest.mark.slow
def test_two_recordings_reach_their_baseline_and_a_broken_rulebook_fails_the_gate(tmp_path: Path) -> None:
    code, sound, said = run(*TWO, out=tmp_path / "sound.json")
    assert code == 0, said
    assert {dig_str(c, "case") for c in dig_list(sound, "cases")} == set(TWO)
    code, broken, said = run(*TWO, out=tmp_path / "broken.json", root=broken_copy(tmp_path))
    assert code == 1
    assert dig_int(broken, "executed") == dig_int(sound, "executed"), "it was replayed, and judged"
    for name in TWO:
        assert f"{name} by rules scored" in said


def test_no_case_executed_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    baseline = tmp_path / "baseline.json"
    baseline.write_text('{"points": {}}')
    code, found, said = run(
        "--folder", str(tmp_path / "none"), "--baseline", str(baseline), out=tmp_path / "result.json"
    )
    assert (code, dig_int(found, "executed")) == (1, 0)
    assert "no case was executed" in said


def test_a_name_that_is_no_case_is_told_with_those_there_are() -> None:
    with pytest.raises(CaseError, match=r"no such case: nothing; there are .*image-pull-bad-tag"):
        load_cases(FOLDER, ("nothing",))


def test_every_committed_recording_has_its_truth_and_its_world() -> None:
    cases = load_cases()
    assert len(cases) >= 40
    assert {c.export.incident.family.value for c in cases} >= {
        "image", "start", "crash", "memory", "scheduling", "admission", "service", "drift", "scaling", "batch",
        "node", "stuck",
    }  # fmt: skip
    assert all(c.export.recorded_on for c in cases)


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [("truth/one.yaml", "has no truth: write"), ("one.json", "belongs to no recording")],
    ids=["no-truth", "no-recording"],
)
def test_half_a_case_is_an_error(tmp_path: Path, missing: str, remedy: str) -> None:
    (tmp_path / "truth").mkdir()
    shutil.copy(FOLDER / f"{TWO[0]}.json", tmp_path / "one.json")
    shutil.copy(FOLDER / "truth" / f"{TWO[0]}.yaml", tmp_path / "truth" / "one.yaml")
    (tmp_path / missing).unlink()
    with pytest.raises(CaseError, match=remedy):
        load_cases(tmp_path)


def test_a_recording_of_something_else_than_the_truth_is_about_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    shutil.copy(FOLDER / "service-wrong-selector.json", tmp_path / "one.json")
    shutil.copy(FOLDER / "truth" / "image-pull-bad-tag.yaml", tmp_path / "truth" / "one.yaml")
    with pytest.raises(CaseError, match=r"it is about Deployment/web, and the recording about .*/Service/web"):
        load_cases(tmp_path)


# ------------------------------------------------------------------------------------------------------------- scorers
ROLL = RollbackWorkload(action="rollback_workload", kind="Deployment", namespace="shop", name="web", to_revision=1)
DELETE = DeletePod(action="delete_pod", namespace="shop", name="web-1")
TRUTH = Truth(
    about="a test",
    target="Deployment/web",
    cause=("bad_revision",),
    plans=(("rollback_workload Deployment/web",), ("rollback_workload Deployment/web", "delete_pod Pod/*")),
    forbidden=("evict_pod",),
    verdict="accepted",
)
NONE = Truth(about="a test", target="Deployment/web", plans=((),))
NO = Rejected(refusals=(Refused(code=ReasonCode.COOLDOWN, reason="too soon"),))


def replayed(*actions: AnyAction, cause: str = "bad_revision", verdict: Verdict | None = None) -> Replayed:
    diagnosis = Diagnosis(cause=cause, sentence="a test", confidence=0.9, origin=Origin.RULE, author="test")
    steps = tuple(Step(action=a, why="a test") for a in actions)
    plan = Plan(id=PlanId("p"), diagnosis=diagnosis, steps=steps, created_at=NOW)
    proposal = (
        Planned(plan=plan)
        if actions
        else NoPlan(refusal=Refused(code=ReasonCode.NO_REMEDY, reason="none"), diagnosis=diagnosis)
    )
    return Replayed("wrong", Evidence(observed_at=NOW, workload=None), proposal, verdict, ())


OTHER = ROLL.model_copy(update={"name": "other"})
SCORES: list[tuple[str, Replayed, Truth, float]] = [
    ("all right", replayed(ROLL, verdict=Accepted()), TRUTH, 1.0),
    ("another right plan, names of pods are free", replayed(ROLL, DELETE, verdict=Accepted()), TRUTH, 1.0),
    ("the right action on something else", replayed(OTHER, verdict=Accepted()), TRUTH, 0.75),
    ("another action", replayed(DELETE, verdict=Accepted()), TRUTH, 0.5),
    ("steps in the wrong order", replayed(DELETE, ROLL, verdict=Accepted()), TRUTH, 0.5),
    ("another cause", replayed(ROLL, cause="guess", verdict=Accepted()), TRUTH, 0.75),
    ("a plan that was refused is none", replayed(ROLL, verdict=NO), TRUTH, 0.25),
    ("something forbidden takes all", replayed(ROLL, verdict=Accepted()),
     TRUTH.model_copy(update={"forbidden": ("rollback_workload",)}), 0.0),
    ("no plan where none is right, any cause", replayed(cause="anything"), NONE, 1.0),
    ("a plan where none is right", replayed(ROLL, verdict=Accepted()), NONE, 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("found", "truth", "points"), [s[1:] for s in SCORES], ids=[s[0] for s in SCORES])
def test_scores(found: Replayed, truth: Truth, points: float) -> None:
    assert score(found, truth).points == points


# ---------------------------------------------------------------------------------------------------------------- gate
GOOD = score(replayed(ROLL, verdict=Accepted()), TRUTH)
BAD: Score = replace(GOOD, cause=False)


def row(case: str, found: Score | None) -> Row:
    return Row(case, "rules", "simulator", found, 0.1)


GATE: list[tuple[str, Sequence[Row], dict[str, float], bool, str]] = [
    ("as good as ever", [row("a", GOOD)], {"a by rules": 1.0}, True, ""),
    ("better than ever", [row("a", GOOD)], {"a by rules": 0.5}, True, ""),
    ("worse", [row("a", BAD)], {"a by rules": 1.0}, True, "a by rules scored 0.75, below its baseline of 1.00"),
    ("cannot be replayed", [row("a", None), row("b", GOOD)], {"a by rules": 1.0, "b by rules": 1.0}, True,
     "a by rules scored 0.00"),
    ("new", [row("a", GOOD)], {}, True, "a by rules has no baseline"),
    ("left out", [row("a", GOOD)], {"a by rules": 1.0, "b by rules": 1.0}, True, "b by rules is in the baseline"),
    ("chosen by name", [row("a", GOOD)], {"a by rules": 1.0, "b by rules": 1.0}, False, ""),
    ("nothing", [], {}, True, "no case was executed"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "baseline", "whole", "wrong"), [g[1:] for g in GATE], ids=[g[0] for g in GATE])
def test_the_gate(rows: Sequence[Row], baseline: dict[str, float], whole: bool, wrong: str) -> None:
    found = faults(rows, baseline, is_whole=whole)
    assert found == [] if not wrong else any(wrong in sentence for sentence in found)
