"""`selfheal serve` and `selfheal watch`: run until the signal to stop, then drain.

The service is opened before the socket: what stops the start is one sentence and an exit code, not a traceback.
The first SIGTERM or SIGINT drains (requests that wait are told 202, running incidents may go on for a while), the
second one leaves at once; the state is durable either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import uvicorn
from fastapi import FastAPI

from server.app import create_app
from server.auth.tokens import open_tokens
from server.commands.exits import Exit, one_sentence
from server.logging import configure_logging, get_logger
from server.service import Service, open_service
from server.settings import Settings
from server.statelock import leave_when_lost

_LOG = get_logger(__name__)


def serve_http(**overrides: Any) -> Exit:
    """Run the service with HTTP until it is told to stop."""
    return _run(overrides, _serve)


def watch_only(**overrides: Any) -> Exit:
    """Run the watcher and the dispatcher until told to stop."""
    return _run({**overrides, "watch": True}, _watch)


def _run(overrides: dict[str, Any], work: Callable[[Settings], Any]) -> Exit:
    result: list[Exit] = []
    with one_sentence(result):
        settings = Settings.load(**overrides)
        configure_logging(settings.log_level, settings.log_format)
        asyncio.run(work(settings))
    return result[0] if result else Exit.DONE


async def _serve(settings: Settings) -> None:
    open_tokens(settings)  # refuses before anything is opened
    async with open_service(settings) as service:
        await serve_app(create_app(settings, opener=lambda _: _given(service)), settings, service)


async def _watch(settings: Settings) -> None:
    async with open_service(settings) as service:
        stop = asyncio.Event()
        with on_signals(service, stop.set) as leave:
            async with leave_when_lost(settings.state_dir, leave):
                _LOG.info("service.watching", namespaces=list(settings.namespaces))
                await stop.wait()


async def serve_app(
    app: FastAPI, settings: Settings, service: Service, *, started: Callable[[int], None] | None = None
) -> None:
    """Serve `app` until a signal; `started` is called with the port once the socket listens."""
    config = uvicorn.Config(
        app,
        host=settings.bind_address,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
    )
    server = Server(config, started)

    def stop() -> None:
        server.force_exit = server.should_exit  # the second signal does not wait
        server.should_exit = True

    with on_signals(service, stop) as leave:
        async with leave_when_lost(settings.state_dir, leave):
            await server.serve()


class Server(uvicorn.Server):
    """uvicorn without its own signal handling, and with a word when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[int], None] | None = None) -> None:
        super().__init__(config)
        self._on_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone: `on_signals` drains first, uvicorn would kill the process after serving."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """As uvicorn; then say where."""
        await super().startup(sockets)
        if self.should_exit:
            return
        port = self.servers[0].sockets[0].getsockname()[1]
        _LOG.info("service.listening", address=self.config.host, port=port)
        if self._on_started is not None:
            self._on_started(port)


@contextlib.contextmanager
def on_signals(service: Service, stop: Callable[[], None]) -> Generator[Callable[[], None]]:
    """On SIGTERM and SIGINT, begin to drain, then `stop`.  Yields what they call."""
    loop = asyncio.get_running_loop()

    def received() -> None:
        service.dispatcher.begin_drain()
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    try:
        yield received
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _given(service: Service) -> AsyncGenerator[Service]:
    yield service
