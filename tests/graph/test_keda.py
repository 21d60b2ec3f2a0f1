"""The service over a cluster with KEDA in it: what it does of itself, what it asks, what it only tells."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from evals.simulator import Simulator
from evals.simulator.keda import Keda, install
from graph.plan import ExecutionResult
from tests.simulator.test_keda import NOTE, replicas, scaled_object, state
from tests.support.healing import WEB, Bench, bench
from tools.executors.connections import RemoteConfig
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_object

PROVEN = 400
"""Seconds after which a workload and what it is wired to are known good."""
SERVICE: JsonObject = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


@dataclass
class Scene:
    it: Bench
    keda: Keda

    async def annotate(self, **values: str) -> None:
        """Somebody pauses."""
        await self.change(annotations={f"{NOTE}{key.replace('_', '-')}": value for key, value in values.items()})

    async def change(self, annotations: JsonObject | None = None, **spec: JsonValue) -> None:
        """Somebody applies the ScaledObject anew."""
        await self.it.sim.apply(scaled_object(annotations, **spec))

    async def ended(self, seconds: float = 600) -> ExecutionResult:
        """What came of the incident on the ScaledObject."""
        for _ in range(int(seconds)):
            for record in await self.it.ports.ledger.incidents(namespace="shop"):
                if record.target.kind == "ScaledObject" and record.result is not None:
                    return ExecutionResult.model_validate(record.result)
            await self.it.sim.sleep(1)
        raise AssertionError([r.model_dump_json() for r in await self.it.ports.ledger.incidents(namespace="shop")])

    async def targets(self) -> set[str]:
        """What incidents there have been, by target."""
        return {str(r.target) for r in await self.it.ports.ledger.incidents(namespace="shop")}

    def writes(self) -> list[str]:
        return [w for w in self.it.writes() if "events" not in w]


@contextlib.asynccontextmanager
async def scene(folder: Path, *, desired: Path | None = None) -> AsyncIterator[Scene]:
    """The shop's web, wanted four times by a queue, known good."""
    held: list[Keda] = []

    async def connect(sim: Simulator, _: contextlib.AsyncExitStack) -> RemoteConfig:
        held.append(await install(sim))
        await sim.apply(SERVICE)
        await sim.apply(scaled_object())
        held[0].give("shop", "web", 4)
        await sim.until(lambda: replicas(sim) == 4 and sim.ready("Deployment", "shop", "web"), seconds=120)
        return RemoteConfig()

    async with bench(folder, connect=connect, desired=desired) as it:
        await it.sim.sleep(PROVEN)
        assert not await it.ports.ledger.incidents(namespace="shop"), "nothing is wrong yet"
        yield Scene(it, held[0])


async def test_a_pause_that_takes_the_last_pod_away_is_let_go(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.annotate(paused_replicas="0")
        found = await on.ended()
        assert found.status.value == "healed", found
        assert on.writes() == ["patch scaledobjects.keda.sh/web"]
        assert replicas(on.it.sim) == 4
        assert state(on.it.sim, "Paused") == "False/ScaledObjectUnpaused"
        assert await on.targets() == {"shop/ScaledObject/web"}, "the workload itself is nobody's to scale"


async def test_a_bound_that_was_lowered_goes_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.change(maxReplicaCount=3)
        found = await on.ended()
        assert found.status.value == "healed", found
        assert on.writes() == ["patch scaledobjects.keda.sh/web"]
        assert dig_int(on.it.sim.get("ScaledObject", "shop", "web"), "spec", "maxReplicaCount") == 6
        await on.it.sim.until(lambda: replicas(on.it.sim) == 4, seconds=120)


async def test_a_trigger_that_answers_no_more_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.keda.give("shop", "web", None)
        found = await on.ended()
        assert found.status.value == "escalated", found
        assert on.writes() == []
        assert await on.targets() == {"shop/ScaledObject/web"}, "and not the autoscaler that KEDA made"


async def test_a_pause_while_nothing_fails_is_a_persons(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.annotate(paused="true")
        await on.it.sim.sleep(1200)
        assert await on.targets() == set(), "whoever paused it has an hour"
        await on.it.sim.sleep(3000)
        (record,) = await on.it.ports.ledger.incidents(namespace="shop")
        assert (str(record.target), record.status) == ("shop/ScaledObject/web", "waiting")
        assert on.writes() == []


async def test_a_pause_against_what_is_declared_is_let_go(tmp_path: Path) -> None:
    declared = tmp_path / "desired"
    declared.mkdir()
    manifests: list[JsonObject] = [m for m in yaml.safe_load_all(WEB) if m["kind"] == "Deployment"]
    dig_object(manifests[0], "spec").pop("replicas")
    manifests += [SERVICE, scaled_object()]
    (declared / "shop.yaml").write_text(yaml.safe_dump_all(manifests))
    async with scene(tmp_path, desired=declared) as on:
        await on.annotate(paused="true")
        found = await on.ended()
        assert found.status.value == "healed", found
        assert on.writes() == ["patch scaledobjects.keda.sh/web"]
        assert f"{NOTE}paused" not in dig_object(
            on.it.sim.get("ScaledObject", "shop", "web"), "metadata", "annotations"
        )


@pytest.mark.parametrize("minutes", [30])
async def test_a_cluster_where_keda_works_is_left_alone(tmp_path: Path, minutes: int) -> None:
    async with scene(tmp_path) as on:
        on.keda.give("shop", "web", 2)
        await on.it.sim.sleep(60 * minutes)
        assert (await on.targets(), on.writes()) == (set(), [])
