"""The shop of the chaos run: six workloads out of the scenarios' fixtures, and the faults that can befall each.

Rule: a fault is a scenario of tier auto that needs no declared desired state (a person who scales would be drift
there) and makes no object of its own; the workload's name stands in place of the fixture's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from tests.cluster.checks import Check, LikeBefore, PodsStable
from tests.cluster.scenario import FOLDER, Scenario, load, load_library
from tests.cluster.steps import Apply
from tools.jsontypes import JsonObject, JsonValue

_FIXTURES = (
    ("web", "front"),
    ("web", "cart"),
    ("web", "search"),
    ("web", "news"),
    ("sts", "db"),
    ("ds", "agent"),
)
_OWN_NAME = {"web": "web", "sts": "db", "ds": "agent"}
_KIND = {"web": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet"}


@dataclass(frozen=True)
class Workload:
    """One workload and all that belongs to it."""

    kind: str
    name: str
    fixture: str
    manifests: tuple[JsonObject, ...] = field(hash=False)

    @property
    def reference(self) -> str:
        """Kind/name."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Fault:
    """A scenario, told of another workload."""

    family: str
    scenario: Scenario
    checks: tuple[Check, ...]
    allow: Mapping[str, tuple[str, ...]]
    """What its remedy may leave different."""


def shop() -> list[Workload]:
    """The six."""
    library = load_library()
    found: list[Workload] = []
    for fixture, name in _FIXTURES:
        renamed = _Renaming(_OWN_NAME[fixture], name)
        manifests = tuple(cast("JsonObject", renamed(m)) for m in library.fixtures[fixture])
        found.append(Workload(_KIND[fixture], name, fixture, manifests))
    return found


def faults_for(workload: Workload) -> list[Fault]:
    """Every fault that can befall the workload, by name."""
    library, renamed = load_library(), _Renaming(_OWN_NAME[workload.fixture], workload.name)
    scenarios = [load(path, library, renamed) for path in sorted(FOLDER.glob("*.yaml"))]
    return [_fault(s) for s in scenarios if _fits(s, workload.fixture)]


def _fits(scenario: Scenario, fixture: str) -> bool:
    makes_objects = any(isinstance(step, Apply) for step in scenario.inject)
    quiet = scenario.tier == "auto" and not scenario.desired and not scenario.alone
    return quiet and scenario.starts_from == (fixture,) and not makes_objects


def _fault(scenario: Scenario) -> Fault:
    allow: dict[str, tuple[str, ...]] = {}
    for check in scenario.healed_when:
        if isinstance(check, LikeBefore):
            allow |= check.allow
    checks = tuple(c for c in scenario.healed_when if not isinstance(c, LikeBefore | PodsStable))
    return Fault(scenario.name, scenario, checks, allow)


class _Renaming:
    """Puts a workload's name in place of the fixture's, as a whole word or before a dash."""

    def __init__(self, old: str, new: str) -> None:
        self._word = re.compile(rf"(?<![A-Za-z0-9_.-]){re.escape(old)}(?![A-Za-z0-9_.])")
        self._new = new

    def __call__(self, document: JsonValue) -> JsonValue:
        return cast("JsonValue", json.loads(self._word.sub(self._new, json.dumps(document))))
