"""A failed Job that nobody controls, run again under its own name.

People and programs wait for a Job by its name, and nothing of a Job that has ended can be changed.  So it takes two
calls, planned as two steps of one plan: `remove_failed_job` and `recreate_failed_job`.  Each has its intent and its way
back; what one removed is in the ledger before it is removed, and that is what the other makes anew.

The rule: work is never begun by an undo.  A Job that is put back after it was removed is suspended; a person lets it
go.  Neighbours: `batch` runs the work of a CronJob's Job again beside it, `storage` remakes a claim in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from tools.cluster.resources import JOB, WriteRequest
from tools.errors import NotFound
from tools.executors.base import (
    Action,
    Applied,
    Earlier,
    Executor,
    InverseKind,
    Mark,
    Permission,
    Reader,
    Situation,
)
from tools.executors.compare import contains
from tools.executors.kubernetes.batch import has_condition
from tools.executors.kubernetes.common import controller_of, refuse
from tools.executors.models.batch import RecreateFailedJob, RemoveFailedJob
from tools.executors.whole import MARKS, WHOLE, create, delete, is_deleting, maker_of, without_job_identity
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

_REMOVING: Final = "remove_failed_job"
_REMAKE: Final = (Permission("create", JOB), Permission("delete", JOB))
"""Each of the two steps undoes what the other does."""
_CONTROLLERS_NOTE: Final = "batch.kubernetes.io/job-tracking"
_LOOK_AGAIN: Final = 1.0
"""Seconds until finalizers have let a Job go."""


class RemoveFailedJobExecutor(Executor[RemoveFailedJob]):
    """`remove_failed_job`: delete the Job that was read, with what its pods left."""

    action_type: ClassVar[type[Action]] = RemoveFailedJob
    description: ClassVar[str] = (
        "Take away a Job that has failed and that nobody controls, with its pods and their logs. Only of use as the "
        "step before recreate_failed_job in the same plan: what has ended cannot be changed, so it is made anew. "
        "Should the next step fail, undoing puts the Job back suspended. A person always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = ()
    permissions: ClassVar[tuple[Permission, ...]] = _REMAKE
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False

    async def read(self, action: RemoveFailedJob, cluster: Reader) -> Situation:
        """Read the Job.  Raises `ToolError`."""
        return Situation(await cluster.get(JOB, action.name, action.namespace))

    def precondition(self, action: RemoveFailedJob, situation: Situation) -> Refused | None:
        """It has failed, nobody controls it, and it is not on its way out."""
        return _no_failed_job(action, situation.live)

    def approval_reasons(self, action: RemoveFailedJob, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: its pods go with it."""
        return (f"{action.target} would be deleted with its pods and their logs, to be made anew.",)

    def request(self, action: RemoveFailedJob, situation: Situation, mark: Mark) -> WriteRequest:  # noqa: ARG002
        """Delete that life at that version."""
        return delete(JOB, situation.live, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RemoveFailedJob, before: Situation, after: Situation) -> Refused | None:
        """The Job of that uid is on its way out or gone."""
        if _is_gone(before, after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still there.")

    def was_applied(self, action: RemoveFailedJob, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A Job of that uid that is gone or going is what was wanted."""
        return Applied.YES if now is None or _is_gone(before, now) else Applied.NO


class RecreateFailedJobExecutor(Executor[RecreateFailedJob]):
    """`recreate_failed_job`: the Job that this plan removed, with a time limit of its own.

    While the plan is judged the failed Job is still there: the API server then answers the dry run with AlreadyExists,
    which it does only after validation and admission let the bytes pass.
    """

    action_type: ClassVar[type[Action]] = RecreateFailedJob
    description: ClassVar[str] = (
        "Make the Job that the step before removed (remove_failed_job) anew, under the same name and with a time limit "
        "of its own. Helps when what made it fail is gone, or when its deadline was too short. The work is done a "
        "second time, whatever it does outside the cluster, so a person always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (WHOLE,)
    permissions: ClassVar[tuple[Permission, ...]] = _REMAKE
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    creates: ClassVar[bool] = True

    async def read(self, action: RecreateFailedJob, cluster: Reader) -> Situation:
        """Read what is there of that name.  Raises `ToolError`."""
        try:
            return Situation(await cluster.get(JOB, action.name, action.namespace))
        except NotFound:
            return Situation({})

    def recall(self, action: RecreateFailedJob, situation: Situation, earlier: Sequence[Earlier]) -> Situation:
        """With the manifest of the Job that this plan removed; until then of the one that is there to be removed."""
        for step in reversed(earlier):
            if (step.tool, step.target) == (_REMOVING, action.target):
                manifest, uid = dig_object(step.inverse, "manifest"), dig_str(step.inverse, "uid")
                return Situation(situation.live, {"manifest": manifest, "removed": uid})
        return situation

    def subject(self, action: RecreateFailedJob, situation: Situation) -> JsonObject:  # noqa: ARG002
        """The Job that was removed, or that is to be."""
        return dig_object(situation.support, "manifest") or situation.live

    def precondition(self, action: RecreateFailedJob, situation: Situation) -> Refused | None:
        """The name is free, or the failed Job stands there to be removed first."""
        live, removed = situation.live, dig_str(situation.support, "removed")
        if live and dig_str(live, "metadata", "uid") == removed:
            gone = f"{action.target} is still on its way out."
            return Refused(
                code=ReasonCode.TARGET_DELETING, reason=gone, check="precondition", retry_after_seconds=_LOOK_AGAIN
            )
        if live and removed:
            return refuse(ReasonCode.TARGET_EXISTS, f"Somebody made another {action.target}; nothing has to be made.")
        if live:
            return _no_failed_job(action, live)
        if not removed:
            return refuse(ReasonCode.VERSION_UNKNOWN, f"This plan removed no {action.target}: {_REMOVING} comes first.")
        return None

    def approval_reasons(self, action: RecreateFailedJob, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: a Job's work may be of the kind that must not be done twice."""
        return (f"The work of {action.target} would be done again; only people know whether that is safe.",)

    def request(self, action: RecreateFailedJob, situation: Situation, mark: Mark) -> WriteRequest:
        """Make it; the server refuses while the name is taken."""
        manifest = _again(action, self.subject(action, situation))
        return create(JOB, manifest, mark, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RecreateFailedJob, before: Situation, after: Situation) -> Refused | None:
        """The Job is there again, as it was to be made.  Whether its work gets done is for the verifier."""
        wanted = dig_object(_again(action, self.subject(action, before)), "spec")
        if after.live and contains(dig_object(without_job_identity(after.live), "spec"), wanted):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"There is no {action.target} that does the same as the failed one.")

    def was_applied(
        self,
        action: RecreateFailedJob,  # noqa: ARG002
        before: Situation,  # noqa: ARG002
        now: JsonObject | None,
        mark: Mark,
    ) -> Applied:
        """A Job that bears our mark is ours; any other is somebody else's, and the API server refused ours."""
        return Applied.YES if now is not None and maker_of(now) == mark.action_id else Applied.NO


def _no_failed_job(action: RemoveFailedJob | RecreateFailedJob, live: JsonObject) -> Refused | None:
    """Why this is no Job to be made anew; None when it is one."""
    if is_deleting(live):
        return refuse(ReasonCode.NO_CHANGE, f"{action.target} is being deleted already.")
    owner = controller_of(live)
    if owner:
        who = f"{dig_str(owner, 'kind')} {dig_str(owner, 'name')}"
        return refuse(ReasonCode.TARGET_PROTECTED, f"{who} made {action.target} and sees to it.")
    if not has_condition(live, "Failed"):
        return refuse(ReasonCode.NO_CHANGE, f"{action.target} has not failed.")
    if dig(live, "spec", "manualSelector") is True:
        return refuse(
            ReasonCode.PARAM_OUT_OF_RANGE, f"{action.target} brought its selector; a new one would take the old pods."
        )
    return None


def _is_gone(before: Situation, now: JsonObject) -> bool:
    return dig(now, "metadata", "uid") != dig(before.live, "metadata", "uid") or is_deleting(now)


def _again(action: RecreateFailedJob, job: JsonObject) -> JsonObject:
    """The manifest of the new Job: what people wrote of the old one, and the new time limit."""
    plain = without_job_identity(job)
    spec = {k: v for k, v in dig_object(plain, "spec").items() if k != "suspend"}
    metadata: JsonObject = {"name": action.name, "namespace": action.namespace}
    if labels := dig_object(plain, "metadata", "labels"):
        metadata["labels"] = labels
    notes = dig_object(plain, "metadata", "annotations")
    if kept := {k: v for k, v in notes.items() if k not in MARKS and k != _CONTROLLERS_NOTE}:
        metadata["annotations"] = kept
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": metadata,
        "spec": {**spec, "activeDeadlineSeconds": action.deadline_seconds},
    }
