"""What `make flakes` reads in pytest's output, and that it fails when a test fails once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flakes import main, read

WELL = "....\n4 passed, 1 skipped in 2.51s\n"
BADLY = """\
=========================== short test summary info ============================
SKIPPED [1] tests/x.py:3: not here
FAILED tests/a.py::test_one[a b - c] - AssertionError: no
FAILED tests/a.py::test_two
ERROR tests/b.py - ImportError: gone
ERROR tests/c.py::test_three[simulator] - RuntimeError: set-up
2 failed, 7164 passed, 4 skipped, 2 errors in 415.27s (0:06:55)
"""
CRASHED = "INTERNALERROR> boom\n"
OUTPUTS = {
    "all well": (WELL, (), "4 passed, 1 skipped in 2.51s"),
    "failures and errors": (
        BADLY,
        ("tests/a.py::test_one[a b - c]", "tests/a.py::test_two", "tests/b.py", "tests/c.py::test_three[simulator]"),
        "2 failed, 7164 passed, 4 skipped, 2 errors in 415.27s (0:06:55)",
    ),
    "no end": (CRASHED, (), "no summary"),
}


@pytest.mark.parametrize(("output", "failed", "said"), OUTPUTS.values(), ids=OUTPUTS)
def test_what_is_read(output: str, failed: tuple[str, ...], said: str) -> None:
    assert read(output) == (failed, said)


def test_a_test_that_fails_once_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It fails in its second run alone."""
    (tmp_path / "test_sometimes.py").write_text(
        "from pathlib import Path\n"
        "def test_it():\n"
        "    seen = Path(__file__).with_name('seen')\n"
        "    seen.write_text('x' * (len(seen.read_text()) + 1 if seen.exists() else 1))\n"
        "    assert len(seen.read_text()) != 2\n"
    )
    assert main(["--runs", "3", "--", "-c", "/dev/null", "-ra", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert [line[:4] for line in said.splitlines() if " run " in line] == ["ok  ", "FAIL", "ok  "]
    assert "failed in 1 of 3 runs: " in said
    assert "flakes: 2 passed, 1 failed of 3 runs" in said


def test_a_run_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    (tmp_path / "test_well.py").write_text("def test_it():\n    pass\n")
    arguments = ["--", "-c", "/dev/null", str(tmp_path)]
    assert main(["--runs", "1", *arguments]) == 0
    assert main(["--runs", "1", "--within", "0", *arguments]) == 1
