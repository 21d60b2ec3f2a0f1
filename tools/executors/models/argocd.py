"""The models of what is asked of Argo CD."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.refs import ObjectRef


class ApplicationAction(Action):
    """What actions on one Application have in common."""

    namespace: Namespace = Field(description="Namespace of the Application.")
    name: Name = Field(description="Name of the Application.")

    @property
    def target(self) -> ObjectRef:
        """The Application."""
        return ObjectRef(kind="Application", namespace=self.namespace, name=self.name)


class ArgocdRefresh(ApplicationAction):
    """Have Argo CD compare an Application with its source anew."""

    action: Literal["argocd_refresh"]
    is_hard: bool = Field(description="Whether to make the manifests anew too, instead of taking the cached ones.")


class ArgocdSync(ApplicationAction):
    """Have Argo CD bring the cluster to what an Application declares; it removes nothing."""

    action: Literal["argocd_sync"]


class ArgocdRollback(ApplicationAction):
    """Have Argo CD go back to an earlier entry of an Application's history; it removes nothing."""

    action: Literal["argocd_rollback"]
    entry: int = Field(ge=0, description="Id of the entry of the history to go back to.")


class ArgocdTerminateOperation(ApplicationAction):
    """Have Argo CD stop an operation that hangs."""

    action: Literal["argocd_terminate_operation"]


class ArgocdSetAutoSync(ApplicationAction):
    """Turn automated sync of an Application on or off."""

    action: Literal["argocd_set_auto_sync"]
    enabled: bool = Field(description="Whether Argo CD shall follow the repository by itself.")


ArgocdAction: TypeAlias = ArgocdRefresh | ArgocdSync | ArgocdRollback | ArgocdTerminateOperation | ArgocdSetAutoSync
