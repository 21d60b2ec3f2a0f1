"""What people declare: the objects of a folder of manifests, or of a path in a Git repository, read again on change.

The rule: what was read well once counts until something else is read well.  A file that cannot be read keeps the
objects it last gave and is a problem that names the file and the remedy; an object that two files declare is no
declaration at all; of a Secret, and of what controllers make, nothing is read.

Neighbours: `manifestfiles` reads files, `repository` brings a Git repository to disk, `compare` says what differs,
`versions` gives the manifests to the executors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from tools.clock import Clock
from tools.journal.git import GitFault
from tools.journal.manifestfiles import FileFault, FileReading, read_folder
from tools.journal.repository import Location, Repository, parse_location
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

_log = structlog.get_logger(__name__)

FOLDER_PERIOD: Final = timedelta(seconds=5)
REPOSITORY_PERIOD: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared object: its manifest in normal form, the digest of that, and the file it stands in."""

    ref: ObjectRef
    manifest: JsonObject
    digest: str
    source: str


@dataclass(slots=True)
class _Known:
    files: dict[str, FileReading] = field(default_factory=dict[str, FileReading])
    objects: dict[ObjectRef, Declared] = field(default_factory=dict[ObjectRef, Declared])
    namespaces: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    read_at: datetime | None = None
    revision: int = 0


class Desired:
    """The declared state.  Call `refresh` once, then `run` in the background; the questions never wait.

    `location` is a folder, or a repository as `parse_location` describes it; `state_dir` is where a repository's copy
    is kept; `groups` are API groups whose kinds are read as well.  Raises ValueError for a location that cannot be
    meant.
    """

    def __init__(self, location: str, *, state_dir: Path, clock: Clock, groups: frozenset[str] = frozenset()) -> None:
        self._location: Location = parse_location(location)
        self._clock = clock
        self._groups = groups
        self._repository = (
            Repository(self._location, state_dir / "desired-state") if self._location.is_repository else None
        )
        self._known = _Known()

    @property
    def shown(self) -> str:
        """The location without anything secret."""
        return self._location.shown

    @property
    def is_repository(self) -> bool:
        """Whether reading it means asking another machine, which may take its time."""
        return self._repository is not None

    @property
    def is_read(self) -> bool:
        """Whether it was read at least once.  Before that nothing is known of what is declared, not even that it is
        nothing.
        """
        return self._known.read_at is not None

    @property
    def is_complete(self) -> bool:
        """Whether every file counts: read, and none of them only ever failed."""
        return self.is_read and all(reading.objects is not None for reading in self._known.files.values())

    @property
    def read_at(self) -> datetime | None:
        """When it was last read well."""
        return self._known.read_at

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with it, each with the file and the remedy; empty when all of it counts."""
        return self._known.problems

    @property
    def objects(self) -> Mapping[ObjectRef, Declared]:
        """Every declared object."""
        return self._known.objects

    @property
    def revision(self) -> int:
        """A number that grows whenever what is declared changes."""
        return self._known.revision

    def declared(self, ref: ObjectRef) -> Declared | None:
        """The declaration of one object."""
        return self._known.objects.get(ref)

    def covers(self, namespace: str) -> bool:
        """Whether anything of that namespace is declared, so that what is not declared there was left out."""
        return namespace in self._known.namespaces

    async def run(self) -> None:
        """Read again for ever: a folder every few seconds, a repository every minute.  Ends by cancellation."""
        period = REPOSITORY_PERIOD if self._repository is not None else FOLDER_PERIOD
        while True:
            if self.is_read:
                await self._clock.sleep(period)
            await self.refresh()
            if not self.is_read:
                await self._clock.sleep(FOLDER_PERIOD)

    async def refresh(self) -> bool:
        """Read what changed; True when something else is declared now.  What goes wrong is in `problems` afterwards."""
        fault = None
        folder = self._location.folder
        if self._repository is not None:
            fetched = await self._repository.fetch()
            fault = fetched if isinstance(fetched, GitFault) else None
            folder = self._repository.folder
            if fault is not None and not await self._repository.has_copy():
                return self._take(self._known.files, [fault.sentence], is_read=False)
        files = await asyncio.to_thread(read_folder, folder, self._known.files, self._groups)
        if isinstance(files, FileFault):
            sentences = [s for s in (fault.sentence if fault else None, files.sentence) if s is not None]
            return self._take(self._known.files, sentences, is_read=False)
        return self._take(files, [fault.sentence] if fault else [], is_read=True)

    def _take(self, files: dict[str, FileReading], faults: list[str], *, is_read: bool) -> bool:
        """Put the readings of all files together."""
        objects, doubts = _merged(files)
        problems = (*faults, *(p for reading in files.values() for p in reading.problems), *doubts)
        before = self._known
        is_changed = {r: d.digest for r, d in before.objects.items()} != {r: d.digest for r, d in objects.items()}
        for problem in problems:
            if problem not in before.problems:
                _log.warning("desired_state_problem", problem=problem)
        self._known = _Known(
            files=files,
            objects=objects,
            namespaces=frozenset(ref.namespace for ref in objects if ref.namespace is not None),
            problems=problems,
            read_at=self._clock.now() if is_read else before.read_at,
            revision=before.revision + is_changed,
        )
        if is_changed:
            _log.info("desired_state_read", location=self.shown, objects=len(objects), problems=len(problems))
        return is_changed


def _merged(files: Mapping[str, FileReading]) -> tuple[dict[ObjectRef, Declared], list[str]]:
    """Every object that exactly one place declares, and a sentence for each of the others."""
    found: dict[ObjectRef, list[Declared]] = {}
    for name, reading in sorted(files.items()):
        for read in reading.objects or ():
            found.setdefault(read.ref, []).append(Declared(read.ref, read.manifest, read.digest, name))
    doubts = [
        f"{ref} is declared in {' and in '.join(one.source for one in places)}: keep one; until then neither counts"
        for ref, places in found.items()
        if len(places) > 1
    ]
    return {ref: places[0] for ref, places in found.items() if len(places) == 1}, doubts
