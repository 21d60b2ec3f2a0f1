"""The history that Kubernetes itself keeps of a workload: ReplicaSets of a Deployment, else ControllerRevisions.

It is useful from the first minute, before we have seen anything.  The rule: revisions are read, never remembered, and
what cannot be told (which one is current) is None and not a guess.  Neighbours: `diffs` compares two of them, `good`
knows which were healthy, `graph.rules.candidates` puts them in order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from tools.cluster.resources import CONTROLLER_REVISION, POD, REPLICA_SET
from tools.errors import Undecodable
from tools.executors.base import Reader
from tools.journal.diffs import normal_template, same_template
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
FORMER_ANNOTATION = "deployment.kubernetes.io/revision-history"
TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a workload's template.

    `hash` is what its pods bear as a label (`pod-template-hash`, `controller-revision-hash`), `name` the object that
    holds it, `ready` how many of its pods are ready now.
    """

    number: int
    hash: str
    name: str
    created_at: datetime | None
    template: JsonObject
    ready: int
    formerly: tuple[int, ...] = ()
    """Numbers it had before: going back to a Deployment's revision gives it a new one.  Empty for the other kinds."""


@dataclass(frozen=True, slots=True)
class History:
    """All revisions of one workload, newest first.

    `current` is the one that its template is now; None when it cannot be told.
    """

    owner: ObjectRef
    owner_uid: str
    current: Revision | None
    revisions: tuple[Revision, ...]
    rolled_at: datetime | None = None
    """When the newest rollout last made progress, by the Deployment's own condition; None for the other kinds."""

    @property
    def earlier(self) -> tuple[Revision, ...]:
        """Every revision but the current one, newest first."""
        return tuple(r for r in self.revisions if self.current is None or r.name != self.current.name)

    def by_hash(self, revision_hash: str) -> Revision | None:
        """The revision whose pods bear this hash."""
        return next((r for r in self.revisions if r.hash == revision_hash), None)


async def read_history(reader: Reader, live: JsonObject) -> History:
    """Read the revisions of `live`, a Deployment, StatefulSet or DaemonSet as the API server holds it.

    Raises ValueError for another kind, Undecodable for a manifest without name or uid, and what `reader` raises.
    """
    owner, uid = _identity(live)
    match owner.kind:
        case "Deployment":
            revisions = await _from_replica_sets(reader, live, owner, uid)
        case "StatefulSet" | "DaemonSet":
            revisions = await _from_controller_revisions(reader, live, owner, uid)
        case other:
            raise ValueError(f"{other} has no revisions: ask for a Deployment, StatefulSet or DaemonSet")
    newest_first = tuple(sorted(revisions, key=lambda r: r.number, reverse=True))
    return History(owner, uid, _current(live, owner.kind, newest_first), newest_first, _rolled_at(live))


def selector_text(selector: JsonObject) -> str:
    """A label selector as a query writes it.  Raises Undecodable for an operator the API does not have."""
    terms = [f"{key}={value}" for key, value in dig_object(selector, "matchLabels").items()]
    for item in dig_list(selector, "matchExpressions"):
        key, values = dig_str(item, "key"), ",".join(str(v) for v in dig_list(item, "values"))
        match dig_str(item, "operator"):
            case "In":
                terms.append(f"{key} in ({values})")
            case "NotIn":
                terms.append(f"{key} notin ({values})")
            case "Exists":
                terms.append(key)
            case "DoesNotExist":
                terms.append(f"!{key}")
            case other:
                raise Undecodable(f"label selector with operator {other!r}: check the workload's spec.selector")
    return ",".join(terms)


def _identity(live: JsonObject) -> tuple[ObjectRef, str]:
    kind, name, uid = dig_str(live, "kind"), dig_str(live, "metadata", "name"), dig_str(live, "metadata", "uid")
    if not kind or not name or not uid:
        raise Undecodable("a workload without kind, name or uid: read it by GET, items of a list carry no kind")
    return ObjectRef(kind=kind, namespace=dig_str(live, "metadata", "namespace") or None, name=name), uid


