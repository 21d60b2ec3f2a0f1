"""Questions that wait for a person: held while the process runs, answered once, and a no when their time is over.

The rules it keeps: the ledger's row is the answer (the first before the end, across processes and restarts), and it is
committed before the run goes on; a yes counts for exactly the plan that was shown, under the policy that is loaded now;
in this process an answer and the end of the time never overtake each other.

Neighbours: `server.dispatch` gives the runs that wait and goes on with them, `server.byhand` and the routes bring the
answers, `graph.nodes.approval` judges once more before anything is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from graph.plan import Approved, Declined, Status
from graph.ports import Ports
from graph.runner import Waiting, decision_in
from server.byhand_view import Word
from server.logging import get_logger
from server.problem import ProblemCode
from server.tickets import Outcome
from tools.errors import ToolError
from tools.guard.verdict import ReasonCode
from tools.refs import IncidentId

_LOG = get_logger(__name__)
GoOn: TypeAlias = Callable[[IncidentId, Approved | Declined], asyncio.Task[Outcome]]
ASK_AGAIN = timedelta(seconds=10)
"""After the ledger could not say whether somebody answered in time."""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The answer was not taken and changed nothing; the code says why."""

    code: ProblemCode | ReasonCode
    sentence: str


class Questions:
    """The open questions of one process, by incident."""

    def __init__(self, ports: Ports, go_on: GoOn) -> None:
        """`go_on` runs an incident on with its decision."""
        self._ports = ports
        self._go_on = go_on
        self._open: dict[IncidentId, Waiting] = {}
        self._ends: dict[IncidentId, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()

    def __contains__(self, incident_id: object) -> bool:
        return incident_id in self._open

    @property
    def incidents(self) -> frozenset[IncidentId]:
        """The incidents that wait."""
        return frozenset(self._open)

    def hold(self, waiting: Waiting) -> None:
        """Hold an incident until somebody answers; nobody in time is a no."""
        incident_id = IncidentId(waiting.incident_id)
        self._drop(incident_id)
        self._open[incident_id] = waiting
        self._ends[incident_id] = asyncio.create_task(self._end(waiting), name=f"approval {incident_id}")

    async def answer(
        self, incident_id: IncidentId, word: Word, *, plan_hash: str, by: str, why: str = ""
    ) -> asyncio.Task[Outcome] | NotTaken:
        """Take an answer and run the incident on.

        After a task is returned the answer is durable: a process that dies now goes on with it after its restart.
        Raises `LedgerError` when it could not be made durable; nothing was answered then.
        """
        async with self._one_at_a_time:
            waiting = self._open.get(incident_id)
            if waiting is None:
                return await self._why_not(incident_id)
            if plan_hash != waiting.plan_hash:
                return NotTaken(
                    ReasonCode.APPROVAL_MISMATCH,
                    f"incident {incident_id} asks about the plan {waiting.plan_hash}, not about {plan_hash[:64]}; "
                    "look at it again and answer what it asks now",
                )
            if word == "approved" and waiting.policy_hash != self._ports.policy.hash:
                return NotTaken(
                    ReasonCode.APPROVAL_MISMATCH,
                    "the policy has changed since this was asked, so nobody can say yes to it any more; reject it",
                )
            now = self._ports.clock.now()
            if not await self._ports.ledger.decide(incident_id, plan_hash, word, by, why, now):
                return await self._why_not(incident_id)
            return await self._move_on(waiting)

    async def decide(self, incident_id: IncidentId, decision: Approved | Declined) -> asyncio.Task[Outcome]:
        """Run on with a decision that is settled elsewhere.  KeyError when the incident does not wait here."""
        if incident_id not in self._open:
            raise KeyError(incident_id)
        self._drop(incident_id)
        return self._go_on(incident_id, decision)

    async def close(self) -> None:
        """Stop waiting; the questions stay where they are, in the ledger and the checkpoints."""
        ends = list(self._ends.values())
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)

    async def _why_not(self, incident_id: IncidentId) -> NotTaken:
        """What a person is told whose answer comes to a question that is not open."""
        asked = await self._ports.ledger.approval(incident_id)
        if asked is not None and asked.decision is not None:
            return NotTaken(
                ProblemCode.ALREADY_DECIDED, f"incident {incident_id} was {asked.decision} by {asked.decided_by} before"
            )
        if asked is not None and asked.expires_at <= self._ports.clock.now():
            return NotTaken(
                ReasonCode.PLAN_EXPIRED,
                f"nobody answered incident {incident_id} before {asked.expires_at:%H:%M:%S} UTC, and that is a no",
            )
        return NotTaken(ProblemCode.NOT_WAITING, f"incident {incident_id} does not wait for an answer")

    async def _end(self, waiting: Waiting) -> None:
        """When the time is over: what the ledger holds is the answer, and nothing there is a no."""
        clock = self._ports.clock
        await clock.sleep(max(waiting.expires_at - clock.now(), timedelta(0)))
        while True:
            try:
                async with self._one_at_a_time:
                    if self._open.get(IncidentId(waiting.incident_id)) is waiting:
                        await self._move_on(waiting)
                    return
            except ToolError as error:
                _LOG.warning("approval.unread", incident_id=waiting.incident_id, code=error.code, error=str(error))
            await clock.sleep(ASK_AGAIN)

    async def _move_on(self, waiting: Waiting) -> asyncio.Task[Outcome]:
        """Say that it is worked on again, and run on with the answer in the ledger."""
        incident_id = IncidentId(waiting.incident_id)
        ledger, now = self._ports.ledger, self._ports.clock.now()
        decision = decision_in(await ledger.approval(incident_id), waiting.plan_hash)
        if decision is None:
            decision = Declined(by="selfheal", why="nobody answered in time", at=now)
        record = await ledger.incident(incident_id)
        if record is not None and record.is_open:
            await ledger.save_incident(
                incident_id, status=Status.OPEN.value, is_open=True, document=record.document, now=now
            )
        return await self.decide(incident_id, decision)

    def _drop(self, incident_id: IncidentId) -> None:
        self._open.pop(incident_id, None)
        end = self._ends.pop(incident_id, None)
        if end is not None and end is not asyncio.current_task():
            end.cancel()
