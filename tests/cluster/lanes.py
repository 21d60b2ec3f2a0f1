"""Plays scenarios side by side against one healer and reports what came of them: python -m tests.cluster.lanes

Each scenario gets a namespace: fixtures, healthy for a while, snapshot, fault, watch, verdict (`lane`).  The runner
reads as `observer`, injects as `human`, and knows what the healer wrote from the audit log alone, never from its words.

Environment: SCENARIOS=all|ci|NAME,NAME and LANES=6.
Exit codes: 0 all well, 1 some scenario failed, 2 nothing could be run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.cluster.audit import AuditTail
from tests.cluster.harness.build import binaries
from tests.cluster.harness.certificates import forget_run_identity, mint_run_identity, run_group
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import Kube, KubeError
from tests.cluster.lane import Lane, Options, Stage, say
from tests.cluster.mirror import Mirror
from tests.cluster.report import Result, as_json, closing_lines, succeeded, table
from tests.cluster.scenario import Scenario, ScenarioError, load_all, select
from tests.cluster.service import Healer, NoHealer, OracleHealer, ServiceError, ServiceHealer
from tools.jsontypes import JsonObject


# --------------------------------------------------------------------------------------------------------------- a run
async def run(scenarios: Sequence[Scenario], healer_name: str, options: Options, out: Path) -> int:
    """Play all and report.  Returns the exit code."""
    layout = Layout.from_environment()
    kubectl = binaries(layout) / "kubectl"
    async with AsyncExitStack() as stack:
        human = await stack.enter_async_context(Kube(layout.kubeconfig("human")))
        observer = await stack.enter_async_context(Kube(layout.kubeconfig("observer")))
        mirror = await stack.enter_async_context(Mirror(observer))
        run_id = secrets.token_hex(2)
        stack.callback(forget_run_identity, layout, run_id)
        healer = make_healer(healer_name, layout, kubectl, run_id)
        audit = AuditTail(layout.audit_log, "healer", run_group(run_id))
        tail = asyncio.create_task(audit.follow())
        stack.callback(tail.cancel)
        stack.push_async_callback(healer.stop)
        say(f"starting healer: {healer.name}")
        await healer.start()
        stage = Stage(options, kubectl, human, observer, mirror, audit, healer, run_id)
        results, namespaces = await play_all(stage, scenarios)
        audit.read()
    stray = [str(w) for w in audit.writes if w.namespace not in namespaces]
    heading = f"healer: {healer.name}"
    for line in (heading, table(results), "", *(f"stray write: {w}" for w in stray), *closing_lines(results)):
        print(line)
    settings: JsonObject = {
        "healer": healer_name,
        "lanes": options.lanes,
        "steady_s": options.steady,
        "stable_s": options.stable,
    }
    save(out, as_json(results, stray, settings))
    return 0 if succeeded(results, stray) else 1


def save(out: Path, results: JsonObject) -> None:
    """The results for machines."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1))
    print(f"results: {out}")


async def play_all(stage: Stage, scenarios: Sequence[Scenario]) -> tuple[list[Result], set[str]]:
    """At most `lanes` at a time; the results, and every namespace that was used."""
    free = asyncio.Semaphore(stage.options.lanes)
    lanes = [Lane(stage, s) for s in scenarios]

    async def one(lane: Lane, name: str) -> Result:
        async with free:
            result = await lane.play()
        took = "" if result.recovered_s is None else f" after {result.recovered_s:.1f} s"
        say(f"{name}: {result.outcome}{took}{': ' + result.note if result.note else ''}")
        return result

    async with asyncio.TaskGroup() as group:  # a defect of the runner ends the other lanes before the connections close
        tasks = [group.create_task(one(lane, s.name)) for lane, s in zip(lanes, scenarios, strict=True)]
    return [t.result() for t in tasks], {lane.namespace for lane in lanes}


def make_healer(name: str, layout: Layout, kubectl: Path, run_id: str) -> Healer:
    """By its name on the command line, with an identity of its own."""
    kubeconfig = mint_run_identity(layout, run_id)
    match name:
        case "none":
            return NoHealer()
        case "oracle":
            return OracleHealer(kubeconfig, kubectl)
        case _:
            return ServiceHealer(layout, kubeconfig, run_id)


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.lanes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--healer", choices=("service", "oracle", "none"), default="service")
    parser.add_argument(
        "--scenarios", default=os.environ.get("SCENARIOS") or "all", help="all, ci, or names (SCENARIOS)"
    )
    parser.add_argument("--lanes", type=int, default=int(os.environ.get("LANES") or 6), help="side by side (LANES)")
    parser.add_argument("--steady", type=float, default=5, help="seconds of health before the fault")
    parser.add_argument("--stable", type=float, default=15, help="seconds that all checks must hold to count")
    parser.add_argument("--limit", type=float, default=90, help="seconds after which a fault counts as not healed")
    parser.add_argument("--window", type=float, default=45, help="seconds in which a negative must stay unwritten")
    parser.add_argument("--keep", action="store_true", help="leave the namespaces for a look")
    parser.add_argument(
        "--out", type=Path, default=None, help="JSON results (default: in the cluster's state directory)"
    )
    given = parser.parse_args(argv)
    layout = Layout.from_environment()
    if not layout.audit_log.exists():
        say("the cluster is not up: run `python -m tests.cluster.harness up` first")
        return 2
    options = Options(max(1, given.lanes), given.steady, given.stable, given.limit, given.window, given.keep)
    try:
        chosen = select(load_all(), given.scenarios)
        return asyncio.run(run(chosen, given.healer, options, given.out or layout.state / "results.json"))
    except (ScenarioError, ServiceError, KubeError, TimeoutError) as stopped:
        say(str(stopped) or "the API server does not answer: see `python -m tests.cluster.harness status`")
        return 2


if __name__ == "__main__":
    sys.exit(main())
