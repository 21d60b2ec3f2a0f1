"""Actions on Jobs and CronJobs: do failed work again, end what hangs, hold a schedule and let it go on.

What a Job does outside the cluster is not known here, so a person agrees to every one of these.
The rule: nothing that has run is changed.  Work is done again in a new Job beside the failed one, which keeps its pods
and its logs; a Job that hangs is deleted only where a CronJob will make the next.  Neighbour: `failed_jobs` makes a Job
that nobody controls anew under its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from tools.cluster.resources import CRON_JOB, JOB, Resource, WriteRequest
from tools.executors.base import Action, Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.compare import contains
from tools.executors.kubernetes.common import controller_of, refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.batch import (
    MOST_RERUNS,
    CronJobAction,
    DeleteJob,
    RerunJob,
    ResumeCronJob,
    SuspendCronJob,
    rerun_name,
)
from tools.executors.patch import pointer, put
from tools.executors.whole import WHOLE, create, delete, is_deleting, maker_of, without_job_identity
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

_SUSPEND: Final = ("spec", "suspend")


class RerunJobExecutor(Executor[RerunJob]):
    """`rerun_job`: a new Job of the same specification, named after the failed one."""

    action_type: ClassVar[type[Action]] = RerunJob
    description: ClassVar[str] = (
        "Do the work of a failed Job once more: a new Job of the same specification, named NAME-rerun-NUMBER, with a "
        "time limit of its own. Helps when what made the Job fail is gone: a database that was away, a configuration "
        "that was repaired. The failed Job stays as it is. The work is done a second time, whatever it does outside "
        "the cluster, so a person always decides. Refused while the Job or a repetition of it runs, and after three."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (WHOLE,)
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("create", JOB), Permission("delete", JOB))
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    creates: ClassVar[bool] = True

    async def read(self, action: RerunJob, cluster: Reader) -> Situation:
        """Read the failed Job and its repetitions; the target is one that is not there yet."""
        failed = await cluster.get(JOB, action.name, action.namespace)
        jobs = {dig_str(j, "metadata", "name"): j for j in await cluster.list(JOB, action.namespace)}
        reruns = [name for n in range(1, MOST_RERUNS + 1) if (name := rerun_name(action.name, n)) in jobs]
        running: list[JsonValue] = [name for name in reruns if not _has_ended(jobs[name])]
        return Situation(jobs.get(action.target.name, {}), {"failed": failed, "running": running})

    def subject(self, action: RerunJob, situation: Situation) -> JsonObject:  # noqa: ARG002
        """The failed Job as its people marked it; that a CronJob made it says nothing about the new one."""
        failed = dig_object(situation.support, "failed")
        metadata = {k: v for k, v in dig_object(failed, "metadata").items() if k != "ownerReferences"}
        return {**failed, "metadata": metadata}

    def precondition(self, action: RerunJob, situation: Situation) -> Refused | None:
        """It has failed, its pods are told apart by the server's own labels, and nothing is doing the work by now."""
        failed = dig_object(situation.support, "failed")
        running = [str(name) for name in dig_list(situation.support, "running")]
        if running:
            return refuse(ReasonCode.NO_CHANGE, f"{', '.join(running)} does the work of {action.failed} already.")
        if situation.live:
            return refuse(ReasonCode.TARGET_EXISTS, f"{action.target} is there; the next has another number.")
        if not has_condition(failed, "Failed"):
            return refuse(ReasonCode.NO_CHANGE, f"{action.failed} has not failed.")
        if dig(failed, "spec", "manualSelector") is True:
            return refuse(
                ReasonCode.PARAM_OUT_OF_RANGE, f"{action.failed} brought its selector; a second Job would share it."
            )
        return None

    def approval_reasons(self, action: RerunJob, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: a Job's work may be of the kind that must not be done twice."""
        return (f"The work of {action.failed} would be done again; only people know whether that is safe.",)

    def request(self, action: RerunJob, situation: Situation, mark: Mark) -> WriteRequest:
        """Create the new Job, bearing our marks."""
        manifest = _again(action, dig_object(situation.support, "failed"))
        return create(JOB, manifest, mark, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RerunJob, before: Situation, after: Situation) -> Refused | None:
        """The new Job is there, as it was to be made.  Whether its work gets done is for the verifier."""
        wanted = dig_object(_again(action, dig_object(before.support, "failed")), "spec")
        if after.live and contains(dig_object(without_job_identity(after.live), "spec"), wanted):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"There is no {action.target} that does the same as {action.failed}.")

    def was_applied(self, action: RerunJob, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A Job that bears our mark is ours; any other is somebody else's, and the API server refused ours."""
        return Applied.YES if now is not None and maker_of(now) == mark.action_id else Applied.NO


class DeleteJobExecutor(Executor[DeleteJob]):
    """`delete_job`: a Job that a CronJob made and that does not come to an end, together with its pods."""

    action_type: ClassVar[type[Action]] = DeleteJob
    description: ClassVar[str] = (
        "Delete a Job of a CronJob that does not come to an end, with its pods. Helps when a Job hangs and the CronJob "
        "starts no other while it does (concurrencyPolicy Forbid). The CronJob makes the next one at its next time. "
        "What the Job was doing is broken off and cannot be taken back, so a person always decides. Refused for a Job "
        "that has ended, and for one that no CronJob made."
    )
    declared_fields: ClassVar[tuple[str, ...]] = ()
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("delete", JOB),)
    inverse_kind: ClassVar[InverseKind] = InverseKind.NONE
    disrupts: ClassVar[bool] = True

    async def read(self, action: DeleteJob, cluster: Reader) -> Situation:
        """Read the Job.  Raises `ToolError`."""
        return Situation(await cluster.get(JOB, action.name, action.namespace))

    def precondition(self, action: DeleteJob, situation: Situation) -> Refused | None:
        """A CronJob made it, and it is still under way."""
        if is_deleting(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is being deleted already.")
        if dig_str(controller_of(situation.live), "kind") != CRON_JOB.kind:
            return refuse(ReasonCode.NO_CONTROLLER, f"No CronJob made {action.target}: nothing would replace it.")
        if _has_ended(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} has come to an end; it holds nothing up.")
        return None

    def request(self, action: DeleteJob, situation: Situation, mark: Mark) -> WriteRequest:  # noqa: ARG002
        """Delete exactly the Job that was judged; the garbage collector takes its pods."""
        return delete(JOB, situation.live, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: DeleteJob, before: Situation, after: Situation) -> Refused | None:
        """The Job of that uid is on its way out or gone."""
        if self._is_gone(before, after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still there.")

    def was_applied(self, action: DeleteJob, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A Job of that uid that is gone or going is what was wanted, whoever did it."""
        return Applied.YES if now is None or self._is_gone(before, now) else Applied.NO

    @staticmethod
    def _is_gone(before: Situation, now: JsonObject) -> bool:
        return dig(now, "metadata", "uid") != dig(before.live, "metadata", "uid") or is_deleting(now)


class _SuspendExecutor(PatchExecutor[CronJobAction]):
    """Both directions of `spec.suspend`; `suspends` says which."""

    suspends: ClassVar[bool]
    resource: ClassVar[Resource] = CRON_JOB
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_SUSPEND),)
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", CRON_JOB),)

    def precondition(self, action: CronJobAction, situation: Situation) -> Refused | None:
        """It is not so already."""
        if _is_suspended(situation.live) is not self.suspends:
            return None
        state = "suspended" if self.suspends else "not suspended"
        return refuse(ReasonCode.NO_CHANGE, f"{action.target} is {state} already.")

    def request(self, action: CronJobAction, situation: Situation, mark: Mark) -> WriteRequest:
        """Set the field."""
        return self.patch(action, situation.live, mark, put(situation.live, _SUSPEND, self.suspends))

    def postcondition(self, action: CronJobAction, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It is so now."""
        if _is_suspended(after.live) is self.suspends:
            return None
        state = "not suspended" if self.suspends else "still suspended"
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is {state}.")


class SuspendCronJobExecutor(_SuspendExecutor):
    """`suspend_cronjob`: no more Jobs are started."""

    action_type: ClassVar[type[Action]] = SuspendCronJob
    description: ClassVar[str] = (
        "Let a CronJob start no more Jobs until it is resumed; those that run go on. Helps when every new Job fails "
        "or does harm, and until its cause is repaired. Work that is due meanwhile is not done, so a person always "
        "decides."
    )
    suspends: ClassVar[bool] = True

    def approval_reasons(self, action: CronJobAction, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: what is due is not done."""
        return (f"What {action.target} does on its schedule would not be done any more.",)


class ResumeCronJobExecutor(_SuspendExecutor):
    """`resume_cronjob`: Jobs are started again."""

    action_type: ClassVar[type[Action]] = ResumeCronJob
    description: ClassVar[str] = (
        "Let a CronJob that is suspended start Jobs again. Helps when somebody suspended it and forgot. A Job whose "
        "time passed meanwhile may be started at once, unless its starting deadline is over. Somebody suspended it on "
        "purpose, so a person always decides."
    )
    suspends: ClassVar[bool] = False

    def approval_reasons(self, action: CronJobAction, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: suspending is a person's deed."""
        return (f"Somebody suspended {action.target}; only people know why, so a person must agree to resume it.",)


def _again(action: RerunJob, job: JsonObject) -> JsonObject:
    """The manifest of the new Job: the old specification, without what the server made for the old one.

    It has no owner: a CronJob would take it for one of its own runs and count it.  Of the annotations none is taken
    over, since they speak of the old Job's origin (its schedule, the tool that applied it).
    """
    plain = without_job_identity(job)
    spec = {k: v for k, v in dig_object(plain, "spec").items() if k != "suspend"}
    metadata: JsonObject = {
        "name": action.target.name,
        "namespace": action.namespace,
        "labels": dig_object(plain, "metadata", "labels"),
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": metadata,
        "spec": {**spec, "activeDeadlineSeconds": action.deadline_seconds},
    }


def has_condition(job: JsonObject, type_: str) -> bool:
    """Whether the Job's status says so."""
    conditions: Sequence[JsonValue] = dig_list(job, "status", "conditions")
    return any(dig_str(c, "type") == type_ and dig_str(c, "status") == "True" for c in conditions)


def _has_ended(job: JsonObject) -> bool:
    return has_condition(job, "Complete") or has_condition(job, "Failed")


def _is_suspended(cron_job: JsonObject) -> bool:
    return dig(cron_job, *_SUSPEND) is True
