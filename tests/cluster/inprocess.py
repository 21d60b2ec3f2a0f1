"""The service in this process, over the simulator and its clock, with its HTTP interface on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import httpx
import uvicorn
import yaml

from evals.settings import GivenSettings
from graph.ports import open_ports
from graph.runner import Runner, open_checkpointer
from server.app import create_app
from server.commands.service import Server
from server.logging import configure_logging
from server.service import Service, run_service
from server.settings import PREFIX, Settings
from tests.cluster.client import Incident, ServiceClient, ServiceError
from tests.cluster.desired import DesiredFolder
from tests.cluster.service import NoHealer
from tests.cluster.simulated import HEALER, SimulatedGround
from tools.jsontypes import JsonObject


class InProcessHealer(NoHealer):
    """Everything that `selfheal serve` opens, on the running loop."""

    name = "service"

    def __init__(
        self,
        ground: SimulatedGround,
        folder: Path,
        policy_document: JsonObject,
        *,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._ground = ground
        self._folder = folder
        self._policy = policy_document
        self._settings = dict(settings or {})
        self._tokens = (secrets.token_hex(32), secrets.token_hex(32))
        self._stack = contextlib.AsyncExitStack()
        self._client: ServiceClient | None = None
        self._desired = DesiredFolder(folder / "desired")

    @property
    def desired(self) -> DesiredFolder | None:
        """A folder beside its state."""
        return self._desired

    async def start(self) -> None:
        """Open the service over the simulator; it watches and answers when this returns."""
        self._desired.make()
        (self._folder / "policy.yaml").write_text(yaml.safe_dump(self._policy))
        (self._folder / "token").write_text("\n".join(self._tokens))
        log = self._stack.enter_context((self._folder.parent / "selfheal-simulate.log").open("w"))
        configure_logging("info", "json", log)
        settings = self._given()
        clock = self._ground.clock
        ports = await self._stack.enter_async_context(open_ports(settings.ports_config(), clock=clock))
        checkpointer = await self._stack.enter_async_context(open_checkpointer(settings.state_dir))
        service = await self._stack.enter_async_context(
            run_service(settings, ports, Runner(ports, checkpointer), watch=True)
        )
        url = await self._stack.enter_async_context(served(settings, service))
        self._client = ServiceClient(url, *self._tokens)
        await ports.mirror.synced()

    async def stop(self) -> None:
        """Everything closed in the reverse order."""
        if self._client is not None:
            await self._client.close()
        await self._stack.aclose()

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """The namespace's incidents and those on cluster-wide objects."""
        assert self._client is not None
        try:
            return await self._client.incidents(namespace)
        except httpx.HTTPError as lost:
            raise ServiceError(f"{type(lost).__name__} {lost}") from lost

    async def approve(self, incident: Incident) -> None:
        """As the second identity."""
        assert self._client is not None
        await self._client.approve(incident)

    def _given(self) -> Settings:
        declared = {k.removeprefix(PREFIX).lower(): v for k, v in self._desired.environment().items()}
        return GivenSettings.model_validate(
            {
                "host": "127.0.0.1",
                "port": 0,
                "token_file": self._folder / "token",
                "kubeconfig": self._ground.sim.kubeconfig(HEALER),
                "policy_file": self._folder / "policy.yaml",
                "state_dir": self._folder / "state",
                "drain_seconds": 1,
                **declared,
                **self._settings,
            }
        )


@contextlib.asynccontextmanager
async def served(settings: Settings, service: Service) -> AsyncGenerator[str]:
    """The application on a free port of loopback; its address."""

    @contextlib.asynccontextmanager
    async def opened(_: Settings) -> AsyncGenerator[Service]:
        yield service

    app = create_app(settings, opener=opened)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    config = uvicorn.Config(
        app, host=settings.host, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = Server(config, port.set_result)
    serving = asyncio.create_task(server.serve(), name="http")
    try:
        serving.add_done_callback(lambda _: port.cancel())
        yield f"http://127.0.0.1:{await port}"
    finally:
        server.should_exit = True
        await serving
