"""The declared desired state that the healer is given: a folder of manifests, one file per namespace.

Rule: a namespace is declared while its scenario runs and at no other time, so a declared object that is missing is
always a fault.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.cluster.scenario import Scenario
from tools.jsontypes import JsonObject, JsonValue, dig_str

SETTING = "SELFHEAL_DESIRED_STATE"


class DesiredFolder:
    """One folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """After it: the folder is there, and empty when it is new."""
        self._path.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """The setting that names it."""
        return {SETTING: str(self._path)}

    def declare(self, scenario: Scenario, namespace: str, *, patched: bool) -> None:
        """The scenario's fixtures are what should be in the namespace; from the moment of the injection on, with its
        `desired_patch`."""
        self.put(namespace, declared(scenario, namespace, patched=patched))

    def put(self, namespace: str, manifests: Sequence[JsonObject]) -> None:
        """These manifests are what should be in the namespace."""
        half = self._path / f".{namespace}.half"
        half.write_text(yaml.safe_dump_all(manifests))
        half.replace(self._path / f"{namespace}.yaml")

    def withdraw(self, namespace: str) -> None:
        """Nothing is declared there any more."""
        (self._path / f"{namespace}.yaml").unlink(missing_ok=True)


def declared(scenario: Scenario, namespace: str, *, patched: bool) -> list[JsonObject]:
    """The manifests: never a Secret, which belongs in no repository."""
    found: list[JsonObject] = []
    for manifest in scenario.manifests(namespace):
        kind, name = dig_str(manifest, "kind"), dig_str(manifest, "metadata", "name")
        if kind != "Secret":
            found.append(merged(manifest, scenario.desired_patch.get(f"{kind}/{name}", {}) if patched else {}))
    return found


def merged(manifest: JsonObject, patch: Mapping[str, JsonValue]) -> JsonObject:
    """A copy with a merge patch in it; null removes."""
    result = copy.deepcopy(manifest)
    for key, value in patch.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result
