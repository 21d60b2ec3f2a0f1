"""The whole service over the simulator, in one process: what end-to-end tests share."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver

from evals.simulator import Simulator
from graph.incident import FromReference
from graph.intake import Admitted, admit
from graph.model.config import Mode
from graph.observed import Evidence
from graph.plan import Diagnosis, ExecutionResult, NoPlan, Origin, Plan, Planned, Step
from graph.ports import Ports, PortsConfig, open_ports
from graph.runner import Runner, open_checkpointer
from server.service import Service, run_service
from server.settings import Settings
from tests.support.ledgers import ledger_at
from tools.executors.actions import RollbackWorkload
from tools.executors.connections import RemoteConfig
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonValue, dig_list, dig_object, dig_str
from tools.refs import IncidentId, ObjectRef, PlanId

HEALER = "healer"

WEB = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: healer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: healer}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: registry.example/shop/web:1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2, failureThreshold: 2}
        resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
"""
AUTO = 'version: 1\nnamespaces:\n  "shop*": {mode: auto}\n'


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulated cluster with the shop in it, and the service on watch."""

    sim: Simulator
    ports: Ports
    service: Service

    def image(self, name: str = "web") -> str:
        """The image in the template of Deployment shop/NAME."""
        return dig_str(self.sim.get("Deployment", "shop", name), "spec", "template", "spec", "containers", 0, "image")

    def writes(self) -> list[str]:
        """What the healer wrote for real, as `verb resource/name`."""
        found = [w for w in self.sim.audit.writes(user=HEALER) if not w.dry_run and w.namespace == "shop"]
        return [f"{w.verb} {w.resource}/{w.name}" for w in found]


async def set_container(it: Bench, name: str = "web", **fields: JsonValue) -> None:
    """Change fields of the first container of Deployment shop/NAME, as a person would."""
    live = copy.deepcopy(it.sim.get("Deployment", "shop", name))
    assert live is not None
    containers = dig_list(live, "spec", "template", "spec", "containers")
    assert isinstance(containers[0], dict)
    containers[0].update(fields)
    for field in ("resourceVersion", "managedFields"):
        dig_object(live, "metadata").pop(field, None)
    await it.sim.apply(live)


async def end_of(it: Bench, name: str = "web", *, seconds: int = 400) -> ExecutionResult:
    """The result of the newest incident on Deployment shop/NAME, once it has ended."""
    for _ in range(seconds):
        for record in await it.ports.ledger.incidents(namespace="shop"):
            if record.target.name == name and record.result is not None:
                return ExecutionResult.model_validate(record.result)
        await it.sim.clock.sleep(timedelta(seconds=1))
    open_now = [r.model_dump_json() for r in await it.ports.ledger.incidents(namespace="shop")]
    raise AssertionError(f"no incident on {name} ended: {open_now}")


@contextlib.asynccontextmanager
async def bench(
    folder: Path,
    *,
    policy: str = AUTO,
    watch: bool = True,
    desired: Path | None = None,
    connect: Callable[[Simulator, contextlib.AsyncExitStack], Awaitable[RemoteConfig]] | None = None,
) -> AsyncIterator[Bench]:
    """Start both; the shop's pods are ready when it yields.  `desired` is a folder of what is declared.

    `connect` starts other systems beside the cluster, before the service.
    """
    policy_file = folder / "policy.yaml"
    policy_file.write_text(policy)
    async with Simulator.virtual() as sim, contextlib.AsyncExitStack() as beside:
        await sim.apply(WEB)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), seconds=60)
        settings = Settings.model_validate(
            {"state_dir": folder / "state", "insecure_bind": "127.0.0.1", "watch": watch}
        )
        config = PortsConfig(
            state_dir=folder / "state",
            kubeconfig=sim.kubeconfig(HEALER),
            policy_file=policy_file,
            desired_state=str(desired) if desired is not None else None,
            remotes=await connect(sim, beside) if connect is not None else RemoteConfig(),
        )
        await ledger_at(folder / "state" / "ledger.db")
        async with (
            open_ports(config, clock=sim.clock) as ports,
            open_checkpointer(folder / "state") as checkpointer,
        ):
            await ports.mirror.synced()
            async with run_service(settings, ports, Runner(ports, checkpointer), watch=watch) as service:
                yield Bench(sim, ports, service)


class Insistent:
    """A model that goes to the given revisions first, whatever the evidence says, and then has no idea."""

    name = "insistent"

    def __init__(self, workload: str, to_revisions: tuple[int, ...]) -> None:
        self._workload = workload
        self._left = list(to_revisions)

    async def propose(
        self, evidence: Evidence, *, refusals: tuple[Refused, ...], failed: frozenset[str], incident_id: str
    ) -> Planned | NoPlan:
        """The next revision of the list."""
        if not self._left:
            return NoPlan(refusal=Refused(code=ReasonCode.LLM_UNAVAILABLE, reason="nothing more to say"))
        action = RollbackWorkload(
            action="rollback_workload",
            kind="Deployment",
            namespace="shop",
            name=self._workload,
            to_revision=self._left.pop(0),
        )
        diagnosis = Diagnosis(cause="guess", sentence="A guess.", confidence=0.9, origin=Origin.MODEL, author=self.name)
        plan = Plan(
            id=PlanId(f"plan-{action.to_revision}"),
            diagnosis=diagnosis,
            steps=(Step(action=action, why="a guess"),),
            pins=tuple(p for p in evidence.scope if p.ref == action.target),
            created_at=evidence.observed_at,
        )
        return Planned(plan=plan)


async def heal_by(it: Bench, name: str, *, to_revisions: tuple[int, ...]) -> IncidentId:
    """Have Deployment shop/NAME looked at, with a model that insists on these revisions before the rules are asked."""
    ports = replace(it.ports, model=Insistent(name, to_revisions), mode=Mode.MODEL)
    trigger = FromReference(ref=ObjectRef(kind="Deployment", namespace="shop", name=name))
    admitted = await admit(trigger, ports)
    assert isinstance(admitted, Admitted)
    await Runner(ports, InMemorySaver()).heal(admitted.record.id, trigger)
    return admitted.record.id
