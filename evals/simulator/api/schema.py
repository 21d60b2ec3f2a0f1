"""Structural schemas of CustomResourceDefinitions: pruning unknown fields, defaults, and checking values."""

from __future__ import annotations

import re

from evals.simulator.objects import clone, objects, texts
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str

Causes = list[tuple[str, str, str]]
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_NAMES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def prune(value: JsonValue, schema: JsonObject, *, root: bool = True) -> JsonValue:
    """A copy without the fields the schema does not know, unless it preserves them."""
    if isinstance(value, dict):
        if schema.get("x-kubernetes-preserve-unknown-fields") is True and "properties" not in schema:
            return clone(value)
        keep_unknown = schema.get("x-kubernetes-preserve-unknown-fields") is True
        properties, extra = dig_object(schema, "properties"), schema.get("additionalProperties")
        embedded = root or schema.get("x-kubernetes-embedded-resource") is True
        result: JsonObject = {}
        for key, inner in value.items():
            known = properties.get(key)
            if embedded and key in {"apiVersion", "kind", "metadata"}:
                result[key] = clone(inner)
            elif isinstance(known, dict):
                result[key] = prune(inner, known, root=False)
            elif isinstance(extra, dict):
                result[key] = prune(inner, extra, root=False)
            elif keep_unknown or extra is True:
                result[key] = clone(inner)
        return result
    if isinstance(value, list):
        items = dig_object(schema, "items")
        return [prune(v, items, root=False) if items else clone(v) for v in value]
    return value


def fill(value: JsonValue, schema: JsonObject) -> None:
    """Write the schema's defaults into `value`, in place."""
    if isinstance(value, dict):
        for key, inner in dig_object(schema, "properties").items():
            if not isinstance(inner, dict):
                continue
            if key not in value and "default" in inner:
                value[key] = clone(inner["default"])
            if key in value:
                fill(value[key], inner)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for inner_value in value.values():
                fill(inner_value, extra)
    elif isinstance(value, list):
        for item in value:
            fill(item, dig_object(schema, "items"))


def _matches_type(value: JsonValue, name: str) -> bool:
    if name not in _TYPES:
        return True
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def check(value: JsonValue, schema: JsonObject, field: str = "") -> Causes:
    """Everything wrong with `value`, in the words of the API server."""
    if schema.get("x-kubernetes-int-or-string") is True:
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            return []
        return [_type_error(field, value, "integer,string")]
    if value is None and schema.get("nullable") is True:
        return []
    wanted = dig_str(schema, "type")
    if wanted and not _matches_type(value, wanted):
        return [_type_error(field, value, wanted)]
    causes = _scalar(value, schema, field)
    if isinstance(value, dict):
        causes += _object(value, schema, field)
    elif isinstance(value, list):
        items = dig_object(schema, "items")
        for index, item in enumerate(value):
            causes += check(item, items, f"{field}[{index}]")
    for name in ("oneOf", "anyOf"):
        options = objects(schema, name)
        if options and not any(not check(value, o, field) for o in options):
            verb = "exactly one of" if name == "oneOf" else "one of"
            causes.append(
                ("FieldValueInvalid", field, f"Invalid value: {_go(value)}: must validate {verb} the schema ({name})")
            )
    return causes


def _go(value: JsonValue) -> str:
    return f'"{value}"' if isinstance(value, str) else "map" if isinstance(value, dict) else str(value)


def _type_error(field: str, value: JsonValue, wanted: str) -> tuple[str, str, str]:
    got = _NAMES[type(value)]
    why = f'Invalid value: "{got}": {field} in body must be of type {wanted}: "{got}"'
    return ("FieldValueTypeInvalid", field, why)


def _object(value: JsonObject, schema: JsonObject, field: str) -> Causes:
    causes: Causes = []
    properties = dig_object(schema, "properties")
    for name in texts(schema, "required"):
        if name not in value:
            causes.append(("FieldValueRequired", f"{field}.{name}".lstrip("."), "Required value"))
    extra = schema.get("additionalProperties")
    for key, inner in value.items():
        known = properties.get(key)
        where = f"{field}.{key}".lstrip(".")
        if isinstance(known, dict):
            causes += check(inner, known, where)
        elif isinstance(extra, dict):
            causes += check(inner, extra, where)
    return causes


def _scalar(value: JsonValue, schema: JsonObject, field: str) -> Causes:
    causes: Causes = []
    options = dig_list(schema, "enum")
    if options and value not in options:
        listed = ", ".join(_go(o) for o in options)
        causes.append(("FieldValueNotSupported", field, f"Unsupported value: {_go(value)}: supported values: {listed}"))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, (int, float)) and value < low:
            why = f"Invalid value: {value}: {field} in body should be greater than or equal to {low}"
            causes.append(("FieldValueInvalid", field, why))
        if isinstance(high, (int, float)) and value > high:
            why = f"Invalid value: {value}: {field} in body should be less than or equal to {high}"
            causes.append(("FieldValueInvalid", field, why))
    if isinstance(value, str):
        pattern, longest, shortest = dig_str(schema, "pattern"), schema.get("maxLength"), schema.get("minLength")
        if pattern and not re.search(pattern, value):
            why = f"Invalid value: \"{value}\": {field} in body should match '{pattern}'"
            causes.append(("FieldValueInvalid", field, why))
        if isinstance(longest, int) and len(value) > longest:
            causes.append(("FieldValueTooLong", field, f"Too long: may not be more than {longest} bytes"))
        if isinstance(shortest, int) and len(value) < shortest:
            why = f'Invalid value: "{value}": {field} in body should be at least {shortest} chars long'
            causes.append(("FieldValueInvalid", field, why))
    return causes
