"""How long a trouble rests that ended without healing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from graph.incident import Reason
from graph.plan import Status
from server.memory import Memory
from tests.graph.rules.samples import signal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SICK = signal(Reason.CRASH_LOOP)


@pytest.mark.parametrize(
    ("why", "status", "retry_after", "times", "seconds"),
    [
        ("a person is needed", Status.ESCALATED, None, 1, 600),
        ("a person is needed, again", Status.ESCALATED, None, 3, 2400),
        ("refused, and waiting changes nothing", Status.REFUSED, None, 1, 600),
        ("refused until the cooldown is over", Status.REFUSED, 100, 1, 100),
        ("refused again and again: each time twice as long", Status.REFUSED, 100, 3, 400),
        ("refused for a moment", Status.REFUSED, 0.5, 1, 10),
        ("refused for hours: it is looked at sooner", Status.REFUSED, 9000, 1, 600),
        ("nothing was wrong, and it shows all the same", Status.CLEARED, None, 1, 30),
    ],
)
def test_how_long_it_rests(why: str, status: Status, retry_after: float | None, times: int, seconds: float) -> None:
    memory = Memory(timedelta(minutes=10))
    pause = None if retry_after is None else timedelta(seconds=retry_after)
    for _ in range(times):
        memory.ended("u", status, opened_for=[SICK], now=NOW, retry_after=pause)
    rest = memory.resting("u", SICK, NOW, may_act=True)
    assert rest is not None
    assert rest.until - NOW == timedelta(seconds=seconds)


def test_what_is_quarantined_is_told_once_and_another_trouble_is_told_all_the_same() -> None:
    memory = Memory(timedelta(minutes=10))
    memory.ended("u", Status.ESCALATED, opened_for=[SICK], now=NOW, left_alone=timedelta(hours=2))
    assert memory.resting("u", SICK, NOW + timedelta(minutes=119), may_act=True) is not None
    assert memory.resting("u", SICK, NOW + timedelta(hours=2), may_act=True) is None
    assert memory.resting("u", signal(Reason.IMAGE_PULL_FAILED), NOW, may_act=True) is None
