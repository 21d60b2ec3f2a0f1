"""The cluster in memory: one reflector per resource the healer looks at, and typed questions over them.

The rule: an answer is what the server last told us, and the mirror says how old that is (`view_age`) and what it cannot
see (`unavailable`); "nothing is wrong" is worth nothing without both.  Kinds that only help to find a cause are told
apart (`blind_spots`): whoever may not list roles can still say whether a workload is well.  Kinds of other people's
definitions are watched where they are served, and their absence is no fault.  A reflector that dies of a defect is
started again, logged and counted.

Neighbours: `reflector` does the work; `watched` and `discovery` say of what; `owners` asks `find`; the watcher reads a
`subscribe`, the verifier waits on `changed`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import structlog

from tools.clock import Clock
from tools.cluster.client import Cluster
from tools.cluster.discovery import Discovery, Finder, Kinds, well_known
from tools.cluster.documents import Document
from tools.cluster.objects import (
    ClusterEvent,
    Controller,
    DaemonSet,
    Deployment,
    Job,
    Node,
    Pod,
    ReplicaSet,
    StatefulSet,
    Workload,
    decoder_of,
)
from tools.cluster.reflector import Reflector, Tuning, Unavailable
from tools.cluster.resources import EVENT, Resource, qualified
from tools.cluster.store import owner_uids
from tools.cluster.structs import KubeObject, Reference
from tools.cluster.subscription import AnyDelta, Subscription
from tools.cluster.watched import CONTROLLERS, WATCHED, WHOLE, is_vital, unseen

T = TypeVar("T", bound=KubeObject)
D = TypeVar("D", bound=Document)

_log = structlog.get_logger(__name__)
_RESTART_PAUSE: Final = timedelta(seconds=1)
PATIENCE: Final = 10
"""How many times as long to wait before an optional kind that could not be seen is tried again."""
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)


class Mirror:
    """Start it, wait for `synced`, ask.  Stop it before the cluster is closed.

    `namespaces` empty means the whole cluster; otherwise each namespaced resource is watched in each of them.
    `finders` name the kinds that are watched where the cluster serves them (`optional`).
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        *,
        namespaces: Sequence[str] = (),
        tuning: Tuning | None = None,
        watched: Sequence[tuple[Resource, type[KubeObject]]] = WATCHED,
        finders: Sequence[Finder] = (well_known,),
    ) -> None:
        """Make the reflectors; nothing is sent before `start`."""
        self._cluster = cluster
        self._clock = clock
        self._namespaces = namespaces
        self._tuning = tuning or Tuning()
        self._optional: dict[type[Document], list[asyncio.Task[None]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.discovery = Discovery(cluster, clock, finders, self._watch_these)
        self._reflectors: dict[type[KubeObject], list[Reflector[KubeObject]]] = {
            struct: [self._reflector(resource, struct, scope) for scope in _scopes(resource, namespaces)]
            for resource, struct in watched
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[Subscription] = []
        self._changes: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self.restarts = 0

    def _reflector(
        self, resource: Resource, struct: type[KubeObject], scope: str | None, *, optional: bool = False
    ) -> Reflector[KubeObject]:
        low, high = self._tuning.unavailable_retry
        patient = replace(self._tuning, unavailable_retry=(PATIENCE * low, PATIENCE * high))
        return Reflector(
            self._cluster,
            resource,
            decoder_of(struct),
            self._clock,
            namespace=scope,
            on_delta=self._publish,
            points_at=_regarding if struct is ClusterEvent else owner_uids,
            tuning=patient if optional else self._tuning,
            is_optional=optional,
        )

    @property
    def reflectors(self) -> tuple[Reflector[KubeObject], ...]:
        """All of them, for health and metrics."""
        return tuple(reflector for group in self._reflectors.values() for reflector in group)

    async def start(self) -> None:
        """Begin to list and watch, in the background.  Must be called once."""
        self._tasks = [self._follow(reflector) for reflector in self.reflectors]
        self._tasks.append(asyncio.create_task(self._discover(), name="discovery"))
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """End all background work and all subscriptions.  What was learnt can still be read.  Safe to repeat."""
        tasks, self._tasks = [*self._tasks, *self._leaving], []
        for following in self._optional.values():
            tasks += following
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for subscription in list(self._subscriptions):
            subscription.close()

    async def synced(self, timeout: timedelta = timedelta(seconds=30)) -> bool:
        """Wait until each source is complete or known to be unavailable; False when `timeout` passes first."""

        async def settled() -> None:
            await self.discovery.looked.wait()
            for reflector in self.reflectors:
                await reflector.settled.wait()

        return await self._within(settled(), timeout)

    def _follow(self, reflector: Reflector[KubeObject]) -> asyncio.Task[None]:
        return asyncio.create_task(self._supervise(reflector), name=f"reflector-{reflector.resource.plural}")

    async def _discover(self) -> None:
        while True:
            try:
                await self.discovery.run()
            except Exception:  # noqa: BLE001 - as in `_supervise`
                self.restarts += 1
                _log.exception("discovery_died")
            else:
                return
            await self._clock.sleep(_RESTART_PAUSE)

    # Kinds that may not be there

    @property
    def optional(self) -> tuple[type[Document], ...]:
        """The kinds of other people's definitions that are watched now."""
        return tuple(self._optional)

    def watch_also(self, struct: type[Document]) -> None:
        """Begin to watch one more kind, whose absence is no fault.  Safe to repeat; before: started, not stopped."""
        if struct in self._reflectors:
            return
        group = [
            self._reflector(struct.resource, struct, scope, optional=True)
            for scope in _scopes(struct.resource, self._namespaces)
        ]
        self._reflectors[struct] = group
        self._optional[struct] = [self._follow(reflector) for reflector in group]

    def watch_no_more(self, struct: type[Document]) -> None:
        """End that watch; what it showed is told as gone.  Nothing happens for a kind that is always watched."""
        if struct not in self._optional:
            return
        for task in self._optional.pop(struct):
            task.cancel()
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        for reflector in self._reflectors.pop(struct):
            for item in reflector.store:
                self._publish(AnyDelta("gone", item, item, self._clock.now()))

    def _watch_these(self, kinds: Kinds) -> None:
        for struct in self.optional:
            if struct not in kinds:
                self.watch_no_more(struct)
        for struct in kinds:
            self.watch_also(struct)

    async def _supervise(self, reflector: Reflector[KubeObject]) -> None:
        while True:
            try:
                await reflector.run()
            except Exception:  # noqa: BLE001 - whatever killed it, the view must go on; it is logged in full
                self.restarts += 1
                _log.exception("reflector_died", resource=reflector.resource.plural, namespace=reflector.namespace)
            await self._clock.sleep(_RESTART_PAUSE)

    # What we hold

    def pods(self, namespace: str | None = None) -> list[Pod]:
        """All pods, or those of one namespace."""
        return [pod for pod in self._all(Pod) if namespace is None or pod.namespace == namespace]

    def pod(self, namespace: str, name: str) -> Pod | None:
        """One pod."""
        return self._named(Pod, namespace, name)

    def pods_of(self, owner_uid: str) -> list[Pod]:
        """The pods of an owner at any height: through ReplicaSets for a Deployment, through Jobs for a CronJob."""
        between: list[KubeObject] = [*self._pointing(ReplicaSet, owner_uid), *self._pointing(Job, owner_uid)]
        return [pod for uid in (owner_uid, *(owner.uid for owner in between)) for pod in self._pointing(Pod, uid)]

    def deployment(self, namespace: str, name: str) -> Deployment | None:
        """One Deployment."""
        return self._named(Deployment, namespace, name)

    def replica_sets_of(self, deployment_uid: str) -> list[ReplicaSet]:
        """The revisions of a Deployment, oldest first."""
        return sorted(self._pointing(ReplicaSet, deployment_uid), key=lambda item: item.revision)

    def jobs_of(self, owner_uid: str) -> list[Job]:
        """The Jobs of a CronJob, in no order."""
        return self._pointing(Job, owner_uid)

    def workload(self, kind: str, namespace: str | None, name: str) -> Workload | None:
        """One Deployment, StatefulSet or DaemonSet; None for any other kind too."""
        found = self.controller(kind, namespace, name)
        return found if isinstance(found, Workload) else None

    def controller(self, kind: str, namespace: str | None, name: str) -> Controller | None:
        """One object that makes pods, ReplicaSet, Job and CronJob too; None for any other kind."""
        struct = CONTROLLERS.get(kind)
        found = None if struct is None else self._named(struct, namespace or "", name)
        return found if isinstance(found, Controller) else None

    def workloads(self, namespace: str | None = None) -> list[Workload]:
        """All Deployments, StatefulSets and DaemonSets, of the cluster or of one namespace."""
        held: list[Workload] = [*self._all(Deployment), *self._all(StatefulSet), *self._all(DaemonSet)]
        return [item for item in held if namespace is None or item.namespace == namespace]

    def of_kind(self, kind: str) -> list[KubeObject]:
        """All objects of one kind that is mirrored; empty for any other."""
        struct = next((s for s in self._reflectors if s.kind == kind), None)
        return [] if struct is None else self._all(struct)

    def events_for(self, uid: str) -> list[ClusterEvent]:
        """What was said about one object, oldest first."""
        return sorted(self._pointing(ClusterEvent, uid), key=lambda event: event.last_time or _NEVER)

    def nodes(self) -> list[Node]:
        """All nodes we may see."""
        return self._all(Node)

    def node(self, name: str) -> Node | None:
        """One node."""
        return self._named(Node, "", name)

    def document(self, kind: str, namespace: str, name: str) -> Document | None:
        """One object that is kept whole; None for any other kind too."""
        struct = WHOLE.get(kind) or next((s for s in self._optional if s.kind == kind), None)
        return None if struct is None else self._named(struct, namespace, name)

    def documents(self, struct: type[D], namespace: str | None = None) -> list[D]:
        """All objects of one kind that is kept whole, of the cluster or of one namespace."""
        return [item for item in self._all(struct) if namespace is None or item.namespace == namespace]

    def holds(self, kind: str, api_version: str) -> bool:
        """Whether this kind is mirrored and seen, so that its absence here means its absence there."""
        struct = next((s for s in self._reflectors if (s.kind, s.api_version) == (kind, api_version)), None)
        return struct is not None and all(reflector.synced.is_set() for reflector in self._reflectors[struct])

    def find(self, ref: Reference) -> KubeObject | None:
        """The object of that kind and uid, or of that kind and name when the reference has no uid.

        A kind that is known only at run time may be named as in manifests, in any of its versions.
        """
        for struct, group in self._reflectors.items():
            is_custom = struct.kind == qualified(ref.kind, ref.group)
            if is_custom or (struct.kind, struct.api_version) == (ref.kind, ref.api_version):
                for reflector in group:
                    store = reflector.store
                    found = store.by_uid(ref.uid) if ref.uid else store.by_name(ref.namespace, ref.name)
                    if found is not None:
                        return found
        return None

    # How good the view is

    def view_age(self) -> float:
        """Seconds since the stalest source that verification needs told us anything; infinity while one never did.

        A quiet source speaks about once a minute, by bookmark.  Not so Events, of which a real server sends none
        (measured on 1.34: a namespace in which nothing is said is silent for good); they are hints, and do not count.
        """
        counted = [r for r in self.reflectors if is_vital(r) and r.resource is not EVENT]
        seen = [r.age() for r in counted if not isinstance(r.state, Unavailable)]
        return max(seen, default=float("inf"))

    def unavailable(self) -> list[str]:
        """The sources that verification needs and we cannot see, each with the reason, for people."""
        return [text for r in self.reflectors if is_vital(r) and (text := unseen(r))]

    def blind_spots(self) -> list[str]:
        """The other sources that we cannot see: a cause may lie there, health does not."""
        return [text for r in self.reflectors if not is_vital(r) and (text := unseen(r))]

    # Who is told

    def subscribe(self, *, replay: bool = False) -> Subscription:
        """A queue of all changes from now on; `replay` begins it with everything held, as added.  Close it."""
        subscription = Subscription(self._subscriptions.remove)
        if replay:
            for reflector in self.reflectors:
                for item in reflector.store:
                    subscription.publish(AnyDelta("added", item))
        self._subscriptions.append(subscription)
        return subscription

    def revision(self, namespace: str | None = None) -> int:
        """A number that grows with each change in the namespace (None: anywhere), for `changed(since=...)`."""
        return self._changes.total() if namespace is None else self._changes[namespace]

    async def changed(self, namespace: str | None, timeout: timedelta, *, since: int | None = None) -> bool:
        """Wait for a change in the namespace (None: anywhere); False when `timeout` passes first.

        With `since`, taken from `revision` before the state was read, a change in between is not missed.
        """
        start = self.revision(namespace) if since is None else since

        async def until() -> None:
            while self.revision(namespace) == start:
                await self._changed.wait()

        return await self._within(until(), timeout)

    async def _within(self, waiting: Coroutine[None, None, None], timeout: timedelta) -> bool:
        """Whether `waiting` ends before `timeout` of our clock does; cancels whichever is late."""
        work = asyncio.create_task(waiting)
        alarm = asyncio.create_task(_sleep(self._clock, timeout))
        try:
            await asyncio.wait((work, alarm), return_when=asyncio.FIRST_COMPLETED)
            return work.done()
        finally:
            work.cancel()
            alarm.cancel()
            await asyncio.gather(work, alarm, return_exceptions=True)

    def _publish(self, delta: AnyDelta) -> None:
        self._changes[delta.object.namespace] += 1
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()
        for subscription in self._subscriptions:
            subscription.publish(delta)

    def _all(self, struct: type[T]) -> list[T]:
        return [item for r in self._reflectors.get(struct, ()) for item in r.store if isinstance(item, struct)]

    def _named(self, struct: type[T], namespace: str, name: str) -> T | None:
        for reflector in self._reflectors.get(struct, ()):
            found = reflector.store.by_name(namespace, name)
            if isinstance(found, struct):
                return found
        return None

    def _pointing(self, struct: type[T], uid: str) -> list[T]:
        groups = self._reflectors.get(struct, ())
        return [item for r in groups for item in r.store.pointing_at(uid) if isinstance(item, struct)]


async def _sleep(clock: Clock, delay: timedelta) -> None:
    await clock.sleep(delay)


def _scopes(resource: Resource, namespaces: Sequence[str]) -> Iterable[str | None]:
    return namespaces if resource.namespaced and namespaces else (None,)


def _regarding(item: KubeObject) -> Iterable[str]:
    return (item.regarding.uid,) if isinstance(item, ClusterEvent) and item.regarding.uid else ()
