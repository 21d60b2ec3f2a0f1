"""The folder of scripts: one manifest per script, and next to it the files it names.

The rule: what a manifest does not say plainly cannot be run.  Every defect is one sentence with its place and its
remedy; a broken manifest disables its own script and no other.  Nothing is executed here.

A manifest is a file `NAME.yaml`::

    name: flush-cache                 # what an action calls it
    description: Empties the cache of one workload; the next requests are slow.
    file: flush-cache.sh              # beside the manifest; its first line names the interpreter
    sha256: 5f2c...                   # of that file: sha256sum flush-cache.sh
    kinds: [Deployment, StatefulSet]  # of the objects it may be used on
    arguments:                        # JSON Schema, the part of it that `schema` knows
      type: object
      properties:
        region: {type: string, enum: [eu, us]}
      required: [region]
      additionalProperties: false
    environment: [HTTPS_PROXY]        # of the service's own variables, these and no others
    limits: {timeout_seconds: 60, memory_mib: 256}
    undo: {file: fill-cache.sh, sha256: 91d0...}
    verify: {file: cache-answers.sh, sha256: 07aa...}

A script reads one JSON document from stdin: `purpose` (run, undo or verify), `script`, `target`, `arguments`,
`incident` and `action`.  What is plain of it is in its environment too: `SELFHEAL_PURPOSE`, `SELFHEAL_TARGET_NAME`,
`SELFHEAL_ARG_REGION` and so on.  Exit code 0 means done; for `verify`, that what the script promises holds.

Neighbours: `schema` checks arguments, `contents` the files, `run` executes; `selfheal script check` prints defects.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.executors.script import contents, schema
from tools.executors.script.outcome import Refused, ScriptCode
from tools.guard.policyfile import Located, PolicySyntax, read_yaml
from tools.jsontypes import JsonObject, dig_str

_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_MAX_MANIFESTS: Final = 200
_FILE: Final = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
_KIND: Final = r"^[A-Z][A-Za-z]{0,62}$"
_OWN: Final = re.compile(r"SELFHEAL_.*", re.DOTALL)
_STEERS: Final = re.compile(
    r"LD_.*|DYLD_.*|GCONV_PATH|LOCPATH|MALLOC_.*|PYTHON.*|PERL5?(LIB|OPT|DB)|RUBY(OPT|LIB)|NODE_(OPTIONS|PATH)|GIT_.*"
    r"|BASH_.*|BASHOPTS|SHELLOPTS|ENV|IFS|CDPATH|PS4|PATH|HOME|TMPDIR|LANG"
)
"""Variables that decide which code runs, or that `run` sets itself."""


class Purpose(StrEnum):
    """Which of a manifest's programs is meant."""

    RUN = "run"
    UNDO = "undo"
    VERIFY = "verify"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Program(_Part):
    """One file and what must be in it."""

    file: str = Field(pattern=_FILE)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Limits(_Part):
    """What a run may use.  Memory and file size are per process; the operating system keeps them."""

    timeout_seconds: int = Field(default=60, ge=1, le=3600)
    grace_seconds: int = Field(default=3, ge=0, le=60)
    """Between SIGTERM at the time limit and SIGKILL."""
    memory_mib: int = Field(default=256, ge=32, le=8192)
    """What a process may allocate."""
    address_space_mib: int = Field(default=1024, ge=64, le=16384)
    """What a process may map, shared memory included.  Go programs reserve most of a GiB that they never touch."""
    processes: int = Field(default=16, ge=1, le=128)
    """Processes and threads at the same time."""
    file_mib: int = Field(default=16, ge=0, le=1024)
    """How large a file may become."""
    output_kib: int = Field(default=64, ge=1, le=256)
    """How much of the output is kept; more may be written."""


class Manifest(Program):
    """One script as its file declares it."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    description: str = Field(min_length=10, max_length=1000)
    kinds: tuple[str, ...] = Field(min_length=1, max_length=32)
    arguments: JsonObject = schema.NO_ARGUMENTS
    environment: tuple[str, ...] = Field(default=(), max_length=32)
    limits: Limits = Limits()
    undo: Program | None = None
    verify: Program | None = None

    def program(self, purpose: Purpose) -> Program | None:
        """The file for a purpose, if there is one."""
        match purpose:
            case Purpose.RUN:
                return self
            case Purpose.UNDO:
                return self.undo
            case Purpose.VERIFY:
                return self.verify


class Defect(NamedTuple):
    """What is wrong with one file of the folder, and what to do."""

    file: str
    line: int
    """From 1; 0 when it is about the file as a whole."""
    sentence: str
    script: str = ""
    """The script this makes unusable, when the manifest could be read that far."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence}" if self.line else f"{self.file}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Scripts:
    """A folder as it was when it was read.  Contents are checked again at each run."""

    folder: Path
    usable: Mapping[str, Manifest]
    defects: tuple[Defect, ...]

    def find(self, name: str) -> Manifest | Refused:
        """The script of that name.  A name is a key and never a path."""
        found = self.usable.get(name)
        if found is not None:
            return found
        broken = [str(defect) for defect in self.defects if defect.script == name]
        why = f"its manifest is broken: {broken[0]}" if broken else f"there are: {', '.join(self.usable) or 'none'}"
        return Refused(code=ScriptCode.UNKNOWN, sentence=f"There is no script {name[:80]!r}; {why}")


