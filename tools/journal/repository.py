"""A Git repository's files on our disk, kept at what a branch, tag or commit says.

The rule: nothing of the repository is ever run; what goes wrong is a value, and leaves the copy as it was.

Neighbours: `git` asks the program, `desired` reads the files.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from tools.journal.git import Git, GitFault, Remote, is_address, is_ref_name, parse_remote


@dataclass(frozen=True, slots=True)
class Location:
    """Where the desired state is.  `url` is empty for a plain folder; `folder` is then it, else the path within."""

    shown: str
    folder: Path
    url: str = ""
    ref: str = "HEAD"

    @property
    def is_repository(self) -> bool:
        """Whether git brings it."""
        return bool(self.url)


def parse_location(text: str) -> Location:
    """A folder, or a repository: `URL[//PATH][?ref=REF]`.

    URL is https, ssh, `user@host:path`, or `git+file:///path` for a repository on this machine.  PATH is the folder of
    manifests in it, REF a branch, tag or commit.  Raises ValueError, which names the form, for anything else, and for a
    password in the URL.
    """
    text = text.strip()
    if not is_address(text):
        if not text or text.startswith("-"):
            raise ValueError("the desired state needs a folder or a Git URL: write /path/to/manifests or https://...")
        return Location(shown=text, folder=Path(text).expanduser())
    address, _, query = text.partition("?")
    address, inner = _split_inner(address)
    remote, ref = parse_remote(address), _ref(query)
    folder = Path(inner.strip("/") or ".")
    if ".." in folder.parts or folder.is_absolute():
        raise ValueError("the folder behind // must lie within the repository")
    return Location(shown=remote.shown + (f"//{folder}" if inner else ""), folder=folder, url=remote.url, ref=ref)


def _split_inner(address: str) -> tuple[str, str]:
    """`https://host/org/repo//apps/shop` is the repository and the folder in it."""
    lead, path = "", address
    scheme, separator, rest = address.partition("://")
    if separator:
        host, slash, path = rest.partition("/")
        lead = scheme + separator + host + slash
    repository, _, inner = path.partition("//")
    return lead + repository, inner


def _ref(query: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    ref = options.pop("ref", "HEAD")
    if options or not is_ref_name(ref):
        raise ValueError("after the ? of a repository comes ref=BRANCH, a tag or a commit, and nothing else")
    return ref


class Repository:
    """One repository's copy under `state`, of which only the newest commit of the ref is kept."""

    def __init__(self, location: Location, state: Path) -> None:
        self._location = location
        name = hashlib.sha256(f"{location.url}\n{location.ref}".encode()).hexdigest()[:16]
        self._copy = state / name
        self._git = Git(
            {"GIT_DIR": self._copy / ".git", "GIT_WORK_TREE": self._copy},
            Remote(location.url, location.shown),
            about=f"{location.shown} at {location.ref}",
        )

    @property
    def folder(self) -> Path:
        """Where the manifests are once `fetch` has succeeded."""
        return self._copy / self._location.folder

    async def has_copy(self) -> bool:
        """Whether an earlier fetch succeeded, in this process or before it."""
        if not await asyncio.to_thread((self._copy / ".git").is_dir):
            return False
        return not isinstance(await self._git.text("rev-parse", "--quiet", "--verify", "HEAD"), GitFault)

    async def fetch(self) -> str | GitFault:
        """Bring the copy to what the ref says now; gives the commit.  A failure leaves the copy as it was."""
        try:
            await asyncio.to_thread(self._copy.mkdir, parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            return GitFault(f"the state folder cannot keep the repository ({error.strerror}): check SELFHEAL_STATE_DIR")
        steps = (
            ("init", "--quiet"),
            ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "origin", self._location.ref),
            ("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"),
            ("clean", "--quiet", "-ffdx"),
        )
        for step in steps:
            said = await self._git.text(*step)
            if isinstance(said, GitFault):
                return said
        return await self._git.text("rev-parse", "HEAD")
