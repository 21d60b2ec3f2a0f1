"""Plays scenarios on a ground against a healer: side by side, then those that need the cluster for themselves.

Neighbours: `lane` plays one; `lanes` and `simulate` are the command lines for the two grounds.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.lane import Lane, Stage, say
from tests.cluster.report import Result, as_json, closing_lines, succeeded, table
from tests.cluster.scenario import Scenario, holds
from tools.jsontypes import JsonObject

PREFIX = "sh"


def namespaces_for(
    scenarios: Sequence[Scenario], run_id: str, *, shuffled: random.Random | None = None
) -> dict[str, str]:
    """A namespace for each scenario; with `shuffled` its name says nothing of the scenario."""

    def middle(scenario: Scenario) -> str:
        return "".join(shuffled.choices("bcdfghjkmnpqrstvwxz", k=8)) if shuffled is not None else scenario.name

    return {s.name: f"{PREFIX}-{middle(s)}-{run_id}" for s in scenarios}


async def play_all(stage: Stage, scenarios: Sequence[Scenario], namespaces: Mapping[str, str]) -> list[Result]:
    """At most `lanes` at a time, then one by one those that want to be alone; in the given order."""
    here = [s for s in scenarios if holds(s, stage.ground.offers)]
    together = [s for s in here if not s.alone]
    results = {s.name: Result(s.name, s.tier, "not here") for s in scenarios}
    free = asyncio.Semaphore(stage.options.lanes)

    async def one(scenario: Scenario) -> None:
        async with free:
            result = await Lane(stage, scenario, namespaces[scenario.name]).play()
        took = "" if result.recovered_s is None else f" after {result.recovered_s:.1f} s"
        say(f"{scenario.name}: {result.outcome}{took}{': ' + result.note if result.note else ''}")
        results[scenario.name] = result

    async with asyncio.TaskGroup() as group:  # a defect of the runner ends the other lanes before connections close
        for scenario in together:
            group.create_task(one(scenario))
    for scenario in here:
        if scenario.alone:
            await one(scenario)
    return list(results.values())


def finish(
    stage: Stage, results: Sequence[Result], namespaces: Mapping[str, str], settings: JsonObject, out: Path
) -> int:
    """Print the table and the closing lines, write the results for machines.  Returns the exit code."""
    trail = stage.ground.trail
    trail.read()
    alone = {""} if any(r.tier for r in results) else set[str]()
    stray = [str(w) for w in trail.writes if w.namespace not in {*namespaces.values(), *alone}]
    heading = f"healer: {stage.healer.name}; ground: {stage.ground.name}"
    for line in (heading, table(results), "", *(f"stray write: {w}" for w in stray), *closing_lines(results)):
        print(line)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(as_json(results, stray, settings), indent=1))
    print(f"results: {out}")
    return 0 if succeeded(results, stray) else 1
