"""Sixty faults of mixed families, healed by the whole service in virtual time: the benchmark in small."""

from __future__ import annotations

import pytest

from evals.bench.faults import FAMILIES
from evals.bench.incidents import run
from evals.bench.report import Report, text

COUNT = 60
VIRTUAL_SECONDS = 1500.0
"""Fifteen faults in each namespace, one after the other, with half a minute of watching after each recovery."""
REQUESTS_EACH = 40.0


@pytest.mark.slow
async def test_sixty_faults_are_healed() -> None:
    done = await run(COUNT, "test", namespaces=4)
    report = Report.of([done], 1.0)
    assert report.is_well, text(report)
    assert {e.family for e in done.ended} == {f.name for f in FAMILIES}
    assert done.virtual_seconds < VIRTUAL_SECONDS
    assert report.all.p50 is not None
    assert report.all.p50 < 15
    assert done.requests / COUNT < REQUESTS_EACH
