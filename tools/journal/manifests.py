"""The durable store of object versions: what was good, by digest, on the ledger; what is declared, by its side.

The rule: a version is kept whole or not at all (above `MAX_BYTES` it is not, and that is said), never of a Secret; what
is declared outranks what was good.  The newest good version of each object is also held in memory, packed, because it
is asked for at each look.

Neighbours: `keeper` puts versions in, `candidates` compares with them, the executors fetch them by digest (`versions`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from tools.journal.compare import normal
from tools.journal.desired import Desired
from tools.journal.versions import Version
from tools.jsontypes import JsonObject, canonical, digest
from tools.ledger.records import ObjectVersion, Surroundings
from tools.refs import ObjectRef

MAX_BYTES: Final = 65_536
NEVER_KEPT: Final = frozenset({"Secret"})


class VersionLedger(Protocol):
    """The part of the ledger that is needed."""

    async def keep_version(self, version: ObjectVersion) -> bool:
        """Keep it; True when it is new."""
        ...

    async def object_versions(self, ref: ObjectRef) -> Sequence[ObjectVersion]:
        """Versions of an object, confirmed last first."""
        ...

    async def object_version(self, ref: ObjectRef, digest: str) -> ObjectVersion | None:
        """One version."""
        ...

    async def newest_versions(self) -> Sequence[ObjectVersion]:
        """The newest version of every object."""
        ...

    async def keep_surroundings(self, good: Surroundings) -> None:
        """Keep what stood beside a workload."""
        ...

    async def surroundings(self, owner: ObjectRef) -> Surroundings | None:
        """What stood beside a workload when it was last well."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """It is in the ledger; `is_new` when it says something else than any version before."""

    digest: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class NotKept:
    """It is not kept, and why."""

    reason: str


KeptOrNot: TypeAlias = Kept | NotKept


@dataclass(frozen=True, slots=True)
class Good:
    """The newest good version of one object, packed."""

    ref: ObjectRef
    digest: str
    confirmed_at: datetime
    first_confirmed_at: datetime
    vouched_by: ObjectRef
    packed: bytes

    def manifest(self) -> JsonObject:
        """The manifest, unpacked; a new one each time."""
        found: JsonObject = json.loads(zlib.decompress(self.packed))
        return found


class Manifests:
    """The store.  `load` once before the questions without `await` are asked; fulfils `versions.Versions`."""

    def __init__(self, ledger: VersionLedger, desired: Desired | None = None) -> None:
        self._ledger = ledger
        self._desired = desired
        self._newest: dict[ObjectRef, Good] = {}
        self._by_namespace: dict[str, set[ObjectRef]] = {}

    async def load(self) -> None:
        """Read what earlier processes confirmed."""
        for version in await self._ledger.newest_versions():
            self._remember(version)

    async def keep(self, live: JsonObject, ref: ObjectRef, *, vouched_by: ObjectRef, now: datetime) -> KeptOrNot:
        """Keep an object as it stands as good; the same content again renews the time."""
        if ref.kind in NEVER_KEPT:
            return NotKept(f"{ref}: nothing is kept of a {ref.kind}")
        manifest = normal(live)
        text = canonical(manifest)
        if len(text) > MAX_BYTES:
            return NotKept(f"{ref}: {len(text)} bytes are more than the {MAX_BYTES} kept of one version")
        version = ObjectVersion(
            ref=ref,
            digest=digest(manifest),
            manifest=manifest,
            vouched_by=vouched_by,
            first_confirmed_at=now,
            confirmed_at=now,
        )
        is_new = await self._ledger.keep_version(version)
        self._remember(version)
        return Kept(version.digest, is_new)

    def good(self, ref: ObjectRef) -> Good | None:
        """The good version confirmed last."""
        return self._newest.get(ref)

    def goods(self, namespace: str) -> list[Good]:
        """The newest good version of every object of a namespace that ever had one, also of those gone since."""
        return [self._newest[ref] for ref in self._by_namespace.get(namespace, ())]

    async def history(self, ref: ObjectRef) -> Sequence[ObjectVersion]:
        """All good versions of an object, confirmed last first."""
        return await self._ledger.object_versions(ref)

    async def version(self, ref: ObjectRef, version: str) -> Version | None:
        """See `versions.Versions`."""
        declared = self._desired.declared(ref) if self._desired is not None else None
        if declared is not None and declared.digest == version:
            return Version(declared.manifest, "desired")
        good = self._newest.get(ref)
        if good is not None and good.digest == version:
            return Version(good.manifest(), "last_known_good")
        kept = await self._ledger.object_version(ref, version)
        return None if kept is None else Version(kept.manifest, "last_known_good")

    async def manifest(self, ref: ObjectRef, version: str) -> JsonObject | None:
        """The manifest alone; None when there is no such version of this object."""
        found = await self.version(ref, version)
        return None if found is None else found.manifest

    async def keep_surroundings(self, good: Surroundings) -> None:
        """Keep what stood beside a workload."""
        await self._ledger.keep_surroundings(good)

    async def surroundings(self, owner: ObjectRef) -> Surroundings | None:
        """What stood beside a workload when it was last well."""
        return await self._ledger.surroundings(owner)

    def _remember(self, version: ObjectVersion) -> None:
        held = self._newest.get(version.ref)
        if held is not None and held.confirmed_at > version.confirmed_at:
            return
        is_same = held is not None and held.digest == version.digest
        self._newest[version.ref] = Good(
            ref=version.ref,
            digest=version.digest,
            confirmed_at=version.confirmed_at,
            first_confirmed_at=held.first_confirmed_at if held and is_same else version.first_confirmed_at,
            vouched_by=version.vouched_by,
            packed=held.packed if held and is_same else zlib.compress(canonical(version.manifest), 6),
        )
        self._by_namespace.setdefault(version.ref.namespace or "", set()).add(version.ref)
