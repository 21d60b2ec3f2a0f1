"""Where a command gets its answers: from a running service over HTTP, or from the state folder and the cluster here.

Both give the same documents, so a command does not know which one it talks to.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import uuid
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from server.account import Account, AuditLine, IncidentLine, Line, account_of, incident_line, line_of, newest_audit
from server.byhand_view import PauseView, UndoReport, Word, parse_duration
from server.commands.exits import CommandError, Exit
from server.explain_view import ObjectView
from server.settings import Settings, SettingsError
from tools.clock import SystemClock
from tools.refs import IncidentId, ObjectRef

if TYPE_CHECKING:
    from server.export import IncidentExport
    from tools.ledger.ledger import Ledger

M = TypeVar("M", bound=BaseModel)
LOOK_SECONDS = 0.25
"""How often the audit trail is read while an incident runs; a person reads slower."""
WAITING = "waiting"
"""The status of an incident that waits for a person: `graph.plan.Status`, without loading the graph."""


class Source(Protocol):
    """What the commands ask."""

    async def incidents(self, *, namespace: str | None, status: str | None, limit: int) -> list[IncidentLine]:
        """Newest first."""
        ...

    async def account(self, incident_id: str) -> Account | None:
        """The account; None when there is no such incident."""
        ...

    async def export(self, incident_id: str) -> IncidentExport | None:
        """The whole incident as one document; None when there is no such incident."""
        ...

    async def audit(self, *, incident: str | None, after: int, limit: int) -> list[AuditLine]:
        """Oldest first."""
        ...

    async def verify_audit(self) -> int | None:
        """Number of the first line that is not as it was written; None when all are."""
        ...

    async def view(self, ref: ObjectRef) -> ObjectView:
        """What is seen of an object."""
        ...

    async def begin(self, ref: ObjectRef) -> str:
        """Ask for a look at an object; the incident's id."""
        ...

    async def progress(self, incident_id: str, tell: Callable[[Line], None], *, after: int = 0) -> None:
        """Tell the trail as it grows, from after line number `after`, until the incident ends or waits for a person."""
        ...

    async def answer(self, incident_id: str, word: Word, *, plan_hash: str, why: str) -> None:
        """Answer the plan that waits.  CommandError with the sentence when the answer is not taken."""
        ...

    async def undo(self, incident_id: str) -> UndoReport:
        """Take the incident's writes back."""
        ...

    async def pause(self, namespace: str, length: str, *, why: str) -> PauseView:
        """Stop acting in a namespace for a while."""
        ...

    async def unpause(self, namespace: str) -> None:
        """Act there again."""
        ...

    async def pauses(self) -> list[PauseView]:
        """The pauses that hold now."""
        ...


@contextlib.asynccontextmanager
async def open_source(
    server: str | None, token_file: Path | None, *, needs_cluster: bool, works: bool = False, **overrides: Any
) -> AsyncGenerator[Source]:
    """The service at `server`, or everything needed here: the ledger, with the cluster when the question is about it.

    `works` is for commands that heal: they hold the state folder.
    """
    if server is not None:
        from server.commands.remote import open_remote

        async with open_remote(server, token_file) as remote:
            yield remote
        return
    settings = Settings.load(**overrides)
    if not needs_cluster:
        async with _open_ledger(settings) as ledger:
            yield LedgerSource(ledger)
        return
    from server.commands.local import open_local

    async with open_local(settings, works=works) as local:
        yield local


