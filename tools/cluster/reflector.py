"""Keeps one resource in memory: list once, watch from there, and survive what API servers do.

The rule: whatever fails, the store ends up right and the server is not hammered.  Every way a watch can end has one
line in `_judge`: go on, wait, list again, or say that we cannot see.  Nothing learnt from one failure (a Retry-After)
is used for another.

Neighbours: `client` gives pages and lines, `store` holds the objects, `mirror` runs one reflector per resource.
Semantics of list and watch: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Generic, TypeVar

import msgspec
import structlog
from msgspec import Raw

from tools.clock import Clock
from tools.cluster.client import SILENCE, Cluster
from tools.cluster.faults import from_error_event, parse_object
from tools.cluster.objects import Decoder
from tools.cluster.resources import Resource
from tools.cluster.store import Delta, Store, key_of, owner_uids
from tools.cluster.structs import Identity, KubeObject, Lax, Wire, as_struct
from tools.errors import Denied, Expired, NotAllowed, NotFound, ToolError, Transient, Undecodable

T = TypeVar("T", bound=KubeObject)

_log = structlog.get_logger(__name__)
_LIST_RESTARTS: Final = 3
_MAX_PAGES: Final = 2000


@dataclass(frozen=True, slots=True)
class Tuning:
    """The times and sizes of a reflector; the defaults are those of client-go and of measurement.

    `backoff` doubles from `backoff_first` to `backoff_cap` with full jitter, and starts anew after `healthy_after`
    without a failure.  A watch shorter than `short_watch` is a failure; `empty_watches` of them in a row without an
    event mean that our version is stale (Events say so in no other way).  A source that is forbidden or missing is
    tried again after `unavailable_retry`.
    """

    page_size: int = 500
    backoff_first: timedelta = timedelta(seconds=0.8)
    backoff_cap: timedelta = timedelta(seconds=30)
    healthy_after: timedelta = timedelta(minutes=2)
    short_watch: timedelta = timedelta(seconds=2)
    empty_watches: int = 3
    watch_seconds: tuple[float, float] = (300, 600)
    silence: timedelta = SILENCE
    unavailable_retry: tuple[float, float] = (30, 60)
    yield_every: int = 200


@dataclass(frozen=True, slots=True)
class Starting:
    """The first list is not complete: what the store holds is part of the truth."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The store was complete once and follows the server; how closely, `last_progress` says."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """We may not, or cannot, see this resource.  What the store holds is from before; that it is empty says nothing."""

    reason: str
    is_served: bool = True
    """False when the server says that it has no such kind."""


State = Starting | Synced | Unavailable


@dataclass(slots=True)
class Counters:
    """What happened since the start, for metrics."""

    relists: int = 0
    watches: int = 0
    events: int = 0
    undecodable: int = 0
    failures: int = 0


class _ListMeta(Wire, frozen=True, gc=False):
    resource_version: Lax[str] = ""
    next_page: Lax[str] = msgspec.field(default="", name="continue")


class _Page(Wire, frozen=True, gc=False):
    metadata: _ListMeta
    items: Lax[tuple[Raw, ...]] = ()


class _Event(Wire, frozen=True, gc=False):
    type: str
    object: Raw


@dataclass(slots=True)
class _Health:
    """Failures in a row, as the backoff sees them."""

    failures: int = 0
    empty_watches: int = 0
    failed_until: float = 0.0


def _ignore(_: object) -> None:
    """No listener."""


