"""The models of actions on Crossplane's resources."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef

CustomKind = Annotated[
    str,
    Field(pattern=r"^[A-Z][A-Za-z0-9]{0,62}(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){2,}$", max_length=253),
]


class ExternalAction(Action):
    """What actions on one managed resource, composite or claim have in common."""

    kind: CustomKind = Field(description="Kind and group of the resource, such as Bucket.storage.example.org.")
    namespace: Namespace | None = Field(description="Its namespace; null for one that is in no namespace.")
    name: Name = Field(description="Its name.")

    @property
    def target(self) -> ObjectRef:
        """The resource."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class CrossplaneReconcileNow(ExternalAction):
    """Ask the controller of a resource to look at it now."""

    action: Literal["crossplane_reconcile_now"]


class CrossplaneResume(ExternalAction):
    """Let the controller of a paused resource go on."""

    action: Literal["crossplane_resume"]


CrossplaneAction: TypeAlias = CrossplaneReconcileNow | CrossplaneResume
