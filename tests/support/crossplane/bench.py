"""The whole service beside the double, over the simulator in virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from evals.simulator import Simulator
from graph.plan import ExecutionResult
from graph.ports import Ports, PortsConfig, open_ports
from graph.runner import Runner, open_checkpointer
from server.service import run_service
from server.settings import Settings
from tests.support.crossplane.controllers import Double, running
from tests.support.crossplane.model import NAMES, install, wide_rules
from tests.support.crossplane.outside import Outside
from tests.support.healing import HEALER, WEB
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.cluster.resources import WriteRequest
from tools.jsontypes import JsonObject, dig_object
from tools.ledger.records import IncidentRecord

POLICY = 'version: 1\ncluster_mode: approve\nnamespaces:\n  "shop*": {mode: auto}\n'


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulated cluster in which a small provider looks after an outside system, and the service on watch."""

    sim: Simulator
    ports: Ports
    double: Double

    @property
    def outside(self) -> Outside:
        """The outside system."""
        return self.double.outside

    def writes(self) -> list[str]:
        """What the healer wrote for real, as `verb resource/name`."""
        found = [w for w in self.sim.audit.writes(user=HEALER) if not w.dry_run]
        return [f"{w.verb} {w.resource}/{w.name}" for w in found if not w.resource.startswith(("events", "leases"))]

    def held(self, kind: str, name: str, namespace: str = "shop") -> JsonObject:
        """The stored object."""
        found = self.sim.get(kind, namespace, name)
        assert found is not None, f"{kind} {namespace}/{name}"
        return found

    async def annotate(self, kind: str, name: str, namespace: str = "shop", **notes: str | None) -> None:
        """A person writes annotations; None takes one away."""
        live = self.held(kind, name, namespace)
        change: JsonObject = {"metadata": {"annotations": {**notes}}}
        await self._patch(kind, live, change)

    async def change(self, kind: str, name: str, change: JsonObject, namespace: str = "shop") -> None:
        """A person changes an object."""
        await self._patch(kind, self.held(kind, name, namespace), change)

    async def _patch(self, kind: str, live: JsonObject, change: JsonObject) -> None:
        resource = next(s.resource for s in self.double.catalogue.served if s.resource.manifest_kind == kind)
        metadata = dig_object(live, "metadata")
        space = str(metadata["namespace"]) if resource.namespaced else None
        request = WriteRequest(
            "patch",
            resource,
            space,
            str(metadata["name"]),
            change,
            "application/merge-patch+json",
            None,
            "kubectl-edit",
        )
        await self.double.cluster.write(request, dry_run=False)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await self.sim.clock.sleep(timedelta(seconds=seconds))

    async def incidents(self) -> list[IncidentRecord]:
        """All of them."""
        return list(await self.ports.ledger.incidents())

    async def end(self, name: str, *, seconds: int = 900) -> tuple[IncidentRecord, ExecutionResult]:
        """The newest incident on an object of that name, once it has ended."""
        for _ in range(seconds):
            for record in await self.incidents():
                if record.target.name == name and record.result is not None:
                    return record, ExecutionResult.model_validate(record.result)
            await self.sleep(1)
        raise AssertionError(f"no incident on {name} ended: {[r.model_dump_json() for r in await self.incidents()]}")


@contextlib.asynccontextmanager
async def bench(
    folder: Path, *, policy: str = POLICY, desired: Path | None = None, names: tuple[str, ...] = NAMES
) -> AsyncGenerator[Bench]:
    """Start all three.  `desired` is a folder of what is declared; `names` are what the operator listed."""
    policy_file = folder / "policy.yaml"
    policy_file.write_text(policy)
    async with Simulator.virtual() as sim, contextlib.AsyncExitStack() as stack:
        await sim.apply(WEB)
        rules = AllowList((*READ_RULES, *wide_rules()))
        cluster = await stack.enter_async_context(await Cluster.at(sim.url, token=sim.token("admin"), allowlist=rules))
        catalogue = await install(cluster)
        double = await stack.enter_async_context(running(Double(cluster, catalogue, sim.clock, Outside())))
        settings = Settings.model_validate({"state_dir": folder / "state", "insecure_bind": "127.0.0.1", "watch": True})
        config = PortsConfig(
            state_dir=folder / "state",
            kubeconfig=sim.kubeconfig(HEALER),
            policy_file=policy_file,
            desired_state=str(desired) if desired is not None else None,
            crossplane=names,
        )
        ports = await stack.enter_async_context(open_ports(config, clock=sim.clock))
        checkpointer = await stack.enter_async_context(open_checkpointer(folder / "state"))
        await ports.mirror.synced()
        await stack.enter_async_context(run_service(settings, ports, Runner(ports, checkpointer), watch=True))
        yield Bench(sim, ports, double)