def read_scripts(folder: Path) -> Scripts:
    """Read every manifest of a folder and check what it names.  Never raises for what is in the folder."""
    usable: dict[str, Manifest] = {}
    found: list[Defect] = list(_folder_defects(folder))
    sources: dict[str, str] = {}
    for path in _manifests(folder):
        located = _parse(path)
        if isinstance(located, Defect):
            found.append(located)
            continue
        manifest = _validate(path, located)
        if not isinstance(manifest, Manifest):
            found += manifest
            continue
        wrong = list(_defects(path, located, manifest))
        if manifest.name in sources:
            sentence = f"{sources[manifest.name]} declares {manifest.name} too: give one of them another name"
            wrong.append(Defect(path.name, located.line_of(("name",)), sentence, manifest.name))
            usable.pop(manifest.name, None)
        sources.setdefault(manifest.name, path.name)
        found += wrong
        if not wrong:
            usable[manifest.name] = manifest
    return Scripts(folder, usable if not any(not d.file for d in found) else {}, tuple(found))


def _manifests(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)[:_MAX_MANIFESTS]


def _folder_defects(folder: Path) -> Iterator[Defect]:
    """What makes the folder as a whole unusable; such a defect names no file."""
    if not folder.is_dir():
        yield Defect("", 0, f"{folder} is no folder: name the one that holds the manifests")
        return
    try:
        count = sum(1 for path in folder.iterdir() if path.suffix in _SUFFIXES)
        loose = _is_loose(folder)
    except OSError as error:
        yield Defect("", 0, f"{folder} cannot be read ({error.strerror}): check its owner and mode")
        return
    if count > _MAX_MANIFESTS:
        yield Defect("", 0, f"{folder} holds {count} manifests, more than {_MAX_MANIFESTS}: take some out")
    if loose:
        yield Defect("", 0, f"{folder} can be written by others than its owner: chmod go-w {folder}")


def _is_loose(path: Path) -> bool:
    """Whether others than the owner can write there; on a file system mounted read-only nobody can."""
    return bool(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)) and not os.statvfs(path).f_flag & os.ST_RDONLY


def _parse(path: Path) -> Located | Defect:
    try:
        return read_yaml(path.read_bytes())
    except OSError as error:
        return Defect(path.name, 0, f"cannot be read ({error.strerror}): check its owner and mode")
    except PolicySyntax as error:
        return Defect(path.name, error.line, str(error))


def _validate(path: Path, located: Located) -> Manifest | list[Defect]:
    if not isinstance(located.value, dict):
        return [Defect(path.name, 1, "is no manifest: write `name:`, `description:`, `file:`, `sha256:` and `kinds:`")]
    name = dig_str(located.value, "name")
    try:
        return Manifest.model_validate(located.value)
    except ValidationError as error:
        return [
            Defect(path.name, located.line_of(_place(mistake["loc"])), _sentence(mistake["loc"], mistake), name)
            for mistake in error.errors(include_url=False, include_input=False)
        ]


def _place(steps: tuple[int | str, ...]) -> tuple[str, ...]:
    return tuple(str(step) for step in steps)


_REMEDIES: Final = {
    "sha256": "write the 64 digits that `sha256sum FILE` prints",
    "file": "write the plain name of a file beside the manifest",
    "kinds": "list the kinds of objects it may be used on, as in [Deployment]",
    "name": "write small letters, digits and hyphens",
    "description": "say in a sentence what it does and what it costs",
}


def _sentence(steps: tuple[int | str, ...], mistake: Mapping[str, object]) -> str:
    where = ".".join(_place(steps))
    if mistake["type"] == "extra_forbidden":
        known = Limits if steps[0] == "limits" else Program if steps[0] in {"undo", "verify"} else Manifest
        return f"{where}: unknown key; there are {', '.join(known.model_fields)}"
    remedy = _REMEDIES.get(str(steps[-1]))
    what = "is missing" if mistake["type"] == "missing" else mistake["msg"]
    return f"{where}: {what}{f'; {remedy}' if remedy else ''}"


def _defects(path: Path, located: Located, manifest: Manifest) -> Iterator[Defect]:
    def defect(sentence: str, *place: str) -> Defect:
        return Defect(path.name, located.line_of(place), sentence, manifest.name)

    if _is_loose(path):
        yield Defect(path.name, 0, f"can be written by others than its owner: chmod go-w {path}", manifest.name)
    for kind in manifest.kinds:
        if not re.match(_KIND, kind):
            yield defect(f"kinds: {kind!r} is no kind; write it as in a manifest, for example Deployment", "kinds")
    for name in manifest.environment:
        wrong = _variable_defect(name)
        if wrong:
            yield defect(f"environment: {name!r} {wrong}", "environment")
    for sentence in schema.defects(manifest.arguments):
        yield defect(sentence, "arguments")
    if manifest.limits.address_space_mib < manifest.limits.memory_mib:
        yield defect("limits: `address_space_mib` must not be less than `memory_mib`", "limits")
    for purpose in Purpose:
        program = manifest.program(purpose)
        if program is None:
            continue
        refused = contents.check(path.parent, program.file, program.sha256)
        if refused is not None:
            place = ("file",) if purpose is Purpose.RUN else (purpose.value, "file")
            yield defect(refused.sentence, *place)


def _variable_defect(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
        return "is no name of a variable: write letters, digits and _"
    if _OWN.fullmatch(name):
        return "belongs to the service alone: give the script a variable of its own"
    if _STEERS.fullmatch(name):
        return "decides which code runs, or is set for every script: take it out and write it in the script"
    return ""
