"""The kubelets of all nodes: pods that are bound here, heartbeats, and logs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import timedelta

from evals.simulator.api.core import Api, Write
from evals.simulator.api.errors import ApiError, bad_request
from evals.simulator.api.identity import kubelet_user, service_account
from evals.simulator.api.quota import is_over
from evals.simulator.api.rbac import Question, Rbac, denied
from evals.simulator.api.store import Change
from evals.simulator.kubelet.admission import Taken, rejection
from evals.simulator.kubelet.container import Container
from evals.simulator.kubelet.registry import Registry
from evals.simulator.kubelet.worker import Worker
from evals.simulator.objects import is_deleting, name_of, namespace_of, set_condition, stamp_micro, uid_of
from evals.simulator.timings import Timings
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

REJECTING = 0.4
"""Seconds until a pod that does not fit is told so."""
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


class Node:
    """One kubelet: alive or silent.  What falls due while it is silent happens when it is back."""

    def __init__(self, name: str, index: int, api: Api, present: set[str]) -> None:
        self.name, self.host_ip = name, f"10.88.0.{index}"
        self.present = set(present)
        self.silent = False
        self._api, self._index, self._addresses = api, index, 1
        self.taken = Taken()
        self._late: list[Callable[[], None]] = []
        self._timers: dict[int, asyncio.TimerHandle] = {}
        """By number: handles hash by their time, and in virtual time thousands have the same."""
        self._numbers = itertools.count()

    def next_ip(self) -> str:
        """A pod address nobody has."""
        self._addresses += 1
        return f"10.{240 + self._index // 200}.{self._index % 200}.{self._addresses}" if self._addresses < 250 else (
            f"10.{200 + self._addresses // 60_000}.{self._addresses // 250 % 250}.{self._addresses % 250 + 1}"
        )  # fmt: skip

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back later; late when the kubelet is silent by then."""
        number = next(self._numbers)

        def due() -> None:
            self._timers.pop(number, None)
            if self.silent:
                self._late.append(callback)
            else:
                callback()

        self._timers[number] = self._api.clock.call_later(seconds, due)

    def wake(self) -> None:
        """Alive again."""
        self.silent = False
        late, self._late = self._late, []
        for callback in late:
            callback()

    def stop(self) -> None:
        """No more callbacks."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


class Kubelets:
    """All kubelets of the cluster."""

    def __init__(self, api: Api, registry: Registry, timings: Timings) -> None:
        self.api, self.registry, self.timings = api, registry, timings
        self.pods = api.kinds.named("Pod")
        self._rbac = Rbac(api.store)
        self._nodes: dict[str, Node] = {}
        self._workers: dict[str, Worker] = {}
        self._unsubscribe: Callable[[], None] | None = None
        self._overrides: dict[tuple[str, str], str] = {}
        self._dirty: dict[str, JsonObject] = {}
        self._scheduled: asyncio.Handle | None = None

    def write(self, node: str) -> Write:
        """How a node's kubelet writes."""
        return Write(kubelet_user(node), "kubelet")

    def start(self) -> None:
        """Listen for pods."""
        self._unsubscribe = self.api.store.subscribe(self._on_change)

    def stop(self) -> None:
        """No more timers."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._scheduled is not None:
            self._scheduled.cancel()
        for node in self._nodes.values():
            node.stop()

    # ---- nodes

    def add_node(self, name: str, *, cpu: str, memory: str, labels: dict[str, str]) -> None:
        """Register a node and keep it alive."""
        node = self._nodes[name] = Node(name, len(self._nodes) + 1, self.api, self.registry.present)
        capacity: JsonObject = {"cpu": cpu, "memory": memory, "pods": "1000", "ephemeral-storage": "50Gi"}
        status: JsonObject = {
            "capacity": capacity,
            "allocatable": dict(capacity),
            "addresses": [{"type": "InternalIP", "address": node.host_ip}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": "v1.34.4", "operatingSystem": "linux", "architecture": "amd64"},
        }
        self._conditions(status)
        shown: JsonObject = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            **labels,
        }
        manifest: JsonObject = {"metadata": {"name": name, "labels": shown}, "spec": {}, "status": status}
        self.api.create(self.api.kinds.named("Node"), "", manifest, self.write(name))
        lease: JsonObject = {
            "metadata": {"name": name},
            "spec": {
                "holderIdentity": name,
                "leaseDurationSeconds": 40,
                "renewTime": stamp_micro(self.api.clock.now()),
            },
        }
        kind = self.api.kinds.named("Lease", "coordination.k8s.io")
        self.api.create(kind, "kube-node-lease", lease, self.write(name))
        self._beat(node)

    def _conditions(self, status: JsonObject) -> None:
        for type_, value, reason, message in _CONDITIONS:
            set_condition(status, type_, value, reason, message, now=self.api.clock.now())
        conditions = status["conditions"]
        if isinstance(conditions, list):
            for item in conditions:
                if isinstance(item, dict):
                    item["lastHeartbeatTime"] = self.api.stamp()

    def _beat(self, node: Node) -> None:
        """Renew the lease; say again that all is well when somebody said otherwise."""
        self.api.clock.call_later(self.timings.heartbeat, lambda: self._beat(node) if self._unsubscribe else None)
        lease = self.api.store.get("leases.coordination.k8s.io", "kube-node-lease", node.name)
        stored = self.api.store.get("nodes", "", node.name)
        if node.silent or stored is None:
            return
        if lease is not None:
            spec = {**dig_object(lease, "spec"), "renewTime": stamp_micro(self.api.clock.now())}
            self.api.store.put(
                "leases.coordination.k8s.io", {**lease, "metadata": dict(dig_object(lease, "metadata")), "spec": spec}
            )
        ready = [c for c in _conditions_of(stored) if c.get("type") == "Ready"]
        if not ready or ready[0].get("status") != "True":
            kept = [c for c in _conditions_of(stored) if c.get("type") not in {n for n, *_ in _CONDITIONS}]
            status: JsonObject = {**dig_object(stored, "status"), "conditions": [dict(c) for c in kept]}
            self._conditions(status)
            self.api.set_status(self.api.kinds.named("Node"), stored, status)
            self.api.event(
                stored, "Normal", "NodeReady", f"Node {node.name} status is now: NodeReady", "kubelet", host=node.name
            )

    def nodes(self) -> list[Node]:
        """Every node that has a kubelet."""
        return list(self._nodes.values())

    def is_silent(self, name: str) -> bool:
        """Whether a node's kubelet says nothing (nodes without a kubelet never do)."""
        return name not in self._nodes or self._nodes[name].silent

    def silence(self, name: str) -> None:
        """Stop a kubelet.  Raises KeyError for a node that is none."""
        self._nodes[name].silent = True

    def wake(self, name: str) -> None:
        """Start it again."""
        node = self._nodes[name]
        node.wake()
        self.api.clock.call_later(0.5, lambda: self._wake_pods(node))

    def _wake_pods(self, node: Node) -> None:
        stored = self.api.store.get("nodes", "", node.name)
        if stored is not None:
            status: JsonObject = {**dig_object(stored, "status"), "conditions": []}
            self._conditions(status)
            self.api.set_status(self.api.kinds.named("Node"), stored, status)
        for pod in self.api.store.scan("pods"):
            if dig_str(pod, "spec", "nodeName") == node.name:
                self._consider(pod)
                worker = self._workers.get(uid_of(pod))
                if worker is not None:
                    worker.publish()

    # ---- pods

    def _on_change(self, change: Change) -> None:
        if change.key != "pods":
            return
        uid = uid_of(change.object)
        node = self._nodes.get(dig_str(change.object, "spec", "nodeName"))
        if node is not None and (change.type == "DELETED" or is_over(change.object)):
            node.taken.release(uid)
        if change.type == "DELETED":
            self._dirty.pop(uid, None)
            worker = self._workers.get(uid)
            if worker is not None:
                worker.closed = True
            self._workers.pop(uid, None)
            return
        if node is not None and (uid not in self._workers or is_deleting(change.object)):
            self._dirty[uid] = change.object
            if self._scheduled is None:
                self._scheduled = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._scheduled = None
        dirty, self._dirty = self._dirty, {}
        for pod in dirty.values():
            current = self.api.store.get("pods", namespace_of(pod), name_of(pod))
            if current is not None and uid_of(current) == uid_of(pod):
                self._consider(current)

    def _consider(self, pod: JsonObject) -> None:
        node = self._nodes.get(dig_str(pod, "spec", "nodeName"))
        if node is None or node.silent:
            return
        uid = uid_of(pod)
        worker = self._workers.get(uid)
        if worker is None:
            if dig_str(pod, "status", "phase") in {"Succeeded", "Failed"} and not is_deleting(pod):
                return
            refused = None if is_deleting(pod) else self._rejection(node, pod)
            if refused is not None:
                node.after(REJECTING, lambda: self._reject(pod, *refused))
                return
            worker = self._workers[uid] = Worker(self, node, pod)
            node.taken.take(uid, pod)
            if not is_deleting(pod):
                worker.start()
        if is_deleting(pod):
            worker.stop(pod)

    def _rejection(self, node: Node, pod: JsonObject) -> tuple[str, str] | None:
        stored = self.api.store.get("nodes", "", node.name)
        if stored is None:
            return None
        return rejection(pod, node.taken.used, dig_object(stored, "status", "allocatable"))

    def _reject(self, pod: JsonObject, reason: str, message: str) -> None:
        current = self.api.store.get("pods", namespace_of(pod), name_of(pod))
        if current is not None and uid_of(current) == uid_of(pod):
            status: JsonObject = {"phase": "Failed", "reason": reason, "message": message}
            self.api.set_status(self.pods, current, status)
            self.api.event(current, "Warning", reason, message, "kubelet")

    def worker(self, pod: JsonObject) -> Worker | None:
        """Who cares for a pod."""
        return self._workers.get(uid_of(pod))

    def crash(self, pod: JsonObject, container: str, code: int = 1) -> None:
        """End a running container now."""
        worker = self.worker(pod)
        if worker is not None:
            worker.crash(container, code)

    def fail_probe(self, pod: JsonObject, field: str, why: str | None) -> None:
        """From now on that probe of the pod fails with `why`; None lets it answer for itself again."""
        if why is None:
            self._overrides.pop((uid_of(pod), field), None)
        else:
            self._overrides[uid_of(pod), field] = why
        worker = self.worker(pod)
        if worker is not None:
            worker.prober.again()

    def probe_override(self, worker: Worker, field: str) -> str | None:
        """What a test said a probe answers."""
        return self._overrides.get((worker.uid, field))

    def denial(self, pod: JsonObject | None, container: Container) -> str | None:
        """Why the container cannot read what it must; None when it may, or need not."""
        if pod is None:
            return None
        namespace = namespace_of(pod)
        user = service_account(namespace, dig_str(pod, "spec", "serviceAccountName") or "default")
        for resource in container.behaviour.reads:
            question = Question("get", resource=resource, namespace=namespace)
            if not self._rbac.allows(user, question):
                text = f"403 Forbidden: {denied(user, question).message}"
                if container.logs[-1:] != [text]:
                    container.logs.append(text)
                return text
        return None

    # ---- logs

    def _container(self, pod: JsonObject, name: str) -> Container:
        worker = self.worker(pod)
        named = [dig_str(c, "name") for c in (dig(pod, "spec", "containers") or []) if isinstance(c, dict)]  # type: ignore[union-attr]
        pod_name = name_of(pod)
        if not name and len(named) > 1:
            raise bad_request(
                f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(named)}]"
            )
        if worker is None:
            if not dig_str(pod, "spec", "nodeName"):
                return Container({"name": name or named[0]})
            raise bad_request(
                f'container "{name or named[0]}" in pod "{pod_name}" is waiting to start: ContainerCreating'
            )
        for container in [*worker.inits, *worker.mains]:
            if container.name == (name or named[0]):
                return container
        raise bad_request(f"container {name} is not valid for pod {pod_name}")

    def read(self, pod: JsonObject, container: str, *, previous: bool, params: Mapping[str, str]) -> bytes:
        """The log of a container.  Raises 400 when there is none."""
        found = self._container(pod, container)
        if previous:
            lines = (
                found.previous_logs
                if found.phase != "terminated" and found.reason != "CrashLoopBackOff"
                else found.logs
            )
            if lines is None or not found.last:
                text = f'previous terminated container "{found.name}" in pod "{name_of(pod)}" not found'
                raise bad_request(text)
        else:
            if found.phase == "waiting" and not found.last and not found.logs and found.spec.get("image"):
                reason = found.reason
                text = f'container "{found.name}" in pod "{name_of(pod)}" is waiting to start: {reason}'
                if reason not in {"ContainerCreating", "PodInitializing"}:
                    trying = {
                        "ErrImagePull": "image can't be pulled",
                        "ImagePullBackOff": "trying and failing to pull image",
                    }
                    text = (
                        f'container "{found.name}" in pod "{name_of(pod)}" is waiting to start: '
                        f"{trying.get(reason, reason)}"
                    )
                raise bad_request(text)
            lines = found.logs
        return _cut(lines, params)

    async def follow(self, pod: JsonObject, container: str, seen: int) -> bytes | None:
        """More bytes after `seen`; None when the container has ended."""
        while True:
            try:
                found = self._container(pod, container)
            except ApiError:
                return None
            data = _cut(found.logs, {})
            if len(data) > seen:
                return data[seen:]
            if found.phase == "terminated" or self.worker(pod) is None:
                return None
            await self.api.clock.sleep(timedelta(seconds=1))


def _conditions_of(node: JsonObject) -> list[JsonObject]:
    found = dig(node, "status", "conditions")
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []


def _cut(lines: list[str], params: Mapping[str, str]) -> bytes:
    tail = params.get("tailLines", "")
    if tail.isdigit():
        lines = lines[-int(tail) :] if int(tail) else []
    data = "".join(f"{line}\n" for line in lines).encode()
    limit = params.get("limitBytes", "")
    return data[: int(limit)] if limit.isdigit() else data
