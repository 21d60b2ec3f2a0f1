"""What is known of an incident's object and its surroundings, as values: facts without judgement, and the candidates
that code found for putting things back.

Plain data that survives a round trip through JSON: it is stored in checkpoints, so a renamed field or class is a
migration.  Neighbours: `graph.evidence` and the readers around it fill these in, `graph.incident` says what the
trouble is, `graph.rules` and `graph.model` conclude.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from graph.incident import Signal, Value
from tools.refs import ObjectRef, Pin


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
    """What an autoscaler scales or a Service leads to, and the earlier templates of that, best first."""

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
    """What the target scales, when it is an autoscaler; of a Service that is as it was when it was good, the workload
    that gave up its ports, with the revisions that have them."""
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
