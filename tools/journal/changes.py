"""The change journal: what changed lately, per object and field, as far as it can be a cause.

It is fed by the watch and keeps little: twenty entries an object, a day, values cut.  What the status says, what
controllers note down and what merely moves (endpoints, leader election) is no change.  The rule: an object that changes
the same fields again and again has one entry that counts the times, so that churn cannot push out what matters.

In memory only: what changed before we looked is told by the object's own field managers and by the known good versions.
Neighbours: `journal` feeds it, `candidates` asks when an object left its good version.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, cast

import msgspec

from tools.clock import Clock
from tools.cluster.documents import Document, EndpointSlice
from tools.cluster.objects import CronJob, DaemonSet, Deployment, Node, StatefulSet
from tools.cluster.structs import KubeObject
from tools.cluster.subscription import AnyDelta
from tools.journal.compare import differences
from tools.journal.diffs import Change
from tools.journal.show import shown
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ObjectRef

PER_OBJECT: Final = 20
OBJECTS: Final = 20_000
AGE: Final = timedelta(hours=24)
FIELDS: Final = 12
"""Fields kept of one change."""
CHURN: Final = timedelta(minutes=5)
"""The same fields again within this is the same entry."""

_OUT_OF_SIGHT: Final = Change(path="spec.jobTemplate", now="(changed)", then="(not kept)")
"""A CronJob is mirrored without what it makes: when its generation moved and nothing else did, it was that."""
_TOO_LARGE: Final = Change(path="(content)", now="(too large to be kept)", then="(too large to be kept)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one object.  In `fields`, `now` is what it became and `then` what it was; redacted and cut.

    `at` is when we saw it (the newest of `times`), `since` when the first of them was.  `by` is the field manager that
    wrote last, where the object says so: a hint.
    """

    ref: ObjectRef
    uid: str
    what: Literal["changed", "created", "deleted"]
    at: datetime
    since: datetime
    fields: tuple[Change, ...] = ()
    truncated: bool = False
    times: int = 1
    resource_version: str = ""
    generation: int = 0
    by: str = ""


class Changes:
    """Call `observe` with every delta of the mirror, from the first on; ask at any time."""

    def __init__(
        self, clock: Clock, *, per_object: int = PER_OBJECT, age: timedelta = AGE, objects: int = OBJECTS
    ) -> None:
        self._clock = clock
        self._per_object = per_object
        self._age = age
        self._objects = objects
        self._entries: OrderedDict[ObjectRef, list[Entry]] = OrderedDict()
        self._begun = clock.now()

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())

    def observe(self, delta: AnyDelta) -> Entry | None:
        """Take one change in; gives its entry, or None when it says nothing."""
        item = delta.object
        if not isinstance(item, Document | Deployment | StatefulSet | DaemonSet | CronJob | Node):
            return None
        if isinstance(item, EndpointSlice):
            return None
        at = delta.received_at or self._clock.now()
        match delta.kind:
            case "modified" if delta.old is not None:
                return self._changed(item, delta.old, at)
            case "added" if (born := item.metadata.creation_timestamp) is not None and born >= self._begun:
                return self._keep(_entry(item, "created", at))
            case "gone":
                return self._keep(_entry(item, "deleted", at))
            case _:
                return None

    def recall(self, entry: Entry) -> None:
        """Take in a change that somebody else saw: of a recording, where nothing moves any more."""
        self._keep(entry)

    def of(self, ref: ObjectRef) -> tuple[Entry, ...]:
        """What changed on one object, newest first."""
        oldest = self._clock.now() - self._age
        return tuple(entry for entry in reversed(self._entries.get(ref, [])) if entry.at >= oldest)

    def last(self, ref: ObjectRef) -> Entry | None:
        """The newest change of one object."""
        found = self.of(ref)
        return found[0] if found else None

    def replaced(self, ref: ObjectRef, path: str) -> str | None:
        """What the newest change of that field took the place of, as it is shown; None when none was seen."""
        changed = (field for entry in self.of(ref) if entry.what == "changed" for field in entry.fields)
        return next((field.then for field in changed if field.path == path), None)

    def within(self, namespace: str, since: datetime) -> tuple[Entry, ...]:
        """What changed in a namespace ("": on cluster-scoped objects) at or after `since`, newest first."""
        found = [e for ref in self._entries if (ref.namespace or "") == namespace for e in self.of(ref)]
        return tuple(sorted((e for e in found if e.at >= since), key=lambda e: e.at, reverse=True))

    def _changed(self, item: KubeObject, old: KubeObject, at: datetime) -> Entry | None:
        if not _may_differ(item, old):
            return None
        if any(isinstance(one, Document) and one.is_cut for one in (item, old)):
            return self._keep(replace(_entry(item, "changed", at), fields=(_TOO_LARGE,)))
        live = _manifest(item)
        found = differences(live, _manifest(old), partial=False)
        if not found and isinstance(item, CronJob) and item.metadata.generation != old.metadata.generation:
            return self._keep(replace(_entry(item, "changed", at), fields=(_OUT_OF_SIGHT,)))
        if not found:
            return None
        fields, truncated = shown(found, live, limit=FIELDS)
        return self._keep(replace(_entry(item, "changed", at), fields=fields, truncated=truncated))

    def _keep(self, entry: Entry) -> Entry:
        entries = self._entries.setdefault(entry.ref, [])
        self._entries.move_to_end(entry.ref)
        earlier = next((e for e in entries if _is_churn(e, entry)), None)
        if earlier is not None:
            entries.remove(earlier)
            entry = _joined(earlier, entry)
        entries.append(entry)
        oldest = entry.at - self._age
        entries[:] = [e for e in entries if e.at >= oldest][-self._per_object :]
        while len(self._entries) > self._objects:
            self._entries.popitem(last=False)
        return entry


