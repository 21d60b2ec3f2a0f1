"""What the benchmark is played on: the estate on a simulated cluster, and the real service beside it, in virtual time.

Everything is as `selfheal serve` has it but HTTP in front: watcher, dispatcher, graph, guard, ledger and checkpoints in
files, the API over loopback, the rights of `deploy/manifests` and no more.  Only the policy's brakes are off: budgets
and cooldowns are there to slow a bad day down, and a benchmark is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evals.bench.estate import NODES, Workload, settings_of
from evals.settings import GivenSettings
from evals.simulator import Registry, Simulator
from evals.simulator.objects import uid_of
from graph.ports import Ports, open_ports
from graph.runner import Runner, open_checkpointer
from server.service import Service, run_service
from tools.jsontypes import JsonObject

MANIFESTS: Final = Path(__file__).parents[2] / "deploy" / "manifests"
RIGHTS: Final = tuple(
    MANIFESTS / name
    for name in ("namespace.yaml", "serviceaccount.yaml", "role-read.yaml", "role-act.yaml", "binding-read.yaml")
)
HEALER: Final = "system:serviceaccount:selfheal:selfheal"
WINDOW: Final = 200_000
"""Changes the API server remembers: as many as watchers may be behind."""
READY_SECONDS: Final = 300.0
POLICY: Final = """\
version: 1
namespaces: {"team-*": auto}
limits:
  cooldown_seconds: 0
  quarantine: {lasts_seconds: 0}
  plans:
    owner: {count: 100000, seconds: 60}
    namespace: {count: 100000, seconds: 60}
    cluster: {count: 100000, seconds: 60}
"""


@dataclass(frozen=True, slots=True)
class Arena:
    """The cluster and the service."""

    sim: Simulator
    ports: Ports
    service: Service

    def live(self, workload: Workload) -> JsonObject:
        """The stored object (do not change it).  LookupError when somebody deleted it."""
        found = self.sim.get(workload.kind, workload.namespace, workload.name)
        if found is None:
            raise LookupError(f"{workload} is gone")
        return found

    def is_ready(self, workload: Workload) -> bool:
        """Whether it has rolled out and all it wants is ready."""
        return self.sim.ready(workload.kind, workload.namespace, workload.name)


@contextlib.asynccontextmanager
async def open_arena(folder: Path, workloads: Sequence[Workload], *, concurrency: int) -> AsyncGenerator[Arena]:
    """Start both; when it yields, each workload is ready and its revision is last known good.  `folder` exists."""
    (folder / "policy.yaml").write_text(POLICY)
    registry = Registry(by_image={w.image: w.behaviour() for w in workloads})
    async with Simulator.virtual(nodes=NODES, registry=registry, window=WINDOW) as sim:
        await _furnish(sim, workloads)
        given = GivenSettings.model_validate(
            {
                "state_dir": folder / "state",
                "kubeconfig": sim.kubeconfig(HEALER),
                "policy_file": folder / "policy.yaml",
                "insecure_bind": "127.0.0.1",
                "own_namespace": "selfheal",
                "concurrency": concurrency,
            }
        )
        async with (
            open_ports(given.ports_config(), clock=sim.clock) as ports,
            open_checkpointer(given.state_dir) as checkpointer,
            run_service(given, ports, Runner(ports, checkpointer), watch=True) as service,
        ):
            await ports.mirror.synced()
            arena = Arena(sim, ports, service)
            await sim.until(lambda: all(_is_known(arena, w) for w in workloads), READY_SECONDS, every=1)
            yield arena


async def _furnish(sim: Simulator, workloads: Sequence[Workload]) -> None:
    for path in RIGHTS:
        await sim.apply(path)
    for namespace in sorted({w.namespace for w in workloads}):
        await sim.apply([*settings_of(namespace), _binding(namespace)])
    await sim.apply([w.manifest() for w in workloads])
    await sim.until(
        lambda: all(sim.ready(w.kind, w.namespace, w.name) for w in workloads), seconds=READY_SECONDS, every=1
    )


def _is_known(arena: Arena, workload: Workload) -> bool:
    return bool(arena.ports.good.confirmed(uid_of(arena.live(workload))))


def _binding(namespace: str) -> JsonObject:
    """Lets the healer write there, as `act-in-namespace.yaml` does."""
    group = "rbac.authorization.k8s.io"
    _, _, home, account = HEALER.split(":")
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "selfheal-act", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "selfheal-act"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }
