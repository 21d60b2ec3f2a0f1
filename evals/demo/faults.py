"""The faults: what a person or the world does to the shop, and how selfheal's incident must end.

The rule: a fault changes the cluster alone, in a way that happens to real shops; an end other than the one written here
is a failure of the demo.  Neighbours: `play` plays them, `judge` compares the end.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from evals.demo.shop import (
    ALONE,
    API,
    CACHE,
    CART,
    DB,
    GROWN_CACHE,
    NAMESPACE,
    NEW_CART,
    NO_REGISTRY,
    PAYMENTS,
    PICKY,
    RIGHT_MODE,
    SMALL_CACHE,
    WEB,
    Workload,
    settings,
)
from evals.simulator import Simulator
from evals.simulator.objects import is_ready, name_of
from graph.plan import Status
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object


@dataclass(frozen=True, slots=True)
class Ending:
    """How an incident must end."""

    status: Status
    undone: bool = False
    """Whether a plan was taken back on the way."""
    asked: bool = False
    """Whether a person was asked and agreed."""
    whole: bool = True
    """Whether the workload is as its owners wrote it, without a person's repair."""
    is_free: bool = False
    """Whether a model may have tried something on the way: only the status is judged."""
    told: str = ""
    """What was special about it, in a few words."""


Change = Callable[[Simulator], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One chapter of the story."""

    name: str
    title: str
    told: tuple[str, ...]
    """What happens, for somebody who watches; first what is done, as a command where there is one."""
    workload: Workload
    change: Change
    """Makes it."""
    ending: Ending
    scripted: bool = False
    """Whether a scripted model server stands in for a model, and is asked before the rules."""
    allows: tuple[str, ...] = ()
    """Fields of the container that may differ in the end from what the owners wrote: the remedy itself."""
    repair: str = ""
    """What a person does in the end, as a command, where selfheal may not or cannot."""
    is_riddle: bool = False
    """Whether no rule knows it: part of the story only where a model is configured."""


def _container(workload: Workload, **fields: JsonValue) -> JsonObject:
    """The manifest with fields of its container replaced."""
    changed = copy.deepcopy(workload.manifest())
    container = dig_list(changed, "spec", "template", "spec", "containers")[0]
    dig_object(container).update(fields)
    return changed


async def _missing_settings(sim: Simulator) -> None:
    await sim.apply(_container(WEB, envFrom=[{"configMapRef": {"name": "web-features"}}]))


async def _missing_image(sim: Simulator) -> None:
    await sim.apply(_container(DB, image=f"{NO_REGISTRY}/db:16.0"))


async def _wrong_probe(sim: Simulator) -> None:
    probe: JsonObject = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 2, "failureThreshold": 2}
    await sim.apply(_container(API, readinessProbe=probe))


async def _grow(sim: Simulator) -> None:
    """The container ends, and the next one needs more than its limit."""
    sim.registry.by_image[CACHE.image] = GROWN_CACHE
    for pod in sim.pods(NAMESPACE, app=CACHE.name):
        sim.kubelets.crash(pod, CACHE.name)


async def _no_such_node(sim: Simulator) -> None:
    changed = copy.deepcopy(PAYMENTS.manifest())
    dig_object(changed, "spec", "template", "spec")["nodeSelector"] = {"disk": "nvme"}
    await sim.apply(changed)


async def _bad_release(sim: Simulator) -> None:
    await sim.apply(_container(CART, image=NEW_CART))


async def _outside(sim: Simulator) -> None:
    """Something beyond the cluster goes away; nothing in the cluster has changed."""
    sim.registry.by_image[WEB.image] = ALONE
    for pod in sim.pods(NAMESPACE, app=WEB.name):
        sim.kubelets.crash(pod, WEB.name)


SCRIPTED: Final = (
    "selfheal runs with SELFHEAL_REASONER=model here: the model is asked even though the rules know this case. Its"
    " answers are SCRIPTED (evals/scripted_model, asked over its socket): first, on purpose, the release that was"
    " taken back last week; then the good one. What selfheal makes of them is real."
)
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
        told=("kubectl -n shop patch deployment/api -p '{... readinessProbe: {httpGet: {path: /ready}} ...}'",),
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
        ending=Ending(Status.HEALED, asked=True, told="a person agreed"),
        allows=("resources",),
    ),
    Fault(
        name="protected",
        title="a protected workload is pinned to nodes that do not exist",
        told=(
            "kubectl -n shop patch deployment/payments -p '{... nodeSelector: {disk: nvme} ...}'",
            "The policy protects it (protected.objects: shop/Deployment/payments): selfheal must refuse.",
        ),
        workload=PAYMENTS,
        change=_no_such_node,
        ending=Ending(Status.REFUSED, whole=False, told="protected; a person repaired it"),
        repair="kubectl -n shop rollout undo deployment/payments",
    ),
    Fault(
        name="model",
        title="a model proposes the wrong revision and makes things worse",
        told=(
            f"kubectl -n shop set image deployment/cart cart={NEW_CART}",
            SCRIPTED,
        ),
        workload=CART,
        change=_bad_release,
        ending=Ending(Status.HEALED, undone=True, told="worse, undone exactly, planned again"),
        scripted=True,
    ),
)
RIDDLE: Final = Fault(
    name="outside",
    title="a service beyond the cluster goes away, and nothing in the cluster has changed",
    told=(
        "The bank's network is down: web cannot reach it and ends again and again.",
        "Nothing was rolled out and no setting differs, so there is nothing to put back: a person has to be told.",
    ),
    workload=WEB,
    change=_outside,
    ending=Ending(Status.ESCALATED, whole=False, is_free=True, told="a person was told; the bank came back"),
    repair="(the bank comes back)",
    is_riddle=True,
)


def named(name: str) -> Fault:
    """The fault of that name.  KeyError when there is none."""
    return {f.name: f for f in (*FAULTS, RIDDLE)}[name]


async def restore(sim: Simulator, fault: Fault) -> None:
    """What a person does in the end: the workload and its settings as their owners wrote them."""
    if fault.workload is CACHE:
        sim.registry.by_image[CACHE.image] = SMALL_CACHE
    if fault.workload is WEB:
        sim.registry.by_image[WEB.image] = PICKY
    await sim.apply([settings(RIGHT_MODE), fault.workload.manifest()])
    if fault.workload is DB:
        for pod in sim.pods(NAMESPACE, app=DB.name):
            if not is_ready(pod):
                sim.api.delete(sim.kind("Pod"), NAMESPACE, name_of(pod))
