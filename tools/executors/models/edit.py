"""The edit family: single fields of what was born broken and has no last known good, each with its type and bounds.

The rule: an action names one container or one Service and values of a closed form; there is no free patch, no removal
of a probe, no reading of a Secret, no toleration, no change of a Service's type.  What a value may be beside what is
there now (allowed registries, tightening only, nodes that exist) is judged by the executor, which sees the object.

Neighbours: `tools.executors.kubernetes.edit` carries them out; `tools.executors.actions` joins them with the others.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tools.executors.base import Action
from tools.executors.models.arguments import ContainerName, Name, Namespace, RollingKind
from tools.refs import ObjectRef

LONGEST_WORD: Final = 2048
"""Characters of one word of a command, or of a variable's value."""

PortNumber = Annotated[int, Field(ge=1, le=65535)]
PortName = Annotated[str, Field(pattern=r"^([0-9][-0-9]*)?[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
ServicePortName = ContainerName
Image = Annotated[str, Field(min_length=1, max_length=500)]
LabelKey = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
                                max_length=317)]  # fmt: skip
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=256)]
ConfigKey = Annotated[str, Field(pattern=r"^[-._A-Za-z0-9]+$", max_length=253)]
Word = Annotated[str, Field(max_length=LONGEST_WORD)]
ProbeName = Literal["liveness", "readiness", "startup"]
Requirement = Literal["node_affinity", "pod_affinity", "pod_anti_affinity"]

_KIND: Final = "Kind of the workload."
_NAMESPACE: Final = "Namespace of the workload."
_NAME: Final = "Name of the workload."
_CONTAINER: Final = "Name of the container in the pod template."


