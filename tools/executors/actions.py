"""The closed set of actions as types: one frozen model each, joined in one union tagged by `action`.

Field descriptions are what a model is shown, so they say what a value means and what is refused.  A target is named by
kind, namespace and name; uids and resource versions are pinned by code and never asked for.
Adding an action: its model here, its executor in `tools.executors.kubernetes`, one line in `tools.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from tools.executors.base import Action
from tools.executors.models.argocd import ArgocdAction
from tools.executors.models.arguments import ContainerName, Name, Namespace, Quantity, RollingKind, ScalableKind
from tools.executors.models.autoscaling import SetHpaBounds
from tools.executors.models.batch import BatchAction
from tools.executors.models.crossplane import CrossplaneAction
from tools.executors.models.edit import SetService, WorkloadEdit
from tools.executors.models.keda import KedaAction
from tools.executors.models.node import NodeAction
from tools.executors.models.objects import RemoveObject, RestoreObject, RevertFields
from tools.executors.models.rollout import ResumeRollout
from tools.executors.models.script import RunScript
from tools.executors.models.storage import StorageAction
from tools.refs import ObjectRef


class RollbackWorkload(Action):
    """Put the pod template of an earlier revision back."""

    action: Literal["rollback_workload"]
    kind: RollingKind = Field(description="Kind of the workload.")
    namespace: Namespace = Field(description="Namespace of the workload.")
    name: Name = Field(description="Name of the workload.")
    to_revision: int = Field(ge=1, description="Revision number to go back to; must be one of the candidate reverts.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class RestartWorkload(Action):
    """Replace all pods of a workload, a few at a time, with the same template."""

    action: Literal["restart_workload"]
    kind: RollingKind = Field(description="Kind of the workload.")
    namespace: Namespace = Field(description="Namespace of the workload.")
    name: Name = Field(description="Name of the workload.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class ScaleWorkload(Action):
    """Set the replica count of a workload that no autoscaler owns."""

    action: Literal["scale_workload"]
    kind: ScalableKind = Field(description="Kind of the workload.")
    namespace: Namespace = Field(description="Namespace of the workload.")
    name: Name = Field(description="Name of the workload.")
    replicas: int = Field(ge=0, le=1000, description="Wanted number of pods; zero always needs a person's approval.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class SetResources(Action):
    """Change CPU or memory requests and limits of one container, within bounds relative to what they are."""

    action: Literal["set_resources"]
    kind: RollingKind = Field(description="Kind of the workload.")
    namespace: Namespace = Field(description="Namespace of the workload.")
    name: Name = Field(description="Name of the workload.")
    container: ContainerName = Field(description="Name of the container in the pod template.")
    memory_limit: Quantity | None = Field(description="New memory limit, such as 128Mi; null leaves it.")
    memory_request: Quantity | None = Field(description="New memory request; null leaves it.")
    cpu_limit: Quantity | None = Field(description="New CPU limit, such as 500m; null leaves it.")
    cpu_request: Quantity | None = Field(description="New CPU request; null leaves it.")

    @property
    def target(self) -> ObjectRef:
        """The workload."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class EvictPod(Action):
    """Ask for a pod to be moved away, respecting disruption budgets; its controller makes another."""

    action: Literal["evict_pod"]
    namespace: Namespace = Field(description="Namespace of the pod.")
    name: Name = Field(description="Name of the pod.")

    @property
    def target(self) -> ObjectRef:
        """The pod."""
        return ObjectRef(kind="Pod", namespace=self.namespace, name=self.name)


class DeletePod(Action):
    """Delete a pod that has finished, failed or is stuck, so that its controller makes another."""

    action: Literal["delete_pod"]
    namespace: Namespace = Field(description="Namespace of the pod.")
    name: Name = Field(description="Name of the pod; it must have a controller and must not be serving.")

    @property
    def target(self) -> ObjectRef:
        """The pod."""
        return ObjectRef(kind="Pod", namespace=self.namespace, name=self.name)


AnyAction: TypeAlias = Annotated[
    RollbackWorkload
    | RestartWorkload
    | ScaleWorkload
    | SetResources
    | EvictPod
    | DeletePod
    | ResumeRollout
    | NodeAction
    | BatchAction
    | StorageAction
    | SetHpaBounds
    | KedaAction
    | WorkloadEdit
    | SetService
    | RevertFields
    | RestoreObject
    | RemoveObject
    | CrossplaneAction
    | ArgocdAction
    | RunScript,
    Field(discriminator="action"),
]
ACTIONS: TypeAdapter[AnyAction] = TypeAdapter(AnyAction)
"""Parses an action from JSON: an unknown tag, a missing or an extra argument is a `pydantic.ValidationError`."""
