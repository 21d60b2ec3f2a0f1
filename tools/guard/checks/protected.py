"""Protection: the cluster's own namespaces, our own, what the policy names, and what the system ranks as critical.

No mode, approval or annotation opens what is protected here.
"""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import JsonObject, dig_str

_SYSTEM = "system-"


def check(world: World) -> Refused | None:
    """Refuse by namespace, by name, and by priority class of the target or its owner."""
    target, owner = world.order.action.target, world.order.owner
    for ref in (target, owner):
        namespace = ref.namespace
        if namespace is None:
            return no(ReasonCode.TARGET_PROTECTED, f"{ref} is not in a namespace; no policy covers it.")
        if world.policy.protects_namespace(namespace, world.own_namespace):
            return no(ReasonCode.TARGET_PROTECTED, f"Namespace {namespace} is protected.")
        if world.policy.protects_object(ref):
            return no(ReasonCode.TARGET_PROTECTED, f"{ref} is protected by the policy.")
    situation = known(world.situation, f"{target}")
    for document in (situation.live, known(world.owner, f"{owner}")):
        priority = _priority_class(document)
        if priority.startswith(_SYSTEM):
            return no(ReasonCode.TARGET_PROTECTED, f"{target} has priority class {priority}: the system needs it.")
    return None


def _priority_class(document: JsonObject) -> str:
    """Of a pod, or of a workload's pods."""
    return (
        dig_str(document, "spec", "priorityClassName")
        or dig_str(document, "spec", "template", "spec", "priorityClassName")
        or dig_str(document, "spec", "jobTemplate", "spec", "template", "spec", "priorityClassName")
    )
