"""The form every action takes: arguments, preconditions, request, postcondition, inverse.

An `Action` is a value (what to do to what).  An `Executor` knows one family member of them: it reads the situation,
says whether the action makes sense in it, builds the one API call, and says afterwards whether the call did what it
should. All of it is pure but `read`; the call itself is made in one place, `tools.guard.door`, which first sends the
same bytes as a server-side dry run and checks that nothing but the declared fields changes.

The rule: an executor never decides *that* something is done, and never calls the API to write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from tools.cluster.resources import Resource, Verb
from tools.executors.calls import Call
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, digest
from tools.refs import ActionId, IncidentId, ObjectRef

ACTION_ID = "selfheal.dev/action-id"
INCIDENT_ID = "selfheal.dev/incident-id"
OWN_PREFIX = "selfheal.dev/"
"""Annotations under this prefix are our marks; they never count as a difference."""


class Action(BaseModel, ABC):
    """One typed operation.  Subclasses add a `Literal` tag `action` and their arguments; nothing else gets in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def tool(self) -> str:
        """The tag: the name of the action on the whitelist."""
        return str(self.model_dump(include={"action"})["action"])

    @property
    @abstractmethod
    def target(self) -> ObjectRef:
        """The object that is written."""

    @property
    def digest(self) -> str:
        """One string per operation and arguments: what "the same action again" means."""
        arguments: JsonObject = self.model_dump(mode="json")
        return digest(arguments)


class InverseKind(StrEnum):
    """What can be said about taking the action back."""

    EXACT = "exact"
    """Every field that changed is restored to the byte by one compare-and-swap."""
    BY_CONTROLLER = "by_controller"
    """A controller restores the state by itself (it replaces an evicted pod); there is nothing for us to undo."""
    NONE = "none"
    """It cannot be taken back: a person must agree first."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One right the action needs, as RBAC spells it."""

    verb: Verb
    resource: Resource
    subresource: str = ""


def _nothing() -> JsonObject:
    return {}


@dataclass(frozen=True, slots=True)
class Situation:
    """What an executor read for one action, at one moment.

    `live` is the target as the API server holds it; `support` is whatever else the executor decides on, under keys that
    only this executor knows (the revision to go back to, the owner of a pod).
    """

    live: JsonObject
    support: JsonObject = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A write that an earlier step of the same plan made, from the ledger; `inverse` is its way back as recorded."""

    tool: str
    target: ObjectRef
    inverse: JsonObject


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written onto the target, so that a later reader knows who did it and a restart knows that it happened."""

    action_id: ActionId
    incident_id: IncidentId


