"""Everything that is too long for each change, one part after the other, with a dated result: `make nightly`.

The rule: a part that fails or cannot be run is in the result as such, with its last lines, and the whole has failed; no
part is left out silently: one that was not played is in the result by its name.  What a part gave is written when it
ends, with its commit, so that a night that is cut short can be finished with `--missing`.  Figures are ratios of one
run on one machine.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
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
    at: str
    """When it began."""
    commit: str
    """Of what was played; `+` behind it where files were changed since."""
    lines: tuple[str, ...]


def parts(chaos_minutes: int, plots: Path) -> tuple[Part, ...]:
    """In order; the cluster is brought up by the first that needs it and left to the caller to take down.

    The chaos runs' plots go beside `plots`, under its name with `-chaos-` and the policy's behind it.
    """
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
            (*make, "simulate", "SIMULATE_FLAGS=--undeclared --steady 130"),
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
        *(
            Part(
                f"chaos, real Kubernetes, {policy} policy",
                (
                    *(*make, "chaos", "GROUND=real", f"POLICY={policy}", f"MINUTES={chaos_minutes}"),
                    f"CHAOS_FLAGS=--plot {plots.with_name(f'{plots.name}-chaos-{policy}.svg')}",
                ),
                minutes=chaos_minutes + 20,
            )
            for policy in ("permissive", "default")
        ),
    )


def say(line: str) -> None:
    """For whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(part: Part) -> Outcome:
    """Run it to its end or its bound; its output goes to the terminal as well."""
    say(f"\n== {part.name}: {' '.join(part.command)}")
    began, at, commit = time.monotonic(), datetime.now(UTC), commit_played()
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
    return Outcome(
        part.name,
        " ".join(part.command),
        code,
        round(time.monotonic() - began),
        at.isoformat(timespec="seconds"),
        commit,
        telling(output, code),
    )


def commit_played() -> str:
    """The checked-out commit, short; with `+` where tracked files differ from it, "unknown" outside Git."""
    git = ("git", "describe", "--always", "--dirty=+", "--exclude=*")
    asked = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


def load_results(path: Path) -> dict[str, Outcome]:
    """What the file says of each part by name; nothing where there is no file.

    Raises ValueError when it is not a result of this program.
    """
    if not path.exists():
        return {}
    try:
        rows = json.loads(path.read_text())["parts"]
        return {row["name"]: Outcome(**{**row, "lines": tuple(row["lines"])}) for row in rows}
    except (KeyError, TypeError, json.JSONDecodeError) as wrong:
        raise ValueError(f"{path} is not a result of this program ({wrong}): name another with --out") from wrong


def record(path: Path, outcomes: Sequence[Outcome], every: Sequence[Part]) -> None:
    """Put these outcomes into the file, in place of earlier ones of the same parts.  Others in it stay.

    Safe beside another process that does the same.  No path of this machine gets into it: it is committed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(path.parent):
        known = load_results(path) | {o.name: o for o in outcomes}
        result = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "not_played": [p.name for p in every if p.name not in known],
            "parts": [asdict(known[p.name]) for p in every if p.name in known],
        }
        scratch = path.with_suffix(".new")
        scratch.write_text(of_no_machine(json.dumps(result, indent=2, ensure_ascii=False)) + "\n")
        scratch.replace(path)


def of_no_machine(text: str) -> str:
    """The text with every path of this checkout relative to it, and Python's own without its folder."""
    for folder in (ROOT, Path(sys.executable).parent, Path(sys.prefix), Path(sys.base_prefix)):
        text = text.replace(f"{folder}/", "")
    return text


@contextmanager
def alone_in(folder: Path) -> Generator[None]:
    """No other process is in here with the same folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def telling(output: Sequence[str], code: int) -> tuple[str, ...]:
    """The lines worth keeping: the figures, or the end of what went wrong."""
    said = [line for line in output if TELLING.search(line)][-KEPT:]
    last = [line for line in output[-KEPT:] if not line.startswith("results: ")]  # a path of this machine
    return tuple(said if code == 0 else [*said, *last])


def main(argv: list[str] | None = None) -> int:
    """0 when every part that was asked for went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="words: only the parts whose name has one of them")
    parser.add_argument("--missing", action="store_true", help="only what has no good result in the file yet")
    parser.add_argument("--chaos-minutes", type=int, default=30)
    parser.add_argument(
        "--out", type=Path, default=None, help="where the result goes (default: docs/results/DATE.json)"
    )
    given = parser.parse_args(argv)
    path: Path = given.out or RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    plots = path.resolve().relative_to(ROOT) if path.resolve().is_relative_to(ROOT) else path
    every = parts(given.chaos_minutes, plots.with_suffix(""))
    chosen = [p for p in every if not given.only or any(word in p.name for word in given.only)]
    if not chosen:
        parser.error(f"no part's name has {' or '.join(given.only)!r} in it")
    try:
        known = load_results(path)
    except ValueError as wrong:
        parser.error(str(wrong))
    if given.missing:
        chosen = [p for p in chosen if p.name not in known or known[p.name].exit_code]
    outcomes: list[Outcome] = []
    for part in chosen:
        outcomes.append(run(part))
        record(path, outcomes[-1:], every)
    for outcome in outcomes:
        say(f"{'ok  ' if outcome.exit_code == 0 else 'FAIL'} {outcome.seconds:>6} s  {outcome.name}")
    say(f"result: {path}")
    return 0 if all(o.exit_code == 0 for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
