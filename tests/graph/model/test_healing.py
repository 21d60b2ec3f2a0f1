"""The model inside the whole service, over the simulated API server: it heals, is corrected, and may be down."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from evals.scripted_model.script import Reply, Script
from evals.scripted_model.server import ScriptedModel
from evals.simulator import Simulator
from graph.model.config import Investigation, Mode, ModelConfig, Planning
from graph.plan import ExecutionResult, Origin, Status
from graph.ports import PortsConfig, open_ports
from graph.runner import Runner, open_checkpointer
from server.service import run_service
from server.settings import Settings
from tests.graph.model.bench import CONCLUSION, KEY, ROLLBACK, call, plan
from tests.support.healing import AUTO, HEALER, WEB, Bench, end_of, set_container
from tools.refs import IncidentId

BACK = {**ROLLBACK, "to_revision": 1}
HISTORY = {
    "when": {"tool": "get_rollout_history"},
    "calls": [call("get_rollout_history", kind="Deployment", name="web")],
}
ENOUGH = {"when": {"tool": "get_rollout_history"}, "text": "The new image cannot be pulled."}


@contextlib.asynccontextmanager
async def service(folder: Path, replies: list[dict[str, Any]]) -> AsyncIterator[tuple[Bench, ScriptedModel]]:
    """The simulated shop, and the service that asks the scripted model about everything."""
    policy = folder / "policy.yaml"
    policy.write_text(AUTO)
    state = folder / "state"
    settings = Settings.model_validate({"state_dir": state, "insecure_bind": "127.0.0.1"})
    script = Script(replies=tuple(Reply.model_validate(r) for r in replies))
    async with ScriptedModel(script) as model, Simulator.virtual() as sim:
        await sim.apply(WEB)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), seconds=60)
        config = PortsConfig(
            state_dir=state,
            kubeconfig=sim.kubeconfig(HEALER),
            policy_file=policy,
            reasoner=Mode.MODEL,
            model=ModelConfig(
                model="scripted-1",
                base_url=model.url,
                api_key=SecretStr(KEY),
                planning=Planning.SCHEMA,
                investigation=Investigation.ON,
            ),
        )
        async with open_ports(config, clock=sim.clock) as ports, open_checkpointer(state) as checkpointer:
            await ports.mirror.synced()
            async with run_service(settings, ports, Runner(ports, checkpointer), watch=True) as running:
                yield Bench(sim, ports, running), model


async def account(it: Bench, result: ExecutionResult) -> list[tuple[str, str]]:
    """Who wrote which code into the incident's account."""
    entries = await it.ports.ledger.audit(incident_id=IncidentId(result.incident_id))
    return [(e.actor, e.code) for e in entries]


async def test_the_model_reads_plans_and_heals(tmp_path: Path) -> None:
    async with service(tmp_path, [HISTORY, ENOUGH, {"json": plan(BACK)}]) as (it, model):
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert result.plan is not None
        assert result.plan.diagnosis.origin is Origin.MODEL
        assert it.image() == "registry.example/shop/web:1"
        assert len(it.writes()) == 1
        assert "registry.invalid/web:2" in model.chats[-1].spoken
        assert [a for a in await account(it, result) if a[0] == "model:scripted-1"][:3] == [
            ("model:scripted-1", "")
        ] * 3


async def test_the_same_pattern_elsewhere_is_healed_without_asking_again(tmp_path: Path) -> None:
    twin = WEB.split("---\n")[2].replace("name: web", "name: api").replace("app: web", "app: api")
    async with service(tmp_path, [HISTORY, ENOUGH, {"json": plan(BACK)}]) as (it, model):
        await it.sim.apply(twin)
        await it.sim.until(lambda: it.sim.ready("Deployment", "shop", "api"), seconds=60)
        await it.sim.clock.sleep(timedelta(minutes=5))  # both have proved themselves: what is known of them is the same
        for name, origin in (("web", Origin.MODEL), ("api", Origin.CACHE)):
            await set_container(it, name, image="registry.invalid/stock:2")
            result = await end_of(it, name)
            assert result.status is Status.HEALED, result
            assert result.plan is not None
            assert result.plan.diagnosis.origin is origin
            assert it.image(name) == "registry.example/shop/web:1"
        assert len([c for c in model.chats if "registry.invalid" in c.spoken]) == 3, "two reads and a plan, for web"


async def test_a_forbidden_proposal_is_refused_and_a_lawful_one_follows(tmp_path: Path) -> None:
    forbidden = plan({**BACK, "namespace": "kube-system", "name": "coredns"})
    async with service(tmp_path, [ENOUGH, {"json": forbidden}, {"json": plan(BACK)}]) as (it, model):
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert len(it.writes()) == 1
        assert "TARGET_OUT_OF_SCOPE" in model.chats[-1].spoken


@pytest.mark.parametrize("fault", [{"status": 401}, {"status": 500}, {"refusal": "no"}, {"text": "?"}, {"reset": True}])
async def test_rules_stand_in_when_the_model_gives_no_answer(fault: dict[str, Any], tmp_path: Path) -> None:
    async with service(tmp_path, [{**fault, "times": "always"}]) as (it, _):
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert result.plan is not None
        assert result.plan.diagnosis.origin is Origin.RULE
        assert len(it.writes()) == 1


async def test_an_honest_no_is_an_escalation_without_a_write(tmp_path: Path) -> None:
    no = {**CONCLUSION, "steps": [], "no_plan_because": "Look at the registry."}
    async with service(tmp_path, [ENOUGH, {"json": no}]) as (it, _):
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.ESCALATED, result
        assert result.resolution.code == "LLM_NO_PLAN"
        assert "Look at the registry." in result.resolution.sentence
        assert it.writes() == []
