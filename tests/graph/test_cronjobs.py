"""CronJobs of which nothing is declared, over the simulated API server, in virtual time: what they need in order to run
again is what they had when a run of theirs came to a good end.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

from evals.simulator.kubelet.behaviour import Behaviour
from graph.plan import Approved, ExecutionResult, Status
from tests.support.healing import Bench, bench
from tools.jsontypes import JsonValue, dig, dig_str

ENDS: Final[list[JsonValue]] = [*Behaviour(exit_code=0).command()]
NEVER: Final[list[JsonValue]] = [*Behaviour().command()]
PROVED: Final = timedelta(seconds=130)
MADE_FROM: Final = ("spec", "jobTemplate", "spec", "template", "spec")


def night(command: list[JsonValue]) -> str:
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: shop}}
data: {{MODE: full}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: night, namespace: shop}}
spec:
  schedule: "* * * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: work
            image: registry.example/shop/night:1
            command: {json.dumps(command)}
            envFrom: [{{configMapRef: {{name: settings}}}}]
"""


async def end_of(it: Bench, *kinds: str) -> ExecutionResult:
    """The first incident on one of these kinds that ended; a person says yes to what waits."""
    answered: set[str] = set()
    for _ in range(900):
        for record in await it.ports.ledger.incidents(namespace="shop"):
            if record.target.kind not in kinds:
                continue
            if record.result is not None:
                return ExecutionResult.model_validate(record.result)
            if record.status == Status.WAITING.value and record.id not in answered:
                asked = await it.ports.ledger.approval(record.id)
                assert asked is not None
                yes = Approved(
                    by="ann", plan_hash=asked.plan_hash, policy_hash=asked.policy_hash, at=it.sim.clock.now()
                )
                answered.add(record.id)
                await it.service.dispatcher.decide(record.id, yes)
        await it.sim.clock.sleep(timedelta(seconds=1))
    raise AssertionError([r.model_dump_json() for r in await it.ports.ledger.incidents()])


def command(it: Bench) -> JsonValue:
    return dig(it.sim.get("CronJob", "shop", "night"), *MADE_FROM, "containers", 0, "command")


async def test_a_template_whose_jobs_hang_goes_back_together_with_the_job_that_hangs(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.apply(night(ENDS))
        await it.sim.clock.sleep(PROVED)
        await it.sim.apply(night(NEVER))
        result = await end_of(it, "Job")
        assert result.status is Status.HEALED, result
        assert result.plan is not None
        assert [step.action.action for step in result.plan.steps] == ["revert_fields", "delete_job"]
        assert command(it) == ENDS


async def test_a_template_that_never_ran_well_is_left_and_the_hung_job_deleted(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.apply(night(NEVER))
        result = await end_of(it, "Job")
        assert result.plan is not None
        assert [step.action.action for step in result.plan.steps] == ["delete_job"]
        assert command(it) == NEVER


async def test_settings_that_its_pods_wait_for_come_back_by_themselves(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.apply(night(ENDS))
        await it.sim.clock.sleep(PROVED)
        it.sim.api.delete(it.sim.kind("ConfigMap"), "shop", "settings")
        result = await end_of(it, "CronJob")
        assert result.status is Status.HEALED, result
        assert it.writes() == ["create configmaps/settings"]
        assert dig_str(it.sim.get("ConfigMap", "shop", "settings"), "data", "MODE") == "full"
