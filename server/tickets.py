"""What becomes of a submitted entry, as values, and the ticket by which whoever submitted it learns so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from graph.plan import ExecutionResult
from graph.runner import Waiting
from tools.refs import IncidentId


@dataclass(frozen=True, slots=True)
class Ended:
    """The incident is closed; this is its last word."""

    result: ExecutionResult


@dataclass(frozen=True, slots=True)
class Waits:
    """A plan waits for a person."""

    waiting: Waiting


@dataclass(frozen=True, slots=True)
class Dropped:
    """No incident came of it."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Running:
    """Not at its end; durable, and worked on (after a restart again).  The id is None before the admission."""

    incident_id: IncidentId | None


Outcome: TypeAlias = Ended | Waits | Dropped | Running


class StoppingError(Exception):
    """The service is draining and takes nothing new.  Remedy: send it again to the next instance."""


class Ticket:
    """What whoever submitted an entry holds: the way to its incident and to its outcome."""

    def __init__(self, entry_id: str, draining: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        self.entry_id = entry_id
        self.incident_id: IncidentId | None = None
        self.joined = False
        """Whether the incident was open before this entry came."""
        self._draining = draining
        self._admitted: asyncio.Future[None] = loop.create_future()
        self._outcome: asyncio.Future[Outcome] = loop.create_future()

    def admit(self, incident_id: IncidentId, *, joined: bool) -> None:
        """An incident works on it."""
        self.incident_id = incident_id
        self.joined = joined
        if not self._admitted.done():
            self._admitted.set_result(None)

    def settle(self, outcome: Outcome) -> None:
        """This is what became of it; the first word counts."""
        if not self._admitted.done():
            self._admitted.set_result(None)
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def admitted(self, timeout: timedelta | None = None) -> IncidentId | None:
        """The incident's id as soon as it has one; None when it has none in time or never will."""
        await self._first_of(self._admitted, timeout)
        return self.incident_id

    async def result(self, timeout: timedelta | None = None) -> Outcome:
        """The outcome, or `Running` when it is not there in time or the service is stopping."""
        await self._first_of(self._outcome, timeout)
        return self._outcome.result() if self._outcome.done() else Running(self.incident_id)

    async def _first_of(self, future: asyncio.Future[Any], timeout: timedelta | None) -> None:
        if future.done():
            return
        drained = asyncio.ensure_future(self._draining.wait())
        seconds = timeout.total_seconds() if timeout is not None else None
        try:
            await asyncio.wait({future, drained}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
