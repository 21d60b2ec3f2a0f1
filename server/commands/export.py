"""`selfheal incident export`: one incident as one file, for somebody who was not there, and for evaluations."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from server.commands.ask import run
from server.commands.exits import CommandError, Exit, say
from server.commands.source import open_source


def export_file(
    incident_id: str, *, out: Path | None, server: str | None, token_file: Path | None, **overrides: Any
) -> Exit:
    """Write the export to `out`, or to stdout.  A file that is there is replaced."""

    async def work() -> Exit:
        async with open_source(server, token_file, needs_cluster=False, **overrides) as source:
            export = await source.export(incident_id)
        if export is None:
            raise CommandError(Exit.USAGE, f"there is no incident {incident_id!r}; `selfheal incidents` lists them")
        text = json.dumps(export.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
        if out is None:
            sys.stdout.write(text)
            return Exit.DONE
        try:
            await asyncio.to_thread(out.write_text, text, encoding="utf-8")
        except OSError as error:
            raise CommandError(Exit.USAGE, f"{out} cannot be written: {error.strerror or error}") from error
        worlds = sum(attempt.world is not None for attempt in export.attempts)
        say(f"wrote {out}: {len(export.attempts)} attempt(s), {worlds} with the world they saw")
        return Exit.DONE

    return run(work())
