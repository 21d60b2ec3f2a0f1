"""What is shipped for a cluster: rights that follow from the code, a pod that may do no more, settings that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import cast

import pytest
import yaml

from deploy.generate import (
    BACKEND,
    Grant,
    act_role,
    build_backend,
    cluster_role,
    crossplane_roles,
    grants,
    outputs,
)
from deploy.generate import main as generate
from server.settings import known_keys
from tools.cluster.allowlist import FORBIDDEN_RESOURCES, FORBIDDEN_SUBRESOURCES, READ_RULES, Rule
from tools.guard.policy import Mode, load_policy
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str
from tools.registry import ALL, permissions

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy/manifests"
READING = {"get", "list", "watch"}
FORBIDDEN_VERBS = {"escalate", "bind", "impersonate", "deletecollection", "approve", "sign", "*"}
PUT_BACK = {"roles", "rolebindings", "serviceaccounts"}
"""Written where they were changed or deleted, by approval; what they grant the server itself bounds by what we hold."""
FORBIDDEN_GROUPS = {"*", "rbac.authorization.k8s.io", "certificates.k8s.io", "admissionregistration.k8s.io"}


def read(path: Path) -> list[JsonObject]:
    return [cast("JsonObject", d) for d in yaml.safe_load_all(path.read_text()) if d]


def everything() -> list[JsonObject]:
    return [d for path in sorted(MANIFESTS.glob("*.yaml")) for d in read(path)]


def one(kind: str, name: str = "") -> JsonObject:
    found = [d for d in everything() if d["kind"] == kind and name in ("", dig_str(d, "metadata", "name"))]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def texts(value: JsonValue) -> set[str]:
    return {str(v) for v in cast("list[JsonValue]", value or [])}


def granted(role: JsonObject) -> set[tuple[str, str, str]]:
    """(verb, group, resource) of a role."""
    return {
        (verb, group, resource)
        for rule in dig_list(role, "rules")
        for verb in texts(dig(rule, "verbs"))
        for group in texts(dig(rule, "apiGroups"))
        for resource in texts(dig(rule, "resources"))
    }


# ------------------------------------------------------------------------------------------------------------- rights
def test_what_is_committed_is_what_the_code_says() -> None:
    assert [str(p) for p, text in outputs().items() if p.read_text() != text] == [], "run: python deploy/generate.py"
    assert generate(["--check"]) == 0


def test_every_right_an_action_needs_is_in_the_role_that_can_give_it() -> None:
    roles = {name: granted(one("ClusterRole", f"selfheal-{name}")) for name in ("read", "act", "act-cluster")}
    for right in permissions():
        what = f"{right.resource.plural}/{right.subresource}".rstrip("/")
        writing = "act" if right.resource.namespaced else "act-cluster"
        where = "read" if right.verb in READING else writing
        assert (right.verb, right.resource.group, what) in roles[where]


def test_outside_of_namespaces_only_nodes_are_written_and_only_patched() -> None:
    assert granted(one("ClusterRole", "selfheal-act-cluster")) == {("patch", "", "nodes")}
    assert not any(what == "nodes" for _, _, what in granted(one("ClusterRole", "selfheal-act")))
    without = cast("JsonObject", yaml.safe_load(cluster_role(["evict_pod"])))
    assert without["rules"] == []


def test_the_reading_role_changes_nothing_but_asks_what_we_may_do() -> None:
    role = granted(one("ClusterRole", "selfheal-read"))
    assert {r for r in role if r[0] not in READING} == {("create", "authorization.k8s.io", "selfsubjectaccessreviews")}
    assert {(r.verb, r.group, f"{r.resource}/{r.subresource}".rstrip("/")) for r in READ_RULES} <= role


def test_the_writing_role_only_writes_and_is_bound_nowhere_by_the_installation() -> None:
    assert {verb for verb, _, _ in granted(one("ClusterRole", "selfheal-act"))} & READING == set()
    installed = texts(one("Kustomization")["resources"])
    bound = [d for name in installed for d in read(MANIFESTS / name) if d["kind"] == "ClusterRoleBinding"]
    assert [dig_str(d, "roleRef", "name") for d in bound] == ["selfheal-read"]
    assert not {"act-in-namespace.yaml", "act-on-nodes.yaml"} & installed
    assert dig_str(one("RoleBinding"), "metadata", "namespace") != "selfheal"


def test_the_roles_for_crossplane_name_what_was_listed_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["buckets.storage.example.org", "stores.platform.example.org"]
    seen, acted = (cast("JsonObject", d) for d in yaml.safe_load_all(crossplane_roles(names)))
    listed = {("storage.example.org", "buckets"), ("platform.example.org", "stores")}
    packages = {("pkg.crossplane.io", "providers"), ("pkg.crossplane.io", "providerrevisions")}
    assert granted(seen) == {(verb, *what) for verb in READING for what in listed | packages}
    assert granted(acted) == {("patch", *what) for what in listed}
    assert generate(["--crossplane", *names]) == 0
    assert capsys.readouterr().out == crossplane_roles(names)
    assert generate(["--crossplane", "*"]) == 2
    assert "PLURAL.GROUP" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no resource is named"):
        crossplane_roles([])


@pytest.mark.parametrize("name", ["selfheal-read", "selfheal-act", "selfheal-act-cluster"])
def test_no_role_names_what_no_action_needs(name: str) -> None:
    for verb, group, resource in granted(one("ClusterRole", name)):
        plural, _, sub = resource.partition("/")
        assert verb not in FORBIDDEN_VERBS
        is_put_back = verb in READING | {"create", "patch", "delete"} and plural in PUT_BACK
        assert group not in FORBIDDEN_GROUPS or is_put_back
        assert plural not in FORBIDDEN_RESOURCES | {"serviceaccounts"} or is_put_back
        assert sub not in FORBIDDEN_SUBRESOURCES
    for path in (
        p for rule in dig_list(one("ClusterRole", name), "rules") for p in texts(dig(rule, "nonResourceURLs"))
    ):
        assert "*" not in path


def test_a_role_for_fewer_actions_is_smaller() -> None:
    only = cast("JsonObject", yaml.safe_load(act_role(["evict_pod"])))
    assert granted(only) == {("create", "", "pods/eviction")}
    with pytest.raises(ValueError, match="no such action: reboot_world"):
        act_role(["reboot_world"])


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([Rule("watch", "", "pods"), Rule("get", "", "pods")], [Grant("", ("pods",), ("get", "watch"))],
                     id="verbs of one resource are one entry, in the usual order"),
        pytest.param([Rule("get", "apps", "b"), Rule("get", "apps", "a")], [Grant("apps", ("a", "b"), ("get",))],
                     id="resources with the same verbs are one entry"),
        pytest.param([Rule("get", "", "a"), Rule("list", "", "b")],
                     [Grant("", ("a",), ("get",)), Grant("", ("b",), ("list",))],
                     id="different verbs are never merged: that would grant more"),
        pytest.param([Rule("get", "", "pods", "log")], [Grant("", ("pods/log",), ("get",))], id="a subresource"),
        pytest.param([], [], id="nothing"),
    ],
)  # fmt: skip
def test_rules_become_grants(rules: list[Rule], expected: list[Grant]) -> None:
    assert grants(rules) == expected


def test_a_rule_for_certain_namespaces_is_refused() -> None:
    with pytest.raises(ValueError, match="a role cannot say that"):
        grants([Rule("get", "", "pods", namespaces=frozenset({"shop"}))])


# -------------------------------------------------------------------------------------------------------------- pod
def pod() -> JsonObject:
    return dig_object(one("Deployment"), "spec", "template", "spec")


def test_the_pod_keeps_the_restricted_standard() -> None:
    assert dig_str(one("Namespace"), "metadata", "labels", "pod-security.kubernetes.io/enforce") == "restricted"
    assert dig(pod(), "securityContext", "runAsNonRoot") is True
    assert dig(pod(), "securityContext", "seccompProfile", "type") == "RuntimeDefault"
    context = dig_object(pod(), "containers", 0, "securityContext")
    assert context == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod())


def test_there_is_never_a_second_worker() -> None:
    assert dig(one("Deployment"), "spec", "replicas") == 1
    assert dig_str(one("Deployment"), "spec", "strategy", "type") == "Recreate"


def test_the_state_outlives_the_pod() -> None:
    claims = {dig_str(v, "name"): dig_str(v, "persistentVolumeClaim", "claimName") for v in dig_list(pod(), "volumes")}
    assert claims["state"] == dig_str(one("PersistentVolumeClaim"), "metadata", "name")
    assert dockerfile_environment()["SELFHEAL_STATE_DIR"] in mounts()


def test_every_setting_of_the_pod_and_of_the_image_exists_and_its_file_is_mounted() -> None:
    settings = {dig_str(e, "name"): dig_str(e, "value") for e in dig_list(pod(), "containers", 0, "env")}
    named = set(settings) | {key for key in dockerfile_environment() if key.startswith("SELFHEAL_")}
    assert named <= known_keys()
    for path in settings.values():
        assert str(Path(path).parent) in mounts()


def test_the_policy_that_is_shipped_only_observes(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(dig_str(one("ConfigMap"), "data", "policy.yaml"))
    policy = load_policy(path, ALL)
    assert {policy.mode_for(ns, action) for ns in ("shop", "default") for action in ALL} == {Mode.OBSERVE}


def test_everything_but_the_examples_is_installed() -> None:
    left_out = {"kustomization.yaml", "act-in-namespace.yaml", "act-on-nodes.yaml"}
    files = {p.name for p in MANIFESTS.glob("*.yaml")} - left_out
    assert texts(one("Kustomization")["resources"]) == files
    assert "Secret" not in {dig_str(d, "kind") for d in everything()}, "a token in a repository is no token"


def mounts() -> set[str]:
    return {dig_str(m, "mountPath") for m in dig_list(pod(), "containers", 0, "volumeMounts")}


# ------------------------------------------------------------------------------------------------------------- image
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def project() -> JsonObject:
    return cast("JsonObject", tomllib.loads((ROOT / "pyproject.toml").read_text()))


def dockerfile_environment() -> dict[str, str]:
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    assert block
    return dict(word.split("=", 1) for word in block[1].replace("\\\n", " ").split())


def test_the_image_and_the_pod_run_as_the_same_user_that_is_not_root() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user
    assert (dig(pod(), "securityContext", "runAsUser"), dig(pod(), "securityContext", "fsGroup")) == (
        int(user[1]), int(user[2]),
    )  # fmt: skip
    assert int(user[1]) > 0


def test_the_image_has_the_version_of_the_project_and_the_manifest_asks_for_it() -> None:
    version = dig_str(project(), "project", "version")
    assert f"ARG VERSION={version}\n" in DOCKERFILE
    assert dig_str(pod(), "containers", 0, "image") == f"selfheal:{version}"


def test_the_image_has_every_package_of_the_project() -> None:
    packages = texts(dig(project(), "tool", "hatch", "build", "targets", "wheel", "packages"))
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert packages <= allowed
    for package in packages:
        assert f"COPY {package} {package}\n" in DOCKERFILE
    for copied in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert set(copied.split()) <= allowed, "what is copied must get through .dockerignore"


def test_everything_installed_is_checked_against_a_hash() -> None:
    for install in re.findall(r"pip install ([^\n\\&]+)", DOCKERFILE):
        assert "--require-hashes" in install or {"--no-deps", "--no-index"} <= set(install.split())


def test_the_backend_is_cut_out_of_the_lock_file_with_what_it_needs() -> None:
    assert BACKEND in dig_str(project(), "build-system", "build-backend")
    lock = (
        "hatchling==1 \\\n    --hash=sha256:a\n    # via -r dev.in\n"
        "pluggy==2 \\\n    --hash=sha256:b\n    # via\n    #   hatchling\n    #   pytest\n"
        "deep==3 \\\n    --hash=sha256:c\n    # via pluggy\n"
        "other==4 \\\n    --hash=sha256:d\n    # via pytest\n"
    )
    names = [line.split("==")[0] for line in build_backend(lock).splitlines() if "==" in line]
    assert names == ["deep", "hatchling", "pluggy"]
    with pytest.raises(ValueError, match="does not pin hatchling"):
        build_backend("other==1 \\\n    --hash=sha256:d\n")
