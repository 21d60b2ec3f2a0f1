"""The schemas shown to models: in the strict subset, made of the actions themselves, able to say each of them."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from evals.scripted_model.protocol import strict_fault
from graph.model.schema import SUBMIT, Catalog, SchemaError, action_schema, strict
from tests.graph.model.bench import CATALOG
from tools import registry
from tools.inspect.arguments import (
    EventArguments,
    LogArguments,
    NoArguments,
    ObjectArguments,
    ServiceArguments,
    WorkloadArguments,
)


def test_every_action_can_be_shown() -> None:
    assert CATALOG.names == tuple(sorted(registry.ALL))
    for entry in CATALOG.entries:
        assert strict_fault(action_schema(entry.type)) is None, entry.name


def test_the_plan_schema_is_in_the_subset() -> None:
    assert strict_fault(CATALOG.plan_schema()) is None


def test_every_tool_is_in_the_subset() -> None:
    for spec in CATALOG.tools():
        function: Any = spec["function"]
        assert strict_fault(function["parameters"]) is None, function["name"]


@pytest.mark.parametrize(
    "arguments", [EventArguments, LogArguments, NoArguments, ObjectArguments, ServiceArguments, WorkloadArguments]
)
def test_every_investigation_tool_is_in_the_subset(arguments: type[BaseModel]) -> None:
    assert strict_fault(strict(arguments)) is None


def test_the_tag_is_one_word() -> None:
    schema: Any = action_schema(registry.ALL["evict_pod"].action_type)
    assert schema["properties"]["action"] == {"type": "string", "enum": ["evict_pod"]}
    assert schema["required"] == ["action", "namespace", "name"]


def test_null_is_a_union_and_bounds_are_words() -> None:
    schema: Any = action_schema(registry.ALL["set_resources"].action_type)
    limit = schema["properties"]["memory_limit"]
    assert [c["type"] for c in limit["anyOf"]] == ["string", "null"]
    revision: Any = action_schema(registry.ALL["rollback_workload"].action_type)
    assert revision["properties"]["to_revision"]["description"].endswith("(at least 1)")


def test_no_schema_asks_for_a_uid() -> None:
    assert "uid" not in str(CATALOG.plan_schema()).replace("liquid", "")


def test_only_enabled_actions_are_shown() -> None:
    catalog = Catalog.of(registry.executors(["evict_pod"]))
    assert "rollback_workload" not in str(catalog.plan_schema())
    assert [str(t["function"]["name"]) for t in catalog.tools()] == ["evict_pod", SUBMIT]  # type: ignore[call-overload, index]


class OpenObject(BaseModel):
    values: dict[str, str]


class Pair(BaseModel):
    pair: tuple[int, str]


class Whatever(BaseModel):
    value: Any


class Fine(BaseModel):
    tag: Literal["a", "b"]
    size: int = Field(default=3, ge=1, le=9, description="How big.")
    names: list[str]
    note: str | None = None


@pytest.mark.parametrize(
    ("model", "place"), [(OpenObject, "OpenObject.values"), (Pair, "Pair.pair"), (Whatever, "Whatever.value")]
)
def test_what_the_subset_cannot_say_is_an_error_with_its_place(model: type[BaseModel], place: str) -> None:
    with pytest.raises(SchemaError, match=place):
        strict(model)


def test_defaults_are_dropped_and_all_is_required() -> None:
    schema: Any = strict(Fine)
    assert strict_fault(schema) is None
    assert schema["required"] == ["tag", "size", "names", "note"]
    assert schema["properties"]["size"] == {"description": "How big. (at least 1, at most 9)", "type": "integer"}
