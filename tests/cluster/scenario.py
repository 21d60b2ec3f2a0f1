"""Scenario files as values: read, checked and turned into types, or refused with file, field and remedy.

Rule: a misspelt field is an error, never ignored.  Neighbours: `oracles` judges the checks, `lanes` plays the steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml

from tests.cluster.checks import CHECK_TYPES, Check, CheckError, parse_check
from tests.cluster.kube import KINDS
from tools.jsontypes import JsonObject, JsonValue

FOLDER = Path(__file__).resolve().parent / "scenarios"
Tier = Literal["auto", "none"]
PatchType = Literal["strategic", "merge", "json"]
TIERS: dict[str, Tier] = {"auto": "auto", "none": "none"}
PATCH_TYPES: dict[str, PatchType] = {"strategic": "strategic", "merge": "merge", "json": "json"}


class ScenarioError(Exception):
    """A scenario file cannot be used; the message names file, field and what is allowed."""


@dataclass(frozen=True)
class Patch:
    """Patch one object."""

    kind: str
    name: str
    type: PatchType
    body: JsonValue


@dataclass(frozen=True)
class Apply:
    """Server-side apply of one manifest."""

    manifest: JsonObject


@dataclass(frozen=True)
class Delete:
    """Delete one object."""

    kind: str
    name: str


@dataclass(frozen=True)
class Kubectl:
    """Run kubectl in the scenario's namespace."""

    arguments: tuple[str, ...]


Step = Patch | Apply | Delete | Kubectl


@dataclass(frozen=True)
class Scenario:
    """One fault (or one harmless event) and how to tell that it is over."""

    name: str
    title: str
    tier: Tier
    ci: bool
    fixtures: tuple[str, ...]
    inject: tuple[Step, ...]
    remedy: tuple[Kubectl, ...]
    remedy_after_s: float
    healed_when: tuple[Check, ...]
    cause_words: tuple[str, ...]


FIELDS = {"title", "tier", "ci", "fixtures", "inject", "remedy", "remedy_after_s", "healed_when", "cause_words"}


