"""Everything that is too long for each change, one part after the other, with a dated result: `make nightly`.

The rule: a part that fails or cannot be run is in the result as such, with its last lines, and the whole has failed; no
part is left out silently.  Figures are ratios of one run on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.cluster.harness.layout import Layout

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "docs" / "results"
TELLING: Final = re.compile(
    r"passed|failed|skipped|healed \d|waited \d|escalated \d|escalated with|left alone|collateral|first signal"
    r"|API requests|incidents/s|recovered|cases|longest outage|writes per fault|simulated seconds"
)
"""Lines of a part's output that are kept when it went well."""
KEPT: Final = 30


@dataclass(frozen=True)
class Part:
    """One thing to run: a name people know, a command, and what it needs beyond Python."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    minutes: int = 60


@dataclass(frozen=True)
class Outcome:
    """What became of one part."""

    name: str
    command: str
    exit_code: int
    seconds: int
    lines: tuple[str, ...]


def parts(chaos_minutes: int) -> tuple[Part, ...]:
    """In order; the cluster is brought up by the first that needs it and left to the caller to take down."""
    make = ("make", "--no-print-directory")
    admin = str(Layout.from_environment().kubeconfig("admin"))
    return (
        Part("tests that need only Python", (*make, "test")),
        Part("tests that need only Python, twenty times", (*make, "flakes", "RUNS=20"), minutes=90),
        Part("the demo", (*make, "demo")),
        Part("recorded incidents, replayed", (*make, "evals")),
        Part("a thousand simulated faults", (*make, "bench")),
        Part("all scenarios, simulated", (*make, "simulate"), (("SCENARIOS", "all"),)),
        Part(
            "all scenarios, simulated, nothing declared",
            (*make, "simulate", "SIMULATE_FLAGS=--undeclared --steady 40"),
        ),
        Part("all scenarios, simulated, every name at random", (*make, "simulate", "SIMULATE_FLAGS=--shuffle-names 7")),
        Part("all scenarios, real Kubernetes", (*make, "cluster-test", "SCENARIOS=all"), minutes=90),
        Part("real Argo CD and KEDA, built", (*make, "executors-build", "CLUSTER_FLAGS=--install"), minutes=90),
        Part(
            "executors, real Argo CD and KEDA",
            (*make, "cluster-test", "SCENARIOS=executors"),
            (("SELFHEAL_REQUIRE_EXECUTORS", "1"),),
            minutes=60,
        ),
        Part(
            "contracts of all actions, real Kubernetes",
            (sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/contract"),
            (("SELFHEAL_CONTRACT_KUBECONFIG", admin), ("SELFHEAL_CONFORMANCE_KUBECONFIG", admin)),
            minutes=60,
        ),
        Part(
            "chaos, real Kubernetes, permissive policy",
            (*make, "chaos", "GROUND=real", "POLICY=permissive", f"MINUTES={chaos_minutes}"),
            minutes=chaos_minutes + 20,
        ),
        Part(
            "chaos, real Kubernetes, default policy",
            (*make, "chaos", "GROUND=real", "POLICY=default", f"MINUTES={chaos_minutes}"),
            minutes=chaos_minutes + 20,
        ),
    )


def say(line: str) -> None:
    """For whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(part: Part) -> Outcome:
    """Run it to its end or its bound; its output goes to the terminal as well."""
    say(f"\n== {part.name}: {' '.join(part.command)}")
    began = time.monotonic()
    output: list[str] = []
    process = subprocess.Popen(
        part.command,
        cwd=ROOT,
        env={**os.environ, **dict(part.environment)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    for line in process.stdout:
        say(line.rstrip("\n"))
        output.append(line.rstrip())
        if time.monotonic() - began > part.minutes * 60:
            process.terminate()
            output.append(f"ended after {part.minutes} minutes")
            break
    code = process.wait()
    return Outcome(part.name, " ".join(part.command), code, round(time.monotonic() - began), telling(output, code))


def telling(output: Sequence[str], code: int) -> tuple[str, ...]:
    """The lines worth keeping: the figures, or the end of what went wrong."""
    said = [line for line in output if TELLING.search(line)][-KEPT:]
    return tuple(said if code == 0 else [*said, *output[-KEPT:]])


def main(argv: list[str] | None = None) -> int:
    """0 when every part went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly", description=__doc__)
    parser.add_argument("--only", default="", help="a word: only the parts whose name has it")
    parser.add_argument("--chaos-minutes", type=int, default=30)
    parser.add_argument(
        "--out", type=Path, default=None, help="where the result goes (default: docs/results/DATE.json)"
    )
    given = parser.parse_args(argv)
    chosen = [p for p in parts(given.chaos_minutes) if given.only in p.name]
    if not chosen:
        parser.error(f"no part's name has {given.only!r} in it")
    at = datetime.now(UTC)
    outcomes = [run(part) for part in chosen]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    result = {
        "at": at.isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "parts": [asdict(o) for o in outcomes],
    }
    path = given.out or RESULTS / f"{at:%Y-%m-%d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    for outcome in outcomes:
        say(f"{'ok  ' if outcome.exit_code == 0 else 'FAIL'} {outcome.seconds:>6} s  {outcome.name}")
    say(f"result: {path}")
    return 0 if all(o.exit_code == 0 for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
