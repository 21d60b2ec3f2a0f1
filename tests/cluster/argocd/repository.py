"""A bare git repository of this machine that Argo CD reads by `file://`, and a work tree to commit to it from.

Rule: the identity and settings of whoever runs this have no part in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from tests.cluster.harness.processes import run
from tools.jsontypes import JsonObject

BRANCH: Final = "main"
_WHO: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{role}_{part}": value
       for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", "people"), ("EMAIL", "people@example.test"))},
}  # fmt: skip


class Repository:
    """One repository, made when it is not there yet.  `folder` holds both halves."""

    def __init__(self, folder: Path) -> None:
        self._bare, self._tree = folder / "bare.git", folder / "tree"
        if not (self._tree / ".git").exists():
            folder.mkdir(parents=True, exist_ok=True)
            run("git", "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", self._bare, env=_environment())
            run("git", "init", "--quiet", f"--initial-branch={BRANCH}", self._tree, env=_environment())
            self._git("remote", "add", "origin", self.url)

    @property
    def url(self) -> str:
        """Its address for an Application's source."""
        return f"file://{self._bare}"

    def commit(self, manifests: Sequence[JsonObject], message: str, file: str = "all.yaml") -> str:
        """Replace the file by the manifests and push.  Returns the new revision."""
        return self.commit_files({file: yaml.safe_dump_all(manifests)}, message)

    def commit_files(self, files: Mapping[str, str | None], message: str) -> str:
        """Write each file (None removes it), commit, push.  Returns the new revision."""
        for name, content in files.items():
            path = self._tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if content is None else path.write_text(content)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self._push()

    def revert(self) -> str:
        """Take the newest commit back by another one.  Returns the new revision."""
        self._git("revert", "--no-edit", "HEAD")
        return self._push()

    def apply(self, patch: Path) -> str:
        """Commit a patch as it is.  Returns the new revision."""
        self._git("apply", "--index", str(patch))
        self._git("commit", "--quiet", f"--message=apply {patch.name}")
        return self._push()

    def merge(self, branch: str) -> str:
        """Merge a branch that somebody pushed.  Returns the new revision."""
        self._git("pull", "--quiet", "--no-rebase", "--no-edit", "origin", branch)
        return self._push()

    def branches(self) -> list[str]:
        """Every branch there is but the main one."""
        found = self._git("ls-remote", "--heads", "origin").split()[1::2]
        return [name.removeprefix("refs/heads/") for name in found if name != f"refs/heads/{BRANCH}"]

    def _push(self) -> str:
        self._git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *argv: str) -> str:
        return run("git", "-C", self._tree, *argv, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, **_WHO}
