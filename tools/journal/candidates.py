"""Ways back: what putting the declared or the last good version of an object back would change.

Pure: the caller brings what is live, what was good and what is declared.  The rules: a declared object has no other way
back than its declaration; an object is gone only where the caller has made sure of it; something is taken away only
when it came after the last known good, or when its namespace is declared and it is not; what a controller owns is left
to it.

Neighbours: `wiring` finds what a workload depends on, `journal` brings the rest together, the graph converts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from tools.journal.changes import Entry
from tools.journal.compare import Difference, differences
from tools.journal.desired import Declared
from tools.journal.diffs import Change
from tools.journal.manifests import Good
from tools.journal.show import shown
from tools.journal.versions import Source
from tools.journal.wiring import LIMITING
from tools.jsontypes import JsonObject, dig, dig_list, dig_str
from tools.refs import ObjectRef

Operation = Literal["revert", "restore", "remove"]

MOST: Final = 20
_ROLLED_BACK: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
"""Kinds whose template has a history of its own: without a declaration it is rolled back, not put back."""
_LEFT_ALONE: Final = frozenset({"Secret", "Pod", "ReplicaSet", "EndpointSlice", "Event", "Node", "ControllerRevision"})
_REPLICAS: Final = "/spec/replicas"
_LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WayBack:
    """One way back for one object; the fields are those of `graph.incident.ObjectCandidate`.

    `changes` say what putting it back would change, redacted; `now` is how it is.  `why` is one sentence for people.
    """

    ref: ObjectRef
    uid: str | None
    operation: Operation
    version: str
    source: Source
    changes: tuple[Change, ...] = ()
    truncated: bool = False
    changed_at: datetime | None = None
    changed_by: str = ""
    relation: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """One object as it is: its whole manifest with its kind, and who wrote it last."""

    body: JsonObject
    written_by: str = ""
    written_at: datetime | None = None

    @property
    def uid(self) -> str:
        """Its life."""
        return dig_str(self.body, "metadata", "uid")


@dataclass(frozen=True, slots=True)
class Question:
    """All that is known of the target and what it depends on.

    `relations` names every object to look at, the target among them, with how the target depends on it.  An object that
    is in `relations` and not in `live` is gone only if it is in `gone`; otherwise nothing is known of it.
    `present_when_good` are the uids of what limited the target when it was last well; None when that is not known.
    `covered` says that the namespace of the target is declared.
    """

    target: ObjectRef
    relations: Mapping[ObjectRef, str]
    live: Mapping[ObjectRef, Live]
    gone: frozenset[ObjectRef] = frozenset()
    declared: Mapping[ObjectRef, Declared] = field(default_factory=dict[ObjectRef, Declared])
    good: Mapping[ObjectRef, Good] = field(default_factory=dict[ObjectRef, Good])
    last: Mapping[ObjectRef, Entry] = field(default_factory=dict[ObjectRef, Entry])
    covered: bool = False
    present_when_good: frozenset[str] | None = None
    autoscaled: bool = False


def ways_back(question: Question) -> tuple[WayBack, ...]:
    """Every way back, the newest change first; what changed before anybody looked comes last.  At most `MOST`."""
    found = [way for ref in question.relations for way in _ways(ref, question)]
    return tuple(sorted(found, key=lambda way: way.changed_at or _LONG_AGO, reverse=True)[:MOST])


def _ways(ref: ObjectRef, question: Question) -> Iterator[WayBack]:
    if ref.kind in _LEFT_ALONE:
        return
    live, declared, good = question.live.get(ref), question.declared.get(ref), question.good.get(ref)
    if live is None:
        if ref in question.gone:
            yield from _restored(ref, declared, good, question)
    elif dig(live.body, "metadata", "deletionTimestamp") is None:
        if declared is not None:
            yield from _reverted(ref, live, declared.manifest, declared.digest, question, is_declared=True)
        elif good is not None and not _is_owned(live.body):
            yield from _reverted(ref, live, good.manifest(), good.digest, question, is_declared=False)
        if declared is None and ref.kind in LIMITING and not _is_owned(live.body):
            yield from _removed(ref, live, question)


def _restored(ref: ObjectRef, declared: Declared | None, good: Good | None, question: Question) -> Iterator[WayBack]:
    if declared is not None:
        version, source = declared.digest, "desired"
        why = f"{ref} is declared in {declared.source} and is not there"
    elif good is not None and not _is_owned(good.manifest()):
        version, source = good.digest, "last_known_good"
        why = f"{ref} was there when {good.vouched_by} was last seen healthy, and is gone"
    else:
        return
    last = question.last.get(ref)
    yield WayBack(
        ref=ref,
        uid=None,
        operation="restore",
        version=version,
        source="desired" if source == "desired" else "last_known_good",
        changed_at=last.at if last is not None and last.what == "deleted" else None,
        relation=_relation(ref, question),
        why=why,
    )


def _reverted(
    ref: ObjectRef, live: Live, wanted: JsonObject, version: str, question: Question, *, is_declared: bool
) -> Iterator[WayBack]:
    found = differences(live.body, wanted, partial=is_declared)
    if question.autoscaled and ref == question.target:
        found = tuple(one for one in found if one.path != _REPLICAS)
    if not found or (not is_declared and ref.kind in _ROLLED_BACK and _touches_template(found)):
        return
    changes, truncated = shown(found, live.body)
    yield WayBack(
        ref=ref,
        uid=live.uid,
        operation="revert",
        version=version,
        source="desired" if is_declared else "last_known_good",
        changes=changes,
        truncated=truncated,
        changed_at=_changed_at(ref, live, question),
        changed_by=_changed_by(ref, live, question),
        relation=_relation(ref, question),
        why=_why_reverted(ref, question, is_declared=is_declared),
    )


def _removed(ref: ObjectRef, live: Live, question: Question) -> Iterator[WayBack]:
    present = question.present_when_good
    source: Source
    if question.covered:
        source, why = "desired", f"{ref} is not declared, while other objects of its namespace are"
    elif present is not None and live.uid not in present:
        source, why = "last_known_good", f"{ref} was not there when {question.target} was last seen healthy"
    else:
        return
    yield WayBack(
        ref=ref,
        uid=live.uid,
        operation="remove",
        version="",
        source=source,
        changed_at=_created_at(live),
        changed_by=_changed_by(ref, live, question),
        relation=_relation(ref, question),
        why=why,
    )


def _why_reverted(ref: ObjectRef, question: Question, *, is_declared: bool) -> str:
    if is_declared:
        return f"{ref} differs from {question.declared[ref].source}"
    return f"{ref} differs from how it was when {question.good[ref].vouched_by} was last seen healthy"


def _changed_at(ref: ObjectRef, live: Live, question: Question) -> datetime | None:
    """When the journal saw it change; else when the server says it was last written."""
    last = question.last.get(ref)
    return last.at if last is not None and last.uid == live.uid else live.written_at


def _changed_by(ref: ObjectRef, live: Live, question: Question) -> str:
    last = question.last.get(ref)
    return (live.written_by or (last.by if last is not None else ""))[:120]


def _relation(ref: ObjectRef, question: Question) -> str:
    return question.relations.get(ref, "")[:160]


def _created_at(live: Live) -> datetime | None:
    try:
        return datetime.fromisoformat(dig_str(live.body, "metadata", "creationTimestamp"))
    except ValueError:
        return None


def _touches_template(found: Iterable[Difference]) -> bool:
    return any(one.path.startswith("/spec/template") for one in found)


def _is_owned(body: JsonObject) -> bool:
    """Whether a controller makes it: it would make it again, or otherwise."""
    return any(dig(owner, "controller") is True for owner in dig_list(body, "metadata", "ownerReferences"))
