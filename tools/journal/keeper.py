"""Takes the last known good: a workload that proved healthy, and all it is wired to, as they stand.

Not everything that stands beside a healthy workload is good: a setting that was changed after the pods started has not
been read yet, and will break the next one.  The rules:

- nothing is taken while the workload is not healthy, or of an object that differs from its declared state, is being
  deleted, or is under suspicion (`doubted`);
- a CronJob is proved by a run of it that came to a good end, and only as it stood when that run was made;
- the first version of an object must have stood for the least proving time beside a healthy workload;
- a version that would replace an earlier one must have been tried: pods started with it, or, for kinds that act all the
  time (Services, policies, roles), it stood for `SOAK`; what acts when pods are made counts after `STANDING`.

Neighbours: `good` says when a revision has proved itself, `wiring` what belongs to it, `manifests` keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog

from tools.clock import Clock
from tools.cluster.documents import WIRED, Document, EndpointSlice, last_write
from tools.cluster.objects import CronJob, Pod, Workload
from tools.cluster.resources import KNOWN
from tools.errors import NotFound, ToolError
from tools.executors.base import Reader
from tools.executors.keda.scaled import holds
from tools.journal.changes import Changes
from tools.journal.compare import differences, normal
from tools.journal.desired import Desired
from tools.journal.good import LEAST, healthy_since
from tools.journal.manifests import Manifests, NotKept
from tools.journal.wiring import LIMITING, Edge, wiring
from tools.jsontypes import JsonObject, dig, digest
from tools.ledger.records import Surroundings
from tools.refs import ObjectRef

_log = structlog.get_logger(__name__)
D = TypeVar("D", bound=Document)

SOAK: Final = timedelta(minutes=5)
"""How long a changed object that acts all the time must stand beside healthy workloads before it counts as good."""
STANDING: Final = timedelta(hours=1)
"""The same for what acts only when pods are made, and none was."""
RENEW: Final = timedelta(hours=6)
"""How old a confirmation may grow while nothing changes."""
AGAIN: Final = timedelta(minutes=1)
"""When to look again at a workload that was not healthy just now."""
AT_ONCE: Final = 20
"""Workloads looked at in one go: the others follow a second later."""
_AT_THE_START: Final = frozenset({"ConfigMap"})
"""Read by containers when they start: no time proves a change of these, only a start does."""
_WHEN_MADE: Final = frozenset({"ResourceQuota", "LimitRange", "ServiceAccount"})
_LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)


class View(Protocol):
    """The part of the mirror that is needed."""

    def workload(self, kind: str, namespace: str | None, name: str) -> Workload | None:
        """One workload."""
        ...

    def workloads(self, namespace: str | None = None) -> list[Workload]:
        """All workloads."""
        ...

    def pods_of(self, owner_uid: str) -> list[Pod]:
        """The pods of an owner."""
        ...

    def document(self, kind: str, namespace: str, name: str) -> Document | None:
        """One object kept whole."""
        ...

    def documents(self, struct: type[D], namespace: str | None = None) -> list[D]:
        """All of one kind."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What one look at a workload took down."""

    owner: ObjectRef
    new: tuple[ObjectRef, ...]
    """Objects of which a version was taken that says something new."""


def never(_: ObjectRef) -> bool:
    """No suspicion."""
    return False


