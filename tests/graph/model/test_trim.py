"""The order in which evidence is left out, as documented, and that the most telling is never left out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from graph.model import trim
from graph.model.budget import estimate
from graph.model.trim import ORDER, fit
from graph.model.view import view_of
from tests.graph.model.bench import event, evidence, failing_pod, log, offered, pin, ready_pod, revert, signal
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject

WORDS = "the server could not bind to its port because something else holds it; "


def full() -> JsonObject:
    """Plenty of everything."""
    failing = [failing_pod(f"web-7d9c5b4f66-f{i:02}", WORDS) for i in range(10)]
    ready = [ready_pod(f"web-5c6f7d8b99-r{i:02}") for i in range(20)]
    changes = tuple({"path": f"containers[app].env[V{i}].value", "now": "a" * 50, "then": "b" * 50} for i in range(30))
    found = evidence(
        pods=(*failing, *ready),
        scope=tuple(pin(p.ref, p.uid) for p in (*failing, *ready)),
        events=(*(event(f"normal {i}", "Normal") for i in range(10)), *(event(f"warn {i} {WORDS}") for i in range(15))),
        logs=(log(WORDS * 80), log(WORDS * 80)),
        signals=tuple(signal(WORDS * 10) for _ in range(5)),
        candidates=(revert(3, changes=changes), revert(2)),
    )
    view = view_of(found, offered(found), ())
    view["findings"] = [{"tool": "get_logs", "arguments": {}, "text": WORDS * 40} for _ in range(8)]
    return view


def left_out(view: JsonObject) -> dict[str, Any]:
    value = view["left_out"]
    assert isinstance(value, dict)
    return value


def test_what_fits_stays_whole() -> None:
    assert fit(full(), 10**9) == full()


@pytest.mark.parametrize("tokens", [20_000, 12_000, 9_000, 7_000, 5_000, 4_000, 3_000])
def test_cuts_are_made_in_order_and_no_further_than_needed(tokens: int) -> None:
    found = fit(full(), tokens)
    assert not isinstance(found, Refused)
    assert estimate(found) <= tokens
    names = [cut.name for cut in ORDER]
    made = list(left_out(found))
    assert made == names[: len(made)], "each rule is used up before the next one begins"


def test_each_rule_is_reached() -> None:
    """Room enough for what is never left out, and hardly more."""
    smallest = next(t for t in range(500, 20_000, 50) if not isinstance(fit(full(), t), Refused))
    found = fit(full(), smallest)
    assert not isinstance(found, Refused)
    assert list(left_out(found)) == [cut.name for cut in ORDER]


def test_the_most_telling_is_never_left_out() -> None:
    smallest = next(t for t in range(500, 20_000, 50) if not isinstance(fit(full(), t), Refused))
    found, whole = fit(full(), smallest), full()
    assert not isinstance(found, Refused)
    kept: Any = found
    was: Any = whole
    assert kept["workload"] == was["workload"]
    assert len(kept["signals"]) == len(was["signals"])
    assert [r["to_revision"] for r in kept["choices"]["reverts"]] == [3, 2]
    assert kept["containers"] == was["containers"]
    assert kept["tried"] == was["tried"]
    assert kept["unseen"] == was["unseen"]


def test_what_was_cut_is_counted() -> None:
    smaller = fit(full(), estimate(full()) - 1)
    assert not isinstance(smaller, Refused)
    assert left_out(smaller) == {"normal_events": 1}


def test_a_log_keeps_its_end() -> None:
    cut = next(c for c in ORDER if c.name == "log_beginnings")
    view: JsonObject = {"logs": [{"text": "x" * 5000 + "panic"}]}
    after = cut.take(view)
    assert after is not None
    logs: Any = after["logs"]
    assert logs[0]["text"].endswith("panic")
    assert len(logs[0]["text"]) == trim.LOG_CHARACTERS


def test_a_case_that_does_not_fit_is_refused_with_its_code() -> None:
    refused = fit(full(), 50)
    assert isinstance(refused, Refused)
    assert refused.code is ReasonCode.LLM_BUDGET


def test_the_documented_order_has_as_many_rules_as_the_code() -> None:
    documented = re.findall(r"^(\d+)\. ", trim.__doc__ or "", re.MULTILINE)
    assert [int(n) for n in documented] == list(range(1, len(ORDER) + 1))


def test_nothing_is_changed_in_place() -> None:
    view = full()
    fit(view, 3_000)
    assert view == full()
