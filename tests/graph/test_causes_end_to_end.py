"""One cause, one incident, and what lay hidden behind it; over the simulated API server, in virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from langgraph.checkpoint.memory import InMemorySaver

from graph.incident import FromReference, Incident
from graph.intake import Admitted, admit
from graph.plan import ExecutionResult, Status
from graph.runner import Runner
from server.questions import NotTaken
from tests.support.healing import WEB, Bench, bench, end_of, set_container
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId, ObjectRef

POLICY = 'version: 1\ncluster_mode: approve\nnamespaces:\n  "shop*": {mode: auto}\n'
QUOTA: JsonObject = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "tight", "namespace": "shop"},
    "spec": {"hard": {"pods": "0"}},
}
PROVED = timedelta(seconds=45)
"""Until the shop's pods and what stands beside them have proved themselves."""


async def asked(it: Bench, kind: str, *, seconds: int = 120) -> IncidentRecord:
    """The incident on an object of that kind, once its plan waits for a person."""
    for _ in range(seconds):
        for record in await it.ports.ledger.incidents(open_only=True):
            if record.target.kind == kind and record.status == Status.WAITING.value:
                return record
        await it.sim.clock.sleep(timedelta(seconds=1))
    known = [(str(r.target), r.status) for r in await it.ports.ledger.incidents()]
    raise AssertionError(f"no plan about a {kind} waits: {known}")


async def agree(it: Bench, record: IncidentRecord) -> None:
    question = await it.ports.ledger.approval(record.id)
    assert question is not None
    answer = it.service.dispatcher.questions.answer
    assert not isinstance(await answer(record.id, "approved", plan_hash=question.plan_hash, by="pat"), NotTaken)


async def result_of(it: Bench, record: IncidentRecord) -> ExecutionResult:
    for _ in range(300):
        found = await it.ports.ledger.incident(record.id)
        if found is not None and found.result is not None:
            return ExecutionResult.model_validate(found.result)
        await it.sim.clock.sleep(timedelta(seconds=1))
    raise AssertionError(f"{record.target} has not ended")


def delete_pods(it: Bench) -> None:
    for pod in it.sim.pods("shop", app="web"):
        it.sim.api.delete(it.sim.kind("Pod"), "shop", dig_str(pod, "metadata", "name"))


async def test_a_quota_hides_a_bad_image_and_its_removal_is_not_blamed_for_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.clock.sleep(PROVED)
        await it.sim.apply(QUOTA)
        await set_container(it, image="registry.invalid/web:2")
        delete_pods(it)
        waiting = await asked(it, "Deployment")
        await agree(it, waiting)
        result = await result_of(it, waiting)
        assert result.status is Status.HEALED, result
        assert (result.attempts, it.image()) == (2, "registry.example/shop/web:1")
        lines = await it.ports.ledger.audit(incident_id=waiting.id)
        assert any("One failure is gone and another shows" in line.sentence for line in lines)
        assert "undo" not in {line.phase for line in lines}, "what was done for the first stands"
        assert it.writes() == ["delete resourcequotas/tight", *["patch deployments.apps/web"] * 2]


async def test_pods_that_a_cordon_keeps_waiting_are_one_incident_at_the_node(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=POLICY) as it:
        await it.sim.clock.sleep(PROVED)
        for node in it.sim.kubelets.nodes():
            live = it.sim.get("Node", "", node.name)
            assert live is not None
            spec: JsonObject = {**dig_object(live, "spec"), "unschedulable": True}
            metadata: JsonObject = {"name": node.name}
            cordoned: JsonObject = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
            await it.sim.apply(cordoned)
        delete_pods(it)
        waiting = await asked(it, "Node")
        assert [ref.name for ref in Incident.model_validate(waiting.document).affected] == ["web"]
        await it.sim.clock.sleep(timedelta(seconds=100))
        kinds = {r.target.kind for r in await it.ports.ledger.incidents()}
        assert kinds == {"Node"}, "the workload has no incident of its own while its cause waits for a person"
        for record in await it.ports.ledger.incidents(open_only=True):
            await agree(it, record)
        assert (await result_of(it, waiting)).status is Status.HEALED
        assert it.sim.ready("Deployment", "shop", "web")


