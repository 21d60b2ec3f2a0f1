"""Runs the graph for one incident, from a trigger, an answer or a restart, to its end or to a question.

The rule: one thread per incident and never two runs of it at once in this process; the caller (`server.dispatch`, the
command line) owns that.  A run that breaks is never silent: the incident is escalated with the reason, and what was
written stays in the ledger for whoever looks.
"""

# LangGraph leaves type variables open here.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from graph.build import build_graph
from graph.incident import FromReference, FromSignal, Incident
from graph.nodes.common import tell
from graph.plan import Approved, Declined, ExecutionResult, Plan, Resolution, Status
from graph.ports import Ports
from graph.state import State
from tools.errors import Transient
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str
from tools.ledger.records import Approval
from tools.refs import IncidentId

log = structlog.get_logger(__name__)

RECURSION_LIMIT = 2500
"""Super-steps of one run: attempts x (steps + retries) stays far below, and so does a drain of fifty pods of which each
is held back by a disruption budget; beyond it the routing itself is broken."""
OUTAGE_TRIES = 30
OUTAGE_PAUSE = timedelta(seconds=10)
"""An API server that is away is waited for this often and this long before an incident is given up on."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run stands still until a person decides."""

    incident_id: IncidentId
    plan: Plan
    plan_hash: str
    policy_hash: str
    reasons: tuple[str, ...]
    expires_at: datetime


@contextlib.asynccontextmanager
async def open_checkpointer(state_dir: Path) -> AsyncGenerator[AsyncSqliteSaver]:
    """The default checkpointer: a SQLite file beside the ledger.  After: its tables exist."""
    await asyncio.to_thread(state_dir.mkdir, parents=True, exist_ok=True, mode=0o700)
    async with AsyncSqliteSaver.from_conn_string(str(state_dir / "checkpoints.db")) as saver:
        await saver.setup()
        yield saver


