"""A node is emptied pod by pod: with a person's word, within budgets, and however often it is interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from graph.edges import Limits
from graph.incident import FromReference
from graph.intake import Admitted, admit
from graph.model.config import Mode
from graph.observed import Evidence
from graph.plan import Approved, Diagnosis, ExecutionResult, NoPlan, Origin, Plan, Planned, Status, Step
from graph.ports import Ports
from graph.runner import Runner, Waiting
from server.byhand import undo_incident
from server.byhand_view import UndoReport
from tests.contract.executors.arena import Diary, WatchedCluster
from tests.support.healing import HEALER, Bench, bench
from tools import registry
from tools.cluster.resources import WriteRequest
from tools.executors.actions import ACTIONS
from tools.guard.door import Door
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId, ObjectRef, PlanId

POLICY = 'version: 1\ncluster_mode: approve\nnamespaces:\n  "shop*": {mode: auto}\n'
NODE = ObjectRef(kind="Node", namespace=None, name="node1")
MORE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop, labels: {app: api}}
spec:
  replicas: 6
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: app
        image: registry.example/shop/web:1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, initialDelaySeconds: 12, periodSeconds: 2}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: app, image: "registry.example/shop/web:1"}]}
"""
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api, namespace: shop}
spec: {maxUnavailable: %d, selector: {matchLabels: {app: api}}}
"""
LATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: late, namespace: shop, labels: {app: late}}
spec:
  replicas: 4
  selector: {matchLabels: {app: late}}
  template:
    metadata: {labels: {app: late}}
    spec:
      tolerations: [{key: node.kubernetes.io/memory-pressure, operator: Exists}]
      containers: [{name: app, image: "registry.example/shop/web:1"}]
"""
BARE = """
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {nodeName: node1, containers: [{name: app, image: "registry.example/shop/web:1"}]}
"""


class Drains:
    """A model whose only idea is to empty the node."""

    name = "drains"

    async def propose(
        self, evidence: Evidence, *, refusals: tuple[Refused, ...], failed: frozenset[str], incident_id: str
    ) -> Planned | NoPlan:
        action = ACTIONS.validate_python({"action": "drain_node", "name": NODE.name})
        if refusals or action.digest in failed:
            return NoPlan(refusal=Refused(code=ReasonCode.LLM_NO_PLAN, reason="nothing more to say"))
        diagnosis = Diagnosis(cause="sick", sentence="Sick.", confidence=0.9, origin=Origin.MODEL, author=self.name)
        plan = Plan(
            id=PlanId("plan-drain"),
            diagnosis=diagnosis,
            steps=(Step(action=action, why="it is sick"),),
            pins=tuple(p for p in evidence.scope if p.ref == NODE),
            created_at=evidence.observed_at,
        )
        return Planned(plan=plan)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Hazard:
    """Ends the process once before and once after each call that it has not ended it at."""

    had: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def _end(self, when: str, request: WriteRequest) -> None:
        if (when, request.name) not in self.had:
            self.had.add((when, request.name))
            raise Crash

    async def before(self, request: WriteRequest) -> None:
        self._end("before", request)

    async def after(self, request: WriteRequest) -> None:
        self._end("after", request)


@dataclass
class Ward:
    """The service over a cluster whose node1 reports that it is short of memory."""

    it: Bench
    ports: Ports
    watched: WatchedCluster
    saver: InMemorySaver = field(default_factory=InMemorySaver)

    @property
    def runner(self) -> Runner:
        """A process of its own: it knows what is in the ledger and in the checkpoints."""
        return Runner(self.ports, self.saver)

    async def ask(self) -> tuple[IncidentId, ExecutionResult | Waiting | None]:
        trigger = FromReference(ref=NODE)
        admitted = await admit(trigger, self.ports)
        assert isinstance(admitted, Admitted)
        return admitted.record.id, await self.runner.heal(admitted.record.id, trigger)

    def yes(self, waiting: Waiting) -> Approved:
        now = self.ports.clock.now()
        return Approved(by="ann", plan_hash=waiting.plan_hash, policy_hash=waiting.policy_hash, at=now)

    async def drain(self) -> ExecutionResult:
        """Ask, agree, and start again after every crash."""
        incident, waiting = await self.ask()
        assert isinstance(waiting, Waiting), waiting
        result: ExecutionResult | Waiting | None = None
        with contextlib.suppress(Crash):
            result = await self.runner.decide(incident, self.yes(waiting))
        for _ in range(100):
            if isinstance(result, ExecutionResult):
                return result
            with contextlib.suppress(Crash):
                result = await self.runner.resume(incident)
        raise AssertionError("it does not come to an end")

    def movable(self) -> set[str]:
        return {
            dig_str(p, "metadata", "name")
            for p in self.it.sim.pods("shop")
            if dig_str(p, "spec", "nodeName") == NODE.name
            and dig_str(p, "metadata", "labels", "app") != "agent"
            and not dig_str(p, "metadata", "deletionTimestamp")
        }

    def is_cordoned(self) -> bool:
        return dig(self.it.sim.get("Node", "", NODE.name), "spec", "unschedulable") is True

    def evicted(self) -> list[str]:
        """The evictions that the server granted, in order."""
        writes = self.it.sim.audit.writes(user=HEALER)
        return [w.name for w in writes if (w.resource, w.subresource) == ("pods", "eviction")]

    async def said(self, incident: str) -> str:
        return " | ".join(line.sentence for line in await self.ports.ledger.audit(incident_id=IncidentId(incident)))


