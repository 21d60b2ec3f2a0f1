"""The connections to other systems that actions go through: opened from configuration, closed with the service.

The rule: without a connection its actions are not offered at all; in mode observe a connection answers questions and
refuses every call, whatever else would let it through.

Neighbours: `argocd` and `script` have the ports, `tools.registry` the actions, `tools.guard.wire` sends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tools.errors import Denied
from tools.executors.argocd.client import ArgoConfig, open_client
from tools.executors.argocd.decisions import HANGS_AFTER
from tools.executors.argocd.form import PORT as ARGOCD
from tools.executors.argocd.port import ArgoPort
from tools.executors.calls import RemotePort, RemoteRequest, Sent
from tools.executors.script.action import PORT as SCRIPT
from tools.executors.script.port import ScriptPort
from tools.executors.script.run import ScriptRunner, User


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class ScriptConfig:
    """A folder of scripts and how they are run."""

    folder: Path
    user: User | None = None
    """Whom they run as; needed when the service is root."""
    work_dir: Path | None = None
    """Holds their working directories; the system's place for temporary files by default."""
    environ: Mapping[str, str] = field(default_factory=_nothing, repr=False)
    """Where the variables that manifests list are taken from; it may hold secrets."""


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """Which other systems are connected; None where one is not."""

    argocd: ArgoConfig | None = None
    scripts: ScriptConfig | None = None


@dataclass(frozen=True, slots=True)
class Remotes:
    """The open connections."""

    argocd: ArgoPort | None
    script: ScriptPort | None
    folder: Path | None
    """Of the scripts."""
    hangs_after: timedelta
    """When an operation of Argo CD counts as hanging."""

    def ports(self) -> dict[str, RemotePort]:
        """Those that are open, by the names that actions know them by."""
        open_: dict[str, RemotePort] = {}
        if self.argocd is not None:
            open_[ARGOCD] = self.argocd
        if self.script is not None:
            open_[SCRIPT] = self.script
        return open_

    def observing(self) -> dict[str, RemotePort]:
        """The same, with every call refused."""
        return {name: Observing(port) for name, port in self.ports().items()}


class Observing:
    """A port that answers questions and is never called."""

    def __init__(self, port: RemotePort) -> None:
        """Keep the port."""
        self._port = port

    async def show(self, request: RemoteRequest) -> None:
        """What the port says."""
        await self._port.show(request)

    async def send(self, request: RemoteRequest) -> Sent:
        """Raises Denied."""
        raise Denied(f"this service only observes: {request.call} of {request.port} is not called")


async def open_remotes(config: RemoteConfig, stack: contextlib.AsyncExitStack) -> Remotes:
    """Open what is configured; `stack` closes it.  Raises `ToolError`, with the remedy, for what cannot be used."""
    argocd = None
    if config.argocd is not None:
        argocd = ArgoPort(await stack.enter_async_context(open_client(config.argocd)))
    scripts = config.scripts
    script = None
    if scripts is not None:
        runner = ScriptRunner(scripts.environ, user=scripts.user, work_dir=scripts.work_dir)
        script = ScriptPort(scripts.folder, runner)
    return Remotes(
        argocd=argocd,
        script=script,
        folder=None if scripts is None else scripts.folder,
        hangs_after=HANGS_AFTER if config.argocd is None else config.argocd.hangs_after,
    )
