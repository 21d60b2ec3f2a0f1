from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from evals.simulator import Simulator
from tests.contract.executors.arena import WIDE, Arena
from tests.support.ledgers import ledger_at
from tools.clock import Clock, SystemClock
from tools.cluster.allowlist import AllowList
from tools.cluster.client import Cluster
from tools.ledger.ledger import Ledger


@pytest.fixture
async def arena(tmp_path: Path) -> AsyncIterator[Arena]:
    async with AsyncExitStack() as stack:
        given = os.environ.get("SELFHEAL_CONTRACT_KUBECONFIG")
        rules, patience = AllowList(WIDE), 90.0
        clock: Clock = SystemClock()
        if given:
            reached = await Cluster.connect(kubeconfig=Path(given), allowlist=rules)
        else:
            simulator = await stack.enter_async_context(Simulator.virtual(nodes=2))
            clock = simulator.clock
            reached = await Cluster.at(simulator.url, token=simulator.token("admin"), allowlist=rules)
            patience = 300.0
        cluster = await stack.enter_async_context(reached)
        ledger = await stack.enter_async_context(await Ledger.open(await ledger_at(tmp_path / "ledger.db")))
        made = await Arena.make(cluster, ledger, clock, patience=patience)
        stack.push_async_callback(made.close)
        yield made
