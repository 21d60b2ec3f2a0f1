"""Scenario files: those that are there can be used, and a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster.checks import FieldEquals, LikeBefore
from tests.cluster.desired import declared
from tests.cluster.plans import WantedPlan, is_met
from tests.cluster.scenario import (
    FOLDER,
    Library,
    Scenario,
    load,
    load_all,
    load_library,
    parse,
    select,
)
from tests.cluster.shapes import ScenarioError
from tests.cluster.steps import Delete, Kubectl, Patch
from tools.jsontypes import JsonObject, JsonValue, dig, dig_str

FAMILIES = {
    "adv-concurrent-writer", "adv-fix-makes-worse", "adv-prompt-injection-log", "command-exit-1", "command-not-found",
    "configmap-bad-value-stale", "configmap-deleted", "configmap-key-missing", "configmap-missing",
    "cpu-request-too-large", "cronjob-forbid-hung", "cronjob-suspended", "deployment-deleted", "deployment-paused",
    "dns-policy-broken", "drift-configmap", "drift-env-literal", "drift-labels", "drift-resources",
    "drift-service-port", "ds-bad-image", "ds-new-revision-crashes", "env-removed", "ephemeral-storage-evicted",
    "finalizer-stuck", "host-port-conflict", "hpa-missing-request", "hpa-wrong-target", "image-invalid-name",
    "image-pull-bad-tag", "init-fails", "job-deadline", "limitrange-max", "liveness-too-aggressive",
    "liveness-wrong-port", "memory-request-too-large", "multi-image-and-selector", "neg-completed-job", "neg-healthy",
    "neg-intentional-zero", "neg-pod-killed", "neg-rolling-update-in-progress", "neg-single-restart",
    "netpol-deny-all", "node-affinity-required", "node-cordoned", "node-kubelet-down", "node-memory-pressure-ghost",
    "node-selector-none", "node-tainted-noexecute", "oom-after-growth", "oom-limit-too-low", "pdb-blocks-eviction",
    "priority-preemption", "psa-restricted", "pv-node-affinity-violation", "pvc-bad-storageclass", "pvc-missing",
    "quota-pods", "rbac-binding-wrong-subject", "readiness-wrong-path", "readonly-rootfs",
    "run-as-nonroot-root-image", "scaled-to-zero", "scaled-to-zero-undeclared", "secret-key-missing",
    "service-deleted", "service-named-port-missing", "service-wrong-selector", "service-wrong-targetport",
    "serviceaccount-missing", "sidecar-port-conflict", "sts-new-revision-crashes", "sts-stuck-broken-revision",
    "topology-spread-unsatisfiable", "unknown-scheduler", "validating-webhook-down",
}  # fmt: skip


def test_every_scenario_of_the_folder_loads_and_none_is_lost() -> None:
    assert load_all().keys() >= FAMILIES


def test_every_fault_has_a_remedy_and_a_check_against_collateral() -> None:
    faults = [s for s in load_all().values() if s.tier in ("auto", "approval")]
    assert [s.name for s in faults if not s.remedy] == []
    assert [s.name for s in faults if not any(isinstance(c, LikeBefore) for c in s.healed_when)] == []


def test_what_reaches_beyond_the_namespace_is_alone_or_named_after_it_and_is_cleaned_up() -> None:
    for scenario in load_all().values():
        if scenario.alone or "PersistentVolume" in str(scenario.inject) + str(scenario.fixtures):
            own = "PersistentVolumeClaim" in str(scenario.fixtures) and not scenario.alone
            assert scenario.cleanup or own, scenario.name


def test_every_fixture_and_set_of_checks_is_used_and_lands_in_the_namespace() -> None:
    library = load_library()
    written = [yaml.safe_load(p.read_text()) for p in FOLDER.glob("*.yaml")]
    assert {f for w in written for f in w.get("fixtures", [])} == set(library.fixtures)
    assert {c["use"] for w in written for c in w.get("healed_when", []) if "use" in c} == set(library.checks)
    for scenario in load_all().values():
        for manifest in scenario.manifests("sh-x"):
            where = dig(manifest, "metadata", "namespace")
            wide = dig_str(manifest, "kind") == "PersistentVolume"
            assert where == (None if wide else "sh-x")
            assert "${NS}" not in str(manifest)


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
SAMPLE = Library(
    {"web": ({"kind": "Service", "metadata": {"name": "web"}},), "db": ()}, {"all": ({"check": "no_failed_pods"},)}
)


def parsed(text: str) -> Scenario:
    return parse("sample", yaml.safe_load(text), SAMPLE)


def test_a_good_file_becomes_typed_steps_and_checks() -> None:
    scenario = parsed(GOOD)
    assert scenario.inject == (
        Patch("Deployment", "web", "merge", {"spec": {"replicas": 0}}),
        Delete("Service", "web"),
        Kubectl(("scale", "deployment/web", "--replicas=0")),
    )
    assert scenario.healed_when == (FieldEquals("Deployment/web", "spec.replicas", 2),)
    assert scenario.remedy == (Kubectl(("scale", "deployment/web", "--replicas=2")),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("title: a fault", "titel: a fault"), "unknown field titel", id="misspelt field"),
        pytest.param(("title: a fault", ""), "title is missing", id="missing title"),
        pytest.param(("tier: auto", "tier: approve"), "write auto, approval, escalate or none", id="unknown tier"),
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
        pytest.param(("tier: auto", "tier: approval"), "tier approval needs plan", id="approval without a plan"),
        pytest.param(("tier: auto", "tier: auto\nplan: [any Service/web]"), "auto has no plan", id="plan for auto"),
        pytest.param(("tier: auto", "tier: approval\nplan: [some Service/web]"), "has no family", id="unknown family"),
        pytest.param(("tier: auto", "tier: auto\nunwritten: true"), "are for tier approval", id="unwritten for auto"),
        pytest.param(("tier: auto", "tier: auto\nneeds: [gpu]"), "needs gpu; write any of", id="unknown need"),
        pytest.param(("tier: auto", "tier: auto\ndesired_patch: {Service/web: {}}"), "without desired", id="patch"),
        pytest.param(("  - {check: field", "  - {use: x}\n  - {check: field"), "no such set of checks", id="set"),
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


def test_a_call_for_help_must_say_what_the_account_has_to_name() -> None:
    with pytest.raises(ScenarioError, match="tier escalate needs cause_words"):
        parsed(GOOD.partition("healed_when")[0].replace("tier: auto", "tier: escalate"))


def test_a_file_that_is_no_yaml_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "torn.yaml"
    path.write_text("title: [")
    with pytest.raises(ScenarioError, match=r"torn\.yaml: not YAML"):
        load(path, SAMPLE)


def test_selection_knows_all_ci_and_names_and_refuses_others() -> None:
    scenarios = load_all()
    assert len(select(scenarios, "all")) == len(scenarios)
    assert {s.tier for s in select(scenarios, "ci")} == {"auto", "approval", "escalate", "none"}
    assert 18 <= len(select(scenarios, "ci")) <= 24, "CI's list is one a family"
    assert [s.name for s in select(scenarios, "neg-healthy, env-removed")] == ["neg-healthy", "env-removed"]
    with pytest.raises(ScenarioError, match="no such scenario: neg-helthy"):
        select(scenarios, "neg-helthy")
    with pytest.raises(ScenarioError, match="no scenario was chosen"):
        select(scenarios, " , ")


def test_what_is_declared_are_the_fixtures_without_secrets_and_with_the_patch_only_when_it_counts() -> None:
    scenario = load_all()["neg-intentional-zero"]
    kinds = {dig_str(m, "kind"): m for m in declared(scenario, "sh-x", patched=True)}
    assert "Secret" not in kinds
    assert dig(kinds["Deployment"], "spec", "replicas") == 0
    assert dig(kinds["Deployment"], "metadata", "name") == "web", "a merge leaves the rest"
    plain = {dig_str(m, "kind"): m for m in declared(scenario, "sh-x", patched=False)}
    assert dig(plain["Deployment"], "spec", "replicas") == 2


ACCOUNT: JsonObject = {
    "plan": {
        "steps": [
            {"action": "remove_object", "target": {"kind": "ResourceQuota", "name": "tight"}},
            {"action": "restart_workload", "target": {"kind": "Deployment", "name": "web"}},
        ]
    }
}


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        pytest.param(WantedPlan("object", "ResourceQuota", "tight"), True, id="the family on the object"),
        pytest.param(WantedPlan("any", "ResourceQuota", "tight"), True, id="any action on the object"),
        pytest.param(WantedPlan("workload", "Deployment", "*"), True, id="a later step on some object of the kind"),
        pytest.param(WantedPlan("edit", "ResourceQuota", "tight"), False, id="another family"),
        pytest.param(WantedPlan("object", "ResourceQuota", "wide"), False, id="another object"),
        pytest.param(WantedPlan("object", "LimitRange", "tight"), False, id="another kind"),
    ],
)
def test_a_plan_is_judged_by_family_and_target(wanted: WantedPlan, met: bool) -> None:
    assert is_met(wanted, ACCOUNT, "sh-x") is met


def test_an_account_without_a_plan_meets_nothing() -> None:
    nothing: JsonValue = {"plan": None}
    assert isinstance(nothing, dict)
    assert not is_met(WantedPlan("any", "Deployment", "*"), nothing, "sh-x")
