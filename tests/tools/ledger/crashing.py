"""Code that runs in processes of its own and ends without any clean-up, and how to start such processes.

A fork server with everything imported makes a process cheap; nothing is inherited from the test's own loop or threads.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier

from tests.tools.ledger.samples import (
    FIRST,
    MINUTE,
    NOW,
    SETTINGS,
    WEB,
    entry,
    good,
    incident,
    intent,
    plan,
    request,
    surroundings,
    version,
)
from tools.errors import ToolError
from tools.ledger.ledger import Ledger
from tools.ledger.records import ActionState
from tools.refs import ActionId, PlanId

CRASHED = 9
TTL = timedelta(seconds=30)
TABLES = (
    "approvals",
    "plans",
    "actions",
    "inbox",
    "incidents",
    "documents",
    "locks",
    "pauses",
    "object_versions",
    "good_surroundings",
    "audit",
)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["__main__", "tests.tools.ledger.crashing"])


@dataclass(frozen=True)
class Call:
    """One mutating call: what must be there before it, the call, and how it shows afterwards that it was made."""

    before: Callable[[Ledger], Awaitable[object]]
    call: Callable[[Ledger], Awaitable[object]]
    holds: Callable[[Ledger], Awaitable[bool]]


async def _nothing(ledger: Ledger) -> None:
    pass


async def _opened(ledger: Ledger) -> None:
    await ledger.accept(request())
    await ledger.open_incident(incident())


async def _intended(ledger: Ledger) -> None:
    await _opened(ledger)
    await ledger.intend(intent())


async def _applied(ledger: Ledger) -> None:
    await _intended(ledger)
    await ledger.conclude(ActionId("act-1"), ActionState.APPLIED, now=NOW)


async def _asked(ledger: Ledger) -> None:
    await _opened(ledger)
    await ledger.request_approval(FIRST, "plan", "policy", NOW + MINUTE, NOW)


async def _locked(ledger: Ledger) -> None:
    await ledger.acquire("k", "h", TTL, NOW)


async def _state(ledger: Ledger) -> ActionState | None:
    found = await ledger.action(ActionId("act-1"))
    return None if found is None else found.state


async def _is_saved(ledger: Ledger) -> bool:
    found = await ledger.incident(FIRST)
    return found is not None and (found.status, found.is_open, found.result) == ("done", False, {"a": 1})


async def _is_decided(ledger: Ledger) -> bool:
    found = await ledger.approval(FIRST)
    return found is not None and found.decision == "approved"


async def _is_verified(ledger: Ledger) -> bool:
    found = await ledger.action(ActionId("act-1"))
    return found is not None and found.verified is True


async def _has_document(ledger: Ledger) -> bool:
    return await ledger.document(await ledger.put_document("another kind", {"a": 1}, NOW)) == {"a": 1}


async def _is(found: Awaitable[object], expected: object) -> bool:
    return await found == expected


CALLS: dict[str, Call] = {
    "accept": Call(_nothing, lambda x: x.accept(request()), lambda x: _is(x.waiting(), [request()])),
    "link": Call(_opened, lambda x: x.link("req-1", FIRST), lambda x: _is(x.waiting(), [])),
    "discard": Call(_opened, lambda x: x.discard("req-1", "why"), lambda x: _is(x.waiting(), [])),
    "open_incident": Call(
        _nothing, lambda x: x.open_incident(incident()), lambda x: _is(x.incident(FIRST), incident())
    ),
    "save_incident": Call(
        _opened,
        lambda x: x.save_incident(FIRST, status="done", is_open=False, document={}, result={"a": 1}, now=NOW),
        _is_saved,
    ),
    "put_document": Call(_nothing, lambda x: x.put_document("k", {"a": 1}, NOW), _has_document),
    "intend": Call(_opened, lambda x: x.intend(intent()), lambda x: _is(_state(x), ActionState.INTENDED)),
    "conclude": Call(
        _intended,
        lambda x: x.conclude(ActionId("act-1"), ActionState.UNKNOWN, now=NOW),
        lambda x: _is(_state(x), ActionState.UNKNOWN),
    ),
    "mark_verified": Call(_applied, lambda x: x.mark_verified(PlanId("plan-1"), healed=True), _is_verified),
    "mark_undone": Call(
        _applied, lambda x: x.mark_undone(ActionId("act-1"), NOW), lambda x: _is(_state(x), ActionState.UNDONE)
    ),
    "start_plan": Call(_opened, lambda x: x.start_plan(plan()), lambda x: _is(x.plans_since(NOW), 1)),
    "acquire": Call(_nothing, _locked, lambda x: _is(x.holder_of("k", NOW), "h")),
    "renew": Call(_locked, lambda x: x.renew("k", "h", 2 * TTL, NOW), lambda x: _is(x.holder_of("k", NOW + TTL), "h")),
    "release": Call(_locked, lambda x: x.release("k", "h"), lambda x: _is(x.holder_of("k", NOW), None)),
    "record": Call(
        _nothing, lambda x: x.record(entry()), lambda x: _is(x.audit(), [entry().model_copy(update={"seq": 1})])
    ),
    "request_approval": Call(_opened, _asked, lambda x: _is(_is_asked(x), True)),
    "decide": Call(_asked, lambda x: x.decide(FIRST, "plan", "approved", "ann", "", NOW), _is_decided),
    "confirm_good": Call(
        _nothing, lambda x: x.confirm_good(good("r")), lambda x: _is(x.good_revisions("uid-web"), [good("r")])
    ),
    "forget_owner": Call(
        lambda x: x.confirm_good(good("r")),
        lambda x: x.forget_owner("uid-web"),
        lambda x: _is(x.good_revisions("uid-web"), []),
    ),
    "keep_version": Call(
        _nothing,
        lambda x: x.keep_version(version()),
        lambda x: _is(x.object_versions(SETTINGS), [version()]),
    ),
    "keep_surroundings": Call(
        lambda x: x.keep_surroundings(surroundings("uid-quota")),
        lambda x: x.keep_surroundings(surroundings()),
        lambda x: _is(x.surroundings(WEB), surroundings()),
    ),
    "pause": Call(
        _nothing,
        lambda x: x.pause("shop", NOW + MINUTE, "ann", NOW),
        lambda x: _is(x.paused_until("shop", NOW), NOW + MINUTE),
    ),
    "unpause": Call(
        lambda x: x.pause("shop", NOW + MINUTE, "ann", NOW),
        lambda x: x.unpause("shop"),
        lambda x: _is(x.paused_until("shop", NOW), None),
    ),
    "prune": Call(
        lambda x: x.put_document("k", {"b": 1}, NOW),
        lambda x: x.prune(NOW + MINUTE),
        lambda x: _is(x.prune(NOW + MINUTE), dict.fromkeys(TABLES, 0)),
    ),
}
"""Every mutating method of the ledger; a test holds this list to the class."""


async def _is_asked(ledger: Ledger) -> bool:
    return await ledger.approval(FIRST) is not None


def crash_after(url: str, name: str) -> None:
    """Open, make one call, and be gone: no close, no exit handlers."""

    async def run() -> None:
        await CALLS[name].call(await Ledger.open(url))
        os._exit(CRASHED)

    asyncio.run(run())


def write_for_ever(url: str, told: Connection) -> None:
    """Append to the audit trail and open incidents, telling each one that returned, until killed."""

    async def run() -> None:
        ledger = await Ledger.open(url)
        for number in range(100_000):
            await asyncio.gather(
                ledger.record(entry(str(number), incident_id=None)),
                ledger.open_incident(incident(f"i{number}", uid=f"u{number}")),
            )
            told.send(number)

    asyncio.run(run())


def race(url: str, me: int, rounds: int, start: Barrier, told: Connection) -> None:
    """Try to be first at everything, `rounds` times; tell what each try gave."""

    async def run() -> list[tuple[bool, str, bool, str]]:
        start.wait(20)
        ledger = await Ledger.open(url)
        seen: list[tuple[bool, str, bool, str]] = []
        for number in range(rounds):
            opened, created = await ledger.open_incident(incident(f"{number}-{me}", uid=f"uid-{number}"))
            held = await ledger.acquire(f"key-{number}", f"holder-{me}", TTL, NOW)
            try:
                await ledger.intend(intent(f"act-{number}", incident_id=opened.id, replicas=me))
                intended = "recorded"
            except ToolError as error:
                intended = error.code
            seen.append((created, opened.id, held, intended))
            await ledger.record(entry(f"{number}-{me}"))
        await ledger.close()
        return seen

    told.send(asyncio.run(run()))


def fill_the_disk(url: str, told: Connection) -> None:
    """Keep documents until no file may grow any more; tell which were kept, and the error's code."""

    async def run() -> tuple[list[str], str]:
        ledger = await Ledger.open(url)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        kept: list[str] = []
        try:
            for number in range(1000):
                key = await ledger.put_document("k", {"n": number, "x": "x" * 10_000}, NOW)
                kept.append(key)
        except ToolError as error:
            return kept, error.code
        return kept, "no error"

    told.send(asyncio.run(run()))


async def ended(process: BaseProcess) -> int | None:
    """Its exit code, without holding the loop up."""
    await asyncio.to_thread(process.join, 30)
    return process.exitcode
