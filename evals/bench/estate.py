"""What runs on the benchmark's cluster: namespaces of six workloads each, drawn from a seed.

An image's behaviour is the simulator's (`Registry.by_image`): it needs a setting and a variable, takes memory, listens
and serves, so that each of these can be taken from it.  Neighbour: `faults` breaks what is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from evals.simulator import Behaviour
from tools.jsontypes import JsonObject

REGISTRY: Final = "registry.example"
SETTINGS: Final = "settings"
PORT: Final = 8080
NODES: Final = 3
_PARTS: Final = (
    ("Deployment", "web"),
    ("Deployment", "api"),
    ("StatefulSet", "db"),
    ("Deployment", "worker"),
    ("DaemonSet", "agent"),
    ("Deployment", "cache"),
)
PER_NAMESPACE: Final = len(_PARTS)


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload as its owners wrote it."""

    kind: str
    namespace: str
    name: str
    replicas: int
    limit_mib: int
    """The memory limit of its container; what it takes at first lies below."""
    has_liveness: bool
    handles_term: bool
    unavailable: int
    """How many pods of a Deployment a rollout may take away at a time."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}"

    @property
    def image(self) -> str:
        """The release that works."""
        return f"{REGISTRY}/{self.namespace}/{self.name}:1"

    def behaviour(self, memory_mib: int | None = None) -> Behaviour:
        """What that image does; with another need for memory when asked."""
        return Behaviour(
            needs_env=("LEVEL",),
            env_equals={"MODE": "production"},
            listens=PORT,
            serves=("/healthz", "/live"),
            memory_mib=self.limit_mib // 2 if memory_mib is None else memory_mib,
            handles_term=self.handles_term,
        )

    def manifest(self) -> JsonObject:
        """The object."""
        labels: JsonObject = {"app": self.name}
        template: JsonObject = {"metadata": {"labels": labels}, "spec": {"containers": [self._container()]}}
        spec: JsonObject = {"selector": {"matchLabels": labels}, "template": template}
        if self.kind != "DaemonSet":
            spec["replicas"] = self.replicas
        if self.kind == "StatefulSet":
            spec["serviceName"] = self.name
        if self.kind == "Deployment":
            spec["strategy"] = {"rollingUpdate": {"maxUnavailable": self.unavailable, "maxSurge": 1}}
        metadata: JsonObject = {"name": self.name, "namespace": self.namespace, "labels": labels}
        return {"apiVersion": "apps/v1", "kind": self.kind, "metadata": metadata, "spec": spec}

    def _container(self) -> JsonObject:
        level: JsonObject = {"configMapKeyRef": {"name": SETTINGS, "key": "LEVEL"}}
        container: JsonObject = {
            "name": self.name,
            "image": self.image,
            "env": [{"name": "MODE", "value": "production"}, {"name": "LEVEL", "valueFrom": level}],
            "ports": [{"name": "http", "containerPort": PORT}],
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": PORT},
                "periodSeconds": 2,
                "failureThreshold": 2,
            },
            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": f"{self.limit_mib}Mi"}},
        }
        if self.has_liveness:
            container["livenessProbe"] = {
                "httpGet": {"path": "/live", "port": PORT},
                "periodSeconds": 3,
                "failureThreshold": 2,
            }
        return container


def estate(namespaces: int, seed: str) -> tuple[Workload, ...]:
    """All workloads of so many namespaces; the same seed gives the same ones."""
    rng = Random(f"estate {seed}")
    return tuple(
        Workload(
            kind=kind,
            namespace=f"team-{number:02}",
            name=name,
            replicas=rng.choice((1, 2, 2, 3)) if kind == "Deployment" else 2,
            limit_mib=rng.choice((48, 64, 96)),
            has_liveness=rng.random() < 0.5,
            handles_term=rng.random() < 0.7,
            unavailable=rng.choice((0, 1)),
        )
        for number in range(1, namespaces + 1)
        for kind, name in _PARTS
    )


def settings_of(namespace: str) -> list[JsonObject]:
    """The namespace, and the ConfigMap its workloads read."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": SETTINGS, "namespace": namespace},
            "data": {"LEVEL": "info"},
        },
    ]
