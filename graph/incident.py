"""What went wrong, as values: signals, the incident that gathers them, and the evidence read for it.

All of it is plain data that survives a round trip through JSON: it is stored in checkpoints and in the ledger, so a
renamed field or class is a migration.  Neighbours: `graph.signals` makes signals, `graph.evidence` reads evidence,
`graph.plan` says what is to be done about it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tools.jsontypes import digest
from tools.refs import IncidentId, ObjectRef, Pin


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
    """A workload that a Service leads to was set to zero replicas."""
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


class ContainerFacts(Value):
    """One container of one pod, as its status says."""

    name: str
    init: bool = False
    image: str
    state: Literal["waiting", "running", "terminated", "unknown"]
    reason: str = ""
    message: str = Field(default="", max_length=1024)
    exit_code: int | None = None
    restarts: int = 0
    ready: bool = False
    last_reason: str = ""
    last_exit_code: int | None = None


class PodFacts(Value):
    """One pod of the workload."""

    ref: ObjectRef
    uid: str
    revision: str
    phase: str
    ready: bool
    node: str
    deleting: bool = False
    containers: tuple[ContainerFacts, ...] = ()
    conditions: tuple[str, ...] = ()
    """Conditions that are not as they should be, as `Type=Status/Reason: message`."""


class WorkloadFacts(Value):
    """The root owner as it stands."""

    ref: ObjectRef
    uid: str
    generation: int
    observed_generation: int
    desired: int
    updated: int
    ready: int
    available: int
    surplus: int = 0
    """Pods beyond the desired number: old ones that have not gone yet."""
    paused: bool
    revision: int | None
    """Number of the current revision; None when it cannot be told."""
    revision_hash: str
    conditions: tuple[str, ...] = ()
    former_replicas: int | None = None
    """How many replicas it had before the newest change of the number that was seen; None when none was seen."""
    ordered: bool = False
    """True for a StatefulSet that starts its pods in order: a broken pod blocks it until that pod is deleted."""


class Health(StrEnum):
    """What is known of an earlier revision."""

    CONFIRMED = "confirmed"
    """Its pods were seen ready long enough, without a restart: last known good."""
    SERVING = "serving"
    """It has ready pods at this moment."""
    UNKNOWN = "unknown"
    """Nothing is known of how it ran."""
    BAD = "bad"
    """Its pods were seen failing, or going back to it was tried and did not heal."""


class FieldChange(Value):
    """One field that differs: from what it is now to what it would be."""

    path: str
    now: str = Field(max_length=400)
    then: str = Field(max_length=400)


class CandidateRevert(Value):
    """One way back that code found: an earlier revision of the target and what going there would change."""

    to_revision: int
    revision_hash: str
    health: Health
    created_at: datetime | None
    changes: tuple[FieldChange, ...] = Field(max_length=40)
    """The template fields that differ, at most forty; `truncated` says when there are more."""
    truncated: bool = False
    formerly: tuple[int, ...] = ()
    """Revision numbers it had before: going back to a revision gives it a new number."""
    loosens: tuple[str, ...] = ()
    """Pod Security settings that going there would loosen; a person must agree to that."""


class Operation(StrEnum):
    """What a way back does to an object."""

    REVERT = "revert"
    """Fields of a live object are put back."""
    RESTORE = "restore"
    """An object that is gone is made again."""
    REMOVE = "remove"
    """An object that came after the last known good is taken away."""


class VersionSource(StrEnum):
    """Where the knowledge of how an object should be comes from; the first outranks the second."""

    DESIRED = "desired"
    """Declared by people in a folder or repository of manifests."""
    LAST_KNOWN_GOOD = "last_known_good"
    """As it was when the workload that uses it was verified healthy."""


class ObjectCandidate(Value):
    """One way back for an object that is no workload revision: found by code, with what going there would change."""

    ref: ObjectRef
    uid: str | None
    """The life it has now; None when it is gone."""
    operation: Operation
    version: str = ""
    """Digest of the manifest that would be put back; empty for a removal."""
    source: VersionSource
    changes: tuple[FieldChange, ...] = Field(default=(), max_length=40)
    """Fields that would change, redacted; empty for a removal."""
    truncated: bool = False
    changed_at: datetime | None = None
    """When the journal saw it leave that version; None when it changed before we looked."""
    changed_by: str = Field(default="", max_length=120)
    """Who wrote it last, by field manager: a hint."""
    is_ours: bool = False
    """It differs because selfheal changed it to heal something, and nobody has declared that since."""
    relation: str = Field(default="", max_length=160)
    """How the incident's target depends on it, such as `ConfigMap of container app`."""


class SubjectFacts(Value):
    """The target of an incident that is no workload: a Service, a node, a claim, a CronJob."""

    ref: ObjectRef
    uid: str
    generation: int | None
    lines: tuple[str, ...] = Field(default=(), max_length=20)
    """What its spec and status say that matters here, one fact a line, redacted."""
    deleting: bool = False


class PortSummary(Value):
    """One port that a container declares; `name` is empty when it has none."""

    name: str
    number: int
    protocol: str = "TCP"


class TemplateSummary(Value):
    """A workload by what its pods bear: the template's labels and all declared ports."""

    ref: ObjectRef
    labels: dict[str, str]
    ports: tuple[PortSummary, ...] = Field(default=(), max_length=60)


class ServicePortSummary(Value):
    """One port of a Service and where it leads: a number, or the name of a container's port."""

    name: str
    port: int
    target: int | str
    protocol: str = "TCP"


