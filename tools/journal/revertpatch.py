"""A patch that goes back from one revision to another below one path, checked against a branch as it stands now.

The rule: nothing is checked out, git works on its own objects and an index; a patch that does not apply is refused.

Neighbours: `reverts` keeps the patch and makes a branch of it, `revertview` says what it changes.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

from tools.journal.git import Git, GitFault, Remote, is_ref_name, parse_remote
from tools.journal.revertview import FileChange, lines_of
from tools.redact import excerpt
from tools.refs import IncidentId

MAX_PATCH: Final = 4 * 1_048_576
MAX_SHOWN: Final = 262_144
"""Bytes of one side of a file that is still looked into, to say what changes in it."""
MOST_FILES: Final = 10
MOST_LINES: Final = 20
FETCH: Final = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
_FULL: Final = re.compile(r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")
_INCIDENT: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")
_TIP: Final = "refs/selfheal/tip"
_LITERAL: Final = {"GIT_LITERAL_PATHSPECS": "1"}
"""A path is a path: no star and no colon in it means anything."""
_DIFF: Final = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none")
_PLAIN: Final = ("--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--binary", "--full-index")
_CONTEXT: Final = "--unified=10"
"""Wide, because blocks of manifests look alike: a later change nearby refuses, and nothing lands in the wrong block."""
_WORDS: Final = {"A": "restored", "D": "removed"}


@dataclass(frozen=True, slots=True)
class RevertOrder:
    """What is to be prepared.  Nothing of it is trusted: much of it is what others wrote into an Application."""

    incident_id: IncidentId
    application: str
    """Its name, for the message of the commit."""
    repository: str
    path: str
    """The folder in it that declares what was deployed."""
    target: str
    """What is followed: a branch; the repository's own when it is empty or HEAD."""
    bad: str
    good: str
    at: datetime
    """The date of the commit."""
    no_branch: str = ""
    """Why no branch may be pushed; "" when one may."""

    @property
    def folder(self) -> str:
        """The path without what says nothing; the repository's root is `.`."""
        return str(PurePosixPath(self.path or "."))


@dataclass(frozen=True, slots=True)
class Draft:
    """A patch that applies, and what it makes of the branch."""

    patch: Path
    tip: str
    """The branch's newest commit."""
    tree: str
    """Everything in the branch once the patch is applied."""
    onto: str
    """The branch, in words."""
    changes: tuple[str, ...]
    """What it changes, line by line, redacted."""
    notes: tuple[str, ...]
    """What whoever merges it has to know."""


class CannotError(Exception):
    """It cannot be prepared; the message says why."""


def checked(order: RevertOrder) -> Remote:
    """Where the repository is.  Raises CannotError, or ValueError, for what cannot be reverted or not be meant."""
    if not _INCIDENT.match(order.incident_id):
        raise CannotError("the incident's id is none that a file can be named after")
    for word, revision in (("bad", order.bad), ("good", order.good)):
        if not _FULL.match(revision):
            raise CannotError(f"the {word} revision, {excerpt(revision, 60) or 'unknown'}, is no full commit")
    if order.bad == order.good:
        raise CannotError("the bad revision is the good one as well")
    if _FULL.match(order.target):
        raise CannotError("it is pinned to one commit: change its targetRevision instead")
    branch = order.target.removeprefix("refs/heads/")
    if branch and (not is_ref_name(branch) or branch.startswith("refs/")):
        raise CannotError(f"{excerpt(order.target, 60)} is no branch that a revert could go to")
    path = PurePosixPath(order.path)
    if path.is_absolute() or ".." in path.parts or any(ord(c) < 32 for c in order.path):
        raise CannotError("the path of its source does not lie within the repository")
    return parse_remote(order.repository)


async def make_draft(git: Git, order: RevertOrder, patch: Path) -> Draft:
    """A patch that applies to the branch.  Raises CannotError."""
    branch = order.target.removeprefix("refs/heads/")
    is_default = branch in {"", "HEAD"}
    onto = "the default branch" if is_default else branch
    path, bad, good = order.folder, order.bad, order.good
    await must(git, "init", "--quiet", "--bare", "--template=")
    await _fetch(git, "HEAD" if is_default else f"refs/heads/{branch}", bad, good, onto)
    tip = await must(git, "rev-parse", "--verify", f"{_TIP}^{{commit}}")
    was, wanted, now = [await _tree(git, revision, path) for revision in (bad, good, tip)]
    if was is None or wanted is None or now is None:
        missing = next(r for r, tree in ((bad, was), (good, wanted), (tip, now)) if tree is None)
        raise CannotError(f"{path} is not in {short(missing)}")
    if was == wanted:
        between = f"{short(bad)} and {short(good)}"
        raise CannotError(f"nothing in {path} differs between {between}: the cause lies elsewhere")
    if now == wanted:
        raise CannotError(f"{onto} declares in {path} what {short(good)} does already")
    touched = await _changed(git, bad, good, path)
    await must(git, *_DIFF, "-p", *_PLAIN, _CONTEXT, f"--output={patch}", bad, good, "--", path)
    size = (await asyncio.to_thread(patch.stat)).st_size
    if size > MAX_PATCH:
        raise CannotError(f"the patch has {size} bytes, more than the {MAX_PATCH} that are kept")
    later = sorted({*touched} & {*(await _changed(git, bad, tip, path))})
    await must(git, "read-tree", tip)
    if isinstance(await git.text("apply", "--cached", "--check", str(patch)), GitFault):
        names = ", ".join(excerpt(name, 80) for name in later[:3]) or path
        raise CannotError(f"{onto} has moved on since {short(bad)} ({names}) and the revert does not apply to it")
    await must(git, "apply", "--cached", str(patch))
    tree = await must(git, "write-tree")
    is_exact = await _tree(git, tree, path) == wanted
    changes = await _shown(git, touched, bad, good)
    notes = await _notes(git, order, path, later, is_exact=is_exact, onto=onto)
    return Draft(patch, tip, tree, onto, changes, notes)


