"""The simulator as a ground: views read off its store, no kubectl, and the service in this process, in virtual time.

Simulator, service and lanes share one event loop whose time jumps whenever nobody has anything to do, so that minutes
of back-off cost milliseconds.  HTTP is real: the runner and the healer speak to the simulator over loopback, and the
runner to the service.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from evals.simulator import Simulator
from evals.simulator.api.audit import Audit, AuditEntry
from evals.simulator.clock import SimClock
from evals.simulator.timings import Timings
from tests.cluster.audit import TRACES, Write
from tests.cluster.authorizer import may
from tests.cluster.checks import Asked, CanI, ExecOk, HttpOk
from tests.cluster.kube import KINDS, Kube, KubeError
from tests.cluster.mirror import View, belongs
from tests.cluster.oracles import name, pods_of
from tests.cluster.rights import healer_binding, healer_role
from tests.cluster.verbs import Verbs, kind_named
from tools.jsontypes import JsonObject, dig_object, dig_str

HEALER = "healer"
MEASURED = Timings(
    toleration_seconds=30, node_grace=16.0, heartbeat=4.0, hpa_sync=5.0, crash_backoff_reset=600.0
)  # fmt: skip
"""The clockwork of the harness's cluster."""
IDLE_CPU_M = 5.0


class SimulatedTrail:
    """The simulator's own audit log, in the runner's words.  Nobody else writes as the healer there."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self.writes: list[Write] = []
        self._taken = 0

    def read(self) -> None:
        """Take in what was appended since the last call."""
        fresh = self._audit.entries[self._taken :]
        self._taken += len(fresh)
        self.writes += [_write(e) for e in fresh if e.user == HEALER and not e.dry_run and e.resource not in _TRACES]

    def in_namespace(self, namespace: str, since: float) -> list[Write]:
        """The healer's writes into the namespace from a moment on, oldest first."""
        self.read()
        return sorted((w for w in self.writes if w.namespace == namespace and w.at >= since), key=lambda w: w.at)

    def foreign_in(self, namespace: str) -> list[Write]:
        """Nobody else is that user."""
        return []

    def requests_in(self, namespace: str, since: float) -> int:
        """How many requests of the healer named the namespace from a moment on."""
        seen = self._audit.requests
        return sum(r.user == HEALER and r.namespace == namespace and r.time.timestamp() >= since for r in seen)


_TRACES = TRACES | {"events.events.k8s.io", "leases.coordination.k8s.io"}


def _write(entry: AuditEntry) -> Write:
    plain = entry.resource.partition(".")[0]
    return Write(
        at=entry.time.timestamp(),
        user=entry.user,
        verb=entry.verb,
        namespace=entry.namespace,
        resource=f"{plain}/{entry.subresource}" if entry.subresource else plain,
        name=entry.name,
        uid="",
        code=entry.code,
        uri="",
    )


class SimulatedGround:
    """One run on the simulator; open it with `simulated_ground`."""

    name = "simulated"
    offers = frozenset({"kubelet", "metrics", "dns", "kubelet_stop", "network_policy", "rbac"})
    look_s = 0.5

    def __init__(self, sim: Simulator, human: Kube, stand_in: Kube) -> None:
        self.sim = sim
        self.clock: SimClock = sim.clock
        self.human = human
        self.trail = SimulatedTrail(sim.audit)
        self._stand_in = stand_in
        self._keys = {kind: sim.kind(kind).key for kind in KINDS}

    def view(self, namespace: str) -> View:
        """The store itself."""
        objects: dict[str, dict[str, JsonObject]] = {}
        for kind, key in self._keys.items():
            place = namespace if KINDS[kind].namespaced else ""
            found = {name(o): o for o in self.sim.store.select(key, place)}
            objects[kind] = {n: o for n, o in found.items() if belongs(kind, n, namespace)}
        return View(objects)

    async def fresh_view(self, namespace: str) -> View:
        """The same."""
        return self.view(namespace)

    async def ask(self, namespace: str, check: Asked) -> str | None:
        """Read off the model."""
        match check:
            case HttpOk():
                answer = self.sim.network.get(namespace, check.service, check.port, check.path)
                told = f"http {check.service}{check.path}: {answer.status or answer.why}"
                return None if answer.status == 200 else told
            case ExecOk():
                return self._exec(namespace, check)
            case CanI():
                return await may(self.human, namespace, check)

    def _exec(self, namespace: str, check: ExecOk) -> str | None:
        pods = [p for p in pods_of(self.view(namespace), check.selector) if dig_str(p, "status", "phase") == "Running"]
        if not pods:
            return "no running pod to execute a command in"
        if check.command[0] != "nslookup":
            raise KubeError(f"exec {check.command[0]}: only nslookup is simulated")
        return None if self.sim.network.resolves(pods[0]) else "nslookup does not end in a pod"

    async def kubectl(self, namespace: str, arguments: Sequence[str], *, as_healer: bool = False) -> None:
        """The commands that scenarios use; `exec … rm FILE` takes a file away in the model."""
        if arguments[0] == "exec":
            self._remove_file(namespace, arguments)
            return
        stamp = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        await Verbs(self._stand_in if as_healer else self.human, namespace, stamp).run(arguments)

    def _remove_file(self, namespace: str, arguments: Sequence[str]) -> None:
        reference, command = arguments[1], list(arguments[list(arguments).index("--") + 1 :])
        if command[:1] != ["rm"]:
            raise KubeError(f"exec {' '.join(command)}: only rm is simulated")
        kind, _, workload = reference.partition("/")
        owner = self.view(namespace).get(f"{kind_named(kind)}/{workload}") or {}
        labels = {k: str(v) for k, v in dig_object(owner, "spec", "selector", "matchLabels").items()}
        self.sim.remove_file(pods_of(self.view(namespace), labels)[0], command[-1])

    async def kubelet(self, node: str, *, runs: bool) -> None:
        """Silence a kubelet, or wake it."""
        if runs:
            self.sim.start_kubelet(node)
        else:
            self.sim.stop_kubelet(node)

    async def alias(self, image: str, name: str) -> None:
        """The image is on every node under that name, too, and does the same."""
        registry = self.sim.registry
        registry.present.add(name)
        for node in self.sim.kubelets.nodes():
            node.present.add(name)
        if image in registry.by_image:
            registry.by_image[name] = registry.by_image[image]


@asynccontextmanager
async def simulated_ground(*, virtual: bool = True) -> AsyncGenerator[SimulatedGround]:
    """A cluster of two nodes, with the healer's rights in it."""
    opened = Simulator.virtual(timings=MEASURED) if virtual else Simulator(timings=MEASURED)
    async with opened as sim:
        await sim.apply([healer_role(), healer_binding()])
        sim.manager.metrics.default = IDLE_CPU_M
        async with Kube(sim.kubeconfig("admin")) as human, Kube(sim.kubeconfig("stand-in")) as stand_in:
            await sim.apply(_stand_in_rights())
            yield SimulatedGround(sim, human, stand_in)


def _stand_in_rights() -> JsonObject:
    """The stand-in's remedies are a person's."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "stand-in"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "stand-in"}],
    }
