"""The cases of actions on resources of Crossplane: one annotation of a managed resource, composite or claim."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.contract.executors.arena import LISTED, Arena, resource_of
from tests.contract.executors.cases import APP, Case
from tests.support.crossplane.model import BUCKET, SHELF, STORE, VOLUME, install
from tools import registry
from tools.executors.actions import AnyAction
from tools.executors.crossplane.facts import CREATE_PENDING, EXTERNAL_NAME, PAUSED, REQUESTED
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

Made = Callable[[Arena], Awaitable[AnyAction]]
PAUSE = "crossplane_resume"
WAKE = "crossplane_reconcile_now"


@dataclass(frozen=True)
class OnExternal(Case):
    """A case about a custom resource; one that is in no namespace is called after the arena."""

    def owner_ref(self, arena: Arena) -> ObjectRef:
        return ref_of(arena, self.owner)


def ref_of(arena: Arena, kind: str) -> ObjectRef:
    resource = resource_of(kind)
    namespace = arena.namespace if resource.namespaced else None
    return ObjectRef(kind=kind, namespace=namespace, name=APP if resource.namespaced else arena.namespace)


def there(kind: str, **annotations: str) -> Callable[[Arena], Awaitable[None]]:
    async def stage(arena: Arena) -> None:
        await install(arena.cluster, LISTED, patience=arena.patience)
        is_managed = "managed" in LISTED.categories(kind)
        spec: JsonObject = {"forProvider": {"region": "north"}} if is_managed else {"region": "north"}
        notes: JsonObject = {key: value for key, value in annotations.items() if value}
        metadata: JsonObject = {"name": ref_of(arena, kind).name, "annotations": notes}
        await arena.create(resource_of(kind), {"metadata": metadata, "spec": spec})

    return stage


def on(name: str, kind: str) -> Made:
    async def make(arena: Arena) -> AnyAction:
        ref = ref_of(arena, kind)
        return registry.parse(name, {"kind": kind, "namespace": ref.namespace, "name": ref.name})

    return make


def changed_to(
    name: str, kind: str, code: ReasonCode, **annotations: str | None
) -> Callable[[Arena], Awaitable[tuple[AnyAction, ReasonCode]]]:
    async def ask(arena: Arena) -> tuple[AnyAction, ReasonCode]:
        await arena.patch(resource_of(kind), ref_of(arena, kind).name, {"metadata": {"annotations": {**annotations}}})
        return await on(name, kind)(arena), code

    return ask


def foreign(kind: str, key: str, value: str) -> JsonObject:
    """Somebody writes the annotation, and the spec too."""
    spec: JsonObject = {"forProvider": {"region": "south"}} if kind in (BUCKET, VOLUME) else {"region": "south"}
    return {"metadata": {"annotations": {key: value}}, "spec": spec}


EXTERNAL_CASES: tuple[Case, ...] = (
    *(
        OnExternal(
            f"crossplane_resume {kind}",
            there(kind, **{PAUSED: "true", EXTERNAL_NAME: "their-name"}),
            on(PAUSE, kind),
            changed_to(PAUSE, kind, ReasonCode.NO_CHANGE, **{PAUSED: None}),
            owner=kind,
            foreign=foreign(kind, PAUSED, "false"),
            approved=True,
        )
        for kind in (BUCKET, VOLUME, STORE, SHELF)
    ),
    *(
        OnExternal(
            f"crossplane_reconcile_now {kind}",
            there(kind, **({EXTERNAL_NAME: "their-name"} if kind == BUCKET else {})),
            on(WAKE, kind),
            changed_to(WAKE, kind, ReasonCode.WORKLOAD_PAUSED, **{PAUSED: "true"}),
            owner=kind,
            foreign=foreign(kind, REQUESTED, "somebody's"),
            approved=True,
        )
        for kind in (BUCKET, VOLUME, STORE, SHELF)
    ),
    OnExternal(
        "crossplane_reconcile_now where it was asked before",
        there(BUCKET, **{REQUESTED: "earlier"}),
        on(WAKE, BUCKET),
        changed_to(WAKE, BUCKET, ReasonCode.TARGET_PROTECTED, **{CREATE_PENDING: "2026-01-01T00:00:00Z"}),
        owner=BUCKET,
        foreign=foreign(BUCKET, REQUESTED, "somebody's"),
    ),
)
