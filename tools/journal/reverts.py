"""Prepares what only a repository can put right: a patch that goes back to what worked, and a branch with it.

Where a delivery tool follows its repository by itself, a rollback in the cluster would not last.  So the way back is
prepared where it has to be made, and a person merges it.

The rules: the patch goes from the bad revision to the good one, below one path, and is checked against the branch as it
stands now; what does not apply is refused, never bent.  Nothing is checked out and nothing of the repository is run.
Only one new branch is ever pushed, only where the operator said so, and what is there is never overwritten.

Neighbours: `revertpatch` makes the patch, `git` asks the program, `graph.reverts` says when and with which revisions.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tools.journal.git import AUTHOR, PATIENCE, Git, parse_author
from tools.journal.revertpatch import FETCH, CannotError, Draft, RevertOrder, checked, make_draft, must, short

BRANCHES: Final = "selfheal/revert-"
_EARLIER: Final = "refs/selfheal/earlier/"
_SETTINGS: Final = {
    "gc.auto": "0",
    "maintenance.auto": "false",
    "apply.whitespace": "nowarn",
    "apply.ignoreWhitespace": "no",
}
"""Nothing runs on in the background, and a patch means what it says whatever else is configured."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The patch is in the state folder; `branch` is there, too, when it is not empty."""

    patch: Path
    repository: str
    onto: str
    """The branch that the patch is for, in words."""
    path: str
    bad: str
    good: str
    changes: tuple[str, ...]
    """What it changes, line by line, redacted."""
    notes: tuple[str, ...] = ()
    """What whoever merges it has to know."""
    branch: str = ""
    is_new: bool = False
    """The branch is this incident's; another one has the same revert of the same commit otherwise."""
    unpushed: str = ""
    """Why there is no branch, where the operator wants branches."""

    @property
    def sentence(self) -> str:
        """What was prepared."""
        where = f", for {self.onto} of {self.repository}"
        if self.branch:
            where = f"; branch {self.branch} {'pushed to' if self.is_new else 'is already in'} {self.repository}"
        why = f" No branch was pushed: {self.unpushed}." if self.unpushed else ""
        return f"The revert is prepared: {self.patch}{where}.{why}" + "".join(f" {note}." for note in self.notes)


@dataclass(frozen=True, slots=True)
class NotPrepared:
    """There is no patch, and why."""

    sentence: str


@dataclass(frozen=True, slots=True)
class RevertConfig:
    """What the operator wants of reverts."""

    pushes: bool = False
    """A branch with each; without it there is a file alone."""
    author: str = AUTHOR


