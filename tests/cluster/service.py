"""The healer under test, and the only place that knows how the service is started.

Kinds: the service itself as a process (one for all lanes) or in this process (on the simulator's clock), nobody
(`none`: shows that the checks can fail), and a stand-in that carries out the scenario's own remedy (`oracle`: shows
that the checks can pass).  Neighbour: `client` knows what the service's answers look like.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol, cast

import httpx
import yaml

from tests.cluster.client import Incident, ServiceClient, ServiceError, Signal
from tests.cluster.desired import DesiredFolder
from tests.cluster.ground import Ground
from tests.cluster.harness.layout import Layout
from tests.cluster.scenario import Scenario
from tests.cluster.stagehand import Stagehand
from tools.jsontypes import JsonObject

POLICIES = Path(__file__).resolve().parent / "policies"
DEFAULT_POLICY = "scenarios"


def policy(name: str, namespaces: Mapping[str, str]) -> JsonObject:
    """A policy file of `policies/`, with the mode of each namespace of this run put in."""
    found = cast("JsonObject", yaml.safe_load((POLICIES / f"{name}.yaml").read_text()))
    modes: JsonObject = {namespace: {"mode": mode} for namespace, mode in namespaces.items()}
    return {**found, "namespaces": modes}


class Healer(Protocol):
    """Who repairs."""

    name: str
    asks: bool
    """Whether it asks before it does what needs a person's word."""

    @property
    def desired(self) -> DesiredFolder | None:
        """Where it is told what is declared; None when it does not listen."""
        ...

    async def start(self) -> None:
        """Ready to see faults when it returns."""
        ...

    async def stop(self) -> None:
        """Gone when it returns."""
        ...

    async def fault_shows(self, scenario: Scenario, namespace: str) -> None:
        """The runner sees the fault now; only the stand-in listens."""
        ...

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """Its incidents in that namespace and on cluster-wide objects."""
        ...

    async def approve(self, incident: Incident) -> None:
        """A person agrees to the plan that waits.  ServiceError when the answer is not taken."""
        ...


class NoHealer:
    """Nobody."""

    name = "none"
    asks = True

    @property
    def desired(self) -> DesiredFolder | None:
        """It does not listen."""
        return None

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def fault_shows(self, scenario: Scenario, namespace: str) -> None:
        """Nobody listens."""

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """None."""
        return []

    async def approve(self, incident: Incident) -> None:
        """There is nothing to agree to."""


class OracleHealer(NoHealer):
    """Knows the answer: waits a moment, then runs the scenario's remedy."""

    name = "oracle"
    asks = False

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._seen: dict[str, float] = {}

    async def fault_shows(self, scenario: Scenario, namespace: str) -> None:
        """Run the remedy."""
        self._seen[namespace] = self._ground.clock.now().timestamp()
        await self._ground.clock.sleep(timedelta(seconds=scenario.remedy_after_s))
        hands = Stagehand(self._ground, namespace, scenario.manifests(namespace), as_healer=True)
        await hands.do(scenario.remedy)

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """One, opened when the fault showed."""
        seen = self._seen.get(namespace)
        if seen is None:
            return []
        return [Incident("oracle", namespace, "closed", seen, seen, (Signal("ORACLE", seen),), {})]


class ServiceHealer(NoHealer):
    """`selfheal serve` as a subprocess with a kubeconfig, a policy, a fresh state folder, and two tokens: the runner's
    and the approver's."""

    name = "service"

    def __init__(
        self,
        layout: Layout,
        kubeconfig: Path,
        policy_document: JsonObject,
        *,
        settings: Mapping[str, str] | None = None,
        home: str = "service",
    ) -> None:
        self._kubeconfig = kubeconfig
        self._policy = policy_document
        self._settings = dict(settings or {})
        self._home = layout.state / home
        self._port = free_port()
        self._tokens = (secrets.token_hex(32), secrets.token_hex(32))
        self._log = layout.logs / ("selfheal.log" if home == "service" else f"selfheal-{home}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._client = ServiceClient(f"http://127.0.0.1:{self._port}", *self._tokens)
        self._desired = DesiredFolder(self._home / "desired")

    @property
    def desired(self) -> DesiredFolder | None:
        """A folder in its home."""
        return self._desired

    async def start(self) -> None:
        """Start it and wait until /readyz says 200."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(parents=True, mode=0o700)
        (self._home / "policy.yaml").write_text(yaml.safe_dump(self._policy))
        self._desired.make()
        self._process = self._spawn()
        end = time.monotonic() + 60
        while not await self._client.is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                state = "ended" if self._process.poll() is not None else "is not ready after 60 s"
                await self.stop()
                raise ServiceError(f"`selfheal serve` {state}; its log {self._log} ends:\n{self._tail()}")
            await asyncio.sleep(0.25)

    async def stop(self) -> None:
        """SIGTERM, after 30 s SIGKILL."""
        await self._client.close()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """The namespace's incidents, each with its full document."""
        try:
            return await self._client.incidents(namespace)
        except httpx.HTTPError as lost:
            raise ServiceError(f"{lost}; its log {self._log} ends:\n{self._tail()}") from lost

    async def approve(self, incident: Incident) -> None:
        """As the second identity."""
        await self._client.approve(incident)

    async def undo(self, incident: Incident) -> None:
        """As the second identity."""
        await self._client.undo(incident)

    @property
    def home(self) -> Path:
        """Its folder, as long as it is kept."""
        return self._home

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name("selfheal")
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [str(program), "serve"], env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )

    def _environment(self) -> dict[str, str]:
        """The caller's environment but for its settings; those of the model are kept, so that a model, or one that is
        down, can be tried under the same faults."""
        kept = ("SELFHEAL_CLUSTER_", "SELFHEAL_LLM_", "SELFHEAL_REASONER")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SELFHEAL_") or k.startswith(kept)}
        return {
            **inherited,
            "SELFHEAL_HOST": "127.0.0.1",
            "SELFHEAL_PORT": str(self._port),
            "SELFHEAL_TOKEN": ",".join(self._tokens),
            "SELFHEAL_KUBECONFIG": str(self._kubeconfig),
            "SELFHEAL_POLICY_FILE": str(self._home / "policy.yaml"),
            "SELFHEAL_STATE_DIR": str(self._home / "state"),
            "SELFHEAL_LOG_FORMAT": "json",
            **self._desired.environment(),
            **self._settings,
        }

    def _tail(self) -> str:
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        except OSError:
            return "(no log)"


def free_port() -> int:
    """A TCP port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
