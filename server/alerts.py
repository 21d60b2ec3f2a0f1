"""From an Alertmanager payload (webhook version 4) to the objects its alerts are about.

An alert is a hint: it says where to look, and what is wrong there is found out by our own detectors.  The rules: a
resolved alert opens nothing; an alert whose labels name no object is recorded and answered, never guessed; an
exporter's own labels give way to the `exported_` ones, which tell what it reports about (otherwise every alert of
kube-state-metrics would be about kube-state-metrics).

Pure.  Neighbours: `server.routes.heal` takes payloads, `server.entries` reads a single alert again after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from graph.incident import FromReference, Source
from server.parse import MAX_NOTE, Unreadable
from tools.cluster.resources import KNOWN
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

VERSION = "4"
MOST_ALERTS = 500
"""Alerts read of one payload; Alertmanager's `max_alerts` bounds them at its side."""
LABELS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "cronjob": "CronJob",
    "job_name": "Job",
    "replicaset": "ReplicaSet",
    "pod": "Pod",
}
"""Labels that name an object, the one nearest to the root owner first.  `job` is not one: that is the scrape job."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `trigger` is None when its labels name no object, and `sentence` says what is missing."""

    fingerprint: str
    name: str
    is_firing: bool
    trigger: FromReference | None
    sentence: str
    body: JsonObject


def is_payload(body: JsonObject) -> bool:
    """Whether a document is meant as an Alertmanager payload."""
    return isinstance(body.get("alerts"), list) and "kind" not in body


def read_payload(body: JsonObject) -> list[Alert] | Unreadable:
    """Its alerts in their order."""
    version = body.get("version")
    if version != VERSION:
        return Unreadable("version", f'it must be "{VERSION}", which every Alertmanager since 0.6 sends')
    raw = dig_list(body, "alerts")
    if len(raw) > MOST_ALERTS:
        return Unreadable("alerts", f"at most {MOST_ALERTS} are read; set `max_alerts: {MOST_ALERTS}` in the receiver")
    alerts: list[Alert] = []
    for index, item in enumerate(raw):
        if not isinstance(item, dict) or not isinstance(item.get("labels"), dict):
            return Unreadable(f"alerts[{index}].labels", "an alert is an object with labels")
        if item.get("status") not in {"firing", "resolved"}:
            return Unreadable(f"alerts[{index}].status", "it must be firing or resolved")
        alerts.append(read_alert(item))
    return alerts


def read_alert(body: JsonObject) -> Alert:
    """One alert of a payload, or of the inbox."""
    labels = dig_object(body, "labels")
    found = _reference(labels)
    name = dig_str(labels, "alertname") or "an alert without a name"
    is_reference = isinstance(found, ObjectRef)
    return Alert(
        fingerprint=dig_str(body, "fingerprint"),
        name=name,
        is_firing=body.get("status") == "firing",
        trigger=FromReference(ref=found, source=Source.ALERT, note=_note(name, body)) if is_reference else None,
        sentence=f"about {found}" if is_reference else str(found),
        body=body,
    )


def _reference(labels: JsonObject) -> ObjectRef | str:
    """The object, or why there is none."""
    prefix = "exported_" if _text(labels, "exported_namespace") else ""
    namespace = _text(labels, f"{prefix}namespace")
    if not namespace:
        return "its labels name no namespace; add the label `namespace` to the rule"
    for label, kind in LABELS.items():
        name = _text(labels, f"exported_{label}") or (_text(labels, label) if not (prefix and label == "pod") else "")
        if not name:
            continue
        try:
            return ObjectRef(kind=KNOWN[kind].kind, namespace=namespace, name=name)
        except ValidationError:
            return f"its label `{label}` is not a name that Kubernetes knows"
    return f"its labels name no object; add one of {', '.join(LABELS)} to the rule"


def _text(labels: JsonObject, label: str) -> str:
    value: JsonValue = labels.get(label)
    return value if isinstance(value, str) else ""


def _note(name: str, body: JsonObject) -> str:
    """What the alert says, on one line."""
    notes = dig_object(body, "annotations")
    said = dig_str(notes, "summary") or dig_str(notes, "description")
    line = f"{name}: {said}" if said else name
    return "".join(c if c.isprintable() else " " for c in line)[:MAX_NOTE]
