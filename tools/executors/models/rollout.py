"""The model of the action that lets a held rollout go on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef


class ResumeRollout(Action):
    """Let the rollout of a Deployment that somebody paused go on."""

    action: Literal["resume_rollout"]
    namespace: Namespace = Field(description="Namespace of the Deployment.")
    name: Name = Field(description="Name of the Deployment; it must be paused.")

    @property
    def target(self) -> ObjectRef:
        """The Deployment."""
        return ObjectRef(kind="Deployment", namespace=self.namespace, name=self.name)
