"""Pods and their templates as structs: what runs, what it needs, and how it is.

The rule of `objects` holds: no values of environment variables, only names and where they come from.
Neighbours: `workloads` uses `PodTemplate`; import from `objects`, which re-exports everything here.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import field

from tools.cluster.resources import POD
from tools.cluster.structs import Condition, KubeObject, Lax, ObjectMeta, Wire, condition


class KeyRef(Wire, frozen=True, gc=False):
    """A ConfigMap or Secret, and one key of it ("" for all keys)."""

    name: Lax[str] = ""
    key: Lax[str] = ""
    optional: Lax[bool] = False


class EnvSource(Wire, frozen=True, gc=False):
    """Where a variable's value comes from, when it is not written down."""

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class EnvVar(Wire, frozen=True, gc=False):
    """A variable's name and source.  Its value is never read."""

    name: Lax[str] = ""
    value_from: EnvSource | None = None


class EnvFrom(Wire, frozen=True, gc=False):
    """All keys of a ConfigMap or Secret as variables."""

    prefix: Lax[str] = ""
    config_map_ref: KeyRef | None = None
    secret_ref: KeyRef | None = None


class ContainerPort(Wire, frozen=True, gc=False):
    """A port the container says it listens on."""

    name: Lax[str] = ""
    container_port: Lax[int] = 0
    protocol: Lax[str] = "TCP"


class ResourceNeeds(Wire, frozen=True, gc=False):
    """Quantities as written, `128Mi` or `0.5`."""

    requests: Lax[dict[str, str | int | float]] = field(default_factory=dict[str, str | int | float])
    limits: Lax[dict[str, str | int | float]] = field(default_factory=dict[str, str | int | float])


class HttpGet(Wire, frozen=True, gc=False):
    """An HTTP probe's target."""

    path: Lax[str] = ""
    port: int | str | None = None
    scheme: Lax[str] = "HTTP"


class SocketPort(Wire, frozen=True, gc=False):
    """A TCP or gRPC probe's target."""

    port: int | str | None = None


class ExecAction(Wire, frozen=True, gc=False):
    """A command probe."""

    command: Lax[tuple[str, ...]] = ()


class Probe(Wire, frozen=True, gc=False):
    """A probe with Kubernetes' own defaults; seconds."""

    http_get: HttpGet | None = None
    tcp_socket: SocketPort | None = None
    grpc: SocketPort | None = None
    exec: ExecAction | None = None
    initial_delay_seconds: Lax[int] = 0
    period_seconds: Lax[int] = 10
    timeout_seconds: Lax[int] = 1
    failure_threshold: Lax[int] = 3
    success_threshold: Lax[int] = 1

    @property
    def budget_seconds(self) -> int:
        """How long a container may fail this probe before it counts, from its start."""
        return self.initial_delay_seconds + self.period_seconds * self.failure_threshold


class Container(Wire, frozen=True, gc=False):
    """One container of a template.  `restart_policy` is "Always" for sidecars among the init containers."""

    name: Lax[str] = ""
    image: Lax[str] = ""
    command: Lax[tuple[str, ...]] = ()
    args: Lax[tuple[str, ...]] = ()
    env: Lax[tuple[EnvVar, ...]] = ()
    env_from: Lax[tuple[EnvFrom, ...]] = ()
    ports: Lax[tuple[ContainerPort, ...]] = ()
    resources: Lax[ResourceNeeds] = ResourceNeeds()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    image_pull_policy: Lax[str] = ""
    restart_policy: Lax[str] = ""


class ConfigMapVolume(Wire, frozen=True, gc=False):
    """A mounted ConfigMap."""

    name: Lax[str] = ""
    optional: Lax[bool] = False


class SecretVolume(Wire, frozen=True, gc=False):
    """A mounted Secret, by name only."""

    secret_name: Lax[str] = ""
    optional: Lax[bool] = False


class ClaimVolume(Wire, frozen=True, gc=False):
    """A mounted PersistentVolumeClaim."""

    claim_name: Lax[str] = ""


class EmptyDir(Wire, frozen=True, gc=False):
    """Scratch space that is lost with the pod."""

    medium: Lax[str] = ""


