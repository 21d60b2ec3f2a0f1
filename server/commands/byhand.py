"""The commands that decide or order: approve, reject, undo, pause, unpause, pauses.

An answer is given to what was shown: the plan is printed with its diff, its hash is what is sent, and a plan that has
changed in between is refused by the service.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import typer

from server.account import Account
from server.byhand_view import Word, parse_duration, parse_namespace
from server.commands import render
from server.commands.ask import follow, run
from server.commands.exits import CommandError, Exit, exit_for
from server.commands.source import Source, open_source


def answer_plan(
    incident: str,
    word: Word,
    *,
    why: str,
    yes: bool,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
    **overrides: Any,
) -> Exit:
    """Show the plan that waits, ask whether it is meant, send the answer, and tell how it goes on."""

    async def work() -> Exit:
        async with open_source(server, token_file, needs_cluster=True, works=True, **overrides) as source:
            story = await _waiting(source, incident)
            if not as_json:
                render.question(story)
            if not yes:
                verb = "Approve" if word == "approved" else "Reject"
                await _confirm(f"{verb} this plan for {story.target}?")
            plan_hash = story.question.plan_hash if story.question is not None else ""
            await source.answer(incident, word, plan_hash=plan_hash, why=why)
            ended = await follow(source, incident, after=max((line.seq for line in story.timeline), default=0))
        render.account(ended, as_json=as_json)
        return exit_for(ended.status) if word == "approved" else Exit.DONE

    return run(work())


def undo_writes(
    incident: str, *, yes: bool, server: str | None, token_file: Path | None, as_json: bool, **overrides: Any
) -> Exit:
    """Take an incident's writes back, newest first."""

    async def work() -> Exit:
        async with open_source(server, token_file, needs_cluster=True, works=True, **overrides) as source:
            story = await _known(source, incident)
            if not as_json:
                render.standing(story)
            if not yes:
                await _confirm(f"Take these writes to {story.target} back?")
            report = await source.undo(incident)
        render.undone(report, namespace=story.target.namespace, as_json=as_json)
        return Exit.DONE if report.complete else Exit.ESCALATED

    return run(work())


def pause_namespace(
    namespace: str,
    length: str,
    *,
    why: str,
    server: str | None,
    token_file: Path | None,
    as_json: bool,
    **overrides: Any,
) -> Exit:
    """Stop acting in a namespace for a while."""

    async def work() -> Exit:
        try:
            parse_duration(length)
            where = parse_namespace(namespace)
        except ValueError as error:
            raise CommandError(Exit.USAGE, str(error)) from None
        async with open_source(server, token_file, needs_cluster=False, **overrides) as source:
            render.pauses([await source.pause(where, length, why=why)], as_json=as_json)
        return Exit.DONE

    return run(work())


def unpause_namespace(
    namespace: str, *, server: str | None, token_file: Path | None, **overrides: Any
) -> Exit:  # fmt: skip
    """Act there again."""

    async def work() -> Exit:
        async with open_source(server, token_file, needs_cluster=False, **overrides) as source:
            await source.unpause(namespace)
        return Exit.DONE

    return run(work())


def list_pauses(*, server: str | None, token_file: Path | None, as_json: bool, **overrides: Any) -> Exit:
    """Print where acting is paused."""

    async def work() -> Exit:
        async with open_source(server, token_file, needs_cluster=False, **overrides) as source:
            render.pauses(await source.pauses(), as_json=as_json)
        return Exit.DONE

    return run(work())


async def _known(source: Source, incident: str) -> Account:
    story = await source.account(incident)
    if story is None:
        raise CommandError(Exit.USAGE, f"there is no incident {incident!r}; `selfheal incidents` lists them")
    return story


async def _waiting(source: Source, incident: str) -> Account:
    story = await _known(source, incident)
    if story.question is None:
        raise CommandError(
            Exit.NOT_DONE, f"incident {incident} is {story.status} and does not wait for an answer [NOT_WAITING]"
        )
    return story


async def _confirm(question: str) -> None:
    """Ask on the terminal.  CommandError unless the answer is yes; nothing was sent then."""
    try:
        is_meant = await asyncio.to_thread(typer.confirm, question, default=False, err=True)
    except typer.Abort:
        raise CommandError(Exit.USAGE, "nobody confirmed it, and nothing was done; --yes asks no question") from None
    if not is_meant:
        raise CommandError(Exit.NOT_DONE, "not confirmed; nothing was done")