class ServiceSummary(Value):
    """A Service as it stands, and all workloads that it could have been made for."""

    selector: dict[str, str]
    ports: tuple[ServicePortSummary, ...] = Field(default=(), max_length=100)
    pods: int
    """How many pods it selects, ready or not."""
    workloads: tuple[TemplateSummary, ...] | None = Field(default=None, max_length=100)
    """All of the namespace; None when there are too many: what one that is left out would say is not known."""


class ClassSummary(Value):
    """One storage class.  `provisions`: volumes are made for claims of it."""

    name: str
    is_default: bool = False
    provisions: bool = False


class ClaimSummary(Value):
    """What a claim asks for and what the cluster has for it."""

    storage_class: str | None
    """None: it names none, and gets the default."""
    classes: tuple[ClassSummary, ...] = Field(default=(), max_length=50)
    free: tuple[str, ...] = Field(default=(), max_length=50)
    """Classes of the free volumes that it would fit; "" for those without a class."""


class Crowding(Value):
    """A workload of higher priority that came or grew just before the target's pods found no room."""

    ref: ObjectRef
    priority: int
    before: int
    """Its replicas before that; 0 for one that is new."""
    now: int


class AimFacts(Value):
    """What an autoscaler scales, and the earlier templates of that, best first."""

    ref: ObjectRef
    candidates: tuple[CandidateRevert, ...] = Field(default=(), max_length=10)


class EventFacts(Value):
    """One Kubernetes Event about the target or its pods: a hint, never proof."""

    about: ObjectRef
    type: str
    reason: str
    note: str = Field(max_length=1024)
    count: int
    last_seen: datetime | None


class LogExcerpt(Value):
    """The last lines of a container that failed; untrusted, redacted, cut."""

    pod: ObjectRef
    container: str
    previous: bool
    text: str = Field(max_length=8192)


class ContainerSpec(Value):
    """What the target's template says of one container, as far as rules decide on it."""

    name: str
    image: str
    memory_limit: str = ""
    memory_request: str = ""
    cpu_limit: str = ""
    cpu_request: str = ""


class ApplicationFacts(Value):
    """The Argo CD Application that is the target, or that keeps it."""

    ref: ObjectRef
    uid: str
    health: str
    sync: str
    phase: str
    """Of the latest operation."""
    message: str = Field(default="", max_length=400)
    syncs_itself: bool
    """Automated sync is on: Argo CD follows the repository, and refuses a rollback."""
    heals_itself: bool
    """It takes back by itself what is changed in the cluster."""
    is_drift: bool
    """The cluster differs from the very revision that was deployed last."""
    deployed: str
    deployed_at: datetime | None
    declared: str
    """The revision that a sync would go to."""
    repository: str = Field(default="", max_length=200)
    differing: tuple[str, ...] = Field(default=(), max_length=10)
    failures: tuple[str, ...] = Field(default=(), max_length=10)
    errors: tuple[str, ...] = Field(default=(), max_length=10)
    hangs: str = Field(default="", max_length=300)
    back: int | None
    """Entry of the history that a rollback would go to; None when there is none."""
    back_revision: str = ""
    back_is_proven: bool = False
    """It was seen healthy."""
    one_commit: bool = True
    """Reverting one commit of its repository takes the deployment back, as far as the Application shows."""
    declared_by: str = Field(default="", max_length=120)
    """The Application that declares this one; "" when nobody is seen to."""


class Evidence(Value):
    """All that was read for one incident at one moment.  It is kept in the ledger and referred to by its digest."""

    observed_at: datetime
    workload: WorkloadFacts | None
    """None when the target is gone or is not a workload with pods."""
    containers: tuple[ContainerSpec, ...] = ()
    pods: tuple[PodFacts, ...] = Field(default=(), max_length=50)
    signals: tuple[Signal, ...] = Field(default=(), max_length=50)
    """What the detectors say now; an incident whose signals are all gone needs nothing."""
    candidates: tuple[CandidateRevert, ...] = Field(default=(), max_length=10)
    """Best first; empty when there is no earlier revision."""
    subject: SubjectFacts | None = None
    """The target, when it is no workload with pods; None when it is gone, too."""
    application: ApplicationFacts | None = None
    """The Argo CD Application that keeps the target, or is it."""
    service: ServiceSummary | None = None
    """The target's wiring, when it is a Service."""
    claim: ClaimSummary | None = None
    """What there is for the target, when it is a volume claim."""
    aim: AimFacts | None = None
    """What the target scales, when it is an autoscaler."""
    crowding: tuple[Crowding, ...] = Field(default=(), max_length=5)
    """Who took the room that pods of the target wait for."""
    objects: tuple[ObjectCandidate, ...] = Field(default=(), max_length=20)
    """Ways back for the objects that the target depends on, or for the target itself; the newest change first."""
    rollout_is_recent: bool = False
    """The failing pods belong to the updating revision: the trouble follows a rollout."""
    events: tuple[EventFacts, ...] = Field(default=(), max_length=30)
    logs: tuple[LogExcerpt, ...] = Field(default=(), max_length=6)
    autoscaler: ObjectRef | None = None
    scope: tuple[Pin, ...] = Field(default=(), max_length=80)
    """The set of objects an action may name: the owner chain and its pods."""
    unseen: tuple[str, ...] = ()
    """What could not be read, and why: a conclusion must not lean on its absence."""


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
