"""A revert is prepared exactly or refused with a reason; a branch is made once, where it may be, and never moved."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.tools.journal.repositories import TeamRepository
from tools.journal.git import parse_author
from tools.journal.revertpatch import RevertOrder
from tools.journal.reverts import BRANCHES, NotPrepared, Prepared, Reverts
from tools.refs import IncidentId

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INCIDENT = IncidentId("4f1c0a9b2d3e")
BRANCH = f"{BRANCHES}{INCIDENT}"


def deployment(image: str, *, mode: str = "blue") -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {{app: web}}
  template:
    metadata:
      labels: {{app: web}}
    spec:
      containers:
      - name: app
        image: {image}
        env:
        - name: MODE
          value: {mode}
        - name: DB_PASSWORD
          value: {mode}-hunter2
"""


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {{name: web}}\ndata: {{tls.key: {}}}\n"
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {A: b}\n"


@pytest.fixture
def team(tmp_path: Path) -> TeamRepository:
    return TeamRepository(tmp_path / "team")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "reverts"


def good_and_bad(team: TeamRepository, path: str = "shop") -> tuple[str, str]:
    good = team.commit({f"{path}/web.yaml": deployment("web:1"), "README": "x\n", "bank/all.yaml": OTHER})
    bad = team.commit({f"{path}/web.yaml": deployment("web:2", mode="green"), f"{path}/new.yaml": OTHER})
    return good, bad


def order(team: TeamRepository | str, good: str, bad: str, **changes: Any) -> RevertOrder:
    asked = RevertOrder(
        incident_id=INCIDENT,
        application="argocd/Application/shop",
        repository=team if isinstance(team, str) else team.url,
        path="shop",
        target="main",
        bad=bad,
        good=good,
        at=AT,
    )
    return replace(asked, **changes)


async def prepared(reverts: Reverts, asked: RevertOrder) -> Prepared:
    found = await reverts.prepare(asked)
    assert isinstance(found, Prepared), found
    return found


async def refused(reverts: Reverts, asked: RevertOrder) -> str:
    found = await reverts.prepare(asked)
    assert isinstance(found, NotPrepared), found
    return found.sentence


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def noted_in(file: Path) -> list[int]:
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


# The patch


async def test_the_patch_restores_the_path_exactly_and_removes_what_was_added(
    team: TeamRepository, state: Path
) -> None:
    good, bad = good_and_bad(team)
    found = await prepared(Reverts(state), order(team, good, bad))
    assert found.patch == state / f"{INCIDENT}.patch"
    assert mode_of(found.patch) == 0o600
    assert mode_of(state) == 0o700
    assert team.applied(found.patch, bad, "shop") == team.tree_of(good, "shop")
    assert names_in(state) == [f"{INCIDENT}.patch"], "nothing else stays"
    assert team.branches() == ["main"], "no branch unless the operator wants one"
    assert found.sentence == f"The revert is prepared: {found.patch}, for main of {team.url}."


@pytest.mark.parametrize(
    ("what", "before", "after"),
    [
        ("a file that was removed comes back", {"shop/gone.yaml": OTHER}, {"shop/gone.yaml": None}),
        ("a binary file", {"shop/logo": b"\0\1\2" * 99}, {"shop/logo": b"\0\3\2" * 99}),
        ("names of other scripts and with blanks", {"shop/ä b.yaml": OTHER}, {"shop/ä b.yaml": OTHER * 2}),
        ("a name that git would read as a pattern", {"shop/:(top)*.yaml": OTHER}, {"shop/:(top)*.yaml": "x: y\n"}),
        ("lines that end in white space", {"shop/x": "a  \r\nb\n"}, {"shop/x": "a  \r\nc\t\n"}),
        ("no newline at the end", {"shop/x": "a"}, {"shop/x": "b"}),
    ],
)
async def test_whatever_changed_is_restored(
    team: TeamRepository, state: Path, what: str, before: dict[str, str], after: dict[str, str]
) -> None:
    good, bad = team.commit({"shop/keep": "x", **before}), team.commit(after)
    found = await prepared(Reverts(state), order(team, good, bad))
    assert team.applied(found.patch, bad, "shop") == team.tree_of(good, "shop"), what