def _entry(item: KubeObject, what: Literal["changed", "created", "deleted"], at: datetime) -> Entry:
    return Entry(
        ref=item.ref,
        uid=item.uid,
        what=what,
        at=at,
        since=at,
        resource_version=item.metadata.resource_version,
        generation=item.metadata.generation,
        by=item.written_by[:120] if isinstance(item, Document) else "",
    )


def _is_churn(earlier: Entry, entry: Entry) -> bool:
    return (
        earlier.what == entry.what == "changed"
        and earlier.uid == entry.uid
        and entry.at - earlier.at < CHURN
        and {f.path for f in earlier.fields} == {f.path for f in entry.fields}
    )


def _joined(earlier: Entry, entry: Entry) -> Entry:
    """Both as one: from what it was before the first to what it is after the last."""
    before = {field.path: field.then for field in earlier.fields}
    fields = tuple(replace(field, then=before.get(field.path, field.then)) for field in entry.fields)
    return replace(entry, fields=fields, since=earlier.since, times=earlier.times + 1)


def _may_differ(item: KubeObject, old: KubeObject) -> bool:
    """A cheap look first: most updates are of the status."""
    one, other = item.metadata, old.metadata
    if one.labels != other.labels or one.annotations != other.annotations:
        return True
    if isinstance(item, Document) and isinstance(old, Document):
        return item.content != old.content
    return isinstance(item, Node) or one.generation != other.generation


def _manifest(item: KubeObject) -> JsonObject:
    """What we hold of it, as a manifest: all of a document, the fields that our structs have of the others."""
    if isinstance(item, Document):
        return item.body
    labels: JsonObject = {**item.metadata.labels}
    annotations: JsonObject = {**item.metadata.annotations}
    spec = item.spec if isinstance(item, Deployment | StatefulSet | DaemonSet | CronJob | Node) else None
    return {
        "kind": item.kind,
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": _plain(msgspec.to_builtins(spec)) if spec is not None else None,
    }


def _plain(value: object) -> JsonValue:
    """Structs as JSON, without pod metadata that only decoding adds."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(k): _plain(v) for k, v in cast("Mapping[object, object]", value).items()}
        case list() | tuple():
            return [_plain(item) for item in cast("list[object]", value)]
        case _:
            return str(value)
