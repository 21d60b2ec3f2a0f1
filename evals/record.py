"""`python -m evals.record`: take recordings of incidents out of a service or a state folder into evals/incidents.

::

    python -m evals.record --state-dir STATE --recorded-on simulator INCIDENT=NAME ...
    python -m evals.record --server URL --recorded-on "kubernetes 1.34" --by-namespace 'sh-(.*)-[0-9a-f]+' [--known]

With `--by-namespace` every incident is taken whose namespace fits (of a node: that of a workload it is about); the
pattern's group is the case's name, further ones get a number.  With `--known` only cases are taken that have a truth,
each the incident about the target that the truth names: this is how cases are recorded anew, on another cluster.

The rule: a recording without a world is not written, for it could not be replayed.  `record_all` is the same for
whoever has the service at hand.  Exit codes: 0 something was recorded, 1 nothing was, 2 wrong usage.
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

from evals.cases import FOLDER, CaseError, Truth, load_truths
from server.account import IncidentLine
from server.commands.exits import CommandError
from server.commands.source import Source, open_source
from server.export import IncidentExport
from server.settings import SettingsError
from tools.errors import ToolError
from tools.jsontypes import dig_str

MOST = 1000
"""Incidents that are looked at."""


async def record_all(
    source: Source, folder: Path, *, recorded_on: str, pattern: str, known: Mapping[str, Truth] | None = None
) -> list[Path]:
    """Write a recording of each incident whose namespace fits `pattern`, the oldest first; gives the files.

    Without `known` each is named by the pattern's first group, with a number behind it where there are several; with
    it, by the case whose truth fits scenario and target, once.
    """
    lines = await source.incidents(namespace=None, status=None, limit=MOST)
    names: Counter[str] = Counter()
    written: dict[str, Path] = {}
    for line in sorted(lines, key=lambda one: one.opened_at):
        export = await source.export(line.id) if _may_fit(line, pattern) else None
        scenario = _scenario(export, pattern) if export is not None else None
        if export is None or scenario is None or not can_be_replayed(export):
            continue
        names[scenario] += 1
        if known is None:
            name: str | None = scenario if names[scenario] == 1 else f"{scenario}-{names[scenario]}"
        else:
            name = _case(known, scenario, export)
        if name is not None and name not in written:
            written[name] = write(export, folder / f"{name}.json", recorded_on)
    return list(written.values())


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


def _may_fit(line: IncidentLine, pattern: str) -> bool:
    return line.target.namespace is None or re.fullmatch(pattern, line.target.namespace) is not None


def _scenario(export: IncidentExport, pattern: str) -> str | None:
    """What the namespace calls it; of an object in no namespace, that of the first workload it is about."""
    target, affected = export.incident.target, export.incident.affected
    waiting = [
        dig_str(o, "metadata", "name")
        for a in export.attempts
        if a.world is not None and target.namespace is None
        for o in a.world.objects
        if o.get("kind") == "Namespace"
    ]
    namespaces = [target.namespace, *(r.namespace for r in affected), *waiting]
    found = (re.fullmatch(pattern, n) for n in namespaces if n)
    return next((match[1] for match in found if match is not None), None)


def _case(known: Mapping[str, Truth], scenario: str, export: IncidentExport) -> str | None:
    """The case that this incident is a new recording of."""
    fitting = (
        name
        for name, truth in known.items()
        if (truth.scenario or name) == scenario and truth.is_about(export.incident.target)
    )
    return next(fitting, None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is the exit code."""
    given = _parser().parse_args(arguments)
    wanted = dict(part.partition("=")[::2] for part in given.incident)
    if bool(wanted) == bool(given.by_namespace) or not all(wanted.values()):
        print("name incidents as INCIDENT=NAME, or give --by-namespace PATTERN", file=sys.stderr)
        return 2
    try:
        written = asyncio.run(_work(given, wanted))
    except (CaseError, CommandError, SettingsError, ToolError, LookupError) as error:
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
        known = load_truths(given.out) if given.known else None
        on, pattern = given.recorded_on, given.by_namespace
        return await record_all(source, given.out, recorded_on=on, pattern=pattern, known=known)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evals.record", description="Takes recordings of incidents for `python -m evals.run`."
    )
    parser.add_argument("incident", nargs="*", metavar="INCIDENT=NAME", help="an incident's id and the case's name")
    parser.add_argument("--by-namespace", metavar="PATTERN", help="take all whose namespace fits; group 1 is the name")
    parser.add_argument("--known", action="store_true", help="only cases that have a truth in --out")
    parser.add_argument("--recorded-on", required=True, help='what it ran on: "simulator", "kubernetes 1.34"')
    parser.add_argument("--server", help="address of a running service; without it the state folder is read")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token; else SELFHEAL_TOKEN")
    parser.add_argument("--state-dir", type=Path, help="the service's state folder")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write (default: evals/incidents)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
