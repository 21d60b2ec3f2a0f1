"""When two pieces of a manifest say the same.

The rule: a key that is null says what an absent key says (servers differ in which they print: `creationTimestamp: null`
in a pod template is there in some versions and gone in others).  Everything else counts, order of lists included.
"""

from __future__ import annotations

from tools.jsontypes import JsonObject, JsonValue, canonical


def without_nulls(value: JsonValue) -> JsonValue:
    """A copy in which no map has a key whose value is null."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def same(left: JsonValue, right: JsonValue) -> bool:
    """Whether both say the same; `1`, `1.0` and `true` are three things."""
    return canonical(without_nulls(left)) == canonical(without_nulls(right))


def contains(whole: JsonValue, part: JsonValue) -> bool:
    """Whether `whole` says all that `part` says.  Maps may hold more (server defaults); lists must match in length."""
    if isinstance(part, dict):
        rest: JsonObject = whole if isinstance(whole, dict) else {}
        return isinstance(whole, dict) and all(
            item is None or (key in rest and contains(rest[key], item)) for key, item in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list)
            and len(whole) == len(part)
            and all(contains(left, right) for left, right in zip(whole, part, strict=True))
        )
    return same(whole, part)
