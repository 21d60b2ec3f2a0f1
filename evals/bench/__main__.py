"""`python -m evals.bench incidents`: play the faults, print the numbers.

Exit codes: 0 every fault was healed (and in time, with `--within`), 1 one was not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

BEGAN: Final = time.monotonic()
"""Before the imports that take long: the total counts them."""
COUNT: Final = 1000
PROCESSES: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    given = _parser().parse_args(arguments)
    from evals.bench.incidents import AT_ONCE, play
    from evals.bench.report import Report, text

    parts = shares(given.count, given.processes)
    jobs = [(part, f"{given.seed}.{i}", given.at_once or AT_ONCE, given.gaps) for i, part in enumerate(parts)]
    if len(jobs) == 1:
        runs = [play(*jobs[0])]
    else:
        # Spawned, not forked: each has an event loop and threads of its own.
        with ProcessPoolExecutor(len(jobs), multiprocessing.get_context("spawn")) as pool:
            runs = [f.result() for f in [pool.submit(play, *job) for job in jobs]]
    report = Report.of(runs, time.monotonic() - BEGAN)
    print(text(report))
    if given.json is not None:
        given.json.write_text(json.dumps(report.document(), indent=2) + "\n")
    if given.within is not None and report.wall_seconds > given.within:
        print(f"TOO SLOW    {report.wall_seconds:.0f} s; {given.within:g} s are allowed")
        return 1
    return 0 if report.is_well else 1


def shares(count: int, processes: int) -> list[int]:
    """So many faults over so many processes, as evenly as can be; none of them empty."""
    some, more = divmod(count, processes)
    return [n for i in range(processes) if (n := some + (i < more))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evals.bench", description="Measurements over the simulator.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    incidents = commands.add_parser("incidents", help="faults of mixed families, all of them to be healed")
    incidents.add_argument("--count", type=_number, default=COUNT, help=f"how many faults (default: {COUNT})")
    incidents.add_argument("--seed", type=int, default=1, help="what faults and estate are drawn from (default: 1)")
    incidents.add_argument(
        "--processes", type=_number, default=PROCESSES, help=f"clusters beside each other (default: {PROCESSES})"
    )
    incidents.add_argument("--at-once", type=_number, help="faults at the same time in one cluster")
    incidents.add_argument("--within", type=float, metavar="SECONDS", help="fail when it takes longer")
    incidents.add_argument("--gaps", action="store_true", help="with the faults that are known not to be healed yet")
    incidents.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    return parser


def _number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: write a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
