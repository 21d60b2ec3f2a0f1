"""Ways back for what is no workload revision: from the journal to the evidence.

The journal enumerates them with exact differences; here they become values of the graph, and their objects become part
of the set that an action of the incident may name.  Neighbours: `tools.journal` finds them, `graph.rules` chooses.
"""

from __future__ import annotations

from typing import Final, get_args

from graph.incident import Incident
from graph.observed import FieldChange, ObjectCandidate, Operation, VersionSource
from graph.plan import Status
from graph.ports import Ports
from tools.cluster.documents import content_of
from tools.cluster.resources import KNOWN
from tools.cluster.structs import KubeObject, Reference
from tools.errors import ToolError
from tools.executors.inverse import Inverse
from tools.executors.models.objects import RestorableKind
from tools.guard.intents import inverse_of
from tools.journal.candidates import WayBack
from tools.jsontypes import JsonObject, dig_int, dig_str
from tools.ledger.records import ActionState
from tools.refs import ObjectRef, Pin

COUNTS_STATUS: Final = frozenset({"Application"})
"""Kinds whose definition has no status subresource: each write of their status counts as a generation."""
MAX_WAYS: Final = 20
MAX_CHANGES: Final = 40
MAX_HEALED: Final = 5
_RESTORED: Final = frozenset(get_args(RestorableKind))


async def ways_back(
    incident: Incident, live: JsonObject | None, ports: Ports, unseen: list[str]
) -> tuple[ObjectCandidate, ...]:
    """What could be put back for the target and what it depends on, the newest change first.

    `live` is the target as the API server holds it, None when it is gone.  What could not be looked at is added to
    `unseen`.
    """
    try:
        found = await ports.journal.ways_back(incident.target)
    except ToolError as error:
        unseen.append(f"what {incident.target} depends on ({error.code})")
        return ()
    unseen.extend(found.unseen)
    ways = [as_candidate(way) for way in found.ways[:MAX_WAYS] if _is_on_the_list(way)]
    ours: set[ObjectRef] = set()
    for way in ways:
        if way.operation is not Operation.REVERT or way.source is not VersionSource.DESIRED:
            continue
        document = ports.mirror.document(way.ref.kind, way.ref.namespace or "", way.ref.name)
        body = live if way.ref == incident.target else document.body if document is not None else None
        if body is not None and await _is_our_healing(way.ref, body, ports):
            ours.add(way.ref)
    return tuple(way.model_copy(update={"is_ours": way.ref in ours}) for way in ways)


def _is_on_the_list(way: WayBack) -> bool:
    """Whether an action goes this way: not every kind that may be declared may be made again."""
    return way.operation != "restore" or way.ref.kind in _RESTORED


async def _is_our_healing(ref: ObjectRef, live: JsonObject, ports: Ports) -> bool:
    """Whether what differs from the declaration is a remedy of ours that still stands as we wrote it.

    Putting the declared value back would bring the failure back.
    """
    item = _held(ref, ports)
    differs = ports.journal.differences_from_declared(item) if item is not None else ()
    if not differs:
        return False
    for record in await ports.ledger.incidents(target=ref, status=Status.HEALED.value, limit=MAX_HEALED):
        for done in await ports.ledger.actions_of(record.id):
            if done.intent.target != ref or done.intent.undoes is not None or done.state is not ActionState.APPLIED:
                continue
            inverse = inverse_of(done.intent)
            written = inverse.fields if isinstance(inverse, Inverse) else ()
            if any(
                f.is_ours(live) and any(d.startswith(f.path) or f.path.startswith(d) for d in differs) for f in written
            ):
                return True
    return False


def _held(ref: ObjectRef, ports: Ports) -> KubeObject | None:
    resource = KNOWN.get(ref.kind)
    if resource is None:
        return None
    return ports.mirror.find(Reference(ref.kind, ref.namespace or "", ref.name, "", resource.api_version))


def as_candidate(way: WayBack) -> ObjectCandidate:
    """The same as a value of the graph."""
    return ObjectCandidate(
        ref=way.ref,
        uid=way.uid,
        operation=Operation(way.operation),
        version=way.version,
        source=VersionSource(way.source),
        changes=tuple(FieldChange(path=c.path, now=c.now, then=c.then) for c in way.changes[:MAX_CHANGES]),
        truncated=way.truncated or len(way.changes) > MAX_CHANGES,
        changed_at=way.changed_at,
        changed_by=way.changed_by[:120],
        relation=way.relation[:160],
    )


def pin_of_held(ref: ObjectRef, held: KubeObject) -> Pin:
    """The same of an object that the watch does not keep whole: its generation alone says whether it was changed."""
    meta = held.metadata
    return Pin(ref=ref, uid=meta.uid, resource_version=meta.resource_version, generation=meta.generation)


def pin_of_live(ref: ObjectRef, live: JsonObject) -> Pin:
    """One life of one object as it was read; what it says is pinned too, for kinds that count no generations."""
    return Pin(
        ref=ref,
        uid=dig_str(live, "metadata", "uid"),
        resource_version=dig_str(live, "metadata", "resourceVersion"),
        generation=None if ref.kind in COUNTS_STATUS else dig_int(live, "metadata", "generation"),
        content=content_of(live),
    )


def pins_of(ways: tuple[ObjectCandidate, ...], ports: Ports) -> list[Pin]:
    """The objects of these ways as the watch shows them, those that are gone by their absence.

    An object that the journal read and the watch does not show has no pin: nothing can be ordered on it.
    """
    pins: list[Pin] = []
    for way in ways:
        if way.uid is None:
            pins.append(Pin.absent(way.ref))
            continue
        document = ports.mirror.document(way.ref.kind, way.ref.namespace or "", way.ref.name)
        if document is not None:
            if document.uid == way.uid:
                pins.append(pin_of_live(way.ref, document.body))
            continue
        held = _held(way.ref, ports)
        if held is not None and held.metadata.uid == way.uid and held.metadata.generation:
            pins.append(pin_of_held(way.ref, held))
    return pins
