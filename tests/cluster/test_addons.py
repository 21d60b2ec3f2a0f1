"""Argo CD and KEDA beside the cluster, as far as it can be told without either: what is missing is said, the account is
narrow, the repository holds what was committed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from tests.cluster.argocd import accounts
from tests.cluster.argocd.repository import BRANCH, Repository
from tests.cluster.argocd.system import ArgoCD
from tests.cluster.harness import addon
from tests.cluster.harness.addon import Addon, answers
from tests.cluster.harness.layout import Layout
from tests.cluster.harness.preflight import NotReadyError
from tests.cluster.keda.system import Keda
from tools.jsontypes import JsonObject

CONFIG: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
ADDONS = [ArgoCD, Keda]


def needing(needs: dict[str, str], kind: type[Addon], place: Path) -> Addon:
    """The add-on with other needs, nothing of it built."""
    altered = cast("type[Addon]", type("Altered", (kind,), {"needs": needs}))
    return altered(Layout(place / "state", place / "cache"))


def git(folder: Path, *argv: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *argv], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", ADDONS, ids=lambda kind: kind.name)
def test_what_is_not_built_is_refused_with_the_command_that_builds_it(kind: type[Addon], tmp_path: Path) -> None:
    found = needing({}, kind, tmp_path)
    with pytest.raises(NotReadyError, match=f"python -m tests.cluster.{kind.name} build"):
        found.up()
    assert addon.main(found, ["up"]) == 3
    assert addon.main(found, ["status"]) == 1


@pytest.mark.parametrize("kind", ADDONS, ids=lambda kind: kind.name)
def test_a_program_that_the_distribution_brings_is_asked_for_by_its_package(kind: type[Addon], tmp_path: Path) -> None:
    found = needing({"no-such-program": "its-package"}, kind, tmp_path)
    with pytest.raises(NotReadyError, match="apt-get install -y its-package"):
        found.up()


@pytest.mark.parametrize("kind", ADDONS, ids=lambda kind: kind.name)
def test_it_is_built_only_with_every_program_and_the_definitions(kind: type[Addon], tmp_path: Path) -> None:
    found = kind(Layout(tmp_path / "state", tmp_path / "cache"))
    found.programs.mkdir(parents=True)
    for program in found.source.programs:
        assert not found.is_built()
        (found.programs / program).touch(mode=0o755)
    assert not found.is_built()
    (found.programs.parent / "definitions").mkdir()
    assert found.is_built()


def test_the_healers_account_may_get_and_sync_applications_and_get_projects_and_no_more() -> None:
    lines = [[word.strip() for word in line.split(",")] for line in accounts.POLICY.splitlines()]
    granted = {(line[2], line[3]) for line in lines if line[0] == "p"}
    assert granted == {("applications", "get"), ("applications", "sync"), ("projects", "get")}
    assert [line[1:] for line in lines if line[0] == "g"] == [[accounts.HEALER, f"role:{accounts.HEALER}"]]


def test_a_repository_holds_what_was_committed_and_a_revert_takes_it_back(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    first = repository.commit([CONFIG], "first")
    second = repository.commit([{**CONFIG, "data": {"a": "2"}}], "second")
    bare = Path(repository.url.removeprefix("file://"))
    assert first != second == git(bare, "rev-parse", BRANCH).strip()
    assert "a: '2'" in git(bare, "show", f"{BRANCH}:all.yaml")
    assert Repository(tmp_path / "r").revert() == git(bare, "rev-parse", BRANCH).strip()
    assert git(bare, "diff", first, BRANCH) == ""
    repository.commit_files({"all.yaml": None, "more/b.yaml": "{}"}, "moved")
    assert git(bare, "ls-tree", "-r", "--name-only", BRANCH).split() == ["more/b.yaml"]


def test_where_nobody_listens_there_is_no_answer() -> None:
    assert not answers("http://127.0.0.1:9/healthz")
