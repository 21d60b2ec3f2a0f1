"""The open service as one value: what the routes, the watcher and the commands share, and how it is opened and closed.

The rule it keeps: things are closed in the reverse order of their opening, whatever fails in between, and one state
folder has one worker.  Neighbours: `server.app` holds it for the routes, `server.commands` for the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from fastapi import Request
from prometheus_client.core import Metric

from graph.intake import admit
from graph.ports import Ports, open_ports
from graph.runner import Runner, Waiting, open_checkpointer
from server.account import Account, account_of
from server.dispatch import Admission, Dispatcher, Healer
from server.logging import get_logger
from server.metrics import Metrics, gauge, gauge_by
from server.rate import Rates
from server.settings import Settings
from server.statelock import hold_state
from server.watcher import Watcher
from tools import registry
from tools.jsontypes import dig_str
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId

_LOG = get_logger(__name__)
AUDIT_LIMIT = 1000
"""Lines of one incident's timeline; an incident has some tens."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything open."""

    settings: Settings
    ports: Ports
    healer: Healer
    dispatcher: Dispatcher
    metrics: Metrics
    watcher: Watcher | None
    rates: Rates

    async def account(self, incident_id: IncidentId) -> Account | None:
        """The account of one incident; None when there is none of that id."""
        record = await self.ports.ledger.incident(incident_id)
        if record is None:
            return None
        actions = await self.ports.ledger.actions_of(incident_id)
        audit = await self.ports.ledger.audit(incident_id=incident_id, limit=AUDIT_LIMIT)
        standing = await self.healer.result(incident_id) if record.is_open else None
        return account_of(record, actions, audit, standing if isinstance(standing, Waiting) else None)


Opener: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Service]]


@contextlib.asynccontextmanager
async def open_service(settings: Settings) -> AsyncGenerator[Service]:
    """Open everything, take up what was left, start the watcher; drain and close at the end.

    Raises `SettingsError` when another process works on the state folder, `ToolError` with the remedy when the cluster,
    the policy or the ledger cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(hold_state(settings.state_dir))
        ports = await stack.enter_async_context(open_ports(settings.ports_config()))
        checkpointer = await stack.enter_async_context(open_checkpointer(settings.state_dir))
        service = await stack.enter_async_context(
            run_service(settings, ports, Runner(ports, checkpointer), watch=settings.watch)
        )
        yield service


@contextlib.asynccontextmanager
async def run_service(
    settings: Settings, ports: Ports, healer: Healer, *, watch: bool, admission: Admission = admit
) -> AsyncGenerator[Service]:
    """The service over open ports: dispatcher, metrics and watcher, started and drained."""
    dispatcher = Dispatcher(ports, healer, concurrency=settings.concurrency, admission=admission)
    metrics = Metrics(registry.ALL, lambda: gauges(ports, dispatcher))

    async def count(record: IncidentRecord) -> None:
        actions = await ports.ledger.actions_of(record.id)
        audit = await ports.ledger.audit(incident_id=record.id, limit=AUDIT_LIMIT)
        metrics.ended(record, actions, audit)

    dispatcher.on_end(say_how_it_ended)
    dispatcher.on_end(count)
    watcher = Watcher(ports, dispatcher, quiet=timedelta(seconds=settings.quiet_seconds)) if watch else None
    watching: asyncio.Task[None] | None = None
    try:
        await dispatcher.recover()
        if watcher is not None:
            watching = asyncio.create_task(_keep_watching(watcher, ports), name="watcher")
        rates = Rates(ports.clock, per_minute=settings.requests_per_minute, burst=settings.requests_burst)
        yield Service(settings, ports, healer, dispatcher, metrics, watcher, rates)
    finally:
        dispatcher.begin_drain()
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await dispatcher.close(timedelta(seconds=settings.drain_seconds))
        _LOG.info("service.stopped")


async def _keep_watching(watcher: Watcher, ports: Ports) -> None:
    """Run the watcher for ever: a service that stopped watching and says nothing would be worse than none."""
    while True:
        try:
            await watcher.run()
        except Exception:  # noqa: BLE001 -- whatever ended it, it begins anew; logged in full
            _LOG.exception("watcher.died")
        await ports.clock.sleep(timedelta(seconds=1))


async def say_how_it_ended(record: IncidentRecord) -> None:
    """The one sentence that ends each incident in the log."""
    _LOG.info(
        "incident.closed",
        incident_id=record.id,
        status=record.status,
        target=str(record.target),
        sentence=dig_str(record.result, "resolution", "sentence"),
    )


def gauges(ports: Ports, dispatcher: Dispatcher) -> Iterable[Metric]:
    """What is asked at each scrape."""
    relists: dict[str, float] = {}
    events: dict[str, float] = {}
    for reflector in ports.mirror.reflectors:
        name = reflector.resource.plural
        relists[name] = relists.get(name, 0) + reflector.counters.relists
        events[name] = events.get(name, 0) + reflector.counters.events
    yield gauge("selfheal_open_incidents", "Incidents that run or wait in this process.", dispatcher.open_count)
    yield gauge("selfheal_view_age_seconds", "Age of the stalest source we can see.", ports.mirror.view_age())
    yield gauge(
        "selfheal_sources_unseen",
        "Kinds of objects we cannot see.",
        len(ports.mirror.unavailable()) + len(ports.mirror.blind_spots()),
    )
    desired = ports.journal.desired
    problems = len(desired.problems) if desired is not None else 0
    yield gauge("selfheal_desired_state_problems", "Manifests of the declared state that could not be read.", problems)
    yield gauge_by("selfheal_relists", "Full lists since the start, by resource.", "resource", relists)
    yield gauge_by("selfheal_watch_events", "Watch events since the start, by resource.", "resource", events)


def service_of(request: Request) -> Service:
    """The open service behind a request."""
    service: object = request.app.state.service
    if not isinstance(service, Service):
        raise TypeError("a request came before the service was open")
    return service
