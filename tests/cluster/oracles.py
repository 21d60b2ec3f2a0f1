"""Whether a check holds: pure functions from a view of a namespace to None (it holds) or the reason why it does not.

Rule: a check that cannot read its input does not hold.  The checks that ask the cluster (`checks.Asked`) are judged by
the lane; all others are here.  Neighbours: `checks` are the values, `mirror` makes views, `lanes` decides when to look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from tests.cluster.checks import (
    CanI,
    Check,
    Condition,
    CronJobCompleted,
    CronJobFired,
    DaemonSetReady,
    EndpointsReady,
    ExecOk,
    FieldAbsent,
    FieldAtLeast,
    FieldEquals,
    FieldExists,
    HttpOk,
    JobWorks,
    LikeBefore,
    NoFailedPods,
    NoOomSince,
    ObjectAbsent,
    PodsStable,
    RolloutComplete,
    State,
)
from tests.cluster.mirror import View
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str

COMPARED_KINDS = (
    "Service", "ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim", "ResourceQuota", "LimitRange",
    "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget",
    "NetworkPolicy", "Role", "RoleBinding", "Namespace", "Node",
)  # fmt: skip
"""What `like_before` compares: everything but what controllers make from it."""
IGNORED_ANNOTATIONS = ("selfheal.dev/",)
IGNORED_ANNOTATION_NAMES = {
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/restartedAt",
}
PLAIN_KINDS = {"Node"}
"""Kinds of which only the spec is compared, and only of objects that stayed: others come and go for reasons of their
own, and the rest of them is written by the cluster all the time."""
SERVER_SET = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}
_MISSING = object()
_PATH = re.compile(r"\[([^\]]+)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class Moment:
    """What was seen when everything held for the first time: restarts by pod uid, and when (epoch seconds)."""

    at: float
    restarts: Mapping[str, int]


@dataclass(frozen=True)
class Past:
    """What was before: how the namespace looked, when the fault began (epoch seconds), since when all holds."""

    before: View
    injected: float = 0.0
    since: Moment | None = None


def judge(check: Check, view: View, past: Past) -> str | None:
    """None when the check holds, else one sentence.  Without `since` the checks about time hold: nothing began yet."""
    match check:
        case RolloutComplete():
            return _rollout(check, view)
        case DaemonSetReady():
            return _daemonset(check, view)
        case EndpointsReady():
            return _endpoints(check, view)
        case NoFailedPods():
            return _failed(view)
        case LikeBefore():
            found = list(differences(past.before, view, check.allow))
            return f"differs from before: {'; '.join(found[:4])}" if found else None
        case PodsStable():
            return _stable(check, view, past.since)
        case NoOomSince():
            return _oom(check, view, past.since)
        case HttpOk() | CanI() | ExecOk():
            return None
        case _:
            return _judge_state(check, view, past)


def _judge_state(check: State, view: View, past: Past) -> str | None:
    """The checks of one object's fields."""
    match check:
        case FieldEquals() | FieldExists() | FieldAbsent() | FieldAtLeast():
            return _field(check, view)
        case ObjectAbsent():
            return f"{check.object} exists" if view.get(check.object) is not None else None
        case Condition():
            return _condition(check, view)
        case JobWorks():
            return _job(check, view)
        case CronJobFired() | CronJobCompleted():
            return _cronjob(check, view, past.injected)
        case _:
            assert_never(check)


def moment(view: View, at: float) -> Moment:
    """The view's restarts, for later comparison."""
    return Moment(at, {dig_str(p, "metadata", "uid"): restarts(p) for p in view.all("Pod") if not is_leaving(p)})


# ------------------------------------------------------------------------------------------------------ small readings
def name(object_: JsonObject) -> str:
    """`metadata.name`."""
    return dig_str(object_, "metadata", "name")


def is_leaving(object_: JsonObject) -> bool:
    """Whether it is being deleted."""
    return bool(dig_str(object_, "metadata", "deletionTimestamp"))


def restarts(pod: JsonObject) -> int:
    """Restarts of all its containers together."""
    return sum(dig_int(c, "restartCount") or 0 for c in container_statuses(pod))


def container_statuses(pod: JsonObject) -> list[JsonValue]:
    """Statuses of init containers and containers."""
    return dig_list(pod, "status", "initContainerStatuses") + dig_list(pod, "status", "containerStatuses")


def pods_of(view: View, selector: Mapping[str, str]) -> list[JsonObject]:
    """Pods that carry all the labels and are not being deleted."""
    wanted = selector.items()
    return [p for p in view.all("Pod") if wanted <= dig_object(p, "metadata", "labels").items() and not is_leaving(p)]


