"""The declared state: what is read of a folder and of a repository, what is refused, and what stays when it breaks."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tools.journal.desired import Desired
from tools.journal.repository import parse_location
from tools.refs import ObjectRef

WEB = ObjectRef(kind="ConfigMap", namespace="shop", name="web")


class Hands:
    """A clock that stands."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, delay: timedelta) -> None:
        self.time += delay


def settings(name: str = "web", mode: str = "blue", namespace: str = "shop") -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{MODE: {mode}}}\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    return made


def move(place: Path, to: Path) -> None:
    place.rename(to)


def declared_in(folder: Path, tmp_path: Path) -> Desired:
    return Desired(str(folder), state_dir=tmp_path / "state", clock=Hands())


async def test_all_documents_of_all_files_below_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text(settings("a") + "---\n" + settings("b") + "---\n---\n")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "c.yml").write_text(settings("c"))
    (folder / "d.json").write_text(
        '{"apiVersion":"v1","kind":"List","items":['
        '{"apiVersion":"v1","kind":"Service","metadata":{"name":"d","namespace":"shop"},"spec":{}}]}'
    )
    (folder / "README.md").write_text("no manifest")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.yaml").write_text(settings("hidden"))
    desired = declared_in(folder, tmp_path)
    assert not desired.is_read
    assert await desired.refresh()
    assert sorted(str(ref) for ref in desired.objects) == [
        "shop/ConfigMap/a", "shop/ConfigMap/b", "shop/ConfigMap/c", "shop/Service/d",
    ]  # fmt: skip
    assert desired.problems == ()
    assert desired.is_complete
    assert desired.covers("shop")
    assert not desired.covers("bank")


