"""Arguments of scripts: a closed part of JSON Schema, small enough that each word of it is known to be safe.

A schema says which arguments a script takes: an object of named texts, numbers, booleans and lists of these.  Every
text and list is bounded, nothing else gets in, and a pattern cannot be made to run for long.  What a schema permits
here, every JSON Schema validator permits (draft 2020-12); here, in addition, no text holds a NUL or half a surrogate,
because no program can be given one.

Neighbours: `manifest` checks the schema when it is read, `run` the arguments before each run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object

MAX_ARGUMENTS: Final = 32
MAX_TEXT: Final = 4096
MAX_ITEMS: Final = 100
_MAX_PATTERN: Final = 200
_MAX_REPETITIONS: Final = 3
_MAX_MATCHED: Final = 128

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NOTES: Final = frozenset({"title", "description"})
_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"enum", "minLength", "maxLength", "pattern"}),
    "integer": frozenset({"enum", "minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "array": frozenset({"items", "minItems", "maxItems"}),
}
_TOP: Final = frozenset({"type", "properties", "required", "additionalProperties", "$schema"}) | _NOTES
_ATOMS: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
"""Escapes and sets of characters: what stands for one character in a pattern."""
_COUNTS: Final = {"minLength": MAX_TEXT, "maxLength": MAX_TEXT, "minItems": MAX_ITEMS, "maxItems": MAX_ITEMS}

NO_ARGUMENTS: Final[JsonObject] = {"type": "object", "properties": {}, "additionalProperties": False}


def defects(schema: JsonValue) -> tuple[str, ...]:
    """What is wrong with a schema, one sentence each with the remedy; empty when it can be used."""
    if not isinstance(schema, dict):
        return ("arguments must be an object schema; write `type: object`",)
    return tuple(_defects(schema))


def mistakes(schema: JsonObject, arguments: JsonObject) -> tuple[str, ...]:
    """What is wrong with arguments, one sentence each; empty when the script may be given them.

    Before: `defects(schema)` is empty.
    """
    return tuple(_mistakes(schema, arguments))


# --- schemas ----------------------------------------------------------------------------------------------------------


def _defects(schema: JsonObject) -> Iterator[str]:
    yield from _strangers(schema, _TOP, "arguments")
    if schema.get("type") != "object":
        yield "arguments: write `type: object`"
    if schema.get("additionalProperties") is not False:
        yield "arguments: write `additionalProperties: false`, so that nothing else gets in"
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        yield "arguments: `properties` must map names to schemas"
        return
    if len(properties) > MAX_ARGUMENTS:
        yield f"arguments: more than {MAX_ARGUMENTS} properties; take fewer"
    for name, member in properties.items():
        if not _NAME.fullmatch(name):
            yield f"arguments: {name!r} is no name for an argument; write small letters, digits and _, at most 40"
        yield from _member_defects(f"arguments.{name}", member)
    required = schema.get("required", [])
    if not isinstance(required, list) or any(name not in properties for name in required if isinstance(name, str)):
        yield "arguments: `required` must list names that stand under `properties`"
    elif any(not isinstance(name, str) for name in required):
        yield "arguments: `required` must list names"


def _member_defects(where: str, member: JsonValue, *, in_list: bool = False) -> Iterator[str]:
    kind = member.get("type") if isinstance(member, dict) else None
    if not isinstance(member, dict) or not isinstance(kind, str) or kind not in _KEYWORDS:
        yield f"{where}: `type` must be one of {', '.join(_KEYWORDS)}"
        return
    if kind == "array" and in_list:
        yield f"{where}: a list of lists is not accepted; take separate arguments"
        return
    yield from _strangers(member, _KEYWORDS[kind] | _NOTES | {"type"}, where)
    yield from _bound_defects(where, member)
    if "enum" in member:
        yield from _enum_defects(where, kind, member["enum"])
    if kind == "string" and "enum" not in member and "maxLength" not in member:
        yield f"{where}: give `maxLength` or `enum`, so that the text is bounded"
    if "pattern" in member:
        yield from _pattern_defects(where, member["pattern"], member.get("maxLength"))
    if kind == "array":
        if "maxItems" not in member:
            yield f"{where}: give `maxItems`, so that the list is bounded"
        yield from _member_defects(f"{where}.items", member.get("items"), in_list=True)


def _strangers(schema: JsonObject, known: frozenset[str], where: str) -> Iterator[str]:
    for key in schema.keys() - known:
        yield f"{where}: `{key}` is not supported here; there are {', '.join(sorted(known))}"


def _bound_defects(where: str, member: JsonObject) -> Iterator[str]:
    for key, most in _COUNTS.items():
        value = member.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            yield f"{where}: `{key}` must be a whole number from 0 to {most}"
    for key in ("minimum", "maximum"):
        if not isinstance(member.get(key, 0), int) or isinstance(member.get(key, 0), bool):
            yield f"{where}: `{key}` must be a whole number"


def _enum_defects(where: str, kind: str, values: JsonValue) -> Iterator[str]:
    wanted = str if kind == "string" else int
    fits = isinstance(values, list) and all(isinstance(v, wanted) and not isinstance(v, bool) for v in values)
    if not fits or not values:
        yield f"{where}: `enum` must list values of type {kind}"


def _pattern_defects(where: str, pattern: JsonValue, longest: JsonValue) -> Iterator[str]:
    """A pattern whose cost stays polynomial of low degree: few repetitions, and none of a group."""
    if not isinstance(pattern, str) or len(pattern) > _MAX_PATTERN or not pattern.isascii():
        yield f"{where}: `pattern` must be a text of at most {_MAX_PATTERN} ASCII characters"
        return
    if not isinstance(longest, int) or longest > _MAX_MATCHED:
        yield f"{where}: a `pattern` needs `maxLength` of at most {_MAX_MATCHED}"
    if not pattern.startswith("^"):
        yield f"{where}: `pattern` must begin with ^"
    try:
        _compile(pattern)
    except re.error as error:
        yield f"{where}: `pattern` is no regular expression: {error}"
        return
    plain = _ATOMS.sub("x", pattern)
    if re.search(r"\)[*+{]", plain) or re.search(r"\(\?", plain) or re.search(r"\\[1-9]", pattern):
        yield f"{where}: `pattern` repeats a group, looks ahead or refers back; that can run for ever: write it plainly"
    if len(re.findall(r"[*+{]", plain)) > _MAX_REPETITIONS:
        yield f"{where}: `pattern` has more than {_MAX_REPETITIONS} repetitions; write a simpler one"


def _compile(pattern: str) -> re.Pattern[str]:
    """The pattern as JSON Schema means it: `$` is the very end, and classes are of ASCII."""
    return re.compile(re.sub(rf"({_ATOMS.pattern})|\$", lambda m: m[1] or r"\Z", pattern), re.ASCII)


# --- arguments --------------------------------------------------------------------------------------------------------


def _mistakes(schema: JsonObject, arguments: JsonObject) -> Iterator[str]:
    properties = dig_object(schema, "properties")
    for name in dig_list(schema, "required"):
        if name not in arguments:
            yield f"{name} is missing"
    for name, value in arguments.items():
        if name not in properties:
            yield f"there is no argument {name!r}; there are: {', '.join(properties) or 'none'}"
        else:
            yield from _member_mistakes(name, dig_object(properties, name), value)


def _member_mistakes(name: str, member: JsonObject, value: JsonValue) -> Iterator[str]:
    match member["type"]:
        case "string":
            yield from _text_mistakes(name, member, value)
        case "boolean":
            if not isinstance(value, bool):
                yield f"{name} must be true or false"
        case "array":
            yield from _list_mistakes(name, member, value)
        case kind:
            yield from _number_mistakes(name, member, value, must_be_whole=kind == "integer")


def _text_mistakes(name: str, member: JsonObject, value: JsonValue) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{name} must be a text"
        return
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        yield f"{name} holds a character that no program can be given"
    if "enum" in member and value not in dig_list(member, "enum"):
        yield f"{name} must be one of {', '.join(map(str, dig_list(member, 'enum')))}"
    yield from _size_mistakes(name, len(value), member, "Length", "characters")
    pattern = member.get("pattern")
    is_short = len(value) <= MAX_TEXT and not any(_size_mistakes(name, len(value), member, "Length", ""))
    if isinstance(pattern, str) and is_short and not _compile(pattern).search(value):
        yield f"{name} does not match {pattern}"


def _number_mistakes(name: str, member: JsonObject, value: JsonValue, *, must_be_whole: bool) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value in _INFINITIES:  # noqa: PLR0124 - NaN
        yield f"{name} must be a number"
        return
    if must_be_whole and isinstance(value, float) and not value.is_integer():
        yield f"{name} must be a whole number"
    if "enum" in member and value not in dig_list(member, "enum"):
        yield f"{name} must be one of {', '.join(map(str, dig_list(member, 'enum')))}"
    least, most = member.get("minimum"), member.get("maximum")
    if isinstance(least, int) and value < least:
        yield f"{name} must be at least {least}"
    if isinstance(most, int) and value > most:
        yield f"{name} must be at most {most}"


def _list_mistakes(name: str, member: JsonObject, value: JsonValue) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{name} must be a list"
        return
    yield from _size_mistakes(name, len(value), member, "Items", "items")
    if len(value) <= MAX_ITEMS:
        for index, item in enumerate(value):
            yield from _member_mistakes(f"{name}[{index}]", dig_object(member, "items"), item)


def _size_mistakes(name: str, size: int, member: JsonObject, suffix: str, unit: str) -> Iterator[str]:
    least, most = member.get(f"min{suffix}"), member.get(f"max{suffix}")
    if isinstance(least, int) and size < least:
        yield f"{name} must have at least {least} {unit}"
    if isinstance(most, int) and size > most:
        yield f"{name} must have at most {most} {unit}"


_INFINITIES: Final = (float("inf"), float("-inf"))
