"""The tests again and again, each time in another order: `make flakes RUNS=20`.

For each run its time and what failed, at the end what failed how often.  The rule: a test that fails once has failed,
and so has a run that takes longer than `--within`.  A run's order follows from its number, which is said, so that
`python -m tests.flakes --runs 1 --first 7` repeats the seventh.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
ALL: Final = ("-n", "auto", "--dist", "worksteal", "-m", "not cluster")
ORDER: Final = "TESTS_ORDER"
"""The seed of the order, for `tests/conftest.py`."""
_BAD: Final = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::[^\s\[]+(?:\[.*?\](?= - |$))?)?)(?: - .*)?$", re.MULTILINE)
_SUMMARY: Final = re.compile(r"^=*\s*(\d+ [a-z]+.* in [\d.]+s.*?)\s*=*$", re.MULTILINE)
_TAIL: Final = 40
"""Lines of a run that are shown when it failed and named no test."""


@dataclass(frozen=True)
class Run:
    """One run of the tests."""

    number: int
    exit_code: int
    wall: float
    cpu: float
    """Seconds of processor time, of all its processes that ended."""
    failed: tuple[str, ...]
    said: str
    """pytest's last line."""
    tail: str

    def is_well(self, within: float) -> bool:
        """Whether nothing failed, in time."""
        return self.exit_code == 0 and self.wall <= within


def play(number: int, arguments: tuple[str, ...]) -> Run:
    """Run pytest once, in the order of that number."""
    began, before = time.monotonic(), _cpu()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, ORDER: str(number)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    failed, said = read(done.stdout)
    tail = "\n".join(done.stdout.splitlines()[-_TAIL:])
    return Run(number, done.returncode, time.monotonic() - began, _cpu() - before, failed, said, tail)


def read(output: str) -> tuple[tuple[str, ...], str]:
    """The tests that failed, and the last line; of pytest's output with its short summary.  Pure."""
    summary = _SUMMARY.findall(output)
    return tuple(dict.fromkeys(_BAD.findall(output))), summary[-1] if summary else "no summary"


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def say(line: str) -> None:
    """For whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """0 when every run went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.flakes", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--first", type=int, default=1, help="the number of the first run, from which its order follows"
    )
    parser.add_argument("--within", type=float, default=float("inf"), help="seconds a run may take")
    parser.add_argument("tests", nargs="*", help="other arguments for pytest, after `--`; all tests without any")
    given = parser.parse_args(argv)
    if given.runs < 1:
        parser.error("--runs: write a number from 1 on")
    runs: list[Run] = []
    for number in range(given.first, given.first + given.runs):
        run = play(number, tuple(given.tests) or ALL)
        runs.append(run)
        verdict = "ok  " if run.is_well(given.within) else "FAIL"
        say(f"{verdict} run {number:>3}: {run.wall:6.0f} s, {run.cpu:6.0f} s of processor time; {run.said}")
        for test in run.failed:
            say(f"       {test}")
        if run.exit_code and not run.failed:
            say(f"       pytest ended with {run.exit_code} (below zero: by that signal); its last lines:\n{run.tail}")
    return conclude(runs, given.within)


def conclude(runs: list[Run], within: float) -> int:
    """Say what came of all, and give the exit code."""
    walls = sorted(run.wall for run in runs)
    bad = [run for run in runs if not run.is_well(within)]
    for test, times in Counter(test for run in runs for test in run.failed).most_common():
        say(f"failed in {times} of {len(runs)} runs: {test}")
    say(
        f"flakes: {len(runs) - len(bad)} passed, {len(bad)} failed of {len(runs)} runs;"
        f" {walls[0]:.0f} s the shortest, {walls[len(walls) // 2]:.0f} s the middle, {walls[-1]:.0f} s the longest"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