UNREAD = [
    ("a Secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {A: b}\n", None),
    ("a Pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: s, namespace: shop}\n", None),
    ("a kind we do not know", "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: s, namespace: shop}\n", None),
    ("another group of such a kind", "apiVersion: x.dev/v1\nkind: Service\nmetadata: {name: s, namespace: x}\n", None),
    ("no namespace", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n", "metadata.namespace"),
    ("a cluster-scoped kind", "apiVersion: v1\nkind: Namespace\nmetadata: {name: s}\n", "namespace"),
    ("no kind", "hello: world\n", "apiVersion and kind"),
    ("an impossible name", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b, namespace: s}\n", "metadata.name"),
    ("no YAML", "kind: [\n", "not YAML"),
    ("a template that was not rendered", "kind: {{ .Values.kind }}\n", "a.yaml"),
    ("an object of another language", "!!python/object:os.system {}\n", "not YAML"),
    ("aliases that multiply", "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{x}: &{x} [{','.join(['*' + y] * 9)}]\n" for y, x in zip("abcdefgh", "bcdefghi", strict=True)
    ), "values in one document"),
    ("a number that is none", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\nx: .inf", "number"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), [row[1:] for row in UNREAD], ids=[row[0] for row in UNREAD])
async def test_what_is_not_read(folder: Path, tmp_path: Path, content: str, said: str | None) -> None:
    (folder / "a.yaml").write_text(content)
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    assert desired.objects == {}
    if said is None:
        assert desired.problems == ()
    else:
        (problem,) = desired.problems
        assert problem.startswith("a.yaml")
        assert said in problem


async def test_a_broken_file_is_named_and_keeps_what_it_said_until_it_is_mended(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text(settings())
    (folder / "b.yaml").write_text(settings("other"))
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    (folder / "a.yaml").write_text("data: 'hunter2\n")
    assert not await desired.refresh()
    (problem,) = desired.problems
    assert problem.startswith("a.yaml: not YAML")
    assert "last good reading" in problem
    assert "hunter2" not in problem
    assert len(desired.objects) == 2
    assert desired.is_complete
    (folder / "a.yaml").write_text(settings(mode="green"))
    assert await desired.refresh()
    assert desired.problems == ()
    found = desired.declared(WEB)
    assert found is not None
    assert found.manifest["data"] == {"MODE": "green"}
    assert found.source == "a.yaml"


async def test_a_file_that_never_could_be_read_leaves_the_state_incomplete(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_bytes(b"\xff\xfe")
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    assert desired.is_read
    assert not desired.is_complete
    assert "UTF-8" in desired.problems[0]


async def test_an_object_declared_twice_is_not_declared(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text(settings())
    (folder / "b.yaml").write_text(settings(mode="green"))
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    assert desired.declared(WEB) is None
    (problem,) = desired.problems
    assert "a.yaml and in b.yaml" in problem


async def test_a_file_that_is_gone_declares_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text(settings())
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    revision = desired.revision
    (folder / "a.yaml").unlink()
    assert await desired.refresh()
    assert desired.objects == {}
    assert desired.revision > revision


async def test_a_folder_that_is_gone_is_a_problem_and_changes_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text(settings())
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    move(folder, tmp_path / "away")
    assert not await desired.refresh()
    assert desired.declared(WEB) is not None
    assert "check that the folder is there" in desired.problems[0]


async def test_links_lead_nowhere_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(settings())
    (folder / "a.yaml").symlink_to(tmp_path / "outside.yaml")
    (folder / "..data").mkdir()
    (folder / "..data" / "b.yaml").write_text(settings("mounted"))
    (folder / "b.yaml").symlink_to(Path("..data") / "b.yaml")
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    assert [ref.name for ref in desired.objects] == ["mounted"]
    assert "a.yaml leads out of the folder" in desired.problems[0]


async def test_a_date_is_text_and_a_numeric_key_too(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: shop}\ndata: {8080: 2026-01-01}\n"
    )
    desired = declared_in(folder, tmp_path)
    await desired.refresh()
    found = desired.declared(WEB)
    assert found is not None
    assert found.manifest["data"] == {"8080": "2026-01-01"}


# Repositories


def git(folder: Path, *arguments: str) -> None:
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
    }  # fmt: skip
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "--quiet", "--initial-branch=main")
    (made / "apps").mkdir()
    (made / "apps" / "web.yaml").write_text(settings())
    (made / "elsewhere.yaml").write_text(settings("elsewhere"))
    commit(made)
    return made


def commit(repository: Path) -> None:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=x")


async def test_a_repository_is_followed(repository: Path, tmp_path: Path) -> None:
    desired = Desired(f"git+file://{repository}//apps?ref=main", state_dir=tmp_path / "state", clock=Hands())
    assert await desired.refresh()
    assert desired.problems == ()
    assert list(desired.objects) == [WEB]
    (repository / "apps" / "web.yaml").write_text(settings(mode="green"))
    commit(repository)
    assert await desired.refresh()
    found = desired.declared(WEB)
    assert found is not None
    assert found.manifest["data"] == {"MODE": "green"}
    (repository / "apps" / "web.yaml").unlink()
    (repository / "apps" / "x.yaml").write_text(settings("x"))
    commit(repository)
    assert await desired.refresh()
    assert [ref.name for ref in desired.objects] == ["x"]


async def test_a_repository_that_is_away_keeps_its_last_reading(repository: Path, tmp_path: Path) -> None:
    desired = Desired(f"git+file://{repository}", state_dir=tmp_path / "state", clock=Hands())
    await desired.refresh()
    move(repository, tmp_path / "away")
    assert not await desired.refresh()
    assert len(desired.objects) == 2
    (problem,) = desired.problems
    assert "git fetch" in problem
    again = Desired(f"git+file://{repository}", state_dir=tmp_path / "state", clock=Hands())
    await again.refresh()
    assert len(again.objects) == 2, "the copy of the last start still counts"


async def test_a_repository_that_was_never_there(tmp_path: Path) -> None:
    desired = Desired(f"git+file://{tmp_path}/none?ref=main", state_dir=tmp_path / "state", clock=Hands())
    assert not await desired.refresh()
    assert not desired.is_read
    assert "at main failed" in desired.problems[0]


async def test_nothing_of_a_repository_is_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    (repository / "hooks").mkdir()
    for place in (hook, repository / "hooks" / "post-checkout"):
        place.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        place.chmod(0o755)
    commit(repository)
    desired = Desired(f"git+file://{repository}", state_dir=tmp_path / "state", clock=Hands())
    await desired.refresh()
    (copy,) = (tmp_path / "state" / "desired-state").iterdir()
    (copy / ".git" / "hooks").mkdir(exist_ok=True)
    (copy / ".git" / "hooks" / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (copy / ".git" / "hooks" / "post-checkout").chmod(0o755)
    await desired.refresh()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "url", "shown", "folder", "ref"),
    [
        ("/srv/manifests", "", "/srv/manifests", "/srv/manifests", "HEAD"),
        (
            "https://git.example.org/a/b.git",
            "https://git.example.org/a/b.git",
            "https://git.example.org/a/b.git",
            ".",
            "HEAD",
        ),
        (
            "https://ann@git.example.org:8443/a/b//apps/shop?ref=v1.2",
            "https://ann@git.example.org:8443/a/b",
            "https://git.example.org:8443/a/b//apps/shop",
            "apps/shop",
            "v1.2",
        ),
        (
            "git@git.example.org:a/b.git//apps",
            "git@git.example.org:a/b.git",
            "git.example.org:a/b.git//apps",
            "apps",
            "HEAD",
        ),
        ("git+file:///srv/a//x", "file:///srv/a", "file:///srv/a//x", "x", "HEAD"),
        ("ssh://git@git.example.org/a", "ssh://git@git.example.org/a", "ssh://git.example.org/a", ".", "HEAD"),
    ],
)
def test_locations(text: str, url: str, shown: str, folder: str, ref: str) -> None:
    found = parse_location(text)
    assert (found.url, found.shown, str(found.folder), found.ref) == (url, shown, folder, ref)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "folder or a Git URL"),
        ("--upload-pack=x", "folder or a Git URL"),
        ("https://ann:hunter2@git.example.org/a", "credential helper"),
        ("http://git.example.org/a", "use https"),
        ("ext::sh -c x://a", "use https"),
        ("https:///a", "without a host"),
        ("https://git.example.org/a?ref=--upload-pack=x", "ref=BRANCH"),
        ("https://git.example.org/a?ref=a..b", "ref=BRANCH"),
        ("https://git.example.org/a?branch=x", "ref=BRANCH"),
        ("https://git.example.org/a//../../etc", "within the repository"),
    ],
)
def test_locations_that_cannot_be_meant(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_location(text)
    assert "hunter2" not in str(caught.value)
