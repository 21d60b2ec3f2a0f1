"""JSON Patch (RFC 6902) as our writes use it: fenced by version and uid, and signed with our marks.

The rule: every patch of ours begins with its fence.  Replacing `resourceVersion` by the one that was read makes the API
server answer 409 when anybody wrote in between; `test` of the uid makes it refuse another life of the same name.
Pointers: RFC 6901; `~` and `/` inside a key are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from tools.cluster.resources import Resource, WriteRequest
from tools.executors.base import ACTION_ID, INCIDENT_ID, Mark
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

Operation = Literal["add", "replace", "remove", "test"]

ANNOTATIONS: Final = "/metadata/annotations"
_PLAIN: Final = re.compile(r"[\t\n\r !-%'-;=?-~]*")
"""Text that both encoders write alike: printable ASCII without `&`, `<` and `>`."""


def pointer(*segments: str | int) -> str:
    """A JSON pointer to a path of keys and indices."""
    return "".join("/" + str(segment).replace("~", "~0").replace("/", "~1") for segment in segments)


def split(path: str) -> tuple[str, ...]:
    """The unescaped segments of a pointer; the inverse of `pointer` but for the type of indices."""
    return tuple(s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:])


def find(document: JsonValue, path: str) -> tuple[bool, JsonValue]:
    """Follow a pointer: whether something is there, and what."""
    for segment in split(path):
        if isinstance(document, dict) and segment in document:
            document = document[segment]
        elif isinstance(document, list) and segment.isdecimal() and int(segment) < len(document):
            document = document[int(segment)]
        else:
            return False, None
    return True, document


def operation(op: Operation, path: str, value: JsonValue = None) -> JsonObject:
    """One operation; `remove` carries no value."""
    return {"op": op, "path": path} if op == "remove" else {"op": op, "path": path, "value": value}


def is_comparable(value: JsonValue) -> bool:
    """Whether a `test` of this value passes on a real API server when the value is there.

    The server compares scalars by their encoded bytes, and its encoder writes `&`, `<` and `>` as escapes and other
    scripts as they are, where ours does the opposite: such a test fails for ever.  Measured on Kubernetes 1.34.
    """
    if isinstance(value, str):
        return _PLAIN.fullmatch(value) is not None
    if isinstance(value, list):
        return all(is_comparable(item) for item in value)
    if isinstance(value, dict):
        return all(is_comparable(item) for item in value.values())
    return not isinstance(value, float)


def tested(path: str, value: JsonValue) -> list[JsonObject]:
    """The `test` of a field, where it can be made; whoever leans on it alone asks `is_comparable` first."""
    return [operation("test", path, value)] if is_comparable(value) else []


def fence(live: JsonObject) -> list[JsonObject]:
    """Refuse when the object was written since `live` was read, or is another one of the same name."""
    return [
        operation("replace", "/metadata/resourceVersion", dig_str(live, "metadata", "resourceVersion")),
        operation("test", "/metadata/uid", dig_str(live, "metadata", "uid")),
    ]


def put(live: JsonObject, path: Sequence[str | int], value: JsonValue) -> list[JsonObject]:
    """Set one field, making the maps above it that are not there yet.  The last segment may exist already."""
    above = [path[:depth] for depth in range(1, len(path)) if dig(live, *path[:depth]) is None]
    return [*(operation("add", pointer(*place), {}) for place in above), operation("add", pointer(*path), value)]


def sign(live: JsonObject, mark: Mark) -> list[JsonObject]:
    """Write our marks into the object's own annotations (never into a pod template: that would roll pods)."""
    marks = {ACTION_ID: str(mark.action_id), INCIDENT_ID: str(mark.incident_id)}
    if not dig_object(live, "metadata", "annotations"):
        return [operation("add", ANNOTATIONS, {**marks})]
    return [operation("add", pointer("metadata", "annotations", key), value) for key, value in marks.items()]


def json_patch(
    resource: Resource, live: JsonObject, operations: Iterable[JsonObject], *, field_manager: str
) -> WriteRequest:
    """The patch of the object that `live` shows."""
    body: list[JsonValue] = [*operations]
    return WriteRequest(
        verb="patch",
        resource=resource,
        namespace=dig_str(live, "metadata", "namespace") or None,
        name=dig_str(live, "metadata", "name"),
        body=body,
        content_type="application/json-patch+json",
        field_manager=field_manager,
    )
