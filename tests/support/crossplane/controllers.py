"""A double of the controllers: what the documented resource model says they do to objects, through the API alone.

It follows, for managed resources: the order paused, uncertain creation, references, observe, create or update; the
conditions with their reasons and messages; the creation annotations around a creation; looking again after a poll
interval, after a failure with a delay from 1 s doubled to 60 s, and at once on a change of spec, labels or annotations
other than its own; the answer to a request in `status.lastHandledReconcileAt`.  For composites and claims: parts with
controller reference and label, `resourceRefs`, and Ready from the parts.  Deletion, connection details, management
policies, functions and packages are left out.

Sources are those of `tools.executors.crossplane.facts`.  It is no copy of their code, and proves nothing about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tests.support.crossplane.outside import DiedHalfwayError, Outside, OutsideError
from tools.clock import Clock
from tools.cluster.catalogue import Catalogue
from tools.cluster.client import AlreadyExists, Cluster
from tools.cluster.documents import Document, document_of
from tools.cluster.mirror import Mirror
from tools.cluster.resources import Resource, WriteRequest
from tools.cluster.subscription import AnyDelta
from tools.errors import Conflict, NotFound, Transient
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import Role, role_of
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str

POLL: Final = timedelta(minutes=1)
FIRST: Final = timedelta(seconds=1)
LAST: Final = timedelta(seconds=60)
SOON: Final = timedelta(seconds=2)
"""How long a thing outside is given before the next look after its creation."""
PAUSED_NOTE: Final = "Reconciliation is paused via the pause annotation"
INCOMPLETE: Final = (
    "cannot determine creation result - remove the crossplane.io/external-create-pending annotation if it is safe to"
    " proceed"
)
EMPTY: Final = "referenced field was empty (referenced resource may not yet be ready)"
_OWN_NOTES: Final = frozenset({facts.CREATE_PENDING, facts.CREATE_FAILED})
"""Changes of these wake nobody."""

Key = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass
class Double:
    """Everything that is kept in step, and by what.  Use it through `running`.

    `deaf` are names whose changes are not heard and whose turn never comes, as of a controller that lost them; a
    request by annotation is heard, and ends that.  `knows_requests` and `says_generation` are what newer controllers
    do.
    """

    cluster: Cluster
    catalogue: Catalogue
    clock: Clock
    outside: Outside
    poll: timedelta = POLL
    knows_requests: bool = True
    says_generation: bool = True
    deaf: set[str] = field(default_factory=set[str])
    looks: dict[Key, int] = field(default_factory=dict[Key, int])
    """How often each object was looked at."""
    _due: dict[Key, float] = field(default_factory=dict[Key, float])
    _failures: dict[Key, int] = field(default_factory=dict[Key, int])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    # What makes it look

    async def run(self) -> None:
        """Until cancelled."""
        kinds = [one.resource for one in self.catalogue.served if role_of(one.resource.kind, one.categories)]
        watched = [(r, document_of(r)) for r in kinds if r.group != facts.PACKAGES]
        mirror = Mirror(self.cluster, self.clock, watched=watched, finders=())
        await mirror.start()
        subscription = mirror.subscribe(replay=True)
        working = asyncio.create_task(self._work(), name="crossplane double")
        try:
            async for delta in subscription:
                self._hear(delta)
        finally:
            subscription.close()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await mirror.stop()

    def _hear(self, delta: AnyDelta) -> None:
        item, old = delta.object, delta.old
        if delta.kind == "gone" or not isinstance(item, Document):
            return
        owner = item.metadata.controller
        if owner is not None:  # composites watch their parts
            self._enqueue((f"{owner.kind}.{owner.api_version.rpartition('/')[0]}", item.namespace, owner.name))
        for kind, name in self._claims_of(item):
            self._enqueue((kind, dig_str(item.body, "spec", "claimRef", "namespace"), name))
        is_asked = old is not None and _note(item, facts.REQUESTED) != _note(old, facts.REQUESTED)
        if is_asked:
            self.deaf.discard(item.name)
        if item.name in self.deaf:
            return
        if not isinstance(old, Document) or _wanted(old) != _wanted(item):
            self._failures.pop(_key(item), None)
            self._enqueue(_key(item))

    def _claims_of(self, item: Document) -> list[tuple[str, str]]:
        claim = dig_object(item.body, "spec", "claimRef")
        group = dig_str(claim, "apiVersion").rpartition("/")[0]
        return [(f"{dig_str(claim, 'kind')}.{group}", dig_str(claim, "name"))] if claim else []

    def _enqueue(self, key: Key, delay: timedelta = timedelta(0)) -> None:
        due = self.clock.monotonic() + delay.total_seconds()
        self._due[key] = min(due, self._due.get(key, due)) if not delay else due
        self._woken.set()

    async def _work(self) -> None:
        while True:
            self._woken.clear()
            now = self.clock.monotonic()
            for key in [k for k, due in self._due.items() if due <= now]:
                self._due.pop(key)
                if key[2] not in self.deaf:
                    await self._turn(key)
            pause = min((due - self.clock.monotonic() for due in self._due.values()), default=3600.0)
            # A pause that a timedelta rounds to nothing would come again for ever: no time passes in it.
            alarm = asyncio.ensure_future(self.clock.sleep(timedelta(seconds=max(pause, 0.001))))
            waken = asyncio.ensure_future(self._woken.wait())
            await asyncio.wait((alarm, waken), return_when=asyncio.FIRST_COMPLETED)
            alarm.cancel()
            waken.cancel()

    async def _turn(self, key: Key) -> None:
        resource = self.catalogue.find(key[0])
        if resource is None:
            return
        try:
            live = await self.cluster.get(resource, key[2], key[1] or None)
        except NotFound:
            return
        self.looks[key] = self.looks.get(key, 0) + 1
        try:
            again = await self._reconcile(resource, live)
        except (Conflict, Transient):
            again = FIRST
        except DiedHalfwayError:
            again = SOON  # the next process begins with what is written down
        if again is not None:
            self._enqueue(key, again)

    # What it does

    async def _reconcile(self, resource: Resource, live: JsonObject) -> timedelta | None:
        """One look; when the next is due, None for not before something changes."""
        if dig(live, "metadata", "deletionTimestamp") is not None:
            return None
        if facts.is_paused(live):
            await self._tell(resource, live, _synced("False", "ReconcilePaused", PAUSED_NOTE))
            return None
        match role_of(resource.kind, self.catalogue.categories(resource.kind)):
            case Role.MANAGED:
                return await self._managed(resource, live)
            case Role.COMPOSITE:
                return await self._composite(resource, live)
            case Role.CLAIM:
                return await self._claim(resource, live)
            case _:
                return None

    async def _managed(self, resource: Resource, live: JsonObject) -> timedelta | None:
        if facts.creation_is_uncertain(live):
            await self._tell(
                resource, live, _ready("False", "Creating"), _synced("False", "ReconcileError", INCOMPLETE)
            )
            return None
        resolved = await self._resolve(resource, live)
        if isinstance(resolved, str):
            return await self._failed(resource, live, resolved)
        live = resolved
        name = facts.annotation(live, facts.EXTERNAL_NAME)
        try:
            thing = self.outside.observe(name)
        except OutsideError as error:
            return await self._failed(resource, live, f"observe failed: {error}")
        region = dig_str(live, "spec", "forProvider", "region")
        if thing is None:
            return await self._create(resource, live, region)
        if thing.region != region:
            try:
                self.outside.update(name, region)
            except OutsideError as error:
                return await self._failed(resource, live, f"update failed: {error}")
        state = _ready("True", "Available")
        if not thing.ready:
            state = _ready("False", "Creating")
        elif not thing.healthy:
            state = _ready("False", "Unavailable", "it reports itself degraded")
        self._failures.pop(_key_of(resource, live), None)
        await self._tell(resource, live, state, _synced("True", "ReconcileSuccess"))
        return self.poll if thing.ready else SOON

    async def _resolve(self, resource: Resource, live: JsonObject) -> JsonObject | str:
        """Look up the network it refers to; the object with its name, or what is wrong with that."""
        wanted = dig_str(live, "spec", "forProvider", "networkRef", "name")
        if not wanted or dig_str(live, "spec", "forProvider", "network"):
            return live
        prefix = "cannot resolve references: mg.Spec.ForProvider.Network"
        network = self.catalogue.named("networks", resource.group)
        if network is None:
            return f"{prefix}: cannot get referenced resource: no such kind"
        try:
            found = await self.cluster.get(network, wanted, dig_str(live, "metadata", "namespace"))
        except NotFound:
            missing = f'{network.plural}.{network.group} "{wanted}" not found'
            return f"{prefix}: cannot get referenced resource: {missing}"
        name = facts.annotation(found, facts.EXTERNAL_NAME)
        if not name:
            return f"{prefix}: {EMPTY}"
        return await self._patch(resource, live, {"spec": {"forProvider": {"network": name}}})

    async def _create(self, resource: Resource, live: JsonObject, region: str) -> timedelta | None:
        pending = await self._note(resource, live, **{facts.CREATE_PENDING: self._stamp()})
        try:
            name = self.outside.create(region)
        except OutsideError as error:
            ended = await self._note(resource, pending, **{facts.CREATE_FAILED: self._stamp()})
            return await self._failed(resource, ended, f"create failed: {error}", _ready("False", "Creating"))
        notes = {facts.EXTERNAL_NAME: name, facts.CREATE_SUCCEEDED: self._stamp()}
        ended = await self._note(resource, pending, **notes)
        await self._tell(resource, ended, _ready("False", "Creating"), _synced("True", "ReconcileSuccess"))
        return SOON

    async def _failed(self, resource: Resource, live: JsonObject, message: str, *more: JsonObject) -> timedelta:
        await self._tell(resource, live, *more, _synced("False", "ReconcileError", message))
        key = _key_of(resource, live)
        tries = self._failures[key] = self._failures.get(key, 0) + 1
        return min(timedelta(seconds=2.0 ** min(tries - 1, 10)), LAST)

    async def _composite(self, resource: Resource, live: JsonObject) -> timedelta:
        """One part: of a Store a Bucket beside it, of an XShelf a Volume."""
        part_kind = "Bucket.storage.example.org" if resource.namespaced else "Volume.storage.example.org"
        part_resource = self.catalogue.find(part_kind)
        assert part_resource is not None
        namespace = dig_str(live, "metadata", "namespace") or None
        name = f"{dig_str(live, 'metadata', 'name')}-part"
        try:
            part = await self.cluster.get(part_resource, name, namespace)
        except NotFound:
            part = await self._compose(part_resource, name, live)
        if not facts.made_of(live):
            ref: JsonObject = {
                "apiVersion": part_resource.api_version,
                "kind": part_resource.manifest_kind,
                "name": name,
            }
            at: JsonObject = {"crossplane": {"resourceRefs": [ref]}} if resource.namespaced else {"resourceRefs": [ref]}
            live = await self._patch(resource, live, {"spec": at})
        ready = facts.condition(part, facts.READY)
        is_ready = ready is not None and ready.is_true
        state = _ready("True", "Available") if is_ready else _ready("False", "Creating", "Unready resources: part")
        await self._tell(resource, live, state, _synced("True", "ReconcileSuccess"))
        return self.poll

    async def _compose(self, resource: Resource, name: str, whole: JsonObject) -> JsonObject:
        metadata, spec = dig_object(whole, "metadata"), dig_object(whole, "spec")
        owner: JsonObject = {
            "apiVersion": dig_str(whole, "apiVersion"),
            "kind": dig_str(whole, "kind"),
            "name": dig_str(metadata, "name"),
            "uid": dig_str(metadata, "uid"),
            "controller": True,
            "blockOwnerDeletion": True,
        }
        body: JsonObject = {
            "apiVersion": resource.api_version,
            "kind": resource.manifest_kind,
            "metadata": {
                "name": name,
                "labels": {"crossplane.io/composite": dig_str(metadata, "name")},
                "ownerReferences": [owner],
            },
            "spec": {"forProvider": {"region": dig_str(spec, "region") or "north"}},
        }
        namespace = dig_str(metadata, "namespace") or None
        request = WriteRequest("create", resource, namespace, name, body, field_manager=_COMPOSED)
        return (await self.cluster.write(request, dry_run=False)).object

    async def _claim(self, resource: Resource, live: JsonObject) -> timedelta:
        """A claim of a Shelf: its XShelf, and whether that is ready."""
        whole = self.catalogue.find("XShelf.platform.example.org")
        assert whole is not None
        metadata = dig_object(live, "metadata")
        name = f"{dig_str(metadata, 'name')}-{dig_str(metadata, 'uid')[:5]}"
        back: JsonObject = {
            "apiVersion": dig_str(live, "apiVersion"),
            "kind": dig_str(live, "kind"),
            "namespace": dig_str(metadata, "namespace"),
            "name": dig_str(metadata, "name"),
        }
        body: JsonObject = {
            "apiVersion": whole.api_version,
            "kind": whole.manifest_kind,
            "metadata": {"name": name},
            "spec": {"region": dig_str(live, "spec", "region") or "north", "claimRef": back},
        }
        with suppress(AlreadyExists):
            await self.cluster.write(WriteRequest("create", whole, None, name, body), dry_run=False)
        if not facts.made_of(live):
            ref: JsonObject = {"apiVersion": whole.api_version, "kind": whole.manifest_kind, "name": name}
            live = await self._patch(resource, live, {"spec": {"resourceRef": ref}})
        ready = facts.condition(await self.cluster.get(whole, name), facts.READY)
        is_ready = ready is not None and ready.is_true
        waiting = _ready("False", "Waiting", "Claim is waiting for composite resource to become Ready")
        await self._tell(
            resource, live, _ready("True", "Available") if is_ready else waiting, _synced("True", "ReconcileSuccess")
        )
        return self.poll

    # How it writes

    async def _note(self, resource: Resource, live: JsonObject, **notes: str) -> JsonObject:
        """Annotations, on the version that was read: a stale view must not create a second thing."""
        version = dig_str(live, "metadata", "resourceVersion")
        return await self._patch(resource, live, {"metadata": {"resourceVersion": version, "annotations": {**notes}}})

    async def _tell(self, resource: Resource, live: JsonObject, *conditions: JsonObject) -> None:
        """Conditions; the time of one that says the same stays.  Nothing is written where nothing changes."""
        before = [c for c in dig_list(live, "status", "conditions") if isinstance(c, dict)]
        after = list(before)
        for told in conditions:
            mine: JsonObject = {**told, "lastTransitionTime": self._stamp()}
            if self.says_generation:
                mine["observedGeneration"] = dig_int(live, "metadata", "generation") or 0
            held = next((c for c in after if c.get("type") == told["type"]), None)
            if held is None:
                after.append(mine)
            elif _same(held, mine):
                after[after.index(held)] = {**mine, "lastTransitionTime": held["lastTransitionTime"]}
            else:
                after[after.index(held)] = mine
        listed: list[JsonValue] = [*after]
        status: JsonObject = {"conditions": listed}
        asked = facts.annotation(live, facts.REQUESTED)
        if asked and self.knows_requests:
            status["lastHandledReconcileAt"] = asked
        if any(dig(live, "status", key) != value for key, value in status.items()):
            await self._patch(resource, live, {"status": status}, "status")

    async def _patch(
        self, resource: Resource, live: JsonObject, change: JsonObject, subresource: str | None = None
    ) -> JsonObject:
        metadata = dig_object(live, "metadata")
        request = WriteRequest(
            "patch",
            resource,
            dig_str(metadata, "namespace") or None,
            dig_str(metadata, "name"),
            change,
            "application/merge-patch+json",
            subresource,
            "provider-storage",
        )
        return (await self.cluster.write(request, dry_run=False)).object

    def _stamp(self) -> str:
        return f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ}"


_COMPOSED: Final = "apiextensions.crossplane.io/composed/double"


@asynccontextmanager
async def running(double: Double) -> AsyncGenerator[Double]:
    """The double at work; a defect of its own fails the test."""
    task = asyncio.create_task(double.run(), name="crossplane double")
    try:
        yield double
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _synced(status: str, reason: str, message: str = "") -> JsonObject:
    return _condition(facts.SYNCED, status, reason, message)


def _ready(status: str, reason: str, message: str = "") -> JsonObject:
    return _condition(facts.READY, status, reason, message)


def _condition(name: str, status: str, reason: str, message: str) -> JsonObject:
    found: JsonObject = {"type": name, "status": status, "reason": reason}
    return found | ({"message": message} if message else {})


def _same(one: JsonObject, other: JsonObject) -> bool:
    return all(one.get(key) == other.get(key) for key in ("type", "status", "reason", "message"))


def _key(item: Document) -> Key:
    return item.kind, item.namespace, item.name


def _key_of(resource: Resource, live: JsonObject) -> Key:
    return resource.kind, dig_str(live, "metadata", "namespace"), dig_str(live, "metadata", "name")


def _note(item: object, key: str) -> str:
    return facts.annotation(item.body, key) if isinstance(item, Document) else ""


def _wanted(item: Document) -> tuple[object, ...]:
    """What counts as a change of the desired state."""
    notes = {k: v for k, v in item.metadata.annotations.items() if k not in _OWN_NOTES}
    return item.metadata.generation, item.metadata.labels, notes
