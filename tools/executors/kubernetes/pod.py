"""Actions on one pod: ask for its eviction, or delete what has failed.

A pod is only the occasion: its controller makes another, so there is nothing for us to undo and no place for our marks.
Both calls carry the uid (a StatefulSet's pod keeps its name for ever), the deletion also the version that was judged.
The rule: what has no controller is not touched, what is healthy is not deleted, mirror pods are the kubelet's.
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeVar

from tools.cluster.resources import POD, STATEFUL_SET, WriteRequest
from tools.executors.actions import DeletePod, EvictPod
from tools.executors.base import Action, Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.kubernetes.common import controller_of, refuse
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str

_MIRROR: Final = "kubernetes.io/config.mirror"
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Waiting reasons of a container that is on its way; every other one is a failure."""

P = TypeVar("P", EvictPod, DeletePod)


class PodExecutor(Executor[P]):
    """What both have in common: one pod, gone afterwards, replaced by its controller."""

    declared_fields: ClassVar[tuple[str, ...]] = ()
    inverse_kind: ClassVar[InverseKind] = InverseKind.BY_CONTROLLER
    disrupts: ClassVar[bool] = True

    async def read(self, action: P, cluster: Reader) -> Situation:
        """Read the pod.  Raises `ToolError`."""
        return Situation(await cluster.get(POD, action.name, action.namespace))

    def postcondition(self, action: P, before: Situation, after: Situation) -> Refused | None:
        """The pod of that uid is on its way out or gone."""
        if _uid(after.live) != _uid(before.live) or _is_deleting(after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still there.")

    def was_applied(self, action: P, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A pod of that uid that is gone or going is what we wanted, whoever did it."""
        if now is None or _uid(now) != _uid(before.live) or _is_deleting(now):
            return Applied.YES
        return Applied.NO


class EvictPodExecutor(PodExecutor[EvictPod]):
    """`evict_pod`: through the eviction subresource, so that disruption budgets are respected."""

    action_type: ClassVar[type[Action]] = EvictPod
    description: ClassVar[str] = (
        "Ask for a pod to be moved away, respecting disruption budgets; its controller makes another, perhaps on "
        "another node. Helps when a pod is wedged or sits badly while its workload as a whole is sound. Refused for "
        "pods without a controller and for pods of a DaemonSet, which would come back on the same node."
    )
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("create", POD, "eviction"),)

    def precondition(self, action: EvictPod, situation: Situation) -> Refused | None:
        """A controller other than a DaemonSet will replace it, and it is not on its way out already."""
        refused = _untouchable(action, situation.live)
        if refused is not None:
            return refused
        if dig_str(controller_of(situation.live), "kind") == "DaemonSet":
            return refuse(
                ReasonCode.TARGET_PROTECTED,
                f"{action.target} belongs to a DaemonSet and would come back on its node; delete it if it has failed.",
            )
        return None

    def request(self, action: EvictPod, situation: Situation, mark: Mark) -> WriteRequest:  # noqa: ARG002
        """Evict with the uid alone: with a version some servers fail the first try (kubernetes/kubernetes#116552)."""
        body: JsonObject = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": action.name, "namespace": action.namespace},
            "deleteOptions": {"preconditions": {"uid": _uid(situation.live)}},
        }
        return WriteRequest(
            verb="create",
            resource=POD,
            namespace=action.namespace,
            name=action.name,
            body=body,
            subresource="eviction",
            field_manager=f"selfheal-{action.tool}",
        )


class DeletePodExecutor(PodExecutor[DeletePod]):
    """`delete_pod`: only what has finished, failed or is stuck in failure."""

    action_type: ClassVar[type[Action]] = DeletePod
    description: ClassVar[str] = (
        "Delete a pod that has finished, failed or is stuck in failure, so that its controller makes another. Needed "
        "after the rollback of a StatefulSet, which waits for its broken pod for ever, and for evicted pods that stay"
        " behind. Refused for a pod that is serving, and for one without a controller."
    )
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("delete", POD),)
    waits_for_rollout: ClassVar[bool] = False

    async def read(self, action: DeletePod, cluster: Reader) -> Situation:
        """Read the pod, and of a StatefulSet's the last revision that was rolled out whole.  Raises `ToolError`."""
        live = await cluster.get(POD, action.name, action.namespace)
        owner = controller_of(live)
        if dig_str(owner, "kind") != "StatefulSet":
            return Situation(live)
        stateful = await cluster.get(STATEFUL_SET, dig_str(owner, "name"), action.namespace)
        return Situation(live, {"complete_revision": dig_str(stateful, "status", "currentRevision")})

    def precondition(self, action: DeletePod, situation: Situation) -> Refused | None:
        """A controller will replace it, and nothing is lost with it."""
        refused = _untouchable(action, situation.live)
        if refused is not None:
            return refused
        if dig_str(situation.live, "status", "phase") in {"Succeeded", "Failed"}:
            return None
        if _is_ready(situation.live):
            return refuse(ReasonCode.POD_HEALTHY, f"{action.target} is ready; evict it if it must move.")
        if _is_in_the_way(situation):
            return None
        if not any(_has_failed(status) for status in _container_statuses(situation.live)):
            return refuse(ReasonCode.POD_HEALTHY, f"{action.target} is not ready, but no container of it has failed.")
        return None

    def request(self, action: DeletePod, situation: Situation, mark: Mark) -> WriteRequest:  # noqa: ARG002
        """Delete exactly the pod that was judged, with its own grace period."""
        preconditions: JsonObject = {
            "uid": _uid(situation.live),
            "resourceVersion": dig_str(situation.live, "metadata", "resourceVersion"),
        }
        return WriteRequest(
            verb="delete",
            resource=POD,
            namespace=action.namespace,
            name=action.name,
            body={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions},
            field_manager=f"selfheal-{action.tool}",
        )


def _untouchable(action: EvictPod | DeletePod, pod: JsonObject) -> Refused | None:
    """Refusals that hold for every action on a pod."""
    if _is_deleting(pod):
        return refuse(ReasonCode.NO_CHANGE, f"{action.target} is being deleted already.")
    controller = controller_of(pod)
    if _MIRROR in dig_object(pod, "metadata", "annotations") or dig_str(controller, "kind") == "Node":
        return refuse(
            ReasonCode.TARGET_PROTECTED, f"{action.target} mirrors a static pod: only its node can change it."
        )
    if not controller:
        return refuse(ReasonCode.NO_CONTROLLER, f"{action.target} has no controller: nothing would replace it.")
    return None


def _is_in_the_way(situation: Situation) -> bool:
    """Whether a StatefulSet waits for this pod of a rollout that did not come to its end, perhaps for ever."""
    complete = dig_str(situation.support, "complete_revision")
    return bool(complete) and dig_str(situation.live, "metadata", "labels", "controller-revision-hash") != complete


def _uid(pod: JsonObject) -> str:
    return dig_str(pod, "metadata", "uid")


def _is_deleting(pod: JsonObject) -> bool:
    return bool(dig_str(pod, "metadata", "deletionTimestamp"))


def _is_ready(pod: JsonObject) -> bool:
    return any(
        dig_str(c, "type") == "Ready" and dig_str(c, "status") == "True" for c in dig_list(pod, "status", "conditions")
    )


def _container_statuses(pod: JsonObject) -> list[JsonValue]:
    return [*dig_list(pod, "status", "initContainerStatuses"), *dig_list(pod, "status", "containerStatuses")]


def _has_failed(status: JsonValue) -> bool:
    """Waiting for a reason that is a failure, ended in failure, or running again after one and not ready."""
    if dig(status, "ready") is True:
        return False
    if isinstance(dig(status, "state", "waiting"), dict):
        return dig_str(status, "state", "waiting", "reason") not in _STARTING
    ended = (dig_int(status, "state", "terminated", "exitCode"), dig_int(status, "lastState", "terminated", "exitCode"))
    return any(code not in {None, 0} for code in ended)
