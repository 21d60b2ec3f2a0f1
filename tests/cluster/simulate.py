"""Plays the scenarios on the simulator, no cluster and no kubectl needed: python -m tests.cluster.simulate

The same files, checks, lanes and report as on the real Kubernetes; the service runs in this process over the
simulator's virtual clock, with its HTTP interface on loopback.

Environment: SCENARIOS=all|ci|NAME,NAME.  Exit codes: 0 all well, 1 some scenario failed, 2 nothing could be run.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.cluster.client import ServiceError
from tests.cluster.kube import KubeError
from tests.cluster.lane import Options, Stage, say
from tests.cluster.lanes import arguments, options_of
from tests.cluster.scenario import Scenario, load_all, select
from tests.cluster.service import DEFAULT_POLICY, Healer, NoHealer, OracleHealer, policy
from tests.cluster.session import finish, namespaces_for, play_all
from tests.cluster.shapes import ScenarioError
from tests.cluster.shuffle import Shuffle
from tests.cluster.simulated import SimulatedGround, simulated_ground
from tools.jsontypes import JsonObject

RUN_ID = "0"


async def run(
    scenarios: Sequence[Scenario], healer_name: str, options: Options, out: Path, shuffle: Shuffle | None
) -> int:
    """Play all and report.  Returns the exit code."""
    namespaces = namespaces_for(scenarios, RUN_ID, shuffled=random.Random(shuffle.seed) if shuffle else None)
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="selfheal-simulate-")))
        ground = await stack.enter_async_context(simulated_ground())
        if shuffle is not None:
            for image, alias in shuffle.aliases.items():
                await ground.alias(image, alias)
        healer = make_healer(healer_name, ground, folder, {namespaces[s.name]: s.mode for s in scenarios})
        stack.push_async_callback(healer.stop)
        say(f"starting healer: {healer.name}")
        await healer.start()
        stage = Stage(options, ground, healer)
        results = await play_all(stage, scenarios, namespaces)
        simulated_s = ground.clock.monotonic()
    settings: JsonObject = {
        "healer": healer_name,
        "lanes": options.lanes,
        "simulated_seconds": round(simulated_s),
        "seconds": round(time.monotonic() - begun),
        "shuffle_names": shuffle.seed if shuffle is not None else None,
    }
    code = finish(stage, results, namespaces, settings, out)
    print(f"{simulated_s:.0f} simulated seconds in {time.monotonic() - begun:.0f} s")
    return code


def make_healer(name: str, ground: SimulatedGround, folder: Path, modes: dict[str, str]) -> Healer:
    """By its name on the command line."""
    match name:
        case "none":
            return NoHealer()
        case "oracle":
            return OracleHealer(ground)
        case _:
            from tests.cluster.inprocess import InProcessHealer  # late: nobody else needs the service loaded

            return InProcessHealer(ground, folder, policy(DEFAULT_POLICY, modes))


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = arguments("python -m tests.cluster.simulate", __doc__)
    parser.add_argument("--lanes", type=int, default=int(os.environ.get("LANES") or 12), help="side by side (LANES)")
    given = parser.parse_args(argv)
    shuffle = Shuffle(given.shuffle_names) if given.shuffle_names is not None else None
    out = given.out or Path(tempfile.gettempdir()) / "selfheal-simulate.json"
    try:
        chosen = select(load_all(rewrite=shuffle.rewrite if shuffle is not None else None), given.scenarios)
        return asyncio.run(run(chosen, given.healer, options_of(given), out, shuffle))
    except (ScenarioError, ServiceError, KubeError, TimeoutError) as stopped:
        say(str(stopped))
        return 2


if __name__ == "__main__":
    sys.exit(main())
