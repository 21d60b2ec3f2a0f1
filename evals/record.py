"""`python -m evals.record`: take recordings of incidents out of a service or a state folder into evals/incidents.

::

    python -m evals.record --state-dir STATE --recorded-on simulator INCIDENT=NAME ...
    python -m evals.record --server URL --recorded-on "kubernetes 1.34" --by-namespace 'sh-(.*)-[0-9a-f]+'

With `--by-namespace` every closed incident is taken whose namespace fits; the pattern's group is the case's name.  The
rule: a recording without a world is not written, for it could not be replayed.  `record_all` is the same for whoever
has the service at hand.  Exit codes: 0 something was recorded, 1 nothing was, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.cases import FOLDER
from server.account import IncidentLine
from server.commands.exits import CommandError
from server.commands.source import Source, open_source
from server.export import IncidentExport
from server.settings import SettingsError
from tools.errors import ToolError

MOST = 1000
"""Incidents that are looked at."""


async def record_all(source: Source, folder: Path, *, recorded_on: str, pattern: str) -> list[Path]:
    """Write a recording of each closed incident whose namespace fits `pattern`, the oldest first.

    The file is named by the pattern's first group, further ones of that name by a number behind it.  Gives the files.
    """
    lines = await source.incidents(namespace=None, status=None, limit=MOST)
    names: Counter[str] = Counter()
    written: list[Path] = []
    for line in sorted(lines, key=lambda one: one.opened_at):
        name = _name(line, pattern)
        if name is None or line.is_open:
            continue
        export = await source.export(line.id)
        if export is None or not can_be_replayed(export):
            continue
        names[name] += 1
        numbered = name if names[name] == 1 else f"{name}-{names[name]}"
        written.append(write(export, folder / f"{numbered}.json", recorded_on))
    return written


async def record_named(source: Source, folder: Path, *, recorded_on: str, wanted: Mapping[str, str]) -> list[Path]:
    """Write recordings of incidents by their ids; the values are the cases' names.  LookupError for an unknown id."""
    written: list[Path] = []
    for incident_id, name in wanted.items():
        export = await source.export(incident_id)
        if export is None:
            raise LookupError(f"there is no incident {incident_id!r}")
        if not can_be_replayed(export):
            raise LookupError(f"incident {incident_id} has no recorded world: set SELFHEAL_RECORD_INCIDENTS=true")
        written.append(write(export, folder / f"{name}.json", recorded_on))
    return written


def can_be_replayed(export: IncidentExport) -> bool:
    """Whether anything was recorded that a replay could run on."""
    return any(attempt.world is not None for attempt in export.attempts)


def write(export: IncidentExport, path: Path, recorded_on: str) -> Path:
    """One recording as a file: a line for each part, so that a new recording of a case shows in which it differs."""
    whole = export.model_copy(update={"recorded_on": recorded_on}).model_dump(mode="json")
    parts = [
        f' "{key}": {json.dumps(value, separators=(",", ":"), ensure_ascii=False)}' for key, value in whole.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    return path


def _name(line: IncidentLine, pattern: str) -> str | None:
    found = re.fullmatch(pattern, line.target.namespace or "")
    return found[1] if found is not None else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    given = _parser().parse_args(arguments)
    wanted = dict(part.partition("=")[::2] for part in given.incident)
    if bool(wanted) == bool(given.by_namespace) or not all(wanted.values()):
        print("name incidents as INCIDENT=NAME, or give --by-namespace PATTERN", file=sys.stderr)
        return 2
    try:
        written = asyncio.run(_work(given, wanted))
    except (CommandError, SettingsError, ToolError, LookupError) as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(f"{path}  {path.stat().st_size // 1024} KiB")
    return 0 if written else 1


async def _work(given: argparse.Namespace, wanted: Mapping[str, str]) -> list[Path]:
    opened = open_source(given.server, given.token_file, needs_cluster=False, state_dir=given.state_dir)
    async with opened as source:
        if wanted:
            return await record_named(source, given.out, recorded_on=given.recorded_on, wanted=wanted)
        return await record_all(source, given.out, recorded_on=given.recorded_on, pattern=given.by_namespace)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evals.record", description="Takes recordings of incidents for `python -m evals.run`."
    )
    parser.add_argument("incident", nargs="*", metavar="INCIDENT=NAME", help="an incident's id and the case's name")
    parser.add_argument("--by-namespace", metavar="PATTERN", help="take all whose namespace fits; group 1 is the name")
    parser.add_argument("--recorded-on", required=True, help='what it ran on: "simulator", "kubernetes 1.34"')
    parser.add_argument("--server", help="address of a running service; without it the state folder is read")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token; else SELFHEAL_TOKEN")
    parser.add_argument("--state-dir", type=Path, help="the service's state folder")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write (default: evals/incidents)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
