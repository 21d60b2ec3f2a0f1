"""How long a symptom is taken to be the same one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from graph.incident import Reason, Signal
from graph.signals.findings import Finding, to_signal
from graph.signals.symptoms import LATE, LINGER, Symptoms
from tests.graph.signals.samples import at
from tools.refs import ObjectRef

REF = ObjectRef(kind="Pod", namespace="shop", name="x")


def seen(symptoms: Symptoms, seconds: float, grace: float) -> Signal:
    finding = Finding(Reason.POD_FAILED, "x", timedelta(seconds=grace))
    now = at(seconds)
    signal = to_signal(finding, REF, "u", revision=None, seen=symptoms.of("u", now), now=now)
    symptoms.note("u", [signal], now)
    return signal


@pytest.mark.parametrize("grace", [5, 30, 600])
def test_a_quiet_symptom_is_confirmed_by_the_look_that_was_due(grace: float) -> None:
    symptoms = Symptoms()
    assert not seen(symptoms, 0, grace).confirmed
    found = seen(symptoms, grace, grace)
    assert (found.confirmed, found.observed_at) == (True, at(0))


def test_a_confirmed_symptom_stays_confirmed_however_seldom_one_looks() -> None:
    symptoms = Symptoms()
    seen(symptoms, 0, 30)
    assert seen(symptoms, 30, 30).confirmed
    assert seen(symptoms, 4000, 30).confirmed


def test_a_look_that_comes_too_late_begins_anew() -> None:
    symptoms = Symptoms()
    seen(symptoms, 0, 30)
    later = 31 + LATE.total_seconds()
    assert seen(symptoms, later, 30).observed_at == at(later)


def test_a_symptom_that_looks_did_not_find_for_long_is_a_new_one() -> None:
    symptoms = Symptoms()
    seen(symptoms, 0, 30)
    assert seen(symptoms, 30, 30).confirmed
    symptoms.note("u", [], at(31))
    assert seen(symptoms, 35, 30).confirmed
    symptoms.note("u", [], at(36))
    later = 36 + LINGER.total_seconds()
    assert not seen(symptoms, later, 30).confirmed