async def _fetch(git: Git, ref: str, bad: str, good: str, onto: str) -> None:
    """The branch's newest commit, and both revisions; the whole branch where the server gives none by name."""
    await must(git, *FETCH, "--depth=1", "origin", f"+{ref}:{_TIP}")
    if not isinstance(await git.text(*FETCH, "--depth=1", "origin", bad, good), GitFault):
        return
    await must(git, *FETCH, "--depth=2147483647", "origin", f"+{ref}:{_TIP}")
    for revision in (bad, good):
        if isinstance(await git.text("cat-file", "-e", f"{revision}^{{commit}}"), GitFault):
            raise CannotError(f"{short(revision)} is not on {onto}, and the server does not give it by its name")


async def _tree(git: Git, revision: str, path: str) -> str | None:
    """What is declared at the path, as one digest; None when nothing is."""
    name = f"{revision}^{{tree}}" if path == "." else f"{revision}:{path}"
    found = await git.text("rev-parse", "--quiet", "--verify", name)
    return None if isinstance(found, GitFault) else found


async def _changed(git: Git, one: str, other: str, path: str) -> dict[str, str]:
    """Files below the path that differ, each with git's letter for what becomes of it."""
    out = await git.output(*_DIFF, "--name-status", "-z", one, other, "--", path, more=_LITERAL)
    if isinstance(out, GitFault):
        raise CannotError(out.sentence)
    words = os.fsdecode(out).split("\0")
    return dict(zip(words[1::2], words[0::2], strict=False))


async def _notes(
    git: Git, order: RevertOrder, path: str, later: list[str], *, is_exact: bool, onto: str
) -> tuple[str, ...]:
    notes: list[str] = []
    if later:
        names = ", ".join(excerpt(name, 80) for name in later[:3])
        notes.append(f"Changed again on {onto} since {short(order.bad)}, look at them: {names}")
    elif not is_exact:
        notes.append(f"What else changed in {path} since {short(order.bad)} stays")
    everywhere = await _changed(git, order.bad, order.good, ".")
    outside = len(everywhere) - len(await _changed(git, order.bad, order.good, path))
    if outside:
        notes.append(f"{outside} file(s) outside of {path} differ between the two revisions as well and stay")
    return tuple(notes)


async def _shown(git: Git, touched: Mapping[str, str], bad: str, good: str) -> tuple[str, ...]:
    """What changes, for people."""
    lines: list[str] = []
    for name, letter in list(touched.items())[:MOST_FILES]:
        now, then = await _content(git, bad, name), await _content(git, good, name)
        lines += await asyncio.to_thread(lines_of, FileChange(name, _WORDS.get(letter[:1], "changed"), now, then))
    if len(lines) > MOST_LINES or len(touched) > MOST_FILES:
        return (*lines[: MOST_LINES - 1], f"and more; {len(touched)} files in all")
    return tuple(lines)


async def _content(git: Git, revision: str, name: str) -> bytes | None:
    """A file's content; None when it is not there, is no file, or is too large to be looked into."""
    size = await git.text("cat-file", "-s", f"{revision}:{name}")
    if isinstance(size, GitFault) or not size.isdecimal() or int(size) > MAX_SHOWN:
        return None
    found = await git.output("cat-file", "blob", f"{revision}:{name}")
    return None if isinstance(found, GitFault) else found


async def must(git: Git, *arguments: str, more: Mapping[str, str] | None = None, said: str = "") -> str:
    """What git prints.  Raises CannotError when it fails."""
    found = await git.text(*arguments, more={**_LITERAL, **(more or {})}, said=said)
    if isinstance(found, GitFault):
        raise CannotError(found.sentence)
    return found


def short(revision: str) -> str:
    """A commit as people name it."""
    return revision[:12]
