"""A git repository on this machine with a branch, as a team has one; nobody's own git settings have a part in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

BRANCH = "main"


class TeamRepository:
    """A bare repository, and a work tree that people commit from."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.tree = folder / "bare.git", folder / "tree"
        folder.mkdir(parents=True, exist_ok=True)
        self._run(folder, "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(self.bare))
        self._run(folder, "init", "--quiet", f"--initial-branch={BRANCH}", str(self.tree))
        self._run(self.tree, "remote", "add", "origin", self.url)

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def commit(self, files: Mapping[str, str | bytes | None], *, branch: str = BRANCH) -> str:
        """Write the files (None removes one), commit and push; gives the commit."""
        for name, content in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._run(self.tree, "add", "--all")
        self._run(self.tree, "commit", "--quiet", "--allow-empty", "--message=x")
        self._run(self.tree, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return self._run(self.tree, "rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        """Git in the bare repository."""
        return self._run(self.bare, *arguments)

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()

    def tree_of(self, revision: str, path: str) -> str:
        return self.git("rev-parse", f"{revision}:{path}").strip()

    def applied(self, patch: Path, to: str, path: str) -> str:
        """The tree at `path` once a person has applied the patch to commit `to` in a work tree."""
        place = self.tree.parent / "person"
        self._run(self.tree.parent, "clone", "--quiet", self.url, str(place))
        self._run(place, "checkout", "--quiet", "--detach", to)
        self._run(place, "apply", "--index", str(patch))
        return self._run(place, "rev-parse", f"{self._run(place, 'write-tree').strip()}:{path}").strip()

    @staticmethod
    def _run(place: Path, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(place), "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
        }  # fmt: skip
        done = subprocess.run(["git", *arguments], cwd=place, env=environment, check=True, capture_output=True)
        return done.stdout.decode()
