"""The model of the action on a HorizontalPodAutoscaler."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef

Replicas = Annotated[int, Field(ge=1, le=1000)]


class SetHpaBounds(Action):
    """Change between how many replicas an autoscaler may choose, within bounds relative to what they are."""

    action: Literal["set_hpa_bounds"]
    namespace: Namespace = Field(description="Namespace of the HorizontalPodAutoscaler.")
    name: Name = Field(description="Name of the HorizontalPodAutoscaler.")
    min_replicas: Replicas | None = Field(description="New lower bound; null leaves it.")
    max_replicas: Replicas | None = Field(description="New upper bound; null leaves it.")

    @property
    def target(self) -> ObjectRef:
        """The autoscaler."""
        return ObjectRef(kind="HorizontalPodAutoscaler", namespace=self.namespace, name=self.name)
