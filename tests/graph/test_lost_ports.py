"""A Service whose workload gave up the port it leads to; over the simulated API server, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from graph.plan import ExecutionResult, Status
from tests.support.healing import WEB, Bench, bench, end_of, set_container
from tools.jsontypes import JsonObject, JsonValue

PROVED = timedelta(seconds=45)
ASKS = 'version: 1\nnamespaces:\n  "shop*": {mode: approve}\n'


def service(target: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": target}]},
    }


def ports(name: str) -> list[JsonValue]:
    return [{"name": name, "containerPort": 8080}]


async def actions(it: Bench) -> tuple[list[str], ExecutionResult]:
    result = await end_of(it, "front")
    return [] if result.plan is None else [s.action.action for s in result.plan.steps], result


async def test_what_took_the_port_away_is_taken_back_and_the_service_stays_as_it_is(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.apply(service("http"))
        await it.sim.clock.sleep(PROVED)
        await set_container(it, ports=ports("web"))
        steps, result = await actions(it)
        assert (steps, result.status) == (["rollback_workload"], Status.HEALED), result
        assert it.writes() == ["patch deployments.apps/web"]


async def test_a_workload_that_is_declared_without_the_port_is_not_taken_back(tmp_path: Path) -> None:
    """It would be drift at once, and be put back, and so to and fro."""
    desired = tmp_path / "desired"
    desired.mkdir()
    declared = next(m for m in yaml.safe_load_all(WEB) if m["kind"] == "Deployment")
    declared["spec"]["template"]["spec"]["containers"][0]["ports"] = ports("web")
    async with bench(tmp_path, policy=ASKS, desired=desired) as it:
        await it.sim.apply(service("http"))
        await it.sim.clock.sleep(PROVED)
        (desired / "web.yaml").write_text(yaml.safe_dump(declared))
        await set_container(it, ports=ports("web"))
        await it.sim.clock.sleep(timedelta(seconds=90))
        for record in await it.ports.ledger.incidents():
            for line in await it.ports.ledger.audit(incident_id=record.id):
                assert "rollback_workload" not in line.model_dump_json(), line
        assert "Service" in {r.target.kind for r in await it.ports.ledger.incidents()}


@pytest.mark.parametrize("named", ["htpt", "metrics"])
async def test_a_service_that_never_led_there_is_no_reason_to_take_a_rollout_back(tmp_path: Path, named: str) -> None:
    async with bench(tmp_path) as it:
        await it.sim.clock.sleep(PROVED)
        await set_container(it, ports=ports("web"))
        await it.sim.apply(service(named))
        await it.sim.clock.sleep(timedelta(seconds=60))
        assert not it.writes(), "what it leads to was never there"
        assert {r.target.kind for r in await it.ports.ledger.incidents()} == {"Service"}