def at_path(value: JsonValue, path: str) -> JsonValue | object:
    """Follow a dotted path; a number is an index, a key with dots stands in brackets (`labels[a.b/c]`).

    `_MISSING` when it leads nowhere (null is something).
    """
    for part in (bracketed or plain for bracketed, plain in _PATH.findall(path)):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return _MISSING
    return value


# -------------------------------------------------------------------------------------------------------------- checks
def _rollout(check: RolloutComplete, view: View) -> str | None:
    found = view.get(check.object)
    if found is None:
        return f"{check.object} does not exist"
    if (dig_int(found, "status", "observedGeneration") or 0) < (dig_int(found, "metadata", "generation") or 1):
        return f"{check.object}: the controller has not seen the newest spec"
    if dig_int(found, "spec", "replicas") != check.replicas:
        return f"{check.object}: spec.replicas is {dig(found, 'spec', 'replicas')}, not {check.replicas}"
    status = {
        k: dig_int(found, "status", k) or 0
        for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    }
    if set(status.values()) != {check.replicas}:
        return f"{check.object}: {status}"
    current, update = dig_str(found, "status", "currentRevision"), dig_str(found, "status", "updateRevision")
    if current != update:  # a StatefulSet; both are "" for a Deployment
        return f"{check.object}: still between two revisions"
    return None


def _daemonset(check: DaemonSetReady, view: View) -> str | None:
    found = view.get(check.object)
    if found is None:
        return f"{check.object} does not exist"
    if (dig_int(found, "status", "observedGeneration") or 0) < (dig_int(found, "metadata", "generation") or 1):
        return f"{check.object}: the controller has not seen the newest spec"
    keys = ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
    status = {k: dig_int(found, "status", k) or 0 for k in keys}
    wanted = status["desiredNumberScheduled"]
    return f"{check.object}: {status}" if wanted < check.at_least or set(status.values()) != {wanted} else None


def _endpoints(check: EndpointsReady, view: View) -> str | None:
    live = {name(p) for p in view.all("Pod") if not is_leaving(p)}
    ready = {
        dig_str(endpoint, "targetRef", "name")
        for piece in view.all("EndpointSlice")
        if dig_str(piece, "metadata", "labels", "kubernetes.io/service-name") == check.service
        for endpoint in dig_list(piece, "endpoints")
        if dig(endpoint, "conditions", "ready") is True
    } & live
    return (
        f"Service/{check.service}: {len(ready)} ready endpoints, not {check.at_least}"
        if len(ready) < check.at_least
        else None
    )


def failed_pods(view: View) -> list[str]:
    """The names of the pods that ended in failure and are not being deleted."""
    return [name(p) for p in view.all("Pod") if dig_str(p, "status", "phase") == "Failed" and not is_leaving(p)]


def _failed(view: View) -> str | None:
    failed = failed_pods(view)
    return f"failed pods: {', '.join(failed)}" if failed else None


def _field(check: FieldEquals | FieldExists | FieldAbsent | FieldAtLeast, view: View) -> str | None:
    found = view.get(check.object)
    value = _MISSING if found is None else at_path(found, check.path)
    if isinstance(check, FieldAbsent):
        good = found is not None and value in (_MISSING, None)
        return None if good else f"{check.object}: {check.path} is {value!r}"
    if value is _MISSING:
        return f"{check.object}: nothing at {check.path}"
    if isinstance(check, FieldEquals) and value != check.value:
        return f"{check.object}: {check.path} is {value!r}, not {check.value!r}"
    if isinstance(check, FieldAtLeast) and not (isinstance(value, int) and value >= check.at_least):
        return f"{check.object}: {check.path} is {value!r}, below {check.at_least}"
    return None


def _status_of(found: JsonValue, type_: str) -> str:
    """Status of a condition; "" when there is none."""
    return next((dig_str(c, "status") for c in dig_list(found, "status", "conditions") if dig(c, "type") == type_), "")


def _condition(check: Condition, view: View) -> str | None:
    status = _status_of(view.get(check.object), check.type)
    return None if status == check.status else f"{check.object}: {check.type} is {status or 'absent'}"


def _job(check: JobWorks, view: View) -> str | None:
    found = view.get(f"Job/{check.job}")
    if found is None:
        return f"Job/{check.job} does not exist"
    if _status_of(found, "Failed") == "True":
        return f"Job/{check.job} has failed"
    works = (dig_int(found, "status", "active") or 0) > 0 or _status_of(found, "Complete") == "True"
    return None if works else f"Job/{check.job} neither runs nor has completed"


