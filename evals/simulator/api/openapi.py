"""As much OpenAPI v3 as kubectl asks for: which paths take `fieldValidation` and `dryRun`.  No schemas (`kubectl
explain`).
"""

from __future__ import annotations

from evals.simulator.api.kinds import Kind, KindTable
from tools.jsontypes import JsonObject

_PARAMETERS: JsonObject = {
    "parameters": [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
}


def _root(kind: Kind) -> str:
    return f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"


def index(table: KindTable) -> JsonObject:
    """`/openapi/v3`."""
    roots = dict.fromkeys(_root(k) for k in table)
    return {"paths": {r: {"serverRelativeURL": f"/openapi/v3/{r}?hash=simulator"} for r in roots}}


def document(table: KindTable, root: str) -> JsonObject | None:
    """`/openapi/v3/apis/GROUP/VERSION`; None when it is not served."""
    kinds = [k for k in table if _root(k) == root]
    if not kinds:
        return None
    paths: JsonObject = {}
    for kind in kinds:
        base = f"/{root}/namespaces/{{namespace}}" if kind.namespaced else f"/{root}"
        marked: JsonObject = {
            **_PARAMETERS,
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        }
        paths[f"{base}/{kind.plural}"] = {"post": marked}
        paths[f"{base}/{kind.plural}/{{name}}"] = {"patch": marked, "put": marked}
    info: JsonObject = {"title": "Kubernetes", "version": "v1.34.4"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
