"""What may be put back: the kinds and fields on the list, and which of them a person must agree to.

The rule: what is not on the list is never written.  A field is automatic where the worst of a wrong value is that the
workload fails as it did before; it waits for a person where it widens rights, lets traffic in, lifts a limit, stops
protection or starts work.  Annotations are left as they are: they are notes, and half of them are controllers'.

Neighbours: `objects` and `restore` decide by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from tools.cluster.resources import (
    CONFIG_MAP,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    HPA,
    LIMIT_RANGE,
    NETWORK_POLICY,
    PDB,
    QUOTA,
    ROLE,
    ROLE_BINDING,
    SCALED_JOB,
    SCALED_OBJECT,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Resource,
)
from tools.executors.patch import pointer, split
from tools.journal.compare import Difference
from tools.jsontypes import JsonValue


class Tier(StrEnum):
    """Who decides."""

    AUTO = "auto"
    """The policy's mode alone."""
    APPROVAL = "approval"
    """A person, whatever the mode."""


_AUTO, _ASK = Tier.AUTO, Tier.APPROVAL
_LABELS: Final = "/metadata/labels"
_ANNOTATIONS: Final = "/metadata/annotations"
TEMPLATE: Final = "/spec/template"
REPLICAS: Final = "/spec/replicas"
_WORKLOAD: Final[Mapping[str, Tier]] = {
    _LABELS: _AUTO,
    TEMPLATE: _AUTO,
    "/spec/minReadySeconds": _AUTO,
    "/spec/revisionHistoryLimit": _AUTO,
}

FIELDS: Final[Mapping[str, Mapping[str, Tier]]] = {
    CONFIG_MAP.kind: {_LABELS: _AUTO, "/data": _AUTO, "/binaryData": _AUTO},
    SERVICE.kind: {
        _LABELS: _AUTO,
        "/spec/selector": _AUTO,
        "/spec/ports/*/name": _AUTO,
        "/spec/ports/*/port": _AUTO,
        "/spec/ports/*/targetPort": _AUTO,
        "/spec/ports/*/protocol": _AUTO,
        "/spec/ports/*/appProtocol": _AUTO,
        "/spec/sessionAffinity": _ASK,
        "/spec/publishNotReadyAddresses": _ASK,
        "/spec/internalTrafficPolicy": _ASK,
    },
    DEPLOYMENT.kind: {
        **_WORKLOAD,
        REPLICAS: _AUTO,
        "/spec/paused": _AUTO,
        "/spec/strategy": _AUTO,
        "/spec/progressDeadlineSeconds": _AUTO,
    },
    STATEFUL_SET.kind: {**_WORKLOAD, REPLICAS: _AUTO, "/spec/updateStrategy": _AUTO},
    DAEMON_SET.kind: {**_WORKLOAD, "/spec/updateStrategy": _AUTO},
    HPA.kind: {
        _LABELS: _AUTO,
        "/spec/minReplicas": _AUTO,
        "/spec/maxReplicas": _AUTO,
        "/spec/scaleTargetRef": _AUTO,
        "/spec/metrics": _ASK,
        "/spec/behavior": _ASK,
    },
    SCALED_OBJECT.kind: {
        _LABELS: _AUTO,
        "/spec/minReplicaCount": _AUTO,
        "/spec/maxReplicaCount": _AUTO,
        "/spec/scaleTargetRef": _AUTO,
        "/spec/idleReplicaCount": _ASK,
        "/spec/pollingInterval": _ASK,
        "/spec/cooldownPeriod": _ASK,
        "/spec/initialCooldownPeriod": _ASK,
        "/spec/triggers": _ASK,
        "/spec/fallback": _ASK,
        "/spec/advanced": _ASK,
    },
    SCALED_JOB.kind: {_LABELS: _ASK, "/spec": _ASK},
    PDB.kind: {_LABELS: _ASK, "/spec": _ASK},
    CRON_JOB.kind: {
        _LABELS: _ASK,
        "/spec/suspend": _ASK,
        "/spec/schedule": _ASK,
        "/spec/timeZone": _ASK,
        "/spec/concurrencyPolicy": _ASK,
        "/spec/startingDeadlineSeconds": _ASK,
        "/spec/jobTemplate": _ASK,
    },
    QUOTA.kind: {_LABELS: _ASK, "/spec": _ASK},
    LIMIT_RANGE.kind: {_LABELS: _ASK, "/spec": _ASK},
    NETWORK_POLICY.kind: {_LABELS: _ASK, "/spec": _ASK},
    ROLE.kind: {_LABELS: _ASK, "/rules": _ASK},
    ROLE_BINDING.kind: {_LABELS: _ASK, "/subjects": _ASK},
    SERVICE_ACCOUNT.kind: {_LABELS: _ASK, "/imagePullSecrets": _ASK},
}
"""By kind: JSON pointers that cover everything below them, `*` for any one segment.  Never an address, a node's port or
the type of a Service, a selector of a workload, a roleRef: those cannot be changed or move more than they say."""

RESTORED: Final[Mapping[str, Tier]] = {
    CONFIG_MAP.kind: _AUTO,
    SERVICE.kind: _AUTO,
    SERVICE_ACCOUNT.kind: _AUTO,
    HPA.kind: _AUTO,
    PDB.kind: _ASK,
    NETWORK_POLICY.kind: _ASK,
    ROLE.kind: _ASK,
    ROLE_BINDING.kind: _ASK,
    DEPLOYMENT.kind: _ASK,
    STATEFUL_SET.kind: _ASK,
    DAEMON_SET.kind: _ASK,
    CRON_JOB.kind: _ASK,
}
"""Kinds that may be made again.  Never a claim (its data would not come back) and never a Secret."""

REMOVED: Final = (NETWORK_POLICY.kind, QUOTA.kind, LIMIT_RANGE.kind)
"""Kinds that may be deleted, always by approval: taking one away lifts a rule that somebody made."""

_RESOURCES: Final = (
    CONFIG_MAP, SERVICE, DEPLOYMENT, STATEFUL_SET, DAEMON_SET, HPA, PDB, CRON_JOB, QUOTA, LIMIT_RANGE, NETWORK_POLICY,
    ROLE, ROLE_BINDING, SERVICE_ACCOUNT, SCALED_OBJECT, SCALED_JOB,
)  # fmt: skip
RESOURCES: Final[Mapping[str, Resource]] = {resource.kind: resource for resource in _RESOURCES}


def is_note(difference: Difference) -> bool:
    """Whether it lies in the object's own annotations, which are left as they are."""
    return difference.path == _ANNOTATIONS or difference.path.startswith(_ANNOTATIONS + "/")


def tiers(kind: str, difference: Difference) -> dict[str, Tier | None]:
    """Every leaf that putting this difference back changes, with its tier; None for one that is not on the list."""
    leaves = {
        leaf
        for there, value in ((difference.has_now, difference.now), (difference.has_then, difference.then))
        if there
        for leaf in _leaves(split(difference.path), value)
    }
    return {pointer(*leaf): _tier_of(kind, leaf) for leaf in sorted(leaves)}


def _leaves(path: tuple[str, ...], value: JsonValue) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves((*path, str(index)), item)
    else:
        yield path


def _tier_of(kind: str, path: tuple[str, ...]) -> Tier | None:
    for listed, tier in FIELDS.get(kind, {}).items():
        prefix = split(listed)
        if len(path) >= len(prefix) and all(p in {"*", s} for p, s in zip(prefix, path, strict=False)):
            return tier
    return None