@contextlib.asynccontextmanager
async def ward(folder: Path, *, limits: Limits | None = None) -> AsyncGenerator[Ward]:
    async with bench(folder, policy=POLICY, watch=False) as it:
        await it.sim.apply(MORE)
        await it.sim.until(lambda: it.sim.ready("Deployment", "shop", "api"), seconds=60)
        await sicken(it)
        await it.sim.sleep(45)
        watched = WatchedCluster(it.ports.cluster, Diary())
        door = Door(watched, it.ports.ledger, it.ports.policy, it.ports.clock, registry.executors(), None)
        ports = replace(
            it.ports, door=door, model=Drains(), mode=Mode.MODEL, limits=limits or it.ports.limits, cache=None
        )
        yield Ward(it, ports, watched)


async def sicken(it: Bench, kind: str = "MemoryPressure") -> None:
    """It reports, and reports trouble."""
    since = it.sim.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    trouble: JsonObject = {"type": kind, "status": "True", "reason": "Sick", "message": "", "lastTransitionTime": since}
    live = it.sim.get("Node", "", NODE.name)
    assert live is not None
    healthy = [c for c in dig_list(live, "status", "conditions") if dig_str(c, "type") != kind]
    status: JsonObject = {**dig_object(live, "status"), "conditions": [*healthy, trouble]}
    it.sim.api.set_status(it.sim.api.kinds.named("Node"), live, status)


async def test_it_waits_for_a_person_who_is_told_the_pods(tmp_path: Path) -> None:
    async with ward(tmp_path) as at:
        _, waiting = await at.ask()
        assert isinstance(waiting, Waiting), waiting
        reasons = " ".join(waiting.reasons)
        assert at.movable()
        assert all(f"shop/{name}" in reasons for name in at.movable()), reasons
        assert "2 stay" not in reasons
        assert "1 stay" in reasons
        assert (at.evicted(), at.is_cordoned(), at.watched.requests) == ([], False, [])


async def test_interrupted_before_and_after_every_call_it_ends_drained_with_each_pod_evicted_once(
    tmp_path: Path,
) -> None:
    async with ward(tmp_path) as at:
        hazard, to_go = Hazard(), at.movable()
        at.watched.before_call, at.watched.after_call = hazard.before, hazard.after
        result = await at.drain()
        assert result.status is Status.HEALED, result.resolution
        assert len(to_go) >= 3
        assert len(hazard.had) == 2 * (len(to_go) + 1), "it was ended before and after each call"
        assert (sorted(at.evicted()), at.movable(), at.is_cordoned()) == (sorted(to_go), set(), True)
        outcomes = [o for o in result.outcomes if o.kind == "executed"]
        assert [o.more for o in outcomes] == [True] * (len(to_go) + 1), "each call, cordon first, is one outcome"
        assert len({o.action_id for o in outcomes}) == len(outcomes)
        starts = await at.ports.ledger.plans_since(result.opened_at)
        assert starts == 1, "budgets count the plan once"


async def test_undoing_it_opens_the_node_and_leaves_the_pods_to_their_controllers(tmp_path: Path) -> None:
    async with ward(tmp_path) as at:
        result = await at.drain()
        assert at.is_cordoned()
        await at.it.sim.sleep(60)
        report = await undo_incident(IncidentId(result.incident_id), at.ports, by="ann")
        assert isinstance(report, UndoReport), report
        assert report.complete, report
        assert [step.by for step in report.steps] == ["controller"] * (len(report.steps) - 1) + ["inverse"]
        assert not at.is_cordoned()


