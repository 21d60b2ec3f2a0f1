"""The faults: what a person or the world does to the shop, and how selfheal's incident must end.

The rule: a fault changes the cluster alone, in a way that happens to real shops; an end other than the one written here
is a failure of the demo.  Neighbours: `play` plays them, `judge` compares the end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from evals.demo.shop import (
    API,
    CACHE,
    CART,
    DB,
    GROWN_CACHE,
    NAMESPACE,
    NEW_CART,
    NO_REGISTRY,
    PAYMENTS,
    SMALL_CACHE,
    WEB,
    Workload,
)
from evals.simulator import Simulator
from graph.plan import Status
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object


@dataclass(frozen=True, slots=True)
class Ending:
    """How an incident must end."""

    status: Status
    plans: int = 1
    """How many plans were made."""
    undone: bool = False
    """Whether a plan was taken back on the way."""
    asked: bool = False
    """Whether a person was asked and agreed."""
    whole: bool = True
    """Whether the workload is as its owners wrote it, without a person's repair."""


Change = Callable[[Simulator], Workload | JsonObject | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One chapter of the story."""

    name: str
    title: str
    told: tuple[str, ...]
    """What happens, for somebody who watches; first what is done, as a command where there is one."""
    workload: Workload
    change: Change
    """Makes it: what it returns is applied to the cluster."""
    ending: Ending
    scripted: bool = False
    """Whether a scripted model server stands in for a model, and is asked before the rules."""
    allows: tuple[str, ...] = ()
    """Fields of the container that may differ in the end from what the owners wrote: the remedy itself."""
    repair: str = ""
    """What a person does in the end, as a command, where selfheal may not or cannot."""


def _container(workload: Workload, **fields: JsonValue) -> JsonObject:
    """The manifest with fields of its container replaced."""
    changed = copy.deepcopy(workload.manifest())
    container = dig_list(changed, "spec", "template", "spec", "containers")[0]
    dig_object(container).update(fields)
    return changed


def _missing_settings(_: Simulator) -> JsonObject:
    return _container(WEB, envFrom=[{"configMapRef": {"name": "web-features"}}])


def _missing_image(_: Simulator) -> JsonObject:
    return _container(DB, image=f"{NO_REGISTRY}/db:16.0")


def _wrong_probe(_: Simulator) -> JsonObject:
    return _container(API, readinessProbe={"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 2})


def _grow(sim: Simulator) -> None:
    """The container ends, and the next one needs more than its limit."""
    sim.registry.by_image[CACHE.image] = GROWN_CACHE
    for pod in sim.pods(NAMESPACE, app=CACHE.name):
        sim.kubelets.crash(pod, CACHE.name)


def _too_large(_: Simulator) -> JsonObject:
    return _container(PAYMENTS, resources={"requests": {"cpu": "64", "memory": "32Mi"}, "limits": {"memory": "64Mi"}})


def _bad_release(_: Simulator) -> JsonObject:
    return _container(CART, image=NEW_CART)


FAULTS: Final[tuple[Fault, ...]] = (
    Fault(
        name="settings",
        title="a release reads a ConfigMap that nobody created",
        told=("kubectl -n shop set env deployment/web --from=configmap/web-features",),
        workload=WEB,
        change=_missing_settings,
        ending=Ending(Status.HEALED),
    ),
    Fault(
        name="image",
        title="a StatefulSet is upgraded to an image that does not exist",
        told=(
            f"kubectl -n shop set image statefulset/db db={NO_REGISTRY}/db:16.0",
            "Taking the change back is not enough: a StatefulSet waits for its broken pod for ever.",
        ),
        workload=DB,
        change=_missing_image,
        ending=Ending(Status.HEALED),
    ),
    Fault(
        name="probe",
        title="a readiness probe asks a path that is not served",
        told=("kubectl -n shop patch deployment/api: readinessProbe /healthz becomes /ready",),
        workload=API,
        change=_wrong_probe,
        ending=Ending(Status.HEALED),
    ),
    Fault(
        name="memory",
        title="a cache outgrows its memory limit, and nobody deployed anything",
        told=(
            "The catalogue grew overnight: the cache needs 96 MiB now, its limit is 64Mi.",
            "The policy asks a person before resources change (set_resources: approve).",
        ),
        workload=CACHE,
        change=_grow,
        ending=Ending(Status.HEALED, asked=True),
        allows=("resources",),
    ),
    Fault(
        name="protected",
        title="a protected workload asks for 64 CPUs",
        told=(
            "kubectl -n shop set resources deployment/payments --requests=cpu=64",
            "The policy protects it (protected.objects: shop/Deployment/payments): selfheal must refuse.",
        ),
        workload=PAYMENTS,
        change=_too_large,
        ending=Ending(Status.REFUSED, whole=False),
        repair="kubectl -n shop rollout undo deployment/payments",
    ),
    Fault(
        name="model",
        title="a model proposes the wrong revision and makes things worse",
        told=(
            f"kubectl -n shop set image deployment/cart cart={NEW_CART}",
            "SELFHEAL_REASONER=model: the model is asked before the rules, which know this case. Its answers here are",
            "SCRIPTED (evals/scripted_model, over its socket): first the release that was taken back last week, on",
            "purpose; then the good one. What selfheal makes of them is real.",
        ),
        workload=CART,
        change=_bad_release,
        ending=Ending(Status.HEALED, plans=2, undone=True),
        scripted=True,
    ),
)


def named(name: str) -> Fault:
    """The fault of that name.  KeyError when there is none."""
    return {f.name: f for f in FAULTS}[name]


def restore(sim: Simulator, fault: Fault) -> JsonObject:
    """What a person applies in the end: the workload as its owners wrote it."""
    if fault.workload is CACHE:
        sim.registry.by_image[CACHE.image] = SMALL_CACHE
    return fault.workload.manifest()
