"""What the story is played on: the simulated cluster with the shop in it, and the real service beside it.

The service is the one that `selfheal serve` runs, opened over the same ports and served by uvicorn on loopback; only
its clock is the cluster's, so that both live at the same speed.  It has the rights of `deploy/manifests`.
Neighbours: `shop` says what is set up, `play` uses the stage.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import uvicorn
from fastapi import FastAPI

from evals.demo.shop import (
    CART,
    HEALER,
    NAMESPACE,
    OLD_CART,
    POLICY,
    RIGHT_MODE,
    RIGHTS,
    WORKLOADS,
    images,
    namespace,
    settings,
)
from evals.settings import GivenSettings
from evals.simulator import ScaledClock, Simulator
from evals.simulator.clock import SimClock, VirtualClock
from graph.ports import open_ports
from graph.runner import Runner, open_checkpointer
from server.app import create_app
from server.commands.service import Server
from server.service import Service, run_service
from server.settings import Settings
from server.statelock import hold_state
from tools.jsontypes import dig_str

SETTLE_SECONDS: Final = 10.0
"""A recovery must last this long here; 30 s is the service's default."""
VERIFY_SECONDS: Final = 60.0
READY_SECONDS: Final = 120.0
REAL_SECONDS: Final = 20.0
"""The least real time for what selfheal computes itself, whatever the speed."""
KNOWN_GOOD_SECONDS: Final = 32.0
"""A revision that ran this long without a restart is last known good (30 s and a look)."""
MODEL_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the cluster and selfheal live: simulated seconds per real one."""

    factor: float
    is_virtual: bool = False
    """Whether time passes as fast as this machine computes, the same in every run; then `factor` is 1."""

    def clock(self) -> contextlib.AbstractContextManager[SimClock]:
        """The clock of both."""
        return VirtualClock() if self.is_virtual else contextlib.nullcontext(ScaledClock(self.factor))

    @property
    def look(self) -> float:
        """Seconds between two looks at the ledger: real ones, or virtual ones, of which there is no lack."""
        return 0.5 if self.is_virtual else 0.1

    def at_least_real(self, simulated: float, real: float = REAL_SECONDS) -> float:
        """A bound in simulated seconds that leaves at least so much real time to compute in."""
        return max(simulated, real * self.factor)


@dataclass(frozen=True, slots=True)
class Healer:
    """The running service."""

    service: Service
    http: httpx.AsyncClient
    url: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The cluster, and where the healer keeps its things."""

    sim: Simulator
    folder: Path
    speed: Speed

    @property
    def state_dir(self) -> Path:
        """The ledger and the checkpoints."""
        return self.folder / "state"

    @property
    def token_file(self) -> Path:
        """The service's bearer token."""
        return self.folder / "token"

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.folder / "kubeconfig"


@contextlib.asynccontextmanager
async def open_stage(folder: Path, speed: Speed) -> AsyncGenerator[Stage]:
    """Start the cluster and roll out the shop; all of it is ready when this yields.  `folder` exists.

    cart gets its history first: the release that was taken back is in it when the story begins.
    """
    async with contextlib.AsyncExitStack() as stack:
        clock = stack.enter_context(speed.clock())
        sim = await stack.enter_async_context(Simulator(clock=clock, registry=images()))
        stage = Stage(sim, folder, speed)
        (folder / "policy.yaml").write_text(POLICY)
        stage.token_file.write_text(secrets.token_hex(32))
        stage.token_file.chmod(0o600)
        stage.kubeconfig.touch(0o600)
        stage.kubeconfig.write_text(sim.kubeconfig(namespace=NAMESPACE).read_text())
        await sim.apply([namespace(), settings(RIGHT_MODE)])
        for path in RIGHTS:
            await sim.apply(path)
        await _give_history(sim)
        await sim.apply([w.manifest() for w in WORKLOADS if w is not CART])
        await all_ready(stage)
        yield stage


