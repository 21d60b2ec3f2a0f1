"""The whole service in this process, for one question or one incident, without HTTP and without the watcher."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

from graph.incident import FromReference, Source
from graph.ports import Ports, open_ports
from graph.runner import Runner, Waiting, open_checkpointer
from server.account import Account, account_of
from server.byhand import NotDone, undo_incident
from server.byhand_view import UndoReport, Word
from server.commands.exits import CommandError, Exit
from server.commands.source import LedgerSource, local_caller, new_id
from server.dispatch import Dispatcher
from server.explain import explain_object
from server.explain_view import ObjectView
from server.questions import NotTaken
from server.settings import Settings
from server.statelock import hold_state
from server.tickets import Dropped
from tools.jsontypes import JsonObject, digest
from tools.ledger.records import InboxEntry
from tools.refs import IncidentId, ObjectRef

SYNC = timedelta(seconds=60)


@contextlib.asynccontextmanager
async def open_local(settings: Settings, *, works: bool) -> AsyncGenerator[LocalSource]:
    """Ports over the cluster of the settings; with `works` a dispatcher too, and the state folder held."""
    async with contextlib.AsyncExitStack() as stack:
        if works:
            stack.enter_context(hold_state(settings.state_dir))
        ports = await stack.enter_async_context(open_ports(settings.ports_config()))
        if not await ports.mirror.synced(SYNC):
            raise CommandError(Exit.UNREACHABLE, f"the cluster did not show itself within {SYNC.seconds} s")
        dispatcher, runner = None, None
        if works:
            checkpointer = await stack.enter_async_context(open_checkpointer(settings.state_dir))
            runner = Runner(ports, checkpointer)
            dispatcher = Dispatcher(ports, runner, concurrency=settings.concurrency)
            stack.push_async_callback(dispatcher.close, timedelta(seconds=settings.drain_seconds))
        yield LocalSource(ports, dispatcher, runner)


class LocalSource(LedgerSource):
    """Answers out of the ledger and the cluster."""

    def __init__(self, ports: Ports, dispatcher: Dispatcher | None, runner: Runner | None) -> None:
        super().__init__(ports.ledger)
        self._ports = ports
        self._dispatcher = dispatcher
        self._runner = runner

    async def account(self, incident_id: str) -> Account | None:
        """As `Source`, with the open question where the checkpoints are open."""
        record = await self._ports.ledger.incident(IncidentId(incident_id))
        if record is None:
            return None
        actions = await self._ports.ledger.actions_of(record.id)
        audit = await self._ports.ledger.audit(incident_id=record.id)
        standing = await self._runner.result(record.id) if self._runner is not None and record.is_open else None
        return account_of(record, actions, audit, standing if isinstance(standing, Waiting) else None)

    async def answer(self, incident_id: str, word: Word, *, plan_hash: str, why: str) -> None:
        """As `Source`; the incident goes on in this process."""
        if self._dispatcher is None:
            await super().answer(incident_id, word, plan_hash=plan_hash, why=why)
            return
        this = IncidentId(incident_id)
        await self._dispatcher.take_up(this)
        taken = await self._dispatcher.questions.answer(
            this, word, plan_hash=plan_hash, by=local_caller(), why=why or "no reason was given"
        )
        if isinstance(taken, NotTaken):
            raise CommandError(Exit.NOT_DONE, f"{taken.sentence} [{taken.code}]")

    async def undo(self, incident_id: str) -> UndoReport:
        """As `Source`."""
        report = await undo_incident(IncidentId(incident_id), self._ports, by=local_caller())
        if report is None:
            raise CommandError(Exit.USAGE, f"there is no incident {incident_id!r}; `selfheal incidents` lists them")
        if isinstance(report, NotDone):
            raise CommandError(Exit.NOT_DONE, f"{report.sentence} [{report.code}]")
        return report

    async def view(self, ref: ObjectRef) -> ObjectView:
        """As `Source`."""
        return await explain_object(ref, self._ports, None)

    async def begin(self, ref: ObjectRef) -> str:
        """As `Source`."""
        if self._dispatcher is None:
            raise CommandError(Exit.USAGE, "this command does not heal")
        body: JsonObject = ref.model_dump(mode="json", exclude_none=True)
        entry = InboxEntry(
            id=new_id(),
            received_at=self._ports.clock.now(),
            source=Source.REQUEST.value,
            body=body,
            body_hash=digest(body),
            caller="command",
        )
        ticket = await self._dispatcher.submit(entry, FromReference(ref=ref))
        incident_id = await ticket.admitted()
        if incident_id is None:
            outcome = await ticket.result()
            sentence = outcome.sentence if isinstance(outcome, Dropped) else f"{ref} could not be taken up"
            raise CommandError(Exit.USAGE, sentence)
        return incident_id
