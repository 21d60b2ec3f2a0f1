"""The form of an action that another system carries out: Argo CD, a script.

It is an `Executor` whose request is a call to a port.  The API server cannot show what such a call would change, so
three questions are asked of the executor instead: whether we may, what takes it back, and what stands of it.

The rule is the same: an executor decides nothing and sends nothing.

Neighbours: `calls` is what the door sends, `argocd` and `script` are of this form, `tools.guard` asks.
"""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from tools.executors.base import A, Executor, InverseKind, Mark, Situation
from tools.executors.calls import RemoteRequest
from tools.jsontypes import JsonObject
from tools.refs import ActionId, ObjectRef


class RemoteInverse(BaseModel):
    """The recorded way back from a call to another system, computed before the call is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["remote"] = "remote"
    target: ObjectRef
    uid: str
    port: str
    call: str | None
    """What takes it back; None when nothing of ours has to, and then `sentence` says why."""
    arguments: JsonObject
    sentence: str
    """What is restored, or who sees to that."""
    maker: ActionId
    """The action that this takes back: how what it left behind is known again."""

    def request(self, mark: Mark) -> RemoteRequest:
        """The call that takes it back, marked as ours.  Before: `call` is not None."""
        arguments: JsonObject = {**self.arguments, "action": mark.action_id, "incident": mark.incident_id}
        return RemoteRequest(self.port, self.target, self.call or "", arguments)


class Stands(StrEnum):
    """What stands of a call of ours."""

    OURS = "ours"
    """It is as we left it: taking it back overwrites nobody."""
    GOING = "going"
    """It is still being carried out; in a moment there is more to see."""
    UNDONE = "undone"
    """It has been taken back."""
    FOREIGN = "foreign"
    """Somebody acted there after us; taking ours back would overwrite theirs."""
    UNTELLABLE = "untellable"
    """It cannot be told.  Unknown state means stop and tell."""


class RemoteExecutor(Executor[A]):
    """One action that is carried out through a port.

    There are no declared fields: what the call changes is not seen before it is made, so what can be refused is refused
    by the precondition.
    """

    port: ClassVar[str]
    declared_fields = ()
    permissions = ()
    inverse_kind = InverseKind.EXACT
    """Exact in that it is recorded; `way_back` may say that a person must agree by giving none."""
    waits_for_rollout = False

    @abstractmethod
    def request(self, action: A, situation: Situation, mark: Mark) -> RemoteRequest:
        """The one call; pure.  Before: `precondition` gave None for the same situation."""

    @abstractmethod
    def is_permitted(self, action: A, situation: Situation) -> bool:
        """Whether the other system says that our identity may do it, as it was read; pure."""

    @abstractmethod
    def way_back(self, action: A, situation: Situation, mark: Mark) -> RemoteInverse | None:
        """What takes it back, or why nothing has to; None when it cannot be taken back.  Pure."""

    @abstractmethod
    def stands(self, inverse: RemoteInverse, live: JsonObject, undo_id: ActionId, *, was_tried: bool) -> Stands:
        """What stands of the call; `was_tried` when taking it back was begun before and its answer is not known.  Pure.

        `live` is the target, empty when it is not there.
        """
