"""The model's half of the reasoner on the real cluster: a scripted model over HTTP, real pods, real kubelets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evals.scripted_model.script import Reply, Script
from evals.scripted_model.server import ScriptedModel
from tests.cluster.harness import build
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import run_kubectl
from tests.graph.model.bench import plan
from tests.support.process import Healer, Substrate, real, recovered, until
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_str

pytestmark = pytest.mark.cluster

ENOUGH: JsonObject = {"when": {"tool": "get_logs"}, "times": "always", "text": "That is enough."}
PROBE: JsonObject = {"when": {}, "times": "always", "text": "{}"}
"""What the start asks, to find out what the server can, is answered with nothing of use."""
FINAL = {"healed", "cleared", "observed", "refused", "escalated"}


@contextlib.asynccontextmanager
async def healer(
    cluster: Substrate, folder: Path, replies: list[JsonObject], *, reasoner: str = "hybrid", mode: str = "auto"
) -> AsyncIterator[tuple[Healer, ScriptedModel]]:
    """The service as a process, with the scripted model as its model."""
    about_us: JsonObject = {"contains": cluster.namespace}  # the questions of the start are answered by the default
    script = Script(replies=tuple(Reply.model_validate({"when": about_us, **r}) for r in [*replies, PROBE]))
    async with ScriptedModel(script) as model:
        settings = {
            "SELFHEAL_REASONER": reasoner,
            "SELFHEAL_LLM_MODEL": "scripted-1",
            "SELFHEAL_LLM_BASE_URL": model.url,
            "SELFHEAL_LLM_API_KEY": "not-a-secret",
            "SELFHEAL_LLM_PLANNING": "schema",
        }
        running = Healer(cluster.kubeconfig, folder, cluster.namespace, mode=mode, settings=settings)
        await running.start()
        try:
            yield running, model
        finally:
            await running.stop()


async def ended(running: Healer) -> JsonObject:
    """The account of the newest incident once it has ended."""

    async def is_final() -> bool:
        return await running.status() in FINAL

    await until(is_final, 240)
    return await running.account()


async def kubectl(cluster: Substrate, *arguments: str) -> str:
    """The cluster's own kubectl, as admin, in the test's namespace."""
    layout = Layout.from_environment()
    program = build.binaries(layout) / "kubectl"
    return await run_kubectl(program, layout.kubeconfig("admin"), cluster.namespace, arguments)


def workload(cluster: Substrate, action: str, **more: JsonValue) -> JsonObject:
    """An action on the test's Deployment."""
    return {"action": action, "kind": "Deployment", "namespace": cluster.namespace, "name": "web", **more}


async def test_a_plan_of_the_model_heals_what_no_rule_knows_after_a_forbidden_one_was_refused(tmp_path: Path) -> None:
    """No rollout, no signal that a rule knows the cause of: the settled revision just stops being ready."""
    async with real(probe="test ! -e /tmp/w/broken") as cluster:
        forbidden = workload(cluster, "restart_workload") | {"namespace": "kube-system", "name": "coredns"}
        replies: list[JsonObject] = [
            ENOUGH,
            {"json": plan(forbidden)},
            {"json": plan(workload(cluster, "restart_workload"))},
        ]
        async with healer(cluster, tmp_path, replies) as (running, model):
            await break_readiness(cluster)
            account = await ended(running)
            assert dig_str(account, "status") == "healed", account
            assert dig_str(account, "diagnosis", "origin") == "model"
            assert "TARGET_OUT_OF_SCOPE" in model.chats[-1].spoken, "the refusal went back to the model"
            assert [dig_str(a, "tool") for a in dig_list(account, "actions")] == ["restart_workload"]


async def break_readiness(cluster: Substrate) -> None:
    """Both pods stop being ready, and go on running."""
    listed = await kubectl(cluster, "get", "pods", "-l", "app=web", "-o", "name")
    for pod in listed.split():
        await kubectl(cluster, "exec", pod, "--", "touch", "/tmp/w/broken")


async def test_a_plan_waits_for_approval_over_a_restart_and_heals(tmp_path: Path) -> None:
    async with real() as cluster, healer(cluster, tmp_path, [], reasoner="rules", mode="approve") as (running, _):
        await cluster.break_it()

        async def is_waiting() -> bool:
            return await running.status() == "waiting"

        await until(is_waiting, 60)
        await running.kill()
        await running.start()
        account = await running.account()
        plan_hash = dig_str(account, "question", "plan_hash") or dig_str(account, "waiting", "plan_hash")
        assert plan_hash, account
        await running.post(f"/incidents/{dig_str(account, 'id')}/approve", {"plan_hash": plan_hash})
        account = await ended(running)
        assert dig_str(account, "status") == "healed", account
        assert await recovered(cluster)


async def test_a_plan_that_makes_it_worse_is_undone_exactly_and_thought_over(tmp_path: Path) -> None:
    """Revision 1 serves, 2 never worked, 3 is broken; the model goes to 2 first."""
    async with real() as cluster:
        await kubectl(cluster, "set", "image", "deployment/web", "app=registry.invalid/web:older")
        await asyncio.sleep(1)
        await cluster.break_it()
        broken = await cluster.get()
        replies: list[JsonObject] = [
            ENOUGH,
            {"json": plan(workload(cluster, "rollback_workload", to_revision=2))},
            {"json": plan(workload(cluster, "rollback_workload", to_revision=1)), "times": "always"},
        ]
        async with healer(cluster, tmp_path, replies, reasoner="model") as (running, _):
            account = await ended(running)
            assert dig_str(account, "status") == "healed", account
            timeline = dig_list(account, "timeline")
            phases = [dig_str(line, "phase") for line in timeline]
            assert phases.count("undo") >= 1, account
            assert await recovered(cluster)
            # created, older, broken; to 2, undone, to 1: the undo put back the very template that was there before.
            assert dig_int(await cluster.get(), "metadata", "generation") == 6
            undone = [a for a in dig_list(account, "actions") if dig_str(a, "state") == "undone"]
            assert len(undone) == 1, account
            assert dig_str(broken, "spec", "template", "spec", "containers", 0, "image") == "registry.invalid/web:2"
