"""JSON schemas for models, generated from the same action models that the executors take.

What comes out lies in the subset that strict servers accept: every property required, null written as a union,
`additionalProperties` false, tags as one-word enums, no default, no reference, no open object, no tuple.  Bounds and
patterns are outside that subset, so they become words in the description; the answer is validated with them anyway.

The rule: one action, one source; an action that cannot be said in the subset stops the start with its name, instead of
being shown wrongly.  Since servers compile and keep schemas, they depend on nothing of an incident but which actions
are relevant to it (`relevant`); what it permits stands in the prompt and is checked by `proposals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tools.executors.base import Action, Executor
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

SUBMIT = "submit_plan"
TAG = "action"
_HINTS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} items",
    "minItems": "at least {} items",
    "pattern": "matches {}",
}
_OUTSIDE = frozenset({"prefixItems", "patternProperties", "allOf", "not", "if", "contains", "propertyNames"})


class SchemaError(Exception):
    """A type cannot be said in the strict subset.  Remedy: change the type that is named (no dict, tuple or Any)."""


class Conclusion(BaseModel):
    """What a plan says beside its steps."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cause: str = Field(min_length=1, max_length=80, description="One stable word for the cause, such as bad_revision.")
    sentence: str = Field(
        min_length=1, max_length=600, description="The cause in one sentence that a person can check."
    )
    confidence: float = Field(ge=0, le=1, description="How sure you are of the cause, 0 to 1.")
    safe_because: str = Field(max_length=400, description="Why the steps cannot make it worse; empty without steps.")
    no_plan_because: str | None = Field(
        max_length=400, description="What a person should look at when there are no steps; otherwise null."
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One action that may be proposed."""

    name: str
    description: str
    type: type[Action]
    kinds: frozenset[str] = frozenset()
    """Kinds of the objects it writes."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The actions that may be proposed, in a fixed order, with their schemas."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, executors: Mapping[str, Executor[Action]]) -> Catalog:
        """The catalog of these executors.  Raises SchemaError for an action that no schema can show."""
        entries = tuple(
            Entry(
                name,
                executors[name].said(),
                executors[name].action_type,
                executors[name].kinds(),
            )
            for name in sorted(executors)
        )
        for entry in entries:
            action_schema(entry.type)
        return cls(entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actions."""
        return tuple(e.name for e in self.entries)

    @property
    def kinds(self) -> dict[str, frozenset[str]]:
        """Each action with the kinds of the objects it writes."""
        return {e.name: e.kinds for e in self.entries}

    def only(self, names: Iterable[str]) -> Catalog:
        """The same without the actions that are not named."""
        wanted = frozenset(names)
        return Catalog(tuple(e for e in self.entries if e.name in wanted))

    def plan_schema(self) -> JsonObject:
        """A whole plan as one strict schema."""
        plan = strict(Conclusion)
        step: JsonObject = {
            "why": {"type": "string", "description": "Why this step, in one sentence."},
            TAG: {"anyOf": [action_schema(e.type) for e in self.entries]},
        }
        steps: JsonObject = {
            "type": "array",
            "description": "The steps in order; empty when there is no plan.",
            "items": _closed(step),
        }
        return _closed({**dig_object(plan, "properties"), "steps": steps})

    def tools(self) -> tuple[JsonObject, ...]:
        """Each action as a tool whose call is a proposal, and the tool that ends the plan."""
        return (
            *(tool(e.name, e.description, self._arguments(e)) for e in self.entries),
            tool(SUBMIT, "Ends the plan: say the cause, once, after all steps.", strict(Conclusion)),
        )

    @staticmethod
    def _arguments(entry: Entry) -> JsonObject:
        properties = {k: v for k, v in dig_object(action_schema(entry.type), "properties").items() if k != TAG}
        return _closed({"why": {"type": "string", "description": "Why this step, in one sentence."}, **properties})


def tool(name: str, description: str, parameters: JsonObject) -> JsonObject:
    """A tool as the chat endpoint takes it."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def action_schema(action: type[Action]) -> JsonObject:
    """The strict schema of one action, tag included."""
    return strict(action)


@cache
def strict(model: type[BaseModel]) -> JsonObject:
    """The strict schema of a pydantic model; kept, so not to be changed.

    Raises SchemaError naming the place that the subset cannot say.
    """
    schema: JsonObject = TypeAdapter(model).json_schema()
    shown = _narrow(schema, dig_object(schema, "$defs"), model.__name__)
    shown.pop("description", None)
    return shown


def _closed(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _narrow(schema: JsonValue, definitions: JsonObject, place: str) -> JsonObject:
    if not isinstance(schema, dict):
        raise SchemaError(f"{place}: a schema is expected")
    if unsaid := sorted(_OUTSIDE & set(schema)):
        raise SchemaError(f"{place}: {', '.join(unsaid)} cannot be said in the strict subset")
    described = _description(schema)
    if reference := dig_str(schema, "$ref"):
        target = _narrow(definitions.get(reference.rpartition("/")[2]), definitions, place)
        return {**target, **described}
    choices = dig_list(schema, "anyOf") or dig_list(schema, "oneOf")
    if choices:
        return {**described, "anyOf": [_narrow(c, definitions, place) for c in choices]}
    return {**described, **_shape(schema, definitions, place)}


def _shape(schema: JsonObject, definitions: JsonObject, place: str) -> JsonObject:
    match dig(schema, "type"):
        case "object":
            if dig(schema, "additionalProperties") not in (None, False) or "properties" not in schema:
                raise SchemaError(f"{place}: an open object cannot be said in the strict subset")
            inner = dig_object(schema, "properties")
            return _closed({k: _narrow(v, definitions, f"{place}.{k}") for k, v in inner.items()})
        case "array":
            return {"type": "array", "items": _narrow(schema.get("items"), definitions, f"{place}[]")}
        case "string" | "integer" | "number" | "boolean" | "null" as kind:
            if "const" in schema:
                return {"type": kind, "enum": [schema["const"]]}
            return {"type": kind, "enum": schema["enum"]} if "enum" in schema else {"type": kind}
        case other:
            raise SchemaError(f"{place}: type {other!r} cannot be said in the strict subset")


def _description(schema: JsonObject) -> JsonObject:
    """The description, with the bounds that the subset leaves out as words."""
    hints = [words.format(schema[key]) for key, words in _HINTS.items() if key in schema]
    text = " ".join(part for part in (dig_str(schema, "description"), _sentence(hints)) if part)
    return {"description": text} if text else {}


def _sentence(hints: Iterable[str]) -> str:
    joined = ", ".join(hints)
    return f"({joined})" if joined else ""
