"""`python -m evals.run` (`make evals`): replay the recorded incidents and score what the graph makes of them.

No cluster, no key, no network: each case runs through the real analyzer, reasoner and validator over its recorded
world, by rules, and by recorded replies of a model where there are some.

Exit codes: 0 every case reached its baseline, 1 one did not or none was executed, 2 cases or baseline cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evals.cases import FOLDER, Case, CaseError, load_cases
from evals.replay import Replayed, ReplayError, replay
from evals.report import Row, document, faults, read_baseline, summary, table, write_baseline
from evals.scorers import score
from server.logging import configure_logging
from tools.errors import ToolError

BASELINE: Final = Path(__file__).parent / "baseline.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    given = _parser().parse_args(arguments)
    configure_logging("error", "auto")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        cases = load_cases(given.folder, tuple(given.case))
        baseline = {} if given.update_baseline else read_baseline(given.baseline)
    except (CaseError, ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 2
    rows = [row for case in cases for row in play(case)]
    if given.update_baseline and rows:
        write_baseline(given.baseline, rows)
        baseline = read_baseline(given.baseline)
    wrong = faults(rows, baseline, is_whole=not given.case)
    print(table(rows))
    print(summary(rows))
    given.out.write_text(json.dumps(document(rows, wrong), indent=1) + "\n", encoding="utf-8")
    print(f"result: {given.out}")
    for sentence in wrong:
        print(f"FAILED: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


def play(case: Case) -> list[Row]:
    """One case by rules, and by the model's replies where there are some."""
    rows = [_row(case, by_model=False)]
    if case.replies is not None:
        rows.append(_row(case, by_model=True))
    return rows


def _row(case: Case, *, by_model: bool) -> Row:
    by = "model" if by_model else "rules"
    began = time.monotonic()
    found: Replayed | None = None
    broken = ""
    with tempfile.TemporaryDirectory(prefix="selfheal-evals-") as folder:
        try:
            found = asyncio.run(replay(case, Path(folder), by_model=by_model))
        except (ReplayError, ToolError) as error:
            broken = str(error)
    return Row(
        case=case.name,
        by=by,
        recorded_on=case.export.recorded_on,
        score=score(found, case.truth) if found is not None else None,
        seconds=time.monotonic() - began,
        broken=broken,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evals.run", description="Replays recorded incidents offline and scores the answers."
    )
    parser.add_argument("case", nargs="*", help="names of cases; all without any")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the recordings are")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="what each case must reach")
    parser.add_argument(
        "--update-baseline", action="store_true", help="take what is reached now as the baseline (all cases)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "selfheal-evals.json", help="JSON result"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
