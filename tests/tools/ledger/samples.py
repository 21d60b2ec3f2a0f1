"""Values to put into a ledger: complete, valid, and different where a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tools.jsontypes import JsonObject, digest
from tools.ledger.records import (
    AuditEntry,
    GoodRevision,
    InboxEntry,
    IncidentRecord,
    Intent,
    ObjectVersion,
    PlanStart,
    Surroundings,
)
from tools.refs import ActionId, IncidentId, ObjectRef, PlanId

NOW = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
NODE = ObjectRef(kind="Node", namespace=None, name="worker-1")
FIRST = IncidentId("inc-1")


def request(id: str = "req-1", *, key: str | None = None, body_hash: str = "h1", caller: str = "alerts") -> InboxEntry:
    body: JsonObject = {"alerts": [{"labels": {"pod": "wëb-0"}, "value": 1.0, "count": 1, "none": None}]}
    return InboxEntry(
        id=id,
        received_at=NOW,
        source="alertmanager",
        body=body,
        body_hash=body_hash,
        caller=caller,
        idempotency_key=key,
    )


def incident(
    id: str = FIRST, *, uid: str = "uid-web", target: ObjectRef = WEB, opened_at: datetime = NOW, status: str = "new"
) -> IncidentRecord:
    return IncidentRecord(
        id=IncidentId(id),
        fingerprint=f"{uid}/crash",
        target=target,
        target_uid=uid,
        status=status,
        is_open=True,
        opened_at=opened_at,
        updated_at=opened_at,
        document={"id": id, "signals": []},
    )


def intent(
    id: str = "act-1",
    *,
    incident_id: str = FIRST,
    plan_id: str = "plan-1",
    replicas: int = 2,
    owner_uid: str = "uid-web",
    undoes: str | None = None,
    created_at: datetime = NOW,
) -> Intent:
    return Intent(
        action_id=ActionId(id),
        incident_id=IncidentId(incident_id),
        plan_id=PlanId(plan_id),
        plan_hash="0123",
        step=0,
        tool="scale_workload",
        arguments={"replicas": replicas},
        target=WEB,
        target_uid="uid-web",
        owner_uid=owner_uid,
        owner=WEB,
        origin="rule",
        request={"verb": "patch", "body": {"spec": {"replicas": replicas}}},
        before={"spec": {"replicas": 1}},
        inverse={"spec": {"replicas": 1}},
        undoes=None if undoes is None else ActionId(undoes),
        created_at=created_at,
    )


def plan(
    id: str = "plan-1", *, owner_uid: str = "uid-web", namespace: str = "shop", started_at: datetime = NOW
) -> PlanStart:
    return PlanStart(
        plan_id=PlanId(id),
        incident_id=FIRST,
        owner_uid=owner_uid,
        owner=WEB,
        namespace=namespace,
        started_at=started_at,
    )


def entry(sentence: str = "It was seen.", *, incident_id: str | None = FIRST, at: datetime = NOW) -> AuditEntry:
    return AuditEntry(
        at=at,
        incident_id=None if incident_id is None else IncidentId(incident_id),
        phase="signal",
        actor="watcher",
        sentence=sentence,
        data={"restarts": 3, "ratio": 0.5},
    )


def good(revision: str, *, confirmed_at: datetime = NOW, owner_uid: str = "uid-web") -> GoodRevision:
    return GoodRevision(owner_uid=owner_uid, owner=WEB, revision_hash=revision, confirmed_at=confirmed_at)


SETTINGS = ObjectRef(kind="ConfigMap", namespace="shop", name="web")


def version(mode: str = "blue", *, confirmed_at: datetime = NOW, ref: ObjectRef = SETTINGS) -> ObjectVersion:
    manifest: JsonObject = {"kind": ref.kind, "metadata": {"name": ref.name}, "data": {"MODE": mode}}
    return ObjectVersion(
        ref=ref,
        digest=digest(manifest),
        manifest=manifest,
        vouched_by=WEB,
        first_confirmed_at=confirmed_at,
        confirmed_at=confirmed_at,
    )


def surroundings(*present: str, confirmed_at: datetime = NOW, owner: ObjectRef = WEB) -> Surroundings:
    return Surroundings(owner=owner, present=present, confirmed_at=confirmed_at)
