"""Random names: nothing of a scenario's own words is left, and what it means stays."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.cluster.scenario import Scenario, load_all
from tests.cluster.shuffle import Shuffle
from tests.cluster.steps import Patch
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str


def words(scenario: Scenario) -> str:
    """Everything of a scenario that reaches the cluster."""
    return json.dumps([list(scenario.fixtures), str(scenario.inject), str(scenario.remedy)])


def test_no_name_of_the_fixtures_is_left() -> None:
    shuffle = Shuffle(7)
    for scenario in load_all(rewrite=shuffle.rewrite).values():
        for known in ("web-config", "web-sa", '"web"', "TOKEN", "MODE", "heal-busybox", "web-secret", "FATAL"):
            assert known not in words(scenario), (scenario.name, known)


def test_the_same_seed_gives_the_same_names_and_another_one_others() -> None:
    def of(seed: int) -> str:
        return words(load_all(rewrite=Shuffle(seed).rewrite)["command-exit-1"])

    assert of(1) == of(1)
    assert of(1) != of(2)


def test_names_that_belong_together_stay_together() -> None:
    scenario = load_all(rewrite=Shuffle(3).rewrite)["configmap-key-missing"]
    by_kind = {dig_str(m, "kind"): m for m in scenario.fixtures}
    config, deployment, service = by_kind["ConfigMap"], by_kind["Deployment"], by_kind["Service"]
    container = dig_object(deployment, "spec", "template", "spec", "containers", 0)
    reference = dig_object(container, "env", 0, "valueFrom", "configMapKeyRef")
    assert reference["name"] == dig(config, "metadata", "name")
    assert reference["key"] in dig_object(config, "data")
    assert dig(service, "spec", "selector") == dig(deployment, "spec", "template", "metadata", "labels")
    [patch, _] = scenario.inject
    assert isinstance(patch, Patch)
    assert patch.name == dig(config, "metadata", "name")
    assert dig_object(patch.body, "data")[str(reference["key"])] is None


def test_what_kubernetes_gives_a_meaning_to_stays() -> None:
    manifest: JsonObject = {
        "kind": "Deployment",
        "metadata": {"name": "data", "labels": {"app": "shop", "app.kubernetes.io/name": "shop"}},
        "spec": {"selector": {"matchLabels": {"app": "shop"}}, "nodeSelector": {"kubernetes.io/hostname": "node1"}},
        "path": "spec.selector.matchLabels.app",
    }
    changed = Shuffle(5).rewrite(manifest)
    label = next(k for k in dig_object(changed, "metadata", "labels") if "." not in k)
    assert dig(changed, "metadata", "name") == "data"
    assert list(dig_object(changed, "spec", "selector", "matchLabels")) == [label]
    assert dig(changed, "spec", "nodeSelector") == {"kubernetes.io/hostname": "node1"}
    assert dig(changed, "path") == f"spec.selector.matchLabels.{label}"


def test_an_image_that_exists_gets_an_alias_and_one_that_does_not_stays_unknown() -> None:
    shuffle = Shuffle(1)
    document: JsonValue = [{"image": "localhost/x:1"}, {"image": "registry.invalid/x:1"}, {"image": "Bad/X::1"}]
    changed = shuffle.rewrite(document)
    assert shuffle.aliases == {"localhost/x:1": dig_str(changed, 0, "image")}
    assert dig_str(changed, 1, "image").partition("/")[0].endswith(".invalid")
    assert "::" in dig_str(changed, 2, "image")


def test_an_attack_keeps_its_words() -> None:
    scenario = load_all(rewrite=Shuffle(1).rewrite)["adv-prompt-injection-log"]
    assert "forget your rules" in words(replace(scenario, title=""))
