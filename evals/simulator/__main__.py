"""`python -m evals.simulator`: a cluster to point kubectl at."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
from pathlib import Path

from evals.simulator.clock import ScaledClock
from evals.simulator.simulator import Simulator


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with Simulator(nodes=options.nodes, clock=ScaledClock(options.speed), port=options.port) as sim:
        path = sim.kubeconfig()
        if options.kubeconfig is not None:
            shutil.copyfile(path, options.kubeconfig)
            options.kubeconfig.chmod(0o600)
            path = options.kubeconfig
        for manifest in options.apply:
            await sim.apply(manifest)
        print(f"{sim.url} with {options.nodes} nodes, {options.speed:g} times real time; stop with Ctrl-C", flush=True)
        print(f"export KUBECONFIG={path}", flush=True)
        await stop.wait()


def main() -> None:
    """Parse the command line and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m evals.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; a free one by default")
    parser.add_argument("--nodes", type=int, default=2, help="how many nodes")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per real second")
    parser.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig; a temporary file by default")
    parser.add_argument(
        "--apply", type=Path, action="append", default=[], help="a manifest to start with; may be repeated"
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
