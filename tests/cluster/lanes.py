"""Plays scenarios on the real Kubernetes and reports what came of them: python -m tests.cluster.lanes

Each scenario gets a namespace: fixtures, healthy for a while, snapshot, fault, watch, verdict (`lane`).  The runner
reads as `observer`, injects as `human`, and knows what the healer wrote from the audit log alone, never from its words.

Environment: SCENARIOS=all|ci|NAME,NAME and LANES=6.
Exit codes: 0 all well, 1 some scenario failed, 2 nothing could be run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.cluster.client import ServiceError
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import KubeError
from tests.cluster.lane import Options, Stage, say
from tests.cluster.real import RealGround, real_ground
from tests.cluster.scenario import Scenario, load_all, select
from tests.cluster.service import DEFAULT_POLICY, Healer, NoHealer, OracleHealer, ServiceHealer, policy
from tests.cluster.session import finish, namespaces_for, play_all
from tests.cluster.shapes import ScenarioError
from tests.cluster.shuffle import Shuffle
from tools.jsontypes import JsonObject


async def run(
    scenarios: Sequence[Scenario], healer_name: str, options: Options, out: Path, shuffle: Shuffle | None
) -> int:
    """Play all and report.  Returns the exit code."""
    layout = Layout.from_environment()
    run_id = secrets.token_hex(2)
    namespaces = namespaces_for(scenarios, run_id, shuffled=random.Random(shuffle.seed) if shuffle else None)
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(real_ground(layout, run_id, unlimited=healer_name == "oracle"))
        if shuffle is not None:
            for image, alias in shuffle.aliases.items():
                await ground.alias(image, alias)
        tail = asyncio.create_task(ground.trail.follow())
        stack.callback(tail.cancel)
        healer = make_healer(healer_name, ground, {namespaces[s.name]: s.mode for s in scenarios})
        stack.push_async_callback(healer.stop)
        say(f"starting healer: {healer.name}")
        await healer.start()
        stage = Stage(options, ground, healer)
        results = await play_all(stage, scenarios, namespaces)
    settings: JsonObject = {
        "healer": healer_name,
        "lanes": options.lanes,
        "steady_s": options.steady,
        "stable_s": options.stable,
        "shuffle_names": shuffle.seed if shuffle is not None else None,
    }
    return finish(stage, results, namespaces, settings, out)


def make_healer(name: str, ground: RealGround, modes: dict[str, str]) -> Healer:
    """By its name on the command line."""
    match name:
        case "none":
            return NoHealer()
        case "oracle":
            return OracleHealer(ground)
        case _:
            return ServiceHealer(ground.layout, ground.healer_kubeconfig, policy(DEFAULT_POLICY, modes))


def arguments(prog: str, about: str | None) -> argparse.ArgumentParser:
    """What both grounds' command lines have in common."""
    parser = argparse.ArgumentParser(prog=prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--healer", choices=("service", "oracle", "none"), default="service")
    parser.add_argument(
        "--scenarios", default=os.environ.get("SCENARIOS") or "all", help="all, ci, or names (SCENARIOS)"
    )
    parser.add_argument("--steady", type=float, default=5, help="seconds of health before the fault")
    parser.add_argument("--stable", type=float, default=15, help="seconds that all checks must hold to count")
    parser.add_argument("--close", type=float, default=200, help="seconds the healer has to close its incidents")
    parser.add_argument("--limit", type=float, default=90, help="seconds after which a fault counts as not healed")
    parser.add_argument("--window", type=float, default=45, help="seconds in which nothing may be written (none)")
    parser.add_argument(
        "--undeclared", action="store_true", help="declare nothing, but where a scenario says so: from memory alone"
    )
    parser.add_argument("--keep", action="store_true", help="leave the namespaces for a look")
    parser.add_argument(
        "--shuffle-names", type=int, metavar="SEED", help="replace every name, label, image and message at random"
    )
    parser.add_argument("--out", type=Path, default=None, help="JSON results")
    return parser


def options_of(given: argparse.Namespace) -> Options:
    """The parsed command line as options."""
    return Options(
        max(1, given.lanes),
        given.steady,
        given.stable,
        given.close,
        given.limit,
        given.window,
        given.keep,
        declared=not given.undeclared,
    )


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = arguments("python -m tests.cluster.lanes", __doc__)
    parser.add_argument("--lanes", type=int, default=int(os.environ.get("LANES") or 6), help="side by side (LANES)")
    given = parser.parse_args(argv)
    layout = Layout.from_environment()
    if not layout.audit_log.exists():
        say("the cluster is not up: run `python -m tests.cluster.harness up` first")
        return 2
    shuffle = Shuffle(given.shuffle_names) if given.shuffle_names is not None else None
    try:
        chosen = select(load_all(rewrite=shuffle.rewrite if shuffle is not None else None), given.scenarios)
        out = given.out or layout.state / "results.json"
        return asyncio.run(run(chosen, given.healer, options_of(given), out, shuffle))
    except (ScenarioError, ServiceError, KubeError, TimeoutError) as stopped:
        say(str(stopped) or "the API server does not answer: see `python -m tests.cluster.harness status`")
        return 2


if __name__ == "__main__":
    sys.exit(main())
