"""What a real server refuses with 400, checked here as well, so that the double is not easier to please than they are.

Checked: the strict subset of JSON Schema, names of tools, and that every tool call of the history has its one answer.
The rules are those OpenAI publishes: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
Neighbour: `server`.
"""

from __future__ import annotations

import re

from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

_TOOL_NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "description", "enum", "anyOf", "items"}
)
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_MAX_DEPTH = 10


def fault_of(body: JsonObject) -> str | None:
    """The first thing a strict server would refuse in a chat request; None when there is nothing."""
    if not dig_str(body, "model"):
        return "model is missing"
    messages = dig_list(body, "messages")
    if not messages:
        return "messages is empty"
    return _history_fault(messages) or _tools_fault(body) or _format_fault(body)


def strict_fault(schema: JsonValue, place: str = "schema", depth: int = 0) -> str | None:
    """Why `schema` is outside the strict subset; None when it is inside."""
    if depth > _MAX_DEPTH:
        return f"{place}: nested deeper than {_MAX_DEPTH}"
    if not isinstance(schema, dict):
        return f"{place}: not an object"
    if unknown := sorted(set(schema) - _KEYWORDS):
        return f"{place}: {', '.join(unknown)} is not in the subset"
    if "anyOf" in schema:
        inner = [(f"{place}.anyOf[{i}]", s) for i, s in enumerate(dig_list(schema, "anyOf"))]
        return "anyOf at the root" if depth == 0 else _first(inner, depth)
    if dig_str(schema, "type") not in _TYPES:
        return f"{place}: type is missing or unknown"
    match schema.get("type"):
        case "object":
            return _object_fault(schema, place, depth)
        case "array":
            return strict_fault(schema.get("items"), f"{place}[]", depth + 1)
        case _:
            return "the root is no object" if depth == 0 else None


def _object_fault(schema: JsonObject, place: str, depth: int) -> str | None:
    properties = dig_object(schema, "properties")
    if schema.get("additionalProperties") is not False:
        return f"{place}: additionalProperties must be false"
    if dig_list(schema, "required") != list(properties):
        return f"{place}: required must list every property, in order"
    return _first([(f"{place}.{name}", inner) for name, inner in properties.items()], depth)


def _first(schemas: list[tuple[str, JsonValue]], depth: int) -> str | None:
    return next((fault for place, s in schemas if (fault := strict_fault(s, place, depth + 1))), None)


def _history_fault(messages: list[JsonValue]) -> str | None:
    open_calls: set[str] = set()
    for message in messages:
        role = dig_str(message, "role")
        if role not in ("system", "developer", "user", "assistant", "tool"):
            return f"{role!r} is no role"
        if role == "tool":
            call = dig_str(message, "tool_call_id")
            if call not in open_calls:
                return f"a tool message answers {call!r}, which nobody called"
            open_calls.discard(call)
            continue
        if open_calls:
            return f"tool calls without an answer: {', '.join(sorted(open_calls))}"
        ids = [dig_str(call, "id") for call in dig_list(message, "tool_calls")]
        if len(set(ids)) != len(ids) or "" in ids:
            return "tool calls share an id, or have none"
        open_calls = set(ids)
    return f"tool calls without an answer: {', '.join(sorted(open_calls))}" if open_calls else None


def _tools_fault(body: JsonObject) -> str | None:
    names: list[str] = []
    for tool in dig_list(body, "tools"):
        name = dig_str(tool, "function", "name")
        if not _TOOL_NAME.match(name):
            return f"{name!r} is no name for a tool"
        names.append(name)
        if dig_object(tool, "function", "parameters").get("type") != "object":
            return f"tool {name}: parameters must be an object"
    return "two tools share a name" if len(set(names)) != len(names) else None


def _format_fault(body: JsonObject) -> str | None:
    if dig_str(body, "response_format", "type") != "json_schema":
        return None
    if not _TOOL_NAME.match(dig_str(body, "response_format", "json_schema", "name")):
        return "response_format: the schema has no usable name"
    if dig(body, "response_format", "json_schema", "strict") is not True:
        return None
    return strict_fault(dig(body, "response_format", "json_schema", "schema"))
