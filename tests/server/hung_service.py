"""A service for tests to kill: it accepts and never begins.  `python -m tests.server.hung_service FOLDER`.

Prints its port, then serves until it is killed.  The admission hangs, as it does while the API server is away, so an
accepted entry stays in the inbox as it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import uvicorn

from graph.incident import FromReference, FromSignal
from graph.intake import Admitted, Unknown
from graph.ports import Ports
from server.app import create_app
from server.commands.service import Server
from server.logging import configure_logging
from server.service import run_service
from server.settings import Settings
from tests.server.support import TOKEN, ScriptedHealer, open_test_ports


async def never(trigger: FromSignal | FromReference, ports: Ports) -> Admitted | Unknown:
    await asyncio.Event().wait()
    raise AssertionError


async def main(folder: Path) -> None:
    configure_logging("error", "json")  # stdout is for the port
    settings = Settings.model_validate({"token": TOKEN, "port": 0, "state_dir": folder, "wait_seconds": 0.1})
    async with (
        open_test_ports(folder) as ports,
        run_service(settings, ports, ScriptedHealer(ports), watch=False, admission=never) as service,
    ):
        app = create_app(settings, opener=lambda _: contextlib.nullcontext(service))
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None)
        await Server(config, lambda port: print(port, flush=True)).serve()  # noqa: T201 -- how the test learns the port


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