class Reverts:
    """Prepares reverts below one folder of ours."""

    def __init__(
        self,
        folder: Path,
        *,
        pushes: bool = False,
        author: str = AUTHOR,
        patience: timedelta = PATIENCE,
        push_patience: timedelta = PATIENCE,
    ) -> None:
        """`pushes`: the operator wants branches.  The patch may take `patience`, the branch `push_patience` more.

        Raises ValueError for an author that is not `NAME <EMAIL>`.
        """
        self._folder = folder
        self._pushes = pushes
        self._name, self._email = parse_author(author)
        self._patience = patience
        self._push_patience = push_patience

    async def prepare(self, order: RevertOrder) -> Prepared | NotPrepared:
        """The patch, and the branch where it is wanted and may be; whatever goes wrong is a sentence.

        After: `INCIDENT.patch` is whole, or what it was before.  Calling it again does the same again.
        """
        try:
            remote = checked(order)
        except (CannotError, ValueError) as error:
            return NotPrepared(f"{error}")
        work = self._folder / f"{order.incident_id}.work"
        place = {"GIT_DIR": work / "git", "GIT_INDEX_FILE": work / "index"}
        about = f"{remote.shown} at {order.target or 'HEAD'}"
        git = Git(place, remote, about=about, patience=self._patience, settings=_SETTINGS)
        try:
            await asyncio.to_thread(_fresh, work)
            async with asyncio.timeout(self._patience.total_seconds()):
                draft = await make_draft(git, order, work / "patch")
            patch = self._folder / f"{order.incident_id}.patch"
            await asyncio.to_thread(_publish, draft.patch, patch)
            prepared = Prepared(
                patch=patch,
                repository=remote.shown,
                onto=draft.onto,
                path=order.folder,
                bad=order.bad,
                good=order.good,
                changes=draft.changes,
                notes=draft.notes,
            )
            return await self._with_branch(prepared, draft, git, order) if self._pushes else prepared
        except CannotError as error:
            return NotPrepared(f"{error}")
        except TimeoutError:
            return NotPrepared(f"git took longer than {self._patience.total_seconds():g} s on {about}")
        except OSError as error:
            return NotPrepared(f"the state folder cannot keep it ({error.strerror}): check SELFHEAL_STATE_DIR")
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    async def _with_branch(self, prepared: Prepared, draft: Draft, git: Git, order: RevertOrder) -> Prepared:
        if order.no_branch:
            return replace(prepared, unpushed=order.no_branch)
        try:
            async with asyncio.timeout(self._push_patience.total_seconds()):
                branch = await self._branch(draft, git, order)
            return replace(prepared, branch=branch, is_new=branch == BRANCHES + order.incident_id)
        except CannotError as error:
            return replace(prepared, unpushed=f"{error}")
        except TimeoutError:
            name = BRANCHES + order.incident_id
            return replace(prepared, unpushed=f"git took too long, look whether {name} is there all the same")

    async def _branch(self, draft: Draft, git: Git, order: RevertOrder) -> str:
        """The branch with the revert: one that is there already, of an earlier incident, or a new one."""
        name = BRANCHES + order.incident_id
        for there, commit, tree in await _earlier(git):
            if tree == draft.tree and await _parent(git, commit) == draft.tip:
                return there
            if there == name:
                raise CannotError(f"{name} is there already, with other content")
        commit = await must(
            git, "commit-tree", draft.tree, "-p", draft.tip, more=self._identity(order.at), said=_message(order)
        )
        # The lease says that the branch must not be there: it can only be made, never moved.
        target = f"refs/heads/{name}"
        flags = ("--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
        await must(git, "push", *flags, f"--force-with-lease={target}:", "origin", f"{commit}:{target}")
        return name

    def _identity(self, at: datetime) -> Mapping[str, str]:
        return {
            f"GIT_{role}_{part}": text
            for role in ("AUTHOR", "COMMITTER")
            for part, text in (
                ("NAME", self._name), ("EMAIL", self._email), ("DATE", f"{int(at.timestamp())} +0000"),
            )
        }  # fmt: skip


async def _earlier(git: Git) -> list[tuple[str, str, str]]:
    """Branches of ours that the repository has: name, newest commit and what it holds."""
    pattern = f"refs/heads/{BRANCHES}*"
    if not await must(git, "ls-remote", "--quiet", "origin", pattern):
        return []
    await must(git, *FETCH, "--depth=1", "origin", f"+{pattern}:{_EARLIER}*")
    listed = await must(git, "for-each-ref", "--format=%(refname) %(objectname) %(tree)", _EARLIER)
    found = [line.split(" ") for line in listed.splitlines()]
    return [(BRANCHES + ref.removeprefix(_EARLIER), commit, tree) for ref, commit, tree in found]


async def _parent(git: Git, commit: str) -> str:
    """The first parent as the commit names it: of a shallow copy git itself would say that there is none."""
    raw = await must(git, "cat-file", "commit", commit)
    return next((line.split(" ")[1] for line in raw.splitlines() if line.startswith("parent ")), "")


def _message(order: RevertOrder) -> str:
    path = order.folder
    return (
        f"Revert {path} to {short(order.good)}\n\n"
        f"{order.application} deployed {short(order.bad)} and it failed.  This makes {path} what the revision before"
        " it declares.\n\n"
        f"Incident: {order.incident_id}\n"
        f"Application: {order.application}\n"
        f"Reverts: {order.bad}\n"
        f"Restores: {order.good}\n"
    )


def _fresh(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    work.mkdir(mode=0o700)


def _publish(draft: Path, patch: Path) -> None:
    draft.chmod(0o600)
    draft.replace(patch)
