"""The models of actions on Jobs and CronJobs."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef

LONGEST_RERUN: Final = 86_400
"""Seconds: a repetition that takes longer than a day is a matter for people."""
MOST_RERUNS: Final = 3
"""How many repetitions of one Job there may be; a fourth is a matter for people."""
_SUFFIX: Final = re.compile(r"-rerun-[1-9][0-9]{0,3}$")
_LONGEST_NAME: Final = 63
"""A Job's name becomes a label of its pods."""


def rerun_name(job: str, number: int) -> str:
    """The name of a repetition, within what a label may hold; that of a repetition's repetition is the first Job's."""
    suffix = f"-rerun-{number}"
    return _SUFFIX.sub("", job)[: _LONGEST_NAME - len(suffix)].rstrip("-.") + suffix


def reruns(job: str) -> tuple[str, ...]:
    """The names of all repetitions that a Job can have, but its own."""
    return tuple(name for n in range(1, MOST_RERUNS + 1) if (name := rerun_name(job, n)) != job)


class CronJobAction(Action):
    """What actions on one CronJob have in common."""

    namespace: Namespace = Field(description="Namespace of the CronJob.")
    name: Name = Field(description="Name of the CronJob.")

    @property
    def target(self) -> ObjectRef:
        """The CronJob."""
        return ObjectRef(kind="CronJob", namespace=self.namespace, name=self.name)


class RerunJob(Action):
    """Do the work of a Job that has failed once more, in a new Job beside it."""

    action: Literal["rerun_job"]
    namespace: Namespace = Field(description="Namespace of the Job.")
    name: Name = Field(description="Name of the Job that has failed.")
    number: int = Field(ge=1, le=MOST_RERUNS, description="Which repetition it is: one more than there are of it.")
    deadline_seconds: int = Field(
        ge=10, le=LONGEST_RERUN, description="Seconds after which the new Job is ended, whatever it has reached."
    )

    @property
    def target(self) -> ObjectRef:
        """The new Job, `NAME-rerun-NUMBER`."""
        return ObjectRef(kind="Job", namespace=self.namespace, name=rerun_name(self.name, self.number))

    @property
    def failed(self) -> ObjectRef:
        """The Job whose work is done again."""
        return ObjectRef(kind="Job", namespace=self.namespace, name=self.name)


class DeleteJob(Action):
    """Delete a Job of a CronJob that does not come to an end, with its pods."""

    action: Literal["delete_job"]
    namespace: Namespace = Field(description="Namespace of the Job.")
    name: Name = Field(description="Name of the Job.")

    @property
    def target(self) -> ObjectRef:
        """The Job."""
        return ObjectRef(kind="Job", namespace=self.namespace, name=self.name)


class RemoveFailedJob(Action):
    """Take a Job that has failed and that nobody controls away, so that `recreate_failed_job` can make it anew."""

    action: Literal["remove_failed_job"]
    namespace: Namespace = Field(description="Namespace of the Job.")
    name: Name = Field(description="Name of the Job that has failed.")

    @property
    def target(self) -> ObjectRef:
        """The Job."""
        return ObjectRef(kind="Job", namespace=self.namespace, name=self.name)


class RecreateFailedJob(Action):
    """Make the Job that an earlier step of the same plan removed anew, under its name."""

    action: Literal["recreate_failed_job"]
    namespace: Namespace = Field(description="Namespace of the Job.")
    name: Name = Field(description="Name of the Job that was removed.")
    deadline_seconds: int = Field(
        ge=10, le=LONGEST_RERUN, description="Seconds after which the new Job is ended, whatever it has reached."
    )

    @property
    def target(self) -> ObjectRef:
        """The Job."""
        return ObjectRef(kind="Job", namespace=self.namespace, name=self.name)


class SuspendCronJob(CronJobAction):
    """Let a CronJob start no more Jobs; those that run go on."""

    action: Literal["suspend_cronjob"]


class ResumeCronJob(CronJobAction):
    """Let a CronJob that is suspended start Jobs again."""

    action: Literal["resume_cronjob"]


BatchAction: TypeAlias = RerunJob | DeleteJob | RemoveFailedJob | RecreateFailedJob | SuspendCronJob | ResumeCronJob
