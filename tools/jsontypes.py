"""JSON as a type, for Kubernetes manifests: the one place where shape is decided by the server and not by us.

A manifest travels as `JsonObject`; whoever needs a field digs for it by path and says what type it must have.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import TypeAliasType

if TYPE_CHECKING:
    JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
else:
    # A named alias, because pydantic can follow the recursion of no other.
    JsonValue = TypeAliasType("JsonValue", "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None")
JsonObject: TypeAlias = dict[str, JsonValue]


def dig(value: JsonValue, *path: str | int) -> JsonValue:
    """Follow keys and indices; None as soon as one is missing.  Never raises on shape."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def dig_object(value: JsonValue, *path: str | int) -> JsonObject:
    """Dig for an object; an empty one when it is absent or something else."""
    found = dig(value, *path)
    return found if isinstance(found, dict) else {}


def dig_list(value: JsonValue, *path: str | int) -> list[JsonValue]:
    """Dig for a list; an empty one when it is absent or something else."""
    found = dig(value, *path)
    return found if isinstance(found, list) else []


def dig_str(value: JsonValue, *path: str | int) -> str:
    """Dig for a string; "" when it is absent or something else."""
    found = dig(value, *path)
    return found if isinstance(found, str) else ""


def dig_int(value: JsonValue, *path: str | int) -> int | None:
    """Dig for an integer; None when it is absent or something else (a bool is something else)."""
    found = dig(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def canonical(value: JsonValue) -> bytes:
    """One byte string per value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: JsonValue) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
