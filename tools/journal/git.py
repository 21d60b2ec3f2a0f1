"""The `git` program, asked as a stranger's repository must be asked: nothing of it is run, and no call is endless.

The rule: hooks, monitors and helpers that a repository could name are off; of our environment git sees only what it
needs for its own configuration and credentials; it asks nobody; an address goes by the environment and not into the
list of processes, and none is shown with user info in it; what goes wrong is a value.

Neighbours: `repository` keeps a copy of what is declared, `reverts` prepares what a person merges.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tools.redact import excerpt

AUTHOR: Final = "selfheal <selfheal@localhost>"
"""Who our commits are from, unless the operator says otherwise."""
PATIENCE: Final = timedelta(seconds=60)
"""What one call of git may take."""
_SCHEMES: Final = frozenset({"https", "ssh", "file", "git+file"})
"""Ways on which nobody in between can change what is declared."""
_SCP: Final = re.compile(r"^(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/].*)$")
_REF: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}$")
_AUTHOR: Final = re.compile(r"^(?P<name>[^<>\n\0]{1,80}?) +<(?P<email>[^<>\s\0]{1,120})>$")
_ENVIRONMENT: Final = ("PATH", "HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG")
_GIT_ENVIRONMENT: Final = ("GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL")
_SAFE: Final = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never")


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository is: as git takes it, and as it may be shown."""

    url: str
    shown: str


@dataclass(frozen=True, slots=True)
class GitFault:
    """Git did not do it; the sentence says why and what to do."""

    sentence: str


def parse_remote(text: str) -> Remote:
    """An address of a repository: https, ssh, `user@host:path`; `file:///path` or `git+file:///path` on this machine.

    Raises ValueError, which names the form, for anything else, and for a password in it.
    """
    if scp := _SCP.match(text):
        return Remote(text, f"{scp['host']}:{scp['path']}")
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        way = f"{scheme}://" if separator else "this"
        raise ValueError(f"{way} is no way to a repository: use https, ssh or git+file")
    parts = urlsplit(text)
    if parts.password:
        raise ValueError("the URL of the repository holds a password: give it to git's credential helper instead")
    if parts.query or parts.fragment:
        raise ValueError("the URL of the repository holds a ? or a #: write its address alone")
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    if not host and "file" not in scheme:
        raise ValueError(f"{scheme}:// without a host: write {scheme}://HOST/PATH")
    user = f"{parts.username}@" if parts.username else ""
    scheme = scheme.removeprefix("git+")
    return Remote(f"{scheme}://{user}{host}{port}{parts.path}", f"{scheme}://{host}{port}{parts.path}")


def is_address(text: str) -> bool:
    """Whether this is meant as the address of a repository, and not as a folder."""
    return "://" in text or _SCP.match(text) is not None


def is_ref_name(text: str) -> bool:
    """Whether this can be meant as a branch, a tag or a commit: no option, no range, no odd character."""
    return _REF.match(text) is not None and ".." not in text


def parse_author(text: str) -> tuple[str, str]:
    """Name and address out of `NAME <EMAIL>`.  Raises ValueError for anything else."""
    found = _AUTHOR.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no author of a commit: write NAME <EMAIL>")
    return found["name"], found["email"]


class Git:
    """Git with one folder of ours as its repository and one address as its `origin`."""

    def __init__(
        self,
        place: Mapping[str, Path],
        remote: Remote,
        *,
        about: str,
        patience: timedelta = PATIENCE,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`place` says where it works (`GIT_DIR`, `GIT_WORK_TREE`, `GIT_INDEX_FILE`); `about` is what faults name."""
        self._place = place
        self._remote = remote
        self._about = about
        self._patience = patience
        self._settings = {"remote.origin.url": remote.url, "advice.detachedHead": "false", **(settings or {})}

    async def text(self, *arguments: str, more: Mapping[str, str] | None = None, said: str = "") -> str | GitFault:
        """What git prints, without the white space around it; `more` joins its environment, `said` is its input."""
        out = await self.output(*arguments, more=more, said=said)
        return out if isinstance(out, GitFault) else out.decode(errors="replace").strip()

    async def output(self, *arguments: str, more: Mapping[str, str] | None = None, said: str = "") -> bytes | GitFault:
        """What git prints, byte for byte.

        Git and what it started are ended when it takes too long, and when the caller is cancelled.
        """
        command = ("git", *(word for setting in _SAFE for word in ("-c", setting)), *arguments)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._place["GIT_DIR"].parent,
                env=self._environment() | dict(more or {}),
                stdin=asyncio.subprocess.PIPE if said else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return GitFault(f"git cannot be run ({error.strerror}): install git where selfheal runs")
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                out, err = await process.communicate(said.encode() if said else None)
        except TimeoutError:
            await _end(process)
            seconds = f"{self._patience.total_seconds():g}"
            return GitFault(f"git took longer than {seconds} s on {self._about}: check that it answers")
        except asyncio.CancelledError:
            await _end(process)
            raise
        if process.returncode:
            return GitFault(
                f"git {arguments[0]} of {self._about} failed ({self._why(err)}): "
                "check the address, the ref and git's own credentials"
            )
        return out

    def _why(self, err: bytes) -> str:
        """Why git failed, in its own words and without user info."""
        lines = [line for line in err.decode(errors="replace").splitlines() if line.strip()]
        fatal = next((line for line in lines if line.startswith(("fatal:", "error:"))), None)
        said = fatal or (lines[-1] if lines else "no reason given")
        return excerpt(said.replace(self._remote.url, self._remote.shown), 300)

    def _environment(self) -> dict[str, str]:
        """Little of ours, so that no variable leads git astray."""
        kept = {name: os.environ[name] for name in (*_ENVIRONMENT, *_GIT_ENVIRONMENT) if name in os.environ}
        given = {
            f"GIT_CONFIG_{part}_{number}": text
            for number, item in enumerate(self._settings.items())
            for part, text in zip(("KEY", "VALUE"), item, strict=True)
        }
        count = str(len(self._settings))
        places = {name: str(path) for name, path in self._place.items()}
        return kept | given | places | {"GIT_CONFIG_COUNT": count, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop git and what it started (ssh, a helper): they share a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    await process.wait()
