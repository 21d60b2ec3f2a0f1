"""Discovery documents: groups, versions, resources, and the version of the server."""

from __future__ import annotations

from evals.simulator.api import openapi
from evals.simulator.api.kinds import SUBRESOURCE_KINDS, Kind, KindTable
from tools.jsontypes import JsonObject, JsonValue

VERSION: JsonObject = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.4+simulator",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_SUB_VERBS = {"log": ["get"], "eviction": ["create"], "binding": ["create"], "token": ["create"]}


def api_versions() -> JsonObject:
    """`/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _versions(table: KindTable, group: str) -> list[str]:
    seen: list[str] = []
    for kind in table:
        if kind.group == group and kind.version not in seen:
            seen.append(kind.version)
    return sorted(seen, key=lambda v: ("alpha" in v, "beta" in v, v))


def _group(table: KindTable, name: str) -> JsonObject:
    versions: list[JsonValue] = [{"groupVersion": f"{name}/{v}", "version": v} for v in _versions(table, name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def group_list(table: KindTable) -> JsonObject:
    """`/apis`."""
    names = list(dict.fromkeys(k.group for k in table if k.group))
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(table, n) for n in names]}


def group(table: KindTable, name: str) -> JsonObject | None:
    """`/apis/GROUP`; None when it is not served."""
    if not any(k.group == name for k in table) or not name:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(table, name)}


def _resource(kind: Kind) -> list[JsonValue]:
    entry: JsonObject = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": [*kind.verbs],
    }
    if kind.short:
        entry["shortNames"] = [*kind.short]
    if kind.categories:
        entry["categories"] = [*kind.categories]
    found: list[JsonValue] = [entry]
    for name in kind.subresources:
        verbs: list[JsonValue] = [*_SUB_VERBS.get(name, ["get", "patch", "update"])]
        sub: JsonObject = {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs,
        }
        if name in SUBRESOURCE_KINDS:
            sub["group"], sub["version"], sub["kind"] = SUBRESOURCE_KINDS[name]
        found.append(sub)
    return found


def resource_list(table: KindTable, group_name: str, version: str) -> JsonObject | None:
    """`/api/v1` and `/apis/GROUP/VERSION`; None when it is not served."""
    kinds = [k for k in table if k.group == group_name and k.version == version]
    if not kinds:
        return None
    resources: list[JsonValue] = [entry for kind in kinds for entry in _resource(kind)]
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def answer(table: KindTable, path: str) -> JsonObject | None:
    """The document at a path; None when nothing is there."""
    fixed: dict[str, JsonObject] = {
        "/": {"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"]},
        "/version": VERSION,
        "/api": api_versions(),
    }
    if path in fixed:
        return fixed[path]
    match path.strip("/").split("/"):
        case ["apis"]:
            return group_list(table)
        case ["apis", name]:
            return group(table, name)
        case ["api", version]:
            return resource_list(table, "", version)
        case ["apis", name, version]:
            return resource_list(table, name, version)
        case ["openapi", "v3"]:
            return openapi.index(table)
        case ["openapi", "v3", *rest]:
            return openapi.document(table, "/".join(rest))
        case _:
            return None
