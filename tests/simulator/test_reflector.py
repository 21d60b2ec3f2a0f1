"""The service's own mirror over the simulator: a large cluster, and a quiet one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from evals.simulator import Simulator
from evals.simulator.objects import name_of
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.cluster.mirror import Mirror
from tools.cluster.objects import Pod
from tools.cluster.reflector import Reflector
from tools.cluster.structs import KubeObject

from .test_cluster import NAMESPACE, web

WORKLOADS, PODS_EACH = 50, 100


@asynccontextmanager
async def mirror_of(sim: Simulator) -> AsyncIterator[Mirror]:
    async with await Cluster.connect(kubeconfig=sim.kubeconfig(), allowlist=AllowList(READ_RULES)) as cluster:
        mirror = Mirror(cluster, sim.clock)
        await mirror.start()
        try:
            assert await mirror.synced()
            yield mirror
        finally:
            await mirror.stop()


def pods_in(mirror: Mirror) -> Reflector[KubeObject]:
    return next(r for r in mirror.reflectors if r.resource.plural == "pods")


def is_like(mirror: Mirror, sim: Simulator) -> bool:
    """Whether the mirror holds exactly the pods there are, each at its newest version."""
    held = {(p.uid, p.metadata.resource_version) for p in mirror.pods()}
    return held == {(p["metadata"]["uid"], p["metadata"]["resourceVersion"]) for p in sim.all_of("Pod")}


@pytest.mark.slow
async def test_five_thousand_pods_are_listed_and_watched() -> None:
    async with Simulator.virtual(nodes=7, window=200_000) as sim:
        await sim.apply([NAMESPACE, *(web(f"w{i}", PODS_EACH) for i in range(WORKLOADS))])
        await sim.until(lambda: all(sim.ready("Deployment", "shop", f"w{i}") for i in range(WORKLOADS)), 600, every=5)
        begin = time.process_time()
        async with mirror_of(sim) as mirror:
            assert time.process_time() - begin < 10, "listed"
            assert len(mirror.pods()) == WORKLOADS * PODS_EACH
            assert is_like(mirror, sim)
            counters = pods_in(mirror).counters

            kinds = await changes_of(mirror, sim, roll_out_and_delete)
            assert kinds["gone"] >= PODS_EACH + 50
            assert kinds["added"] >= PODS_EACH + 50
            assert len(mirror.pods()) == WORKLOADS * PODS_EACH
            assert is_like(mirror, sim)
            assert counters.relists == 1, "watched, not listed again"

            sim.server.sever_watches()
            await changes_of(mirror, sim, roll_out_and_delete)
            assert is_like(mirror, sim)
            assert counters.relists == 2, "listed again after 410"


async def roll_out_and_delete(sim: Simulator) -> None:
    """One workload gets a new revision, fifty pods of others are deleted; all is ready again afterwards."""
    labels = {"release": str(sim.store.version)}
    changed = web("w0", PODS_EACH)
    changed["spec"]["template"]["metadata"]["labels"] |= labels
    await sim.apply(changed)
    for pod in sim.pods("shop", app="w1")[:50]:
        sim.api.delete(sim.kind("Pod"), "shop", name_of(pod))
    await sim.until(lambda: all(sim.ready("Deployment", "shop", w) for w in ("w0", "w1")), 600, every=5)
    await sim.until(lambda: len(sim.all_of("Pod")) == WORKLOADS * PODS_EACH, 60, every=5)


async def changes_of(mirror: Mirror, sim: Simulator, change: Callable[[Simulator], Awaitable[None]]) -> Counter[str]:
    """How many pods were added, changed and gone, as a subscriber of the mirror is told."""
    subscription, told = mirror.subscribe(), Counter[str]()

    async def count() -> None:
        async for delta in subscription:
            told[delta.kind] += isinstance(delta.object, Pod)

    counting = asyncio.create_task(count())
    await change(sim)
    await sim.until(lambda: is_like(mirror, sim), 60, every=5)
    subscription.close()
    await counting
    return told


async def test_a_quiet_cluster_is_seen_without_a_gap() -> None:
    """Watches end after minutes and begin anew; a source that has nothing to say is not taken for a stale one."""
    async with Simulator.virtual() as sim, mirror_of(sim) as mirror:
        oldest = 0.0
        for _ in range(2 * 3600 // 5):
            await sim.clock.sleep(timedelta(seconds=5))
            oldest = max(oldest, mirror.view_age())
        assert min(r.counters.watches for r in mirror.reflectors) > 10
        assert oldest < 75, "a bookmark comes each minute, and the end of a watch says as much"