class ProjectedSource(Wire, frozen=True, gc=False):
    """One source of a projected volume."""

    config_map: ConfigMapVolume | None = None
    secret: KeyRef | None = None


class ProjectedVolume(Wire, frozen=True, gc=False):
    """Several sources in one folder."""

    sources: Lax[tuple[ProjectedSource, ...]] = ()


class Volume(Wire, frozen=True, gc=False):
    """What a volume refers to; a kind of volume we do not follow has only its name."""

    name: Lax[str] = ""
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    empty_dir: EmptyDir | None = None
    projected: ProjectedVolume | None = None


class Toleration(Wire, frozen=True, gc=False):
    """A taint the pod does not mind."""

    key: Lax[str] = ""
    operator: Lax[str] = "Equal"
    value: Lax[str] = ""
    effect: Lax[str] = ""


class PodSpec(Wire, frozen=True, gc=False):
    """What shall run, and where it may."""

    containers: Lax[tuple[Container, ...]] = ()
    init_containers: Lax[tuple[Container, ...]] = ()
    node_name: Lax[str] = ""
    restart_policy: Lax[str] = "Always"
    node_selector: Lax[dict[str, str]] = field(default_factory=dict[str, str])
    priority_class_name: Lax[str] = ""
    priority: Lax[int] = 0
    service_account_name: Lax[str] = ""
    dns_policy: Lax[str] = ""
    termination_grace_period_seconds: Lax[int] = 30
    tolerations: Lax[tuple[Toleration, ...]] = ()
    volumes: Lax[tuple[Volume, ...]] = ()


class PodTemplate(Wire, frozen=True, gc=False):
    """The pod that a controller makes."""

    metadata: Lax[ObjectMeta] = ObjectMeta()
    spec: Lax[PodSpec] = PodSpec()


class Waiting(Wire, frozen=True, gc=False):
    """Not started; `reason` says why (CrashLoopBackOff, ErrImagePull, ContainerCreating...)."""

    reason: Lax[str] = ""
    message: Lax[str] = ""


class Running(Wire, frozen=True, gc=False):
    """Runs since then."""

    started_at: datetime | None = None


class Terminated(Wire, frozen=True, gc=False):
    """Ended; the earliest sign of a crash, seconds before the back-off shows."""

    exit_code: Lax[int] = 0
    signal: Lax[int] = 0
    reason: Lax[str] = ""
    message: Lax[str] = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Wire, frozen=True, gc=False):
    """At most one of the three is set; none means waiting, for a reason nobody wrote down."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Wire, frozen=True, gc=False):
    """How one container is; `last_state` is the run before the last restart."""

    name: Lax[str] = ""
    image: Lax[str] = ""
    image_id: Lax[str] = field(default="", name="imageID")
    ready: Lax[bool] = False
    started: bool | None = None
    restart_count: Lax[int] = 0
    state: Lax[ContainerState] = ContainerState()
    last_state: Lax[ContainerState] = ContainerState()


class PodStatus(Wire, frozen=True, gc=False):
    """How the pod is.  `reason` and `message` are set on eviction and node loss."""

    phase: Lax[str] = ""
    reason: Lax[str] = ""
    message: Lax[str] = ""
    conditions: Lax[tuple[Condition, ...]] = ()
    container_statuses: Lax[tuple[ContainerStatus, ...]] = ()
    init_container_statuses: Lax[tuple[ContainerStatus, ...]] = ()
    start_time: datetime | None = None
    pod_ip: Lax[str] = field(default="", name="podIP")
    nominated_node_name: Lax[str] = ""
    qos_class: Lax[str] = ""


class Pod(KubeObject, frozen=True, gc=False):
    """One pod.  While it is being deleted its phase may pass through Failed, which is no failure."""

    kind = POD.kind
    api_version = POD.api_version

    spec: Lax[PodSpec] = PodSpec()
    status: Lax[PodStatus] = PodStatus()

    @property
    def is_ready(self) -> bool:
        """True while the Ready condition is True."""
        ready = condition(self.status.conditions, "Ready")
        return ready is not None and ready.status == "True"

    @property
    def restarts(self) -> int:
        """Restarts of all containers, init containers too."""
        return sum(c.restart_count for c in (*self.status.container_statuses, *self.status.init_container_statuses))
