from __future__ import annotations

from pathlib import Path

import pytest

from tools import registry
from tools.executors.base import Executor
from tools.executors.models.edit import EDITS
from tools.guard.policy import Mode, Policy, PolicyError, load_policy, mode_from_annotation, strictest
from tools.refs import ObjectRef

GOOD = """
version: 1
default: observe
actions: {set_resources: approve}
namespaces:
  shop: auto
  "shop-*":
    mode: auto
    actions: {scale_workload: approve, evict_pod: off}
  "shop-db*": approve
  "team-?": auto
  "team-*": auto
  "?eam-a": off
  closed: {mode: off, actions: {restart_workload: auto}}
  look: {mode: observe, actions: {restart_workload: auto}}
protected:
  namespaces: [vault, "db-*"]
  objects: ["shop/Deployment/payments", "*/StatefulSet/*"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load_policy(write(tmp_path, GOOD), registry.ALL)


@pytest.mark.parametrize(
    ("why", "namespace", "action", "mode"),
    [
        ("no rule names it", "other", "restart_workload", Mode.OBSERVE),
        ("exact name", "shop", "restart_workload", Mode.AUTO),
        ("a glob", "shop-web", "restart_workload", Mode.AUTO),
        ("the action's own mode there", "shop-web", "scale_workload", Mode.APPROVE),
        ("an action that is off there", "shop-web", "evict_pod", Mode.OFF),
        ("the longer glob counts", "shop-db1", "restart_workload", Mode.APPROVE),
        ("of equally long ones the stricter", "team-a", "restart_workload", Mode.OFF),
        ("when only one of them matches", "team-b", "restart_workload", Mode.AUTO),
        ("off is off for every action", "closed", "restart_workload", Mode.OFF),
        ("an action may be freer than its namespace", "look", "restart_workload", Mode.AUTO),
        ("and only that one", "look", "evict_pod", Mode.OBSERVE),
        ("the bound on an action holds everywhere", "shop", "set_resources", Mode.APPROVE),
        ("and never widens", "other", "set_resources", Mode.OBSERVE),
        ("a glob is anchored", "my-shop", "restart_workload", Mode.OBSERVE),
    ],
)
def test_mode(policy: Policy, why: str, namespace: str, action: str, mode: Mode) -> None:
    assert policy.mode_for(namespace, action) is mode
    assert policy.observing().mode_for(namespace, action) is strictest(mode, Mode.OBSERVE)


@pytest.mark.parametrize(
    ("namespace", "protected"),
    [
        ("kube-system", True),
        ("kube-public", True),
        ("kube-node-lease", True),
        ("openshift-dns", True),
        ("vault", True),
        ("db-1", True),
        ("selfheal", True),
        ("shop", False),
        ("kube-systems", False),
        ("db", False),
    ],
)
def test_protected_namespaces(policy: Policy, namespace: str, protected: bool) -> None:
    assert policy.protects_namespace(namespace, "selfheal") is protected


def test_what_is_always_protected_needs_no_file_and_no_file_opens_it(tmp_path: Path) -> None:
    wide = load_policy(write(tmp_path, "default: auto\nnamespaces: {kube-system: auto, '*': auto}\n"))
    for each in (Policy(), wide):
        assert each.protects_namespace("kube-system")
        assert {"kube-system", "kube-public", "kube-node-lease", "me"} <= each.protected_namespaces("me")


@pytest.mark.parametrize(
    ("ref", "protected"),
    [
        ("shop/Deployment/payments", True),
        ("x/StatefulSet/y", True),
        ("shop/Deployment/web", False),
        ("x/Deployment/payments", False),
    ],
)
def test_protected_objects(policy: Policy, ref: str, protected: bool) -> None:
    assert policy.protects_object(ObjectRef.parse(ref)) is protected


TRUST = """
namespaces:
  shop: {mode: auto, trusted_edits: [set_service, set_probe]}
  "shop-*": {mode: auto, trusted_edits: [set_service]}
  "team-?": {mode: auto, trusted_edits: [set_env]}
  "?eam-a": auto
