"""The demo's application: six workloads of a shop, what their images do, and the policy selfheal works under.

An image's behaviour is the simulator's (`Registry.by_image`); an image not named there listens and serves every path.
Neighbours: `faults` breaks what is here, `stage` sets it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evals.simulator import Behaviour, Registry
from tools.jsontypes import JsonObject

NAMESPACE: Final = "shop"
REGISTRY: Final = "registry.example/shop"
NO_REGISTRY: Final = "registry.invalid/shop"
"""Images of this host cannot be pulled on the simulator."""
MANIFESTS: Final = Path(__file__).parents[2] / "deploy" / "manifests"
RIGHTS: Final = tuple(
    MANIFESTS / name
    for name in (
        "namespace.yaml",
        "serviceaccount.yaml",
        "role-read.yaml",
        "role-act.yaml",
        "binding-read.yaml",
        "act-in-namespace.yaml",
    )
)
"""The rights an installation has, to the letter; the last one binds writing in the namespace `shop`."""
HEALER: Final = "system:serviceaccount:selfheal:selfheal"

POLICY: Final = """\
version: 1
default: observe
namespaces:
  shop:
    mode: auto
    actions: {set_resources: approve}     # more memory costs money: a person agrees to it
protected:
  objects: ["shop/Deployment/payments"]   # looked at, never touched
limits:
  cooldown_seconds: 30                    # 300 by default; what is broken twice in a demo is healed twice
  plans:
    namespace: {count: 6, seconds: 60}    # six faults in minutes are a demo, not a bad week
"""

HEALTHY: Final = Behaviour(listens=8080, serves=("/healthz",), handles_term=True)
PICKY: Final = Behaviour(
    listens=8080,
    serves=("/healthz",),
    env_equals={"MODE": "production"},
    fatal="FATAL: MODE must be 'production'",
    handles_term=True,
)
ALONE: Final = Behaviour(
    listens=8080, serves=("/healthz",), logs=("FATAL: no route to ledger.example:5432",), exit_code=1, handles_term=True
)
"""What the shop's pages do while the bank, outside of the cluster, does not answer."""
CRASHING: Final = Behaviour(logs=("FATAL: cannot parse CART_TTL='30d'",), exit_code=1)
TIRING: Final = Behaviour(
    logs=("warming up", "serving"), listens=8080, serves=("/healthz",), exit_code=1, exit_after=5, handles_term=True
)
"""Ready at once, dead five seconds later: what a check that looks only once takes for a success."""
SMALL_CACHE: Final = Behaviour(listens=8080, serves=("/healthz",), memory_mib=40, handles_term=True)
GROWN_CACHE: Final = Behaviour(listens=8080, serves=("/healthz",), memory_mib=96, handles_term=True)


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload of the shop."""

    kind: str
    name: str
    image: str
    replicas: int = 2
    memory: str = "64Mi"
    unavailable: int = 1
    """How many pods a rollout may take away at a time."""

    def manifest(self, image: str | None = None) -> JsonObject:
        """The object as its owners keep it in their repository; with another image when asked."""
        container: JsonObject = {
            "name": self.name,
            "image": image or self.image,
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "MODE"}}}],
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": 8080},
                "periodSeconds": 2,
                "failureThreshold": 2,
            },
            "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": self.memory}},
        }
        labels: JsonObject = {"app": self.name}
        spec: JsonObject = {
            "replicas": self.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        }
        if self.kind == "StatefulSet":
            spec["serviceName"] = self.name
        else:
            spec["strategy"] = {"rollingUpdate": {"maxUnavailable": self.unavailable, "maxSurge": 1}}
        metadata: JsonObject = {"name": self.name, "namespace": NAMESPACE, "labels": labels}
        return {"apiVersion": "apps/v1", "kind": self.kind, "metadata": metadata, "spec": spec}


WEB: Final = Workload("Deployment", "web", f"{REGISTRY}/web:4.1")
API: Final = Workload("Deployment", "api", f"{REGISTRY}/api:7.0")
CART: Final = Workload("Deployment", "cart", f"{REGISTRY}/cart:2.0", unavailable=0)
CACHE: Final = Workload("Deployment", "cache", f"{REGISTRY}/cache:6", replicas=1)
PAYMENTS: Final = Workload("Deployment", "payments", f"{REGISTRY}/payments:3.3")
DB: Final = Workload("StatefulSet", "db", f"{REGISTRY}/db:15.4")
WORKLOADS: Final = (WEB, API, CART, CACHE, PAYMENTS, DB)
OLD_CART: Final = f"{REGISTRY}/cart:1.9"
"""A release of cart that was taken back last week; it is in the history still."""
NEW_CART: Final = f"{REGISTRY}/cart:2.1"

RIGHT_MODE = "production"


def settings(mode: str) -> JsonObject:
    """The ConfigMap that all workloads read when they start."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": NAMESPACE},
        "data": {"MODE": mode},
    }


def namespace() -> JsonObject:
    """The namespace of the shop."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def images() -> Registry:
    """What is in the registry at the beginning."""
    return Registry(
        by_image={
            **{w.image: HEALTHY for w in WORKLOADS},
            WEB.image: PICKY,
            CACHE.image: SMALL_CACHE,
            OLD_CART: TIRING,
            NEW_CART: CRASHING,
        }
    )
