"""What is kept of reads: over real sockets, from the client that everything reads with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from evals.simulator import Simulator
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import AccessQuestion, Cluster
from tools.cluster.reads import Failed, Request, noting
from tools.cluster.resources import CONFIG_MAP, NAMESPACE
from tools.errors import NotFound


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Simulator(nodes=0) as sim:
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}
        await sim.apply(manifest)
        connected = await Cluster.connect(kubeconfig=sim.kubeconfig(), allowlist=AllowList(READ_RULES))
        async with connected:
            yield connected


async def test_answers_and_errors_are_kept_by_request(cluster: Cluster) -> None:
    with noting() as reads:
        held = await cluster.get(CONFIG_MAP, "settings", "default")
        await cluster.list(CONFIG_MAP, "default", label_selector="app=web")
        with pytest.raises(NotFound):
            await cluster.get(CONFIG_MAP, "gone", "default")
        may = await cluster.can_i(AccessQuestion("patch", "apps", "deployments", namespace="default", name="web"))
    path = "/api/v1/namespaces/default/configmaps"
    assert reads.answers[Request("get", f"{path}/settings")] == held
    assert reads.answers[Request("list", path, "labelSelector=app=web")] == []
    failed = reads.answers[Request("get", f"{path}/gone")]
    assert isinstance(failed, Failed)
    assert failed.code == "NOT_FOUND"
    assert reads.answers[Request("may", "default/apps/deployments//web", "patch")] is may is True


async def test_tasks_that_were_begun_inside_count_and_reads_outside_do_not(cluster: Cluster) -> None:
    with noting() as reads:
        await asyncio.gather(cluster.get(NAMESPACE, "default"), cluster.get(CONFIG_MAP, "settings", "default"))
    await cluster.list(CONFIG_MAP, "default")
    assert {r.verb for r in reads.answers} == {"get"}
    assert len(reads.answers) == 2


async def test_the_last_answer_to_a_request_is_the_one_that_is_kept(cluster: Cluster) -> None:
    with noting() as reads:
        for _ in range(2):
            await cluster.get(NAMESPACE, "default")
    assert len(reads.answers) == 1


async def test_each_of_two_tasks_keeps_its_own(cluster: Cluster) -> None:
    async def one(name: str) -> list[Request]:
        with noting() as reads:
            await cluster.get(NAMESPACE, name)
        return list(reads.answers)

    first, second = await asyncio.gather(one("default"), one("kube-system"))
    assert [r.path for r in (*first, *second)] == ["/api/v1/namespaces/default", "/api/v1/namespaces/kube-system"]
