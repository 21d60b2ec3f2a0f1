"""What every node does alike: reach the ports, and leave one sentence about what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from graph.evidence import keep
from graph.incident import Incident
from graph.observed import Evidence
from graph.ports import Ports
from graph.state import State
from tools.cluster.reads import Reads
from tools.jsontypes import JsonObject
from tools.ledger.records import AuditEntry
from tools.redact import excerpt
from tools.refs import IncidentId

PortsSource: TypeAlias = Callable[[], Awaitable[Ports]]
"""Gives the process's ports; Studio opens them at the first call, the service has them open already."""


class Node(Protocol):
    """A node: reads channels, returns the ones it changes."""

    async def __call__(self, state: State) -> State:
        """Do one super-step's work."""
        ...


MAX_SENTENCE = 2000


def incident_of(state: State) -> Incident:
    """The incident; a run without one is a defect of the caller."""
    return Incident.model_validate(state.get("incident"))


async def tell(
    ports: Ports,
    incident_id: IncidentId,
    phase: str,
    sentence: str,
    *,
    actor: str = "selfheal",
    code: str = "",
    data: JsonObject | None = None,
) -> None:
    """Write one line of the incident's account into the audit trail, redacted and cut."""
    await ports.ledger.record(
        AuditEntry(
            at=ports.clock.now(),
            incident_id=incident_id,
            phase=phase,
            actor=actor,
            sentence=excerpt(sentence, MAX_SENTENCE),
            code=code,
            data=data or {},
        )
    )


async def keep_seen(evidence: Evidence, reads: Reads, incident: Incident, ports: Ports) -> tuple[str, JsonObject]:
    """Keep the evidence, and the world that it was gathered from; the evidence's digest, and both for the trail."""
    digest = await keep(evidence, ports)
    seen: JsonObject = {"evidence": digest}
    if ports.recorder is not None:
        seen["world"] = await ports.recorder.world(incident, evidence, reads, ports)
    return digest, seen
