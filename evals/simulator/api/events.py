"""Events: one store, two views (core/v1 and events.k8s.io/v1), and the recorder that aggregates repeats."""

from __future__ import annotations

import hashlib
from datetime import datetime

from evals.simulator.api.kinds import Kind
from evals.simulator.api.store import Store
from evals.simulator.objects import clone, integer, namespace_of, object_reference, stamp, stamp_micro
from tools.jsontypes import JsonObject, JsonValue, canonical, dig_object, dig_str

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}
_BACK = {new: old for old, new in _RENAMED.items()}


def present(kind: Kind, obj: JsonObject) -> JsonObject:
    """An object as the version of `kind` shows it; the stored object itself when nothing differs."""
    if kind.storage == "events":
        shown: JsonObject = {_RENAMED.get(k, k): v for k, v in obj.items()}
        return {**shown, "apiVersion": "events.k8s.io/v1"}
    if kind.custom is not None and obj.get("apiVersion") != kind.api_version:
        return {**obj, "apiVersion": kind.api_version}
    return obj


def accept(kind: Kind, obj: JsonObject) -> JsonObject:
    """The stored form of an object that came in through `kind`."""
    if kind.storage == "events":
        stored: JsonObject = {_BACK.get(k, k): v for k, v in obj.items()}
        return {**stored, "apiVersion": "v1", "kind": "Event"}
    return obj


class Recorder:
    """Writes events as kubelet and controllers do: a repeat raises the count of the first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def emit(
        self,
        regarding: JsonObject,
        type_: str,
        reason: str,
        message: str,
        *,
        component: str,
        now: datetime,
        host: str = "",
        field_path: str = "",
        action: str = "",
        series: bool = False,
    ) -> None:
        """Record that something happened to `regarding`.

        `series`: as the scheduler does through events.k8s.io, with `eventTime` and no count.
        """
        reference = object_reference(regarding)
        if field_path:
            reference["fieldPath"] = field_path
        uid = dig_str(reference, "uid")
        identity: JsonValue = [uid, reason, message, component, host, field_path]
        suffix = hashlib.sha256(canonical(identity)).hexdigest()[:16]
        namespace = namespace_of(regarding) or "default"
        name = f"{dig_str(reference, 'name')}.{suffix}"
        known = self._store.get("events", namespace, name)
        if known is not None:
            again = clone(known)
            if series:
                again["series"] = {
                    "count": integer(known, "series", "count", default=1) + 1,
                    "lastObservedTime": stamp_micro(now),
                }
                self._store.put("events", again)
                return
            again["count"] = integer(known, "count", default=1) + 1
            again["lastTimestamp"] = stamp(now)
            self._store.put("events", again)
            return
        source: JsonObject = {"component": component}
        if host:
            source["host"] = host
        event: JsonObject = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"e-{suffix}-{self._store.version}",
                "creationTimestamp": stamp(now),
            },
            "involvedObject": reference,
            "type": type_,
            "reason": reason,
            "message": message,
            "source": source,
            "firstTimestamp": stamp(now),
            "lastTimestamp": stamp(now),
            "count": 1,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": host,
        }
        if action:
            event["action"] = action
        if series:
            event |= {"eventTime": stamp_micro(now), "firstTimestamp": None, "lastTimestamp": None, "source": {}}
            del event["count"]
        self._store.put("events", event)

    def about(self, uid: str) -> list[JsonObject]:
        """The events of one object, oldest first."""
        found = [e for e in self._store.scan("events") if dig_str(dig_object(e, "involvedObject"), "uid") == uid]
        return sorted(found, key=lambda e: integer({"v": int(dig_str(e, "metadata", "resourceVersion"))}, "v"))
