"""`selfheal serve` as a real process over a cluster of either kind, with a small shop in it; shared by slow tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from evals.simulator import Simulator
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import Kube
from tests.cluster.service import free_port
from tests.support.healing import HEALER, WEB
from tests.support.http import plain
from tests.support.ledgers import ledger_at
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_object, dig_str

TOKEN = "test-token-of-more-than-thirty-two-bytes"
NAMESPACE = "shop"


@dataclass
class Substrate:
    """A cluster with a healthy Deployment shop/web in it, of either kind."""

    kubeconfig: Path
    namespace: str
    get: Callable[[], Awaitable[JsonObject]]
    break_it: Callable[[], Awaitable[None]]
    """Roll out an image that cannot be pulled."""
    kube: Kube | None = None
    """The real cluster's client, as admin."""


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Substrate]:
    """The simulator in this loop, in real time."""
    async with Simulator() as sim:
        await sim.apply(WEB)
        await sim.until(lambda: sim.ready("Deployment", NAMESPACE, "web"), seconds=60)

        async def get() -> JsonObject:
            return sim.get("Deployment", NAMESPACE, "web") or {}

        async def break_it() -> None:
            live = await get()
            spec = dig_object(live, "spec")
            container = dig_list(spec, "template", "spec", "containers")[0]
            assert isinstance(container, dict)
            broken = {**container, "image": "registry.invalid/web:2"}
            template = {**dig_object(spec, "template"), "spec": {"containers": [broken]}}
            meta: JsonObject = {"name": "web", "namespace": NAMESPACE}
            changed: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
            await sim.apply({**changed, "spec": {**spec, "template": template}})

        yield Substrate(sim.kubeconfig(HEALER), NAMESPACE, get, break_it)


@contextlib.asynccontextmanager
async def real(probe: str = "true") -> AsyncIterator[Substrate]:
    """A namespace of its own on the project's real cluster; skipped, and counted, when that is not up.

    A pod is ready while the shell command `probe` succeeds in it.
    """
    layout = Layout.from_environment()
    if not layout.kubeconfig("admin").exists():
        pytest.skip("the project's Kubernetes is not up: run `make cluster-up`")
    namespace = f"crash-{os.getpid()}-{free_port()}"
    async with Kube(layout.kubeconfig("admin")) as kube:
        for manifest in real_web(namespace, probe):
            await kube.apply(manifest)

        async def get() -> JsonObject:
            listed = await kube.list("Deployment", namespace)
            return dig_object(listed, "items", 0)

        async def ready() -> bool:
            return dig_int(await get(), "status", "readyReplicas") == 2

        async def break_it() -> None:
            body: JsonValue = {
                "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.invalid/web:2"}]}}}
            }
            await kube.patch("Deployment", namespace, "web", "strategic", body)

        await until(ready, 60)
        try:
            yield Substrate(layout.kubeconfig("healer"), namespace, get, break_it, kube)
        finally:
            await kube.delete(f"/api/v1/namespaces/{namespace}")


def real_web(namespace: str, probe: str) -> list[JsonObject]:
    """A Deployment of two pods that listen and are ready at once, as long as the probe says so."""
    container: JsonObject = {
        "name": "app",
        "image": "localhost/heal-busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "mkdir -p /tmp/w; exec httpd -f -p 8080 -h /tmp/w"],
        "readinessProbe": {"exec": {"command": ["sh", "-c", probe]}, "periodSeconds": 1, "failureThreshold": 2},
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
    }
    spec: JsonObject = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        },
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": spec,
        },
    ]


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Ask every 0.2 s; fail when it does not come true."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.2)


class Healer:
    """`selfheal serve` as a process that can be killed and started again over the same state."""

    def __init__(
        self,
        kubeconfig: Path,
        folder: Path,
        namespace: str,
        *,
        mode: str = "auto",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._port = 0
        """Where it listens since its last start."""
        (folder / "policy.yaml").write_text(f'version: 1\nnamespaces:\n  "{namespace}": {{mode: {mode}}}\n')
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("SELFHEAL_")} | {
            "SELFHEAL_PORT": "0",
            "SELFHEAL_LOG_FORMAT": "json",
            "SELFHEAL_TOKEN": TOKEN,
            "SELFHEAL_KUBECONFIG": str(kubeconfig),
            "SELFHEAL_NAMESPACES": namespace,
            "SELFHEAL_POLICY_FILE": str(folder / "policy.yaml"),
            "SELFHEAL_STATE_DIR": str(folder / "state"),
            "SELFHEAL_SETTLE_SECONDS": "4",
            **(settings or {}),
        }
        self._process: asyncio.subprocess.Process | None = None
        self.kills = 0

    async def start(self) -> None:
        """Start it; it is ready when this returns."""
        await ledger_at(self._folder / "state" / "ledger.db")
        program = Path(sys.executable).with_name("selfheal")
        with (self._folder / "log").open("ab") as log:
            before = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                program, "serve", env=self._environment, stdout=log, stderr=log
            )

        async def listens() -> bool:
            self._port = self._port_since(before)
            return self._port != 0

        await until(listens, 90)
        await until(self._ready, 60)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self.kills += 1

    async def stop(self) -> None:
        """SIGTERM at the end of the test."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def get(self, path: str) -> JsonValue:
        """An authenticated GET."""
        async with plain() as http:
            url = f"http://127.0.0.1:{self._port}{path}"
            answer = await http.get(url, headers={"Authorization": f"Bearer {TOKEN}"})
            answer.raise_for_status()
            found: JsonValue = answer.json()
            return found

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        """An authenticated POST; an answer of 4xx or 5xx raises."""
        async with plain(timeout=60) as http:
            url = f"http://127.0.0.1:{self._port}{path}"
            answer = await http.post(url, headers={"Authorization": f"Bearer {TOKEN}"}, json=body)
            answer.raise_for_status()
            found: JsonValue = answer.json()
            return found

    async def account(self) -> JsonObject:
        """The account of the newest incident; empty while there is none."""
        found = await self.incidents()
        if not found:
            return {}
        account = await self.get(f"/incidents/{dig_str(found[0], 'id')}")
        return account if isinstance(account, dict) else {}

    async def status(self) -> str:
        """The status of the newest incident; "" while there is none."""
        found = await self.incidents()
        return dig_str(found[0], "status") if found else ""

    def _port_since(self, offset: int) -> int:
        """The port it says in its log that it listens on; 0 while it says nothing."""
        self._must_run()
        with (self._folder / "log").open("rb") as log:
            log.seek(offset)
            said = [line for line in log if b"service.listening" in line and line.endswith(b"\n")]
        return int(json.loads(said[-1])["port"]) if said else 0

    def _must_run(self) -> None:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "log").read_text()[-3000:]

    async def _ready(self) -> bool:
        self._must_run()
        try:
            await self.get("/readyz")
        except httpx.HTTPError:
            return False
        return True

    async def incidents(self) -> list[JsonObject]:
        """All of them, newest first."""
        found = await self.get("/incidents")
        listed = found if isinstance(found, list) else dig_list(found, "incidents")
        return [i for i in listed if isinstance(i, dict)]


async def recovered(cluster: Substrate) -> bool:
    """Two ready pods of the template that worked."""
    live = await cluster.get()
    image = dig_str(live, "spec", "template", "spec", "containers", 0, "image")
    status = dig_object(live, "status")
    counts = [dig_int(status, key) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return "invalid" not in image and counts == [2, 2, 2]
