"""`drain_node`: let no new pods onto a node and have those that are there moved, one after the other.

As `kubectl drain --ignore-daemonsets` does it, through evictions and therefore within disruption budgets.  Its options
that lose something are never implied: a pod that nothing would make again (`--force`) and one that keeps data in an
emptyDir (`--delete-emptydir-data`) stop the whole drain before it begins, and are named.

The rule: a node is emptied only where its pods have somewhere to go and its kubelet can let them go.  One that is not
ready is left to Kubernetes, which moves its pods by itself.

Neighbours: `nodes` and `pod` have the two actions that the rounds consist of.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final

from tools.cluster.resources import NODE, POD
from tools.executors.actions import EvictPod
from tools.executors.base import Action, Permission, Reader, Situation
from tools.executors.kubernetes.common import controller_of, refuse
from tools.executors.kubernetes.nodes import is_cordoned, is_ready, takes_pods
from tools.executors.models.node import CordonNode, DrainNode
from tools.executors.rounds import Round, RoundsExecutor
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str
from tools.refs import ObjectRef, Pin

MOST_PODS: Final = 50
"""A drain that would move more is refused: that is no longer one node's trouble."""
_NAMED: Final = 20
"""How many pods a sentence names."""
_MIRROR: Final = "kubernetes.io/config.mirror"
_CLOSED: Final = ("node.kubernetes.io/unschedulable", "NoSchedule")
"""What the node bears once it is cordoned."""


class Stays(StrEnum):
    """Why a pod is left where it is, or stands against the drain."""

    DAEMON = "daemon"
    """A DaemonSet would put it back on the same node."""
    MIRROR = "mirror"
    """It mirrors a static pod: only the node itself can change it."""
    TOLERATES = "tolerates"
    """It tolerates a cordoned node: the next one could come straight back."""
    UNMANAGED = "unmanaged"
    """Nothing would make another: what it does would end.  The drain is refused."""
    LOCAL_DATA = "local_data"
    """It keeps data in an emptyDir, which would be lost.  The drain is refused."""


_LEFT_ALONE: Final = frozenset({Stays.DAEMON, Stays.MIRROR, Stays.TOLERATES})


