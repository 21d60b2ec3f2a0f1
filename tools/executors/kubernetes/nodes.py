"""Actions on a node: let no new pods onto it, let them on again, take one taint off.

A node is in no namespace: the policy's `cluster_mode` governs it, and that is approve at most.  Each action is one
fenced and signed patch whose inverse is exact.  Emptying a node is no single write: `drain` does it in rounds.

The rule: taints that the cluster's own controllers set are theirs (they would come back, or the node is not fit), and
the last node that takes pods is not cordoned.
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeVar

from tools.cluster.resources import NODE, Resource, WriteRequest
from tools.executors.base import Action, Mark, Permission, Reader, Situation
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.node import CordonNode, OnNode, RemoveTaint, UncordonNode
from tools.executors.patch import operation, pointer, put
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_list, dig_str

_UNSCHEDULABLE: Final = ("spec", "unschedulable")
_TAINTS: Final = ("spec", "taints")
_OWNED_TAINTS: Final = (
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "node-role.kubernetes.io/",
)
"""Prefixes of keys that controllers of the cluster or its installer set."""

N = TypeVar("N", bound=OnNode)


class NodeExecutor(PatchExecutor[N]):
    """What all actions on a node have in common."""

    resource: ClassVar[Resource] = NODE
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", NODE),)

    def approval_reasons(self, action: N, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: a node carries the pods of many."""
        return (f"{action.target} carries pods of several workloads, so a person must agree.",)


class CordonNodeExecutor(NodeExecutor[CordonNode]):
    """`cordon_node`: `spec.unschedulable` becomes true."""

    action_type: ClassVar[type[Action]] = CordonNode
    description: ClassVar[str] = (
        "Let no new pods onto a node, as `kubectl cordon` does. Helps when pods fail on one node and nowhere else: "
        "what is started anew then goes to other nodes. The pods that run there stay; move them with evict_pod in "
        "later steps. Refused for the last node that takes pods. A person always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_UNSCHEDULABLE),)

    async def read(self, action: CordonNode, cluster: Reader) -> Situation:
        """Read the node, and how many others take pods."""
        live = await cluster.get(NODE, action.name)
        others = [n for n in await cluster.list(NODE) if dig_str(n, "metadata", "name") != action.name]
        return self.situation(live, {"others": sum(1 for n in others if takes_pods(n))})

    def precondition(self, action: CordonNode, situation: Situation) -> Refused | None:
        """It takes pods, and so does another one."""
        if is_cordoned(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is cordoned already.")
        if situation.support.get("others") == 0:
            return refuse(
                ReasonCode.PARAM_OUT_OF_RANGE, f"No node but {action.target} takes pods; new ones would have no place."
            )
        return None

    def request(self, action: CordonNode, situation: Situation, mark: Mark) -> WriteRequest:
        """Set the field."""
        return self.patch(action, situation.live, mark, put(situation.live, _UNSCHEDULABLE, value=True))

    def postcondition(self, action: CordonNode, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It takes no pods."""
        if is_cordoned(after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is not cordoned.")


class UncordonNodeExecutor(NodeExecutor[UncordonNode]):
    """`uncordon_node`: `spec.unschedulable` goes."""

    action_type: ClassVar[type[Action]] = UncordonNode
    description: ClassVar[str] = (
        "Let new pods onto a node again, as `kubectl uncordon` does. Helps when pods wait for room and a node that is "
        "sound was left cordoned after maintenance. Pods do not come back to it by themselves. Somebody cordoned it on "
        "purpose, so a person always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_UNSCHEDULABLE),)

    def precondition(self, action: UncordonNode, situation: Situation) -> Refused | None:
        """It is cordoned."""
        if not is_cordoned(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is not cordoned.")
        return None

    def approval_reasons(self, action: UncordonNode, situation: Situation) -> tuple[str, ...]:
        """Always; and a word when the node is not ready."""
        asked = (f"Somebody cordoned {action.target}; only people know why, so a person must agree.",)
        return asked if is_ready(situation.live) else (*asked, f"{action.target} is not ready.")

    def request(self, action: UncordonNode, situation: Situation, mark: Mark) -> WriteRequest:
        """Remove the field, having tested it: an absent one is how a node that was never cordoned looks."""
        path = pointer(*_UNSCHEDULABLE)
        change = [operation("test", path, value=True), operation("remove", path)]
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: UncordonNode, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It takes pods."""
        if not is_cordoned(after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still cordoned.")


class RemoveTaintExecutor(NodeExecutor[RemoveTaint]):
    """`remove_taint`: one entry of `spec.taints` goes, and only while it stands where it was read."""

    action_type: ClassVar[type[Action]] = RemoveTaint
    description: ClassVar[str] = (
        "Take one taint off a node, named by key and effect. Helps when pods cannot be placed because of a taint that "
        "somebody left behind. Taints that the cluster's own controllers set (not ready, under pressure, cordoned, "
        "control plane) are refused: their cause must go. A person always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_TAINTS),)

    def precondition(self, action: RemoveTaint, situation: Situation) -> Refused | None:
        """The node bears the taint, and it is nobody's but people's."""
        if action.key.startswith(_OWNED_TAINTS):
            return refuse(
                ReasonCode.TARGET_PROTECTED,
                f"The taint {action.key} is set by the cluster itself; it goes when its cause does.",
            )
        if _index_of(action, situation.live) is None:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} does not bear {action.key}:{action.effect}.")
        return None

    def request(self, action: RemoveTaint, situation: Situation, mark: Mark) -> WriteRequest:
        """Remove the entry, having tested that it is the one that was read; an empty list goes as a whole."""
        taints = dig_list(situation.live, *_TAINTS)
        index = _index_of(action, situation.live) or 0
        path = pointer(*_TAINTS, index)
        gone = path if len(taints) > 1 else pointer(*_TAINTS)
        change = [operation("test", path, dig(taints, index)), operation("remove", gone)]
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: RemoveTaint, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """The node does not bear it."""
        if _index_of(action, after.live) is None:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} still bears {action.key}:{action.effect}.")


def is_cordoned(node: JsonObject) -> bool:
    """Whether the scheduler leaves it out."""
    return dig(node, *_UNSCHEDULABLE) is True


def is_ready(node: JsonObject) -> bool:
    """Whether its kubelet reports that it is."""
    return any(
        dig_str(c, "type") == "Ready" and dig_str(c, "status") == "True" for c in dig_list(node, "status", "conditions")
    )


def takes_pods(node: JsonObject) -> bool:
    """Both: new pods may come to it."""
    return is_ready(node) and not is_cordoned(node)


def _index_of(action: RemoveTaint, node: JsonObject) -> int | None:
    for index, taint in enumerate(dig_list(node, *_TAINTS)):
        if (dig_str(taint, "key"), dig_str(taint, "effect")) == (action.key, action.effect):
            return index
    return None
