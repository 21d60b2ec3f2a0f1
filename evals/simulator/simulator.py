"""One simulated cluster: API server, controllers and kubelets on the running event loop.

::

    async with Simulator(nodes=2) as sim:
        await sim.apply(manifest)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"))

Real time by default; `Simulator(clock=ScaledClock(10))` runs ten times faster; `async with Simulator.virtual() as sim`
puts the running loop into virtual time, where hours of back-off take milliseconds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self, cast

import yaml
from aiohttp import web

from evals.simulator.api.audit import Audit
from evals.simulator.api.core import Api, Write
from evals.simulator.api.faults import Faults
from evals.simulator.api.identity import CONTROLLER, Tokens
from evals.simulator.api.kinds import Kind
from evals.simulator.api.rbac import BOOTSTRAP
from evals.simulator.api.server import Server
from evals.simulator.api.store import Store
from evals.simulator.clock import ScaledClock, SimClock, VirtualClock
from evals.simulator.controllers.manager import Manager
from evals.simulator.kubelet.kubelet import Kubelets
from evals.simulator.kubelet.registry import Registry
from evals.simulator.network import Network
from evals.simulator.objects import clone, is_ready, name_of, namespace_of, objects, strings
from evals.simulator.timings import Timings
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Simulator:
    """A cluster in this process.  Before `async with`: nothing listens.  After: the server is gone, the loop as before.

    `nodes` is how many worker nodes there are; `node_cpu` and `node_memory` are what each offers.  `registry` says
    which
    images exist and how commands behave; `timings` sets grace periods and speeds of controllers and kubelets.
    """

    def __init__(
        self,
        *,
        nodes: int = 2,
        clock: SimClock | None = None,
        registry: Registry | None = None,
        timings: Timings | None = None,
        node_cpu: str = "8",
        node_memory: str = "16Gi",
        port: int = 0,
        window: int = 20_000,
    ) -> None:
        self.clock: SimClock = clock or ScaledClock()
        self.registry = registry or Registry()
        self.timings = timings or Timings()
        self.store = Store(window)
        self.api = Api(self.store, self.clock, toleration_seconds=self.timings.toleration_seconds)
        self.faults, self.audit, self.tokens = Faults(), Audit(), Tokens()
        self.kubelets = Kubelets(self.api, self.registry, self.timings)
        self.manager = Manager(self.api, self.timings)
        self.network = Network(self.store, self.kubelets)
        self.server = Server(self.api, logs=self.kubelets, tokens=self.tokens, faults=self.faults, audit=self.audit)
        self._sizes = (node_cpu, node_memory)
        self._nodes, self._port = nodes, port
        self._runner: web.AppRunner | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def virtual(
        cls, *, nodes: int = 2, registry: Registry | None = None, timings: Timings | None = None, window: int = 20_000
    ) -> AsyncGenerator[Simulator, None]:
        """A cluster in virtual time on the running loop."""
        with VirtualClock() as clock:
            async with cls(nodes=nodes, clock=clock, registry=registry, timings=timings, window=window) as sim:
                yield sim

    async def __aenter__(self) -> Self:
        """Start everything; afterwards `url` answers and the nodes are Ready."""
        self._bootstrap()
        self._begin()
        self._runner = web.AppRunner(
            self.server.application(), access_log=None, shutdown_timeout=0.05, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._folder = tempfile.TemporaryDirectory(prefix="selfheal-simulator-")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything that was started."""
        self.manager.stop()
        self.kubelets.stop()
        self.server.stop_watches()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._folder is not None:
            self._folder.cleanup()

    def _begin(self) -> None:
        """Let it live: controllers, kubelets, nodes."""
        self.manager.start()
        self.kubelets.start()
        for index in range(self._nodes):
            self.add_node(f"node{index + 1}")

    def _bootstrap(self) -> None:
        for name in _NAMESPACES:
            self.api.create(self.api.kinds.named("Namespace"), "", {"metadata": {"name": name}})
        for manifest in BOOTSTRAP:
            kind = self.api.kinds.of(manifest)
            assert kind is not None  # noqa: S101 - the bootstrap objects are of built-in kinds
            self.api.create(kind, "", manifest)
        api_service: JsonObject = {
            "metadata": {"name": "kubernetes"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
        }
        self.api.create(self.api.kinds.named("Service"), "default", api_service)

    # ---- what tests and the demo use

    def kubeconfig(self, user: str = "admin", namespace: str = "default") -> Path:
        """A file that lets `user` in.  `admin` is cluster admin; `system:serviceaccount:NS:NAME` is that account;
        any other name is a user whose rights come from RBAC objects alone.

        The token stands in the server's URL: kubectl sends no bearer token over plain HTTP, and clients that would
        send both refuse to."""
        if self._folder is None:
            raise RuntimeError("the simulator is not running: use it inside `async with`")
        path = Path(self._folder.name) / f"{user.replace(':', '_')}-{namespace}.yaml"
        path.write_text(json.dumps(self._config(user, namespace), indent=1))  # JSON is YAML, and quickly written
        path.chmod(0o600)
        return path

    def token(self, user: str = "admin") -> str:
        """The bearer token of a user."""
        return self.tokens.named(user)

    def _config(self, user: str, namespace: str) -> JsonObject:
        token = self.tokens.named(user)
        server = self.url.replace("http://", f"http://{user.replace(':', '.')}:{token}@")
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "simulator",
            "clusters": [{"name": "simulator", "cluster": {"server": server}}],
            "users": [{"name": user, "user": {}}],
            "contexts": [
                {"name": "simulator", "context": {"cluster": "simulator", "user": user, "namespace": namespace}}
            ],
        }

    async def apply(
        self, manifest: JsonObject | str | Path | Iterable[JsonObject], namespace: str = "default"
    ) -> list[JsonObject]:
        """Create or update objects directly, as admin and without HTTP; the answer is what is stored.

        Takes one manifest, several, YAML text, or a file.  Objects without a namespace go to `namespace`.
        """
        return [self._apply_one(m, namespace) for m in _manifests(manifest)]

    def _apply_one(self, manifest: JsonObject, namespace: str) -> JsonObject:
        kind = self.api.kinds.of(manifest)
        if kind is None:
            what = f"{manifest.get('apiVersion')} {manifest.get('kind')}"
            raise ValueError(f"{what}: not served here; apply its CustomResourceDefinition first")
        where = namespace_of(manifest) or namespace if kind.namespaced else ""
        write = Write(CONTROLLER, "simulator", track_fields=True)
        wanted = {k: v for k, v in manifest.items() if k != "status"}
        obj, _ = self.api.patch(
            kind, where, name_of(manifest), wanted, "application/apply-patch+yaml", write, force=True
        )
        if "status" in manifest and kind.key not in {"nodes", "pods"}:
            obj = self.api.set_status(kind, obj, clone(dig_object(manifest, "status")))
        return obj

    def kind(self, kind: str) -> Kind:
        """A served kind by name, in whatever group it is.  Raises KeyError."""
        for candidate in self.api.kinds:
            if candidate.kind == kind:
                return candidate
        raise KeyError(kind)

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """The stored object (do not change it), or None."""
        return self.store.get(self.kind(kind).key, namespace, name)

    def all_of(self, kind: str, namespace: str = "") -> list[JsonObject]:
        """The stored objects of a kind (do not change them)."""
        return self.store.select(self.kind(kind).key, namespace)

    def pods(self, namespace: str, **labels: str) -> list[JsonObject]:
        """Pods by labels."""
        found = self.store.select("pods", namespace)
        return [p for p in found if all(strings(p, "metadata", "labels").get(k) == v for k, v in labels.items())]

    def events(self, namespace: str, name: str = "") -> list[tuple[str, str]]:
        """(reason, message) of a namespace's events in the order of their first occurrence, of one object or of all."""
        found = self.store.select("events", namespace)
        found = [e for e in found if not name or dig_str(e, "involvedObject", "name") == name]
        found.sort(key=lambda e: (dig_str(e, "firstTimestamp"), int(dig_str(e, "metadata", "resourceVersion"))))
        return [(dig_str(e, "reason"), dig_str(e, "message")) for e in found]

    def ready(self, kind: str, namespace: str, name: str) -> bool:
        """Whether a workload has rolled out and all it wants is ready; a pod: whether it is Ready."""
        obj = self.get(kind, namespace, name)
        if obj is None:
            return False
        if kind == "Pod":
            return is_ready(obj)
        status = dig_object(obj, "status")
        wanted = status.get("desiredNumberScheduled") if kind == "DaemonSet" else dig(obj, "spec", "replicas")
        ready = status.get("numberReady") if kind == "DaemonSet" else status.get("readyReplicas", 0)
        updated = status.get("updatedNumberScheduled") if kind == "DaemonSet" else status.get("updatedReplicas", 0)
        if kind == "ReplicaSet":
            updated = wanted
        observed = status.get("observedGeneration") == dig(obj, "metadata", "generation")
        same = status.get("replicas", 0) == wanted or kind == "DaemonSet"
        return observed and same and ready == wanted and (updated == wanted)

    async def until(self, holds: Callable[[], bool], seconds: float = 300.0, every: float = 0.25) -> None:
        """Return when `holds()` is true.  Raises TimeoutError after so many simulated seconds."""
        end = self.clock.monotonic() + seconds
        while not holds():
            if self.clock.monotonic() > end:
                raise TimeoutError(f"still not so after {seconds:g} simulated seconds")
            await self.clock.sleep(timedelta(seconds=every))

    async def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        await self.clock.sleep(timedelta(seconds=seconds))

    def add_node(self, name: str, *, labels: dict[str, str] | None = None) -> None:
        """A new node joins."""
        self.kubelets.add_node(name, cpu=self._sizes[0], memory=self._sizes[1], labels=labels or {})

    def stop_kubelet(self, node: str) -> None:
        """The node's kubelet falls silent: no heartbeats, no changes of its pods."""
        self.kubelets.silence(node)

    def start_kubelet(self, node: str) -> None:
        """The kubelet is back."""
        self.kubelets.wake(node)

    def remove_file(self, pod: JsonObject, path: str, container: str = "") -> None:
        """Somebody removes a file inside a running container of a pod, by default of its first one."""
        worker = self.kubelets.worker(pod)
        if worker is not None:
            worker.remove_file(container or dig_str(pod, "spec", "containers", 0, "name"), path)

    def set_metric(self, namespace: str, workload: str, cpu_millicores: float) -> None:
        """What each pod of a workload uses: what an autoscaler sees.  Without it there are no metrics."""
        self.manager.metrics.set(namespace, workload, cpu_millicores)


def _manifests(manifest: JsonObject | str | Path | Iterable[JsonObject]) -> list[JsonObject]:
    if isinstance(manifest, Path):
        manifest = manifest.read_text()
    items: list[JsonObject] = []
    if isinstance(manifest, str):
        items = [m for m in yaml.load_all(manifest, Loader=yaml.CSafeLoader) if m]
    elif isinstance(manifest, dict):
        items = [cast("JsonObject", manifest)]
    else:
        items = list(manifest)
    found: list[JsonObject] = []
    for item in items:
        found += objects(item, "items") if item.get("kind") == "List" else [item]
    return found
