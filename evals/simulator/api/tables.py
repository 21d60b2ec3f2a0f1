"""Tables for kubectl: `Accept: application/json;as=Table`, with the columns people read most."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from evals.simulator.api.kinds import Kind
from evals.simulator.objects import (
    age_seconds,
    condition,
    integer,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    objects,
    parse_time,
    strings,
    texts,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

Row = Callable[[JsonObject, datetime], list[JsonValue]]


def duration(seconds: float) -> str:
    """Ages as kubectl prints them: `42s`, `3m5s`, `2h10m`, `4d`."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"


def _age(obj: JsonObject, now: datetime) -> str:
    return duration(age_seconds(obj, now))


def pod_state(pod: JsonObject) -> str:
    """The STATUS column of a pod."""
    status = dig_object(pod, "status")
    state = dig_str(status, "reason") or dig_str(status, "phase") or "Unknown"
    total = len(objects(pod, "spec", "initContainers"))
    for index, init in enumerate(objects(status, "initContainerStatuses")):
        ended, waiting = dig_object(init, "state", "terminated"), dig_object(init, "state", "waiting")
        if ended and integer(ended, "exitCode") == 0:
            continue
        if ended:
            return "Init:" + (dig_str(ended, "reason") or f"ExitCode:{integer(ended, 'exitCode')}")
        if waiting and dig_str(waiting, "reason") not in {"", "PodInitializing"}:
            return "Init:" + dig_str(waiting, "reason")
        return f"Init:{index}/{total}"
    running = False
    for container in reversed(objects(status, "containerStatuses")):
        waiting, ended = dig_object(container, "state", "waiting"), dig_object(container, "state", "terminated")
        if dig_str(waiting, "reason"):
            state = dig_str(waiting, "reason")
        elif ended:
            state = dig_str(ended, "reason") or f"ExitCode:{integer(ended, 'exitCode')}"
        elif container.get("ready") is True:
            running = True
    if state == "Completed" and running:
        state = "Running" if is_ready(pod) else "NotReady"
    if is_deleting(pod):
        return "Unknown" if dig_str(status, "reason") == "NodeLost" else "Terminating"
    return state


def _pod(pod: JsonObject, now: datetime) -> list[JsonValue]:
    statuses = objects(pod, "status", "containerStatuses")
    ready = sum(1 for s in statuses if s.get("ready") is True)
    restarts = sum(integer(s, "restartCount") for s in statuses)
    ends = [parse_time(dig_str(s, "lastState", "terminated", "finishedAt")) for s in statuses]
    last = max((e for e in ends if e is not None), default=None)
    shown = f"{restarts} ({duration((now - last).total_seconds())} ago)" if restarts and last else str(restarts)
    wide: list[JsonValue] = [
        dig_str(pod, "status", "podIP") or "<none>",
        dig_str(pod, "spec", "nodeName") or "<none>",
        dig_str(pod, "status", "nominatedNodeName") or "<none>",
        "<none>",
    ]
    total = len(objects(pod, "spec", "containers"))
    return [name_of(pod), f"{ready}/{total}", pod_state(pod), shown, _age(pod, now), *wide]


def _deployment(obj: JsonObject, now: datetime) -> list[JsonValue]:
    status = dig_object(obj, "status")
    ready = f"{integer(status, 'readyReplicas')}/{integer(obj, 'spec', 'replicas')}"
    updated, available = integer(status, "updatedReplicas"), integer(status, "availableReplicas")
    return [name_of(obj), ready, updated, available, _age(obj, now)]


def _replica_set(obj: JsonObject, now: datetime) -> list[JsonValue]:
    status = dig_object(obj, "status")
    counts: list[JsonValue] = [
        integer(obj, "spec", "replicas"),
        integer(status, "replicas"),
        integer(status, "readyReplicas"),
    ]
    return [name_of(obj), *counts, _age(obj, now)]


def _stateful_set(obj: JsonObject, now: datetime) -> list[JsonValue]:
    ready = f"{integer(obj, 'status', 'readyReplicas')}/{integer(obj, 'spec', 'replicas')}"
    return [name_of(obj), ready, _age(obj, now)]


