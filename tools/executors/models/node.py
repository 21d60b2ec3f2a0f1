"""The models of actions on a node.  A node is in no namespace: the policy's `cluster_mode` says how far they may go."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tools.executors.base import Action
from tools.executors.models.arguments import Name
from tools.refs import ObjectRef

TaintKey = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        max_length=317,
    ),
]
TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class OnNode(Action):
    """What all of them have in common: one node by name."""

    name: Name = Field(description="Name of the node.")

    @property
    def target(self) -> ObjectRef:
        """The node."""
        return ObjectRef(kind="Node", namespace=None, name=self.name)


class CordonNode(OnNode):
    """Let no new pods onto a node; those that run there stay."""

    action: Literal["cordon_node"]


class DrainNode(OnNode):
    """Empty a node: no new pods onto it, and those that are there moved away, within their disruption budgets."""

    action: Literal["drain_node"]


class UncordonNode(OnNode):
    """Let new pods onto a node again."""

    action: Literal["uncordon_node"]


class RemoveTaint(OnNode):
    """Take one taint off a node."""

    action: Literal["remove_taint"]
    key: TaintKey = Field(description="Key of the taint; those that the cluster's own controllers set are refused.")
    effect: TaintEffect = Field(description="Effect of the taint: a node may bear one key with several effects.")


NodeAction: TypeAlias = CordonNode | DrainNode | UncordonNode | RemoveTaint
