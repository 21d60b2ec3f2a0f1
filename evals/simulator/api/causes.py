"""The causes of a refusal by validation, in the words of the API server."""

from __future__ import annotations

import json
import re

from tools.jsontypes import JsonValue

Causes = list[tuple[str, str, str]]
"""(reason, field, message)."""

LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def required(field: str, message: str = "Required value") -> tuple[str, str, str]:
    """Something is missing."""
    return ("FieldValueRequired", field, message)


def show(value: JsonValue) -> str:
    """A value as messages print it."""
    return json.dumps(value, separators=(",", ":"))


def bad(field: str, value: JsonValue, why: str) -> tuple[str, str, str]:
    """A value is wrong."""
    return ("FieldValueInvalid", field, f"Invalid value: {show(value)}: {why}")


def unsupported(field: str, value: JsonValue, supported: tuple[str, ...]) -> tuple[str, str, str]:
    """A value is not one of those there are."""
    listed = ", ".join(f'"{s}"' for s in supported)
    return ("FieldValueNotSupported", field, f"Unsupported value: {show(value)}: supported values: {listed}")
