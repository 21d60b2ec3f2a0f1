"""The models of actions on whole objects: put fields back, make a lost one again, remove one that does harm.

The rule: a version is named by its digest, which code enumerated; a manifest is never an argument.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef

RevertibleKind = Literal[
    "ConfigMap",
    "Service",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "CronJob",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "ServiceAccount",
    "ScaledObject",
    "ScaledJob",
]
RestorableKind = Literal[
    "ConfigMap",
    "Service",
    "ServiceAccount",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
]
RemovableKind = Literal["NetworkPolicy", "ResourceQuota", "LimitRange"]
VersionDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]


class RevertFields(Action):
    """Put the fields of an object back to an earlier or declared version of it."""

    action: Literal["revert_fields"]
    kind: RevertibleKind = Field(description="Kind of the object.")
    namespace: Namespace = Field(description="Namespace of the object.")
    name: Name = Field(description="Name of the object.")
    version: VersionDigest = Field(description="Version to go to; must be one of the object's candidates.")

    @property
    def target(self) -> ObjectRef:
        """The object."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class RestoreObject(Action):
    """Make an object that is gone again, as an earlier or declared version of it says."""

    action: Literal["restore_object"]
    kind: RestorableKind = Field(description="Kind of the object that is gone.")
    namespace: Namespace = Field(description="Namespace it was in.")
    name: Name = Field(description="Name it had.")
    version: VersionDigest = Field(description="Version to make; must be one of the object's candidates.")

    @property
    def target(self) -> ObjectRef:
        """The object that is gone."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class RemoveObject(Action):
    """Delete a network policy, quota or limit that came after the last known good state and does harm."""

    action: Literal["remove_object"]
    kind: RemovableKind = Field(description="Kind of the object.")
    namespace: Namespace = Field(description="Namespace of the object.")
    name: Name = Field(description="Name of the object; it must be one that the evidence names as the cause.")

    @property
    def target(self) -> ObjectRef:
        """The object."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)
