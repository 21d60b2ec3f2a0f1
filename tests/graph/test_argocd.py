"""What Argo CD keeps is healed through Argo CD, end to end over the simulator; never by a write behind its back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

from evals.simulator import Simulator
from graph.incident import Reason
from graph.plan import Approved, ExecutionResult, Status
from server.byhand import undo_incident
from server.byhand_view import UndoReport
from tests.support.argocd import NAME, Delivery, delivery
from tests.support.healing import WEB, Bench, bench, set_container
from tests.tools.executors.argocd.documents import window, windows
from tools.executors.connections import RemoteConfig
from tools.jsontypes import JsonObject, dig_list, dig_object
from tools.refs import IncidentId

POLICY = "version: 1\nnamespaces:\n  shop: {mode: auto}\n  argocd: {mode: auto}\n"
GOOD, BAD = "a" * 40, "b" * 40


def web(image: str = "registry.example/shop/web:1") -> JsonObject:
    found: JsonObject = next(d for d in yaml.safe_load_all(WEB) if d["kind"] == "Deployment")
    dig_object(found, "spec")["progressDeadlineSeconds"] = 30
    containers = dig_list(found, "spec", "template", "spec", "containers")
    assert isinstance(containers[0], dict)
    containers[0]["image"] = image
    return found


@dataclass
class Shop:
    it: Bench
    argo: Delivery

    async def end(self, *, target: str = "", seconds: int = 1500) -> ExecutionResult:
        """The newest incident that has ended, on an object of this name."""
        for _ in range(seconds):
            for record in await self.it.ports.ledger.incidents():
                if record.result is not None and target in {"", record.target.name}:
                    return ExecutionResult.model_validate(record.result)
            await self.it.sim.clock.sleep(timedelta(seconds=1))
        raise AssertionError([r.model_dump_json() for r in await self.it.ports.ledger.incidents()])

    async def agreed(self, *, target: str) -> ExecutionResult:
        """The same, once a person has said yes to what waits."""
        for _ in range(600):
            for record in await self.it.ports.ledger.incidents():
                if record.target.name == target and record.status == Status.WAITING.value:
                    asked = await self.it.ports.ledger.approval(record.id)
                    assert asked is not None
                    yes = Approved(
                        by="ann", plan_hash=asked.plan_hash, policy_hash=asked.policy_hash, at=self.it.sim.clock.now()
                    )
                    await self.it.service.dispatcher.decide(record.id, yes)
                    return await self.end(target=target)
            await self.it.sim.clock.sleep(timedelta(seconds=1))
        raise AssertionError([r.model_dump_json() for r in await self.it.ports.ledger.incidents()])

    def actions(self, result: ExecutionResult) -> list[str]:
        return [] if result.plan is None else [step.action.action for step in result.plan.steps]


@contextlib.asynccontextmanager
async def shop(
    folder: Path, automated: JsonObject | None = None, source: JsonObject | None = None
) -> AsyncIterator[Shop]:
    """The shop's Deployment is delivered by Argo CD, synced, and has been healthy for a minute."""
    running: list[Delivery] = []

    async def connect(sim: Simulator, beside: contextlib.AsyncExitStack) -> RemoteConfig:
        argo = await beside.enter_async_context(delivery(sim, folder))
        await argo.commit(GOOD, web())
        await argo.declare(automated, source)
        await argo.sync()
        await sim.sleep(5)
        running.append(argo)
        return RemoteConfig(argocd=argo.config())

    async with bench(folder, policy=POLICY, connect=connect) as it:
        await it.sim.sleep(60)
        assert running[0].live["status"]["health"]["status"] == "Healthy"
        yield Shop(it, running[0])


