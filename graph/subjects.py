"""What matters of an object that is no workload, as lines that rules, people and models read; pure.

Nothing is judged here.  Values that people wrote are redacted and cut, because they are untrusted.  Neighbours: `facts`
does the same for workloads and pods, `evidence` asks both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from graph.observed import SubjectFacts
from tools.executors.crossplane import facts
from tools.executors.keda.scaled import bounds, holds, scales
from tools.executors.whole import maker_of
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.redact import excerpt
from tools.refs import ObjectRef

MAX_LINES: Final = 20
MAX_LINE: Final = 300
CONTROLLED_BY: Final = "controlled by: "
MADE_AGAIN: Final = "made anew by selfheal"


def subject_facts(ref: ObjectRef, live: JsonObject) -> SubjectFacts:
    """The facts of one object as the API server holds it."""
    of_kind = _external if "." in ref.kind else _LINES.get(ref.kind, _nothing)
    lines = [*of_kind(live), *_conditions(live)]
    return SubjectFacts(
        ref=ref,
        uid=dig_str(live, "metadata", "uid"),
        generation=dig_int(live, "metadata", "generation"),
        lines=tuple(excerpt(line, MAX_LINE) for line in lines[:MAX_LINES]),
        deleting=dig(live, "metadata", "deletionTimestamp") is not None,
    )


def _conditions(live: JsonObject) -> Iterator[str]:
    for found in dig_list(live, "status", "conditions"):
        said = ": ".join(part for part in (dig_str(found, "reason"), dig_str(found, "message")) if part)
        yield f"{dig_str(found, 'type')}={dig_str(found, 'status')}{f' ({said})' if said else ''}"


def _nothing(live: JsonObject) -> Iterator[str]:
    keys = sorted(dig_object(live, "data"))
    if keys:
        yield f"keys: {', '.join(keys)}"
    finalizers = [str(f) for f in dig_list(live, "metadata", "finalizers")]
    if finalizers:
        yield f"finalizers: {', '.join(finalizers)}"


def _service(live: JsonObject) -> Iterator[str]:
    yield f"selector: {_said(dig(live, 'spec', 'selector'))}"
    for port in dig_list(live, "spec", "ports"):
        target = _said(dig(port, "targetPort"))
        yield f"port {dig_str(port, 'name') or dig_int(port, 'port')}: {dig_int(port, 'port')} leads to {target}"


def _autoscaler(live: JsonObject) -> Iterator[str]:
    aim = dig_object(live, "spec", "scaleTargetRef")
    yield f"scales {dig_str(aim, 'kind')} {dig_str(aim, 'name')}"
    yield f"between {_said(dig(live, 'spec', 'minReplicas'))} and {_said(dig(live, 'spec', 'maxReplicas'))} replicas"


def _scaled_object(live: JsonObject) -> Iterator[str]:
    _, kind, name = scales(live)
    least, greatest = bounds(live)
    yield f"scales {kind} {name}"
    yield f"minReplicaCount: {least}"
    yield f"maxReplicaCount: {greatest}"
    yield from _scaled(live)


def _scaled(live: JsonObject) -> Iterator[str]:
    """What ScaledObjects and ScaledJobs say alike; of a trigger its type alone, the rest may be an address."""
    yield f"triggers: {', '.join(dig_str(trigger, 'type') for trigger in dig_list(live, 'spec', 'triggers'))}"
    for annotation, value in holds(live).items():
        yield f"held by {annotation}={value}"
    replicas = dig_int(live, "spec", "fallback", "replicas")
    if replicas is not None:
        yield f"falls back to {replicas} replicas"
    for name, health in dig_object(live, "status", "health").items():
        yield f"metric {name}: {dig_str(health, 'status')}, failed {_said(dig(health, 'numberOfFailures'))} times"


def _budget(live: JsonObject) -> Iterator[str]:
    for field in ("minAvailable", "maxUnavailable"):
        if (value := dig(live, "spec", field)) is not None:
            yield f"{field}: {_said(value)}"
    status = dig_object(live, "status")
    yield (
        f"{_said(dig(status, 'currentHealthy'))} of {_said(dig(status, 'expectedPods'))} pods healthy, "
        f"{_said(dig(status, 'disruptionsAllowed'))} disruptions allowed"
    )


def _claim(live: JsonObject) -> Iterator[str]:
    yield f"phase: {dig_str(live, 'status', 'phase')}"
    yield f"storage class: {_said(dig(live, 'spec', 'storageClassName'))}"
    yield f"asks for {_said(dig(live, 'spec', 'resources', 'requests', 'storage'))}"


def _job(live: JsonObject) -> Iterator[str]:
    owner = next((o for o in dig_list(live, "metadata", "ownerReferences") if dig(o, "controller") is True), None)
    if owner is not None:
        yield f"{CONTROLLED_BY}{dig_str(owner, 'kind')} {dig_str(owner, 'name')}"
    if maker_of(live):
        yield MADE_AGAIN
    for field in ("activeDeadlineSeconds", "backoffLimit", "parallelism", "completions"):
        if (value := dig(live, "spec", field)) is not None:
            yield f"{field}: {_said(value)}"
    for field in ("active", "failed", "succeeded", "startTime"):
        if (value := dig(live, "status", field)) is not None:
            yield f"{field}: {_said(value)}"


def _cron_job(live: JsonObject) -> Iterator[str]:
    yield f"schedule: {dig_str(live, 'spec', 'schedule')}"
    yield f"suspended: {_said(dig(live, 'spec', 'suspend') is True)}"
    yield f"concurrency: {dig_str(live, 'spec', 'concurrencyPolicy')}"
    yield f"last scheduled: {_said(dig(live, 'status', 'lastScheduleTime'))}"


def _node(live: JsonObject) -> Iterator[str]:
    yield f"unschedulable: {_said(dig(live, 'spec', 'unschedulable') is True)}"
    for taint in dig_list(live, "spec", "taints"):
        yield f"taint {dig_str(taint, 'key')}={dig_str(taint, 'value')}:{dig_str(taint, 'effect')}"


def _external(live: JsonObject) -> Iterator[str]:
    """A custom resource of Crossplane: what is asked of its controller, and what it has made outside."""
    yield f"paused: {_said(facts.is_paused(live))}"
    seen = facts.observed_generation(live)
    yield f"generation: {_said(dig_int(live, 'metadata', 'generation'))}, last looked at: {_said(seen)}"
    for name, key in _NOTES.items():
        if value := facts.annotation(live, key):
            yield f"{name}: {value}"
    parts = facts.made_of(live)
    if parts:
        yield f"made of: {', '.join(str(part) for part in parts)}"


def _limits(live: JsonObject) -> Iterator[str]:
    for name, hard in dig_object(live, "spec", "hard").items():
        yield f"{name}: {_said(dig(live, 'status', 'used', name))} of {_said(hard)} used"
    for item in dig_list(live, "spec", "limits"):
        yield f"{dig_str(item, 'type')}: {_said(item)}"


def _said(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


_NOTES: Final = {
    "external name": facts.EXTERNAL_NAME,
    "creation begun": facts.CREATE_PENDING,
    "creation succeeded": facts.CREATE_SUCCEEDED,
    "creation failed": facts.CREATE_FAILED,
}
_LINES: Final[Mapping[str, Callable[[JsonObject], Iterator[str]]]] = {
    "Service": _service,
    "HorizontalPodAutoscaler": _autoscaler,
    "ScaledObject": _scaled_object,
    "ScaledJob": _scaled,
    "PodDisruptionBudget": _budget,
    "PersistentVolumeClaim": _claim,
    "Job": _job,
    "CronJob": _cron_job,
    "Node": _node,
    "ResourceQuota": _limits,
    "LimitRange": _limits,
}