async def _from_replica_sets(reader: Reader, live: JsonObject, owner: ObjectRef, uid: str) -> list[Revision]:
    found = await reader.list(
        REPLICA_SET, owner.namespace, label_selector=selector_text(dig_object(live, "spec", "selector"))
    )
    return [
        Revision(
            number=number,
            hash=dig_str(item, "metadata", "labels", TEMPLATE_HASH),
            name=dig_str(item, "metadata", "name"),
            created_at=_time(dig(item, "metadata", "creationTimestamp")),
            template=normal_template(dig_object(item, "spec", "template")),
            ready=dig_int(item, "status", "readyReplicas") or 0,
            formerly=_former_numbers(item),
        )
        for item in found
        if _is_controlled_by(item, uid) and (number := _revision_number(item))
    ]


async def _from_controller_revisions(reader: Reader, live: JsonObject, owner: ObjectRef, uid: str) -> list[Revision]:
    selector = selector_text(dig_object(live, "spec", "selector"))
    found = await reader.list(CONTROLLER_REVISION, owner.namespace, label_selector=selector)
    ready = _ready_by_hash(await reader.list(POD, owner.namespace, label_selector=selector), uid)
    revisions: list[Revision] = []
    for item in found:
        number = dig_int(item, "revision")
        if number is None or not _is_controlled_by(item, uid):
            continue
        name = dig_str(item, "metadata", "name")
        pods_bear = name if owner.kind == "StatefulSet" else dig_str(item, "metadata", "labels", REVISION_HASH)
        revisions.append(
            Revision(
                number=number,
                hash=pods_bear,
                name=name,
                created_at=_time(dig(item, "metadata", "creationTimestamp")),
                template=normal_template(dig_object(item, "data", "spec", "template")),
                ready=ready[pods_bear],
            )
        )
    return revisions


def _ready_by_hash(pods: list[JsonObject], uid: str) -> Counter[str]:
    return Counter(
        dig_str(pod, "metadata", "labels", REVISION_HASH)
        for pod in pods
        if _is_controlled_by(pod, uid) and dig(pod, "metadata", "deletionTimestamp") is None and _is_ready(pod)
    )


def _current(live: JsonObject, kind: str, newest_first: tuple[Revision, ...]) -> Revision | None:
    template = dig_object(live, "spec", "template")
    same = next((r for r in newest_first if same_template(r.template, template)), None)
    if same is not None or dig_int(live, "metadata", "generation") != dig_int(live, "status", "observedGeneration"):
        return same
    # A newer server's defaults can make stored and live template differ; then the controller's word holds.
    match kind:
        case "Deployment":
            number = _revision_number(live)
            return next((r for r in newest_first if r.number == number), None)
        case "StatefulSet":
            name = dig_str(live, "status", "updateRevision")
            return next((r for r in newest_first if r.name == name), None)
        case _:
            return newest_first[0] if newest_first else None


def _former_numbers(item: JsonObject) -> tuple[int, ...]:
    parts = dig_str(item, "metadata", "annotations", FORMER_ANNOTATION).split(",")
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit())


def _rolled_at(live: JsonObject) -> datetime | None:
    conditions = dig_list(live, "status", "conditions")
    return next((_time(dig(c, "lastUpdateTime")) for c in conditions if dig(c, "type") == "Progressing"), None)


def _is_controlled_by(item: JsonObject, uid: str) -> bool:
    return any(
        dig(owner, "uid") == uid and dig(owner, "controller") is True
        for owner in dig_list(item, "metadata", "ownerReferences")
    )


def _is_ready(pod: JsonObject) -> bool:
    return any(dig(c, "type") == "Ready" and dig(c, "status") == "True" for c in dig_list(pod, "status", "conditions"))


def _revision_number(item: JsonObject) -> int:
    """The revision in a Deployment's or ReplicaSet's annotation; 0 when there is none."""
    text = dig_str(item, "metadata", "annotations", REVISION_ANNOTATION)
    return int(text) if text.isascii() and text.isdigit() else 0


def _time(value: JsonValue) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
