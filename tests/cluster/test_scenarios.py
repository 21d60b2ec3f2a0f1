"""Scenario files: those that are there can be used, and a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster.checks import FieldEquals, LikeBefore
from tests.cluster.scenario import (
    Delete,
    Kubectl,
    Patch,
    Scenario,
    ScenarioError,
    fixture_manifests,
    load,
    load_all,
    parse,
    select,
)

REQUIRED = {
    "command-exit-1", "command-not-found", "cpu-request-too-large", "ds-bad-image", "env-removed",
    "image-invalid-name", "image-pull-bad-tag", "init-fails", "liveness-wrong-port",
    "memory-request-too-large", "neg-completed-job", "neg-healthy", "neg-intentional-zero", "neg-pod-killed",
    "neg-rolling-update-in-progress", "neg-single-restart", "node-selector-none", "oom-limit-too-low",
    "readiness-wrong-path", "secret-key-missing", "sts-stuck-broken-revision",
}  # fmt: skip


def test_every_scenario_of_the_folder_loads_and_none_is_lost() -> None:
    assert load_all().keys() >= REQUIRED


def test_every_fault_has_a_remedy_and_a_check_against_collateral() -> None:
    faults = [s for s in load_all().values() if s.tier == "auto"]
    assert [s.name for s in faults if not s.remedy] == []
    assert [s.name for s in faults if not any(isinstance(c, LikeBefore) for c in s.healed_when)] == []


def test_every_fixture_is_used_and_lands_in_the_namespace() -> None:
    scenarios = load_all().values()
    used = {f for s in scenarios for f in s.fixtures}
    there = {p.stem for p in (Path(__file__).parent / "scenarios/fixtures").glob("*.yaml")}
    assert used == there
    for manifest in fixture_manifests(sorted(used), "sh-x"):
        assert isinstance(manifest["metadata"], dict)
        assert manifest["metadata"]["namespace"] == "sh-x"


GOOD = """
title: a fault
tier: auto
fixtures: [web]
inject:
  - patch: {object: Deployment/web, type: merge, body: {spec: {replicas: 0}}}
  - delete: Service/web
  - kubectl: [scale, deployment/web, --replicas=0]
remedy: [[scale, deployment/web, --replicas=2]]
healed_when:
  - {check: field_equals, object: Deployment/web, path: spec.replicas, value: 2}
"""


def parsed(text: str) -> Scenario:
    return parse("sample", yaml.safe_load(text), ["web", "db"])


def test_a_good_file_becomes_typed_steps_and_checks() -> None:
    scenario = parsed(GOOD)
    assert scenario.inject == (
        Patch("Deployment", "web", "merge", {"spec": {"replicas": 0}}),
        Delete("Service", "web"),
        Kubectl(("scale", "deployment/web", "--replicas=0")),
    )
    assert scenario.healed_when == (FieldEquals("Deployment/web", "spec.replicas", 2),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("title: a fault", "titel: a fault"), "unknown field titel", id="misspelt field"),
        pytest.param(("title: a fault", ""), "title is missing", id="missing title"),
        pytest.param(("tier: auto", "tier: approve"), "write auto or none", id="unknown tier"),
        pytest.param(("fixtures: [web]", "fixtures: [wbe]"), "no such fixture: wbe; there are db", id="fixture"),
        pytest.param(("fixtures: [web]", "fixtures: web"), "must be a list of texts", id="text for a list"),
        pytest.param(("type: merge", "type: mrege"), "inject[0].patch: type is 'mrege'", id="unknown patch type"),
        pytest.param(("Deployment/web, type", "Deploy/web, type"), "'Deploy/web' is not Kind/name", id="unknown kind"),
        pytest.param(("- delete: Service/web", "- remove: Service/web"), "inject[1]: has remove", id="unknown step"),
        pytest.param(("- delete: Service/web", "- {delete: Service/web, kubectl: [x]}"), "exactly one", id="two"),
        pytest.param(("check: field_equals", "check: field_equal"), "unknown check 'field_equal'", id="unknown check"),
        pytest.param((", value: 2}", ", valeu: 2}"), "field_equals has no field valeu", id="misspelt in a check"),
        pytest.param((", value: 2}", "}"), "field_equals needs value", id="missing field of a check"),
        pytest.param(("tier: auto", "tier: none"), "tier none has no healed_when", id="checks on a negative"),
        pytest.param(("title: a fault", "title: a fault\nci: yes please"), "write true or false", id="ci is text"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(ScenarioError) as refused:
        parsed(GOOD.replace(*change))
    assert str(refused.value).startswith("sample.yaml")
    assert message in str(refused.value)


def test_a_fault_without_checks_is_refused() -> None:
    with pytest.raises(ScenarioError, match="without a check nothing proves the healing"):
        parsed(GOOD.partition("healed_when")[0])


def test_a_file_that_is_no_yaml_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "torn.yaml"
    path.write_text("title: [")
    with pytest.raises(ScenarioError, match=r"torn\.yaml: not YAML"):
        load(path)


def test_selection_knows_all_ci_and_names_and_refuses_others() -> None:
    scenarios = load_all()
    assert len(select(scenarios, "all")) == len(scenarios)
    assert {s.tier for s in select(scenarios, "ci")} == {"auto", "none"}
    assert [s.name for s in select(scenarios, "neg-healthy, env-removed")] == ["neg-healthy", "env-removed"]
    with pytest.raises(ScenarioError, match="no such scenario: neg-helthy"):
        select(scenarios, "neg-helthy")
    with pytest.raises(ScenarioError, match="no scenario was chosen"):
        select(scenarios, " , ")
