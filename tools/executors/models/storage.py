"""The models of actions on PersistentVolumeClaims."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace, Quantity
from tools.refs import ObjectRef


class OnClaim(Action):
    """What all of them have in common: one claim by name."""

    namespace: Namespace = Field(description="Namespace of the PersistentVolumeClaim.")
    name: Name = Field(description="Name of the PersistentVolumeClaim.")

    @property
    def target(self) -> ObjectRef:
        """The claim."""
        return ObjectRef(kind="PersistentVolumeClaim", namespace=self.namespace, name=self.name)


class ExpandPvc(OnClaim):
    """Ask for more room in a claim that is bound; it can never be made smaller again."""

    action: Literal["expand_pvc"]
    size: Quantity = Field(description="New size, such as 20Gi: more than the present one, within the policy's bound.")


class RemoveUnboundPvc(OnClaim):
    """Take a claim that is bound to nothing away, so that `recreate_unbound_pvc` can make it anew."""

    action: Literal["remove_unbound_pvc"]


class RecreateUnboundPvc(OnClaim):
    """Make the claim that an earlier step of the same plan removed anew, with another storage class."""

    action: Literal["recreate_unbound_pvc"]
    storage_class: Name = Field(
        description="Name of a storage class that exists or has a free volume, another one than the claim had."
    )


StorageAction: TypeAlias = ExpandPvc | RemoveUnboundPvc | RecreateUnboundPvc
