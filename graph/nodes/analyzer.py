"""Reads the world around an incident and says whether something is wrong.

The rule: object status is the evidence, events are hints, and what could not be read is named.  Nothing is decided here
about what to do.  Neighbours: `graph.evidence` does the reading, `graph.signals` the judging; the reasoner comes next.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import TypeAdapter

from graph.evidence import gather
from graph.facts import is_complete
from graph.incident import FromReference, FromSignal, Incident, Trigger
from graph.intake import Unknown, admit, describe
from graph.nodes.common import Node, PortsSource, keep_seen, tell
from graph.observed import Evidence
from graph.ports import Ports
from graph.state import State
from tools.cluster.reads import noting
from tools.refs import IncidentId

TRIGGERS: TypeAdapter[FromSignal | FromReference] = TypeAdapter(Trigger)


def analyzer(source: PortsSource) -> Node:
    """The node over these ports."""

    async def analyze(state: State) -> State:
        ports = await source()
        incident = await _incident(state, ports)
        if incident is None:
            return {"finding": "unreadable"}
        with noting() as reads:
            evidence = await settled(incident, ports)
        digest, seen = await keep_seen(evidence, reads, incident, ports)
        finding = judge(evidence)
        await tell(
            ports,
            incident.id,
            "evidence",
            summary(incident, evidence, finding),
            data={**seen, "attempt": 1, "finding": finding, "unseen": list(evidence.unseen)},
        )
        return {
            "incident_id": incident.id,
            "incident": incident.model_dump(mode="json"),
            "evidence": digest,
            "finding": finding,
            "step": 0,
            "attempts": 0,
            "retries": 0,
            "outcomes": [],
            "refusals": [],
            "failed": [],
        }

    return analyze


async def _incident(state: State, ports: Ports) -> Incident | None:
    """The incident that was opened for this run, or a new one when the run was started by hand (Studio)."""
    incident_id = state.get("incident_id")
    if incident_id is not None:
        record = await ports.ledger.incident(IncidentId(incident_id))
        if record is not None:
            return Incident.model_validate(record.document)
    admitted = await admit(TRIGGERS.validate_python(state.get("trigger")), ports)
    if isinstance(admitted, Unknown):
        return None
    return Incident.model_validate(admitted.record.document)


async def settled(incident: Incident, ports: Ports, *, after_undo: bool = False) -> Evidence:
    """Evidence in which no signal is still within its grace, as far as `Timing.confirm` allows waiting for that.

    After an undo the world that was wrong has just been put back: its pods are being made again and have not had the
    time to fail.  Silence means nothing then until the rollout has come to its end.
    """
    deadline = ports.clock.now() + ports.timing.confirm
    while True:
        evidence = await gather(incident, ports)
        if after_undo:
            evidence = without_undone(evidence)
        waiting = [s for s in evidence.signals if not s.confirmed]
        now = ports.clock.now()
        is_quiet = not waiting and not (after_undo and is_moving(evidence))
        if any(s.confirmed for s in evidence.signals) or is_quiet or now >= deadline:
            return evidence
        due = min((s.due_at for s in waiting if s.due_at is not None), default=deadline)
        pause = max(timedelta(milliseconds=50), min(due, deadline) - now)
        await ports.mirror.changed(incident.target.namespace, min(pause, ports.timing.look))


def without_undone(evidence: Evidence) -> Evidence:
    """Without the signals of a revision that was just taken back: its last pods say nothing of what runs now; pure."""
    work = evidence.workload
    if work is None or is_complete(work):
        return evidence
    kept = tuple(s for s in evidence.signals if s.revision is None or s.revision == work.revision_hash)
    return evidence.model_copy(update={"signals": kept})


def is_moving(evidence: Evidence) -> bool:
    """Whether the workload is not yet as desired: nothing can be concluded from the absence of signals."""
    return evidence.workload is not None and not is_complete(evidence.workload)


def judge(evidence: Evidence, *, after_undo: bool = False) -> str:
    """`wrong`, `clear` or `unreadable`; pure."""
    if any(s.confirmed for s in evidence.signals) or (after_undo and is_moving(evidence)):
        return "wrong"
    if evidence.unseen:
        return "unreadable"
    return "clear"


def summary(incident: Incident, evidence: Evidence, finding: str) -> str:
    """What a person wants to hear first."""
    who = describe(incident.target)
    if finding == "unreadable":
        return f"{who} could not be read well enough to say: {'; '.join(evidence.unseen)}."
    if finding == "clear":
        return f"Nothing is wrong with {who} now."
    confirmed = [s for s in evidence.signals if s.confirmed]
    seen = sorted({f"{s.reason} on {s.object.kind} {s.object.name}" for s in confirmed})
    since = "; the trouble follows a rollout" if evidence.rollout_is_recent else ""
    others = f"; {len(incident.affected)} workloads fail for it" if incident.affected else ""
    return f"{who}: {', '.join(seen[:5])}; {_standing(evidence)}{since}{others}."


def _standing(evidence: Evidence) -> str:
    if evidence.workload is not None:
        return f"{evidence.workload.ready} of {evidence.workload.desired} pods are ready"
    if evidence.subject is None:
        return "it is gone"
    return "it is being deleted" if evidence.subject.deleting else "it is there"
