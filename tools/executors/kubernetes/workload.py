"""Actions on a workload as a whole: back to an earlier template, restart, replica count.

Each writes one JSON patch on the workload itself (never on a subresource), fenced by version and uid and signed with
our marks.  What a restart does is done by the workload's controller within its own maxUnavailable.

Neighbours: `revisions` finds earlier templates, `resources` changes requests and limits, `pod` deals with single pods.
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeVar

from tools.cluster.resources import SCALED_OBJECT, Resource, WriteRequest
from tools.executors.actions import RestartWorkload, RollbackWorkload, ScaleWorkload, SetResources
from tools.executors.base import Action, Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.compare import contains
from tools.executors.kubernetes.common import (
    TEMPLATE,
    WORKLOADS,
    is_paused,
    may_patch,
    read_back,
    refuse,
    template_of,
)
from tools.executors.kubernetes.podsecurity import lowered
from tools.executors.kubernetes.revisions import read_revisions
from tools.executors.patch import fence, json_patch, operation, pointer, put, sign
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_int, dig_list, dig_object, dig_str

RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
"""The annotation every tool restarts by; others show it as the time or cause of the last restart."""
_RESTART_PATH: Final = (*TEMPLATE, "metadata", "annotations", RESTARTED_AT)

W = TypeVar("W", RollbackWorkload, RestartWorkload, ScaleWorkload, SetResources)


class WorkloadExecutor(Executor[W]):
    """What the executors of workload actions have in common: one object, one fenced and signed patch of it."""

    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = True

    @staticmethod
    def resource(action: W) -> Resource:
        """The API resource of the workload."""
        return WORKLOADS[action.kind]

    async def read(self, action: W, cluster: Reader) -> Situation:
        """Read the workload.  Raises `ToolError`."""
        return Situation(await cluster.get(self.resource(action), action.name, action.namespace))

    def was_applied(self, action: W, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """The mark on the workload tells."""
        return read_back(before, now, mark)

    def patch(self, action: W, live: JsonObject, mark: Mark, change: list[JsonObject]) -> WriteRequest:
        """`change` between its fence and our marks."""
        operations = [*fence(live), *change, *sign(live, mark)]
        return json_patch(self.resource(action), live, operations, field_manager=f"selfheal-{action.tool}")


class RollbackWorkloadExecutor(WorkloadExecutor[RollbackWorkload]):
    """`rollback_workload`: the pod template of an earlier revision takes the place of the present one."""

    action_type: ClassVar[type[Action]] = RollbackWorkload
    description: ClassVar[str] = (
        "Put the pod template of an earlier revision back, as `kubectl rollout undo` does. Helps when the trouble "
        "began with a change of the template: image, command, environment, probes, resources. Only the template goes "
        "back, not replicas or strategy, and nothing outside the cluster, such as a database migration. Pods are "
        "replaced within the workload's own maxUnavailable. A broken StatefulSet pod must be deleted as well, in a "
        "step after this one."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*TEMPLATE),)
    permissions: ClassVar[tuple[Permission, ...]] = may_patch("Deployment", "StatefulSet", "DaemonSet")

    async def read(self, action: RollbackWorkload, cluster: Reader) -> Situation:
        """Read the workload and its revisions."""
        live = await cluster.get(self.resource(action), action.name, action.namespace)
        revisions = await read_revisions({**live, "kind": action.kind}, cluster)
        support: JsonObject = {
            "numbers": [r.number for r in revisions],
            "current": next((r.number for r in reversed(revisions) if r.is_current), None),
        }
        wanted = next((r for r in revisions if r.number == action.to_revision), None)
        if wanted is not None:
            support |= {"name": wanted.name, "template": wanted.template, "is_current": wanted.is_current}
        return Situation(live, support)

    def precondition(self, action: RollbackWorkload, situation: Situation) -> Refused | None:
        """The revision exists, is another one than the present, and nobody paused the rollout."""
        if is_paused(situation.live):
            return refuse(ReasonCode.WORKLOAD_PAUSED, f"{action.target} is paused; resume it before rolling it back.")
        if not dig_object(situation.support, "template"):
            known = ", ".join(str(n) for n in dig_list(situation.support, "numbers")) or "none"
            return refuse(
                ReasonCode.NO_REVISION,
                f"{action.target} has no revision {action.to_revision}; kept revisions: {known}.",
            )
        if situation.support.get("is_current") is True:
            return refuse(
                ReasonCode.NO_REVISION, f"Revision {action.to_revision} is what {action.target} runs at present."
            )
        return None

    def approval_reasons(self, action: RollbackWorkload, situation: Situation) -> tuple[str, ...]:
        """The earlier revision may do what the present one may not."""
        added = lowered(template_of(situation.live), dig_object(situation.support, "template"))
        if not added:
            return ()
        return (f"Revision {action.to_revision} of {action.target} lowers its security: it {'; '.join(added)}.",)

    def request(self, action: RollbackWorkload, situation: Situation, mark: Mark) -> WriteRequest:
        """Replace the whole template."""
        template = dig_object(situation.support, "template")
        return self.patch(action, situation.live, mark, [operation("replace", pointer(*TEMPLATE), template)])

    def postcondition(self, action: RollbackWorkload, before: Situation, after: Situation) -> Refused | None:
        """The template is that of the revision."""
        if contains(template_of(after.live), dig_object(before.support, "template")):
            return None
        return refuse(
            ReasonCode.VERIFY_FAILED, f"{action.target} does not have the template of revision {action.to_revision}."
        )


class RestartWorkloadExecutor(WorkloadExecutor[RestartWorkload]):
    """`restart_workload`: an annotation of the template changes, and the controller replaces all pods."""

    action_type: ClassVar[type[Action]] = RestartWorkload
    description: ClassVar[str] = (
        "Replace all pods of a workload with new ones of the same template, a few at a time, as `kubectl rollout "
        "restart` does. Helps when configuration that pods read at their start was repaired, when a process is "
        "wedged, and when a controller is backing off from creating pods although what stood in the way is gone. It "
        "does not help against a bad image, command or setting."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_RESTART_PATH),)
    permissions: ClassVar[tuple[Permission, ...]] = may_patch("Deployment", "StatefulSet", "DaemonSet")
    inverse_kind: ClassVar[InverseKind] = InverseKind.BY_CONTROLLER

    async def read(self, action: RestartWorkload, cluster: Reader) -> Situation:
        """Read the workload and who restarted it last."""
        live = await cluster.get(self.resource(action), action.name, action.namespace)
        return Situation(live, {"restarted": dig_str(live, *_RESTART_PATH)})

    def precondition(self, action: RestartWorkload, situation: Situation) -> Refused | None:
        """Nobody paused the rollout: a paused workload would keep the restart for later."""
        if is_paused(situation.live):
            return refuse(ReasonCode.WORKLOAD_PAUSED, f"{action.target} is paused; a restart would not take place.")
        return None

    def request(self, action: RestartWorkload, situation: Situation, mark: Mark) -> WriteRequest:
        """Set the annotation to a value that follows from the action id, so that a repetition changes nothing."""
        change = put(situation.live, _RESTART_PATH, f"selfheal-{mark.action_id}")
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: RestartWorkload, before: Situation, after: Situation) -> Refused | None:
        """The annotation is another one than before."""
        if dig_str(after.live, *_RESTART_PATH) not in {"", dig_str(before.support, "restarted")}:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} does not bear the mark of a restart.")


class ScaleWorkloadExecutor(WorkloadExecutor[ScaleWorkload]):
    """`scale_workload`: the replica count of a workload that no autoscaler owns."""

    action_type: ClassVar[type[Action]] = ScaleWorkload
    description: ClassVar[str] = (
        "Set the number of replicas. Helps when a workload was scaled to the wrong number. Refused when an autoscaler"
        " owns the number; zero always needs a person's approval."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer("spec", "replicas"),)
    permissions: ClassVar[tuple[Permission, ...]] = may_patch("Deployment", "StatefulSet")
    reads: ClassVar[tuple[Permission, ...]] = (Permission("list", SCALED_OBJECT),)
    moves_replicas: ClassVar[bool] = True

    def precondition(self, action: ScaleWorkload, situation: Situation) -> Refused | None:
        """The number is another one.  Who owns the number is asked by the guard."""
        present = dig_int(situation.live, "spec", "replicas")
        if present == action.replicas:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} has {present} replicas already.")
        return None

    def approval_reasons(self, action: ScaleWorkload, situation: Situation) -> tuple[str, ...]:
        """Zero takes the workload out of service."""
        present = dig(situation.live, "spec", "replicas")
        return (f"{action.target} would go from {present} replicas to none.",) if action.replicas == 0 else ()

    def request(self, action: ScaleWorkload, situation: Situation, mark: Mark) -> WriteRequest:
        """Set the number."""
        change = put(situation.live, ("spec", "replicas"), action.replicas)
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: ScaleWorkload, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """The number is the wanted one."""
        present = dig_int(after.live, "spec", "replicas")
        if present == action.replicas:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} has {present} replicas, not {action.replicas}.")