async def test_a_workload_goes_its_own_way_when_nothing_is_done_about_its_cause(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=POLICY) as it:
        await it.sim.clock.sleep(PROVED)
        claim: JsonObject = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "misspelt",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        await it.sim.apply(claim)
        await mount(it, "data")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert result.plan is not None
        assert [s.action.action for s in result.plan.steps] == ["rollback_workload"]
        (about_claim,) = [r for r in await it.ports.ledger.incidents() if r.target.kind == "PersistentVolumeClaim"]
        assert about_claim.status == Status.ESCALATED.value, "nobody knows a class that would do"
        assert about_claim.closed_at is not None
        assert about_claim.closed_at <= result.opened_at, "the cause had the first chance"


async def mount(it: Bench, claim: str) -> None:
    live = it.sim.get("Deployment", "shop", "web")
    assert live is not None
    volumes: JsonObject = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    template = dig_object(live, "spec", "template")
    spec: JsonObject = {**dig_object(template, "spec"), "volumes": [volumes]}
    metadata: JsonObject = {
        k: v for k, v in dig_object(live, "metadata").items() if k not in ("resourceVersion", "managedFields")
    }
    whole: JsonObject = {**dig_object(live, "spec"), "template": {**template, "spec": spec}}
    await it.sim.apply({**live, "metadata": metadata, "spec": whole})


FAILED_JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: import, namespace: shop}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: job, image: "registry.example/shop/import:1", command: [sh, -c, "exit 3"]}]
"""
JOB = ObjectRef(kind="Job", namespace="shop", name="import")


async def begin(it: Bench, ref: ObjectRef) -> tuple[IncidentId, asyncio.Task[object]]:
    """Have an object looked at, in the background."""
    trigger = FromReference(ref=ref)
    admitted = await admit(trigger, it.ports)
    assert isinstance(admitted, Admitted)
    run = Runner(it.ports, InMemorySaver()).heal(admitted.record.id, trigger)
    return admitted.record.id, asyncio.ensure_future(run)


@pytest.mark.parametrize("is_mended", [True, False], ids=["and is mended meanwhile", "and is not mended by that"])
async def test_an_incident_without_a_plan_waits_for_one_that_has_written(tmp_path: Path, *, is_mended: bool) -> None:
    async with bench(tmp_path, watch=False) as it:
        await it.sim.apply(FAILED_JOB)
        await set_container(it, image="registry.invalid/web:2")
        await it.sim.clock.sleep(timedelta(seconds=10))
        other, first = await begin(it, ObjectRef(kind="Deployment", namespace="shop", name="web"))
        await it.sim.clock.sleep(timedelta(seconds=10))
        assert it.writes() == ["patch deployments.apps/web"]
        assert not first.done(), "it watches whether its remedy lasts"
        mine, second = await begin(it, JOB)
        await it.sim.clock.sleep(timedelta(seconds=10))
        assert not second.done(), "nothing is known against a failed Job, but the other may have mended it"
        if is_mended:
            it.sim.api.delete(it.sim.kind("Job"), "shop", "import")
        await asyncio.gather(first, second)
        ended = {id_: await it.ports.ledger.incident(id_) for id_ in (mine, other)}
        own, others = ended[mine], ended[other]
        assert own is not None
        assert others is not None
        assert own.closed_at is not None
        assert others.closed_at is not None
        assert others.status == Status.HEALED.value
        assert own.status == (Status.CLEARED if is_mended else Status.ESCALATED).value
        assert (own.closed_at < others.closed_at) is is_mended, "no longer than it shows, or than the other acts"


async def test_a_healing_that_nobody_declared_is_left_alone_and_said(tmp_path: Path) -> None:
    """The declared image cannot be had; going back heals; then the live state differs, and is not put back."""
    declared = tmp_path / "declared"
    declared.mkdir()
    async with bench(tmp_path, desired=declared) as it:
        await it.sim.clock.sleep(PROVED)
        bad = yaml.safe_load_all(WEB.replace("registry.example/shop/web:1", "registry.invalid/web:2"))
        manifest = next(d for d in bad if d["kind"] == "Deployment")
        (declared / "web.yaml").write_text(yaml.safe_dump(manifest))
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert it.image() == "registry.example/shop/web:1"
        await it.sim.clock.sleep(timedelta(minutes=3))
        assert it.image() == "registry.example/shop/web:1", "what is declared would bring the failure back"
        assert len(it.writes()) == 1
        records = await it.ports.ledger.incidents(namespace="shop")
        told = [ExecutionResult.model_validate(r.result) for r in records if r.result is not None]
        causes = {t.diagnosis.cause for t in told if t.diagnosis is not None}
        assert "healing_not_declared" in causes, causes