class Reader(Protocol):
    """The reading half of `tools.cluster.client.Cluster`."""

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        """One object; NotFound when it is not there."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
    ) -> list[JsonObject]:
        """All objects that match, over all pages."""
        ...


class Applied(StrEnum):
    """What reading the object back says about a write whose answer was lost."""

    YES = "yes"
    """The object bears the action's mark, or its effect cannot be anybody else's."""
    NO = "no"
    """The object is as it was before: the write did not happen."""
    UNKNOWN = "unknown"
    """Neither can be shown.  Unknown state means stop and tell."""


A = TypeVar("A", bound=Action)


class Executor(ABC, Generic[A]):
    """One action in full.  Instances hold no state."""

    action_type: ClassVar[type[Action]]
    description: ClassVar[str]
    """One paragraph for people and models: what it does, when it helps, what it costs."""
    declared_fields: ClassVar[tuple[str, ...]]
    """JSON pointers of the fields that may change; a pointer covers everything below it.  Status, metadata that the
    server manages and our own marks are always permitted.  A segment `*` stands for any one segment; `fields` narrows
    it.  Empty for calls that remove the target."""
    permissions: ClassVar[tuple[Permission, ...]]
    """What RBAC must grant for the write (reads are granted once, for all)."""
    reads: ClassVar[tuple[Permission, ...]] = ()
    """What must be readable for this action alone, beyond what every installation reads."""
    inverse_kind: ClassVar[InverseKind]
    disrupts: ClassVar[bool]
    """Whether running pods may be replaced or removed by it."""
    moves_replicas: ClassVar[bool] = False
    """Whether it writes the replica count, which an autoscaler may own."""
    waits_for_rollout: ClassVar[bool] = True
    """Whether a rollout under way stands against it.  False for what only clears away a pod that has failed."""
    asks_by_annotation: ClassVar[bool] = False
    """Whether all it writes is an annotation by which a controller is asked for something.  Who keeps the object as
    declared keeps such a note only where he wrote it himself."""
    creates: ClassVar[bool] = False
    """Whether the target is to be made: `Situation.live` is empty while it is not there, and the precondition refuses
    one that is."""

    def said(self) -> str:
        """The description, with what this installation adds to it."""
        return self.description

    def kinds(self) -> frozenset[str]:
        """Kinds of the objects it is about; empty when it may be any."""
        return frozenset(right.resource.kind for right in self.permissions)

    @abstractmethod
    async def read(self, action: A, cluster: Reader) -> Situation:
        """Read the target and what the decision needs.  Raises `ToolError`: NotFound when the target is not there."""

    def recall(self, action: A, situation: Situation, earlier: Sequence[Earlier]) -> Situation:  # noqa: ARG002
        """The situation with what this plan did before, oldest first; pure.  Only a step that completes another."""
        return situation

    def foresee(self, action: A, situation: Situation, ahead: Sequence[Action]) -> Situation:  # noqa: ARG002
        """The situation that earlier steps of this plan are to bring about, which are not carried out yet; pure.

        Only a step that another one makes possible; then `is_early` is true of what comes out here.
        """
        return situation

    def is_early(self, action: A, situation: Situation) -> bool:  # noqa: ARG002 - for overriding
        """Whether it is merely foreseen that the action makes sense: it can be judged, and is not sent.  Pure."""
        return False

    @abstractmethod
    def precondition(self, action: A, situation: Situation) -> Refused | None:
        """None when the action makes sense in this situation; pure."""

    @abstractmethod
    def request(self, action: A, situation: Situation, mark: Mark) -> Call:
        """The one API call, with uid and resourceVersion of `situation.live` as its preconditions; pure.

        Before: `precondition` gave None for the same situation.
        """

    @abstractmethod
    def postcondition(self, action: A, before: Situation, after: Situation) -> Refused | None:
        """None when `after`, read after the call, holds what the action promises.  It does not say that this healed."""

    @abstractmethod
    def was_applied(self, action: A, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:
        """Read-back after a crash or a lost answer; `now` is the target as it stands, None when it is gone; pure."""

    def rights(self, action: A) -> Sequence[Permission]:
        """What our identity must hold for this very order; overridden where the kind is known only at run time."""
        return [right for right in self.permissions if right.resource.kind == action.target.kind]

    def fields(self, action: A, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002 - for overriding
        """Exact JSON pointers of what this very request may change; within `declared_fields`."""
        return self.declared_fields

    def approval_reasons(self, action: A, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002 - for overriding
        """Sentences saying why a person must agree although the policy would not ask; empty when none must.  Pure."""
        return ()

    def default_reasons(self, action: A, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002 - for overriding
        """The same, for what the policy may lift: they count unless it trusts the action there (`trusted_edits`)."""
        return ()

    def subject(self, action: A, situation: Situation) -> JsonObject:  # noqa: ARG002 - for overriding
        """The manifest by which the guard tells owner, mode and protection: the live one, or the one to be made."""
        return situation.live

    def reaches(self, action: A, situation: Situation) -> frozenset[str]:  # noqa: ARG002 - for overriding
        """Namespaces beside the target's own in which something changes; what the policy says of them counts too."""
        return frozenset()

    def is_stopped_by_rollout(self, action: A) -> bool:  # noqa: ARG002 - for overriding
        """Whether a rollout of the owner stands against this very action."""
        return self.waits_for_rollout

    def writes_replicas(self, action: A, situation: Situation) -> bool:  # noqa: ARG002 - for overriding
        """Whether this very request writes the replica count; asked only where `moves_replicas`."""
        return self.moves_replicas

    def needs_failure(self, action: A, situation: Situation) -> bool:  # noqa: ARG002 - for overriding
        """Whether only a failure justifies it, since nobody declared what it brings about.  Pure."""
        return False

    def settles(self, action: A) -> Sequence[ObjectRef]:
        """The workloads whose health tells whether the action helped; the target itself unless overridden."""
        return (action.target,)
