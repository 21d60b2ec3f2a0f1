"""What a person does by hand: take an incident's writes back, pause a namespace, lift the pause.

The rules it keeps: an undo goes through the same door, by the recorded inverse, under the target's lock, and stops at
the first write that cannot be taken back; nothing is taken back while an incident works on the same object; a service
that only observes undoes nothing either.  Each order leaves a line with the name of who gave it.

Neighbours: `server.routes.byhand` and `server.commands.byhand` call it; `tools.guard.door.Door.undo` does the work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from graph.incident import Value
from graph.intake import describe
from graph.nodes.common import tell
from graph.nodes.undo import take_back_one
from graph.ports import Ports
from server.byhand_view import EVERYWHERE, PauseView, UndoReport, UndoStep
from server.problem import ProblemCode
from tools.guard.policy import Mode
from tools.guard.verdict import ReasonCode, Refused
from tools.ledger.ledger import Ledger
from tools.ledger.records import ActionRecord, ActionState, AuditEntry, IncidentRecord
from tools.refs import IncidentId

_STANDS: Final = frozenset({ActionState.APPLIED, ActionState.INTENDED, ActionState.UNKNOWN})


class NotDone(Value):
    """The order was not carried out at all; the code says why."""

    code: ProblemCode | ReasonCode
    sentence: str


async def undo_incident(incident_id: IncidentId, ports: Ports, *, by: str) -> UndoReport | NotDone | None:
    """Take back every write of a closed incident that still stands, newest first; None when there is no such incident.

    Safe to repeat.  Raises `LedgerError` when the ledger cannot be used; nothing more is sent then.
    """
    record = await ports.ledger.incident(incident_id)
    if record is None:
        return None
    hindrance = await _hindrance(record, ports)
    if hindrance is not None:
        return hindrance
    standing = [a for a in await ports.ledger.actions_of(incident_id) if a.intent.undoes is None and a.state in _STANDS]
    if not standing:
        return UndoReport(incident_id=incident_id, complete=True, sentence="Nothing of it stands.", steps=())
    await tell(ports, incident_id, "undo", f"{by} ordered to take this incident's writes back.", actor=f"human:{by}")
    steps: list[UndoStep] = []
    for action in reversed(standing):
        steps.append(await _undo(action, incident_id, ports))
        if steps[-1].code:
            break
    return _report(record, steps, left=len(standing) - len(steps))


async def _hindrance(record: IncidentRecord, ports: Ports) -> NotDone | None:
    if record.is_open:
        sentence = f"incident {record.id} is being worked on; reject its plan or wait for its end, then undo it"
        return NotDone(code=ProblemCode.STILL_OPEN, sentence=sentence)
    other = await ports.ledger.open_for(record.target_uid)
    if other is not None:
        sentence = f"incident {other.id} works on {describe(record.target)}; wait for its end"
        return NotDone(code=ReasonCode.LOCKED, sentence=sentence)
    namespace = record.target.namespace or ""
    if ports.policy.mode_for(namespace, "") in {Mode.OFF, Mode.OBSERVE}:
        sentence = f"the policy (or --observe) lets nothing be written in {namespace or 'the cluster'}, undos included"
        return NotDone(code=ReasonCode.OBSERVE_ONLY, sentence=sentence)
    return None


async def _undo(action: ActionRecord, incident_id: IncidentId, ports: Ports) -> UndoStep:
    intent = action.intent
    result = await take_back_one(intent.action_id, incident_id, ports)
    is_refused = isinstance(result, Refused)
    sentence = result.reason if isinstance(result, Refused) else result.sentence
    code = result.code.value if isinstance(result, Refused) else ""
    await tell(ports, incident_id, "undo", f"Not undone: {sentence}" if is_refused else sentence, code=code)
    return UndoStep(
        action_id=intent.action_id, tool=intent.tool, target=intent.target, code=code, sentence=sentence,
        by="" if isinstance(result, Refused) else result.by,
    )  # fmt: skip


def _report(record: IncidentRecord, steps: list[UndoStep], *, left: int) -> UndoReport:
    refused = next((s for s in steps if s.code), None)
    if refused is None:
        told = f"{len(steps)} write(s) taken back; {describe(record.target)} is as it was before incident {record.id}."
    else:
        told = f"Stopped at {refused.tool} on {refused.target}: {refused.sentence}"
        told += f" {left} older write(s) were not touched." if left else ""
    return UndoReport(incident_id=record.id, complete=refused is None, sentence=told, steps=tuple(steps))


async def pause(ledger: Ledger, namespace: str, length: timedelta, *, by: str, why: str, now: datetime) -> PauseView:
    """Write nothing in a namespace (`*`: anywhere) for a while; a later pause replaces the earlier one."""
    until = now + length
    await ledger.pause(namespace, until, by, now)
    where = "everywhere" if namespace == EVERYWHERE else f"in {namespace}"
    reason = f": {why}" if why else "."
    await _note(ledger, f"{by} paused acting {where} until {until:%Y-%m-%d %H:%M:%S} UTC{reason}", by=by, now=now)
    return PauseView(namespace=namespace, until=until, by=by, since=now)


async def unpause(ledger: Ledger, namespace: str, *, by: str, now: datetime) -> bool:
    """Lift the pause of a namespace; False when none holds."""
    if not any(p.namespace == namespace for p in await ledger.pauses(now)):
        return False
    await ledger.unpause(namespace)
    where = "everywhere" if namespace == EVERYWHERE else f"in {namespace}"
    await _note(ledger, f"{by} lifted the pause {where}.", by=by, now=now)
    return True


async def pauses(ledger: Ledger, now: datetime) -> list[PauseView]:
    """The pauses that hold now."""
    return [
        PauseView(namespace=p.namespace, until=p.until, by=p.paused_by, since=p.paused_at)
        for p in await ledger.pauses(now)
    ]


async def _note(ledger: Ledger, sentence: str, *, by: str, now: datetime) -> None:
    await ledger.record(
        AuditEntry(at=now, incident_id=None, phase="pause", actor=f"human:{by}", sentence=sentence[:2000], data={})
    )
