"""The watcher's eye for what is no pod: Services, settings, autoscalers, claims, budgets, Jobs, nodes, declarations.

A change reaches the objects for which it may mean something (`graph.signals.reach`); those are looked at once each,
however many changes reach them at the same moment.  What no change announces is found by named, cheap checks from time
to time (`CHECKS`).

Neighbours: `server.watcher` hands it each change and opens the incidents; `graph.signals.look` judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from graph.incident import Signal
from graph.ports import Ports
from graph.signals.look import look_at_missing, look_at_object, look_for_missing
from graph.signals.reach import affected
from server.logging import get_logger
from tools.cluster.documents import WIRED, Application, Document, EndpointSlice, document_of
from tools.cluster.objects import ClusterEvent, Pod, ReplicaSet
from tools.cluster.resources import CRON_JOB, JOB
from tools.cluster.structs import KubeObject, Reference
from tools.cluster.subscription import AnyDelta
from tools.errors import ToolError
from tools.executors.crossplane.facts import Role
from tools.refs import ObjectRef, absent_uid

_LOG = get_logger(__name__)
PERIOD: Final = timedelta(seconds=30)
"""Between two rounds of checks: half of what a silent fault may take to be healed."""
_NEVER_LOOKED_AT: Final = (Pod, ReplicaSet, ClusterEvent, EndpointSlice)


class Raise(Protocol):
    """Takes what was found on one object."""

    def __call__(self, signals: Sequence[Signal], at: datetime) -> None:
        """`at` is when we received what was looked at."""
        ...


class ObjectWatch:
    """Looks; `raise_` takes what it finds, `look_soon` comes back to a name."""

    def __init__(self, ports: Ports, *, raise_: Raise, look_soon: Callable[[ObjectRef, datetime], None]) -> None:
        self._ports = ports
        self._raise = raise_
        self._look_soon = look_soon

    def handle(self, delta: AnyDelta, at: datetime) -> None:
        """One change: the object itself at once, those it reaches as soon as the loop is free."""
        contexts = self._ports.objects
        now = self._ports.clock.now()
        for ref in affected(delta, contexts):
            self._look_soon(ref, now)
        item = delta.object
        if isinstance(item, _NEVER_LOOKED_AT):
            return
        if delta.kind == "gone":
            contexts.forget(item)
            name = named(item)
            if name is not None:
                self._raise(look_at_missing(name, contexts, now), at)
            return
        self._raise(look_at_object(item, contexts, now), at)

    def look(self, ref: ObjectRef, at: datetime) -> None:
        """Look at whatever bears this name now, or at its absence."""
        contexts, now = self._ports.objects, self._ports.clock.now()
        item = held(ref, self._ports)
        if item is None:
            self._raise(look_at_missing(ref, contexts, now), at)
        else:
            self._raise(look_at_object(item, contexts, now), at)

    def failing_for(self, ref: ObjectRef) -> tuple[ObjectRef, ...]:
        """What is known to fail because of it: of a part of Crossplane's the wholes, of a package what it serves."""
        item, externals = held(ref, self._ports), self._ports.objects.externals
        role = externals.role(item) if isinstance(item, Document) else None
        if not isinstance(item, Document) or role is None:
            return ()
        return externals.served_by(item) if role is Role.PACKAGE else externals.wholes_of(item)

    def seen(self, ref: ObjectRef, uid: str) -> list[Signal]:
        """What shows on the object in this life, or on the name of one that is gone."""
        contexts, now = self._ports.objects, self._ports.clock.now()
        item = held(ref, self._ports)
        if item is None:
            return look_at_missing(ref, contexts, now) if uid == absent_uid(ref) else []
        return look_at_object(item, contexts, now) if item.uid == uid else []

    async def learn_groups(self) -> None:
        """Ask which API groups the cluster serves: a finalizer of any other has nobody to remove it.  Never raises."""
        try:
            groups = await self._ports.cluster.api_groups()
        except ToolError as error:
            _LOG.warning("watcher.groups_unread", code=error.code, error=str(error))
            return
        self._ports.objects.api_groups = lambda: groups

    def check(self) -> None:
        """One round of what no change announces; costs no request."""
        now = self._ports.clock.now()
        for _, found in CHECKS:
            for item in found(self._ports):
                self._raise(look_at_object(item, self._ports.objects, now), now)
        self._raise(look_for_missing(self._ports.objects, now), now)


def named(item: KubeObject) -> ObjectRef | None:
    """The object's reference; None for a name that no reference can hold."""
    try:
        return item.ref
    except ValueError:
        return None


def held(ref: ObjectRef, ports: Ports) -> KubeObject | None:
    """The object of that name as the watch shows it; None when it is not there, or its kind is not in view."""
    resource = ports.catalogue.find(ref.kind)
    if resource is None:
        return None
    return ports.mirror.find(Reference(ref.kind, ref.namespace or "", ref.name, "", resource.api_version))


def _wiring(ports: Ports) -> Iterator[KubeObject]:
    for struct in WIRED:
        if struct is not EndpointSlice:
            yield from ports.mirror.documents(struct)


def _scale(ports: Ports) -> Iterator[KubeObject]:
    yield from ports.mirror.workloads()


def _schedules(ports: Ports) -> Iterator[KubeObject]:
    yield from ports.mirror.of_kind(JOB.kind)
    yield from ports.mirror.of_kind(CRON_JOB.kind)


def _nodes(ports: Ports) -> Iterator[KubeObject]:
    yield from ports.mirror.nodes()


def _applications(ports: Ports) -> Iterator[KubeObject]:
    yield from ports.mirror.documents(Application)


def _externals(ports: Ports) -> Iterator[KubeObject]:
    for served in ports.catalogue.served:
        yield from ports.mirror.documents(document_of(served.resource))


CHECKS: Final[tuple[tuple[str, Callable[[Ports], Iterator[KubeObject]]], ...]] = (
    ("wiring and drift of Services, settings and policies", _wiring),
    ("scale and drift of workloads", _scale),
    ("schedules of Jobs and CronJobs", _schedules),
    ("nodes", _nodes),
    ("resources and packages of Crossplane", _externals),
    ("operations of Argo CD that hang", _applications),
)
"""What is looked at from time to time, with what each looks for; `selfheal explain` and the docs name them."""
