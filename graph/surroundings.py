"""Which objects and memories belong to the world of one incident, in the order of their weight.

Pure selection over what the process holds already; it costs the ledger a few reads and the API server none.  The order
matters: what does not fit into a recording is cut from the end.  Neighbour: `recording`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from graph.incident import Incident
from graph.observed import FieldChange
from graph.recorded import Changed, FirstSeen, FormerTaint, GoodTemplate, GoodVersion, Remembered, Surrounding
from graph.signals.object_contexts import is_unschedulable, missing_key
from graph.signals.symptoms import Symptoms
from tools.cluster.documents import WIRED, EndpointSlice
from tools.cluster.objects import CronJob, Job, Namespace, Node, Pod, ReplicaSet, Workload
from tools.cluster.resources import KNOWN
from tools.cluster.structs import KubeObject, Reference
from tools.journal.changes import Entry
from tools.journal.journal import OWNERS
from tools.journal.manifests import Good
from tools.journal.wiring import LIMITING
from tools.refs import ObjectRef

if TYPE_CHECKING:
    from graph.ports import Ports

MAX_NAMESPACES: Final = 5
MAX_FAMILY: Final = 60
"""Pods and ReplicaSets of one workload."""
MAX_AFFECTED: Final = 20
MAX_EVENTS: Final = 80
MAX_NODES: Final = 60
MAX_FIELDS: Final = 12


def shown(incident: Incident, ports: Ports) -> list[KubeObject]:
    """What the watch shows of the incident's world, each object once, the weightiest first."""
    namespaces = namespaces_of(incident, ports)
    families = [*_family(incident.target, ports)]
    for ref in incident.affected[:MAX_AFFECTED]:
        families += _family(ref, ports)
    uids = [incident.target_uid, *(item.uid for item in families)]
    events = [event for uid in dict.fromkeys(uids) for event in ports.mirror.events_for(uid)]
    found: list[KubeObject] = [
        *(item for item in ports.mirror.of_kind(Namespace.kind) if item.name in namespaces),
        *families,
        *_documents(namespaces, ports),
        *_controllers(namespaces, ports),
        *_nodes(families, ports),
        *events[-MAX_EVENTS:],
        *_others(incident, namespaces, ports),
    ]
    return list({item.uid: item for item in found}.values())


def namespaces_of(incident: Incident, ports: Ports) -> tuple[str, ...]:
    """The incident's namespaces, its own first; of a node those of the pods on it and of those that wait."""
    named = [incident.target.namespace, *(r.namespace for r in incident.affected)]
    named += [s.object.namespace for s in incident.signals]
    if incident.target.kind == Node.kind:
        named += [pod.namespace for pod in _around(incident.target.name, ports)]
    return tuple(islice((name for name in dict.fromkeys(named) if name), MAX_NAMESPACES))


def _family(ref: ObjectRef, ports: Ports) -> Iterator[KubeObject]:
    """An object and all that it controls."""
    resource = KNOWN.get(ref.kind)
    if resource is None:
        return
    found = ports.mirror.find(Reference(ref.kind, ref.namespace or "", ref.name, "", resource.api_version))
    if found is None:
        return
    yield found
    below: list[KubeObject] = [*ports.mirror.replica_sets_of(found.uid), *ports.mirror.jobs_of(found.uid)]
    pods = sorted(ports.mirror.pods_of(found.uid), key=lambda pod: pod.is_ready)
    yield from islice([*reversed(below), *pods], MAX_FAMILY)


def _around(node: str, ports: Ports) -> list[Pod]:
    """Pods on a node, and those that find none."""
    return [p for p in ports.mirror.pods() if p.spec.node_name == node or is_unschedulable(p)]


def _documents(namespaces: Sequence[str], ports: Ports) -> Iterator[KubeObject]:
    """Everything that is kept whole; where Services lead comes last, it is long and changes by itself."""
    for struct in sorted(WIRED, key=lambda s: s is EndpointSlice):
        for namespace in namespaces:
            yield from ports.mirror.documents(struct, namespace)


def _controllers(namespaces: Sequence[str], ports: Ports) -> Iterator[KubeObject]:
    for namespace in namespaces:
        yield from ports.mirror.workloads(namespace)
    for kind in (CronJob.kind, Job.kind, ReplicaSet.kind):
        yield from (item for item in ports.mirror.of_kind(kind) if item.namespace in namespaces)


def _nodes(families: Iterable[KubeObject], ports: Ports) -> Iterator[KubeObject]:
    """Nodes, those of the incident's pods first."""
    used = {item.spec.node_name for item in families if isinstance(item, Pod)}
    yield from sorted(ports.mirror.nodes(), key=lambda node: node.name not in used)[:MAX_NODES]


