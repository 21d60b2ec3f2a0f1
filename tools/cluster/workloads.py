"""The controllers' kinds as structs: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob.

The rule: `replicas` that a manifest leaves out is 1, as the server defaults it; a zero is a real zero.
Neighbours: `pods` has the template; import from `objects`, which re-exports everything here.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from tools.cluster.pods import PodTemplate
from tools.cluster.resources import CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, REPLICA_SET, STATEFUL_SET
from tools.cluster.structs import Condition, KubeObject, LabelSelector, Lax, LaxRef, Wire


class RollingUpdate(Wire, frozen=True, gc=False):
    """How far a rollout may go at once; a number or a percentage.  `partition` is for StatefulSets."""

    max_unavailable: int | str | None = None
    max_surge: int | str | None = None
    partition: Lax[int] = 0


class Strategy(Wire, frozen=True, gc=False):
    """RollingUpdate, Recreate (Deployment) or OnDelete (StatefulSet, DaemonSet); "" when nobody said."""

    type: Lax[str] = ""
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Wire, frozen=True, gc=False):
    """What the Deployment shall be."""

    replicas: Lax[int] = 1
    paused: Lax[bool] = False
    strategy: Lax[Strategy] = Strategy()
    selector: Lax[LabelSelector] = LabelSelector()
    template: Lax[PodTemplate] = PodTemplate()
    progress_deadline_seconds: Lax[int] = 600
    min_ready_seconds: Lax[int] = 0
    revision_history_limit: Lax[int] = 10


class DeploymentStatus(Wire, frozen=True, gc=False):
    """Counters that speak of the generation `observed_generation`, not of a newer one."""

    observed_generation: Lax[int] = 0
    replicas: Lax[int] = 0
    updated_replicas: Lax[int] = 0
    ready_replicas: Lax[int] = 0
    available_replicas: Lax[int] = 0
    unavailable_replicas: Lax[int] = 0
    conditions: Lax[tuple[Condition, ...]] = ()


class Deployment(KubeObject, frozen=True, gc=False):
    """Replicated pods through ReplicaSets, one per revision."""

    kind = DEPLOYMENT.kind
    api_version = DEPLOYMENT.api_version

    spec: Lax[DeploymentSpec] = DeploymentSpec()
    status: Lax[DeploymentStatus] = DeploymentStatus()


class ReplicaSetSpec(Wire, frozen=True, gc=False):
    """What the ReplicaSet shall be."""

    replicas: Lax[int] = 1
    selector: Lax[LabelSelector] = LabelSelector()
    template: Lax[PodTemplate] = PodTemplate()
    min_ready_seconds: Lax[int] = 0


class ReplicaSetStatus(Wire, frozen=True, gc=False):
    """Counters and conditions (ReplicaFailure among them)."""

    observed_generation: Lax[int] = 0
    replicas: Lax[int] = 0
    fully_labeled_replicas: Lax[int] = 0
    ready_replicas: Lax[int] = 0
    available_replicas: Lax[int] = 0
    conditions: Lax[tuple[Condition, ...]] = ()


class ReplicaSet(KubeObject, frozen=True, gc=False):
    """One revision of a Deployment."""

    kind = REPLICA_SET.kind
    api_version = REPLICA_SET.api_version

    spec: Lax[ReplicaSetSpec] = ReplicaSetSpec()
    status: Lax[ReplicaSetStatus] = ReplicaSetStatus()

    @property
    def revision(self) -> int:
        """The Deployment's revision; 0 when the annotation is missing or no number."""
        text = self.metadata.annotations.get("deployment.kubernetes.io/revision", "")
        return int(text) if text.isascii() and text.isdigit() else 0


class StatefulSetSpec(Wire, frozen=True, gc=False):
    """What the StatefulSet shall be."""

    replicas: Lax[int] = 1
    selector: Lax[LabelSelector] = LabelSelector()
    template: Lax[PodTemplate] = PodTemplate()
    update_strategy: Lax[Strategy] = Strategy()
    service_name: Lax[str] = ""
    pod_management_policy: Lax[str] = "OrderedReady"
    min_ready_seconds: Lax[int] = 0


class StatefulSetStatus(Wire, frozen=True, gc=False):
    """Counters; the rollout is over when both revisions are the same."""

    observed_generation: Lax[int] = 0
    replicas: Lax[int] = 0
    ready_replicas: Lax[int] = 0
    current_replicas: Lax[int] = 0
    updated_replicas: Lax[int] = 0
    available_replicas: Lax[int] = 0
    current_revision: Lax[str] = ""
    update_revision: Lax[str] = ""
    conditions: Lax[tuple[Condition, ...]] = ()


class StatefulSet(KubeObject, frozen=True, gc=False):
    """Pods with names and storage of their own."""

    kind = STATEFUL_SET.kind
    api_version = STATEFUL_SET.api_version

    spec: Lax[StatefulSetSpec] = StatefulSetSpec()
    status: Lax[StatefulSetStatus] = StatefulSetStatus()


class DaemonSetSpec(Wire, frozen=True, gc=False):
    """What the DaemonSet shall be."""

    selector: Lax[LabelSelector] = LabelSelector()
    template: Lax[PodTemplate] = PodTemplate()
    update_strategy: Lax[Strategy] = Strategy()
    min_ready_seconds: Lax[int] = 0


class DaemonSetStatus(Wire, frozen=True, gc=False):
    """Counters, by node."""

    observed_generation: Lax[int] = 0
    current_number_scheduled: Lax[int] = 0
    desired_number_scheduled: Lax[int] = 0
    updated_number_scheduled: Lax[int] = 0
    number_misscheduled: Lax[int] = 0
    number_ready: Lax[int] = 0
    number_available: Lax[int] = 0
    number_unavailable: Lax[int] = 0
    conditions: Lax[tuple[Condition, ...]] = ()


class DaemonSet(KubeObject, frozen=True, gc=False):
    """One pod on each fitting node."""

    kind = DAEMON_SET.kind
    api_version = DAEMON_SET.api_version

    spec: Lax[DaemonSetSpec] = DaemonSetSpec()
    status: Lax[DaemonSetStatus] = DaemonSetStatus()


class JobSpec(Wire, frozen=True, gc=False):
    """What the Job shall do."""

    parallelism: Lax[int] = 1
    completions: int | None = None
    backoff_limit: Lax[int] = 6
    active_deadline_seconds: int | None = None
    suspend: Lax[bool] = False
    template: Lax[PodTemplate] = PodTemplate()


class JobStatus(Wire, frozen=True, gc=False):
    """How far it came."""

    active: Lax[int] = 0
    ready: Lax[int] = 0
    succeeded: Lax[int] = 0
    failed: Lax[int] = 0
    start_time: datetime | None = None
    completion_time: datetime | None = None
    conditions: Lax[tuple[Condition, ...]] = ()


class Job(KubeObject, frozen=True, gc=False):
    """Work that ends."""

    kind = JOB.kind
    api_version = JOB.api_version

    spec: Lax[JobSpec] = JobSpec()
    status: Lax[JobStatus] = JobStatus()


class CronJobSpec(Wire, frozen=True, gc=False):
    """When Jobs are made.  `job_template` stays out: it is read live when it is needed."""

    schedule: Lax[str] = ""
    time_zone: Lax[str] = ""
    suspend: Lax[bool] = False
    concurrency_policy: Lax[str] = "Allow"
    starting_deadline_seconds: int | None = None


class CronJobStatus(Wire, frozen=True, gc=False):
    """What runs, and when it last did."""

    active: Lax[tuple[LaxRef, ...]] = ()
    last_schedule_time: datetime | None = None
    last_successful_time: datetime | None = None


class CronJob(KubeObject, frozen=True, gc=False):
    """Jobs by the clock."""

    kind = CRON_JOB.kind
    api_version = CRON_JOB.api_version

    spec: Lax[CronJobSpec] = CronJobSpec()
    status: Lax[CronJobStatus] = CronJobStatus()


Workload: TypeAlias = Deployment | StatefulSet | DaemonSet
"""What keeps pods running and rolls them out: what an incident is usually about."""

Controller: TypeAlias = Workload | ReplicaSet | Job | CronJob
"""Anything that makes pods, directly or not."""
