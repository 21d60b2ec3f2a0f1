"""Applications as Argo CD prints them, small: one deployment and one service from one repository."""

from __future__ import annotations

from tools.executors.argocd.application import ResourceKey
from tools.jsontypes import JsonObject, JsonValue

NEW, OLD, OLDER = "c3" * 20, "b2" * 20, "a1" * 20
REPO = "https://git.example/shop.git"
WEB = ResourceKey("apps", "Deployment", "shop", "web")


def app(
    *,
    health: str = "Healthy",
    sync: str = "Synced",
    automated: JsonValue = None,
    revision: str = NEW,
    metadata: JsonObject | None = None,
    spec: JsonObject | None = None,
    status: JsonObject | None = None,
    ordered: JsonValue = None,
) -> JsonObject:
    policy: JsonObject = {"syncOptions": ["CreateNamespace=true"]}
    if automated is not None:
        policy["automated"] = automated
    document: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "shop", "namespace": "argocd", "uid": "uid-shop", "resourceVersion": "100", **(metadata or {})
        },
        "spec": {
            "project": "default",
            "source": {"repoURL": REPO, "path": "shop", "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
            "syncPolicy": policy,
            **(spec or {}),
        },
        "status": {
            "health": {"status": health},
            "sync": {"status": sync, "revision": revision, "comparedTo": {"source": {"repoURL": REPO}}},
            "history": [entry(1, OLDER), entry(2, OLD), entry(3, NEW)],
            "operationState": succeeded(NEW),
            "resources": [resource(), resource(kind="Service", group="")],
            "reconciledAt": "2026-03-01T12:00:00Z",
            **(status or {}),
        },
    }  # fmt: skip
    if ordered is not None:
        document["operation"] = ordered
    return document


def entry(number: int, revision: str, **more: JsonValue) -> JsonObject:
    return {
        "id": number,
        "revision": revision,
        "deployedAt": f"2026-03-01T1{number}:00:00Z",
        "deployStartedAt": f"2026-03-01T1{number}:00:00Z",
        "initiatedBy": {"username": "alice"},
        "source": {"repoURL": REPO, "path": "shop", "targetRevision": "main"},
        **more,
    }


def resource(
    kind: str = "Deployment", *, group: str = "apps", name: str = "web", sync: str = "Synced", **more: JsonValue
) -> JsonObject:
    found: JsonObject = {"version": "v1", "kind": kind, "namespace": "shop", "name": name, "status": sync, **more}
    return found | ({"group": group} if group else {}) | {"health": {"status": "Healthy"}}


def operation_state(phase: str, *, message: str = "", revision: str = NEW, **more: JsonValue) -> JsonObject:
    return {
        "phase": phase,
        "message": message,
        "startedAt": "2026-03-01T12:00:00Z",
        "operation": {"initiatedBy": {"username": "alice"}, "sync": {"revision": revision}, "retry": {"limit": 5}},
        "syncResult": {"revision": revision, "source": {"repoURL": REPO, "path": "shop"}, "resources": []},
        **more,
    }


def succeeded(revision: str = NEW) -> JsonObject:
    said = "successfully synced (all tasks run)"
    return operation_state("Succeeded", message=said, revision=revision, finishedAt="2026-03-01T12:00:05Z")


def failed(revision: str = NEW, *, results: list[JsonValue] | None = None) -> JsonObject:
    said = "one or more objects failed to apply"
    state = operation_state("Failed", message=said, revision=revision, finishedAt="2026-03-01T12:00:05Z")
    return state | {"syncResult": {"revision": revision, "resources": results or []}}


def windows(*, can_sync: JsonValue = True, active: JsonValue = None, assigned: JsonValue = None) -> JsonObject:
    found: JsonObject = {"canSync": can_sync}
    if active is not None:
        found["activeWindows"] = active
    if assigned is not None:
        found["assignedWindows"] = assigned
    return found


def window(kind: str, *, by_hand: bool = False) -> JsonObject:
    return {"kind": kind, "schedule": "0 22 * * *", "duration": "8h", "manualSync": by_hand}