class LedgerSource:
    """Answers out of the ledger alone."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def incidents(self, *, namespace: str | None, status: str | None, limit: int) -> list[IncidentLine]:
        """As `Source`."""
        records = await self._ledger.incidents(limit=limit, namespace=namespace, status=status)
        return [incident_line(r) for r in records]

    async def account(self, incident_id: str) -> Account | None:
        """As `Source`; an open question is told by the audit trail only."""
        record = await self._ledger.incident(IncidentId(incident_id))
        if record is None:
            return None
        actions = await self._ledger.actions_of(record.id)
        return account_of(record, actions, await self._ledger.audit(incident_id=record.id))

    async def export(self, incident_id: str) -> IncidentExport | None:
        """As `Source`."""
        from server.export import export_incident

        return await export_incident(self._ledger, IncidentId(incident_id))

    async def audit(self, *, incident: str | None, after: int, limit: int) -> list[AuditLine]:
        """As `Source`."""
        return await newest_audit(self._ledger, incident=incident, after=after, limit=limit)

    async def verify_audit(self) -> int | None:
        """As `Source`."""
        return await self._ledger.verify_audit()

    async def view(self, ref: ObjectRef) -> ObjectView:
        """Not from here."""
        raise CommandError(Exit.USAGE, f"{ref} can only be explained with a cluster or a service")

    async def begin(self, ref: ObjectRef) -> str:
        """Not from here."""
        raise CommandError(Exit.USAGE, f"{ref} can only be healed with a cluster or a service")

    async def progress(self, incident_id: str, tell: Callable[[Line], None], *, after: int = 0) -> None:
        """As `Source`, by looking again and again."""
        while True:
            record = await self._ledger.incident(IncidentId(incident_id))  # before the lines, so that none is missed
            for entry in await self._ledger.audit(incident_id=IncidentId(incident_id), since_seq=after):
                tell(line_of(entry))
                after = entry.seq
            if record is None or not record.is_open or record.status == WAITING:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def answer(self, incident_id: str, word: Word, *, plan_hash: str, why: str) -> None:  # noqa: ARG002
        """Not from here: whoever answers must go on with the incident."""
        raise CommandError(Exit.USAGE, f"incident {incident_id} can only be answered with a cluster or a service")

    async def undo(self, incident_id: str) -> UndoReport:
        """Not from here."""
        raise CommandError(Exit.USAGE, f"incident {incident_id} can only be undone with a cluster or a service")

    async def pause(self, namespace: str, length: str, *, why: str) -> PauseView:
        """As `Source`; a service that runs on this ledger asks it before each write."""
        from server.byhand import pause

        by, now = local_caller(), SystemClock().now()
        return await pause(self._ledger, namespace, parse_duration(length), by=by, why=why, now=now)

    async def unpause(self, namespace: str) -> None:
        """As `Source`."""
        from server.byhand import unpause

        if not await unpause(self._ledger, namespace, by=local_caller(), now=SystemClock().now()):
            raise CommandError(Exit.USAGE, f"no pause holds for {namespace}; `selfheal pauses` lists them")

    async def pauses(self) -> list[PauseView]:
        """As `Source`."""
        from server.byhand import pauses

        return await pauses(self._ledger, SystemClock().now())


@contextlib.asynccontextmanager
async def _open_ledger(settings: Settings) -> AsyncGenerator[Ledger]:
    """The ledger for reading; one that was never made is not made by a question."""
    from tools.ledger.ledger import Ledger

    if settings.ledger_url is None and not (settings.state_dir / "ledger.db").exists():
        raise SettingsError(
            f"no ledger in {settings.state_dir}: set SELFHEAL_STATE_DIR (--state-dir) to the service's folder, "
            "or ask the service by --server URL"
        )
    async with await Ledger.open(settings.ledger_url_or_default) as ledger:
        yield ledger


def parse_answer(model: type[M], raw: bytes) -> M:
    """A service's answer as a document; another version's is said to be one."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise CommandError(
            Exit.UNREACHABLE, f"the service answers as another version would ({error.error_count()} fields differ)"
        ) from error


def local_caller() -> str:
    """Who gives an order at this terminal, for the audit trail."""
    try:
        return f"local-{getpass.getuser()}"
    except (OSError, KeyError):
        return "local"


def new_id() -> str:
    """An id for an inbox entry."""
    return uuid.uuid4().hex
