"""The dispatcher over the real ledger: nothing lost, nothing twice, one run per incident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from graph.incident import FromReference
from graph.intake import Admitted, Unknown
from graph.plan import Approved, Status
from graph.ports import Ports
from server.dispatch import Dispatcher
from server.tickets import Dropped, Ended, Running, StoppingError, Waits
from tests.server.support import (
    ScriptedHealer,
    SteppedClock,
    admit_by_name,
    asked,
    entry,
    eventually,
    open_test_ports,
    settle,
)
from tools.clock import Clock
from tools.errors import Denied, Unreachable
from tools.ledger.errors import LedgerError
from tools.ledger.records import IncidentRecord
from tools.refs import IncidentId

SECOND = timedelta(seconds=1)


class World:
    def __init__(self, ports: Ports, healer: ScriptedHealer, dispatcher: Dispatcher) -> None:
        self.ports, self.healer, self.dispatcher = ports, healer, dispatcher

    async def submit(self, name: str = "web") -> object:
        ticket = await self.dispatcher.submit(entry(asked(name), self.ports.clock), asked(name))
        return await ticket.result(5 * SECOND)

    async def record(self, incident_id: str | None) -> IncidentRecord:
        found = await self.ports.ledger.incident(IncidentId(incident_id or ""))
        assert found is not None
        return found


@asynccontextmanager
async def world(
    folder: Path, *, concurrency: int = 16, clock: Clock | None = None, ends: list[Status] | None = None
) -> AsyncGenerator[World]:
    async with open_test_ports(folder, clock=clock) as ports:
        healer = ScriptedHealer(ports, ends=ends or [Status.HEALED])
        dispatcher = Dispatcher(ports, healer, concurrency=concurrency, admission=admit_by_name)
        try:
            yield World(ports, healer, dispatcher)
        finally:
            await dispatcher.close(timedelta(0))


async def test_an_entry_is_durable_linked_and_run_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        outcome = await w.submit()
        assert isinstance(outcome, Ended)
        assert outcome.result.status is Status.HEALED
        assert await w.ports.ledger.waiting() == []
        assert w.dispatcher.open_count == 0
        assert w.dispatcher.incident_on("uid-web") is None


async def test_a_refused_row_is_no_work(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.ports.ledger.close()
        with pytest.raises(LedgerError):
            await w.submit()
        assert w.healer.runs == []


async def test_the_row_is_committed_before_the_admission_begins(tmp_path: Path) -> None:
    seen: list[int] = []

    async def look(trigger: FromReference, ports: Ports) -> Unknown:
        seen.append(len(await ports.ledger.waiting()))
        return Unknown("nothing is there")

    async with open_test_ports(tmp_path) as ports:
        dispatcher = Dispatcher(ports, ScriptedHealer(ports), admission=look)  # type: ignore[arg-type]
        ticket = await dispatcher.submit(entry(asked()), asked())
        assert await ticket.result() == Dropped("TARGET_GONE", "nothing is there")
        assert seen == [1]
        await dispatcher.close(timedelta(0))


async def test_what_does_not_exist_is_discarded_with_the_sentence(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        outcome = await w.submit("gone")
        assert isinstance(outcome, Dropped)
        assert "does not exist" in outcome.sentence
        assert await w.ports.ledger.waiting() == []


async def test_many_entries_for_one_target_are_one_run(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.healer.gate.clear()
        tickets = [await w.dispatcher.submit(entry(asked()), asked()) for _ in range(20)]
        ids = {await t.admitted() for t in tickets}
        w.healer.gate.set()
        outcomes = await asyncio.gather(*(t.result() for t in tickets))
        assert len(ids) == 1
        assert len(w.healer.runs) == 1
        assert len({o.result.incident_id for o in outcomes if isinstance(o, Ended)}) == 1
        assert sum(not t.joined for t in tickets) == 1


async def test_no_more_run_at_once_than_allowed(tmp_path: Path) -> None:
    async with world(tmp_path, concurrency=3) as w:
        w.healer.gate.clear()
        tickets = [await w.dispatcher.submit(entry(asked(f"w{i}")), asked(f"w{i}")) for i in range(9)]
        await eventually(lambda: w.healer.running == 3, "three running")
        await settle()
        assert w.healer.running == 3
        w.healer.gate.set()
        assert all(isinstance(o, Ended) for o in await asyncio.gather(*(t.result() for t in tickets)))
        assert w.healer.most_at_once == 3


async def test_a_run_that_breaks_is_escalated_with_a_sentence_and_the_others_go_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.healer.breaks_with = ZeroDivisionError("division by zero")
        outcome = await w.submit()
        assert isinstance(outcome, Ended)
        assert outcome.result.status is Status.ESCALATED
        record = await w.record(outcome.result.incident_id)
        assert not record.is_open
        assert record.result is not None
        trail = await w.ports.ledger.audit(incident_id=record.id)
        assert "ZeroDivisionError" in trail[-1].sentence
        w.healer.breaks_with = None
        assert isinstance(await w.submit("api"), Ended)


async def test_while_the_api_is_away_an_entry_waits_and_is_not_lost(tmp_path: Path) -> None:
    clock = SteppedClock()
    tries = 0

    async def away_twice(trigger: FromReference, ports: Ports) -> Admitted | Unknown:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unreachable("connection refused")
        return await admit_by_name(trigger, ports)

    async with open_test_ports(tmp_path, clock=clock) as ports:
        dispatcher = Dispatcher(ports, ScriptedHealer(ports), admission=away_twice)  # type: ignore[arg-type]
        ticket = await dispatcher.submit(entry(asked(), clock), asked())
        await clock.step(timedelta(seconds=30))
        assert isinstance(await ticket.result(SECOND), Ended)
        assert tries == 3
        await dispatcher.close(timedelta(0))


async def test_what_we_may_not_read_is_discarded_and_said(tmp_path: Path) -> None:
    async def denied(trigger: FromReference, ports: Ports) -> Admitted | Unknown:
        raise Denied("grant get on deployments")

    async with open_test_ports(tmp_path) as ports:
        dispatcher = Dispatcher(ports, ScriptedHealer(ports), admission=denied)  # type: ignore[arg-type]
        ticket = await dispatcher.submit(entry(asked()), asked())
        assert await ticket.result() == Dropped("PERMISSION_DENIED", "grant get on deployments")
        assert await ports.ledger.waiting() == []
        await dispatcher.close(timedelta(0))


async def test_an_unanswered_question_is_a_no_when_its_time_is_over(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with world(tmp_path, clock=clock, ends=[Status.WAITING]) as w:
        outcome = await w.submit()
        assert isinstance(outcome, Waits)
        incident_id = outcome.waiting.incident_id
        assert w.dispatcher.incident_on("uid-web") == incident_id, "the target stays taken while a person thinks"
        await clock.step(timedelta(minutes=14))
        assert (await w.record(incident_id)).is_open
        await clock.step(timedelta(minutes=2))
        assert w.healer.runs[-1] == f"decide {incident_id} declined"
        assert (await w.record(incident_id)).status == "refused"
        assert w.dispatcher.incident_on("uid-web") is None


async def test_an_answer_is_taken_once(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with world(tmp_path, clock=clock, ends=[Status.WAITING]) as w:
        outcome = await w.submit()
        assert isinstance(outcome, Waits)
        waiting = outcome.waiting
        yes = Approved(by="ada", plan_hash=waiting.plan_hash, policy_hash=waiting.policy_hash, at=clock.now())
        done = await w.dispatcher.decide(waiting.incident_id, yes)
        assert isinstance(done, Ended)
        assert done.result.status is Status.HEALED
        with pytest.raises(KeyError):
            await w.dispatcher.decide(waiting.incident_id, yes)
        await clock.step(timedelta(hours=1))
        assert [r for r in w.healer.runs if r.startswith("decide")] == [f"decide {waiting.incident_id} approved"]


async def test_a_restart_takes_up_open_incidents_and_unread_entries(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.healer.gate.clear()
        ticket = await w.dispatcher.submit(entry(asked("web")), asked("web"))
        running = await ticket.admitted()
        await eventually(lambda: bool(w.healer.runs), "the run")
        await w.ports.ledger.accept(entry(asked("api")))  # committed, and then the process was killed

    async with world(tmp_path) as w:
        assert await w.dispatcher.recover() == 2
        await eventually(lambda: w.dispatcher.open_count == 0 and len(w.healer.runs) == 3, "both ended")
        await settle()
        assert w.healer.runs[:2] == [f"resume {running}", f"heal {running}"], "incidents first, from where they stood"
        assert {r.status for r in await w.ports.ledger.incidents()} == {"healed"}
        assert await w.ports.ledger.waiting() == []
        assert await w.dispatcher.recover() == 0


async def test_a_restart_goes_on_waiting_for_a_person(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with world(tmp_path, clock=clock, ends=[Status.WAITING]) as w:
        outcome = await w.submit()
        assert isinstance(outcome, Waits)
    async with world(tmp_path, clock=clock) as w:
        w.healer.waiting[outcome.waiting.incident_id] = outcome.waiting
        await w.dispatcher.recover()
        assert w.dispatcher.incident_on("uid-web") == outcome.waiting.incident_id
        await clock.step(timedelta(minutes=16))
        assert w.healer.runs == [f"decide {outcome.waiting.incident_id} declined"]


async def test_an_entry_that_cannot_be_read_any_more_is_discarded_not_fatal(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        odd = entry(asked()).model_copy(update={"body": {"colour": "green"}})
        old = entry(asked()).model_copy(update={"source": "watcher", "body": {"kind": "of another version"}})
        await w.ports.ledger.accept(odd)
        await w.ports.ledger.accept(old)
        await w.dispatcher.recover()
        assert await w.ports.ledger.waiting() == []
        assert w.healer.runs == []


async def test_draining_lets_runs_finish_within_the_bound(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.healer.gate.clear()
        ticket = await w.dispatcher.submit(entry(asked()), asked())
        await eventually(lambda: bool(w.healer.runs), "the run")
        w.dispatcher.begin_drain()
        assert isinstance(await ticket.result(), Running), "whoever waits is told at once"
        with pytest.raises(StoppingError):
            await w.submit("api")
        closing = asyncio.create_task(w.dispatcher.close(5 * SECOND))
        await settle()
        w.healer.gate.set()
        await closing
        assert (await w.record(ticket.incident_id)).status == "healed"


async def test_draining_cuts_off_what_takes_longer_and_leaves_it_open(tmp_path: Path) -> None:
    async with world(tmp_path, concurrency=1) as w:
        w.healer.gate.clear()
        begun = await w.dispatcher.submit(entry(asked("web")), asked("web"))
        await eventually(lambda: bool(w.healer.runs), "the run")
        queued = await w.dispatcher.submit(entry(asked("api")), asked("api"))
        await queued.admitted()
        await w.dispatcher.close(timedelta(seconds=0.05))
        assert w.healer.runs == [f"heal {begun.incident_id}"], "what had not begun does not begin"
        for ticket in (begun, queued):
            assert (await w.record(ticket.incident_id)).is_open
        assert w.dispatcher.open_count == 0


async def test_whoever_listens_is_told_each_end_once_and_may_fail(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    async def listen(record: IncidentRecord) -> None:
        told.append((record.target.name, record.status))
        raise RuntimeError("the listener's own trouble")

    async with world(tmp_path, ends=[Status.OBSERVED]) as w:
        w.dispatcher.on_end(listen)
        assert isinstance(await w.submit(), Ended)
        await settle()
        assert told == [("web", "observed")]


async def test_a_joiner_that_comes_when_it_is_over_gets_the_result(tmp_path: Path) -> None:
    first: list[Admitted] = []

    async def stale(trigger: FromReference, ports: Ports) -> Admitted | Unknown:
        if not first:
            found = await admit_by_name(trigger, ports)
            assert isinstance(found, Admitted)
            first.append(found)
            return found
        return Admitted(first[0].record, created=False)  # looked up while it was still open

    async with open_test_ports(tmp_path) as ports:
        healer = ScriptedHealer(ports)
        dispatcher = Dispatcher(ports, healer, admission=stale)  # type: ignore[arg-type]
        one = await (await dispatcher.submit(entry(asked()), asked())).result()
        two = await (await dispatcher.submit(entry(asked()), asked())).result()
        assert isinstance(one, Ended)
        assert one == two
        assert len(healer.runs) == 1
        await dispatcher.close(timedelta(0))