class Keeper:
    """Tell it who came (`met`), is proven (`confirmed`) and what changed (`touched`); `settle` about once a second.

    `doubted` says whether an object is under suspicion at this moment, by a signal or an open incident.
    """

    def __init__(  # noqa: PLR0917 - one caller, `journal`
        self,
        reader: Reader,
        view: View,
        manifests: Manifests,
        changes: Changes,
        clock: Clock,
        desired: Desired | None = None,
    ) -> None:
        self._reader = reader
        self._view = view
        self._manifests = manifests
        self._changes = changes
        self._clock = clock
        self._desired = desired
        self._due: dict[ObjectRef, datetime] = {}
        self._runs: dict[ObjectRef, datetime] = {}
        self._surroundings: dict[ObjectRef, tuple[str, ...]] = {}
        self._untried: set[ObjectRef] = set()
        self.doubted: Callable[[ObjectRef], bool] = never
        self.refused: dict[ObjectRef, str] = {}
        """Objects that are not kept, and why; for whoever asks."""

    def confirmed(self, owner: ObjectRef) -> None:
        """A revision of this workload has proved itself: take it down, and keep it up to date from now on."""
        self._due[owner] = self._clock.now()

    def ran_well(self, schedule: ObjectRef, made: datetime) -> None:
        """A Job that this CronJob made at that time came to a good end."""
        self._runs[schedule] = max(made, self._runs.get(schedule, _LONG_AGO))
        self._due[schedule] = self._clock.now()

    def met(self, owner: ObjectRef) -> None:
        """A workload came into view: look at it now, or when what is known of it grows old."""
        good = self._manifests.good(owner)
        now = self._clock.now()
        self._due.setdefault(owner, now if good is None else max(now, good.confirmed_at + RENEW))

    def touched(self, namespace: str) -> None:
        """Something that workloads depend on changed there: look again once it can have been tried."""
        soon = self._clock.now() + LEAST
        for owner, due in self._due.items():
            if owner.namespace == namespace and due > soon:
                self._due[owner] = soon

    def started(self, namespace: str) -> None:
        """A pod became ready there: what waits for pods to start with it may have been tried now."""
        soon = self._clock.now() + LEAST
        for owner in self._untried:
            if owner.namespace == namespace and owner in self._due:
                self._due[owner] = min(self._due[owner], soon)

    def forget(self, owner: ObjectRef) -> None:
        """The workload is gone.  Its versions stay: they are what it would be restored from."""
        self._due.pop(owner, None)
        self._runs.pop(owner, None)
        self._surroundings.pop(owner, None)
        self._untried.discard(owner)

    def due_at(self) -> datetime | None:
        """When there is something to do next."""
        return min(self._due.values(), default=None)

    async def settle(self) -> list[Taken]:
        """Take down whatever is due.  What the cluster or the ledger refuses is tried again a minute later."""
        now = self._clock.now()
        taken: list[Taken] = []
        for owner in [ref for ref, due in self._due.items() if due <= now][:AT_ONCE]:
            try:
                found = await self._take(owner, now)
            except ToolError as error:
                _log.warning("keeper_failed", target=str(owner), code=error.code, error=str(error))
                self._due[owner] = now + AGAIN
                continue
            if found is not None and found.new:
                taken.append(found)
        return taken

    async def _take(self, owner: ObjectRef, now: datetime) -> Taken | None:
        if owner.kind == CronJob.kind:
            return await self._take_schedule(owner, now)
        workload = self._view.workload(owner.kind, owner.namespace, owner.name)
        if workload is None:
            self.forget(owner)
            return None
        pods = self._view.pods_of(workload.uid)
        since = healthy_since(workload, pods)
        if since is None or since > now:
            self._due[owner] = max(now + AGAIN, since or now)
            return None
        try:
            live = await self._reader.get(KNOWN[owner.kind], owner.name, owner.namespace)
        except NotFound:
            self.forget(owner)
            return None
        new, again = await self._take_all(owner, live, _Moment(now, _starts(pods)))
        self._due[owner] = max(again, now + LEAST)
        return Taken(owner, new)

    async def _take_schedule(self, owner: ObjectRef, now: datetime) -> Taken | None:
        """The next look comes with the next run that ends well."""
        made = self._runs.get(owner, _LONG_AGO)
        try:
            live = await self._reader.get(KNOWN[owner.kind], owner.name, owner.namespace)
        except NotFound:
            self.forget(owner)
            return None
        written, _ = last_write(dig(live, "metadata", "managedFields"))
        new: tuple[ObjectRef, ...] | None = None
        if written is None or written < made:  # both are whole seconds: in the same one it may have been made before
            new, _ = await self._take_all(owner, live, _Moment(now, made))
        if self._runs.get(owner) == made:
            del self._due[owner]
        return None if new is None else Taken(owner, new)

    async def _take_all(
        self, owner: ObjectRef, live: JsonObject, moment: _Moment
    ) -> tuple[tuple[ObjectRef, ...], datetime]:
        """The owner, what it is wired to and what limits it; gives what was new, and when to look again."""
        documents = self._documents(owner.namespace or "")
        edges = wiring({"kind": owner.kind, **live}, [d.body for d in documents])
        new, again = await self._take_objects(owner, live, edges, moment)
        return new, min(again, await self._take_surroundings(owner, documents, edges, moment))

    async def _take_objects(
        self, owner: ObjectRef, live: JsonObject, edges: Sequence[Edge], moment: _Moment
    ) -> tuple[tuple[ObjectRef, ...], datetime]:
        """The workload and what it is wired to; gives what was new, and when to look again."""
        now, again, new = moment.now, moment.now + RENEW, list[ObjectRef]()
        typed: JsonObject = {"apiVersion": KNOWN[owner.kind].api_version, "kind": owner.kind, **live}
        self._untried.discard(owner)
        if await self._keep(owner, typed, owner, now):
            new.append(owner)
        for edge in edges:
            document = self._view.document(edge.ref.kind, edge.ref.namespace or "", edge.ref.name)
            if document is None or isinstance(document, EndpointSlice) or document.is_being_deleted:
                continue
            if holds(document.body):
                continue  # while KEDA is paused the workload's health says nothing about how it scales
            if document.is_cut:
                self._refuse(edge.ref, f"{edge.ref} is too large to be kept")
                continue
            proven_at = self._proven_at(document, moment)
            if proven_at is None:
                self._untried.add(owner)
            elif proven_at > now:
                again = min(again, proven_at)
            elif await self._keep(edge.ref, document.body, owner, now):
                new.append(edge.ref)
        return tuple(new), again

    async def _keep(self, ref: ObjectRef, body: JsonObject, owner: ObjectRef, now: datetime) -> bool:
        """Keep one object unless that is known already; True when it says something new."""
        if self.doubted(ref) or self._is_drifted(ref, body):
            return False
        held = self._manifests.good(ref)
        if held is not None and now - held.confirmed_at < RENEW and held.digest == digest(normal(body)):
            return False
        kept = await self._manifests.keep(body, ref, vouched_by=owner, now=now)
        if isinstance(kept, NotKept):
            self._refuse(ref, kept.reason)
            return False
        self.refused.pop(ref, None)
        return kept.is_new

    def _is_drifted(self, ref: ObjectRef, body: JsonObject) -> bool:
        declared = self._desired.declared(ref) if self._desired is not None else None
        return declared is not None and bool(differences(body, declared.manifest, partial=True))

    def _proven_at(self, document: Document, moment: _Moment) -> datetime | None:
        """From when on the document as it stands counts as tried; None when only a start of pods can show it."""
        changed = self._changed_at(document)
        if changed <= moment.started:
            return moment.now
        ref = document.ref
        held = self._manifests.good(ref)
        if held is None or held.digest == digest(normal(document.body)):
            return changed + LEAST
        if ref.kind in _AT_THE_START:
            return None
        return changed + (STANDING if ref.kind in _WHEN_MADE else SOAK)

    def _changed_at(self, document: Document) -> datetime:
        last = self._changes.last(document.ref)
        times = (document.written_at, document.metadata.creation_timestamp, last.at if last is not None else None)
        return max((t for t in times if t is not None), default=_LONG_AGO)

    async def _take_surroundings(
        self, owner: ObjectRef, documents: Iterable[Document], edges: Sequence[Edge], moment: _Moment
    ) -> datetime:
        """What limits the workload and did not hurt it; gives when to look again."""
        wired = frozenset(edge.ref for edge in edges)
        again, present = moment.now + RENEW, list[str]()
        before = await self._surrounded(owner)
        for document in documents:
            if document.kind in LIMITING and document.ref in wired and not self.doubted(document.ref):
                proven_at = _tolerated_at(document, before, moment)
                if proven_at <= moment.now:
                    present.append(document.uid)
                else:
                    again = min(again, proven_at)
        uids = tuple(sorted(present))
        if self._surroundings.get(owner) != uids:
            await self._manifests.keep_surroundings(Surroundings(owner=owner, present=uids, confirmed_at=moment.now))
            self._surroundings[owner] = uids
        return again

    async def _surrounded(self, owner: ObjectRef) -> tuple[str, ...] | None:
        """What stood beside it when it was last well; None when that was never taken down."""
        if owner not in self._surroundings:
            known = await self._manifests.surroundings(owner)
            if known is None:
                return None
            self._surroundings[owner] = known.present
        return self._surroundings[owner]

    def _documents(self, namespace: str) -> list[Document]:
        return [d for struct in WIRED for d in self._view.documents(struct, namespace) if not d.is_being_deleted]

    def _refuse(self, ref: ObjectRef, reason: str) -> None:
        if ref not in self.refused:
            _log.warning("keeper_not_kept", object=str(ref), reason=reason)
        self.refused[ref] = reason


@dataclass(frozen=True, slots=True)
class _Moment:
    now: datetime
    started: datetime
    """The latest moment that at least one pod's containers all started after."""


def _tolerated_at(document: Document, before: Iterable[str] | None, moment: _Moment) -> datetime:
    """From when on the workload has shown that it can live with this object being there at all."""
    made = document.metadata.creation_timestamp or _LONG_AGO
    if made <= moment.started or (before is not None and document.uid in before):
        return moment.now
    if before is None:
        return made + LEAST
    return made + (STANDING if document.kind in _WHEN_MADE else SOAK)


def _starts(pods: Iterable[Pod]) -> datetime:
    starts: list[datetime] = []
    for pod in pods:
        running = [s.state.running for s in pod.status.container_statuses]
        times = [r.started_at for r in running if r is not None and r.started_at is not None]
        if times and len(times) == len(running):
            starts.append(min(times))
    return max(starts, default=_LONG_AGO)
