"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386)."""

from __future__ import annotations

from evals.simulator.api.errors import ApiError, bad_request
from evals.simulator.objects import clone
from tools.jsontypes import JsonObject, JsonValue


def merge(target: JsonValue, patch: JsonValue) -> JsonValue:
    """RFC 7386: null removes, objects merge, everything else replaces.  Neither argument is changed."""
    if not isinstance(patch, dict):
        return clone(patch)
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: JsonObject, operations: JsonValue) -> JsonObject:
    """RFC 6902 on a copy.  A failed `test` and a path that does not exist are 422, as the API server has it."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document: JsonValue = clone(target)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("op"), str):
            raise bad_request("error decoding patch: an operation needs op and path")
        document = _apply(document, operation)
    if not isinstance(document, dict):
        raise _rejected()
    return document


def _rejected() -> ApiError:
    return ApiError(422, "the server rejected our request due to an error in our request", reason="Invalid", details={})


def _pointer(text: JsonValue) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _rejected()
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _apply(document: JsonValue, operation: JsonObject) -> JsonValue:
    kind, path = operation["op"], _pointer(operation.get("path"))
    if kind == "test":
        if _read(document, path, missing_is_null=True) != operation.get("value"):
            raise _rejected()
        return document
    if kind == "add":
        return _insert(document, path, clone(operation.get("value")))
    if kind == "replace":
        _read(document, path)
        return _insert(_delete(document, path), path, clone(operation.get("value"))) if path else operation.get("value")
    if kind == "remove":
        return _delete(document, path)
    if kind in {"move", "copy"}:
        source = _pointer(operation.get("from"))
        value = clone(_read(document, source))
        return _insert(_delete(document, source) if kind == "move" else document, path, value)
    raise _rejected()


def _step(parent: JsonValue, part: str) -> JsonValue:
    if isinstance(parent, dict) and part in parent:
        return parent[part]
    if isinstance(parent, list) and part.isdigit() and int(part) < len(parent):
        return parent[int(part)]
    raise _rejected()


def _read(document: JsonValue, path: list[str], *, missing_is_null: bool = False) -> JsonValue:
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if missing_is_null and last and isinstance(document, dict) and part not in document:
            return None
        document = _step(document, part)
    return document


def _insert(document: JsonValue, path: list[str], value: JsonValue) -> JsonValue:
    if not path:
        return value
    parent = _read(document, path[:-1])
    last = path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        index = len(parent) if last == "-" else int(last) if last.isdigit() else -1
        if not 0 <= index <= len(parent):
            raise _rejected()
        parent.insert(index, value)
    else:
        raise _rejected()
    return document


def _delete(document: JsonValue, path: list[str]) -> JsonValue:
    if not path:
        raise _rejected()
    parent, last = _read(document, path[:-1]), path[-1]
    _step(parent, last)
    if isinstance(parent, dict):
        del parent[last]
    elif isinstance(parent, list):
        del parent[int(last)]
    return document
