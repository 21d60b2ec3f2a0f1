"""Where live objects differ from their declaration, kept ready so that a look costs nothing.

Objects that are mirrored whole are compared at once, and again only when they or their declaration changed.  Workloads
and the other kinds that are mirrored as small structs are read once after each change.  The rule: what is not compared
yet has no differences; whoever asked is told (`on_news`) when it has.

Neighbours: `compare` finds the differences, `journal` feeds this and answers with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.cluster.documents import WIRED, Document
from tools.cluster.objects import CronJob, DaemonSet, Deployment, Job, StatefulSet
from tools.cluster.resources import KNOWN
from tools.cluster.structs import KubeObject
from tools.cluster.subscription import AnyDelta
from tools.errors import NotFound, Transient
from tools.executors.base import Reader
from tools.journal.compare import differences
from tools.journal.desired import Desired
from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str
from tools.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class _Compared:
    state: str
    """What was compared: the object's state and the declaration's digest."""
    paths: tuple[str, ...]


def nobody(_: ObjectRef) -> None:
    """Nobody is told."""


class Drift:
    """Feed it with `observe`, call `settle` about once a second, ask `paths`."""

    def __init__(self, reader: Reader, desired: Desired | None) -> None:
        self._reader = reader
        self._desired = desired
        self._compared: dict[ObjectRef, _Compared] = {}
        self._waiting: dict[ObjectRef, None] = {}
        self._revision = 0
        self.on_news: Callable[[ObjectRef], object] = nobody

    def observe(self, delta: AnyDelta) -> None:
        """Note an object of a small struct that changed, to be read."""
        item = delta.object
        if self._desired is None or not isinstance(item, Deployment | StatefulSet | DaemonSet | CronJob | Job):
            return
        if delta.kind == "gone":
            self._compared.pop(item.ref, None)
            self._waiting.pop(item.ref, None)
        elif self._desired.declared(item.ref) is not None and self._state(item) is not None:
            held = self._compared.get(item.ref)
            if held is None or held.state != self._state(item):
                self._waiting[item.ref] = None

    def paths(self, item: KubeObject) -> tuple[str, ...]:
        """JSON pointers into the live object where it differs from its declaration."""
        state = self._state(item)
        if state is None or self._desired is None:
            return ()
        held = self._compared.get(item.ref)
        if held is not None and held.state == state:
            return held.paths
        if item.kind not in KNOWN:
            return ()  # its controller fills in what people leave out: only it knows what differs
        if isinstance(item, Document) and not item.is_cut:
            return self._compare(item.ref, item.body, state).paths
        return ()

    async def settle(self) -> None:
        """Read and compare what waits, and everything declared once the declaration changed.  Raises `ToolError`."""
        if self._desired is None:
            return
        if self._revision != self._desired.revision:
            self._revision = self._desired.revision
            self._compared = {r: c for r, c in self._compared.items() if r in self._desired.objects}
            for ref in self._desired.objects:
                if ref.kind in _WHOLE or ref.kind not in KNOWN:
                    self.on_news(ref)
                else:
                    self._waiting[ref] = None
        while self._waiting:
            ref = next(iter(self._waiting))
            try:
                live = await self._reader.get(KNOWN[ref.kind], ref.name, ref.namespace)
            except NotFound:
                self._compared.pop(ref, None)
            except Transient:
                raise  # the server is away: everything waits for the next time
            else:
                body: JsonObject = {"apiVersion": KNOWN[ref.kind].api_version, "kind": ref.kind, **live}
                self._note(ref, body)
            self._waiting.pop(ref, None)

    def _note(self, ref: ObjectRef, body: JsonObject) -> None:
        declared = self._desired.declared(ref) if self._desired is not None else None
        if declared is None:
            return
        before = self._compared.get(ref)
        after = self._compare(ref, body, f"{_state_of(body)}/{declared.digest}")
        if (before.paths if before is not None else ()) != after.paths:
            self.on_news(ref)

    def _compare(self, ref: ObjectRef, body: JsonObject, state: str) -> _Compared:
        declared = self._desired.declared(ref) if self._desired is not None else None
        found = () if declared is None else differences(body, declared.manifest, partial=True)
        self._compared[ref] = compared = _Compared(state, tuple(one.path for one in found))
        return compared

    def _state(self, item: KubeObject) -> str | None:
        """What a comparison rests on; None for what is not declared."""
        declared = self._desired.declared(item.ref) if self._desired is not None else None
        if declared is None:
            return None
        if isinstance(item, Document):
            return f"{item.uid}/{item.metadata.resource_version}/{declared.digest}"
        labels: JsonObject = {**item.metadata.labels}
        return f"{item.uid}/{item.metadata.generation}/{sorted(labels.items())}/{declared.digest}"


def _state_of(body: JsonObject) -> str:
    """The same of an object that was read."""
    uid, version = dig_str(body, "metadata", "uid"), dig_str(body, "metadata", "resourceVersion")
    if dig_str(body, "kind") in _SMALL:
        labels = sorted(dig_object(body, "metadata", "labels").items())
        return f"{uid}/{dig_int(body, 'metadata', 'generation') or 0}/{labels}"
    return f"{uid}/{version}"


_WHOLE: Final = frozenset(struct.kind for struct in WIRED)
_SMALL: Final = frozenset(struct.kind for struct in (Deployment, StatefulSet, DaemonSet, CronJob, Job))
