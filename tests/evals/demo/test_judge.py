"""What counts as a good end of a chapter."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from evals.demo.faults import FAULTS, RIDDLE, Ending, named
from evals.demo.judge import differences, strays
from evals.demo.shop import CACHE, WEB
from graph.plan import Status
from server.account import Account

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC).isoformat()
ACTORS = {"approval": "human:me"}
TARGET = {"kind": "Deployment", "namespace": "shop", "name": "web"}


def account(status: str, *phases: str) -> Account:
    result: dict[str, Any] = {
        "incident_id": "i1",
        "status": status,
        "target": TARGET,
        "diagnosis": None,
        "plan": None,
        "outcomes": [],
        "verification": None,
        "undo": None,
        "resolution": {"status": status, "sentence": "It ended.", "closed_at": NOW},
        "opened_at": NOW,
        "attempts": 1,
    }
    times = dict.fromkeys(
        ("signal_to_incident", "signal_to_first_write", "detection_to_first_write", "signal_to_recovered")
    )
    lines = [
        {
            "seq": i,
            "at": NOW,
            "phase": p,
            "actor": ACTORS.get(p, "selfheal"),
            "sentence": p,
            "code": "",
        }
        for i, p in enumerate(phases)
    ]
    return Account.model_validate(
        {
            "id": "i1",
            "status": status,
            "is_open": False,
            "headline": "It ended.",
            "target": TARGET,
            "target_uid": "u1",
            "family": "crash",
            "source": "watcher",
            "opened_at": NOW,
            "detected_at": NOW,
            "closed_at": NOW,
            "seconds": times,
            "signals": [],
            "diagnosis": None,
            "plan": None,
            "question": None,
            "actions": [],
            "why_not": [],
            "timeline": lines,
            "result": result,
        }
    )


HEALED = Ending(Status.HEALED)
ENDS: dict[str, tuple[Account, Ending, list[str]]] = {
    "healed as it should be": (account("healed", "verify"), HEALED, []),
    "refused as it should be": (account("refused"), Ending(Status.REFUSED), []),
    "observed where it had to be healed": (account("observed"), HEALED, ["it is observed and not healed: It ended."]),
    "undone where nothing had to be": (account("healed", "undo"), HEALED, ["a plan was undone"]),
    "undone as it should be": (account("healed", "undo"), Ending(Status.HEALED, undone=True), []),
    "not undone": (account("healed"), Ending(Status.HEALED, undone=True), ["nothing was undone"]),
    "a person agreed": (account("healed", "approval"), Ending(Status.HEALED, asked=True), []),
    "nobody was asked": (account("healed"), Ending(Status.HEALED, asked=True), ["nobody was asked"]),
    "somebody was asked for nothing": (account("healed", "approval"), HEALED, ["a person was asked"]),
    "a model tried something first": (account("escalated", "undo"), RIDDLE.ending, []),
}


@pytest.mark.parametrize("case", ENDS)
def test_an_end_is_compared_with_what_it_had_to_be(case: str) -> None:
    ended, ending, wrong = ENDS[case]
    assert differences(ended, ending) == wrong


def _changed(workload: Any, **fields: Any) -> dict[str, Any]:
    live: dict[str, Any] = copy.deepcopy(workload.manifest())
    live["spec"]["template"]["spec"]["containers"][0].update({"imagePullPolicy": "IfNotPresent", **fields})
    return live


STRAYS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "as written, with defaults": ("settings", _changed(WEB), []),
    "another image": ("settings", _changed(WEB, image="x:1"), ["image"]),
    "a field that was added stays": ("settings", _changed(WEB, envFrom=[{"configMapRef": {"name": "x"}}]), ["envFrom"]),
    "the remedy's own field": ("memory", _changed(CACHE, resources={"limits": {"memory": "128Mi"}}), []),
    "another field than the remedy's": ("memory", _changed(CACHE, env=[]), ["env"]),
    "the probe is gone": ("probe", _changed(WEB, readinessProbe=None), ["image", "name", "readinessProbe"]),
}


@pytest.mark.parametrize("case", STRAYS)
def test_fields_that_are_not_as_written_are_named(case: str) -> None:
    fault, live, wrong = STRAYS[case]
    assert strays(live, named(fault)) == wrong


def test_a_workload_that_is_gone_is_not_whole() -> None:
    assert "image" in strays(None, named("settings"))


def test_the_story_has_six_faults_with_each_kind_of_end() -> None:
    assert len({f.name for f in FAULTS}) == 6
    assert len({f.workload.name for f in FAULTS}) == 6, "each on another workload: no cooldown stands in the way"
    assert sum(f.ending.asked for f in FAULTS) == 1
    assert sum(f.ending.undone for f in FAULTS) == 1
    assert sum(f.ending.status is Status.REFUSED for f in FAULTS) == 1
    assert all("SCRIPTED" in " ".join(f.told) for f in FAULTS if f.scripted)
