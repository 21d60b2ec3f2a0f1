"""What the executors of Kubernetes actions share: resources by kind, rights, refusals, reading back a marked object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tools.cluster.resources import DAEMON_SET, DEPLOYMENT, STATEFUL_SET, Resource
from tools.executors.base import ACTION_ID, Applied, Mark, Permission, Situation
from tools.executors.compare import without_nulls
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str

WORKLOADS: Final[dict[str, Resource]] = {r.kind: r for r in (DEPLOYMENT, STATEFUL_SET, DAEMON_SET)}
TEMPLATE: Final = ("spec", "template")
_HASH_LABEL: Final = "pod-template-hash"


def may_patch(*kinds: str) -> tuple[Permission, ...]:
    """The right to patch each of these workload kinds."""
    return tuple(Permission("patch", WORKLOADS[kind]) for kind in kinds)


def refuse(code: ReasonCode, reason: str) -> Refused:
    """A refusal by a precondition."""
    return Refused(code=code, reason=reason, check="precondition")


def is_paused(workload: JsonObject) -> bool:
    """Whether somebody paused the rollout."""
    return dig(workload, "spec", "paused") is True


def template_of(workload: JsonObject) -> JsonObject:
    """The pod template as a workload spells it: without the label that a ReplicaSet's copy has, and without nulls."""
    template = without_nulls(dig(workload, *TEMPLATE))
    if not isinstance(template, dict):
        return {}
    labels = dig_object(template, "metadata", "labels")
    if _HASH_LABEL not in labels:
        return template
    plain: JsonObject = {key: value for key, value in labels.items() if key != _HASH_LABEL}
    metadata: JsonObject = {**dig_object(template, "metadata"), "labels": plain}
    return {**template, "metadata": metadata}


def containers_of(workload: JsonObject) -> list[JsonObject]:
    """The main containers of the pod template."""
    return [c for c in dig_list(workload, *TEMPLATE, "spec", "containers") if isinstance(c, dict)]


def controlled_by(items: Iterable[JsonObject], owner: JsonObject) -> list[JsonObject]:
    """Those whose controller is `owner`, by uid: a name may have belonged to another object before."""
    uid = dig_str(owner, "metadata", "uid")
    return [item for item in items if dig_str(controller_of(item), "uid") == uid]


def controller_of(item: JsonObject) -> JsonObject:
    """The ownerReference that is marked as controller; empty when there is none."""
    for reference in dig_list(item, "metadata", "ownerReferences"):
        if isinstance(reference, dict) and reference.get("controller") is True:
            return reference
    return {}


def selector_of(workload: JsonObject) -> str | None:
    """A label selector that at least all objects of the workload match; None when it has no plain labels."""
    labels = dig_object(workload, "spec", "selector", "matchLabels")
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or None


def mark_of(live: JsonValue) -> str:
    """The action id that the object bears; empty when none."""
    return dig_str(live, "metadata", "annotations", ACTION_ID)


def read_back(before: Situation, now: JsonObject | None, mark: Mark) -> Applied:
    """Tell whether a marked write to `before.live` happened, from the object as it stands.

    Every write of ours leaves its mark and moves the generation, in one step, on the version that was read.  So the
    mark shows it, and an unmoved version or generation shows the contrary.  A moved spec without our mark may be
    somebody who replaced the whole object after us: that cannot be told.
    """
    if now is None or dig_str(now, "metadata", "uid") != dig_str(before.live, "metadata", "uid"):
        return Applied.UNKNOWN
    if mark_of(now) == mark.action_id:
        return Applied.YES
    if dig_str(now, "metadata", "resourceVersion") == dig_str(before.live, "metadata", "resourceVersion"):
        return Applied.NO
    generation = dig_int(now, "metadata", "generation")
    unmoved = generation is not None and generation == dig_int(before.live, "metadata", "generation")
    return Applied.NO if unmoved else Applied.UNKNOWN
