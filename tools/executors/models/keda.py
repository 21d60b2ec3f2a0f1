"""The models of the actions on KEDA's ScaledObjects and ScaledJobs."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef

KedaKind = Literal["ScaledObject", "ScaledJob"]
Least = Annotated[int, Field(ge=0, le=1000)]
Greatest = Annotated[int, Field(ge=1, le=1000)]


class PauseAction(Action):
    """What holding and letting go have in common."""

    kind: KedaKind = Field(description="Kind of the object: ScaledObject or ScaledJob.")
    namespace: Namespace = Field(description="Namespace of the object.")
    name: Name = Field(description="Name of the object.")

    @property
    def target(self) -> ObjectRef:
        """The ScaledObject or ScaledJob."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class KedaResume(PauseAction):
    """Let KEDA scale again what somebody paused."""

    action: Literal["keda_resume"]


class KedaPause(PauseAction):
    """Have KEDA leave a workload at the replicas it has, or start no more Jobs."""

    action: Literal["keda_pause"]


class KedaSetBounds(Action):
    """Change between how many replicas KEDA may choose, within bounds relative to what they are."""

    action: Literal["keda_set_bounds"]
    namespace: Namespace = Field(description="Namespace of the ScaledObject.")
    name: Name = Field(description="Name of the ScaledObject.")
    min_replicas: Least | None = Field(description="New lower bound (minReplicaCount); null leaves it.")
    max_replicas: Greatest | None = Field(description="New upper bound (maxReplicaCount); null leaves it.")

    @property
    def target(self) -> ObjectRef:
        """The ScaledObject."""
        return ObjectRef(kind="ScaledObject", namespace=self.namespace, name=self.name)


KedaAction: TypeAlias = KedaResume | KedaPause | KedaSetBounds