@dataclass(slots=True)
class Reflector(Generic[T]):
    """One resource in one scope.  Start it with `run`, which only cancellation ends.

    `on_delta` is called in the event loop for each change and must not block; what it raises is logged, not obeyed.
    `synced` is set while `state` is Synced; `settled` from the moment we know whether we can see the resource at all.
    """

    cluster: Cluster
    resource: Resource
    decoder: Decoder[T]
    clock: Clock
    namespace: str | None = None
    on_delta: Callable[[Delta[T]], object] = _ignore
    points_at: Callable[[T], Iterable[str]] = owner_uids
    tuning: Tuning = field(default_factory=Tuning)
    is_optional: bool = False
    """Whether it is no fault that the cluster does not serve or show it."""
    rng: random.Random = field(default_factory=random.Random)

    store: Store[T] = field(init=False)
    state: State = field(init=False, default_factory=Starting)
    synced: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    settled: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    last_progress: float | None = field(init=False, default=None)
    counters: Counters = field(init=False, default_factory=Counters)
    _version: str = field(init=False, default="")
    _health: _Health = field(init=False, default_factory=_Health)

    def __post_init__(self) -> None:
        self.store = Store(self.points_at)

    def age(self) -> float:
        """Seconds since the server last told us anything; infinity before the first time."""
        return float("inf") if self.last_progress is None else self.clock.monotonic() - self.last_progress

    async def run(self) -> None:
        """List and watch for ever.  Never raises a ToolError; a defect of ours does come out."""
        while True:
            pause = await self._attempt()
            if pause > timedelta(0):
                await self.clock.sleep(pause)
            else:
                await asyncio.sleep(0)

    async def _attempt(self) -> timedelta:
        """One list if one is due, then one watch; returns how long to wait before the next attempt."""
        try:
            if not self._version:
                await self._relist()
            was_quiet, lasted = await self._follow()
        except ToolError as error:
            return self._judge(error)
        if lasted >= self.tuning.short_watch:
            self._health.empty_watches = 0
            self.last_progress = self.clock.monotonic()  # its clean end says that we were told everything until now
            return timedelta(0)
        return self._cut_short(was_quiet=was_quiet)

    def _judge(self, error: ToolError) -> timedelta:
        """Decide what a failure means: for what we hold, and for how long we wait."""
        self.counters.failures += 1
        self._health.empty_watches = 0
        is_first = self._fail()
        match error:
            case Denied() | NotFound() | NotAllowed():
                self._version = ""
                self._cannot_see(Unavailable(str(error), is_served=not isinstance(error, NotFound)))
                return self._seconds(*self.tuning.unavailable_retry)
            case Expired() | Undecodable():
                self._version = ""
                pause = timedelta(0) if is_first and isinstance(error, Expired) else self._backoff()
            case Transient(delay=timedelta() as asked):
                pause = max(asked + self._seconds(0, self.tuning.backoff_first.total_seconds()), self._backoff())
            case _:
                pause = self._backoff()
        _log.warning(
            "reflector_failed", resource=self.resource.plural, namespace=self.namespace, code=error.code,
            error=str(error), pause_seconds=round(pause.total_seconds(), 3),
        )  # fmt: skip
        self._health.failed_until = self.clock.monotonic() + pause.total_seconds()
        return pause

    def _cut_short(self, *, was_quiet: bool) -> timedelta:
        """Handle a watch that ended too soon; a row of empty ones means a stale version."""
        self.counters.failures += 1
        self._fail()
        self._health.empty_watches = self._health.empty_watches + 1 if was_quiet else 0
        if self._health.empty_watches >= self.tuning.empty_watches:
            self._health.empty_watches = 0
            self._version = ""
        pause = self._backoff()
        self._health.failed_until = self.clock.monotonic() + pause.total_seconds()
        return pause

    def _fail(self) -> bool:
        """Count one more failure in a row; True when it is the first after a healthy time."""
        if self.clock.monotonic() - self._health.failed_until >= self.tuning.healthy_after.total_seconds():
            self._health.failures = 0
        self._health.failures += 1
        return self._health.failures == 1

    def _seconds(self, low: float, high: float) -> timedelta:
        return timedelta(seconds=self.rng.uniform(low, high))

    def _backoff(self) -> timedelta:
        doublings = min(self._health.failures - 1, 16)
        widest = self.tuning.backoff_first.total_seconds() * 2.0**doublings
        return self._seconds(0, min(self.tuning.backoff_cap.total_seconds(), widest))

    def _cannot_see(self, state: Unavailable) -> None:
        if not isinstance(self.state, Unavailable):
            say = _log.info if self.is_optional else _log.error
            say("reflector_unavailable", resource=self.resource.plural, namespace=self.namespace, error=state.reason)
        self.state = state
        self.synced.clear()
        self.settled.set()

    async def _relist(self) -> None:
        """Read all pages, then tell what is gone.  Starts over when the snapshot expires, a few times."""
        self.counters.relists += 1
        for _ in range(_LIST_RESTARTS):
            try:
                await self._list_once()
                break
            except Expired:
                continue
        else:
            await self._list_once()
        self.state = Synced()
        self.synced.set()
        self.settled.set()

    async def _list_once(self) -> None:
        seen: set[str] = set()
        token = ""
        for _ in range(_MAX_PAGES):
            raw = await self.cluster.list_raw(
                self.resource, self.namespace, limit=self.tuning.page_size, continue_token=token
            )
            page = self._page(raw)
            self.last_progress = self.clock.monotonic()
            for count, item in enumerate(page.items, start=1):
                seen.add(key_of(self._put(item)))
                if count % self.tuning.yield_every == 0:
                    await asyncio.sleep(0)
            if not page.metadata.next_page:
                break
            if page.metadata.next_page == token:
                raise Undecodable(f"list of {self.resource.plural}: the same page again and again")
            token = page.metadata.next_page
        else:
            raise Undecodable(f"list of {self.resource.plural}: the pages never end")
        for key in self.store.keys() - seen:
            self._tell(self.store.drop(key))
        self._version = page.metadata.resource_version

    def _page(self, raw: bytes) -> _Page:
        try:
            page = as_struct(raw, _Page)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Undecodable(f"list of {self.resource.plural}: {error}; check what answers there") from error
        if not page.metadata.resource_version:
            raise Undecodable(f"list of {self.resource.plural}: no resourceVersion; check what answers there")
        return page

    async def _follow(self) -> tuple[bool, timedelta]:
        """One watch to its clean end; returns whether it brought nothing, and how long it lasted."""
        self.counters.watches += 1
        started = self.clock.monotonic()
        lines = self.cluster.watch(
            self.resource,
            self.namespace,
            resource_version=self._version,
            timeout=self._seconds(*self.tuning.watch_seconds),
            silence=self.tuning.silence,
        )
        count = 0
        async with aclosing(lines):
            async for line in lines:
                if not line.strip():
                    continue
                self._take(line)
                count += 1
                if count % self.tuning.yield_every == 0:
                    await asyncio.sleep(0)
        return count == 0, timedelta(seconds=self.clock.monotonic() - started)

    def _take(self, line: bytes) -> None:
        try:
            event = as_struct(line, _Event)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Undecodable(f"watch of {self.resource.plural}: a line is no event: {error}") from error
        self.last_progress = self.clock.monotonic()
        match event.type:
            case "ADDED" | "MODIFIED":
                item = self._put(event.object)
            case "DELETED":
                item = self._drop(event.object)
            case "ERROR":
                what = f"watch of {self.resource.plural}"
                raise from_error_event(parse_object(bytes(event.object), what), what)
            case _:  # BOOKMARK, or what a later server may invent: only its version matters
                item = _identity(event.object)
        self.counters.events += 1
        self._version = item.metadata.resource_version or self._version

    def _put(self, raw: Raw) -> KubeObject:
        """Hold one object; an undecodable one is counted, and what we held of it stays.  Returns who it is."""
        item = self._decode(raw)
        if item is None:
            return _identity(raw)
        self._tell(self.store.put(item))
        return item

    def _drop(self, raw: Raw) -> KubeObject:
        """Forget one object; its last state may be undecodable, it is gone all the same.  Returns who it was."""
        item = self._decode(raw)
        who = item or _identity(raw)
        self._tell(self.store.drop(key_of(who), item))
        return who

    def _decode(self, raw: Raw) -> T | None:
        try:
            return self.decoder(raw)
        except Undecodable as error:
            self.counters.undecodable += 1
            _log.warning("reflector_undecodable", resource=self.resource.plural, error=str(error))
            return None

    def _tell(self, delta: Delta[T] | None) -> None:
        if delta is None:
            return
        try:
            self.on_delta(msgspec.structs.replace(delta, received_at=self.clock.now()))
        except Exception:  # noqa: BLE001 - a listener's defect must not stop the reader; it is logged in full
            _log.exception(
                "reflector_listener_failed", resource=self.resource.plural, object=str(delta.object.reference)
            )


def _identity(raw: Raw) -> Identity:
    try:
        return as_struct(raw, Identity)
    except (msgspec.MsgspecError, RecursionError):
        return Identity()