def _cronjob(check: CronJobFired | CronJobCompleted, view: View, since: float) -> str | None:
    """Stamps are whole seconds: what began in the second of the fault does not count."""
    found = view.get(f"CronJob/{check.cronjob}")
    if found is None or dig(found, "spec", "suspend") is True:
        return f"CronJob/{check.cronjob} is {'gone' if found is None else 'suspended'}"
    jobs = [
        j
        for j in view.all("Job")
        if any(dig(o, "name") == check.cronjob for o in dig_list(j, "metadata", "ownerReferences"))
        and _seconds(dig_str(j, "metadata", "creationTimestamp")) > since
    ]
    if isinstance(check, CronJobCompleted):
        jobs = [j for j in jobs if _status_of(j, "Complete") == "True"]
    what = "completed" if isinstance(check, CronJobCompleted) else "started"
    return None if jobs else f"CronJob/{check.cronjob}: no Job {what} since the fault"


def _stable(check: PodsStable, view: View, since: Moment | None) -> str | None:
    if since is None:
        return None
    for pod in pods_of(view, check.selector):
        uid = dig_str(pod, "metadata", "uid")
        if uid not in since.restarts:
            return f"pod {name(pod)} is new since the recovery"
        if restarts(pod) != since.restarts[uid]:
            return f"pod {name(pod)} restarted since the recovery"
    return None


def _oom(check: NoOomSince, view: View, since: Moment | None) -> str | None:
    if since is None:
        return None
    for pod in pods_of(view, check.selector):
        for status in container_statuses(pod):
            for state in ("state", "lastState"):
                ended = dig_object(status, state, "terminated")
                if dig_str(ended, "reason") == "OOMKilled" and _seconds(dig_str(ended, "finishedAt")) >= since.at:
                    return f"pod {name(pod)} ran out of memory since the recovery"
    return None


def _seconds(stamp: str) -> float:
    """RFC 3339 → seconds; a stamp that cannot be read counts as now and later."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return float("inf")


# ---------------------------------------------------------------------------------------------------------- comparison
def differences(before: View, after: View, allow: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Each object and field in which the namespace differs, but for what the server sets and what is allowed."""
    for kind in COMPARED_KINDS:
        old, new = _comparable(before, kind), _comparable(after, kind)
        for object_name in sorted(old.keys() & new.keys() if kind in PLAIN_KINDS else old.keys() | new.keys()):
            reference = f"{kind}/{object_name}"
            if "*" in allow.get(reference, ()):
                continue
            if object_name not in new:
                yield f"{reference} is gone"
            elif object_name not in old:
                yield f"{reference} is new"
            else:
                for path in changed_paths(old[object_name], new[object_name]):
                    if not is_below(path, allow.get(reference, ())):
                        yield f"{reference} {path}"


def collateral(before: View, broken: View, after: View, allow: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What is neither as it was before the fault nor as the fault left it: somebody else's doing."""
    moved = set(differences(broken, after, allow))
    return [d for d in differences(before, after, allow) if d in moved]


def _comparable(view: View, kind: str) -> dict[str, JsonObject]:
    """Objects by name without what the server sets; a Job made by a controller is that controller's business."""
    if kind in PLAIN_KINDS:
        return {name(o): {"spec": dig_object(o, "spec")} for o in view.all(kind)}
    return {
        name(o): _bare(o) for o in view.all(kind) if not (kind == "Job" and dig_list(o, "metadata", "ownerReferences"))
    }


def _bare(object_: JsonObject) -> JsonObject:
    copy = deepcopy({k: v for k, v in object_.items() if k not in ("status", "apiVersion", "kind")})
    copy["metadata"] = {k: v for k, v in dig_object(copy, "metadata").items() if k not in SERVER_SET}
    for holder in (
        copy,
        dig_object(copy, "spec", "template"),
        dig_object(copy, "spec", "jobTemplate", "spec", "template"),
    ):
        _drop_annotations(dig_object(holder, "metadata"))
    return copy


def _drop_annotations(metadata: JsonObject) -> None:
    """Drop what does not count from a copy's annotations; none at all is the same as an empty mapping."""
    kept: JsonObject = {
        k: v
        for k, v in dig_object(metadata, "annotations").items()
        if k not in IGNORED_ANNOTATION_NAMES and not k.startswith(IGNORED_ANNOTATIONS)
    }
    metadata.pop("annotations", None)
    if kept:
        metadata["annotations"] = kept


def changed_paths(old: JsonValue, new: JsonValue, path: str = "") -> Iterator[str]:
    """Dotted paths at which two values differ, as deep as possible; lists of different length differ as a whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            here = f"{path}.{key}" if path else key
            if (key in old) != (key in new):
                yield here
            else:
                yield from changed_paths(old[key], new[key], here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from changed_paths(left, right, f"{path}.{index}")
    elif old != new:
        yield path


def is_below(path: str, roots: Iterable[str]) -> bool:
    """Whether the path is one of the roots or lies under one."""
    return any(path == root or path.startswith(f"{root}.") for root in roots)
