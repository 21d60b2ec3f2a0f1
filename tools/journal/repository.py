"""A Git repository's files on our disk, kept at what a branch, tag or commit says.

The rule: the `git` program does the work, with its own configuration for credentials and none from us; nothing of the
repository is ever run; what goes wrong is a value, and no address is shown with user info in it.

Neighbours: `desired` reads the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tools.redact import excerpt

PATIENCE: Final = 60.0
"""Seconds one call of git may take."""
_SCHEMES: Final = frozenset({"https", "ssh", "file", "git+file"})
"""Ways on which nobody in between can change what is declared."""
_SCP: Final = re.compile(r"^(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/].*)$")
_REF: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}$")
_ENVIRONMENT: Final = ("PATH", "HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG")
_GIT_ENVIRONMENT: Final = ("GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL")


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


@dataclass(frozen=True, slots=True)
class GitFault:
    """It could not be fetched; the sentence says why and what to do."""

    sentence: str


def parse_location(text: str) -> Location:
    """A folder, or a repository: `URL[//PATH][?ref=REF]`.

    URL is https, ssh, `user@host:path`, or `git+file:///path` for a repository on this machine.  PATH is the folder of
    manifests in it, REF a branch, tag or commit.  Raises ValueError, which names the form, for anything else, and for a
    password in the URL.
    """
    text = text.strip()
    if scp := _SCP.match(text):
        address, query = _split_query(scp["path"])
        path, inner = _split_inner(address)
        return _repository(f"{scp['user']}@{scp['host']}:{path}", f"{scp['host']}:{path}", inner, query)
    scheme, separator, _ = text.partition("://")
    if not separator:
        if not text or text.startswith("-"):
            raise ValueError("the desired state needs a folder or a Git URL: write /path/to/manifests or https://...")
        return Location(shown=text, folder=Path(text).expanduser())
    if scheme not in _SCHEMES:
        raise ValueError(f"{scheme}:// is no way to a repository: use https, ssh or git+file, or the path of a folder")
    address, query = _split_query(text)
    parts = urlsplit(address)
    if parts.password:
        raise ValueError("the URL of the desired state holds a password: give it to git's credential helper instead")
    path, inner = _split_inner(parts.path)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    if not host and "file" not in scheme:
        raise ValueError(f"{scheme}:// without a host: write {scheme}://HOST/PATH")
    user = f"{parts.username}@" if parts.username else ""
    scheme = scheme.removeprefix("git+")
    return _repository(f"{scheme}://{user}{host}{port}{path}", f"{scheme}://{host}{port}{path}", inner, query)


def _split_query(text: str) -> tuple[str, str]:
    address, _, query = text.partition("?")
    return address, query


def _split_inner(path: str) -> tuple[str, str]:
    """`/org/repo//apps/shop` is the repository and the folder in it."""
    lead = "/" if path.startswith("/") else ""
    repository, _, inner = path.removeprefix("/").partition("//")
    return lead + repository, inner


def _repository(url: str, shown: str, inner: str, query: str) -> Location:
    options = dict(parse_qsl(query, keep_blank_values=True))
    ref = options.pop("ref", "HEAD")
    if options or not _REF.match(ref) or ".." in ref:
        raise ValueError("after the ? of a repository comes ref=BRANCH, a tag or a commit, and nothing else")
    folder = Path(inner.strip("/") or ".")
    if ".." in folder.parts or folder.is_absolute():
        raise ValueError("the folder behind // must lie within the repository")
    return Location(shown=shown + (f"//{folder}" if inner else ""), folder=folder, url=url, ref=ref)


class Repository:
    """One repository's copy under `state`, of which only the newest commit of the ref is kept."""

    def __init__(self, location: Location, state: Path) -> None:
        self._location = location
        name = hashlib.sha256(f"{location.url}\n{location.ref}".encode()).hexdigest()[:16]
        self._copy = state / name

    @property
    def folder(self) -> Path:
        """Where the manifests are once `fetch` has succeeded."""
        return self._copy / self._location.folder

    async def has_copy(self) -> bool:
        """Whether an earlier fetch succeeded, in this process or before it."""
        if not await asyncio.to_thread((self._copy / ".git").is_dir):
            return False
        return not isinstance(await self._git("rev-parse", "--quiet", "--verify", "HEAD"), GitFault)

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
            said = await self._git(*step)
            if isinstance(said, GitFault):
                return said
        return await self._git("rev-parse", "HEAD")

    async def _git(self, *arguments: str) -> str | GitFault:
        command = (
            "git",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "protocol.ext.allow=never",
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *arguments,
                cwd=self._copy,
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return GitFault(f"git cannot be run ({error.strerror}): install git, or declare a folder instead")
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate()
        except TimeoutError:
            await _end(process)
            return GitFault(f"git took longer than {PATIENCE:.0f} s on {self._location.shown}: check that it answers")
        except asyncio.CancelledError:
            await _end(process)
            raise
        if process.returncode:
            return GitFault(
                f"git {arguments[0]} of {self._location.shown} at {self._location.ref} failed "
                f"({self._said(err)}): check the address, the ref and git's own credentials"
            )
        return out.decode(errors="replace").strip()

    def _said(self, err: bytes) -> str:
        """Why git failed, in its own words and without user info."""
        lines = [line for line in err.decode(errors="replace").splitlines() if line.strip()]
        fatal = next((line for line in lines if line.startswith(("fatal:", "error:"))), None)
        said = fatal or (lines[-1] if lines else "no reason given")
        return excerpt(said.replace(self._location.url, self._location.shown), 300)

    def _environment(self) -> dict[str, str]:
        """Little of ours, so that no variable leads git astray; the address goes this way and not into `ps`."""
        kept = {name: os.environ[name] for name in (*_ENVIRONMENT, *_GIT_ENVIRONMENT) if name in os.environ}
        return kept | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "remote.origin.url",
            "GIT_CONFIG_VALUE_0": self._location.url,
            "GIT_CONFIG_KEY_1": "advice.detachedHead",
            "GIT_CONFIG_VALUE_1": "false",
            "GIT_DIR": str(self._copy / ".git"),
            "GIT_WORK_TREE": str(self._copy),
            "LC_ALL": "C",
        }


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop git and what it started (ssh, a helper): they share a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    await process.wait()
