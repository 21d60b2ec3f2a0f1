"""kubectl against the simulator: the commands people use, where kubectl is installed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator

import pytest
import yaml

from evals.simulator import ScaledClock, Simulator
from tests.support.kubectl import kubectl, needs_kubectl

from .test_cluster import NAMESPACE, web

pytestmark = needs_kubectl


class Shell:
    """Runs kubectl as a user."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    async def run(self, *arguments: str, stdin: str = "", user: str = "admin") -> tuple[int, str]:
        environment = {**os.environ, "KUBECONFIG": str(self.sim.kubeconfig(user, "shop"))}
        process = await asyncio.create_subprocess_exec(
            kubectl(), *arguments, env=environment, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate(stdin.encode())
        return process.returncode or 0, output.decode()

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        code, output = await self.run(*arguments, stdin=stdin)
        assert code == 0, output
        return output


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    async with Simulator(clock=ScaledClock(5)) as sim:
        await sim.apply([NAMESPACE, web()])
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"))
        yield Shell(sim)


async def test_get_shows_the_columns(shell: Shell) -> None:
    output = await shell.ok("get", "pods", "-o", "wide")
    header, first, second = output.strip().splitlines()
    assert header.split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert re.match(r"web-\w+-\w+ +1/1 +Running +0 ", first)
    assert re.match(r"web-\w+-\w+ +1/1 +Running +0 ", second)


async def test_apply_creates_and_changes(shell: Shell) -> None:
    manifest = yaml.safe_dump(web("api", 1))
    assert "deployment.apps/api created" in await shell.ok("apply", "-f", "-", stdin=manifest)
    assert "deployment.apps/api unchanged" in await shell.ok("apply", "-f", "-", stdin=manifest)
    changed = yaml.safe_dump(web("api", 2))
    assert "deployment.apps/api configured" in await shell.ok("apply", "-f", "-", stdin=changed)
    assert "deployment.apps/api serverside-applied" in await shell.ok(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=changed
    )


async def test_a_crash_is_seen_and_undone(shell: Shell) -> None:
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"app","command":["sh","-c","echo broken; exit 1"]}]}}}}'
    await shell.ok("patch", "deployment", "web", "-p", patch)
    await shell.sim.until(lambda: "BackOff" in dict(shell.sim.events("shop")))
    assert "CrashLoopBackOff" in await shell.ok("get", "pods")
    name = next(
        p["metadata"]["name"] for p in shell.sim.pods("shop") if p["status"]["containerStatuses"][0]["restartCount"]
    )
    assert await shell.ok("logs", name, "--previous") == "broken\n"
    described = await shell.ok("describe", "pod", name)
    assert "Back-off restarting failed container app" in described
    assert "2" in await shell.ok("rollout", "history", "deployment/web")
    assert "rolled back" in await shell.ok("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in await shell.ok("rollout", "status", "deployment/web", "--timeout=30s")


async def test_a_node_is_drained(shell: Shell) -> None:
    output = await shell.ok("drain", "node2", "--ignore-daemonsets", "--timeout=60s")
    assert "node/node2 cordoned" in output
    assert "node/node2 drained" in output
    assert "Ready,SchedulingDisabled" in await shell.ok("get", "nodes")
    await shell.ok("uncordon", "node2")


async def test_a_budget_keeps_a_node_from_being_drained(shell: Shell) -> None:
    budget = {"spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}
    meta = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "shop"}}
    await shell.sim.apply([{**meta, **budget}])
    await shell.sim.sleep(2)
    code, output = await shell.run("drain", "node2", "--timeout=1s")
    assert code != 0
    assert "Cannot evict pod as it would violate the pod's disruption budget." in output


async def test_rights_are_asked(shell: Shell) -> None:
    assert (await shell.ok("auth", "can-i", "delete", "pods")).strip() == "yes"
    code, output = await shell.run("auth", "can-i", "delete", "pods", user="nobody")
    assert (code, output.strip()) == (1, "no")
    code, output = await shell.run("get", "pods", user="nobody")
    assert 'pods is forbidden: User "nobody" cannot list resource "pods"' in output


async def test_things_are_made_and_deleted(shell: Shell) -> None:
    await shell.ok("create", "configmap", "c", "--from-literal=a=b")
    assert await shell.ok("get", "configmap", "c", "-o", "jsonpath={.data.a}") == "b"
    await shell.ok("create", "namespace", "other")
    await shell.ok("scale", "deployment/web", "--replicas=3")
    await shell.ok("rollout", "restart", "deployment/web")
    await shell.ok("delete", "deployment", "web")
    await shell.ok("delete", "namespace", "other", "--timeout=30s")


async def test_a_watch_shows_changes(shell: Shell) -> None:
    environment = {**os.environ, "KUBECONFIG": str(shell.sim.kubeconfig("admin", "shop"))}
    process = await asyncio.create_subprocess_exec(
        kubectl(), "get", "pods", "-w", "--no-headers", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    lines = [await asyncio.wait_for(process.stdout.readline(), 20) for _ in range(2)]
    await shell.ok("scale", "deployment/web", "--replicas=0")
    lines.append(await asyncio.wait_for(process.stdout.readline(), 20))
    process.terminate()
    await process.wait()
    assert b"Terminating" in lines[-1]