class Runner:
    """The compiled graph over the process's ports."""

    def __init__(self, ports: Ports, checkpointer: BaseCheckpointSaver[str]) -> None:
        self._ports = ports

        async def source() -> Ports:
            return ports

        self._graph = build_graph(source, ports.limits).compile(checkpointer=checkpointer)

    async def heal(
        self, incident_id: IncidentId, trigger: FromSignal | FromReference
    ) -> ExecutionResult | Waiting | None:
        """Run a new incident.  Before: its row is in the ledger (`graph.intake.admit`)."""
        state: State = {"incident_id": incident_id, "trigger": trigger.model_dump(mode="json")}
        return await self._run(incident_id, state)

    async def resume(self, incident_id: IncidentId) -> ExecutionResult | Waiting | None:
        """After a restart: go on where the last checkpoint stands.

        None when the thread was never begun (the caller starts it anew with `heal`).  An incident that waits for a
        person goes on waiting, unless the answer is in the ledger already: then it was cut off between the two.
        """
        state = await self._graph.aget_state(_config(incident_id))
        if not state.created_at:
            return None
        if any(task.interrupts for task in state.tasks):
            standing = await self.result(incident_id)
            given = await self._answer_given(standing) if isinstance(standing, Waiting) else None
            return standing if given is None else await self.decide(incident_id, given)
        if not state.next:
            return await self.result(incident_id)
        log.info("incident.resumed", incident_id=incident_id, node=",".join(state.next))
        return await self._run(incident_id, None)

    async def decide(self, incident_id: IncidentId, decision: Approved | Declined) -> ExecutionResult | Waiting | None:
        """Give a person's answer to the open question.  LookupError when nothing is being asked."""
        snapshot = await self._graph.aget_state(_config(incident_id))
        questions = [i.id for task in snapshot.tasks for i in task.interrupts]
        if not questions:
            raise LookupError(f"incident {incident_id} does not wait for a decision")
        answer: Command[str] = Command(resume={questions[0]: decision.model_dump(mode="json")})
        return await self._run(incident_id, answer)

    async def _answer_given(self, waiting: Waiting) -> Approved | Declined | None:
        """The answer to this very question that the ledger holds; None while nobody has answered."""
        return decision_in(await self._ports.ledger.approval(waiting.incident_id), waiting.plan_hash)

    async def result(self, incident_id: IncidentId) -> ExecutionResult | Waiting | None:
        """What is known of the end or the question; None while it runs or when there is no such incident."""
        record = await self._ports.ledger.incident(incident_id)
        if record is None:
            return None
        if record.result is not None:
            return ExecutionResult.model_validate(record.result)
        snapshot = await self._graph.aget_state(_config(incident_id))
        for task in snapshot.tasks:
            for question in task.interrupts:
                return _waiting(incident_id, question.value)
        return None

    async def _run(
        self, incident_id: IncidentId, given: State | Command[str] | None
    ) -> ExecutionResult | Waiting | None:
        """To the end, to a question, or to an escalation when the run itself breaks."""
        for attempt in range(OUTAGE_TRIES):
            try:
                await self._graph.ainvoke(given, _config(incident_id), durability="sync")
            except Transient as error:
                log.warning("incident.outage", incident_id=incident_id, error=str(error), attempt=attempt)
                await self._ports.clock.sleep(OUTAGE_PAUSE)
                snapshot = await self._graph.aget_state(_config(incident_id))
                given = None if snapshot.created_at else given
            except Exception as error:
                log.exception("incident.broke", incident_id=incident_id)
                return await self._give_up(incident_id, f"{type(error).__name__}: {error}")
            else:
                return await self.result(incident_id)
        return await self._give_up(incident_id, "the API server stayed away")

    async def _give_up(self, incident_id: IncidentId, why: str) -> ExecutionResult | None:
        """Escalate an incident whose run cannot go on."""
        record = await self._ports.ledger.incident(incident_id)
        if record is None:
            return None
        incident = Incident.model_validate(record.document)
        now = self._ports.clock.now()
        sentence = f"The run of this incident broke and nothing more is done: {why}"[:1200]
        resolution = Resolution(
            status=Status.ESCALATED, sentence=sentence, code=ReasonCode.UNKNOWN_OUTCOME, closed_at=now
        )
        result = ExecutionResult(
            incident_id=incident_id,
            status=Status.ESCALATED,
            target=incident.target,
            diagnosis=None,
            plan=None,
            outcomes=(),
            verification=None,
            undo=None,
            resolution=resolution,
            opened_at=incident.opened_at,
            attempts=0,
        )
        await tell(self._ports, incident_id, "close", sentence, code=ReasonCode.UNKNOWN_OUTCOME.value)
        await self._ports.ledger.save_incident(
            incident_id,
            status=Status.ESCALATED.value,
            is_open=False,
            document=record.document,
            result=result.model_dump(mode="json"),
            now=now,
        )
        return result


def decision_in(asked: Approval | None, plan_hash: str) -> Approved | Declined | None:
    """What the ledger's row says as a decision about this plan; None while it says nothing; pure."""
    if asked is None or asked.plan_hash != plan_hash or asked.decision is None or asked.decided_at is None:
        return None
    if asked.decision == "declined":
        return Declined(by=asked.decided_by, why=asked.why, at=asked.decided_at)
    return Approved(by=asked.decided_by, plan_hash=plan_hash, policy_hash=asked.policy_hash, at=asked.decided_at)


def _config(incident_id: IncidentId) -> RunnableConfig:
    return {"configurable": {"thread_id": incident_id}, "recursion_limit": RECURSION_LIMIT}


def _waiting(incident_id: IncidentId, question: JsonObject) -> Waiting:
    return Waiting(
        incident_id=incident_id,
        plan=Plan.model_validate(dig_object(question, "plan")),
        plan_hash=dig_str(question, "plan_hash"),
        policy_hash=dig_str(question, "policy_hash"),
        reasons=tuple(str(r) for r in dig_list(question, "reasons")),
        expires_at=datetime.fromisoformat(dig_str(question, "expires_at")),
    )