def _daemon_set(obj: JsonObject, now: datetime) -> list[JsonValue]:
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    counts: list[JsonValue] = [integer(obj, "status", n) for n in names]
    return [name_of(obj), *counts, _pairs(strings(obj, "spec", "template", "spec", "nodeSelector")), _age(obj, now)]


def _pairs(values: dict[str, str]) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(values.items())) or "<none>"


def _node(obj: JsonObject, now: datetime) -> list[JsonValue]:
    ready = condition(obj, "Ready") or {}
    state = "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(obj, "spec", "unschedulable") is True:
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(k.removeprefix(prefix) for k in labels_of(obj) if k.startswith(prefix))) or "<none>"
    return [name_of(obj), state, roles, _age(obj, now), dig_str(obj, "status", "nodeInfo", "kubeletVersion")]


def _service(obj: JsonObject, now: datetime) -> list[JsonValue]:
    ports = ",".join(f"{p.get('port')}/{p.get('protocol')}" for p in objects(obj, "spec", "ports")) or "<none>"
    spec = dig_object(obj, "spec")
    return [
        name_of(obj),
        dig_str(spec, "type"),
        dig_str(spec, "clusterIP") or "<none>",
        "<none>",
        ports,
        _age(obj, now),
    ]


def _job(obj: JsonObject, now: datetime) -> list[JsonValue]:
    state = next(
        (t for t in ("Complete", "Failed", "Suspended") if dig(condition(obj, t) or {}, "status") == "True"), "Running"
    )
    done = f"{integer(obj, 'status', 'succeeded')}/{integer(obj, 'spec', 'completions', default=1)}"
    begun = parse_time(dig_str(obj, "status", "startTime"))
    end = parse_time(dig_str(obj, "status", "completionTime")) or now
    took = duration((end - begun).total_seconds()) if begun else ""
    return [name_of(obj), state, done, took, _age(obj, now)]


def _cron_job(obj: JsonObject, now: datetime) -> list[JsonValue]:
    last = parse_time(dig_str(obj, "status", "lastScheduleTime"))
    since = duration((now - last).total_seconds()) if last else "<none>"
    suspended = "True" if dig(obj, "spec", "suspend") is True else "False"
    active = len(objects(obj, "status", "active"))
    schedule, zone = dig_str(obj, "spec", "schedule"), dig_str(obj, "spec", "timeZone") or "<none>"
    return [name_of(obj), schedule, zone, suspended, active, since, _age(obj, now)]


def _event(obj: JsonObject, now: datetime) -> list[JsonValue]:
    target = obj.get("involvedObject", obj.get("regarding"))
    last = parse_time(dig_str(obj, "lastTimestamp") or dig_str(obj, "deprecatedLastTimestamp"))
    since = duration((now - last).total_seconds()) if last else _age(obj, now)
    what = f"{dig_str(target, 'kind').lower()}/{dig_str(target, 'name')}"
    return [since, dig_str(obj, "type"), dig_str(obj, "reason"), what, dig_str(obj, "message") or dig_str(obj, "note")]


def _claim(obj: JsonObject, now: datetime) -> list[JsonValue]:
    spec, status = dig_object(obj, "spec"), dig_object(obj, "status")
    size, modes = dig_str(status, "capacity", "storage"), ",".join(texts(status, "accessModes"))
    volume, storage_class = dig_str(spec, "volumeName"), dig_str(spec, "storageClassName")
    return [name_of(obj), dig_str(status, "phase"), volume, size, modes, storage_class, "<unset>", _age(obj, now)]


def _hpa(obj: JsonObject, now: datetime) -> list[JsonValue]:
    ref = dig_object(obj, "spec", "scaleTargetRef")
    target = f"{dig_str(ref, 'kind')}/{dig_str(ref, 'name')}"
    current = dig(obj, "status", "currentMetrics", 0, "resource", "current", "averageUtilization")
    wanted = dig(obj, "spec", "metrics", 0, "resource", "target", "averageUtilization")
    shown = f"cpu: {'<unknown>' if current is None else f'{current}%'}/{wanted}%"
    bounds: list[JsonValue] = [integer(obj, "spec", "minReplicas"), integer(obj, "spec", "maxReplicas")]
    return [name_of(obj), target, shown, *bounds, integer(obj, "status", "currentReplicas"), _age(obj, now)]


