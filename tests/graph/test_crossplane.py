"""Resources of Crossplane from trouble to end: the service and a double of the controllers over the simulator."""

from __future__ import annotations

from pathlib import Path

import yaml

from graph.incident import FromReference, Incident, Reason
from graph.intake import Admitted, admit
from graph.plan import Status
from tests.support.crossplane.bench import Bench, bench
from tests.support.crossplane.model import BUCKET, NETWORK, managed
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import CREATE_PENDING, EXTERNAL_NAME, PAUSED, REQUESTED
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.redact import REDACTED
from tools.refs import ObjectRef


async def made(it: Bench, name: str = "data") -> None:
    """A bucket that is as it should be."""
    await it.sim.apply(managed(BUCKET, name, namespace="shop"))
    await it.sim.until(lambda: is_well(it, name), seconds=60)


def is_well(it: Bench, name: str, kind: str = "Bucket", namespace: str = "shop") -> bool:
    live = it.held(kind, name, namespace)
    said = [facts.condition(live, c) for c in (facts.SYNCED, facts.READY)]
    return all(c is not None and c.is_true for c in said)


def declared(folder: Path, *manifests: object) -> Path:
    place = folder / "desired"
    place.mkdir()
    (place / "all.yaml").write_text(yaml.safe_dump_all(manifests))
    return place


def reasons(record_document: object) -> set[Reason]:
    return {s.reason for s in Incident.model_validate(record_document).signals}


async def test_what_is_declared_running_and_was_paused_is_resumed(tmp_path: Path) -> None:
    folder = declared(tmp_path, managed(BUCKET, "data", namespace="shop"))
    async with bench(tmp_path, desired=folder) as it:
        await made(it)
        name = facts.annotation(it.held("Bucket", "data"), EXTERNAL_NAME)
        await it.annotate("Bucket", "data", **{PAUSED: "true"})
        record, result = await it.end("data")
        assert (result.status, reasons(record.document)) == (Status.HEALED, {Reason.RECONCILE_PAUSED})
        live = it.held("Bucket", "data")
        assert PAUSED not in dig_object(live, "metadata", "annotations")
        assert facts.annotation(live, EXTERNAL_NAME) == name
        assert it.writes() == ["patch buckets.storage.example.org/data"]


async def test_what_nobody_declared_waits_for_a_person(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await made(it)
        await it.annotate("Bucket", "data", **{PAUSED: "true"})
        await it.change("Bucket", "data", {"spec": {"forProvider": {"region": "south"}}})
        await it.sleep(120)
        (record,) = await it.incidents()
        assert (record.is_open, record.status) == (True, Status.WAITING.value), record
        assert it.writes() == []


async def test_a_pause_in_which_nothing_waits_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await made(it)
        await it.annotate("Bucket", "data", **{PAUSED: "true"})
        await it.sleep(900)
        assert (await it.incidents(), it.writes()) == ([], [])


async def test_a_change_that_no_controller_saw_is_asked_about_and_healed(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await made(it)
        await it.sleep(5)
        it.double.deaf.add("data")
        await it.change("Bucket", "data", {"spec": {"forProvider": {"region": "south"}}})
        record, result = await it.end("data")
        assert (result.status, reasons(record.document)) == (Status.HEALED, {Reason.RECONCILE_STUCK})
        live = it.held("Bucket", "data")
        token = facts.annotation(live, REQUESTED)
        assert token
        assert dig_str(live, "status", "lastHandledReconcileAt") == token
        assert {t.region for t in it.outside.things.values()} == {"south"}
        assert it.writes() == ["patch buckets.storage.example.org/data"]


async def test_what_the_outside_refuses_is_told_and_not_touched(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        it.outside.error = "AccessDenied: user crossplane may not call s3:CreateBucket (password=hunter2secret)"
        await it.sim.apply(managed(BUCKET, "data", namespace="shop"))
        record, result = await it.end("data")
        assert (result.status, reasons(record.document)) == (Status.ESCALATED, {Reason.EXTERNAL_SYNC_FAILED})
        assert it.writes() == []
        told = record.model_dump_json()
        assert "s3:CreateBucket" in told
        assert REDACTED in told
        assert "hunter2secret" not in told


async def test_a_creation_whose_end_nobody_knows_is_never_acted_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        it.outside.dies = True
        await it.sim.apply(managed(BUCKET, "data", namespace="shop"))
        record, result = await it.end("data")
        assert (result.status, reasons(record.document)) == (Status.ESCALATED, {Reason.EXTERNAL_UNCERTAIN})
        notes = dig_object(it.held("Bucket", "data"), "metadata", "annotations")
        assert CREATE_PENDING in notes
        assert CREATE_PENDING in record.model_dump_json(), "how to resolve it"
        assert it.outside.calls.count("create") == 1
        assert it.writes() == []


async def test_a_part_that_fails_is_one_incident_with_the_wholes_named(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        it.outside.error = "QuotaExceeded: 100 of 100 volumes"
        claim: JsonObject = {
            "apiVersion": "platform.example.org/v1",
            "kind": "Shelf",
            "metadata": {"name": "books", "namespace": "shop"},
            "spec": {"region": "north"},
        }
        await it.sim.apply(claim)
        await it.sim.until(lambda: bool(it.sim.all_of("Volume")), seconds=60)
        (volume,) = it.sim.all_of("Volume")
        record, result = await it.end(dig_str(volume, "metadata", "name"))
        await it.sleep(1800)
        assert [r.id for r in await it.incidents() if r.target.kind != record.target.kind] == []
        assert result.status is Status.ESCALATED
        wholes = {ref.kind for ref in Incident.model_validate(record.document).affected}
        assert wholes == {"XShelf.platform.example.org", "Shelf.platform.example.org"}
        assert it.writes() == []


async def test_an_error_whose_cause_is_gone_is_asked_about_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.sim.apply(managed(BUCKET, "data", namespace="shop", networkRef={"name": "net"}))
        await it.sim.until(lambda: facts.condition(it.held("Bucket", "data"), facts.SYNCED) is not None, seconds=60)
        it.double.deaf.add("data")
        await it.sim.apply(managed(NETWORK, "net", namespace="shop"))
        record, result = await it.end("data")
        assert (result.status, reasons(record.document)) == (Status.HEALED, {Reason.EXTERNAL_REFERENCE_BROKEN})
        assert it.writes() == ["patch buckets.storage.example.org/data"]
        assert is_well(it, "data")


async def test_a_resource_can_be_named_by_whoever_asks(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await made(it)
        ref = ObjectRef.parse("shop/Bucket.storage.example.org/data")
        admitted = await admit(FromReference(ref=ref), it.ports)
        assert isinstance(admitted, Admitted)
        assert (admitted.record.target, admitted.record.target_uid) == (
            ref,
            dig_str(it.held("Bucket", "data"), "metadata", "uid"),
        )


async def test_nothing_is_watched_or_written_that_nobody_listed(tmp_path: Path) -> None:
    async with bench(tmp_path, names=()) as it:
        it.outside.error = "AccessDenied"
        await it.sim.apply(managed(BUCKET, "data", namespace="shop"))
        await it.sleep(900)
        assert (await it.incidents(), it.writes()) == ([], [])
        asked = {r.resource for r in it.sim.audit.requests if r.user == "healer"}
        assert not {r for r in asked if r.endswith(".example.org")}
