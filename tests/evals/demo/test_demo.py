"""The demo as a user runs it: a process of its own, its text and its exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evals.demo.__main__ import main

SECONDS = 90
ROOT = Path(__file__).parents[3]


def demo(*arguments: str, folder: Path) -> tuple[int, str, float]:
    """Exit code, text without line breaks and doubled blanks, seconds."""
    began = time.monotonic()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, "-m", "evals.demo", "--folder", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS * 2,
        cwd=ROOT,
        env=environment | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    text = re.sub(r"\s+", " ", done.stdout)
    assert not done.stderr, done.stderr
    return done.returncode, text, time.monotonic() - began


@pytest.mark.slow
def test_the_whole_story(tmp_path: Path) -> None:
    """In virtual time, so that how busy the machine is does not show; the next one is in real time."""
    code, text, seconds = demo("--speed", "max", folder=tmp_path)
    assert code == 0, text
    assert seconds < SECONDS
    chapters = re.split(r" (?=[1-6]/6 )", text)[1:]
    assert len(chapters) == 6
    told = {
        "settings": ("CONFIG_MISSING", "needs ConfigMap web-features", "+ (not there)", "OK HEALED"),
        "image": ("IMAGE_PULL_FAILED", "delete_pod shop/Pod/db-1", "Step 1 did what it promised", "OK HEALED"),
        "probe": ("NOT_READY", '- "/ready" + "/healthz"', "OK HEALED"),
        "memory": ("OUT_OF_MEMORY", "APPROVAL_REQUIRED", "demo answers for you", "approved the plan", "OK HEALED"),
        "protected": ("UNSCHEDULABLE", "OK REFUSED TARGET_PROTECTED; nothing was written", "A person repairs it"),
        "model": ("SCRIPTED", "It did not last", "FAIL", "Took back rollback_workload", "PASS", "OK HEALED"),
    }
    for chapter, (name, lines) in zip(chapters, told.items(), strict=True):
        assert name in chapter[:20]
        for line in lines:
            assert line in chapter, f"{name}: {line!r} is not in {chapter}"
    assert chapters[5].index("Took back") < chapters[5].index("PASS"), "first undone, then healed by another plan"
    assert "6 of 6 ended as they should" in text
    assert "time is virtual: it passes as fast as this machine computes" in text
    assert "audit --verify" in text
    assert "Traceback" not in (tmp_path / "service.log").read_text()
    trail = subprocess.run(
        [sys.executable, "-m", "server.cli", "audit", "--verify", "--state-dir", str(tmp_path / "state")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert "whole" in trail.stdout or trail.returncode == 0, trail


@pytest.mark.slow
def test_what_is_not_healed_fails_the_demo(tmp_path: Path) -> None:
    """The honest way not to heal: selfheal may only watch.  In real time, twenty times as fast."""
    code, text, _ = demo("--fault", "image", "--observe", "--speed", "20", folder=tmp_path)
    assert code == 1, text
    assert "20 times as fast as your clock" in text
    assert re.search(
        r"as kubectl lists them when selfheal opens its incident: .*not ready (ErrImagePull|ImagePullBackOff)", text
    )
    assert "NOT AS IT SHOULD BE OBSERVED" in text
    assert "it is observed and not healed" in text
    assert "A person repairs it" in text
    assert "0 of 1 ended as they should; selfheal wrote to the cluster 0 times" in text


@pytest.mark.slow
def test_what_no_rule_knows_is_told_to_a_person(tmp_path: Path) -> None:
    code, text, _ = demo("--fault", "outside", "--speed", "max", folder=tmp_path)
    assert code == 0, text
    assert "OK ESCALATED NO_RULE; nothing was written" in text


def test_the_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("settings", "image", "probe", "memory", "protected", "model", "outside"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--fault", "gremlins"), "there is no fault 'gremlins'; there are settings"),
        (("--speed", "1000"), "write a number from 1 to 30, or max"),
    ],
)
def test_a_wrong_call_names_the_remedy(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(arguments)
    except SystemExit as wrong_usage:
        code = wrong_usage.code
    assert code == 2
    assert says in capsys.readouterr().err
