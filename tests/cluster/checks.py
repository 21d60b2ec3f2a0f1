"""What a scenario may demand before it counts as healed: a closed set of checks, each one value.

Neighbours: `scenario` reads them from files, `oracles` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import cast

from tests.cluster.kube import KINDS
from tools.jsontypes import JsonObject, JsonValue


class CheckError(Exception):
    """A check is written wrong; the message names the field."""


@dataclass(frozen=True)
class RolloutComplete:
    """The controller has seen the newest spec, and all `replicas` pods are of it, ready and available."""

    object: str
    replicas: int


@dataclass(frozen=True)
class DaemonSetReady:
    """Every node that should run it runs the newest revision, ready; at least `at_least` of them."""

    object: str
    at_least: int = 1


@dataclass(frozen=True)
class EndpointsReady:
    """The service has at least this many ready endpoints, each backed by a live pod of the namespace."""

    service: str
    at_least: int = 1


@dataclass(frozen=True)
class HttpOk:
    """A fresh lookup and connection from inside the cluster gets 200 and a body that contains the text."""

    service: str
    path: str = "/"
    contains: str = ""
    port: int = 80


@dataclass(frozen=True)
class FieldEquals:
    """The field at a dotted path has this value."""

    object: str
    path: str
    value: JsonValue


@dataclass(frozen=True)
class FieldExists:
    """There is something at the dotted path."""

    object: str
    path: str


@dataclass(frozen=True)
class FieldAbsent:
    """The object is there, and nothing but perhaps null is at the dotted path."""

    object: str
    path: str


@dataclass(frozen=True)
class FieldAtLeast:
    """The field is a whole number of at least this."""

    object: str
    path: str
    at_least: int = 1


@dataclass(frozen=True)
class ObjectAbsent:
    """There is no such object."""

    object: str


@dataclass(frozen=True)
class Condition:
    """The newest condition of that type has this status."""

    object: str
    type: str
    status: str = "True"


@dataclass(frozen=True)
class JobWorks:
    """The Job exists, has not failed, and runs or has completed."""

    job: str


@dataclass(frozen=True)
class CronJobFired:
    """The CronJob is not suspended and started a Job after the fault began."""

    cronjob: str


@dataclass(frozen=True)
class CronJobCompleted:
    """A Job that the CronJob started after the fault began has run to its end."""

    cronjob: str


@dataclass(frozen=True)
class CanI:
    """The cluster's authorizer says that a service account of the namespace may (or may not) do it."""

    account: str
    verb: str
    resource: str
    allowed: bool = True


@dataclass(frozen=True)
class ExecOk:
    """The command succeeds inside a running pod with these labels."""

    selector: Mapping[str, str]
    command: tuple[str, ...]


@dataclass(frozen=True)
class NoFailedPods:
    """No pod of the namespace has failed (pods that are being deleted do not count)."""


@dataclass(frozen=True)
class LikeBefore:
    """Every object is as it was before the fault, but for the `allow`ed field paths by object (`*`: the object itself
    may have come or gone, or differ anywhere)."""

    allow: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True)
class PodsStable:
    """From the moment of recovery on, the same pods run and none of their containers restarts."""

    selector: Mapping[str, str]


@dataclass(frozen=True)
class NoOomSince:
    """From the moment of recovery on, no container of these pods is killed for want of memory."""

    selector: Mapping[str, str]


Asked = HttpOk | CanI | ExecOk
"""Checks that ask something outside of a view."""
State = (
    FieldEquals | FieldExists | FieldAbsent | FieldAtLeast | ObjectAbsent | Condition | JobWorks | CronJobFired
    | CronJobCompleted
)  # fmt: skip
"""Checks of one object's fields."""
Check = (
    RolloutComplete | DaemonSetReady | EndpointsReady | NoFailedPods | LikeBefore | PodsStable | NoOomSince | State
    | Asked
)  # fmt: skip
CHECK_TYPES: dict[str, type[Check]] = {
    "rollout_complete": RolloutComplete,
    "daemonset_ready": DaemonSetReady,
    "endpoints_ready": EndpointsReady,
    "http_ok": HttpOk,
    "field_equals": FieldEquals,
    "field_exists": FieldExists,
    "field_absent": FieldAbsent,
    "field_at_least": FieldAtLeast,
    "object_absent": ObjectAbsent,
    "condition": Condition,
    "job_works": JobWorks,
    "cronjob_fired": CronJobFired,
    "cronjob_completed": CronJobCompleted,
    "can_i": CanI,
    "exec_ok": ExecOk,
    "no_failed_pods": NoFailedPods,
    "like_before": LikeBefore,
    "pods_stable": PodsStable,
    "no_oom_since": NoOomSince,
}
_WHOLE_NUMBERS = {"replicas", "at_least", "port"}


def parse_check(body: JsonObject) -> Check:
    """`{check: NAME, …}` → the value.  CheckError for an unknown name, an unknown or missing field, a wrong type."""
    name = body.get("check")
    if not isinstance(name, str) or name not in CHECK_TYPES:
        raise CheckError(f"unknown check {name!r}")
    type_ = CHECK_TYPES[name]
    given = {k: v for k, v in body.items() if k != "check"}
    known = {f.name: f for f in fields(type_)}
    if strange := sorted(set(given) - set(known)):
        raise CheckError(f"{name} has no field {', '.join(strange)}; it has {', '.join(known) or 'none'}")
    required = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if absent := sorted(required - set(given)):
        raise CheckError(f"{name} needs {', '.join(absent)}")
    values = {key: _value(name, key, value) for key, value in given.items()}
    return type_(**values)  # type: ignore[arg-type]  # each value was checked by its field's name


def _value(name: str, key: str, value: JsonValue) -> object:
    if key == "value":
        return value
    if key in _WHOLE_NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckError(f"{name}: {key} is {value!r}; write a whole number above 0")
        return value
    if key == "selector":
        return _labels(name, value)
    if key == "allow":
        return _allow(name, value)
    if key == "allowed":
        if not isinstance(value, bool):
            raise CheckError(f"{name}: allowed is {value!r}; write true or false")
        return value
    if key == "command":
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise CheckError(f"{name}: command is {value!r}; write a list of texts")
        return tuple(cast("list[str]", value))
    if not isinstance(value, str) or not value:
        raise CheckError(f"{name}: {key} is {value!r}; write a text")
    if key == "object" and value.partition("/")[0] not in KINDS:
        raise CheckError(f"{name}: {value!r} is not Kind/name; kinds are {', '.join(KINDS)}")
    return value


def _labels(name: str, value: JsonValue) -> dict[str, str]:
    if not isinstance(value, dict) or not value or not all(isinstance(v, str) for v in value.values()):
        raise CheckError(f"{name}: selector is {value!r}; write labels, {{app: web}}")
    return cast("dict[str, str]", value)


def _allow(name: str, value: JsonValue) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not all(isinstance(v, list) and v for v in value.values()):
        raise CheckError(
            f"{name}: allow is {value!r}; write field paths by object, {{Deployment/web: [spec.replicas]}}"
        )
    return {k: tuple(str(p) for p in cast("list[JsonValue]", v)) for k, v in value.items()}


def placed(check: Check, namespace: str) -> Check:
    """The same check with ${NS} replaced."""
    changes: dict[str, object] = {}
    for known in fields(check):
        value = getattr(check, known.name)
        if isinstance(value, str):
            changes[known.name] = value.replace("${NS}", namespace)
        elif known.name == "allow":
            changes[known.name] = {k.replace("${NS}", namespace): v for k, v in value.items()}
    return replace(check, **changes)  # type: ignore[arg-type]  # texts stay texts
