"""Each family of faults twice, healed by the whole service in virtual time: the benchmark in small."""

from __future__ import annotations

from collections import Counter

import pytest

from evals.bench.faults import FAMILIES
from evals.bench.incidents import run
from evals.bench.report import Report, text

COUNT = 2 * len(FAMILIES)
VIRTUAL_SECONDS = 1000.0
"""Ten faults in each namespace, one after the other, with half a minute of watching after each recovery."""
REQUESTS_EACH = 40.0


@pytest.mark.slow
async def test_faults_of_every_family_are_healed() -> None:
    done = await run(COUNT, "test", namespaces=4)
    report = Report.of([done], 1.0)
    assert report.is_well, text(report)
    assert Counter(e.family for e in done.ended) == dict.fromkeys((f.name for f in FAMILIES), 2)
    assert done.virtual_seconds < VIRTUAL_SECONDS
    assert report.all.p50 is not None
    assert report.all.p50 < 15
    assert done.requests / COUNT < REQUESTS_EACH
