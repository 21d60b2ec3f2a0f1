"""The healer under test, and the only place that knows how the service is started and what its answers look like.

Three kinds: the service itself (one process for all lanes), nobody (`none`: shows that the checks can fail), and a
stand-in that applies the scenario's own remedy as user `healer` (`oracle`: shows that the checks can pass).
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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, cast

import httpx
import yaml

from tests.cluster.harness.layout import Layout
from tests.cluster.kube import run_kubectl
from tests.cluster.scenario import Scenario
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str

NAMESPACE_PREFIX = "sh-"
NAMESPACE_LABELS = {"selfheal.dev/test": "true"}


def policy(run: str) -> JsonObject:
    """Auto in the namespaces of this run, observe anywhere else."""
    return {
        "version": 1,
        "namespaces": {f"{NAMESPACE_PREFIX}*-{run}": {"mode": "auto"}},
        # Six faults at once, and again and again, are this test's business: the cluster's budget is wider.
        "limits": {"plans": {"cluster": {"count": 60, "seconds": 60}}},
    }


class ServiceError(Exception):
    """The service did not start or does not answer; the message ends with its log."""


@dataclass(frozen=True)
class Signal:
    """A symptom as the healer reports it; `seen` is when it received it, in seconds since the epoch."""

    reason: str
    seen: float


@dataclass(frozen=True)
class Incident:
    """What the runner needs of an incident; `document` is all of it, for the results."""

    id: str
    namespace: str
    state: str
    opened: float
    detected: float
    """When its watch had the update that confirmed the signal; the opening for incidents that do not say."""
    signals: tuple[Signal, ...]
    document: JsonObject


class Healer(Protocol):
    """Who repairs."""

    name: str

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
        """Its incidents in that namespace."""
        ...


class NoHealer:
    """Nobody."""

    name = "none"

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def fault_shows(self, scenario: Scenario, namespace: str) -> None:
        """Nobody listens."""

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """None."""
        return []


class OracleHealer(NoHealer):
    """Knows the answer: waits a moment, then runs the scenario's remedy as user `healer`."""

    name = "oracle"

    def __init__(self, kubeconfig: Path, kubectl: Path) -> None:
        self._kubeconfig = kubeconfig
        self._kubectl = kubectl
        self._seen: dict[str, float] = {}

    async def fault_shows(self, scenario: Scenario, namespace: str) -> None:
        """Run the remedy."""
        self._seen[namespace] = time.time()
        await asyncio.sleep(scenario.remedy_after_s)
        for step in scenario.remedy:
            await run_kubectl(self._kubectl, self._kubeconfig, namespace, step.arguments)

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """One, opened when the fault showed."""
        seen = self._seen.get(namespace)
        if seen is None:
            return []
        return [Incident("oracle", namespace, "closed", seen, seen, (Signal("ORACLE", seen),), {})]


class ServiceHealer(NoHealer):
    """`selfheal serve` as a subprocess with the healer's kubeconfig, a policy, a fresh state folder, a token."""

    name = "service"

    def __init__(self, layout: Layout, kubeconfig: Path, run: str) -> None:
        self._kubeconfig = kubeconfig
        self._run = run
        self._home = layout.state / "service"
        self._port = free_port()
        self._token = secrets.token_hex(32)
        self._log = layout.logs / "selfheal.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}",
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=10,
            trust_env=False,
        )

    async def start(self) -> None:
        """Start it and wait until /readyz says 200."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(parents=True, mode=0o700)
        (self._home / "policy.yaml").write_text(yaml.safe_dump(policy(self._run)))
        self._process = self._spawn()
        end = time.monotonic() + 60
        while not await self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                state = "ended" if self._process.poll() is not None else "is not ready after 60 s"
                await self.stop()
                raise ServiceError(f"`selfheal serve` {state}; its log {self._log} ends:\n{self._tail()}")
            await asyncio.sleep(0.25)

    async def stop(self) -> None:
        """SIGTERM, after 30 s SIGKILL."""
        await self._http.aclose()
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
        listed = parse_list(await self._get(f"/incidents?namespace={namespace}"))
        ids = [i.id for i in listed if i.namespace == namespace]
        return [parse_incident(await self._get(f"/incidents/{id_}")) for id_ in ids]

    async def _get(self, path: str) -> JsonValue:
        try:
            answer = await self._http.get(path)
            answer.raise_for_status()
            return cast("JsonValue", answer.json())
        except (httpx.HTTPError, ValueError) as lost:
            raise ServiceError(f"GET {path}: {lost}; its log {self._log} ends:\n{self._tail()}") from lost

    async def _is_ready(self) -> bool:
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

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
            "SELFHEAL_TOKEN": self._token,
            "SELFHEAL_KUBECONFIG": str(self._kubeconfig),
            "SELFHEAL_POLICY_FILE": str(self._home / "policy.yaml"),
            "SELFHEAL_STATE_DIR": str(self._home / "state"),
            "SELFHEAL_LOG_FORMAT": "json",
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


def parse_list(answer: JsonValue) -> list[Incident]:
    """A bare list, or the first list found under `incidents` or `items`."""
    entries = answer if isinstance(answer, list) else dig_list(answer, "incidents") or dig_list(answer, "items")
    return [parse_incident(e) for e in entries]


def parse_incident(answer: JsonValue) -> Incident:
    """An incident's document; what is missing is empty, so that the runner reports rather than breaks."""
    document = answer if isinstance(answer, dict) else {}
    document = dig_object(document, "incident") or document
    opened = dig_str(document, "opened_at")
    return Incident(
        id=dig_str(document, "id"),
        namespace=dig_str(document, "target", "namespace"),
        state=dig_str(document, "status") or dig_str(document, "state"),
        opened=_seconds(opened),
        detected=_seconds(dig_str(document, "detected_at") or opened),
        signals=tuple(_signal(s, opened) for s in dig_list(document, "signals")),
        document=document,
    )


def _signal(value: JsonValue, opened: str) -> Signal:
    """A signal without a time of its own counts from the incident's opening."""
    seen = dig_str(value, "first_seen") or dig_str(value, "observed_at") or opened
    return Signal(dig_str(value, "reason"), _seconds(seen))


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
