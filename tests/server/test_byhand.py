"""Approval and undo over the real graph, door and ledger, against a simulated cluster that lives through restarts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from evals.simulator import Simulator
from graph.plan import ExecutionResult, Status
from graph.ports import Ports, PortsConfig, Timing, open_ports
from graph.runner import Runner, open_checkpointer
from server.byhand import NotDone, undo_incident
from server.byhand_view import UndoReport
from server.problem import ProblemCode
from server.questions import NotTaken
from server.service import run_service
from server.settings import Settings
from tests.support.healing import HEALER, WEB, Bench, end_of, set_container
from tools.guard.verdict import ReasonCode
from tools.refs import IncidentId

MODE = 'version: 1\nnamespaces:\n  "shop*": {mode: MODE}\n'
BAD = "registry.invalid/web:2"
GOOD = "registry.example/shop/web:1"


@contextlib.asynccontextmanager
async def shop() -> AsyncIterator[Simulator]:
    async with Simulator.virtual() as sim:
        await sim.apply(WEB)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), seconds=60)
        yield sim


@contextlib.asynccontextmanager
async def working(sim: Simulator, folder: Path, *, mode: str = "approve") -> AsyncIterator[Bench]:
    """The service over the simulator and the state in `folder`; leaving it is what a stop of the process leaves."""
    (folder / "policy.yaml").write_text(MODE.replace("MODE", mode))
    settings = Settings.model_validate({"state_dir": folder, "insecure_bind": "127.0.0.1", "drain_seconds": 0})
    config = PortsConfig(
        state_dir=folder, kubeconfig=sim.kubeconfig(HEALER), policy_file=folder / "policy.yaml",
        timing=Timing(approval=timedelta(hours=1)),
    )  # fmt: skip
    async with open_ports(config, clock=sim.clock) as ports, open_checkpointer(folder) as checkpointer:
        await ports.mirror.synced()
        async with run_service(settings, ports, Runner(ports, checkpointer), watch=True) as service:
            yield Bench(sim, ports, service)


async def asked(it: Bench) -> tuple[IncidentId, str]:
    """The incident that waits, and the hash of the plan it asks about."""
    for _ in range(200):
        for record in await it.ports.ledger.incidents(status=Status.WAITING.value):
            account = await it.service.account(record.id)
            if account is not None and account.question is not None and record.id in it.service.dispatcher.questions:
                return record.id, account.question.plan_hash
        await it.sim.clock.sleep(timedelta(seconds=1))
    raise AssertionError([r.model_dump_json() for r in await it.ports.ledger.incidents()])


async def answer(it: Bench, incident: IncidentId, plan_hash: str, word: str = "approved") -> NotTaken | None:
    taken = await it.service.dispatcher.questions.answer(
        incident, "approved" if word == "approved" else "declined", plan_hash=plan_hash, by="ada", why="not today"
    )
    return taken if isinstance(taken, NotTaken) else None


async def test_what_waits_is_approved_after_a_restart_and_heals_once(tmp_path: Path) -> None:
    async with shop() as sim:
        async with working(sim, tmp_path) as it:
            await set_container(it, image=BAD)
            incident, plan_hash = await asked(it)
            story = await it.service.account(incident)
            assert story is not None
            assert story.plan is not None
            assert [c.field for c in story.plan.steps[0].changes] == ["spec.template.spec.containers[app].image"]
            assert it.writes() == []
        async with working(sim, tmp_path) as it:
            assert await asked(it) == (incident, plan_hash), "the question is the same one"
            assert await answer(it, incident, plan_hash) is None
            again = await answer(it, incident, plan_hash, "declined")
            assert again is not None
            assert again.code is ProblemCode.ALREADY_DECIDED
            result = await end_of(it)
            assert (result.incident_id, result.status) == (incident, Status.HEALED)
            assert it.image() == GOOD
            assert it.writes() == ["patch deployments.apps/web"]
            said = [e for e in await it.ports.ledger.audit(incident_id=incident) if e.phase == "approval"]
            assert [(e.actor, e.sentence) for e in said] == [("human:ada", "ada approved the plan.")]


async def test_a_process_that_dies_between_the_answer_and_the_act_goes_on_with_the_answer(tmp_path: Path) -> None:
    async with shop() as sim:
        async with working(sim, tmp_path) as it:
            await set_container(it, image=BAD)
            incident, plan_hash = await asked(it)
            assert await it.ports.ledger.decide(incident, plan_hash, "approved", "ada", "", it.ports.clock.now())
        async with working(sim, tmp_path) as it:
            result = await end_of(it)
            assert (result.incident_id, result.status) == (incident, Status.HEALED)
            assert it.writes() == ["patch deployments.apps/web"]


async def test_a_policy_that_changed_in_between_takes_no_yes(tmp_path: Path) -> None:
    async with shop() as sim:
        async with working(sim, tmp_path) as it:
            await set_container(it, image=BAD)
            incident, plan_hash = await asked(it)
        async with working(sim, tmp_path, mode="auto") as it:
            refused = await answer(it, incident, plan_hash)
            assert refused is not None
            assert refused.code is ReasonCode.APPROVAL_MISMATCH
            assert await answer(it, incident, plan_hash, "declined") is None
            result = await end_of(it)
            assert (result.status, result.resolution.code) == (Status.REFUSED, ReasonCode.APPROVAL_REFUSED)
            assert "not today" in result.resolution.sentence
            assert it.writes() == []


async def test_nobody_in_time_is_a_no_and_a_late_yes_is_told_so(tmp_path: Path) -> None:
    async with shop() as sim, working(sim, tmp_path) as it:
        await set_container(it, image=BAD)
        incident, plan_hash = await asked(it)
        await sim.clock.sleep(timedelta(hours=1, seconds=1))
        result = await end_of(it)
        assert (result.incident_id, result.status) == (incident, Status.REFUSED)
        late = await answer(it, incident, plan_hash)
        assert late is not None
        assert late.code is ReasonCode.PLAN_EXPIRED
        assert it.writes() == []


async def healed(it: Bench) -> ExecutionResult:
    await set_container(it, image=BAD)
    result = await end_of(it)
    assert result.status is Status.HEALED
    return result


async def undo(ports: Ports, result: ExecutionResult) -> UndoReport | NotDone | None:
    return await undo_incident(IncidentId(result.incident_id), ports, by="ada")


async def test_an_undo_by_hand_puts_back_exactly_what_was_written_and_only_once(tmp_path: Path) -> None:
    async with shop() as sim, working(sim, tmp_path, mode="auto") as it:
        result = await healed(it)
        await it.ports.ledger.pause("shop", it.ports.clock.now() + timedelta(hours=1), "ada", it.ports.clock.now())
        paused = await undo(it.ports, result)
        assert isinstance(paused, UndoReport)
        assert [s.code for s in paused.steps] == ["PAUSED"], "an operator's pause holds for undos too"
        await it.ports.ledger.unpause("shop")
        report = await undo(it.ports, result)
        assert isinstance(report, UndoReport)
        assert report.complete
        assert [(s.tool, s.by) for s in report.steps] == [("rollback_workload", "inverse")]
        assert it.image() == BAD
        again = await undo(it.ports, result)
        assert isinstance(again, UndoReport)
        assert (again.complete, again.steps) == (True, ())
        orders = [e for e in await it.ports.ledger.audit() if e.actor == "human:ada" and e.phase == "undo"]
        assert len(orders) == 2


async def test_what_somebody_changed_since_is_not_overwritten(tmp_path: Path) -> None:
    async with shop() as sim, working(sim, tmp_path, mode="auto") as it:
        result = await healed(it)
        await set_container(it, image="registry.example/shop/web:2")
        report = await undo(it.ports, result)
        assert isinstance(report, UndoReport)
        assert (report.complete, [s.code for s in report.steps]) == (False, ["ROLLBACK_CONFLICT"])
        assert it.image() == "registry.example/shop/web:2"


async def test_who_only_observes_undoes_nothing(tmp_path: Path) -> None:
    async with shop() as sim:
        async with working(sim, tmp_path, mode="auto") as it:
            result = await healed(it)
        async with working(sim, tmp_path, mode="observe") as it:
            before = it.writes()
            report = await undo(it.ports, result)
            assert isinstance(report, NotDone)
            assert report.code is ReasonCode.OBSERVE_ONLY
            assert it.writes() == before