async def _give_history(sim: Simulator) -> None:
    """cart was released, released again, and taken back: three rollouts, two revisions."""

    def knows(image: str) -> bool:
        template = ("spec", "template", "spec", "containers", 0, "image")
        return any(dig_str(r, *template) == image for r in sim.all_of("ReplicaSet", NAMESPACE))

    for image in (CART.image, OLD_CART):
        await sim.apply(CART.manifest(image))
        await sim.until(partial(knows, image), seconds=60)
    await sim.apply(CART.manifest())


async def all_ready(stage: Stage) -> None:
    """Return when every workload has rolled out.  Raises TimeoutError."""

    def holds() -> bool:
        return all(stage.sim.ready(w.kind, NAMESPACE, w.name) for w in WORKLOADS)

    await stage.sim.until(holds, seconds=stage.speed.at_least_real(READY_SECONDS), every=0.1 * stage.speed.factor)


def settings_for(stage: Stage, *, model: Settings | None, scripted: str | None, observe: bool) -> Settings:
    """The service's settings: rules, the environment's `model` behind them, or the scripted model before them."""
    given: dict[str, object] = {}
    if model is not None:
        names = [n for n in model.model_fields_set if n.startswith("llm_") or n == "reasoner"]
        given = {n: getattr(model, n) for n in names}
    if scripted is not None:
        given = {
            "reasoner": "model",
            "llm_model": "scripted-1",
            "llm_base_url": scripted,
            "llm_planning": "schema",
            "llm_investigation": "off",
        }
    if given:
        given["llm_seconds"] = min(900.0, MODEL_SECONDS * stage.speed.factor)  # counted by the cluster's clock
    return GivenSettings.model_validate(
        {
            "host": "127.0.0.1",
            "port": 0,
            "token_file": stage.token_file,
            "kubeconfig": stage.sim.kubeconfig(HEALER),
            "policy_file": stage.folder / "policy.yaml",
            "state_dir": stage.state_dir,
            "own_namespace": "selfheal",
            "observe": observe,
            "settle_seconds": SETTLE_SECONDS,
            "verify_seconds": stage.speed.at_least_real(VERIFY_SECONDS),
            "look_seconds": 1,
            "drain_seconds": 1,
            **given,
        }
    )


@contextlib.asynccontextmanager
async def open_healer(stage: Stage, given: Settings) -> AsyncGenerator[Healer]:
    """Start the service over HTTP; it watches and answers when this yields."""
    with hold_state(given.state_dir):
        async with (
            open_ports(given.ports_config(), clock=stage.sim.clock) as ports,
            open_checkpointer(given.state_dir) as checkpointer,
            run_service(given, ports, Runner(ports, checkpointer), watch=True) as service,
            _served(given, service) as url,
            httpx.AsyncClient(base_url=url, headers=_bearer(stage.token_file), trust_env=False, timeout=30) as http,
        ):
            await ports.mirror.synced()
            yield Healer(service, http, url)


@contextlib.asynccontextmanager
async def _served(given: Settings, service: Service) -> AsyncGenerator[str]:
    """The application on a free port of loopback."""

    @contextlib.asynccontextmanager
    async def opened(_: Settings) -> AsyncGenerator[Service]:
        yield service

    app: FastAPI = create_app(given, opener=opened)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    config = uvicorn.Config(
        app, host=given.host, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = Server(config, port.set_result)
    serving = asyncio.create_task(server.serve(), name="http")
    try:
        serving.add_done_callback(lambda _: port.cancel())
        try:
            listening = await port
        except asyncio.CancelledError:
            if serving.done():
                raise RuntimeError("the HTTP server ended before it listened; the log says why") from None
            raise
        yield f"http://127.0.0.1:{listening}"
    finally:
        server.should_exit = True
        await serving


def _bearer(token_file: Path) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_file.read_text().strip()}"}


def writes_of(stage: Stage) -> Sequence[str]:
    """What the healer wrote for real since the beginning, as `verb resource/name`, in order."""
    found = [w for w in stage.sim.audit.writes(user=HEALER) if not w.dry_run and w.namespace == NAMESPACE]
    return [f"{w.verb} {w.resource}/{w.name}" for w in found]