def _budget(obj: JsonObject, now: datetime) -> list[JsonValue]:
    low, high = dig(obj, "spec", "minAvailable"), dig(obj, "spec", "maxUnavailable")
    shown: list[JsonValue] = ["N/A" if low is None else str(low), "N/A" if high is None else str(high)]
    return [name_of(obj), *shown, integer(obj, "status", "disruptionsAllowed"), _age(obj, now)]


def _config_map(obj: JsonObject, now: datetime) -> list[JsonValue]:
    return [name_of(obj), len(dig_object(obj, "data")), _age(obj, now)]


def _secret(obj: JsonObject, now: datetime) -> list[JsonValue]:
    return [name_of(obj), dig_str(obj, "type"), len(dig_object(obj, "data")), _age(obj, now)]


def _namespace(obj: JsonObject, now: datetime) -> list[JsonValue]:
    return [name_of(obj), dig_str(obj, "status", "phase"), _age(obj, now)]


def _plain(obj: JsonObject, now: datetime) -> list[JsonValue]:
    return [name_of(obj), _age(obj, now)]


def _slice(obj: JsonObject, now: datetime) -> list[JsonValue]:
    ports = ",".join(str(p.get("port")) for p in objects(obj, "ports")) or "<unset>"
    addresses = ",".join(a for e in objects(obj, "endpoints") for a in texts(e, "addresses")) or "<unset>"
    return [name_of(obj), dig_str(obj, "addressType"), ports, addresses, _age(obj, now)]


_WIDE_POD = "IP Node Nominated-Node Readiness-Gates"
_COLUMNS: dict[str, tuple[str, Row]] = {
    "Pod": (f"Name Ready Status Restarts Age +{_WIDE_POD.replace(' ', ' +')}", _pod),
    "Deployment": ("Name Ready Up-to-date Available Age", _deployment),
    "ReplicaSet": ("Name Desired Current Ready Age", _replica_set),
    "StatefulSet": ("Name Ready Age", _stateful_set),
    "DaemonSet": ("Name Desired Current Ready Up-to-date Available Node-Selector Age", _daemon_set),
    "Node": ("Name Status Roles Age Version", _node),
    "Service": ("Name Type Cluster-IP External-IP Port(s) Age", _service),
    "Job": ("Name Status Completions Duration Age", _job),
    "CronJob": ("Name Schedule Timezone Suspend Active Last-Schedule Age", _cron_job),
    "Event": ("Last-Seen Type Reason Object Message", _event),
    "PersistentVolumeClaim": (
        "Name Status Volume Capacity Access-Modes StorageClass VolumeAttributesClass Age",
        _claim,
    ),
    "HorizontalPodAutoscaler": ("Name Reference Targets MinPods MaxPods Replicas Age", _hpa),
    "PodDisruptionBudget": ("Name Min-Available Max-Unavailable Allowed-Disruptions Age", _budget),
    "ConfigMap": ("Name Data Age", _config_map),
    "Secret": ("Name Type Data Age", _secret),
    "Namespace": ("Name Status Age", _namespace),
    "EndpointSlice": ("Name AddressType Ports Endpoints Age", _slice),
}


def _columns(text: str) -> list[JsonValue]:
    found: list[JsonValue] = []
    for word in text.split():
        name = word.lstrip("+").replace("-", " ") if "to-date" not in word else word
        kind = "integer" if name in {"Available", "Desired", "Current", "Data"} else "string"
        entry: JsonObject = {
            "name": name,
            "type": kind,
            "format": "name" if name == "Name" else "",
            "description": name,
        }
        entry["priority"] = 1 if word.startswith("+") else 0
        found.append(entry)
    return found


def table(kind: Kind, items: list[JsonObject], now: datetime, metadata: JsonObject, include: str) -> JsonObject:
    """A `meta.k8s.io/v1` Table.  `include` is `Metadata`, `Object` or `None`."""
    text, row = _COLUMNS.get(kind.kind, ("Name Age", _plain))
    rows: list[JsonValue] = []
    for item in items:
        shown: JsonObject = {"cells": row(item, now)}
        if include == "Object":
            shown["object"] = item
        elif include != "None":
            partial: JsonObject = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": dig_object(item, "metadata"),
            }
            shown["object"] = partial
        rows.append(shown)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": _columns(text),
        "rows": rows,
    }
