"""What a write would change: the difference between an object and its server-side dry run, as JSON pointers.

The rule: only what the server manages by itself is left out (status, managedFields, resourceVersion, generation) and
our own marks on the object.  Anything else that differs is a change, whoever makes it: a mutating webhook that adds a
container is seen here.  Values are as they are; whoever shows them takes them through `redacted`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tools.executors.base import OWN_PREFIX
from tools.executors.compare import same, without_nulls
from tools.executors.patch import find, pointer, split
from tools.jsontypes import JsonObject, JsonValue, dig_str
from tools.redact import REDACTED, excerpt, is_secret_name, redact_value

_MANAGED: Final = frozenset(
    {
        "/status",
        "/metadata/managedFields",
        "/metadata/resourceVersion",
        "/metadata/generation",
        # A DaemonSet's template generation: the API server counts it up and shows it as an annotation (seen on 1.34).
        "/metadata/annotations/deprecated.daemonset.template.generation",
    }
)
_ANNOTATIONS: Final = ("metadata", "annotations")
_FLAG: Final = re.compile(r"^--?[\w-]+$")


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf that differs; None means that it is not there."""

    path: str
    before: JsonValue
    after: JsonValue

    def __str__(self) -> str:
        return f"{self.path}: {_show(self.before)} -> {_show(self.after)}"


def diff(before: JsonObject, after: JsonObject) -> tuple[Change, ...]:
    """All leaves that differ, in order of their pointers.  Lists are compared by position."""
    found: list[Change] = []
    _walk((), without_nulls(before), without_nulls(after), found)
    return tuple(sorted((c for c in found if not _is_managed(c.path)), key=lambda c: c.path))


def outside(changes: Iterable[Change], declared: Iterable[str]) -> tuple[Change, ...]:
    """The changes that lie under none of the `declared` pointers; `*` in a pointer stands for any one segment."""
    allowed = [split(path) for path in declared]
    return tuple(c for c in changes if not any(_covers(prefix, split(c.path)) for prefix in allowed))


def redacted(changes: Iterable[Change], *documents: JsonObject) -> tuple[Change, ...]:
    """The same changes without what looks like a secret, by its form or by its name.

    `documents` are the objects that were compared: they tell of which variable `.../env/2/value` is the value.
    """
    return tuple(
        Change(c.path, _hidden(name, c.before), _hidden(name, c.after))
        for c in changes
        for name in (_name_of(split(c.path), documents),)
    )


def _name_of(path: tuple[str, ...], documents: tuple[JsonObject, ...]) -> str:
    """What the value at `path` is called: its key, the variable it belongs to, the flag before it."""
    *above, last = path or ("",)
    for document in documents:
        there, holder = find(document, pointer(*above))
        if last == "value" and isinstance(holder, dict):
            return dig_str(holder, "name") or last
        if there and isinstance(holder, list) and last.isdecimal():
            return _flag_before(holder, int(last))
    return last


def _flag_before(items: list[JsonValue], index: int) -> str:
    before = items[index - 1] if 0 < index <= len(items) else None
    return before if isinstance(before, str) and _FLAG.match(before) else ""


def _hidden(name: str, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        called = dig_str(value, "name") if "value" in value else ""
        return {key: _hidden(called or key if key == "value" else key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(_flag_before(value, i) or name, item) for i, item in enumerate(value)]
    if isinstance(value, str):
        return redact_value(name, value)
    return (
        REDACTED if isinstance(value, int | float) and not isinstance(value, bool) and is_secret_name(name) else value
    )


def _walk(path: tuple[str, ...], before: JsonValue, after: JsonValue, found: list[Change]) -> None:
    if isinstance(before, dict | None) and isinstance(after, dict | None) and (before or after):
        left, right = before or {}, after or {}
        for key in left.keys() | right.keys():
            _walk((*path, key), left.get(key), right.get(key), found)
    elif isinstance(before, list) and isinstance(after, list):
        for index, (left_item, right_item) in enumerate(zip(before, after, strict=False)):
            _walk((*path, str(index)), left_item, right_item, found)
        shorter = min(len(before), len(after))
        found += [Change(pointer(*path, shorter + n), item, None) for n, item in enumerate(before[shorter:])]
        found += [Change(pointer(*path, shorter + n), None, item) for n, item in enumerate(after[shorter:])]
    elif not same(before, after):
        found.append(Change(pointer(*path), before, after))


def _is_managed(path: str) -> bool:
    segments = split(path)
    if len(segments) > 2 and segments[:2] == _ANNOTATIONS and segments[2].startswith(OWN_PREFIX):
        return True
    return any(path == managed or path.startswith(managed + "/") for managed in _MANAGED)


def _covers(prefix: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(path) >= len(prefix) and all(p in {"*", s} for p, s in zip(prefix, path, strict=False))


def _show(value: JsonValue) -> str:
    return "nothing" if value is None else excerpt(str(value), 80)
