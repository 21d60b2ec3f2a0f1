"""What changed, and what was good: the one door to all that this package remembers of objects.

`run` follows the mirror and keeps everything up to date; the questions without `await` answer from memory, at once,
for the detectors; `ways_back` reads what it needs for one incident.  The rule: what is not known is said
(`Ways.unseen`) and never taken for "not so": an object is gone only when the API server says so.

Neighbours: `changes`, `keeper`, `manifests`, `desired`, `wiring` and `candidates` do the work; `graph.evidence` asks
for ways back, `graph.signals` for what is known, the executors for versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from tools.clock import Clock
from tools.cluster.documents import WIRED, Application, Document, last_write
from tools.cluster.objects import CronJob, Job, KubeObject, Pod, Workload, condition
from tools.cluster.resources import KNOWN
from tools.cluster.subscription import AnyDelta, Subscription
from tools.errors import NotFound, ToolError
from tools.executors.base import Reader
from tools.journal.candidates import Live, Question, WayBack, ways_back
from tools.journal.changes import Changes
from tools.journal.compare import differences, normal
from tools.journal.deployed import Deployed
from tools.journal.desired import Desired
from tools.journal.drift import Drift
from tools.journal.keeper import Keeper, View
from tools.journal.manifests import Manifests, VersionLedger
from tools.journal.wiring import AUTOSCALERS, LIMITING, Edge, selects, wiring
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str, digest
from tools.refs import ObjectRef

_log = structlog.get_logger(__name__)

TICK: Final = timedelta(seconds=1)
OWNERS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
GRANTING: Final = frozenset({"RoleBinding"})
"""What gives by naming: changed to name another it still is there, and the loss shows nowhere but on who lost it."""


class JournalView(View, Protocol):
    """The mirror, as far as it is needed."""

    def subscribe(self, *, replay: bool = False) -> Subscription:
        """All changes from now on."""
        ...

    def holds(self, kind: str, api_version: str) -> bool:
        """Whether absence here is absence there."""
        ...

    def blind_spots(self) -> list[str]:
        """Kinds in which a cause may lie and that cannot be seen, each with the reason."""
        ...


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways back of one target, the newest change first, and what could not be seen while looking for them."""

    ways: tuple[WayBack, ...]
    unseen: tuple[str, ...] = ()


