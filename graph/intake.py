"""From a trigger to an incident: whose trouble is it, and is somebody on it already?

The rule: one open incident per root owner.  A signal about a pod belongs to the Deployment at the end of its owner
chain, and while an incident for that Deployment is open every further signal joins it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from graph.incident import Family, FromReference, FromSignal, Incident, Reason, Signal, Source, fingerprint
from graph.plan import Status
from graph.ports import Ports
from tools.cluster.owners import find_root
from tools.errors import NotFound
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId, ObjectRef


@dataclass(frozen=True, slots=True)
class Admitted:
    """An incident is open for it; `created` is False when it joined one that was open already."""

    record: IncidentRecord
    created: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """The object does not exist, or not in a form that we can look after; the sentence says which."""

    sentence: str


async def admit(trigger: FromSignal | FromReference, ports: Ports) -> Admitted | Unknown:
    """Resolve the root owner and open its incident in the ledger, or join the open one.

    After: the incident's row is durable.  Raises `ToolError` when the cluster or the ledger cannot be reached.
    """
    now = ports.clock.now()
    detected: datetime | None = None
    affected: tuple[ObjectRef, ...] = ()
    match trigger:
        case FromSignal(signal=signal, target=target, target_uid=uid, detected_at=detected, affected=affected):
            source = Source.WATCHER
        case FromReference(ref=ref, source=source, note=note):
            try:
                root = await find_root(ref, ports.mirror, ports.cluster, find=ports.catalogue.find)
            except NotFound as error:
                return Unknown(f"{ref} does not exist: {error}")
            target, uid = root.ref, root.uid
            signal = Signal(
                reason=Reason.REQUESTED, family=Family.REQUESTED, object=ref, uid=uid, message=note, observed_at=now
            )
    incident = Incident(
        id=IncidentId(uuid.uuid4().hex[:12]),
        fingerprint=fingerprint(uid, signal.family),
        target=target,
        target_uid=uid,
        family=signal.family,
        source=source,
        opened_at=now,
        detected_at=detected,
        signals=(signal,),
        affected=affected,
    )
    record, created = await ports.ledger.open_incident(as_record(incident, Status.OPEN, ports))
    return Admitted(record, created)


def as_record(incident: Incident, status: Status, ports: Ports) -> IncidentRecord:
    """The ledger's row for an open incident."""
    return IncidentRecord(
        id=incident.id,
        fingerprint=incident.fingerprint,
        target=incident.target,
        target_uid=incident.target_uid,
        status=status.value,
        is_open=True,
        opened_at=incident.opened_at,
        updated_at=ports.clock.now(),
        document=incident.model_dump(mode="json"),
    )


def describe(target: ObjectRef) -> str:
    """As people say it: `Deployment shop/web`."""
    return f"{target.kind} {target.namespace}/{target.name}" if target.namespace else f"{target.kind} {target.name}"
