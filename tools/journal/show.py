"""Differences of whole objects as people read them: named paths, values redacted and cut.

The rule is that of `diffs`: no value leaves unredacted; a variable, a setting or an annotation with a secret-like name
shows only that it differs.  Neighbours: `compare` finds the differences, `diffs` has the form of a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tools.executors.patch import split
from tools.journal.compare import Difference
from tools.journal.diffs import Change, change, hidden, join
from tools.jsontypes import JsonObject, JsonValue, dig, dig_str
from tools.redact import REDACTED, is_secret_name

LIMIT: Final = 40
_NAMES: Final = ("name", "mountPath", "devicePath", "containerPort", "port", "key", "type")


def shown(found: Sequence[Difference], live: JsonObject, *, limit: int = LIMIT) -> tuple[tuple[Change, ...], bool]:
    """At most `limit` of the differences, and whether there are more."""
    return tuple(_shown(one, live) for one in found[:limit]), len(found) > limit


def _shown(one: Difference, live: JsonObject) -> Change:
    path, variable = _named(one, live)
    return change(
        path,
        _safe(one.now, variable) if one.has_now else None,
        _safe(one.then, variable) if one.has_then else None,
    )


def _named(one: Difference, live: JsonObject) -> tuple[str, str]:
    """The path with list items by their names, and under which name its value stands."""
    path, here, name = "", live, ""
    walked: JsonValue = here
    for segment in split(one.path):
        if isinstance(walked, list):
            item = one.then if segment == "-" else dig(walked, int(segment))
            name = _name_of(item) or name
            path = join(path, _name_of(item) or segment, is_list=True)
            walked = item
        else:
            name = name if segment == "value" and ".env[" in path else segment
            path = join(path, segment, is_list=False)
            walked = dig(walked, segment)
    return path, name


def _name_of(item: JsonValue) -> str:
    found = next((dig(item, key) for key in _NAMES if isinstance(dig(item, key), str | int)), None)
    return "" if found is None else str(found)


def _safe(value: JsonValue, name: str) -> JsonValue:
    """Without what is secret by its name, at any depth."""
    if isinstance(value, str):
        return REDACTED if value and is_secret_name(name) else value
    if isinstance(value, dict):
        variable = dig_str(value, "name") if "value" in value else ""
        return {key: _safe(item, variable if key == "value" else key) for key, item in value.items()}
    if isinstance(value, list):
        safe: list[JsonValue] = [_safe(item, "") for item in value]
        return hidden(safe, "")
    return value
