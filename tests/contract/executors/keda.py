"""The cases of the actions on KEDA's objects, over a server that has the kinds and nobody who acts on them.

The published definitions are used where they are on this machine, the simulator's smaller ones otherwise.  On a real
cluster the kinds stay: other tests may be using them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from evals.simulator.keda.definitions import DEFINITIONS
from tests.contract.executors.arena import Arena
from tests.contract.executors.cases import APP, Case
from tests.contract.executors.platform import here, refused_with
from tests.support.crds import published
from tools.cluster.resources import SCALED_JOB, SCALED_OBJECT, Resource, WriteRequest
from tools.errors import NotFound, ToolError
from tools.executors.keda.scaled import PAUSED, PAUSED_REPLICAS
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig_str

Stage = Callable[[Arena], Awaitable[None]]
DEFINITION = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
TRIGGERS: list[JsonValue] = [
    {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 6 * * *", "end": "0 20 * * *"}}
]
POD: JsonObject = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "localhost/heal-busybox:1"}]}


async def defined(arena: Arena) -> None:
    """The kinds are served."""
    for small in DEFINITIONS:
        body = published(dig_str(small, "spec", "names", "kind")) or small
        request = WriteRequest("create", DEFINITION, None, dig_str(body, "metadata", "name"), body)
        with suppress(ToolError):  # another test has made it
            await arena.cluster.write(request, dry_run=False)

    async def is_served() -> bool:
        try:
            for resource in (SCALED_OBJECT, SCALED_JOB):
                await arena.cluster.list(resource, arena.namespace)
        except NotFound:
            return False
        return True

    await arena.until("the kinds of KEDA are served", is_served)


def scaled_object(*, annotations: JsonObject | None = None, least: int | None = 2, greatest: int | None = 4) -> Stage:
    async def stage(arena: Arena) -> None:
        await defined(arena)
        spec: JsonObject = {"scaleTargetRef": {"name": APP}, "triggers": TRIGGERS}
        spec |= {} if least is None else {"minReplicaCount": least}
        spec |= {} if greatest is None else {"maxReplicaCount": greatest}
        metadata: JsonObject = {"name": APP, "annotations": annotations or {}}
        await arena.create(SCALED_OBJECT, {"metadata": metadata, "spec": spec})

    return stage


def scaled_job(*, annotations: JsonObject | None = None) -> Stage:
    async def stage(arena: Arena) -> None:
        await defined(arena)
        spec: JsonObject = {"jobTargetRef": {"template": {"spec": POD}}, "triggers": TRIGGERS}
        await arena.create(SCALED_JOB, {"metadata": {"name": APP, "annotations": annotations or {}}, "spec": spec})

    return stage


HELD_AT_NONE: JsonObject = {PAUSED_REPLICAS: "0", "team.example/note": "kept"}
FOREIGN: JsonObject = {
    "metadata": {"annotations": {PAUSED: "false", PAUSED_REPLICAS: "3"}},
    "spec": {"pollingInterval": 7},
}
"""Somebody changes the pause and the specification."""
KEDA_CASES: tuple[Case, ...] = (
    Case(
        "keda_resume ScaledObject", scaled_object(annotations=HELD_AT_NONE), here("keda_resume", kind="ScaledObject"),
        refused_with(ReasonCode.NO_CHANGE, here("keda_pause", kind="ScaledObject")),
        owner="ScaledObject", foreign=FOREIGN, approved=True,
    ),
    Case(
        "keda_resume ScaledJob", scaled_job(annotations={PAUSED: "true"}), here("keda_resume", kind="ScaledJob"),
        refused_with(ReasonCode.NO_CHANGE, here("keda_pause", kind="ScaledJob")),
        owner="ScaledJob", foreign=FOREIGN, approved=True,
    ),
    Case(
        "keda_pause ScaledObject", scaled_object(), here("keda_pause", kind="ScaledObject"),
        refused_with(ReasonCode.NO_CHANGE, here("keda_resume", kind="ScaledObject")),
        owner="ScaledObject", foreign=FOREIGN, approved=True,
    ),
    Case(
        "keda_pause ScaledJob", scaled_job(annotations={"team.example/note": "kept"}),
        here("keda_pause", kind="ScaledJob"),
        refused_with(ReasonCode.NO_CHANGE, here("keda_resume", kind="ScaledJob")),
        owner="ScaledJob", foreign=FOREIGN, approved=True,
    ),
    Case(
        "keda_set_bounds", scaled_object(), here("keda_set_bounds", min_replicas=3, max_replicas=8),
        refused_with(ReasonCode.PARAM_OUT_OF_RANGE, here("keda_set_bounds", min_replicas=None, max_replicas=9)),
        owner="ScaledObject", foreign={"spec": {"maxReplicaCount": 5}},
    ),
    Case(
        "keda_set_bounds that were left out", scaled_object(least=None, greatest=None),
        here("keda_set_bounds", min_replicas=1, max_replicas=150),
        refused_with(ReasonCode.PARAM_OUT_OF_RANGE, here("keda_set_bounds", min_replicas=3, max_replicas=None)),
        owner="ScaledObject", foreign={"spec": {"maxReplicaCount": 5}},
    ),
)  # fmt: skip
