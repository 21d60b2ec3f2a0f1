"""Faults of objects that are no pods on a simulated cluster, seen through the real mirror, as a watcher would see them.

Only what changed, what that reaches, and what is due is looked at: so this also shows that `affected` misses nothing.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from evals.simulator import Simulator
from graph.incident import Reason, Signal
from graph.signals.look import look_at_missing, look_at_object
from graph.signals.object_contexts import ObjectContexts
from graph.signals.reach import affected
from tests.graph.signals.object_samples import Journal
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.cluster.mirror import Mirror
from tools.cluster.resources import KNOWN
from tools.cluster.structs import Reference
from tools.jsontypes import JsonObject, dig_object
from tools.refs import ObjectRef

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {MODE: fast}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: registry.example/shop/web:1
        env: [{name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: MODE}}}]
        ports: [{name: http, containerPort: 8080}]
        resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: shop}
spec:
  schedule: "0 4 * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: tick, image: "registry.example/shop/tick:1"}]}
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {storageClassName: nowhere, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
"""
GOOD = ("ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler", "CronJob")


@dataclass
class Watch:
    """Looks at what changed, at what that reaches, and at what is due."""

    sim: Simulator
    mirror: Mirror
    contexts: ObjectContexts
    due: dict[ObjectRef, datetime] = field(default_factory=dict)
    confirmed: dict[tuple[str, Reason], Signal] = field(default_factory=dict)

    async def run(self) -> None:
        subscription = self.mirror.subscribe(replay=True)
        try:
            async for delta in subscription:
                refs = affected(delta, self.contexts)
                if delta.kind == "gone":
                    self.contexts.forget(delta.object)
                for ref in (delta.object.ref, *refs):
                    self.look(ref)
        finally:
            subscription.close()

    def look(self, ref: ObjectRef) -> None:
        now = self.sim.clock.now()
        resource = KNOWN.get(ref.kind)
        if resource is None:
            return
        wanted = Reference(ref.kind, ref.namespace or "", ref.name, "", resource.api_version)
        item = self.mirror.find(wanted)
        signals = look_at_object(item, self.contexts, now) if item else look_at_missing(ref, self.contexts, now)
        self.due.pop(ref, None)
        for signal in signals:
            if signal.confirmed:
                self.confirmed[str(ref), signal.reason] = signal
            elif signal.due_at is not None:
                self.due[ref] = min(signal.due_at, self.due.get(ref, signal.due_at))

    async def follow(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.sim.sleep(1)
            for ref in [r for r, at in self.due.items() if at <= self.sim.clock.now()]:
                self.look(ref)


@asynccontextmanager
async def watch() -> AsyncIterator[Watch]:
    async with Simulator.virtual() as sim:
        await sim.apply(SHOP)
        sim.set_metric("shop", "web", 8)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), seconds=60)
        await sim.sleep(20)
        good = {f"shop/{kind}/{o['metadata']['name']}": o for kind in GOOD for o in sim.all_of(kind, "shop")}
        async with await Cluster.connect(kubeconfig=sim.kubeconfig(), allowlist=AllowList(READ_RULES)) as cluster:
            mirror = Mirror(cluster, sim.clock)
            await mirror.start()
            assert await mirror.synced()
            it = Watch(sim, mirror, ObjectContexts(mirror, Journal(good=copy.deepcopy(good))))
            task = asyncio.create_task(it.run())
            try:
                await it.follow(5)
                yield it
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await mirror.stop()


async def put(sim: Simulator, kind: str, of: str, *path: str, namespace: str = "shop", **fields: object) -> None:
    """Set fields below `path`, as a person would with an editor."""
    live = copy.deepcopy(sim.get(kind, namespace, of))
    assert live is not None
    metadata = dig_object(live, "metadata")
    for server_s in ("resourceVersion", "managedFields"):
        metadata.pop(server_s, None)
    dig_object(live, *path).update(fields)  # type: ignore[arg-type]
    await sim.apply(live)


Fault = Callable[[Simulator], Awaitable[None]]


async def _selector(sim: Simulator) -> None:
    await put(sim, "Service", "web", "spec", "selector", tier="nope")


async def _named_port(sim: Simulator) -> None:
    await put(sim, "Service", "web", "spec", ports=[{"name": "http", "port": 80, "targetPort": "web-http"}])


async def _number(sim: Simulator) -> None:
    await put(sim, "Service", "web", "spec", ports=[{"name": "http", "port": 80, "targetPort": 9999}])


async def _zero(sim: Simulator) -> None:
    await put(sim, "Deployment", "web", "spec", replicas=0)


