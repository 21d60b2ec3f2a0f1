"""Evidence as it is read from a cluster: what has come meanwhile, what was tried, what was known to be good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graph.evidence import gather, tried_revisions
from graph.incident import FromReference, Incident
from graph.intake import Admitted, admit
from graph.observed import Evidence, Health
from graph.plan import Status
from tests.support.healing import Bench, bench, end_of, set_container
from tools.cluster.resources import DEPLOYMENT, STATEFUL_SET
from tools.journal.revisions import History, Revision, read_history
from tools.jsontypes import JsonObject, dig_str
from tools.ledger.records import ActionRecord, ActionState, GoodRevision, Intent
from tools.refs import ActionId, IncidentId, ObjectRef, PlanId

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
DB = ObjectRef(kind="StatefulSet", namespace="shop", name="db")
LATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, namespace: shop}\ndata: {MODE: fast}\n"
STATEFUL = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: app, image: "registry.example/shop/db:%s"}]}
"""


async def incident_on(it: Bench, ref: ObjectRef) -> Incident:
    admitted = await admit(FromReference(ref=ref), it.ports)
    assert isinstance(admitted, Admitted)
    return Incident.model_validate(admitted.record.document)


async def evidence_of(it: Bench, incident: Incident, *, pods_fail: bool = False) -> Evidence:
    for _ in range(60):
        found = await gather(incident, it.ports)
        if not pods_fail or any(s.confirmed for s in found.signals):
            return found
        await it.sim.clock.sleep(timedelta(seconds=1))
    raise AssertionError("no signal was confirmed")


