"""What a run says of itself."""

from __future__ import annotations

import pytest

from evals.bench.__main__ import main, shares
from evals.bench.incidents import Ended, Run
from evals.bench.report import Report, rank, text


def ended(number: int, seconds: float | None, wrong: str = "", kind: str = "Deployment") -> Ended:
    status = "escalated" if wrong else "healed"
    return Ended(number, "ends", "command", f"a/{kind}/w{number}", kind, "it ends", status, wrong, seconds, 1)


def report(*faults: Ended, strays: tuple[str, ...] = ()) -> Report:
    return Report.of([Run(faults, strays, 90, 500.0, 8.0, 1.0)], 10.0)


@pytest.mark.parametrize(
    ("times", "share", "value"),
    [
        ([], 0.5, None),
        ([1.0], 0.95, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
        ([1.0, 2.0], 1.0, 2.0),
    ],
    ids=["none", "one", "the middle one", "95 of 100", "the slowest"],
)
def test_ranks(times: list[float], share: float, value: float | None) -> None:
    assert rank(times, share) == value


@pytest.mark.parametrize(
    ("said", "is_well"),
    [
        (report(ended(1, 2.0), ended(2, 3.0)), True),
        (report(ended(1, 2.0), ended(2, None, "escalated: no rule")), False),
        (report(ended(1, 2.0), strays=("a/Deployment/other healed",)), False),
        (report(), False),
    ],
    ids=["all healed", "one not", "an incident where nothing was broken", "nothing measured"],
)
def test_well_is_when_all_was_healed_and_nothing_else_touched(said: Report, is_well: bool) -> None:
    assert said.is_well is is_well


def test_a_share_is_never_rounded_up_to_everything() -> None:
    said = text(report(*(ended(n, 1.0) for n in range(2999)), ended(2999, None, "why not")))
    assert "2999 of 3000 faults healed (99.9 %)" in said
    assert "NOT HEALED  fault 2999, ends on a/Deployment/w2999 (it ends): why not" in said


def test_the_numbers_for_machines() -> None:
    document = report(ended(1, 2.0), ended(2, 4.0), ended(3, None, "no")).document()
    assert (document["faults"], document["healed"], document["requests_per_incident"]) == (3, 2, 30.0)
    assert document["seconds_to_recovery"] == {"p50": 2.0, "p95": 4.0, "max": 4.0}
    assert document["incidents_per_second"] == 0.3


@pytest.mark.parametrize(
    ("count", "processes", "parts"),
    [(1000, 2, [500, 500]), (5, 2, [3, 2]), (1, 4, [1])],
    ids=["even", "odd", "fewer than processes"],
)
def test_faults_are_shared_out(count: int, processes: int, parts: list[int]) -> None:
    assert shares(count, processes) == parts


@pytest.mark.parametrize("arguments", [["incidents", "--count", "0"], ["incidents", "--seed", "x"], []])
def test_wrong_usage_is_said(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended_with:
        main(arguments)
    assert ended_with.value.code == 2
