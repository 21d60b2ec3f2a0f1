"""What is taken down of an incident's world: enough to see it again, no secrets, and no more than there is room for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver

from graph.evidence import gather
from graph.incident import FromReference, Incident
from graph.intake import Admitted, admit
from graph.recorded import World
from graph.recording import Recorder, manifest_of
from graph.runner import Runner
from tests.support.healing import Bench, bench, end_of, set_container
from tools.cluster.objects import ClusterEvent, KubeObject, decode_json
from tools.cluster.reads import noting
from tools.jsontypes import JsonObject, canonical, dig, dig_list, dig_str
from tools.refs import IncidentId, ObjectRef

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {mode: fast, password: sesame}
"""


async def admitted(it: Bench) -> Incident:
    found = await admit(FromReference(ref=WEB), it.ports)
    assert isinstance(found, Admitted)
    return Incident.model_validate(found.record.document)


async def recorded(it: Bench, recorder: Recorder) -> tuple[str, JsonObject]:
    incident = await admitted(it)
    with noting() as reads:
        evidence = await gather(incident, it.ports)
    digest = await recorder.world(incident, evidence, reads, it.ports)
    return digest, await it.ports.ledger.document(digest) or {}


def names(world: JsonObject, kind: str) -> list[str]:
    return [dig_str(o, "metadata", "name") for o in dig_list(world, "objects") if dig_str(o, "kind") == kind]


async def test_every_incident_refers_to_the_world_that_it_was_judged_by(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.clock.sleep(timedelta(seconds=40))  # the revision becomes last known good
        await set_container(it, image="registry.invalid/shop/web:2")
        result = await end_of(it)
        lines = await it.ports.ledger.audit(incident_id=IncidentId(result.incident_id))
        first = next(e for e in lines if e.phase == "evidence")
        world = World.model_validate(await it.ports.ledger.document(dig_str(first.data, "world")))
        decision = next(e for e in lines if e.phase == "decision")
        assert await it.ports.ledger.document(dig_str(decision.data, "world")), "what the validator read"
        plan = next(e for e in lines if e.phase == "plan" and "plan" in e.data)
    assert dig_str(plan.data, "plan", "steps", 0, "action", "action") == "rollback_workload"
    kinds = {dig_str(o, "kind") for o in world.objects}
    assert kinds >= {"Namespace", "Deployment", "ReplicaSet", "Pod", "Node", "Event"}
    assert len([r for r in world.reads if r.path.endswith("/deployments/web") and r.found == 1]) == 1
    assert [g.owner for g in world.remembered.good_templates] == [WEB]
    assert {s.reason for s in world.first_seen} >= {"IMAGE_PULL_FAILED"}
    assert world.kubernetes
    assert world.cut == ()


async def test_no_secret_is_kept_and_a_changed_one_still_differs(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        await it.sim.apply(SETTINGS)
        env: list[JsonObject] = [
            {"name": n, "value": v} for n, v in (("A_TOKEN", "s1"), ("B_TOKEN", "s1"), ("C_TOKEN", "s2"))
        ]
        await set_container(it, env=[*env])
        await it.sim.clock.sleep(timedelta(seconds=5))
        _, world = await recorded(it, Recorder())
    assert "sesame" not in json.dumps(world)
    web = next(o for o in dig_list(world, "objects") if dig_str(o, "kind") == "Deployment")
    one, same, other = (dig_str(e, "value") for e in dig_list(web, "spec", "template", "spec", "containers", 0, "env"))
    assert one == same != other
    assert one.startswith("[REDACTED:")


async def test_it_keeps_to_its_size_and_says_what_is_missing(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        whole = World.model_validate((await recorded(it, Recorder()))[1])
        _, small = await recorded(it, Recorder(max_bytes=12_000))
    assert whole.cut == ()
    assert len(canonical(small)) < 16_000, "the frame is beside the bound"
    assert names(small, "Deployment") == ["web"], "the target goes first"
    cut = World.model_validate(small).cut
    assert cut
    assert len(dig_list(small, "objects")) + len(cut) >= len(whole.objects) or "more" in cut[-1]


async def test_a_recording_that_fails_is_no_failure(tmp_path: Path) -> None:
    class Broken(Recorder):
        async def _server_version(self, ports: object) -> str:
            raise ZeroDivisionError

    async with bench(tmp_path, watch=False) as it:
        digest, _ = await recorded(it, Broken())
        incident = await admitted(it)
    assert digest == ""
    assert incident.target == WEB


async def test_without_a_recorder_nothing_is_taken_down(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        assert it.ports.recorder is not None, "recording is the default"
        incident = await admitted(it)
        trigger = FromReference(ref=WEB)
        await Runner(replace(it.ports, recorder=None), InMemorySaver()).heal(incident.id, trigger)
        lines = await it.ports.ledger.audit(incident_id=incident.id)
    assert [e.phase for e in lines if "evidence" in e.data] == ["evidence"]
    assert not any("world" in e.data for e in lines if e.phase == "evidence")


async def test_what_the_watch_shows_reads_the_same_again(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        await it.sim.apply(SETTINGS)
        await it.sim.clock.sleep(timedelta(seconds=2))
        held: list[KubeObject] = [i for r in it.ports.mirror.reflectors for i in r.store]
    assert {i.kind for i in held} >= {"Pod", "Event", "ReplicaSet", "ConfigMap", "Node"}
    for item in held:
        again = _decoded(manifest_of(item), type(item))
        assert again.metadata == item.metadata
        if isinstance(item, ClusterEvent):
            assert (again.note, again.reason, again.count) == (item.note, item.reason, item.count)  # type: ignore[attr-defined]
            assert again.last_time == item.last_time  # type: ignore[attr-defined]
        elif hasattr(item, "body"):
            assert dig(again.body, "spec") == dig(item.body, "spec")  # type: ignore[attr-defined]
            assert (again.written_at, again.written_by) == (item.written_at, item.written_by)  # type: ignore[attr-defined]
        else:
            assert again == item


def _decoded(manifest: JsonObject, struct: type[KubeObject]) -> KubeObject:
    return decode_json(manifest, struct)
