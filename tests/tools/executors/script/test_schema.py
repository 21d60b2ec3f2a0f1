"""Schemas of arguments: which are accepted, what they let through, and that a full validator agrees."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.executors.script.schema import NO_ARGUMENTS, defects, mistakes
from tools.jsontypes import JsonObject, JsonValue

jsonschema_rs = pytest.importorskip("jsonschema_rs")


def schema(**properties: JsonValue) -> JsonObject:
    return {"type": "object", "properties": properties, "additionalProperties": False}


GOOD: dict[str, JsonObject] = {
    "nothing": NO_ARGUMENTS,
    "a choice": schema(region={"type": "string", "enum": ["eu", "us"], "description": "where"}),
    "a bounded text": schema(name={"type": "string", "minLength": 1, "maxLength": 63}),
    "a name by pattern": schema(name={"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}),
    "numbers": schema(count={"type": "integer", "minimum": 1, "maximum": 9}, share={"type": "number", "minimum": 0}),
    "a switch": schema(force={"type": "boolean"}),
    "a list": schema(names={"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3}),
    "required": schema(a={"type": "boolean"}) | {"required": ["a"]},
}

BAD: dict[str, tuple[JsonValue, str]] = {
    "no object": ("string", "type: object"),
    "another type": (schema() | {"type": "array"}, "type: object"),
    "open": ({"type": "object", "properties": {}}, "additionalProperties: false"),
    "a reference": (schema(a={"$ref": "#/x"}), "`type` must be one of"),
    "a reference beside a type": (schema(a={"type": "boolean", "$ref": "http://x"}), "`$ref` is not supported"),
    "a word we do not know": (schema(a={"type": "string", "maxLength": 3, "format": "uri"}), "`format`"),
    "an unbounded text": (schema(a={"type": "string"}), "maxLength"),
    "a text that is too long": (schema(a={"type": "string", "maxLength": 10**6}), "from 0 to 4096"),
    "an unbounded list": (schema(a={"type": "array", "items": {"type": "boolean"}}), "maxItems"),
    "a list of anything": (schema(a={"type": "array", "maxItems": 3}), "items"),
    "a list of lists": (
        schema(a={"type": "array", "maxItems": 3, "items": {"type": "array", "maxItems": 1}}),
        "list of lists",
    ),
    "an object inside": (schema(a={"type": "object"}), "`type` must be one of"),
    "two types": (schema(a={"type": ["string", "null"]}), "`type` must be one of"),
    "a name in capitals": (schema(LD_PRELOAD={"type": "boolean"}), "no name for an argument"),
    "a name that is too long": (schema(**{"a" * 41: {"type": "boolean"}}), "no name for an argument"),
    "too many": (schema(**{f"a{n}": {"type": "boolean"} for n in range(33)}), "more than 32"),
    "required but not there": (schema() | {"required": ["a"]}, "`required`"),
    "required is no list": (schema() | {"required": "a"}, "`required`"),
    "an empty choice": (schema(a={"type": "string", "enum": []}), "`enum`"),
    "a choice of the wrong type": (schema(a={"type": "string", "enum": [1]}), "`enum`"),
    "a bound that is no number": (schema(a={"type": "integer", "minimum": "1"}), "whole number"),
    "a bound that is a boolean": (schema(a={"type": "integer", "minimum": True}), "whole number"),
    "a pattern that is none": (schema(a={"type": "string", "maxLength": 9, "pattern": "^("}), "no regular expression"),
    "a pattern without a bound": (schema(a={"type": "string", "pattern": "^a$"}), "maxLength"),
    "a pattern on a long text": (schema(a={"type": "string", "maxLength": 4000, "pattern": "^a$"}), "at most 128"),
    "a group that is repeated": (
        schema(a={"type": "string", "maxLength": 99, "pattern": "^(a+)+$"}),
        "repeats a group",
    ),
    "a group repeated by number": (
        schema(a={"type": "string", "maxLength": 99, "pattern": "^(a*){9}"}),
        "repeats a group",
    ),
    "a look ahead": (schema(a={"type": "string", "maxLength": 99, "pattern": "^(?=a)a"}), "looks ahead"),
    "a reference back": (schema(a={"type": "string", "maxLength": 99, "pattern": r"^(a)\1"}), "refers back"),
    "many repetitions": (schema(a={"type": "string", "maxLength": 99, "pattern": "^a*a*a*a*b"}), "more than 3"),
    "a pattern that begins anywhere": (schema(a={"type": "string", "maxLength": 99, "pattern": "a"}), "begin with ^"),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_accepted(good: JsonObject) -> None:
    assert defects(good) == ()
    assert jsonschema_rs.validator_for(good) is not None


@pytest.mark.parametrize(("bad", "said"), BAD.values(), ids=BAD)
def test_not_accepted(bad: JsonValue, said: str) -> None:
    assert said in "; ".join(defects(bad))


def test_a_permitted_pattern_takes_no_time_on_the_worst_text() -> None:
    worst = schema(a={"type": "string", "maxLength": 128, "pattern": "^x|a*a*a*b"})
    assert defects(worst) == ()
    began = time.monotonic()
    assert mistakes(worst, {"a": "a" * 128})
    assert time.monotonic() - began < 10


def test_the_end_is_the_very_end() -> None:
    name = schema(a={"type": "string", "maxLength": 9, "pattern": r"^[a-z$]+$"})
    assert mistakes(name, {"a": "web$"}) == ()
    assert mistakes(name, {"a": "web\n"})


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_no_program_can_be_given(text: str) -> None:
    assert mistakes(schema(a={"type": "string", "maxLength": 9}), {"a": text})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
def test_what_is_no_number(value: JsonValue) -> None:
    assert mistakes(schema(a={"type": "number"}), {"a": value})


TEXT = st.text(alphabet="ab-1é\n", max_size=6)
COUNT = st.integers(0, 5)
MEMBERS = st.one_of(
    st.builds(lambda e: {"type": "string", "enum": e}, st.lists(TEXT, min_size=1, max_size=3, unique=True)),
    st.builds(lambda a, b: {"type": "string", "minLength": a, "maxLength": b}, COUNT, COUNT),
    st.builds(
        lambda p: {"type": "string", "maxLength": 5, "pattern": p},
        st.sampled_from(["^a", "^.?b$", "^[a-z]+$", "^[a-z]([-a-z]*[a-z])?$", r"^a|b$", r"^\d", "^[^ab$]$"]),
    ),
    st.builds(lambda a, b: {"type": "integer", "minimum": a, "maximum": b}, st.integers(-3, 3), st.integers(-3, 3)),
    st.builds(lambda e: {"type": "integer", "enum": e}, st.lists(st.integers(-2, 2), min_size=1, unique=True)),
    st.builds(lambda a: {"type": "number", "minimum": a}, st.integers(-3, 3)),
    st.just({"type": "boolean"}),
)
PROPERTIES = st.one_of(
    MEMBERS,
    st.builds(lambda m, a, b: {"type": "array", "items": m, "minItems": a, "maxItems": b}, MEMBERS, COUNT, COUNT),
)
SCHEMAS = st.builds(
    lambda p, r: {
        "type": "object", "properties": p, "required": sorted(r & p.keys()), "additionalProperties": False
    },
    st.dictionaries(st.sampled_from("abc"), PROPERTIES, max_size=3),
    st.sets(st.sampled_from("abc")),
)  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-4, 4), st.floats(-4, 4), st.sampled_from([1.0, -0.0, 2.5]), TEXT
)
VALUES = st.one_of(PLAIN, st.lists(PLAIN, max_size=6), st.dictionaries(TEXT, PLAIN, max_size=1))
ARGUMENTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@settings(deadline=None, max_examples=400)
@given(SCHEMAS, ARGUMENTS)
def test_a_full_validator_says_the_same(made: JsonObject, arguments: JsonObject) -> None:
    assert defects(made) == ()
    assert (mistakes(made, arguments) == ()) == jsonschema_rs.is_valid(made, arguments)
