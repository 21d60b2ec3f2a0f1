"""Which cluster the suite runs on, and the count it prints."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evals.simulator import Simulator, Timings

from .cluster import Cluster, Credentials, connected, credentials, system_clock

KUBECONFIG = os.environ.get("SELFHEAL_CONFORMANCE_KUBECONFIG", "")
TIMINGS = Timings(toleration_seconds=30, node_grace=16, heartbeat=4, hpa_sync=5)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    if KUBECONFIG:
        async with connected("real", credentials(Path(KUBECONFIG)), system_clock()) as found:
            yield found
        return
    async with Simulator.virtual(timings=TIMINGS) as sim:
        access = Credentials(sim.url, {"Authorization": f"Bearer {sim.token()}"}, tls=False)
        async with connected("simulator", access, sim.clock) as found:
            yield found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    here = "tests/contract/conformance/"
    passed = [r for r in terminalreporter.stats.get("passed", []) if r.nodeid.startswith(here) and r.when == "call"]
    failed = [r for r in terminalreporter.stats.get("failed", []) if r.nodeid.startswith(here)]
    if passed or failed:
        where = f"a real cluster ({KUBECONFIG})" if KUBECONFIG else "the simulator"
        terminalreporter.write_line(f"conformance on {where}: {len(passed)} checks hold, {len(failed)} do not")
