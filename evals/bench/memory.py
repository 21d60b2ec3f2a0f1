"""`python -m evals.bench.memory`: how many bytes the mirror keeps per object, by kind.

A simulated API server holds pods as a real one would show them (managed fields, conditions, statuses) and what stands
around them; the mirror lists one kind at a time, and what Python has allocated more afterwards is what it keeps.  The
rule: only the difference counts, after a full collection, so that the simulator in the same process is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from evals.simulator import Simulator
from tools.clock import SystemClock
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.cluster.documents import ConfigMap, Service
from tools.cluster.mirror import Mirror
from tools.cluster.objects import Pod
from tools.cluster.resources import CONFIG_MAP, POD, SERVICE, Resource
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject, JsonValue

PODS: Final = 5_000
OTHERS: Final = 2_000
NAMESPACES: Final = 50
_PATIENCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Kept:
    """What one kind costs."""

    kind: str
    count: int
    bytes_each: float
    wire_bytes: float
    """Mean size on the wire, as JSON."""


def pod(number: int) -> JsonObject:
    """A pod of one container, as the API server would show it while it runs."""
    name, at = f"web-7f9c{number % 97:02x}-{number:05d}", "2026-01-01T00:00:00Z"
    probe: JsonObject = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10}
    container: JsonObject = {
        "name": "app",
        "image": "registry.example/shop/web:1.4.2",
        "env": [{"name": f"SETTING_{n}", "value": "x" * 20} for n in range(8)],
        "envFrom": [{"configMapRef": {"name": f"settings-{number % 40}"}}],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/web"}],
    }
    conditions: list[JsonValue] = [
        {"type": kind, "status": "True", "lastTransitionTime": at}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {
        "metadata": {
            "name": name,
            "namespace": _namespace(number),
            "labels": {"app": f"web-{number % 40}", "pod-template-hash": f"7f9c{number % 97:02x}", "tier": "front"},
            "annotations": {"checksum/config": "0" * 64},
        },
        "spec": {
            "nodeName": f"node-{number % 100}",
            "containers": [container],
            "volumes": [{"name": "settings", "configMap": {"name": f"settings-{number % 40}"}}],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{number // 65536}.{number // 256 % 256}.{number % 256}",
            "startTime": at,
            "conditions": conditions,
            "containerStatuses": [
                {
                    "name": "app",
                    "image": "registry.example/shop/web:1.4.2",
                    "imageID": f"registry.example/shop/web@sha256:{number:064x}",
                    "ready": True,
                    "restartCount": 0,
                    "started": True,
                    "state": {"running": {"startedAt": at}},
                }
            ],
        },
    }


def settings(number: int) -> JsonObject:
    """A ConfigMap of a dozen values and one small file."""
    data: JsonObject = {f"SETTING_{n}": f"value {n} of {number}" for n in range(12)}
    data["application.yaml"] = "\n".join(f"key{n}: value {number}" for n in range(30))
    return {"metadata": {"name": f"settings-{number}", "namespace": _namespace(number)}, "data": data}


def service(number: int) -> JsonObject:
    """A Service with two ports."""
    ports: list[JsonValue] = [{"name": n, "port": p, "targetPort": n} for n, p in (("http", 80), ("metrics", 9090))]
    spec: JsonObject = {"selector": {"app": f"web-{number}"}, "ports": ports}
    return {"metadata": {"name": f"web-{number}", "namespace": _namespace(number)}, "spec": spec}


def _namespace(number: int) -> str:
    return f"team-{number % NAMESPACES}"


KINDS: Final[tuple[tuple[Resource, type[KubeObject], Callable[[int], JsonObject], int], ...]] = (
    (POD, Pod, pod, PODS),
    (CONFIG_MAP, ConfigMap, settings, OTHERS),
    (SERVICE, Service, service, OTHERS),
)


async def measure(scale: float = 1.0) -> list[Kept]:
    """The numbers for each kind; `scale` shrinks the counts."""
    async with Simulator(nodes=0) as sim:
        sim.manager.stop()
        for number in range(NAMESPACES):
            namespace: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _namespace(number)}}
            await sim.apply(namespace)
        for resource, _, make, count in KINDS:
            kind = sim.kind(resource.kind)
            for number in range(max(1, int(count * scale))):
                body = make(number)
                sim.api.create(kind, _namespace(number), body)
        cluster = await Cluster.connect(kubeconfig=sim.kubeconfig(), allowlist=AllowList(READ_RULES))
        try:
            return [await _kept(cluster, resource, struct) for resource, struct, _, _ in KINDS]
        finally:
            await cluster.close()


async def _kept(cluster: Cluster, resource: Resource, struct: type[KubeObject]) -> Kept:
    wire = await cluster.list_raw(resource, None, limit=500)
    first_page = wire.count(b'"uid"')
    await _hold(cluster, resource, struct)  # once unmeasured: decoders and caches are made
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    mirror = await _hold(cluster, resource, struct)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    count = sum(len(reflector.store) for reflector in mirror.reflectors)
    return Kept(resource.kind, count, grown / count, len(wire) / max(1, first_page))


async def _hold(cluster: Cluster, resource: Resource, struct: type[KubeObject]) -> Mirror:
    """A mirror of one kind that has listed everything, stopped."""
    mirror = Mirror(cluster, SystemClock(), watched=((resource, struct),))
    await mirror.start()
    if not await mirror.synced(_PATIENCE):
        raise RuntimeError(f"{resource.plural} were not listed within {_PATIENCE}")
    await mirror.stop()
    return mirror


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Bytes that the mirror keeps per object.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full counts, for a quick look")
    options = parser.parse_args(argv)
    print(f"{'kind':<12}{'objects':>9}{'bytes each':>12}{'on the wire':>13}{'all, MiB':>10}")
    for kept in asyncio.run(measure(options.scale)):
        total = kept.count * kept.bytes_each / 2**20
        print(f"{kept.kind:<12}{kept.count:>9}{kept.bytes_each:>12.0f}{kept.wire_bytes:>13.0f}{total:>10.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
