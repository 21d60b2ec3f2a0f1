"""Reading YAML documents by shape: each helper returns the wanted type or refuses, with the place and the remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from tests.cluster.kube import KINDS
from tools.jsontypes import JsonObject, JsonValue


class ScenarioError(Exception):
    """A scenario file cannot be used; the message names file, field and what is allowed."""


def as_object(value: JsonValue, where: str) -> JsonObject:
    """A mapping."""
    if not isinstance(value, dict):
        raise ScenarioError(f"{where}: must be a mapping, not {type(value).__name__}")
    return value


def only(body: JsonObject, allowed: set[str], where: str) -> None:
    """No field but the allowed ones."""
    if strange := sorted(set(body) - allowed):
        raise ScenarioError(f"{where}: unknown field {', '.join(strange)}; fields are {', '.join(sorted(allowed))}")


def text(body: JsonObject, key: str, where: str) -> str:
    """A text that must be there."""
    if key not in body:
        raise ScenarioError(f"{where}: {key} is missing")
    return as_text(body[key], f"{where}: {key}")


def as_text(value: JsonValue, where: str) -> str:
    """A text that says something."""
    if not isinstance(value, str) or not value.strip():
        raise ScenarioError(f"{where}: must be a text, not {value!r}")
    return value


def texts(value: JsonValue, where: str) -> tuple[str, ...]:
    """A list of texts; nothing is none."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ScenarioError(f"{where}: must be a list of texts, not {value!r}")
    return tuple(as_text(v, where) for v in value)


def items(body: JsonObject, key: str, where: str) -> list[JsonValue]:
    """A list; nothing is an empty one."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ScenarioError(f"{where}: {key} must be a list, not {value!r}")
    return value


def flag(body: JsonObject, key: str, where: str) -> bool:
    """True or false; nothing is false."""
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise ScenarioError(f"{where}: {key} is {value!r}; write true or false")
    return value


def seconds(body: JsonObject, key: str, default: float, where: str) -> float:
    """A length of time."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ScenarioError(f"{where}: {key} is {value!r}; write a number of seconds")
    return float(value)


def one_of(body: JsonObject, key: str, allowed: tuple[str, ...], where: str, default: str | None = None) -> str:
    """One of a few words."""
    value = default if default is not None and key not in body else text(body, key, where)
    if value not in allowed:
        raise ScenarioError(f"{where}: {key} is {value!r}; write {', '.join(allowed[:-1])} or {allowed[-1]}")
    return value


def object_reference(value: str, where: str) -> tuple[str, str]:
    """`Kind/name` → both, if the kind is one that the runner knows."""
    kind, slash, name = value.partition("/")
    if not slash or not name or kind not in KINDS:
        raise ScenarioError(f"{where}: {value!r} is not Kind/name; kinds are {', '.join(KINDS)}")
    return kind, name


def filled(value: JsonValue, words: Mapping[str, str]) -> JsonValue:
    """A copy with each `${WORD}` replaced, in keys too."""
    as_json = json.dumps(value)
    for word, meaning in words.items():
        as_json = as_json.replace(f"${{{word}}}", meaning)
    return cast("JsonValue", json.loads(as_json))


def in_namespace(manifest: JsonObject, namespace: str) -> JsonObject:
    """A copy with ${NS} replaced and, unless the kind is cluster-wide, the namespace set."""
    copy = as_object(filled(manifest, {"NS": namespace}), "manifest")
    metadata = copy.get("metadata")
    kept = metadata if isinstance(metadata, dict) else {}
    kind = copy.get("kind")
    if isinstance(kind, str) and kind in KINDS and not KINDS[kind].namespaced:
        return {**copy, "metadata": {**kept}}
    return {**copy, "metadata": {**kept, "namespace": namespace}}
