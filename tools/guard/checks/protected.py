"""Protection: the cluster's own namespaces, our own, what the policy names, and what the system ranks as critical.

What is in no namespace is protected as well, but for nodes, and of those the ones that carry the control plane, and for
custom resources that a person has listed.

What an action changes elsewhere counts as if it were written there.  No mode, approval or annotation opens what is
protected here.
"""

from __future__ import annotations

from tools.cluster.resources import NODE
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no, subject_of
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.refs import ObjectRef

_SYSTEM = "system-"
_IN_NO_NAMESPACE = frozenset({NODE.kind})
"""Kinds without a namespace that a policy covers, by its `cluster_mode`."""
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def check(world: World) -> Refused | None:
    """Refuse by namespace, by name, and by priority class of the target or its owner."""
    target, owner = world.order.action.target, world.order.owner
    for ref in (target, owner):
        namespace = ref.namespace
        if not _is_at_home(world, ref):
            return no(ReasonCode.TARGET_PROTECTED, f"{ref} is not where a {ref.kind} is; no policy covers it.")
        if namespace is not None and world.policy.protects_namespace(namespace, world.own_namespace):
            return no(ReasonCode.TARGET_PROTECTED, f"Namespace {namespace} is protected.")
        if world.policy.protects_object(ref):
            return no(ReasonCode.TARGET_PROTECTED, f"{ref} is protected by the policy.")
    situation = known(world.situation, f"{target}")
    executor = world.executor
    for namespace in () if executor is None else sorted(executor.reaches(world.order.action, situation)):
        if world.policy.protects_namespace(namespace, world.own_namespace):
            return no(ReasonCode.TARGET_PROTECTED, f"It would change things in {namespace}, which is protected.")
    if target.kind == NODE.kind and _carries_control_plane(situation.live):
        return no(ReasonCode.TARGET_PROTECTED, f"{target} carries the control plane.")
    for document in (subject_of(world), known(world.owner, f"{owner}")):
        priority = _priority_class(document)
        if priority.startswith(_SYSTEM):
            return no(ReasonCode.TARGET_PROTECTED, f"{target} has priority class {priority}: the system needs it.")
    return None


def _is_at_home(world: World, ref: ObjectRef) -> bool:
    """Whether the reference has a namespace if and only if its kind has; of a custom kind the object itself says so."""
    if "." not in ref.kind:
        return (ref.namespace is None) is (ref.kind in _IN_NO_NAMESPACE)
    is_target = ref == world.order.action.target
    live = known(world.situation, f"{ref}").live if is_target else known(world.owner, f"{ref}")
    return dig_str(live, "metadata", "name") == ref.name and (
        (dig_str(live, "metadata", "namespace") or None) == ref.namespace
    )


def _carries_control_plane(node: JsonObject) -> bool:
    return any(label in dig_object(node, "metadata", "labels") for label in _CONTROL_PLANE)


def _priority_class(document: JsonObject) -> str:
    """Of a pod, or of a workload's pods."""
    return (
        dig_str(document, "spec", "priorityClassName")
        or dig_str(document, "spec", "template", "spec", "priorityClassName")
        or dig_str(document, "spec", "jobTemplate", "spec", "template", "spec", "priorityClassName")
    )
