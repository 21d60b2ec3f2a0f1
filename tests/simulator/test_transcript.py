"""docs/kubectl.md is what kubectl says to the simulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.simulator import ScaledClock, Simulator
from evals.simulator.transcript import masked, play
from tests.support.kubectl import kubectl, needs_kubectl

PAGE = Path(__file__).parents[2] / "docs" / "kubectl.md"
COMMANDS = (
    "kubectl get pods -w",
    "kubectl describe",
    "kubectl rollout undo",
    "kubectl drain",
    "kubectl apply",
    "--previous",
    "kubectl auth can-i",
)


@needs_kubectl
async def test_the_page_is_what_kubectl_says(tmp_path: Path) -> None:
    async with Simulator(nodes=2, clock=ScaledClock(3)) as sim:
        page = await play(sim, kubectl(), tmp_path)
    assert masked(page) == masked(PAGE.read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_shows(command: str) -> None:
    assert f"$ {command}" in PAGE.read_text() or f"{command}\n" in PAGE.read_text()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("web-b55hsbnsjk-g4vhm   1/1   Running   0   17s", "web-7c9d4f8b6-abcde 1/1 Running 0 2m3s"),
        ("web-b55hsbnsjk-g4vhm 0/1 Error 2 (1s ago) 15s", "web-b55hsbnsjk-g4vhm 0/1 Error 3 (11s ago) 1m"),
        ("Normal Pulled <invalid> (x2 over 5s) kubelet", "Normal Pulled 5s kubelet"),
        ("Warning  a\nNormal   b", "Normal b\nWarning a"),
    ],
    ids=["names and ages", "restarts", "counts of events", "order of events"],
)
def test_what_may_differ(one: str, other: str) -> None:
    assert masked(one) == masked(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("web-b55hsbnsjk-g4vhm 1/1 Running 0 1s", "web-b55hsbnsjk-g4vhm 0/1 Running 0 1s"),
        ("pod/web-b55hsbnsjk-g4vhm evicted", "pod/web-b55hsbnsjk-g4vhm deleted"),
        ("Reason: CrashLoopBackOff", "Reason: Error"),
    ],
    ids=["readiness", "words", "reasons"],
)
def test_what_may_not(one: str, other: str) -> None:
    assert masked(one) != masked(other)


def test_a_uid_that_looks_like_an_age_in_the_middle_is_a_uid() -> None:
    assert masked("web(4622870f-04fe-145d-abae-cc942917c32d)") == masked("web(0022870f-04fe-11aa-abae-cc942917c32d)")