async def test_the_whole_repository_may_be_the_path(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    found = await prepared(Reverts(state), order(team, good, bad, path="."))
    assert team.applied(found.patch, bad, "") == team.tree_of(good, "")


@pytest.mark.parametrize("target", ["", "HEAD", "refs/heads/main"])
async def test_the_default_branch_is_meant_where_none_is_named(team: TeamRepository, state: Path, target: str) -> None:
    good, bad = good_and_bad(team)
    found = await prepared(Reverts(state), order(team, good, bad, target=target))
    assert team.applied(found.patch, bad, "shop") == team.tree_of(good, "shop")


async def test_commits_in_between_are_taken_back_too(team: TeamRepository, state: Path) -> None:
    good, _ = good_and_bad(team)
    bad = team.commit({"shop/more.yaml": OTHER})
    found = await prepared(Reverts(state), order(team, good, bad))
    assert team.applied(found.patch, bad, "shop") == team.tree_of(good, "shop")


async def test_later_work_elsewhere_stays(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    tip = team.commit({"shop/later.yaml": OTHER, "bank/all.yaml": "x: y\n"})
    found = await prepared(Reverts(state, pushes=True), order(team, good, bad))
    assert found.notes == (f"What else changed in shop since {bad[:12]} stays",)
    assert team.git("diff", "--name-only", tip, BRANCH).split() == ["shop/new.yaml", "shop/web.yaml"]
    assert team.git("show", f"{BRANCH}:shop/web.yaml") == deployment("web:1")
    assert team.git("show", f"{BRANCH}:shop/later.yaml") == OTHER


async def test_what_the_commits_changed_outside_of_the_path_is_said(team: TeamRepository, state: Path) -> None:
    good = team.commit({"shop/web.yaml": deployment("web:1"), "base/a.yaml": OTHER})
    bad = team.commit({"shop/web.yaml": deployment("web:2"), "base/a.yaml": "x: y\n"})
    found = await prepared(Reverts(state), order(team, good, bad))
    assert found.notes == ("1 file(s) outside of shop differ between the two revisions as well and stay",)


async def test_a_server_that_gives_no_commit_by_name(
    team: TeamRepository, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[protocol]\nversion = 0\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    good, bad = good_and_bad(team)
    tip = team.commit({"bank/all.yaml": "x: y\n"})
    found = await prepared(Reverts(state, pushes=True), order(team, good, bad))
    assert team.applied(found.patch, tip, "shop") == team.tree_of(good, "shop")
    assert found.branch == BRANCH
    elsewhere = await refused(Reverts(state), order(team, "0" * 40, bad))
    assert elsewhere == "000000000000 is not on main, and the server does not give it by its name"


# What is shown of it


async def test_what_changes_is_shown_by_fields_and_without_secrets(team: TeamRepository, state: Path) -> None:
    good = team.commit({"shop/web.yaml": deployment("web:1"), "shop/key.yaml": SECRET.format("b25l"), "shop/.env": "a"})
    bad = team.commit(
        {
            "shop/web.yaml": deployment("web:2", mode="green"),
            "shop/key.yaml": SECRET.format("dHdv"),
            "shop/.env": "PASSPHRASE=opensesame",
            "shop/new.yaml": OTHER,
        }
    )
    found = await prepared(Reverts(state), order(team, good, bad))
    text = "\n".join(found.changes)
    assert "changed shop/web.yaml" in found.changes
    assert "removed shop/new.yaml" in found.changes
    assert "image: web:2 → web:1" in text
    assert "env[MODE]" in text
    assert "env[DB_PASSWORD]" in text, "that it changes is no secret"
    for secret in ("hunter2", "b25l", "dHdv", "opensesame"):
        assert secret not in text
    assert "hunter2" in found.patch.read_text(), "the file is for whoever applies it"


async def test_what_is_shown_is_bounded(team: TeamRepository, state: Path) -> None:
    files = [f"shop/{n:03}.yaml" for n in range(60)]
    good = team.commit(dict.fromkeys(files, OTHER))
    bad = team.commit({name: OTHER.replace("b}", "c}") for name in files})
    found = await prepared(Reverts(state), order(team, good, bad))
    assert len(found.changes) == 20
    assert found.changes[-1] == "and more; 60 files in all"


# What is refused


async def test_a_branch_that_has_moved_on_in_the_same_place_is_refused(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    team.commit({"shop/web.yaml": deployment("web:3")})
    said = await refused(Reverts(state, pushes=True), order(team, good, bad))
    assert said == f"main has moved on since {bad[:12]} (shop/web.yaml) and the revert does not apply to it"
    assert team.branches() == ["main"]
    assert names_in(state) == []


async def test_a_branch_that_was_reverted_already_needs_nothing(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    team.commit({"shop/web.yaml": deployment("web:1"), "shop/new.yaml": None})
    assert "does already" in await refused(Reverts(state), order(team, good, bad))


async def test_a_cause_outside_of_the_path_is_refused(team: TeamRepository, state: Path) -> None:
    good = team.commit({"shop/web.yaml": deployment("web:1"), "base/a.yaml": OTHER})
    bad = team.commit({"base/a.yaml": "x: y\n"})
    assert "the cause lies elsewhere" in await refused(Reverts(state), order(team, good, bad))


async def test_a_path_that_is_not_there_is_refused(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    assert f"none is not in {bad[:12]}" in await refused(Reverts(state), order(team, good, bad, path="none"))


async def test_a_target_that_is_no_branch_is_refused(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    team.git("tag", "v1", bad)
    said = await refused(Reverts(state), order(team, good, bad, target="v1"))
    assert f"git fetch of {team.url} at v1 failed" in said
    assert "refs/heads/v1" in said


@pytest.mark.parametrize(
    ("what", "changes", "said"),
    [
        ("a short revision", {"bad": "c3c3"}, "the bad revision, c3c3, is no full commit"),
        ("a version of a chart", {"good": "1.2.3"}, "the good revision, 1.2.3, is no full commit"),
        ("several revisions", {"good": f"{'a' * 40}, {'b' * 40}"}, "is no full commit"),
        ("no good revision", {"good": ""}, "the good revision, unknown"),
        ("an option for a revision", {"good": "--output=/x"}, "is no full commit"),
        ("one revision twice", {"good": "b" * 40, "bad": "b" * 40}, "is the good one as well"),
        ("pinned to a commit", {"target": "b" * 40}, "pinned to one commit"),
        ("a tag by its whole name", {"target": "refs/tags/v1"}, "no branch"),
        ("a range of versions", {"target": ">=1.2"}, "no branch"),
        ("an option for a branch", {"target": "--upload-pack=x"}, "no branch"),
        ("a path that leads out", {"path": "../x"}, "within the repository"),
        ("a path from the root", {"path": "/etc"}, "within the repository"),
        ("plain http", {"repository": "http://git.example/shop.git"}, "http:// is no way to a repository"),
        ("a registry", {"repository": "oci://registry.example/shop"}, "oci:// is no way to a repository"),
        ("a registry without a scheme", {"repository": "registry.example/shop"}, "no way to a repository"),
        ("an address with a query", {"repository": "https://git.example/x?ref=y"}, "its address alone"),
        ("a program", {"repository": "ext::sh -c x"}, "no way to a repository"),
        ("a folder", {"repository": "/srv/git"}, "no way to a repository"),
        ("a password in it", {"repository": "https://a:hunter2@git.example/x"}, "credential helper"),
        ("an id with a slash", {"incident_id": "../../etc/x"}, "none that a file can be named after"),
    ],
)
async def test_what_is_never_asked_of_git(state: Path, what: str, changes: dict[str, Any], said: str) -> None:
    arguments = {"good": "a" * 40, "bad": "b" * 40, **changes}
    found = await refused(Reverts(state), order("https://git.example/shop.git", **arguments))
    assert said in found, what
    assert "hunter2" not in found
    assert names_in(state) == []


# The branch


async def test_one_branch_is_pushed_with_one_commit_that_says_why(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    reverts = Reverts(state, pushes=True, author="Healer <healer@example.org>")
    found = await prepared(reverts, order(team, good, bad))
    assert found.branch == BRANCH
    assert found.sentence.endswith(f"{INCIDENT}.patch; branch {BRANCH} pushed to {team.url}.")
    assert team.branches() == ["main", BRANCH]
    assert team.git("rev-parse", "main").strip() == bad, "the branch that is followed is not touched"
    assert team.tree_of(BRANCH, "shop") == team.tree_of(good, "shop")
    assert team.git("rev-parse", f"{BRANCH}^").strip() == bad
    shown = team.git("show", "--no-patch", "--format=%an <%ae>|%cn <%ce>|%ct|%B", BRANCH)
    who, committer, when, message = shown.split("|", 3)
    assert (who, committer, when) == (("Healer <healer@example.org>",) * 2 + (str(int(AT.timestamp())),))
    for part in (INCIDENT, "argocd/Application/shop", bad, good):
        assert part in message


async def test_the_same_again_changes_nothing(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    first = await prepared(Reverts(state, pushes=True), order(team, good, bad))
    commit = team.git("rev-parse", BRANCH)
    again = await prepared(Reverts(state, pushes=True), order(team, good, bad, at=AT + timedelta(hours=1)))
    assert again == first
    assert team.git("rev-parse", BRANCH) == commit


async def test_a_later_incident_of_the_same_commit_makes_no_second_branch(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    await prepared(Reverts(state, pushes=True), order(team, good, bad))
    later = await prepared(Reverts(state, pushes=True), order(team, good, bad, incident_id=IncidentId("later")))
    assert later.branch == BRANCH
    assert later.sentence.endswith(f"later.patch; branch {BRANCH} is already in {team.url}.")
    assert team.branches() == ["main", BRANCH]


async def test_a_branch_with_other_content_is_left_alone(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    team.git("branch", BRANCH, good)
    found = await prepared(Reverts(state, pushes=True), order(team, good, bad))
    assert found.branch == ""
    assert found.unpushed == f"{BRANCH} is there already, with other content"
    assert found.patch.exists()
    assert team.git("rev-parse", BRANCH).strip() == good


async def test_an_ancestor_under_the_name_is_not_moved_forward(team: TeamRepository, state: Path) -> None:
    """A plain push would fast-forward it."""
    good, bad = good_and_bad(team)
    team.git("branch", BRANCH, bad)
    found = await prepared(Reverts(state, pushes=True), order(team, good, bad))
    assert "with other content" in found.unpushed
    assert team.git("rev-parse", BRANCH).strip() == bad


async def test_a_repository_that_refuses_the_push_is_said(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    hook = team.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    found = await prepared(Reverts(state, pushes=True), order(team, good, bad))
    assert found.branch == ""
    assert "git push" in found.unpushed
    assert found.unpushed in found.sentence
    assert team.branches() == ["main"]


async def test_where_no_branch_may_be_pushed_none_is(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    asked = order(team, good, bad, no_branch="the mode is observe in shop")
    found = await prepared(Reverts(state, pushes=True), asked)
    assert "No branch was pushed: the mode is observe in shop." in found.sentence
    assert team.branches() == ["main"]
    assert found.patch.exists()


# What goes wrong on the way


async def test_nothing_of_the_repository_is_run(
    team: TeamRepository, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    tool.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[core]\nhooksPath = {hooks}\n[diff "x"]\ncommand = {tool}\ntextconv = {tool}\n'
        f'[filter "x"]\nsmudge = {tool}\nclean = {tool}\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    good = team.commit({"shop/web.yaml": deployment("web:1"), ".gitattributes": "* diff=x filter=x\n"})
    bad = team.commit({"shop/web.yaml": deployment("web:2")})
    await prepared(Reverts(state), order(team, good, bad))
    assert not ran.exists()
    (hooks / "reference-transaction").unlink()  # the other side of a push, which is this machine here, may have hooks
    assert (await prepared(Reverts(state, pushes=True), order(team, good, bad))).branch
    assert not ran.exists()


async def test_no_git_is_said(
    team: TeamRepository, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = good_and_bad(team)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install git" in await refused(Reverts(state), order(team, good, bad))


async def test_a_repository_that_is_not_there_is_said(state: Path, tmp_path: Path) -> None:
    said = await refused(Reverts(state), order(f"file://{tmp_path}/none", "a" * 40, "b" * 40))
    assert f"git fetch of file://{tmp_path}/none at main failed" in said


@pytest.fixture
def slow_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A transport that never answers; it notes its process and that of a child."""
    noted = tmp_path / "pids"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nsleep 60 &\necho $$ $! > {noted}.new\nmv {noted}.new {noted}\nwait\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    return noted


async def test_a_transport_that_hangs_is_ended_with_its_children(state: Path, slow_ssh: Path) -> None:
    reverts = Reverts(state, patience=timedelta(seconds=2))
    asked = order("ssh://git@git.example/shop.git", "a" * 40, "b" * 40)
    began = time.monotonic()
    said = await refused(reverts, asked)
    assert time.monotonic() - began < 20
    assert said.startswith("git took longer than 2 s on ssh://git.example/shop.git at main")
    assert names_in(state) == []
    assert await gone(slow_ssh)


async def gone(noted: Path) -> bool:
    """Whether the noted processes have ended; the system needs a moment to tell."""
    pids = noted_in(noted)
    assert pids
    for _ in range(100):
        if not any(is_running(pid) for pid in pids):
            return True
        await asyncio.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_caller_that_goes_away_leaves_nothing_running(state: Path, slow_ssh: Path) -> None:
    asked = order("ssh://git@git.example/shop.git", "a" * 40, "b" * 40)
    task = asyncio.create_task(Reverts(state).prepare(asked))
    while not noted_in(slow_ssh):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(slow_ssh)


async def test_a_push_that_hangs_leaves_the_patch(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    hook = team.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nsleep 60\n")
    hook.chmod(0o755)
    found = await prepared(Reverts(state, pushes=True, push_patience=timedelta(seconds=1)), order(team, good, bad))
    assert found.patch.exists()
    assert found.unpushed == f"git took too long, look whether {BRANCH} is there all the same"


async def test_a_folder_that_cannot_be_written_is_said(team: TeamRepository, tmp_path: Path) -> None:
    good, bad = good_and_bad(team)
    (tmp_path / "file").write_text("x")
    said = await refused(Reverts(tmp_path / "file" / "reverts"), order(team, good, bad))
    assert "check SELFHEAL_STATE_DIR" in said


async def test_what_a_crash_left_is_no_hindrance(team: TeamRepository, state: Path) -> None:
    good, bad = good_and_bad(team)
    (state / f"{INCIDENT}.work" / "git").mkdir(parents=True)
    (state / f"{INCIDENT}.work" / "index.lock").write_text("")
    assert (await prepared(Reverts(state), order(team, good, bad))).patch.exists()


@pytest.mark.parametrize("text", ["", "selfheal", "<a@b>", "a <b c>", "a\nb <c@d>", "a <b@c> d"])
def test_an_author_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="NAME <EMAIL>"):
        parse_author(text)