def _others(incident: Incident, namespaces: Sequence[str], ports: Ports) -> Iterator[KubeObject]:
    """The other pods: of a node those around it, else those of the namespaces."""
    if incident.target.kind == Node.kind:
        yield from _around(incident.target.name, ports)
        return
    for namespace in namespaces:
        yield from ports.mirror.pods(namespace)


def first_seen(incident: Incident, items: Sequence[KubeObject], now: datetime, ports: Ports) -> Iterator[FirstSeen]:
    """What the detectors remember of these objects and of the target, should it be gone."""
    uids = [*(item.uid for item in items), missing_key(incident.target)]
    yield from _symptoms("pods", ports.contexts.symptoms, uids, now)
    yield from _symptoms("objects", ports.objects.symptoms, uids, now)


def _symptoms(
    of: Literal["pods", "objects"], symptoms: Symptoms, uids: Iterable[str], now: datetime
) -> Iterator[FirstSeen]:
    for uid in uids:
        for (reason, container), seen in symptoms.of(uid, now).items():
            yield FirstSeen(of=of, uid=uid, reason=reason, container=container, at=seen.at, message=seen.message)


async def remembered(incident: Incident, items: Sequence[KubeObject], now: datetime, ports: Ports) -> Remembered:
    """What the journal and the keeper of good revisions know of these objects."""
    namespaces = namespaces_of(incident, ports)
    desired = ports.desired
    refs = [item.ref for item in items]
    declared = () if desired is None else tuple(d for ref, d in desired.objects.items() if ref.namespace in namespaces)
    owners = [incident.target, *incident.affected[:MAX_AFFECTED], *_neighbours(incident, ports)]
    stood = [s for owner in owners if (s := await ports.journal.manifests.surroundings(owner)) is not None]
    changes = [c for ref in dict.fromkeys([*refs, *owners]) if (c := ports.journal.changes.last(ref)) is not None]
    return Remembered(
        declares=desired is not None and desired.is_read,
        declared=tuple(d.manifest for d in declared),
        good=tuple(_version(good) for good in _goods(incident, namespaces, ports)),
        good_templates=tuple(await _templates(incident, items, now, ports)),
        surroundings=tuple(Surrounding(owner=s.owner, present=s.present, confirmed_at=s.confirmed_at) for s in stood),
        changes=tuple(_changed(entry) for entry in changes),
        taints=tuple(_taints(items, now, ports)),
    )


def _neighbours(incident: Incident, ports: Ports) -> Iterator[ObjectRef]:
    """Of what limits others the workloads beside it: what stood there when they were good says whether it is new."""
    if incident.target.kind in LIMITING:
        goods = ports.journal.manifests.goods(incident.target.namespace or "")
        yield from islice((good.ref for good in goods if good.ref.kind in OWNERS), MAX_AFFECTED)


def _changed(entry: Entry) -> Changed:
    fields = tuple(FieldChange(path=f.path, now=f.now, then=f.then) for f in entry.fields[:MAX_FIELDS])
    return Changed(ref=entry.ref, uid=entry.uid, what=entry.what, at=entry.at, by=entry.by, fields=fields)


def _goods(incident: Incident, namespaces: Iterable[str], ports: Ports) -> Iterator[Good]:
    """Good versions, the target's first; also of objects that are gone by now."""
    own = ports.journal.manifests.good(incident.target)
    if own is not None:
        yield own
    for namespace in namespaces:
        yield from (g for g in ports.journal.manifests.goods(namespace) if g.ref != incident.target)


def _version(good: Good) -> GoodVersion:
    return GoodVersion(
        ref=good.ref,
        manifest=good.manifest(),
        vouched_by=good.vouched_by,
        first_confirmed_at=good.first_confirmed_at,
        confirmed_at=good.confirmed_at,
    )


async def _templates(
    incident: Incident, items: Sequence[KubeObject], now: datetime, ports: Ports
) -> list[GoodTemplate]:
    """The target's as the ledger has them; of the other workloads what this process knows without asking."""
    found = [
        GoodTemplate(owner=g.owner, owner_uid=g.owner_uid, revision_hash=g.revision_hash, confirmed_at=g.confirmed_at)
        for g in await ports.ledger.good_revisions(incident.target_uid)
    ]
    for item in items:
        if isinstance(item, Workload) and item.uid != incident.target_uid:
            found += [
                GoodTemplate(owner=item.ref, owner_uid=item.uid, revision_hash=revision, confirmed_at=now)
                for revision in sorted(ports.good.confirmed(item.uid))
            ]
    return found


def _taints(items: Iterable[KubeObject], now: datetime, ports: Ports) -> Iterator[FormerTaint]:
    for item in items:
        if isinstance(item, Node):
            for key, value, effect in sorted(ports.objects.for_node(item, now).former_taints):
                yield FormerTaint(node_uid=item.uid, key=key, value=value, effect=effect)
