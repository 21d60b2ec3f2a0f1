"""`selfheal script check`: what a folder of scripts holds, and what is wrong with it.  Nothing is executed.

Text from manifests is printed as text, never as rich's markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.commands.exits import Exit
from tools.executors.script.manifest import Defect, Manifest, Scripts, read_scripts
from tools.jsontypes import JsonObject
from tools.redact import visible


def check_scripts(folder: Path, *, as_json: bool) -> Exit:
    """List every script with `ok` or what to do about it.  DONE when all can be used, USAGE otherwise."""
    scripts = read_scripts(folder)
    defects = scripts.defects or (() if scripts.usable else (_nothing(folder),))
    if as_json:
        sys.stdout.write(json.dumps(_document(scripts, defects), indent=2) + "\n")
    else:
        _print(scripts, defects)
    return Exit.USAGE if defects else Exit.DONE


def _nothing(folder: Path) -> Defect:
    return Defect("", 0, f"{folder} holds no manifest: write one as NAME.yaml for each script")


def _document(scripts: Scripts, defects: Sequence[Defect]) -> JsonObject:
    return {
        "ok": not defects,
        "scripts": [
            {"name": name, "description": found.description, "file": found.file, "sha256": found.sha256}
            for name, found in scripts.usable.items()
        ],
        "defects": [
            {"script": d.script, "file": d.file, "line": d.line, "sentence": d.sentence} for d in defects
        ],
    }  # fmt: skip


def _print(scripts: Scripts, defects: Sequence[Defect]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SCRIPT", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("WHAT", overflow="fold")
    for name, found in scripts.usable.items():
        table.add_row(name, Text("ok", style="green"), Text(f"{_one_line(found.description)}\n{_bounds(found)}"))
    for defect in defects:
        what = str(defect) if defect.file else defect.sentence
        table.add_row(Text(visible(defect.script) or "-"), Text("not ok", style="red"), Text(_one_line(what)))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _bounds(found: Manifest) -> str:
    """On which objects, what it can take back and check, and the most it can use."""
    return f"on {', '.join(found.kinds)}; {'; '.join(_abilities(found))}"


def _abilities(found: Manifest) -> Iterator[str]:
    limits = found.limits
    yield f"at most {limits.timeout_seconds} s, {limits.processes} processes of {limits.memory_mib} MiB each"
    yield "can be undone" if found.undo else "cannot be undone, so a person must agree"
    if found.verify:
        yield "can be verified"