"""


@pytest.mark.parametrize(
    ("why", "namespace", "action", "trusted"),
    [
        ("named there", "shop", "set_service", True),
        ("another edit", "shop", "set_image", False),
        ("the most specific rule alone counts", "shop-web", "set_probe", False),
        ("a glob", "shop-web", "set_service", True),
        ("no rule names the namespace", "other", "set_service", False),
        ("in no namespace", "", "set_service", False),
        ("of rules of one rank all must say so", "team-a", "set_env", False),
        ("when only one of them matches", "team-b", "set_env", True),
    ],
)
def test_trusted_edits(tmp_path: Path, why: str, namespace: str, action: str, trusted: bool) -> None:
    policy = load_policy(write(tmp_path, TRUST), registry.ALL)
    assert policy.trusts(namespace, action) is trusted
    assert not Policy.model_validate({"default": "auto"}).trusts(namespace, action)


def test_every_edit_can_be_trusted_and_asks_otherwise() -> None:
    asking = [
        name for name, e in registry.executors().items() if type(e).default_reasons is not Executor.default_reasons
    ]
    assert tuple(asking) == (*EDITS, "run_script")


def test_registries_are_hosts_with_a_port_or_path_if_wanted(tmp_path: Path) -> None:
    names = ("registry.example", "registry.example/shop", "localhost", "mirror:5000/a/b-c", "registry.example:443")
    text = f"image_registries: {list(names)}\n"
    assert load_policy(write(tmp_path, text)).image_registries == names
    assert Policy().image_registries == ()


def test_no_file_means_observe_everywhere(tmp_path: Path) -> None:
    for path in (None, tmp_path / "absent.yaml", write(tmp_path, ""), write(tmp_path, "# nothing yet\n")):
        assert load_policy(path).mode_for("shop", "restart_workload") is Mode.OBSERVE


@pytest.mark.parametrize(
    ("why", "text", "says"),
    [
        (
            "an unknown key",
            "version: 1\ndefalt: auto\n",
            ["policy.yaml:2: defalt: unknown key; known keys: actions, cap, cluster_mode, default"],
        ),
        (
            "an unknown key deep down",
            "namespaces:\n  a:\n    mode: auto\n    modus: x\n",
            [":4: namespaces.a.modus: unknown key; known keys: actions, mode"],
        ),
        (
            "a trusted edit that is none",
            "namespaces:\n  a: {mode: auto, trusted_edits: [rollback_workload]}\n",
            [":2: namespaces.a.trusted_edits.0", "'set_service'"],
        ),
        ("a registry with a path alone", "\nimage_registries: [shop]\n", [":2: image_registries.0"]),
        ("a registry as a URL", "image_registries: ['https://registry.example']\n", [":1: image_registries.0"]),
        ("a registry as a glob", "image_registries: ['*.example']\n", [":1: image_registries.0"]),
        (
            "an unknown limit",
            "limits:\n  plans:\n    owner: {counts: 1}\n",
            [":3: limits.plans.owner.counts: unknown key; known keys: count, seconds"],
        ),
        ("an unknown mode", "default: maybe\n", [":1: default:", "'off', 'observe', 'approve' or 'auto'"]),
        ("yes is no mode", "default: yes\n", [":1: default:"]),
        ("on is no mode", "namespaces:\n  a: on\n", [":2: namespaces.a.mode"]),
        ("a negative limit", "\nlimits:\n\n  cooldown_seconds: -1\n", [":4: limits.cooldown_seconds:"]),
        ("a number as text", 'limits: {cooldown_seconds: "300s"}\n', [":1: limits.cooldown_seconds:"]),
        ("a version of the future", "version: 2\n", [":1: version:"]),
        ("two mistakes", "a: 1\nb: 2\n", [":1: a: unknown key", ":2: b: unknown key"]),
        ("a key given twice", "default: auto\ndefault: off\n", [":2: default: given twice"]),
        ("a namespace given twice", "namespaces:\n  a: auto\n  a: off\n", [":3: namespaces.a: given twice"]),
        ("no YAML", "default: [auto\n", [":2: no YAML"]),
        ("no mapping", "- auto\n", [":1: policy:"]),
        (
            "an alias",
            "actions: &a {evict_pod: off}\nnamespaces: {x: {mode: off, actions: *a}}\n",
            [":1: aliases are not accepted"],
        ),
        ("a tag", "default: !!python/name:os.system x\n", [":1:"]),
        (
            "an action that does not exist",
            "namespaces:\n  a:\n    mode: auto\n    actions: {delete_namespace: auto}\n",
            [":4: namespaces.a.actions.delete_namespace: no such action; there are: ", "delete_pod"],
        ),
        ("a global action that does not exist", "actions:\n  nope: auto\n", [":2: actions.nope: no such action"]),
        ("a namespace no cluster can have", "namespaces: {Shop_1: auto}\n", [":1: namespaces.Shop_1"]),
        ("an object that is none", "protected:\n  objects: [payments]\n", [":2: protected.objects.0"]),
        ("a factor that opens everything", "limits: {resources_factor: 1000}\n", [":1: limits.resources_factor"]),
        ("too deep", "a: " + "{a: " * 40 + "1" + "}" * 40, ["nested deeper"]),
        ("not text", None, [":1: not UTF-8"]),
    ],
)
def test_a_bad_file_names_its_line_and_key(tmp_path: Path, why: str, text: str | None, says: list[str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00" if text is None else text.encode())
    with pytest.raises(PolicyError) as caught:
        load_policy(path, registry.ALL)
    for part in says:
        assert part in str(caught.value)


def test_a_file_that_cannot_be_read_is_no_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)


def test_the_hash_is_of_what_is_said_and_not_of_how(tmp_path: Path) -> None:
    one = load_policy(write(tmp_path, "default: auto\nnamespaces: {shop: auto}\n"))
    same = load_policy(write(tmp_path, "# a comment\nnamespaces:\n  shop:\n    mode: 'auto'\ndefault: auto\n"))
    other = load_policy(write(tmp_path, "default: auto\nnamespaces: {shop: approve}\n"))
    assert one.hash == same.hash != other.hash
    assert one.observing().hash != one.hash


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (None, None),
        ("off", Mode.OFF),
        ("observe", Mode.OBSERVE),
        ("approve", Mode.APPROVE),
        ("auto", Mode.AUTO),
        ("", Mode.OFF),
        ("Auto", Mode.OFF),
        ("true", Mode.OFF),
    ],
)
def test_an_annotation_that_is_no_mode_is_off(text: str | None, mode: Mode | None) -> None:
    assert mode_from_annotation(text) is mode


def test_defaults_are_the_documented_ones() -> None:
    limits = Policy().limits
    windows = [(w.count, w.seconds) for w in (limits.plans.owner, limits.plans.namespace, limits.plans.cluster)]
    assert (limits.cooldown_seconds, limits.attempts_per_incident, limits.steps_per_plan, limits.resources_factor) == (
        300,
        3,
        8,
        4,
    )
    assert windows == [(6, 3600), (2, 60), (6, 60)]
