"""Scenario files as values: read, checked and turned into types, or refused with file, field and remedy.

Rule: a misspelt field is an error, never ignored.  Neighbours: `steps` and `checks` are the parts, `oracles` judges the
checks, `lane` plays it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml

from tests.cluster.checks import CHECK_TYPES, Check, CheckError, parse_check
from tests.cluster.plans import FAMILIES, WantedPlan, parse_wanted
from tests.cluster.shapes import (
    ScenarioError,
    as_object,
    flag,
    in_namespace,
    items,
    object_reference,
    one_of,
    only,
    seconds,
    text,
    texts,
)
from tests.cluster.steps import Kubectl, Step, parse_step
from tools.jsontypes import JsonObject, JsonValue

FOLDER = Path(__file__).resolve().parent / "scenarios"
CHECK_SETS = "checks.yaml"
Tier = Literal["auto", "approval", "escalate", "none"]
Mode = Literal["auto", "approve"]
NEEDS = ("kubelet", "metrics", "dns", "kubelet_stop", "network_policy", "rbac")
"""What a substrate may offer beyond an API server with its controllers."""
Rewrite = Callable[[JsonValue], JsonValue]
"""Changes a document before it is read; `shuffle` gives every name another one."""


@dataclass(frozen=True)
class Scenario:
    """One fault (or one harmless event) and how to tell that it is over."""

    name: str
    title: str
    tier: Tier
    ci: bool
    alone: bool
    mode: Mode
    needs: frozenset[str]
    desired: bool | None
    """Whether its fixtures are the declared state; None: as the run says (`--declared`)."""
    desired_patch: Mapping[str, JsonObject]
    starts_from: tuple[str, ...]
    """Names of its fixtures."""
    fixtures: tuple[JsonObject, ...]
    """The manifests that it starts from, in order, ${NS} not yet replaced."""
    prepare: tuple[Step, ...]
    inject: tuple[Step, ...]
    meanwhile: tuple[Step, ...]
    cleanup: tuple[Step, ...]
    remedy: tuple[Step, ...]
    remedy_after_s: float
    plan: tuple[WantedPlan, ...]
    healed_when: tuple[Check, ...]
    unwritten: bool
    cause_words: tuple[str, ...]
    limit_s: float
    window_s: float

    def manifests(self, namespace: str) -> list[JsonObject]:
        """The fixtures for one namespace."""
        return [in_namespace(m, namespace) for m in self.fixtures]


FIELDS = {
    "title", "tier", "ci", "alone", "mode", "needs", "desired", "desired_patch", "fixtures", "prepare", "inject",
    "meanwhile", "cleanup", "remedy", "remedy_after_s", "plan", "healed_when", "unwritten", "cause_words", "limit_s",
    "window_s",
}  # fmt: skip


@dataclass(frozen=True)
class Library:
    """What scenarios share: fixtures by name, and named sets of checks."""

    fixtures: Mapping[str, tuple[JsonObject, ...]]
    checks: Mapping[str, tuple[JsonObject, ...]]


def load_library(folder: Path = FOLDER) -> Library:
    """The fixtures and the sets of checks of a folder."""
    fixtures = {
        path.stem: tuple(as_object(cast("JsonValue", d), path.name) for d in yaml.safe_load_all(path.read_text()))
        for path in sorted((folder / "fixtures").glob("*.yaml"))
    }
    sets = _read(folder / "checks" / CHECK_SETS)
    named = as_object(sets, CHECK_SETS)
    checks = {
        name: tuple(as_object(c, f"{CHECK_SETS}: {name}") for c in items(named, name, CHECK_SETS)) for name in named
    }
    return Library(fixtures, checks)


def load_all(folder: Path = FOLDER, rewrite: Rewrite | None = None) -> dict[str, Scenario]:
    """Every scenario of the folder by name, sorted.  ScenarioError for the first file that cannot be used."""
    library = load_library(folder)
    return {path.stem: load(path, library, rewrite) for path in sorted(folder.glob("*.yaml"))}


def load(path: Path, library: Library, rewrite: Rewrite | None = None) -> Scenario:
    """One scenario file."""
    return parse(path.stem, _read(path), library, rewrite)


def _read(path: Path) -> JsonValue:
    try:
        return cast("JsonValue", yaml.safe_load(path.read_text()))
    except yaml.YAMLError as broken:
        raise ScenarioError(f"{path.name}: not YAML: {broken}") from broken


def parse(name: str, document: JsonValue, library: Library, rewrite: Rewrite | None = None) -> Scenario:
    """The document as a Scenario; ScenarioError says where it is wrong."""
    where = f"{name}.yaml"
    written = as_object(document, where)
    only(written, FIELDS, where)
    manifests, checks = _resolved(written, library, where)
    whole: JsonValue = {"body": written, "fixtures": manifests, "checks": checks}
    changed = as_object(rewrite(whole) if rewrite is not None else whole, where)
    body = as_object(changed["body"], where)
    judged = tuple(_check(c, f"{where}: healed_when[{i}]") for i, c in enumerate(items(changed, "checks", where)))
    tier = cast("Tier", one_of(body, "tier", ("auto", "approval", "escalate", "none"), where))
    _consistent(tier, body, bool(judged), where)
    return Scenario(
        name=name,
        title=text(body, "title", where),
        tier=tier,
        ci=flag(body, "ci", where),
        alone=flag(body, "alone", where),
        mode=cast("Mode", one_of(body, "mode", ("auto", "approve"), where, "auto")),
        needs=_needs(body, where),
        desired=flag(body, "desired", where) if "desired" in body else None,
        desired_patch=_desired_patch(body, where),
        starts_from=texts(written.get("fixtures"), f"{where}: fixtures"),
        fixtures=tuple(as_object(m, where) for m in items(changed, "fixtures", where)),
        prepare=_steps(body, "prepare", where),
        inject=_steps(body, "inject", where),
        meanwhile=_steps(body, "meanwhile", where),
        cleanup=_steps(body, "cleanup", where),
        remedy=tuple(_remedy(r, f"{where}: remedy[{i}]") for i, r in enumerate(items(body, "remedy", where))),
        remedy_after_s=seconds(body, "remedy_after_s", 1, where),
        plan=tuple(parse_wanted(t, f"{where}: plan") for t in texts(body.get("plan"), f"{where}: plan")),
        healed_when=judged,
        unwritten=flag(body, "unwritten", where),
        cause_words=texts(body.get("cause_words"), f"{where}: cause_words"),
        limit_s=seconds(body, "limit_s", 0, where),
        window_s=seconds(body, "window_s", 0, where),
    )


def _resolved(body: JsonObject, library: Library, where: str) -> tuple[list[JsonValue], list[JsonValue]]:
    """The manifests of the named fixtures, and the checks with the named sets in place of their names."""
    names = texts(body.get("fixtures"), f"{where}: fixtures")
    if lost := sorted(set(names) - set(library.fixtures)):
        raise ScenarioError(
            f"{where}: no such fixture: {', '.join(lost)}; there are {', '.join(sorted(library.fixtures))}"
        )
    manifests: list[JsonValue] = [m for n in names for m in library.fixtures[n]]
    checks: list[JsonValue] = []
    for index, value in enumerate(items(body, "healed_when", where)):
        checks += _set(value, library, f"{where}: healed_when[{index}]")
    return manifests, checks


def _set(value: JsonValue, library: Library, where: str) -> list[JsonValue]:
    """`{use: NAME, without: [check, …]}` → those checks; anything else → itself."""
    body = as_object(value, where)
    if "use" not in body:
        return [body]
    only(body, {"use", "without"}, where)
    name = text(body, "use", where)
    if name not in library.checks:
        raise ScenarioError(f"{where}: no such set of checks: {name}; there are {', '.join(library.checks)}")
    left_out = texts(body.get("without"), where)
    return [c for c in library.checks[name] if c.get("check") not in left_out]


def _consistent(tier: Tier, body: JsonObject, has_checks: bool, where: str) -> None:
    """What a tier must have, and must not."""
    if tier in ("auto", "approval") and not has_checks:
        raise ScenarioError(f"{where}: tier {tier} needs healed_when: without a check nothing proves the healing")
    if tier in ("escalate", "none") and has_checks:
        raise ScenarioError(f"{where}: tier {tier} has no healed_when")
    if tier == "escalate" and not body.get("cause_words"):
        raise ScenarioError(f"{where}: tier escalate needs cause_words: an account that names no cause is no use")
    if (tier == "approval") != bool(body.get("plan")):
        rule = f"needs plan, such as `{FAMILIES[0]} Kind/name`" if tier == "approval" else "has no plan"
        raise ScenarioError(f"{where}: tier {tier} {rule}")
    if tier != "approval" and (body.get("meanwhile") or body.get("unwritten")):
        raise ScenarioError(f"{where}: meanwhile and unwritten are for tier approval")


def _needs(body: JsonObject, where: str) -> frozenset[str]:
    found = frozenset(texts(body.get("needs"), f"{where}: needs"))
    if lost := sorted(found - set(NEEDS)):
        raise ScenarioError(f"{where}: needs {', '.join(lost)}; write any of {', '.join(NEEDS)}")
    return found


def _desired_patch(body: JsonObject, where: str) -> dict[str, JsonObject]:
    patches = as_object(body.get("desired_patch", {}), f"{where}: desired_patch")
    if patches and not body.get("desired"):
        raise ScenarioError(f"{where}: desired_patch without desired: true")
    for reference in patches:
        object_reference(reference, f"{where}: desired_patch")
    return {r: as_object(p, f"{where}: desired_patch.{r}") for r, p in patches.items()}


def _steps(body: JsonObject, key: str, where: str) -> tuple[Step, ...]:
    return tuple(parse_step(s, f"{where}: {key}[{i}]") for i, s in enumerate(items(body, key, where)))


def _remedy(value: JsonValue, where: str) -> Step:
    """A bare list is a kubectl command."""
    return Kubectl(texts(value, where)) if isinstance(value, list) else parse_step(value, where)


def _check(value: JsonValue, where: str) -> Check:
    body = as_object(value, where)
    try:
        return parse_check(body)
    except CheckError as wrong:
        raise ScenarioError(f"{where}: {wrong}; checks are {', '.join(CHECK_TYPES)}") from wrong


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


def holds(scenario: Scenario, offers: Iterable[str]) -> bool:
    """Whether a substrate has what the scenario needs."""
    return scenario.needs <= set(offers)