async def _paused(sim: Simulator) -> None:
    await put(sim, "Deployment", "web", "spec", paused=True)
    await put(sim, "Deployment", "web", "spec", "template", "metadata", annotations={"rev": "2"})


async def _target(sim: Simulator) -> None:
    await put(sim, "HorizontalPodAutoscaler", "web", "spec", "scaleTargetRef", name="web-2")


async def _budget(sim: Simulator) -> None:
    await put(sim, "PodDisruptionBudget", "web", "spec", minAvailable=2)


async def _suspended(sim: Simulator) -> None:
    await put(sim, "CronJob", "tick", "spec", suspend=True)


async def _claim(sim: Simulator) -> None:
    await sim.apply(CLAIM)
    volumes: list[JsonObject] = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    await put(sim, "Deployment", "web", "spec", "template", "spec", volumes=volumes)


async def _silent_node(sim: Simulator) -> None:
    sim.stop_kubelet(sim.all_of("Node")[0]["metadata"]["name"])  # type: ignore[index,call-overload,arg-type]


async def _tainted(sim: Simulator) -> None:
    for node in sim.all_of("Node"):
        name = node["metadata"]["name"]  # type: ignore[index,call-overload]
        taints = [{"key": "example.com/evict", "value": "yes", "effect": "NoExecute"}]
        await put(sim, "Node", str(name), "spec", namespace="", taints=taints)


async def _cordoned(sim: Simulator) -> None:
    for node in sim.all_of("Node"):
        name = node["metadata"]["name"]  # type: ignore[index,call-overload]
        await put(sim, "Node", str(name), "spec", namespace="", unschedulable=True)
    await put(sim, "Deployment", "web", "spec", replicas=3)


def _deleted(kind: str, of: str) -> Fault:
    async def delete(sim: Simulator) -> None:
        sim.api.delete(sim.kind(kind), "shop", of)

    return delete


async def _held(sim: Simulator) -> None:
    await put(sim, "ConfigMap", "settings", "metadata", finalizers=["example.com/never"])
    sim.api.delete(sim.kind("ConfigMap"), "shop", "settings")


FAULTS: dict[str, tuple[Fault, str, Reason, int]] = {
    "selector": (_selector, "shop/Service/web", Reason.SERVICE_WITHOUT_ENDPOINTS, 10),
    "named port": (_named_port, "shop/Service/web", Reason.SERVICE_PORT_MISSING, 10),
    "port number": (_number, "shop/Service/web", Reason.SERVICE_PORT_MISSING, 10),
    "zero replicas": (_zero, "shop/Deployment/web", Reason.SCALED_TO_ZERO, 10),
    "paused": (_paused, "shop/Deployment/web", Reason.ROLLOUT_PAUSED, 20),
    "autoscaler's target": (_target, "shop/HorizontalPodAutoscaler/web", Reason.AUTOSCALER_UNABLE, 30),
    "budget": (_budget, "shop/PodDisruptionBudget/web", Reason.EVICTION_BLOCKED, 40),
    "suspended": (_suspended, "shop/CronJob/tick", Reason.CRONJOB_SUSPENDED, 20),
    "claim": (_claim, "shop/PersistentVolumeClaim/data", Reason.CLAIM_UNBOUND, 40),
    "settings deleted": (_deleted("ConfigMap", "settings"), "shop/ConfigMap/settings", Reason.OBJECT_MISSING, 12),
    "Service deleted": (_deleted("Service", "web"), "shop/Service/web", Reason.OBJECT_MISSING, 12),
    "workload deleted": (_deleted("Deployment", "web"), "shop/Deployment/web", Reason.OBJECT_MISSING, 12),
    "deletion held up": (_held, "shop/ConfigMap/settings", Reason.DELETION_STUCK, 310),
    "silent node": (_silent_node, "Node/", Reason.NODE_NOT_READY, 90),
    "tainted nodes": (_tainted, "Node/", Reason.NODE_CLOSED, 30),
    "cordoned nodes": (_cordoned, "Node/", Reason.NODE_CLOSED, 30),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_fault(fault: tuple[Fault, str, Reason, int]) -> None:
    inject, where, reason, seconds = fault
    async with watch() as it:
        assert it.confirmed == {}, "well before"
        await inject(it.sim)
        await it.follow(seconds)
        found = {(ref, why) for ref, why in it.confirmed if ref.startswith(where)}
        assert {why for _, why in found} == {reason}
        assert not [key for key in it.confirmed if not key[0].startswith(where)], "nothing else is blamed"