async def test_what_was_patched_by_hand_is_synced_back(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        await set_container(at.it, image="registry.invalid/web:2")
        result = await at.end()
        assert result.status is Status.HEALED, result
        assert at.actions(result) == ["argocd_sync"]
        assert (at.it.image(), at.it.writes(), at.argo.orders()) == ("registry.example/shop/web:1", [], ["POST sync"])


async def test_a_revision_that_crashes_is_rolled_back_by_argocd(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        await at.argo.commit(BAD, web("registry.invalid/web:2"))
        await at.argo.sync()
        result = await at.end(target="web")
        assert result.status is Status.HEALED, result
        assert at.actions(result) == ["argocd_rollback"]
        assert (at.it.writes(), at.argo.orders()) == ([], ["POST rollback"])
        assert at.argo.live["status"]["history"][-1]["revision"] == GOOD


async def test_where_argocd_follows_its_repository_a_person_is_told_which_commit(tmp_path: Path) -> None:
    async with shop(tmp_path, automated={}) as at:
        await at.argo.commit(BAD, web("registry.invalid/web:2"))
        result = await at.end(target="web")
        assert result.status is Status.ESCALATED, result
        assert f"Revert {BAD}" in result.resolution.sentence
        assert (at.it.writes(), at.argo.orders()) == ([], [])


async def test_where_no_commit_takes_it_back_a_person_is_offered_to_stop_following_and_go_back(tmp_path: Path) -> None:
    async with shop(tmp_path, automated={"prune": False}, source={"helm": {"values": "replicas: 2"}}) as at:
        await at.argo.commit(BAD, web("registry.invalid/web:2"))
        result = await at.agreed(target="web")
        assert result.status is Status.HEALED, result
        assert at.actions(result) == ["argocd_set_auto_sync", "argocd_rollback"]
        assert result.diagnosis is not None
        assert result.diagnosis.cause == "bad_commit"
        assert "turn automated sync on again" in result.diagnosis.sentence
        assert (at.it.writes(), at.argo.orders()) == ([], ["POST rollback"])
        assert at.argo.live["spec"]["syncPolicy"] == {}
        assert at.argo.live["status"]["history"][-1]["revision"] == GOOD
        await at.it.sim.sleep(10)
        report = await undo_incident(IncidentId(result.incident_id), at.it.ports, by="ann")
        assert isinstance(report, UndoReport), report
        assert report.complete, report
        assert at.argo.live["spec"]["syncPolicy"] == {"automated": {"prune": False}}
        assert at.argo.orders() == ["POST rollback", "POST rollback"]


async def test_in_a_closed_window_nothing_is_ordered_and_the_reason_is_said(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        at.argo.double.windows = windows(can_sync=False, active=[window("deny")])
        await set_container(at.it, image="registry.invalid/web:2")
        result = await at.end(target="web")
        assert result.status is Status.ESCALATED, result
        assert (at.it.writes(), at.argo.orders()) == ([], [])
        said = [line.sentence for line in await at.it.ports.ledger.audit(incident_id=result.incident_id)]
        assert any("sync windows" in sentence for sentence in said), said


async def test_with_self_heal_on_argocd_is_left_to_do_it(tmp_path: Path) -> None:
    async with shop(tmp_path, automated={"selfHeal": True}) as at:
        await set_container(at.it, image="registry.invalid/web:2")
        await at.it.sim.sleep(120)
        assert at.it.image() == "registry.example/shop/web:1"
        assert (at.it.writes(), at.argo.orders()) == ([], [])


async def test_an_operation_that_hangs_is_stopped(tmp_path: Path) -> None:
    async with shop(tmp_path) as at:
        at.argo.hangs = True
        await at.argo.commit(BAD, web("registry.example/shop/web:2"))
        await at.argo.sync()
        result = await at.end(target=NAME)
        assert at.actions(result) == ["argocd_terminate_operation"], result
        assert at.argo.orders() == ["DELETE operation"]
        opened = await at.it.ports.ledger.incidents()
        assert Reason.OPERATION_HUNG in {s["reason"] for s in opened[0].document["signals"]}  # type: ignore[call-overload, index, union-attr]