class Part(BaseModel):
    """One item of a list of arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SetImage(Action):
    """Give one container another image."""

    action: Literal["set_image"]
    kind: RollingKind = Field(description=_KIND)
    namespace: Namespace = Field(description=_NAMESPACE)
    name: Name = Field(description=_NAME)
    container: ContainerName = Field(description=_CONTAINER)
    image: Image = Field(description="Whole reference: registry/path:tag or registry/path@sha256:digest; never latest.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class SetProbe(Action):
    """Change where a probe asks or how patient it is."""

    action: Literal["set_probe"]
    kind: RollingKind = Field(description=_KIND)
    namespace: Namespace = Field(description=_NAMESPACE)
    name: Name = Field(description=_NAME)
    container: ContainerName = Field(description=_CONTAINER)
    probe: ProbeName = Field(description="Which probe; the container must have it.")
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=512)] | None = Field(
        description="New path of an HTTP probe; null leaves it."
    )
    port: PortNumber | PortName | None = Field(description="New port, number or name; null leaves it.")
    scheme: Literal["HTTP", "HTTPS"] | None = Field(description="New scheme of an HTTP probe; null leaves it.")
    initial_delay_seconds: Annotated[int, Field(ge=0, le=600)] | None = Field(description="Null leaves it.")
    period_seconds: Annotated[int, Field(ge=1, le=300)] | None = Field(description="Null leaves it.")
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] | None = Field(description="Null leaves it.")
    failure_threshold: Annotated[int, Field(ge=1, le=120)] | None = Field(description="Null leaves it.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class SetEnv(Action):
    """Add, change or remove one variable of a container's environment."""

    action: Literal["set_env"]
    kind: RollingKind = Field(description=_KIND)
    namespace: Namespace = Field(description=_NAMESPACE)
    name: Name = Field(description=_NAME)
    container: ContainerName = Field(description=_CONTAINER)
    variable: VariableName = Field(description="Name of the variable.")
    operation: Literal["literal", "config_map", "remove"] = Field(
        description="literal gives it `value`; config_map takes it from a key of a ConfigMap; remove takes it away."
    )
    value: Word | None = Field(description="The text for literal, never a secret; otherwise null.")
    config_map: Name | None = Field(description="Name of an existing ConfigMap of the namespace; otherwise null.")
    key: ConfigKey | None = Field(description="An existing key of that ConfigMap; otherwise null.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = (self.value is not None, self.config_map is not None, self.key is not None)
        wanted = {"literal": (True, False, False), "config_map": (False, True, True), "remove": (False, False, False)}
        if given != wanted[self.operation]:
            raise ValueError("literal takes value alone, config_map takes config_map and key, remove takes neither")
        return self

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class SetCommand(Action):
    """Change what a container runs."""

    action: Literal["set_command"]
    kind: RollingKind = Field(description=_KIND)
    namespace: Namespace = Field(description=_NAMESPACE)
    name: Name = Field(description=_NAME)
    container: ContainerName = Field(description=_CONTAINER)
    command: Annotated[tuple[Word, ...], Field(max_length=16)] | None = Field(
        description="New command, word by word; empty for the image's own; null leaves it."
    )
    args: Annotated[tuple[Word, ...], Field(max_length=32)] | None = Field(
        description="New arguments, word by word; empty for the image's own; null leaves them."
    )

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class NodeLabel(Part):
    """One entry of a node selector."""

    key: LabelKey = Field(description="Label of nodes; it must be in the present node selector.")
    value: LabelValue | None = Field(description="A value that a node bears; null takes the entry away.")


class SetPlacement(Action):
    """Let pods go to more of the nodes that there are."""

    action: Literal["set_placement"]
    kind: RollingKind = Field(description=_KIND)
    namespace: Namespace = Field(description=_NAMESPACE)
    name: Name = Field(description=_NAME)
    node_selector: Annotated[tuple[NodeLabel, ...], Field(max_length=8)] = Field(
        description="Entries of the node selector to change; empty leaves it."
    )
    drop_required: Annotated[tuple[Requirement, ...], Field(max_length=3)] = Field(
        description="Required affinities to remove; preferences stay. Empty leaves them."
    )
    soften_spread: bool = Field(description="Make every topology spread constraint a preference (ScheduleAnyway).")
    default_scheduler: bool = Field(description="Go back to the cluster's default scheduler.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class SetSecurityContext(Action):
    """Tighten what a container may do."""

    action: Literal["set_security_context"]
    kind: RollingKind = Field(description=_KIND)
    namespace: Namespace = Field(description=_NAMESPACE)
    name: Name = Field(description=_NAME)
    container: ContainerName = Field(description=_CONTAINER)
    run_as_non_root: bool = Field(description="True sets it; false leaves it as it is, here and below.")
    run_as_user: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        description="User id where none or 0 is set; null leaves it."
    )
    forbid_privilege_escalation: bool = Field(description="True sets allowPrivilegeEscalation to false.")
    drop_all_capabilities: bool = Field(description="True drops ALL.")
    runtime_default_seccomp: bool = Field(description="True sets the RuntimeDefault profile.")
    read_only_root_filesystem: bool = Field(description="True makes the root file system read-only.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class SelectorEntry(Part):
    """One label of a Service's selector."""

    key: LabelKey = Field(description="Label key.")
    value: LabelValue | None = Field(description="The value pods must bear; null takes the entry away.")


class ServicePort(Part):
    """Where one port of a Service leads."""

    port: PortNumber | ServicePortName = Field(description="The Service's port: its number, or its name.")
    target_port: PortNumber | PortName = Field(description="Port of the container: its number, or its name.")


class SetService(Action):
    """Lead a Service to the pods and ports it is meant for."""

    action: Literal["set_service"]
    namespace: Namespace = Field(description="Namespace of the Service.")
    name: Name = Field(description="Name of the Service.")
    selector: Annotated[tuple[SelectorEntry, ...], Field(max_length=8)] = Field(
        description="Entries of the selector to change; those not named stay. Empty leaves it."
    )
    ports: Annotated[tuple[ServicePort, ...], Field(max_length=8)] = Field(
        description="Target ports to change; ports not named stay. Empty leaves them."
    )

    @property
    def target(self) -> ObjectRef:
        """The Service."""
        return ObjectRef(kind="Service", namespace=self.namespace, name=self.name)


WorkloadEdit: TypeAlias = SetImage | SetProbe | SetEnv | SetCommand | SetPlacement | SetSecurityContext
"""Edits of the pod template of a Deployment, StatefulSet or DaemonSet."""
ContainerEdit: TypeAlias = SetImage | SetProbe | SetEnv | SetCommand | SetSecurityContext
"""Edits of one container of such a template."""
EditName = Literal[
    "set_image", "set_probe", "set_env", "set_command", "set_placement", "set_security_context", "set_service"
]
"""Names of the family; what a policy's `trusted_edits` may name."""
EDITS: Final[tuple[EditName, ...]] = get_args(EditName)