async def test_a_disruption_budget_is_waited_for(tmp_path: Path) -> None:
    async with ward(tmp_path) as at:
        await at.it.sim.apply(BUDGET % 1)
        await at.it.sim.sleep(5)
        to_go = at.movable()
        fewest = 6

        async def count(_: WriteRequest) -> None:
            nonlocal fewest
            status = at.it.sim.get("Deployment", "shop", "api")
            ready = dig(status, "status", "readyReplicas")
            fewest = min(fewest, ready if isinstance(ready, int) else 0)

        at.watched.after_call = count
        result = await at.drain()
        assert result.status is Status.HEALED, result.resolution
        assert sorted(at.evicted()) == sorted(to_go)
        assert fewest >= 5, "never more than one was away"
        said = await at.said(result.incident_id)
        assert "Step 1 will be tried again" in said
        assert "The disruption budget api needs 5 healthy pods" in said


async def test_a_budget_that_never_gives_way_ends_the_drain_and_the_node_is_opened_again(tmp_path: Path) -> None:
    async with ward(tmp_path, limits=Limits(waits=3)) as at:

        async def forbid(request: WriteRequest) -> None:
            if request.resource.kind == "Node":
                at.watched.after_call = None
                await at.it.sim.apply(BUDGET % 0)

        at.watched.after_call = forbid
        result = await at.drain()
        assert result.status is not Status.HEALED, result.resolution
        assert not at.is_cordoned()
        assert not [name for name in at.evicted() if name.startswith("api-")]


async def test_a_pod_that_came_after_the_plan_is_moved_too_and_one_that_went_is_not_missed(tmp_path: Path) -> None:
    async with ward(tmp_path) as at:
        incident, waiting = await at.ask()
        assert isinstance(waiting, Waiting)
        before = at.movable()
        gone = min(before)
        await at.it.sim.apply(LATE)
        await at.it.sim.sleep(5)
        came = at.movable() - before
        assert came, "some of the new ones are on the node"
        kind = at.it.sim.api.kinds.named("Pod")
        at.it.sim.api.delete(kind, "shop", gone, {}, at.it.sim.kubelets.write(NODE.name))
        result = await at.runner.decide(incident, at.yes(waiting))
        assert isinstance(result, ExecutionResult)
        assert result.status is Status.HEALED, result.resolution
        assert came <= set(at.evicted())
        assert gone not in at.evicted()
        assert at.movable() == set()


@pytest.mark.parametrize("when", ["before it is asked", "after it was agreed to"])
async def test_a_pod_that_nothing_would_make_again_stops_it(tmp_path: Path, when: str) -> None:
    async with ward(tmp_path) as at:
        if when == "before it is asked":
            await at.it.sim.apply(BARE)
            await at.it.sim.sleep(2)
            _, result = await at.ask()
            assert isinstance(result, ExecutionResult), result
        else:
            incident, waiting = await at.ask()
            assert isinstance(waiting, Waiting)

            async def place(request: WriteRequest) -> None:
                if request.subresource == "eviction":
                    at.watched.after_call = None
                    await at.it.sim.apply(BARE)

            at.watched.after_call = place
            result = await at.runner.decide(incident, at.yes(waiting))
            assert isinstance(result, ExecutionResult), result
            assert len(at.evicted()) == 1
        assert result.status is not Status.HEALED
        assert "shop/bare" in await at.said(result.incident_id)
        assert not at.is_cordoned()


async def test_a_node_that_says_that_it_is_broken_is_emptied_once_a_person_agrees(tmp_path: Path) -> None:
    """By the rule, from the watch; what the machine goes on saying is then for a person."""
    async with bench(tmp_path, policy=POLICY) as it:
        await sicken(it, "ReadonlyFilesystem")

        async def incidents(status: Status) -> list[IncidentRecord]:
            found = await it.ports.ledger.incidents(target=NODE)
            return [record for record in found if record.status == status.value]

        async def until(status: Status) -> IncidentRecord:
            for _ in range(300):
                if found := await incidents(status):
                    return found[0]
                await it.sim.sleep(1)
            raise AssertionError([r.status for r in await it.ports.ledger.incidents()])

        record = await until(Status.WAITING)
        asked = await it.ports.ledger.approval(record.id)
        assert asked is not None
        assert it.writes() == []
        now = it.sim.clock.now()
        yes = Approved(by="ann", plan_hash=asked.plan_hash, policy_hash=asked.policy_hash, at=now)
        await it.service.dispatcher.decide(record.id, yes)
        healed = await until(Status.HEALED)
        assert healed.result is not None
        result = ExecutionResult.model_validate(healed.result)
        assert result.plan is not None
        assert [step.action.action for step in result.plan.steps] == ["drain_node"]
        left = [p for p in it.sim.pods("shop") if dig_str(p, "spec", "nodeName") == NODE.name]
        assert all(dig_str(p, "metadata", "deletionTimestamp") for p in left)
        await it.sim.sleep(120)
        assert not await incidents(Status.WAITING), "an empty node is not emptied again"