def load_all(folder: Path = FOLDER) -> dict[str, Scenario]:
    """Every scenario of the folder by name, sorted.  ScenarioError for the first file that cannot be used."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.yaml"))}


def load(path: Path) -> Scenario:
    """One scenario file."""
    try:
        document = cast("JsonValue", yaml.safe_load(path.read_text()))
    except yaml.YAMLError as broken:
        raise ScenarioError(f"{path.name}: not YAML: {broken}") from broken
    known = {p.stem for p in (path.parent / "fixtures").glob("*.yaml")}
    return parse(path.stem, document, known)


def parse(name: str, document: JsonValue, known_fixtures: Iterable[str]) -> Scenario:
    """The document as a Scenario; ScenarioError says where it is wrong."""
    where = f"{name}.yaml"
    body = _object(document, where)
    _only(body, FIELDS, where)
    tier = _text(body, "tier", where)
    if tier not in TIERS:
        raise ScenarioError(f"{where}: tier is {tier!r}; write auto or none")
    fixtures = _texts(body.get("fixtures"), f"{where}: fixtures")
    if lost := sorted(set(fixtures) - set(known_fixtures)):
        raise ScenarioError(
            f"{where}: no such fixture: {', '.join(lost)}; there are {', '.join(sorted(known_fixtures))}"
        )
    checks = tuple(_check(c, f"{where}: healed_when[{i}]") for i, c in enumerate(_list(body, "healed_when", where)))
    if (tier == "auto") != bool(checks):
        rule = (
            "needs healed_when: without a check nothing proves the healing" if tier == "auto" else "has no healed_when"
        )
        raise ScenarioError(f"{where}: tier {tier} {rule}")
    wait = body.get("remedy_after_s", 1)
    if isinstance(wait, bool) or not isinstance(wait, int | float) or wait < 0:
        raise ScenarioError(f"{where}: remedy_after_s is {wait!r}; write a number of seconds")
    ci = body.get("ci", False)
    if not isinstance(ci, bool):
        raise ScenarioError(f"{where}: ci is {ci!r}; write true or false")
    return Scenario(
        name=name,
        title=_text(body, "title", where),
        tier=TIERS[tier],
        ci=ci,
        fixtures=fixtures,
        inject=tuple(_step(s, f"{where}: inject[{i}]") for i, s in enumerate(_list(body, "inject", where))),
        remedy=tuple(Kubectl(_texts(r, f"{where}: remedy[{i}]")) for i, r in enumerate(_list(body, "remedy", where))),
        remedy_after_s=float(wait),
        healed_when=checks,
        cause_words=_texts(body.get("cause_words"), f"{where}: cause_words"),
    )


def select(scenarios: Mapping[str, Scenario], wanted: str) -> list[Scenario]:
    """`all`, `ci`, or names separated by commas.  ScenarioError for a name that does not exist."""
    if wanted == "all":
        return list(scenarios.values())
    if wanted == "ci":
        return [s for s in scenarios.values() if s.ci]
    names = [n.strip() for n in wanted.split(",") if n.strip()]
    if lost := [n for n in names if n not in scenarios]:
        raise ScenarioError(f"no such scenario: {', '.join(lost)}; there are {', '.join(scenarios)}")
    if not names:
        raise ScenarioError("no scenario was chosen: write all, ci, or names separated by commas")
    return [scenarios[n] for n in names]


def fixture_manifests(names: Iterable[str], namespace: str, folder: Path = FOLDER) -> list[JsonObject]:
    """The manifests of the fixtures, in order, for one namespace."""
    found: list[JsonObject] = []
    for name in names:
        text = (folder / "fixtures" / f"{name}.yaml").read_text()
        found += [in_namespace(cast("JsonObject", document), namespace) for document in yaml.safe_load_all(text)]
    return found


def in_namespace(manifest: JsonObject, namespace: str) -> JsonObject:
    """A copy with ${NS} replaced and the namespace set."""
    copy = cast("JsonObject", json.loads(json.dumps(manifest).replace("${NS}", namespace)))
    metadata = copy.get("metadata")
    return {**copy, "metadata": {**(metadata if isinstance(metadata, dict) else {}), "namespace": namespace}}


def object_reference(text: str, where: str) -> tuple[str, str]:
    """`Kind/name` → both, if the kind is one that the runner knows."""
    kind, slash, name = text.partition("/")
    if not slash or not name or kind not in KINDS:
        raise ScenarioError(f"{where}: {text!r} is not Kind/name; kinds are {', '.join(KINDS)}")
    return kind, name


# --------------------------------------------------------------------------------------------------------------- steps
def _step(value: JsonValue, where: str) -> Step:
    body = _object(value, where)
    readers: dict[str, Callable[[JsonValue, str], Step]] = {
        "patch": _patch,
        "apply": lambda v, w: Apply(_object(v, w)),
        "delete": lambda v, w: Delete(*object_reference(_as_text(v, w), w)),
        "kubectl": lambda v, w: Kubectl(_texts(v, w)),
    }
    if len(body) != 1 or (verb := next(iter(body))) not in readers:
        raise ScenarioError(
            f"{where}: has {', '.join(body) or 'nothing'}; a step has exactly one of {', '.join(readers)}"
        )
    return readers[verb](body[verb], f"{where}.{verb}")


def _patch(value: JsonValue, where: str) -> Patch:
    body = _object(value, where)
    _only(body, {"object", "type", "body"}, where)
    kind, name = object_reference(_text(body, "object", where), where)
    type_ = _text(body, "type", where)
    if type_ not in PATCH_TYPES:
        raise ScenarioError(f"{where}: type is {type_!r}; write strategic, merge or json")
    if "body" not in body:
        raise ScenarioError(f"{where}: body is missing")
    return Patch(kind, name, PATCH_TYPES[type_], body["body"])


def _check(value: JsonValue, where: str) -> Check:
    body = _object(value, where)
    try:
        return parse_check(body)
    except CheckError as wrong:
        raise ScenarioError(f"{where}: {wrong}; checks are {', '.join(CHECK_TYPES)}") from wrong


# -------------------------------------------------------------------------------------------------------------- shapes
def _object(value: JsonValue, where: str) -> JsonObject:
    if not isinstance(value, dict):
        raise ScenarioError(f"{where}: must be a mapping, not {type(value).__name__}")
    return value


def _only(body: JsonObject, allowed: set[str], where: str) -> None:
    if strange := sorted(set(body) - allowed):
        raise ScenarioError(f"{where}: unknown field {', '.join(strange)}; fields are {', '.join(sorted(allowed))}")


def _text(body: JsonObject, key: str, where: str) -> str:
    if key not in body:
        raise ScenarioError(f"{where}: {key} is missing")
    return _as_text(body[key], f"{where}: {key}")


def _as_text(value: JsonValue, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ScenarioError(f"{where}: must be a text, not {value!r}")
    return value


def _texts(value: JsonValue, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ScenarioError(f"{where}: must be a list of texts, not {value!r}")
    return tuple(_as_text(v, where) for v in value)


def _list(body: JsonObject, key: str, where: str) -> list[JsonValue]:
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ScenarioError(f"{where}: {key} must be a list, not {value!r}")
    return value