async def test_settings_that_come_a_moment_later_are_waited_for(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        reference: JsonObject = {"configMapKeyRef": {"name": "late", "key": "MODE"}}
        await set_container(it, env=[{"name": "MODE", "valueFrom": reference}])
        await it.sim.clock.sleep(timedelta(seconds=3))
        await it.sim.apply(LATE)
        await it.sim.until(lambda: it.sim.ready("Deployment", "shop", "web"), seconds=60)
        await it.sim.clock.sleep(timedelta(seconds=30))
        assert it.writes() == []
        assert {r.status for r in await it.ports.ledger.incidents(namespace="shop")} <= {Status.CLEARED.value}


async def test_settings_that_have_come_are_no_reason_to_go_back(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        reference: JsonObject = {"configMapKeyRef": {"name": "late", "key": "MODE"}}
        await set_container(it, env=[{"name": "MODE", "valueFrom": reference}])
        incident = await incident_on(it, WEB)
        before = await evidence_of(it, incident, pods_fail=True)
        assert [s.reason.value for s in before.signals if s.confirmed][:1] == ["CONFIG_MISSING"]
        await it.sim.apply(LATE)
        after = await gather(incident, it.ports)
        assert not any(s.confirmed for s in after.signals)


async def test_two_bad_revisions_in_a_row_end_at_the_good_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await set_container(it, image="registry.invalid/web:2")
        await it.sim.clock.sleep(timedelta(seconds=1))
        await set_container(it, image="registry.invalid/web:3")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert it.image() == "registry.example/shop/web:1"


async def test_without_a_watcher_the_ledger_says_what_was_good(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        history = await read_history(it.ports.cluster, await it.ports.cluster.get(DEPLOYMENT, "web", "shop"))
        assert history.current is not None
        good = GoodRevision(
            owner_uid=history.owner_uid,
            owner=WEB,
            revision_hash=history.current.hash,
            confirmed_at=it.sim.clock.now(),
        )
        await it.ports.ledger.confirm_good(good)
        await set_container(it, image="registry.invalid/web:2")
        found = await evidence_of(it, await incident_on(it, WEB), pods_fail=True)
        assert [(c.to_revision, c.health) for c in found.candidates] == [(1, Health.CONFIRMED)]
        assert it.ports.good.confirmed(history.owner_uid) == {history.current.hash}


async def test_a_revision_of_a_stateful_set_that_was_tried_in_vain_is_bad(tmp_path: Path) -> None:
    async with bench(tmp_path, watch=False) as it:
        for version in ("1", "2", "3"):
            await it.sim.apply(STATEFUL % version)
            await it.sim.until(
                lambda v=version: image_running(it, "db-0") == f"registry.example/shop/db:{v}", seconds=60
            )
        history = await read_history(it.ports.cluster, await it.ports.cluster.get(STATEFUL_SET, "db", "shop"))
        second = next(r for r in history.revisions if r.number == 2)
        incident = await incident_on(it, DB)
        untried = await evidence_of(it, incident)
        intent = rollback(incident.id, second.name, number=2)
        await it.ports.ledger.intend(intent)
        await it.ports.ledger.conclude(intent.action_id, ActionState.APPLIED, now=it.sim.clock.now())
        await it.ports.ledger.mark_undone(intent.action_id, it.sim.clock.now())
        tried = await evidence_of(it, incident)
        assert [(c.to_revision, c.health) for c in untried.candidates] == [(2, Health.UNKNOWN), (1, Health.UNKNOWN)]
        assert [(c.to_revision, c.health) for c in tried.candidates] == [(1, Health.UNKNOWN), (2, Health.BAD)]


def image_running(it: Bench, name: str) -> str:
    held = it.sim.get("Pod", "shop", name)
    ready = held is not None and it.sim.ready("StatefulSet", "shop", "db")
    return dig_str(held, "spec", "containers", 0, "image") if ready else ""


def rollback(incident: IncidentId, name: str, *, number: int = 2, tool: str = "rollback_workload") -> Intent:
    return Intent(
        action_id=ActionId("a-1"),
        incident_id=incident,
        plan_id=PlanId("p-1"),
        plan_hash="h",
        step=0,
        tool=tool,
        arguments={"to_revision": number},
        target=DB,
        target_uid="uid-db",
        owner_uid="uid-db",
        owner=DB,
        origin="rule",
        request={},
        before={"support": {"name": name}},
        inverse=None,
        created_at=RECORDED,
    )


RECORDED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAST = History(DB, "uid-db", None, tuple(Revision(n, f"hash-{n}", f"db-{n}", None, {}, 0) for n in (4, 2, 1)))


def record(state: ActionState, *, verified: bool | None = None, **changes: str) -> ActionRecord:
    intent = rollback(IncidentId("i"), changes.pop("name", "db-2"), **changes)
    return ActionRecord(intent=intent, state=state, verified=verified)


TRIED: dict[str, tuple[ActionRecord, set[str]]] = {
    "undone": (record(ActionState.UNDONE), {"hash-2"}),
    "applied and did not heal": (record(ActionState.APPLIED, verified=False), {"hash-2"}),
    "outcome unknown and did not heal": (record(ActionState.UNKNOWN, verified=False), {"hash-2"}),
    "applied and healed": (record(ActionState.APPLIED, verified=True), set()),
    "applied and not yet judged": (record(ActionState.APPLIED), set()),
    "never applied": (record(ActionState.NOT_APPLIED, verified=False), set()),
    "only intended": (record(ActionState.INTENDED), set()),
    "another tool": (record(ActionState.UNDONE, tool="set_resources"), set()),
    "a revision that is not kept any more": (record(ActionState.UNDONE, name="db-0"), set()),
}


@pytest.mark.parametrize(("action", "hashes"), TRIED.values(), ids=TRIED)
def test_tried(action: ActionRecord, hashes: set[str]) -> None:
    assert tried_revisions(PAST, [action]) == hashes


def test_the_way_back_from_a_revision_is_no_try_of_it() -> None:
    back = record(ActionState.APPLIED, verified=False)
    undoing = back.model_copy(update={"intent": back.intent.model_copy(update={"undoes": ActionId("a-0")})})
    assert tried_revisions(PAST, [undoing]) == frozenset()
