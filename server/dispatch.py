"""From accepted requests and signals to running incidents, without losing one and without running one twice.

The way of an entry: durable in the inbox → admitted (its root owner found, its incident opened or joined) → one task
per incident.  The rules it keeps:

- Nothing is worked on that is not durable first, and nobody is told 2xx before that.
- The ledger holds one open incident per target, this module one task per incident: LangGraph itself would let two runs
  of one thread act side by side.
- A run that breaks is told as an escalation in the ledger; a run that is cut off (restart, drain) stays open there and
  is taken up again by `recover`.

Neighbours: `server.routes.heal` and `server.watcher` submit, `graph.intake` admits, `graph.runner` runs;
`server.entries` reads rows again, `server.questions` holds what waits for a person.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

from graph.incident import FromReference, FromSignal
from graph.intake import Admitted, Unknown, admit
from graph.plan import Approved, Declined, ExecutionResult, Resolution, Status
from graph.ports import Ports
from graph.runner import Waiting, decision_in
from server.entries import broken_result, dropped_before, note_of, rebuild_trigger, trigger_of
from server.logging import get_logger
from server.parse import Unreadable
from server.questions import Questions
from server.tickets import Dropped, Ended, Outcome, Running, StoppingError, Ticket, Waits
from tools.errors import Permanent, Transient
from tools.guard.verdict import ReasonCode
from tools.ledger.errors import LedgerError
from tools.ledger.records import AuditEntry, InboxEntry, InboxState, IncidentRecord
from tools.refs import IncidentId

_LOG = get_logger(__name__)
MOST_OPEN = 10_000
"""Open incidents read at the start; one per workload, so a cluster of that many broken workloads."""
FIRST_DELAY = timedelta(milliseconds=500)
LONGEST_DELAY = timedelta(seconds=30)


class Healer(Protocol):
    """What runs the graph: `graph.runner.Runner`."""

    async def heal(
        self, incident_id: IncidentId, trigger: FromSignal | FromReference
    ) -> ExecutionResult | Waiting | None:
        """Run from the start to the end, or to the question for an approval."""
        ...

    async def resume(self, incident_id: IncidentId) -> ExecutionResult | Waiting | None:
        """Go on where a run was cut off; None when it never began."""
        ...

    async def decide(self, incident_id: IncidentId, decision: Approved | Declined) -> ExecutionResult | Waiting | None:
        """Give the answer an incident waits for, and run on.  LookupError when nothing is being asked."""
        ...

    async def result(self, incident_id: IncidentId) -> ExecutionResult | Waiting | None:
        """Where it stands, without running anything."""
        ...


Run: TypeAlias = Callable[[], Awaitable[ExecutionResult | Waiting | None]]
Admission: TypeAlias = Callable[[FromSignal | FromReference, Ports], Awaitable[Admitted | Unknown]]
EndListener: TypeAlias = Callable[[IncidentRecord], Awaitable[None]]


class Dispatcher:
    """Runs incidents, each in a task of its own, at most `concurrency` at the same time."""

    def __init__(self, ports: Ports, healer: Healer, *, concurrency: int = 16, admission: Admission = admit) -> None:
        self._ports = ports
        self._healer = healer
        self._admission = admission
        self._slots = asyncio.Semaphore(concurrency)
        self._draining = asyncio.Event()
        self._runs: dict[IncidentId, asyncio.Task[Outcome]] = {}
        self._targets: dict[str, IncidentId] = {}
        self._tickets: dict[str, Ticket] = {}
        self.questions = Questions(ports, self._go_on)
        self._takers: set[asyncio.Task[None]] = set()
        self._listeners: list[EndListener] = []

    def on_end(self, listener: EndListener) -> None:
        """Call `listener` with the closed record after each incident.  What it raises is logged, nothing else."""
        self._listeners.append(listener)

    def incident_on(self, target_uid: str) -> IncidentId | None:
        """The incident that runs or waits for this root owner in this process; None when there is none."""
        return self._targets.get(target_uid)

    @property
    def open_count(self) -> int:
        """Incidents that run or wait in this process."""
        return len(set(self._runs) | self.questions.incidents)

    async def submit(self, entry: InboxEntry, trigger: FromSignal | FromReference) -> Ticket:
        """Make the entry durable, then begin to work on it.

        After: the inbox row is committed.  An entry with a key that its caller used before is the earlier one: the
        ticket leads to what became of that, and nothing is begun a second time.  Raises `StoppingError` while draining,
        `KeyReused` for another body under an old key, and what the ledger raises when the row cannot be committed:
        nothing was accepted then.
        """
        if self._draining.is_set():
            raise StoppingError
        ticket = Ticket(entry.id, self._draining)
        self._tickets[entry.id] = ticket  # before the row: whoever brings the same key finds the ticket with it
        try:
            stored = await self._ports.ledger.accept(entry)
        except BaseException:
            del self._tickets[entry.id]
            raise
        if stored.id == entry.id:
            return self._begin(stored, trigger, ticket)
        del self._tickets[entry.id]
        return self._tickets.get(stored.id) or self._begin(stored, trigger, Ticket(stored.id, self._draining))

    async def decide(self, incident_id: IncidentId, decision: Approved | Declined) -> Outcome:
        """Give a waiting incident its answer and run it on.  KeyError when it does not wait here."""
        return await asyncio.shield(await self.questions.decide(incident_id, decision))

    async def take_up(self, incident_id: IncidentId) -> bool:
        """Take up one open incident of an earlier process; False when it is not there or not open."""
        record = await self._ports.ledger.incident(incident_id)
        if record is None or not record.is_open:
            return False
        self._targets[record.target_uid] = record.id
        await self._take_up(record)
        return True

    async def recover(self) -> int:
        """Take up what an earlier process left: open incidents first, then entries nobody looked at.  Their number."""
        records = await self._ports.ledger.incidents(open_only=True, limit=MOST_OPEN)
        for record in records:
            self._targets[record.target_uid] = record.id
            try:
                await self._take_up(record)
            except Exception as error:  # noqa: BLE001 -- one record of another version must not keep the rest from starting
                _LOG.exception("incident.broken", incident_id=record.id)
                await self._escalate(record.id, error)
                del self._targets[record.target_uid]
        entries = await self._ports.ledger.waiting()
        for entry in entries:
            trigger = trigger_of(entry)
            if isinstance(trigger, Unreadable):
                await self._ports.ledger.discard(entry.id, f"cannot be read any more: {trigger.remedy}")
                continue
            self._begin(entry, trigger, Ticket(entry.id, self._draining))
        if records or entries:
            _LOG.info("dispatch.recovered", incidents=len(records), entries=len(entries))
        return len(records) + len(entries)

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken any more."""
        return self._draining.is_set()

    async def drained(self, within: timedelta) -> bool:
        """Wait for the drain to begin, at most that long; whether it has."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), within.total_seconds())
        return self._draining.is_set()

    def begin_drain(self) -> None:
        """From now on nothing new is taken or begun, and everybody who waits for an outcome is told `Running`."""
        self._draining.set()

    async def close(self, bound: timedelta) -> None:
        """Drain: let runs that have begun go on for `bound`, then cut them off.  All state is durable either way."""
        self.begin_drain()
        runs = set(self._runs.values())
        if runs:
            _, late = await asyncio.wait(runs, timeout=bound.total_seconds())
            if late:
                _LOG.info("dispatch.cut_off", incidents=sorted(i for i, t in self._runs.items() if t in late))
        await self.questions.close()
        rest: list[asyncio.Task[Any]] = [*self._runs.values(), *self._takers]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _begin(self, entry: InboxEntry, trigger: FromSignal | FromReference, ticket: Ticket) -> Ticket:
        self._tickets[entry.id] = ticket
        task = asyncio.create_task(self._take(entry, trigger, ticket), name=f"take {entry.id}")
        self._takers.add(task)
        task.add_done_callback(self._takers.discard)
        return ticket

    async def _take(self, entry: InboxEntry, trigger: FromSignal | FromReference, ticket: Ticket) -> None:
        """Admit, link, run.  Ends with a settled ticket whatever happens."""
        try:
            outcome = await self._earlier_outcome(entry, trigger, ticket)
            outcome = outcome or await self._admit_and_run(entry, trigger, ticket)
        except asyncio.CancelledError:
            ticket.settle(Running(ticket.incident_id))
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary of one entry: the row stays NEW and the next start tries again
            _LOG.exception("entry.broken", entry_id=entry.id, incident_id=ticket.incident_id)
            outcome = Dropped(getattr(error, "code", "INTERNAL"), f"it could not be taken up: {error}")
        finally:
            self._tickets.pop(entry.id, None)
        ticket.settle(outcome)

    async def _earlier_outcome(
        self, entry: InboxEntry, trigger: FromSignal | FromReference, ticket: Ticket
    ) -> Outcome | None:
        """What became of an entry that was looked at before; None for one that is new."""
        if entry.state is InboxState.DISCARDED:
            return dropped_before(entry.note)
        if entry.incident_id is None:
            return None
        record = await self._ports.ledger.incident(entry.incident_id)
        if record is None:
            raise LookupError(f"incident {entry.incident_id} is not in the ledger any more")
        ticket.admit(record.id, joined=True)
        return await self._outcome_of(record, trigger, is_new=False)

    async def _admit_and_run(self, entry: InboxEntry, trigger: FromSignal | FromReference, ticket: Ticket) -> Outcome:
        try:
            admitted = await self._patiently(lambda: self._admission(trigger, self._ports), entry.id)
        except LedgerError:
            raise
        except Permanent as error:
            return await self._discard(entry, Dropped(error.code, str(error)))
        if isinstance(admitted, Unknown):
            return await self._discard(entry, Dropped(ReasonCode.TARGET_GONE.value, admitted.sentence))
        record = admitted.record
        await self._ports.ledger.link(entry.id, record.id)
        ticket.admit(record.id, joined=not admitted.created)
        return await self._outcome_of(record, trigger, is_new=admitted.created)

    async def _discard(self, entry: InboxEntry, outcome: Dropped) -> Dropped:
        await self._ports.ledger.discard(entry.id, note_of(outcome))
        return outcome

    async def _patiently(self, ask: Callable[[], Awaitable[Admitted | Unknown]], entry_id: str) -> Admitted | Unknown:
        """Ask until there is an answer: while the API server is away, an accepted entry waits."""
        delay = FIRST_DELAY
        while True:
            try:
                return await ask()
            except Transient as error:
                _LOG.warning("entry.delayed", entry_id=entry_id, code=error.code, error=str(error))
                await self._ports.clock.sleep(error.delay or delay)
                delay = min(delay * 2, LONGEST_DELAY)

    async def _outcome_of(
        self, record: IncidentRecord, trigger: FromSignal | FromReference, *, is_new: bool
    ) -> Outcome:
        """Run the incident, or join whoever runs it.  Between look and start there is no await: one run, never two."""
        run = self._runs.get(record.id)
        if run is None and not is_new:
            now = await self._ports.ledger.incident(record.id)
            run = self._runs.get(record.id)
            if run is None and now is not None and not now.is_open and now.result is not None:
                return Ended(ExecutionResult.model_validate(now.result))
            if run is None and record.id in self.questions:
                standing = await self._healer.result(record.id)
                return Waits(standing) if isinstance(standing, Waiting) else Running(record.id)
        if run is None:
            self._targets[record.target_uid] = record.id
            run = self._runs.get(record.id) or self._start(record.id, self._run_of(record.id, trigger, is_new=is_new))
        return await asyncio.shield(run)

    async def _take_up(self, record: IncidentRecord) -> None:
        """Go on with an incident of an earlier process."""
        if record.status == Status.WAITING.value:
            standing = await self._healer.result(record.id)
            asked = await self._ports.ledger.approval(record.id)
            if isinstance(standing, Waiting) and decision_in(asked, standing.plan_hash) is None:
                self.questions.hold(standing)
                return
        self._start(record.id, self._run_of(record.id, rebuild_trigger(record), is_new=False))

    def _run_of(self, incident_id: IncidentId, trigger: FromSignal | FromReference, *, is_new: bool) -> Run:
        """The run from the start, or from where it was cut off."""

        async def run() -> ExecutionResult | Waiting | None:
            standing = None if is_new else await self._healer.resume(incident_id)
            return standing if standing is not None else await self._healer.heal(incident_id, trigger)

        return run

    def _go_on(self, incident_id: IncidentId, decision: Approved | Declined) -> asyncio.Task[Outcome]:
        return self._start(incident_id, lambda: self._healer.decide(incident_id, decision))

    def _start(self, incident_id: IncidentId, run: Run) -> asyncio.Task[Outcome]:
        task = asyncio.create_task(self._run(incident_id, run), name=f"incident {incident_id}")
        self._runs[incident_id] = task
        task.add_done_callback(_retrieve)
        return task

    async def _run(self, incident_id: IncidentId, run: Run) -> Outcome:
        try:
            async with self._slots:
                if self._draining.is_set():
                    return Running(incident_id)
                ended = await self._guarded(incident_id, run)
            if isinstance(ended, Waiting):
                self.questions.hold(ended)
                _LOG.info("incident.waiting", incident_id=incident_id, reasons=list(ended.reasons))
                return Waits(ended)
            return Ended(ended) if ended is not None else Running(incident_id)
        finally:
            self._runs.pop(incident_id, None)
            if incident_id not in self.questions:
                await self._finish(incident_id)

    async def _guarded(self, incident_id: IncidentId, run: Run) -> ExecutionResult | Waiting | None:
        """The run's end; an escalation when it broke; None when not even that could be written down."""
        try:
            return await run()
        except Exception as error:  # noqa: BLE001 -- the boundary of one incident: whatever broke, a person is told
            _LOG.exception("incident.broken", incident_id=incident_id)
            return await self._escalate(incident_id, error)

    async def _escalate(self, incident_id: IncidentId, error: Exception) -> ExecutionResult | None:
        """Close a broken run in the ledger, with what is known of it."""
        try:
            record = await self._ports.ledger.incident(incident_id)
            if record is None:
                return None
            if not record.is_open and record.result is not None:
                return ExecutionResult.model_validate(record.result)
            now = self._ports.clock.now()
            result = broken_result(
                record,
                Resolution(
                    status=Status.ESCALATED,
                    sentence=f"The run broke off ({type(error).__name__}: {error})"[:1000]
                    + ". What was written before is in the list of actions; a person must look.",
                    code=ReasonCode.UNKNOWN_OUTCOME,
                    closed_at=now,
                ),
            )
            await self._ports.ledger.record(
                AuditEntry(
                    at=now,
                    incident_id=incident_id,
                    phase="close",
                    actor="selfheal",
                    sentence=result.resolution.sentence,
                    code=ReasonCode.UNKNOWN_OUTCOME.value,
                    data={"error": type(error).__name__},
                )
            )
            await self._ports.ledger.save_incident(
                incident_id,
                status=Status.ESCALATED.value,
                is_open=False,
                document=record.document,
                result=result.model_dump(mode="json"),
                now=now,
            )
        except Exception:  # noqa: BLE001 -- the row stays open; the next start takes it up again
            _LOG.exception("incident.unwritten", incident_id=incident_id)
            return None
        return result

    async def _finish(self, incident_id: IncidentId) -> None:
        """After a run: forget the target and tell the listeners, if the incident is closed."""
        for uid, held in list(self._targets.items()):
            if held == incident_id:
                del self._targets[uid]
        try:
            record = await self._ports.ledger.incident(incident_id)
            if record is None or record.is_open:
                return
            for listener in self._listeners:
                await listener(record)
        except Exception:  # noqa: BLE001 -- telling others must not change what became of the incident
            _LOG.exception("incident.untold", incident_id=incident_id)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take the exception of a task nobody may be waiting for, so that it is not reported a second time."""
    if not task.cancelled():
        task.exception()
