"""Takes down the world that evidence was gathered from, so that it can be gathered again offline.

It is called right after the gathering, with the reads that were made for it; what the watch shows is taken at the same
moment.  The rules: a recording never stands in the way of healing (what goes wrong here is logged, and there is no
recording), nothing secret is stored, and it keeps to `MAX_BYTES`: the target and what it depends on first, and what was
left out is named.

Neighbours: `recorded` has the values, `tools.cluster.reads` the answers, `surroundings` says what is taken down.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

import structlog

from graph.incident import Incident
from graph.observed import Evidence
from graph.recorded import LaterReads, Read, Remembered, World
from graph.surroundings import first_seen, remembered, shown
from tools.cluster.documents import Document
from tools.cluster.objects import ClusterEvent
from tools.cluster.reads import Answer, Failed, Reads, Request
from tools.cluster.reflector import Reflector, Unavailable
from tools.cluster.structs import KubeObject, as_manifest
from tools.conceal import Concealer
from tools.errors import ToolError
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str
from tools.redact import excerpt

if TYPE_CHECKING:
    from graph.ports import Ports

_log = structlog.get_logger(__name__)

MAX_BYTES: Final = 524_288
"""Of one world, as JSON; about a third of it is for what the journal knew."""
OBJECTS_SHARE: Final = 0.66
MAX_NAMED: Final = 40
"""Objects that are named when they are left out; of the others the number."""
MAX_READS: Final = 200
MAX_LOG: Final = 8192
_DERIVED: Final = frozenset({"Scale", "Status"})
"""Answers that are views of other objects."""
_USER_MAPS: Final = frozenset({"labels", "annotations", "matchLabels", "nodeSelector"})
_Key = tuple[str, str, str, str]


class Recorder:
    """One per process; `max_bytes` bounds each document."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._version: str | None = None

    async def world(self, incident: Incident, evidence: Evidence, reads: Reads, ports: Ports) -> str:
        """Store what `evidence` was gathered from; the document's digest, "" when it could not be done."""
        try:
            items = shown(incident, ports)
            known = await remembered(incident, items, evidence.observed_at, ports)
            groups = ports.objects.api_groups()
            frame = World(
                at=evidence.observed_at,
                kubernetes=await self._server_version(ports),
                unseen=tuple(sorted({_plural(r.resource.plural, r.resource.group) for r in _unavailable(ports)})),
                api_groups=None if groups is None else tuple(sorted(groups)),
                first_seen=tuple(first_seen(incident, items, evidence.observed_at, ports)),
            ).model_dump(mode="json")
            body = await asyncio.to_thread(self._compose, frame, items, dict(reads.answers), known)
            return await ports.ledger.put_document("world", body, ports.clock.now())
        except Exception:  # noqa: BLE001 - a recording must never stand in the way of healing
            _log.exception("recording.failed", incident_id=incident.id)
            return ""

    async def later(self, incident: Incident, reads: Reads, ports: Ports) -> str:
        """Store what was read after the gathering; as `world`."""
        try:
            body = await asyncio.to_thread(self._later, dict(reads.answers))
            return await ports.ledger.put_document("world", body, ports.clock.now())
        except Exception:  # noqa: BLE001 - as above
            _log.exception("recording.failed", incident_id=incident.id)
            return ""

    async def _server_version(self, ports: Ports) -> str:
        """Asked once per process; "" when it is not to be had."""
        if self._version is None:
            try:
                self._version = (await ports.cluster.server_version())[:60]
            except ToolError:
                return ""
        return self._version

    def _compose(
        self,
        frame: JsonObject,
        items: Sequence[KubeObject],
        answers: Mapping[Request, Answer | Failed],
        known: Remembered,
    ) -> JsonObject:
        """The document.  In a thread: everything it is given is never changed again."""
        concealer = Concealer()
        room = int(self._max_bytes * OBJECTS_SHARE)
        objects, left_out = _fitting((concealer.manifest(o) for o in _objects(items, answers)), room)
        left_out += [f"{_named(as_manifest(i))}: only its metadata is held" for i in items if _is_cut(i)]
        memory, forgotten = _memory(known, concealer, self._max_bytes - room)
        return {
            **frame,
            "objects": [*objects],
            "reads": _reads(answers, concealer),
            "remembered": memory,
            "cut": [*_said(left_out), *(f"known of {line}" for line in _said(forgotten))],
        }

    def _later(self, answers: Mapping[Request, Answer | Failed]) -> JsonObject:
        concealer = Concealer()
        objects, left_out = _fitting((concealer.manifest(o) for o in _objects((), answers)), self._max_bytes // 2)
        frame = LaterReads().model_dump(mode="json")
        return {
            **frame,
            "objects": [*objects],
            "reads": _reads(answers, concealer),
            "cut": [*_said(left_out)],
        }


def _objects(items: Sequence[KubeObject], answers: Mapping[Request, Answer | Failed]) -> Iterator[JsonObject]:
    """Every object once: as it was read where it was, for that is all of it, else as the watch shows it."""
    read = {_key(o): o for o in _read(answers)}
    yield from read.values()
    for item in items:
        body = manifest_of(item)
        if _key(body) not in read:
            yield body


def _read(answers: Mapping[Request, Answer | Failed]) -> Iterator[JsonObject]:
    for answer in answers.values():
        found = answer if isinstance(answer, list) else [answer] if isinstance(answer, dict) else []
        for body in found:
            if dig_str(body, "kind") not in _DERIVED and dig_str(body, "metadata", "uid"):
                yield body


def manifest_of(item: KubeObject) -> JsonObject:
    """An object of the watch in the words of the API, with who wrote it last where we know that."""
    if isinstance(item, Document):
        return _with_writer(item)
    body = cast("JsonObject", _dense(as_manifest(item)))
    return _core_event(body) if isinstance(item, ClusterEvent) else body


def _with_writer(item: Document) -> JsonObject:
    """A document is held without `managedFields`; its last write is put back in their form."""
    if item.written_at is None:
        return item.body
    write: JsonObject = {
        "manager": item.written_by,
        "operation": "Update",
        "apiVersion": item.api_version,
        "time": item.written_at.isoformat().replace("+00:00", "Z"),
        "fieldsType": "FieldsV1",
    }
    return {**item.body, "metadata": {**dig_object(item.body, "metadata"), "managedFields": [write]}}


def _core_event(body: JsonObject) -> JsonObject:
    """Our struct is both API groups' events in one; this is the core one."""
    component: JsonValue = body.get("controller", "")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": body["metadata"],
        "involvedObject": body.get("regarding", {}),
        "type": body.get("type", ""),
        "reason": body.get("reason", ""),
        "message": body.get("note", ""),
        "action": body.get("action", ""),
        "count": body.get("count", 1),
        "firstTimestamp": body.get("firstTime"),
        "lastTimestamp": body.get("lastTime"),
        "eventTime": None,
        "source": {"component": component},
        "reportingComponent": component,
    }


