"""The graph for LangGraph Studio and `langgraph dev`: compiled without a checkpointer, as the server brings its own.

Ports are opened at the first node that needs them, from the same environment variables as the service (kubeconfig,
policy, state directory), in observe mode unless `SELFHEAL_STUDIO_ACTS=1` says otherwise: a debugger should not act by
accident.  Importing this module touches neither a cluster nor a file.  Start it by `make studio`, which
passes `--allow-blocking`: the ledger's migrations (Alembic, once, at the first node) read files in the event loop.
"""

# LangGraph leaves type variables open here.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

from graph.build import build_graph
from graph.ports import Ports, PortsConfig, open_ports


class LazyPorts:
    """Opens the ports once, when first asked; they live as long as the process."""

    def __init__(self) -> None:
        self._lock: asyncio.Lock | None = None
        self._stack = AsyncExitStack()
        self._ports: Ports | None = None

    async def __call__(self) -> Ports:
        """The ports.  Raises `ToolError` with the remedy when the environment leads nowhere."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._ports is None:
                self._ports = await self._stack.enter_async_context(open_ports(config_from_environment()))
                await self._ports.mirror.synced()
            return self._ports


def config_from_environment() -> PortsConfig:
    """The few settings that Studio needs."""
    kubeconfig, policy = os.environ.get("SELFHEAL_KUBECONFIG"), os.environ.get("SELFHEAL_POLICY_FILE")
    return PortsConfig(
        state_dir=Path(os.environ.get("SELFHEAL_STATE_DIR", "var/studio")),
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
        context=os.environ.get("SELFHEAL_CONTEXT"),
        policy_file=Path(policy) if policy else None,
        own_namespace=os.environ.get("SELFHEAL_OWN_NAMESPACE"),
        observe_only=os.environ.get("SELFHEAL_STUDIO_ACTS") != "1",
    )


graph = build_graph(LazyPorts()).compile()