class DrainNodeExecutor(RoundsExecutor[DrainNode]):
    """One cordon and one eviction for each pod."""

    action_type: ClassVar[type[Action]] = DrainNode
    description: ClassVar[str] = (
        "Empty a node, as `kubectl drain --ignore-daemonsets` does: cordon it and have its pods moved one after the "
        "other, within their disruption budgets. Helps when a node is sick though it reports, and pods run badly on it "
        "and well elsewhere. Refused for a node that is not ready (Kubernetes moves its pods by itself), when no other "
        "node takes pods, for more than 50 pods, and when a pod there has no controller or keeps data in an emptyDir. "
        "The pods do not come back by themselves. A person always decides."
    )
    permissions: ClassVar[tuple[Permission, ...]] = (
        Permission("patch", NODE),
        Permission("create", POD, "eviction"),
    )
    disrupts: ClassVar[bool] = True
    most_rounds: ClassVar[int] = MOST_PODS + 10

    def kinds(self) -> frozenset[str]:
        """It is about a node; what it moves follows from that."""
        return frozenset({NODE.kind})

    async def read(self, action: DrainNode, cluster: Reader) -> Situation:
        """Read the node, how many others take pods, and the pods that are on it.  Raises `ToolError`."""
        live = await cluster.get(NODE, action.name)
        others = [n for n in await cluster.list(NODE) if dig_str(n, "metadata", "name") != action.name]
        pods = await cluster.list(POD, field_selector=f"spec.nodeName={action.name}")
        here: list[JsonValue] = [
            _short(pod) for pod in sorted(pods, key=_place) if _is_on(pod, action.name) and not _has_left(pod)
        ]
        return Situation(live, {"others": sum(1 for n in others if takes_pods(n)), "pods": here})

    def precondition(self, action: DrainNode, situation: Situation) -> Refused | None:
        """Its pods have somewhere to go, can go, and nothing is lost with them."""
        node, moving = action.target, _those(situation, None)
        if not is_ready(situation.live):
            sentence = f"{node} is not ready: Kubernetes moves its pods by itself, and no eviction there would end."
            return refuse(ReasonCode.NODE_NOT_READY, sentence)
        if situation.support.get("others") == 0:
            return refuse(
                ReasonCode.PARAM_OUT_OF_RANGE, f"No node but {node} takes pods; its pods would have no place."
            )
        lost = _those(situation, Stays.UNMANAGED)
        if lost:
            sentence = f"Nothing would make these pods of {node} again: {_listed(lost)}. Move them by hand first."
            return refuse(ReasonCode.NO_CONTROLLER, sentence)
        emptied = _those(situation, Stays.LOCAL_DATA)
        if emptied:
            sentence = f"These pods of {node} keep data in an emptyDir, which would be lost: {_listed(emptied)}."
            return refuse(ReasonCode.LOCAL_DATA, sentence)
        if len(moving) > MOST_PODS:
            sentence = f"{len(moving)} pods of {node} would be moved; {MOST_PODS} is the most. Drain it by hand."
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, sentence)
        return None

    def rounds(self, action: DrainNode, situation: Situation) -> tuple[Round, ...]:
        """The cordon unless it stands, then one eviction after the other, by namespace and name."""
        left: list[Round] = []
        if not is_cordoned(situation.live):
            left.append(Round(CordonNode(action="cordon_node", name=action.name), _pin(action.target, situation.live)))
        for pod in _those(situation, None):
            evict = EvictPod(action="evict_pod", namespace=dig_str(pod, "namespace"), name=dig_str(pod, "name"))
            left.append(Round(evict, _pin(evict.target, {"metadata": pod})))
        return tuple(left)

    def approval_reasons(self, action: DrainNode, situation: Situation) -> tuple[str, ...]:
        """Always; with the pods by name, since those are what a person agrees to move."""
        moving = _those(situation, None)
        what = f"It moves {len(moving)} pod(s) off {action.target}: {_listed(moving)}." if moving else ""
        kept = [pod for why in sorted(_LEFT_ALONE) for pod in _those(situation, why)]
        stay = f"{len(kept)} stay, of DaemonSets, static or tolerating it: {_listed(kept)}." if kept else ""
        asked = f"{action.target} carries pods of several workloads, so a person must agree."
        return tuple(sentence for sentence in (asked, what, stay) if sentence)

    def reaches(self, action: DrainNode, situation: Situation) -> frozenset[str]:  # noqa: ARG002
        """The namespaces of the pods it moves."""
        return frozenset(dig_str(pod, "namespace") for pod in _those(situation, None))

    def postcondition(self, action: DrainNode, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It takes no pods, and those that were to go are on their way."""
        if not is_cordoned(after.live):
            return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is not cordoned.")
        left = _those(after, None)
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} still has {_listed(left)}.") if left else None


def stays(pod: JsonObject) -> Stays | None:
    """Why a drain does not move this pod; None when it does.  Pure."""
    kind = dig_str(controller_of(pod), "kind")
    if kind == "Node" or _MIRROR in dig_object(pod, "metadata", "annotations"):
        return Stays.MIRROR
    if kind == "DaemonSet":
        return Stays.DAEMON
    if any(_tolerates(toleration) for toleration in dig_list(pod, "spec", "tolerations")):
        return Stays.TOLERATES
    if not kind:
        return Stays.UNMANAGED
    if any(isinstance(dig(volume, "emptyDir"), dict) for volume in dig_list(pod, "spec", "volumes")):
        return Stays.LOCAL_DATA
    return None


def _tolerates(toleration: JsonValue) -> bool:
    """Whether it lets a pod onto a cordoned node; the taint has no value."""
    key, effect = _CLOSED
    if dig_str(toleration, "effect") not in {"", effect}:
        return False
    if dig_str(toleration, "operator") == "Exists":
        return dig_str(toleration, "key") in {"", key}
    return (dig_str(toleration, "key"), dig_str(toleration, "value")) == (key, "")


def _short(pod: JsonObject) -> JsonObject:
    """What is decided on, of one pod."""
    kept: JsonObject = {key: dig_str(pod, "metadata", key) for key in ("namespace", "name", "uid", "resourceVersion")}
    return {**kept, "stays": stays(pod)}


def _those(situation: Situation, why: Stays | None) -> list[JsonObject]:
    """The pods that stay for this reason; None: those that go."""
    pods = dig_list(situation.support, "pods")
    return [pod for pod in pods if isinstance(pod, dict) and pod.get("stays") == why]


def _pin(ref: ObjectRef, live: JsonObject) -> Pin:
    head = dig_object(live, "metadata")
    return Pin(ref=ref, uid=dig_str(head, "uid"), resource_version=dig_str(head, "resourceVersion"), generation=None)


def _listed(pods: Iterable[JsonObject]) -> str:
    names = [f"{dig_str(pod, 'namespace')}/{dig_str(pod, 'name')}" for pod in pods]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _place(pod: JsonObject) -> tuple[str, str]:
    return dig_str(pod, "metadata", "namespace"), dig_str(pod, "metadata", "name")


def _is_on(pod: JsonObject, node: str) -> bool:
    """Also asked here: a server that does not know the selector gives all pods of the cluster."""
    return dig_str(pod, "spec", "nodeName") == node


def _has_left(pod: JsonObject) -> bool:
    """Whether it has ended or is on its way out: nothing of it needs to be moved."""
    return bool(dig_str(pod, "metadata", "deletionTimestamp")) or dig_str(pod, "status", "phase") in {
        "Succeeded",
        "Failed",
    }
