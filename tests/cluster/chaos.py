"""Random faults in a small shop for a while, and what the healer made of them: python -m tests.cluster.chaos

Six workloads; every 20 to 60 seconds a random fault of a random family, at times two at once, at times in the middle of
a rollout or while a person scales.  What is not healed within three minutes a person puts right, and it counts as not
healed.  The same seed breaks the same things in the same order.

Exit codes: 0 it was played and nothing was touched that was not broken, 1 something was, 2 it could not be played.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from tests.cluster.chaos_faults import Workload, faults_for, shop
from tests.cluster.chaos_play import Play, Rules
from tests.cluster.chaos_plot import svg
from tests.cluster.chaos_report import ChaosReport, closing
from tests.cluster.client import ServiceError
from tests.cluster.ground import Ground
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import KubeError
from tests.cluster.lane import SetupError, say
from tests.cluster.service import Healer, NoHealer, ServiceHealer, policy
from tests.cluster.shapes import ScenarioError

POLICIES = ("permissive", "default")


async def run(given: argparse.Namespace) -> int:
    """Play it and report.  Returns the exit code."""
    run_id = secrets.token_hex(2) if given.ground == "real" else "0"
    namespace = f"sh-chaos-{run_id}"
    workloads = shop()
    faults = {w: faults_for(w) for w in workloads}
    async with AsyncExitStack() as stack:
        ground, healer = await _open(stack, given, run_id, namespace)
        stack.push_async_callback(healer.stop)
        say(f"starting healer: {healer.name}, policy {given.policy}, seed {given.seed}")
        await healer.start()
        dice, rules = random.Random(given.seed), Rules(given.minutes * 60)
        play = Play(ground, healer, namespace, faults=faults, dice=dice, rules=rules)
        report = await play.run()
    report.settings = {
        "ground": given.ground,
        "policy": given.policy,
        "healer": given.healer,
        "minutes": given.minutes,
        "seed": given.seed,
    }
    return _finish(report, workloads, given)


def _finish(report: ChaosReport, workloads: list[Workload], given: argparse.Namespace) -> int:
    for line in closing(report):
        print(line)
    given.out.write_text(json.dumps(report.as_json(), indent=1))
    given.plot.write_text(svg(report, [w.name for w in workloads]))
    print(f"results: {given.out}; plot: {given.plot}")
    return 0 if report.faults and not report.collateral and not report.stray_writes else 1


async def _open(stack: AsyncExitStack, given: argparse.Namespace, run_id: str, namespace: str) -> tuple[Ground, Healer]:
    """The ground and who repairs."""
    rules = policy(given.policy, {namespace: "auto"})
    if given.ground == "real":
        from tests.cluster.real import real_ground

        real = await stack.enter_async_context(real_ground(Layout.from_environment(), run_id))
        tail = asyncio.create_task(real.trail.follow())
        stack.callback(tail.cancel)
        if given.healer == "none":
            return real, NoHealer()
        return real, ServiceHealer(real.layout, real.healer_kubeconfig, rules, home=f"chaos-{given.policy}")
    from tests.cluster.inprocess import InProcessHealer
    from tests.cluster.simulated import simulated_ground

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="selfheal-chaos-")))
    simulated = await stack.enter_async_context(simulated_ground())
    return simulated, NoHealer() if given.healer == "none" else InProcessHealer(simulated, folder, rules)


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ground", choices=("real", "simulated"), default="real")
    parser.add_argument("--healer", choices=("service", "none"), default="service")
    parser.add_argument("--policy", choices=POLICIES, default="permissive", help="a file of tests/cluster/policies")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None, help="JSON results")
    parser.add_argument("--plot", type=Path, default=None, help="SVG")
    given = parser.parse_args(argv)
    folder = Path(tempfile.gettempdir())
    given.out = given.out or folder / f"selfheal-chaos-{given.ground}-{given.policy}.json"
    given.plot = given.plot or given.out.with_suffix(".svg")
    try:
        return asyncio.run(run(given))
    except (ScenarioError, SetupError, ServiceError, KubeError, TimeoutError) as stopped:
        say(str(stopped) or "the API server does not answer: see `python -m tests.cluster.harness status`")
        return 2


if __name__ == "__main__":
    sys.exit(main())
