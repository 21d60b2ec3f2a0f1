"""`python -m evals.demo`: tell the story, and exit with 0 when everything ended as it had to.

Exit codes: 0 all as it should be, 1 something was not, 2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

BEGAN = time.monotonic()
"""Before the imports that take long: the total that is told counts them."""
SLOWEST, FASTEST, DEFAULT_SPEED = 1.0, 30.0, 5.0
VIRTUAL = "max"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    given = _parser().parse_args(arguments)
    from evals.demo.faults import FAULTS, RIDDLE, named

    if given.list:
        for fault in (*FAULTS, RIDDLE):
            print(f"{fault.name:<10} {fault.title}{' (told where a model is configured)' if fault.is_riddle else ''}")
        return 0
    try:
        faults = tuple(named(name) for name in given.fault)
    except KeyError as unknown:
        print(f"there is no fault {unknown}; there are {', '.join(f.name for f in (*FAULTS, RIDDLE))}", file=sys.stderr)
        return 2
    from evals.demo.run import Options, run  # late: a list or a wrong name is answered at once
    from evals.demo.stage import Speed
    from server.settings import SettingsError

    options = Options(
        faults=faults,
        speed=Speed(1.0, is_virtual=True) if given.speed == VIRTUAL else Speed(float(given.speed)),
        plain=given.plain,
        stay=given.stay,
        observe=given.observe,
        folder=given.folder,
        began=BEGAN,
    )
    try:
        return asyncio.run(run(options))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evals.demo",
        description="A small shop on a simulated cluster, six faults, and the real selfheal service.",
    )
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="only this fault; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the faults and leave")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=f"{DEFAULT_SPEED:g}",
        help=f"simulated seconds per real one, {SLOWEST:g} to {FASTEST:g} (default: {DEFAULT_SPEED:g});"
        f" {VIRTUAL}: as fast as it can be computed",
    )
    parser.add_argument("--plain", action="store_true", help="no live table (the default without a terminal)")
    parser.add_argument("--stay", action="store_true", help="keep cluster and service up in the end, until Ctrl-C")
    parser.add_argument(
        "--observe", action="store_true", help="let selfheal only watch: nothing is healed, exit code 1"
    )
    parser.add_argument("--folder", type=Path, help="where ledger, token and kubeconfig go; a temporary one by default")
    return parser


def _speed(text: str) -> str:
    """The text itself, when it is a speed."""
    try:
        is_speed = text == VIRTUAL or SLOWEST <= float(text) <= FASTEST
    except ValueError:
        is_speed = False
    if not is_speed:
        raise argparse.ArgumentTypeError(f"{text}: write a number from {SLOWEST:g} to {FASTEST:g}, or {VIRTUAL}")
    return text


if __name__ == "__main__":
    sys.exit(main())
