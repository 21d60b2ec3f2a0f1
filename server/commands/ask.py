"""The commands that ask or heal once: heal, incidents, explain, audit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from graph.plan import Status
from server.account import Account
from server.commands import render
from server.commands.exits import CommandError, Exit, exit_for, one_sentence
from server.commands.source import Source, open_source
from server.logging import configure_logging
from server.parse import parse_reference_text
from tools.refs import ObjectRef


def heal_object(target: str, *, server: str | None, token_file: Path | None, as_json: bool, **overrides: Any) -> Exit:
    """Heal one object and tell the progress on stderr."""

    async def work() -> Exit:
        ref = reference(target)
        async with open_source(server, token_file, needs_cluster=True, works=True, **overrides) as source:
            account = await follow(source, await source.begin(ref))
        render.account(account, as_json=as_json)
        return exit_for(account.status)

    return run(work())


def list_incidents(
    *,
    namespace: str | None,
    status: str | None,
    limit: int,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
    **overrides: Any,
) -> Exit:
    """Print the newest incidents."""

    async def work() -> Exit:
        if status is not None and status not in set(Status):
            raise CommandError(Exit.USAGE, f"--status {status!r}: write one of {', '.join(Status)}")
        async with open_source(server, token_file, needs_cluster=False, **overrides) as source:
            found = await source.incidents(namespace=namespace, status=status, limit=limit)
        render.incidents(found, as_json=as_json)
        return Exit.DONE

    return run(work())


def explain_what(what: str, *, server: str | None, token_file: Path | None, as_json: bool, **overrides: Any) -> Exit:
    """Print the account of an incident, or the view of an object."""

    async def work() -> Exit:
        ref = reference(what) if "/" in what else None
        async with open_source(server, token_file, needs_cluster=ref is not None, **overrides) as source:
            if ref is not None:
                render.view(await source.view(ref), as_json=as_json)
                return Exit.DONE
            account = await source.account(what)
        if account is None:
            raise CommandError(
                Exit.USAGE,
                f"there is no incident {what!r}; `selfheal incidents` lists them, NAMESPACE/KIND/NAME is an object",
            )
        render.account(account, as_json=as_json, full=True)
        return Exit.DONE

    return run(work())


def print_audit(
    *,
    incident: str | None,
    limit: int,
    verify: bool,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
    **overrides: Any,
) -> Exit:
    """Print the trail, or check it."""

    async def work() -> Exit:
        async with open_source(server, token_file, needs_cluster=False, **overrides) as source:
            if verify:
                broken = await source.verify_audit()
                render.verified(broken, as_json=as_json)
                return Exit.DONE if broken is None else Exit.ESCALATED
            lines = await source.audit(incident=incident, after=0, limit=limit)
        render.audit(lines, as_json=as_json)
        return Exit.DONE

    return run(work())


async def follow(source: Source, incident_id: str, *, after: int = 0) -> Account:
    """Tell the trail of an incident as it grows, until it ends or waits for a person; the account as it stands then."""
    with render.Progress(incident_id) as progress:
        await source.progress(incident_id, progress.tell, after=after)
    account = await source.account(incident_id)
    if account is None:
        raise CommandError(Exit.UNREACHABLE, f"incident {incident_id} is not in the ledger any more")
    return account


def reference(text: str) -> ObjectRef:
    """An object as a person types it.  CommandError with the form that is expected."""
    try:
        return parse_reference_text(text)
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


def run(work: Coroutine[Any, Any, Exit]) -> Exit:
    """Do a command's work; what stands against it is one sentence and a code."""
    result: list[Exit] = []
    configure_logging("error", "auto")
    with one_sentence(result):
        result.append(asyncio.run(work))
    return result[0]
