"""What the nightly run writes down is committed: it tells nothing of the machine it ran on."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.nightly import ROOT, Outcome, Part, load_results, record


def test_no_path_of_the_machine_is_in_a_result(tmp_path: Path) -> None:
    trace = f'  File "{ROOT}/tests/crash/proxy.py", line 122, in _forward'
    outcome = Outcome(
        "a part", f"{sys.executable} -m pytest tests", 1, 2, "2026-11-24T05:00:00+00:00", "1f6b8b0", (trace,)
    )
    path = tmp_path / "result.json"

    record(path, [outcome], every=[Part("a part", ("true",), minutes=1)])

    kept = load_results(path)["a part"]
    assert kept.lines == ('  File "tests/crash/proxy.py", line 122, in _forward',)
    assert str(ROOT) not in kept.command
    assert kept.command.endswith("-m pytest tests")
