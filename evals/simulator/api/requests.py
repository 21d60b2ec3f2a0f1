"""Reading a request: which resource, which verb, which options, which body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import yaml

from evals.simulator.api import protobuf
from evals.simulator.api.errors import ApiError, bad_request, no_such_path
from evals.simulator.api.kinds import Kind, KindTable
from evals.simulator.api.listing import Query
from evals.simulator.api.watch import WatchOptions
from tools.jsontypes import JsonObject, JsonValue

_TRUE = {"true", "1", "t", "T", "True", "TRUE"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL path names."""

    kind: Kind
    namespace: str
    name: str
    subresource: str


def target(path: str, table: KindTable) -> Target:
    """Read a resource path.  Raises 404 when nothing is served there."""
    parts = [unquote(p) for p in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if (
        rest[0] == "namespaces"
        and len(rest) >= 3
        and not (group == "" and len(rest) == 3 and rest[2] in {"status", "finalize"})
    ):
        namespace, rest = rest[1], rest[2:]
    kind = table.find(group, version, rest[0])
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in kind.subresources:
        raise no_such_path()
    if name and kind.namespaced and not namespace:
        raise no_such_path()
    return Target(kind, namespace, name, subresource)


def verb(method: str, where: Target, params: Mapping[str, str]) -> str:
    """The RBAC verb of a request.  Raises 405 for a method the resource does not have."""
    if method in {"GET", "HEAD"}:
        if where.name:
            return "get"
        return "watch" if params.get("watch") in _TRUE else "list"
    if method == "POST" and (not where.name or where.subresource in {"eviction", "binding", "token"}):
        return "create"
    if method == "PUT" and where.name:
        return "update"
    if method == "PATCH" and where.name:
        return "patch"
    if method == "DELETE":
        return "delete" if where.name else "deletecollection"
    raise ApiError(405, "the server does not allow this method on the requested resource", details={})


def _number(params: Mapping[str, str], name: str) -> int:
    text = params.get(name, "")
    if not text:
        return 0
    if not text.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def query(params: Mapping[str, str]) -> Query:
    """The parameters of a list."""
    return Query(
        labels=params.get("labelSelector", ""),
        fields=params.get("fieldSelector", ""),
        version=params.get("resourceVersion", ""),
        version_match=params.get("resourceVersionMatch", ""),
        limit=_number(params, "limit"),
        token=params.get("continue", ""),
    )


def watch_options(params: Mapping[str, str]) -> WatchOptions:
    """The parameters of a watch."""
    initial = params.get("sendInitialEvents")
    return WatchOptions(
        bookmarks=params.get("allowWatchBookmarks") in _TRUE,
        initial_events=None if initial is None else initial in _TRUE,
        seconds=float(_number(params, "timeoutSeconds") or 3600),
    )


def is_dry_run(params: Mapping[str, str]) -> bool:
    """Whether `dryRun=All` was asked for.  Raises 400 for any other value."""
    value = params.get("dryRun")
    if value is None:
        return False
    if value != "All":
        raise ApiError(422, f'Invalid value: "{value}": dryRun must be All', details={})
    return True


def body(raw: bytes, content_type: str) -> JsonValue:
    """The body as JSON or YAML; {} when it is empty.  Raises 400 or 415."""
    if not raw:
        return {}
    if "protobuf" in content_type:
        return protobuf.decode(raw)
    if "cbor" in content_type:
        raise ApiError(415, f"the body of the request was in an unknown format - {content_type}", details={})
    if "yaml" in content_type:
        try:
            from_yaml: JsonValue = yaml.load(raw, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise bad_request(f"error decoding YAML: {error}") from error
        return from_yaml
    try:
        from_json: JsonValue = json.loads(raw)
    except ValueError as error:
        raise bad_request(f"invalid JSON in the request body: {error}") from error
    return from_json


def body_object(raw: bytes, content_type: str) -> JsonObject:
    """The body as an object.  Raises 400 for anything else."""
    found = body(raw, content_type)
    if not isinstance(found, dict):
        raise bad_request("the body of the request must be an object")
    return found