def _dense(value: JsonValue) -> JsonValue:
    """Without what our structs hold for fields that nobody set; maps that people wrote stay as they are."""
    match value:
        case dict():
            return {k: v if k in _USER_MAPS else _dense(v) for k, v in value.items() if v is not None and v != ""}
        case list():
            return [_dense(v) for v in value]
        case _:
            return value


def _reads(answers: Mapping[Request, Answer | Failed], concealer: Concealer) -> list[JsonValue]:
    rows: list[JsonValue] = []
    for request, answer in list(answers.items())[:MAX_READS]:
        row = Read(verb=request.verb, path=request.path, query=request.query)
        match answer:
            case Failed(code=code, said=said):
                row = row.model_copy(update={"error": code, "said": excerpt(said, 400)})
            case bool():
                row = row.model_copy(update={"allowed": answer})
            case str():
                row = row.model_copy(update={"text": excerpt(concealer.text(answer), MAX_LOG)})
            case list():
                row = row.model_copy(update={"found": len(answer)})
            case dict():
                row = row.model_copy(update={"found": 1})
        rows.append(row.model_dump(mode="json", exclude_defaults=True))
    return rows


def _memory(known: Remembered, concealer: Concealer, room: int) -> tuple[JsonObject, list[str]]:
    """The journal's part, cut to size: good versions first, then what is declared."""
    body = known.model_dump(mode="json")
    good, lost = _fitting((concealer.manifest(dig_object(v)) for v in dig_list(body, "good")), room * 2 // 3)
    declared, undeclared = _fitting(
        (concealer.manifest(dig_object(m)) for m in dig_list(body, "declared")), room - _size(good)
    )
    return {**body, "good": [*good], "declared": [*declared]}, [*lost, *undeclared]


def _fitting(bodies: Iterable[JsonObject], room: int) -> tuple[list[JsonObject], list[str]]:
    """The first of them that have room, and the names of the others."""
    kept: list[JsonObject] = []
    left_out: list[str] = []
    for body in bodies:
        size = _size(body)
        if size <= room:
            kept.append(body)
            room -= size
        else:
            left_out.append(_named(body))
    return kept, left_out


def _said(left_out: Sequence[str]) -> list[str]:
    more = len(left_out) - MAX_NAMED
    return [*left_out[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])]


def _size(value: JsonObject | Sequence[JsonObject]) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _key(body: JsonObject) -> _Key:
    group = dig_str(body, "apiVersion").rpartition("/")[0]
    return group, dig_str(body, "kind"), dig_str(body, "metadata", "namespace"), dig_str(body, "metadata", "name")


def _named(body: JsonObject) -> str:
    """An object by its manifest; a good version by the object it is of."""
    place = body if "kind" in body else dig_object(body, "ref")
    meta = dig_object(place, "metadata") or place
    kind, where, name = dig_str(place, "kind"), dig_str(meta, "namespace"), dig_str(meta, "name")
    return f"{kind} {where}/{name}" if where else f"{kind} {name}"


def _is_cut(item: KubeObject) -> bool:
    return isinstance(item, Document) and item.is_cut


def _unavailable(ports: Ports) -> Iterator[Reflector[KubeObject]]:
    return (r for r in ports.mirror.reflectors if isinstance(r.state, Unavailable))


def _plural(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural
