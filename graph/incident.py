"""What went wrong, as values: signals, the incident that gathers them, and what starts one.

All of it is plain data that survives a round trip through JSON: it is stored in checkpoints and in the ledger, so a
renamed field or class is a migration.  Neighbours: `graph.signals` makes signals, `graph.observed` is
what was read about one, `graph.plan` says what is to be done about it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tools.jsontypes import digest
from tools.refs import IncidentId, ObjectRef


class Value(BaseModel):
    """A frozen value that accepts nothing it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Family(StrEnum):
    """Families of reasons; one open incident per root owner, whatever the family it started with."""

    IMAGE = "image"
    """A container's image cannot be had."""
    START = "start"
    """A container cannot be created or started: command, configuration reference, security context, volume."""
    CRASH = "crash"
    """A container starts and ends again and again."""
    MEMORY = "memory"
    """A container is killed for want of memory."""
    PROBE = "probe"
    """A container runs and fails its probes."""
    SCHEDULING = "scheduling"
    """A pod finds no node."""
    ADMISSION = "admission"
    """A controller cannot create pods: quota, policy, a missing service account."""
    LEFTOVER = "leftover"
    """A pod ended in phase Failed and stays until somebody deletes it."""
    ROLLOUT = "rollout"
    """A rollout does not come to its end and nothing more exact is known."""
    SERVICE = "service"
    """A Service leads nowhere, or to the wrong place."""
    DRIFT = "drift"
    """An object is not as it was declared, or is gone although something needs it."""
    SCALING = "scaling"
    """A replica count is not what it should be, or its autoscaler cannot work."""
    BATCH = "batch"
    """A Job or CronJob does not do its work."""
    STORAGE = "storage"
    """A volume claim is not bound."""
    DISRUPTION = "disruption"
    """A disruption budget stands in the way of a drain for ever."""
    NODE = "node"
    """A node is away, under pressure, or closed to pods that need it."""
    STUCK = "stuck"
    """An object that was deleted does not go."""
    EXTERNAL = "external"
    """What a resource of Crossplane stands for outside the cluster is not as the resource says."""
    DELIVERY = "delivery"
    """Argo CD does not bring the cluster to what an Application declares, or cannot tell."""
    REQUESTED = "requested"
    """Somebody asked for a look; no detector has spoken."""


class Reason(StrEnum):
    """Stable reason codes of signals.  Each sentence says what has been seen, not what caused it."""

    IMAGE_PULL_FAILED = "IMAGE_PULL_FAILED"
    """The kubelet tried to pull the image and failed (ErrImagePull, ImagePullBackOff, ErrImageNeverPull)."""
    IMAGE_NAME_INVALID = "IMAGE_NAME_INVALID"
    """The image reference does not parse (InvalidImageName)."""
    CONFIG_MISSING = "CONFIG_MISSING"
    """A ConfigMap, Secret or key that the container refers to is not there (CreateContainerConfigError)."""
    CONTAINER_START_FAILED = "CONTAINER_START_FAILED"
    """The runtime could not start the process (RunContainerError, StartError, CreateContainerError)."""
    CRASH_LOOP = "CRASH_LOOP"
    """The container ended with a failure at least twice (terminated state or CrashLoopBackOff)."""
    INIT_FAILED = "INIT_FAILED"
    """An init container failed at least twice."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    """The container was killed by the kernel for exceeding its memory limit (OOMKilled)."""
    LIVENESS_RESTARTS = "LIVENESS_RESTARTS"
    """The kubelet killed the container again and again because its liveness or startup probe failed."""
    NOT_READY = "NOT_READY"
    """The container runs, has had its time to start, and its readiness probe still fails."""
    UNSCHEDULABLE = "UNSCHEDULABLE"
    """The scheduler finds no node for the pod."""
    PODS_REFUSED = "PODS_REFUSED"
    """The API server refuses to create the workload's pods (quota, admission, service account)."""
    POD_FAILED = "POD_FAILED"
    """A pod with a controller ended in phase Failed (evicted, out of ephemeral storage, node shutdown)."""
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    """The rollout made no progress within its deadline."""
    SERVICE_WITHOUT_ENDPOINTS = "SERVICE_WITHOUT_ENDPOINTS"
    """A Service selects no pod at all, while pods run that it could have meant."""
    SERVICE_PORT_MISSING = "SERVICE_PORT_MISSING"
    """A Service leads to a port that none of the pods it selects offers."""
    SERVICE_WRONG_PODS = "SERVICE_WRONG_PODS"
    """A Service leads to pods of another owner than before, or of several that do not belong together."""
    TRAFFIC_CUT = "TRAFFIC_CUT"
    """A network policy lets nothing through to pods that a Service leads to."""
    DRIFTED = "DRIFTED"
    """A live object differs from its declared state."""
    OBJECT_MISSING = "OBJECT_MISSING"
    """A declared object is gone, or one that was known good and that something running still needs."""
    SCALED_TO_ZERO = "SCALED_TO_ZERO"
    """A workload that a Service leads to was set to zero replicas, or a DaemonSet was changed and fits no node."""
    ROLLOUT_PAUSED = "ROLLOUT_PAUSED"
    """A Deployment is paused while its template waits to be rolled out."""
    AUTOSCALER_UNABLE = "AUTOSCALER_UNABLE"
    """An autoscaler says that it cannot read its metrics or cannot scale its target."""
    AUTOSCALER_PAUSED = "AUTOSCALER_PAUSED"
    """KEDA is paused against what is declared, or while what it scales lacks replicas or fails."""
    AUTOSCALER_FORGOTTEN = "AUTOSCALER_FORGOTTEN"
    """KEDA has been paused for long, was not when all was well, and nothing fails for it so far."""
    AUTOSCALER_AT_LIMIT = "AUTOSCALER_AT_LIMIT"
    """KEDA's autoscaler wants more replicas than its upper bound lets it have."""
    SCALER_FAILING = "SCALER_FAILING"
    """KEDA cannot read a trigger that it scales by; a fallback may keep the workload alive meanwhile."""
    JOB_FAILED = "JOB_FAILED"
    """A Job ended in failure: its deadline or its tries are used up."""
    JOB_HUNG = "JOB_HUNG"
    """A Job of a CronJob runs many times longer than its schedule allows, and keeps later ones from starting."""
    JOB_STUCK = "JOB_STUCK"
    """No pod of a Job can start: for its image, its settings, or for lack of a node that fits."""
    CRONJOB_SUSPENDED = "CRONJOB_SUSPENDED"
    """A CronJob that used to run is suspended."""
    CLAIM_UNBOUND = "CLAIM_UNBOUND"
    """A volume claim that a pod waits for stays Pending."""
    EVICTION_BLOCKED = "EVICTION_BLOCKED"
    """A disruption budget allows no eviction even when every pod is healthy."""
    NODE_NOT_READY = "NODE_NOT_READY"
    """A node's kubelet no longer reports, or reports that it is not ready."""
    NODE_PRESSURE = "NODE_PRESSURE"
    """A node reports that memory, disk or process ids run out."""
    NODE_PROBLEM = "NODE_PROBLEM"
    """A node reports a fault of its own: kernel, file system, runtime, network."""
    NODE_CLOSED = "NODE_CLOSED"
    """A node is cordoned or tainted, and pods that would fit it find no place."""
    DELETION_STUCK = "DELETION_STUCK"
    """An object was deleted and stays, because a finalizer is never removed."""
    APPLICATION_DRIFTED = "APPLICATION_DRIFTED"
    """The cluster differs from what an Application declares, at the very revision that was deployed last."""
    APPLICATION_DEGRADED = "APPLICATION_DEGRADED"
    """Argo CD finds resources of an Application degraded that nothing else is looked at for."""
    OPERATION_FAILED = "OPERATION_FAILED"
    """The latest operation on an Application failed, and the cluster is not as declared."""
    OPERATION_HUNG = "OPERATION_HUNG"
    """An operation on an Application does not come to its end, and keeps others from starting."""
    COMPARISON_FAILED = "COMPARISON_FAILED"
    """Argo CD cannot work out what an Application declares."""
    EXTERNAL_SYNC_FAILED = "EXTERNAL_SYNC_FAILED"
    """The controller of a resource says that it cannot bring about what the resource says (Synced is False)."""
    EXTERNAL_REFERENCE_BROKEN = "EXTERNAL_REFERENCE_BROKEN"
    """It says that something the resource refers to cannot be found or used."""
    EXTERNAL_UNREADY = "EXTERNAL_UNREADY"
    """What the resource stands for exists and is not ready, or has been in the making for very long."""
    EXTERNAL_UNCERTAIN = "EXTERNAL_UNCERTAIN"
    """Its creation outside was begun and nobody knows how it ended; the controller waits for a person."""
    RECONCILE_PAUSED = "RECONCILE_PAUSED"
    """A resource is paused by its annotation against what is declared, or while something of it waits."""
    RECONCILE_STUCK = "RECONCILE_STUCK"
    """No controller has looked at a resource since its spec was changed, or ever."""
    PROVIDER_UNHEALTHY = "PROVIDER_UNHEALTHY"
    """A package of Crossplane says that it is not healthy or not installed."""
    REQUESTED = "REQUESTED"
    """Somebody asked for a look."""


class Signal(Value):
    """One symptom on one object.  `observed_at` is when our watch received what it was read from."""

    reason: Reason
    family: Family
    object: ObjectRef
    uid: str
    container: str | None = None
    revision: str | None = None
    """The pod's revision: `pod-template-hash` or `controller-revision-hash`; None where there is none."""
    message: str = Field(default="", max_length=1024)
    """What the kubelet or controller said; untrusted text, cut to length, control characters made visible."""
    observed_at: datetime
    confirmed: bool = True
    """False while the grace period runs: seen, counted, and not yet acted on."""
    due_at: datetime | None = None
    """When an unconfirmed signal becomes a confirmed one if it stays."""


class Source(StrEnum):
    """How an incident came to us."""

    WATCHER = "watcher"
    EVENT = "event"
    REQUEST = "request"
    ALERT = "alert"


def fingerprint(root_uid: str, family: Family) -> str:
    """Sixteen hex digits that two signals share when they are the same trouble: root owner and family."""
    return digest([root_uid, family.value])[:16]


class Incident(Value):
    """A failure somebody would want to know of, from the first signal to the last word about it.

    `target` is the root owner (a Deployment, not its pod) and `target_uid` its life; `signals` are the ones it was
    opened with, newest last, at most twenty.
    """

    id: IncidentId
    fingerprint: str
    target: ObjectRef
    target_uid: str
    family: Family
    source: Source
    opened_at: datetime
    detected_at: datetime | None = None
    """When our watch had the status update that confirmed the first signal, or when that signal's grace ended; None for
    incidents that somebody asked for."""
    signals: tuple[Signal, ...] = Field(max_length=20)
    affected: tuple[ObjectRef, ...] = Field(default=(), max_length=50)
    """Other workloads that fail for the same cause, when the target is that cause; it is healed when they are."""


class FromSignal(Value):
    """The watcher saw it."""

    kind: Literal["signal"] = "signal"
    signal: Signal
    target: ObjectRef
    target_uid: str
    detected_at: datetime | None = None
    """When the status update that confirmed it was received, or when its grace ended."""
    affected: tuple[ObjectRef, ...] = Field(default=(), max_length=50)
    """Workloads that fail because of the target."""


class FromReference(Value):
    """Somebody named an object."""

    kind: Literal["reference"] = "reference"
    ref: ObjectRef
    source: Source = Source.REQUEST
    note: str = Field(default="", max_length=1024)
    """What the event or the caller said; a hint."""


Trigger = Annotated[FromSignal | FromReference, Field(discriminator="kind")]
"""What starts an incident."""