class Journal:
    """Make it over an open mirror and ledger; run `run` in the background.

    `on_drift` is called with an object whose differences from its declaration came to be known or changed: look at it.
    """

    def __init__(
        self, reader: Reader, view: JournalView, ledger: VersionLedger, clock: Clock, desired: Desired | None = None
    ) -> None:
        self._reader = reader
        self._view = view
        self._clock = clock
        self.desired = desired
        self.manifests = Manifests(ledger, desired)
        self.changes = Changes(clock)
        self.keeper = Keeper(reader, view, self.manifests, self.changes, clock, desired)
        self.drift = Drift(reader, desired)
        self.deployed = Deployed(clock)

    @property
    def on_drift(self) -> Callable[[ObjectRef], object]:
        """Who is told."""
        return self.drift.on_news

    @on_drift.setter
    def on_drift(self, told: Callable[[ObjectRef], object]) -> None:
        self.drift.on_news = told

    # In the background

    async def open(self) -> None:
        """Read what was good before this process began, and what a folder declares.  Raises LedgerError."""
        await self.manifests.load()
        if self.desired is not None and not self.desired.is_repository:
            await self.desired.refresh()

    async def run(self) -> None:
        """Follow the mirror and the declared state until cancelled."""
        subscription = self._view.subscribe(replay=True)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(subscription), name="journal changes")
                group.create_task(self._keep(), name="journal keeper")
                if self.desired is not None:
                    group.create_task(self.desired.run(), name="journal desired state")
        finally:
            subscription.close()

    async def _follow(self, subscription: Subscription) -> None:
        handled = 0
        async for delta in subscription:
            try:
                self.observe(delta)
            except Exception:  # noqa: BLE001 - one object that cannot be compared must not end the journal
                _log.exception("journal_broken", object=str(delta.object.reference))
            handled += 1
            if handled % 50 == 0:
                await asyncio.sleep(0)

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(TICK)
            try:
                await self.keeper.settle()
                await self.drift.settle()
            except ToolError as error:
                _log.warning("journal_late", code=error.code, error=str(error))
            except Exception:  # noqa: BLE001 - as in `_follow`
                _log.exception("journal_broken")

    def observe(self, delta: AnyDelta) -> None:
        """Take one change in."""
        item = delta.object
        entry = self.changes.observe(delta)
        self.drift.observe(delta)
        if isinstance(item, Application):
            if delta.kind == "gone":
                self.deployed.forget(item)
            else:
                self.deployed.look(item)
        if isinstance(item, Workload):
            if delta.kind == "gone":
                self.keeper.forget(item.ref)
            elif delta.kind == "added":
                self.keeper.met(item.ref)
        if isinstance(item, Pod) and item.is_ready and not (isinstance(delta.old, Pod) and delta.old.is_ready):
            self.keeper.started(item.namespace)
        if isinstance(item, CronJob) and delta.kind == "gone":
            self.keeper.forget(item.ref)
        if isinstance(item, Job) and (made := _came_to_good_end(item, delta.old)) is not None:
            self.keeper.ran_well(made, item.metadata.creation_timestamp or self._clock.now())
        if entry is not None and isinstance(item, Document | Workload):
            self.keeper.touched(item.namespace)

    def confirmed(self, owner: ObjectRef) -> None:
        """A revision of this workload has proved itself (see `good`)."""
        self.keeper.confirmed(owner)

    # Answers from memory

    def declared(self, ref: ObjectRef) -> JsonObject | None:
        """The manifest that people declared, in normal form; None when the object is not declared or nothing is."""
        found = self.desired.declared(ref) if self.desired is not None else None
        return None if found is None else found.manifest

    def declared_refs(self) -> Iterable[ObjectRef]:
        """Every object that is declared."""
        return () if self.desired is None else tuple(self.desired.objects)

    def known_good(self, ref: ObjectRef) -> JsonObject | None:
        """The object as it was when what uses it was last verified healthy, also for one that is gone by now."""
        found = self.manifests.good(ref)
        return None if found is None else found.manifest()

    def differences_from_declared(self, item: KubeObject) -> tuple[str, ...]:
        """JSON pointers into the live object where it says something else than declared.

        Of kinds that are mirrored as small structs it is known a moment after they changed; until then it is empty.
        """
        return self.drift.paths(item)

    def changed_since_good(self, ref: ObjectRef) -> datetime | None:
        """When the object left its known good state; None when it stands so, or nothing is known."""
        good = self.manifests.good(ref)
        if good is None:
            return None
        last = self.changes.last(ref)
        document = self._view.document(ref.kind, ref.namespace or "", ref.name)
        if document is not None and not document.is_cut:
            if digest(normal(document.body)) == good.digest or not differences(
                document.body, good.manifest(), partial=False
            ):
                return None
            return last.at if last is not None else document.written_at or good.confirmed_at
        return last.at if last is not None and last.at > good.confirmed_at else None

    def replaced(self, ref: ObjectRef, path: str) -> str | None:
        """What the newest change of that field took the place of (`spec.replicas`); None when we saw none."""
        return self.changes.replaced(ref, path)

    def owners_when_good(self, ref: ObjectRef) -> frozenset[ObjectRef] | None:
        """Workloads whose pods a Service led to when it was last good; None when that is not known."""
        good = self.manifests.good(ref)
        if good is None or ref.kind != "Service":
            return None
        selector = dig_object(good.manifest(), "spec", "selector")
        if not selector:
            return None
        return frozenset(
            owner.ref
            for owner in self.manifests.goods(ref.namespace or "")
            if owner.ref.kind in ("Deployment", "StatefulSet", "DaemonSet")
            and selects(
                {"matchLabels": selector}, dig_object(owner.manifest(), "spec", "template", "metadata", "labels")
            )
        )

    # For one incident

    async def ways_back(self, target: ObjectRef) -> Ways:
        """What could be put back for a target: a workload and all it depends on, or any other object by itself.

        Raises `ToolError` when the target cannot be read for another reason than that it is gone.
        """
        if self.desired is not None and not self.desired.is_read:
            return Ways((), (f"the desired state of {self.desired.shown} could not be read yet",))
        unseen = [f"{source.partition(':')[0]} cannot be watched" for source in self._view.blind_spots()]
        if self.desired is not None and not self.desired.is_complete:
            unseen.append("a file of the desired state cannot be read: what it declares is not known")
        live = await self._read(target)
        edges = self._edges(target, live)
        lives: dict[ObjectRef, Live] = {}
        gone: set[ObjectRef] = set()
        if live is None:
            gone.add(target)
        else:
            lives[target] = live
        for edge in edges:
            found = await self._look(edge.ref, unseen)
            if isinstance(found, Live):
                lives[edge.ref] = found
            elif found:
                gone.add(edge.ref)
        relations = {edge.ref: edge.relation for edge in edges}
        relations[target] = ""
        good = {ref: g for ref in relations if (g := self.manifests.good(ref)) is not None}
        present = await self._present_when_good(target)
        declared = {r: d for r in relations if self.desired is not None and (d := self.desired.declared(r)) is not None}
        question = Question(
            target=target,
            relations=relations,
            live=lives,
            gone=frozenset(gone),
            declared=declared,
            good=good,
            last={ref: entry for ref in relations if (entry := self.changes.last(ref)) is not None},
            covered=self.desired is not None and self.desired.covers(target.namespace or ""),
            present_when_good=present,
            autoscaled=any(e.ref.kind in AUTOSCALERS and e.ref in lives for e in edges),
        )
        return Ways(ways_back(question), tuple(dict.fromkeys(unseen)))

    async def _present_when_good(self, target: ObjectRef) -> frozenset[str] | None:
        """What limited the target when it was last well; for what itself limits, what stood beside its neighbours."""
        owners = [target]
        if target.kind in LIMITING:
            owners = [good.ref for good in self.manifests.goods(target.namespace or "") if good.ref.kind in OWNERS]
        found = [s for owner in owners if (s := await self.manifests.surroundings(owner)) is not None]
        return frozenset(uid for s in found for uid in s.present) if found else None

    def _edges(self, target: ObjectRef, live: Live | None) -> tuple[Edge, ...]:
        """What the target depends on now, and what it depended on when it was good and is gone or grants it nothing."""
        namespace = target.namespace or ""
        if not namespace:
            return ()
        bodies = [d.body for struct in WIRED for d in self._view.documents(struct, namespace)]
        held = frozenset((dig_str(b, "kind"), dig_str(b, "metadata", "name")) for b in bodies)
        formerly = [
            good.manifest()
            for good in self.manifests.goods(namespace)
            if good.ref.kind in GRANTING
            or (good.ref.kind not in LIMITING and (good.ref.kind, good.ref.name) not in held)
        ]
        manifest = live.body if live is not None else self.declared(target) or self.known_good(target)
        if manifest is None:
            return ()
        edges = (*wiring(manifest, formerly), *wiring(manifest, bodies), *_schedule(target, manifest))
        found = {edge.ref: edge for edge in edges}
        return tuple(edge for edge in found.values() if edge.ref != target)

    async def _read(self, ref: ObjectRef) -> Live | None:
        resource = KNOWN.get(ref.kind)
        if resource is None:
            return None
        try:
            body = await self._reader.get(resource, ref.name, ref.namespace)
        except NotFound:
            return None
        at, by = last_write(dig(body, "metadata", "managedFields"))
        return Live({"apiVersion": resource.api_version, "kind": ref.kind, **body}, by, at)

    async def _look(self, ref: ObjectRef, unseen: list[str]) -> Live | bool:
        """The object; True when it is certainly gone, False when that is not known."""
        resource = KNOWN.get(ref.kind)
        if resource is None:
            return False  # a Secret: only its name is known
        document = self._view.document(ref.kind, ref.namespace or "", ref.name)
        if document is not None and not document.is_cut:
            return Live(document.body, document.written_by, document.written_at)
        if document is None and self._view.holds(ref.kind, resource.api_version) and not self._is_known(ref):
            return False  # it is not there, and nobody could say how it should be
        try:
            return await self._read(ref) or True
        except ToolError as error:
            unseen.append(f"{ref} cannot be read ({error.code})")
            return False

    def _is_known(self, ref: ObjectRef) -> bool:
        return self.manifests.good(ref) is not None or self.declared(ref) is not None


def _came_to_good_end(job: Job, old: KubeObject | None) -> ObjectRef | None:
    """The CronJob that made it, the first time that it is seen complete."""
    owner = job.metadata.controller
    if owner is None or owner.kind != CronJob.kind or not _is_complete(job):
        return None
    if isinstance(old, Job) and _is_complete(old):
        return None
    return ObjectRef(kind=CronJob.kind, namespace=job.namespace, name=owner.name)


def _schedule(target: ObjectRef, manifest: JsonObject) -> tuple[Edge, ...]:
    """The CronJob that made a Job: what is wrong with the Job came from its template, and comes again with the next."""
    if target.kind != Job.kind:
        return ()
    owners = (o for o in dig_list(manifest, "metadata", "ownerReferences") if dig(o, "controller") is True)
    return tuple(
        Edge(ObjectRef(kind=CronJob.kind, namespace=target.namespace, name=dig_str(owner, "name")), "makes it")
        for owner in owners
        if dig_str(owner, "kind") == CronJob.kind
    )


def _is_complete(job: Job) -> bool:
    found = condition(job.status.conditions, "Complete")
    return found is not None and found.status == "True"
