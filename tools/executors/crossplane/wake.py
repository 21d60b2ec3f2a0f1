"""`crossplane_reconcile_now` and `crossplane_resume`: one annotation each, and nothing else of the object.

The first writes the annotation by which a controller is asked for another look.  A controller that knows it looks at
once and answers in `status.lastHandledReconcileAt`; one that is older looks because an annotation changed, which ours
does in the same write.  The second takes the annotation away that made a controller stand still.

The rule: the pointer of the one annotation is all that is declared, so the guard refuses a dry run that shows anything
else, and `UNTOUCHABLE` is refused here before there is one.  Where a creation outside was begun and nobody knows how it
ended, nothing is done at all: a second one may come of it.

Neighbours: `facts` reads the object; `tools.cluster.catalogue` says which resources a person has listed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, TypeVar

from tools.cluster.catalogue import Catalogue
from tools.cluster.resources import Resource, WriteRequest
from tools.errors import NotFound
from tools.executors.base import Action, Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import Role
from tools.executors.kubernetes.common import mark_of, refuse
from tools.executors.models.crossplane import CrossplaneReconcileNow, CrossplaneResume, ExternalAction
from tools.executors.patch import fence, find, json_patch, operation, pointer, sign
from tools.executors.whole import is_deleting
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_object, dig_str, digest
from tools.refs import ObjectRef

Declared = Callable[[ObjectRef], JsonObject | None]
"""The manifest that people declared for an object; None when it is not declared or nothing is."""
E = TypeVar("E", bound=ExternalAction)

_HELD: Final = "held"
_ROLES: Final = frozenset({Role.MANAGED, Role.COMPOSITE, Role.CLAIM})
NOBODY: Final = Catalogue()


def nothing_declared(ref: ObjectRef) -> JsonObject | None:
    """There is no declared state."""
    del ref
    return None


class _AnnotationExecutor(Executor[E]):
    """One annotation of one listed resource.  `key` is the annotation; it is never one of `UNTOUCHABLE`."""

    key: ClassVar[str]
    permissions: ClassVar[tuple[Permission, ...]] = ()
    """None that are known before the cluster is: see `rights`."""
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    waits_for_rollout: ClassVar[bool] = False
    asks_by_annotation: ClassVar[bool] = True

    def __init__(self, catalogue: Catalogue = NOBODY) -> None:
        """Without a catalogue nothing is listed, and every order is refused.  Raises ValueError for a forbidden key."""
        if self.key in facts.UNTOUCHABLE or self.declared_fields != (pointer("metadata", "annotations", self.key),):
            raise ValueError(f"{self.key} is no annotation that may be written")
        self._catalogue = catalogue

    async def read(self, action: E, cluster: Reader) -> Situation:
        """Read the target.  Raises `ToolError`; NotFound for a kind that nobody listed or that is not served."""
        target = action.target
        resource = self._resource(action)
        if resource is None:
            raise NotFound(f"{target.kind} is no resource that SELFHEAL_CROSSPLANE_RESOURCES lists; list it there")
        live = await cluster.get(resource, target.name, target.namespace)
        return Situation(live, {_HELD: self._held(live)})

    def rights(self, action: E) -> Sequence[Permission]:
        """To patch this very kind."""
        resource = self._resource(action)
        return () if resource is None else (Permission("patch", resource),)

    def precondition(self, action: E, situation: Situation) -> Refused | None:
        """It is listed, it stays, and nothing outside is in doubt."""
        target, live, resource = action.target, situation.live, self._resource(action)
        role = facts.role_of(target.kind, self._catalogue.categories(target.kind))
        if resource is None or role not in _ROLES or not self._catalogue.may_patch(resource):
            return refuse(
                ReasonCode.NOT_ON_THE_LIST, f"{target.kind} is no managed resource, composite or claim that is listed."
            )
        if (dig_str(live, "metadata", "namespace") or None) != target.namespace:
            return refuse(ReasonCode.TARGET_OUT_OF_SCOPE, f"{target} is not in the namespace that was named.")
        if is_deleting(live):
            return refuse(ReasonCode.TARGET_DELETING, f"{target} is being deleted; what stands outside may go with it.")
        if facts.creation_is_uncertain(live):
            return refuse(
                ReasonCode.TARGET_PROTECTED,
                f"Whether {target} was created outside is not known: a person must look there first.",
            )
        return self.sense(action, live)

    @abstractmethod
    def sense(self, action: E, live: JsonObject) -> Refused | None:
        """None when the action makes sense on this object; pure."""

    def patch(self, action: E, live: JsonObject, mark: Mark, change: JsonObject) -> WriteRequest:
        """`change` behind its fence and our marks, which make the map of annotations where there is none."""
        resource = self._resource(action)
        if resource is None:
            raise ValueError(f"{action.target.kind} is not known any more")
        operations = [*fence(live), *sign(live, mark), change]
        return json_patch(resource, live, operations, field_manager=f"selfheal-{action.tool}")

    def was_applied(self, action: E, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """The mark tells; an unmoved version or the annotation as it was tells the contrary.

        The generation says nothing: an annotation does not move it.
        """
        if now is None or dig_str(now, "metadata", "uid") != dig_str(before.live, "metadata", "uid"):
            return Applied.UNKNOWN
        if mark_of(now) == mark.action_id:
            return Applied.YES
        versions = {dig_str(live, "metadata", "resourceVersion") for live in (now, before.live)}
        is_same = len(versions) == 1 or self._held(now) == before.support.get(_HELD)
        return Applied.NO if is_same else Applied.UNKNOWN

    def _resource(self, action: E) -> Resource | None:
        kind = action.target.kind
        return self._catalogue.find(kind) if "." in kind else None

    def _held(self, live: JsonObject) -> str:
        return digest(list(find(live, pointer("metadata", "annotations", self.key))))


class ReconcileNowExecutor(_AnnotationExecutor[CrossplaneReconcileNow]):
    """`crossplane_reconcile_now`: the controller is asked to look again."""

    action_type: ClassVar[type[Action]] = CrossplaneReconcileNow
    description: ClassVar[str] = (
        "Ask the controller of a Crossplane resource to look at it now instead of at its next turn. Helps when the "
        "controller has not seen the newest spec, or when an error still stands whose cause is gone. It does not help "
        "against an error that the outside system would give again: read the message first. Refused while the resource "
        "is paused, is being deleted, or it is not known whether it was created."
    )
    key: ClassVar[str] = facts.REQUESTED
    declared_fields: ClassVar[tuple[str, ...]] = (pointer("metadata", "annotations", facts.REQUESTED),)

    def sense(self, action: CrossplaneReconcileNow, live: JsonObject) -> Refused | None:
        """It is not paused: nobody would look."""
        if facts.is_paused(live):
            return refuse(ReasonCode.WORKLOAD_PAUSED, f"{action.target} is paused; its controller would not look.")
        return None

    def request(self, action: CrossplaneReconcileNow, situation: Situation, mark: Mark) -> WriteRequest:
        """A token that was never there before: the action's own id."""
        path = pointer("metadata", "annotations", self.key)
        return self.patch(action, situation.live, mark, operation("add", path, str(mark.action_id)))

    def postcondition(self, action: CrossplaneReconcileNow, before: Situation, after: Situation) -> Refused | None:
        """A new token stands there.  Whether its controller looked is for the verifier."""
        token = facts.annotation(after.live, self.key)
        if token and self._held(after.live) != before.support.get(_HELD):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} does not bear the request.")


class ResumeExecutor(_AnnotationExecutor[CrossplaneResume]):
    """`crossplane_resume`: the annotation that pauses is taken away."""

    action_type: ClassVar[type[Action]] = CrossplaneResume
    description: ClassVar[str] = (
        "Take the annotation crossplane.io/paused away, so that the controller of a Crossplane resource goes on. Helps "
        "when it was paused and forgotten, or paused against what is declared. What was changed meanwhile is then "
        "carried out outside the cluster, so a person decides unless the declared state has it running. Refused while "
        "the resource is being deleted, or it is not known whether it was created."
    )
    key: ClassVar[str] = facts.PAUSED
    declared_fields: ClassVar[tuple[str, ...]] = (pointer("metadata", "annotations", facts.PAUSED),)

    def __init__(self, catalogue: Catalogue = NOBODY, declared: Declared = nothing_declared) -> None:
        """`declared` tells what people wrote down; without it a person always decides."""
        super().__init__(catalogue)
        self._declared = declared

    def sense(self, action: CrossplaneResume, live: JsonObject) -> Refused | None:
        """It is paused, and not because somebody declared it so."""
        if not facts.is_paused(live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is not paused.")
        wanted = self._declared(action.target)
        if wanted is not None and facts.is_paused(wanted):
            return refuse(ReasonCode.WORKLOAD_PAUSED, f"{action.target} is declared paused; change that first.")
        return None

    def approval_reasons(self, action: CrossplaneResume, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Where nobody declared it running, only people know why it was paused."""
        if self._declared(action.target) is not None:
            return ()
        return (f"Somebody paused {action.target} and nothing declares how it should be: only people know why.",)

    def request(self, action: CrossplaneResume, situation: Situation, mark: Mark) -> WriteRequest:
        """Take the one annotation away."""
        path = pointer("metadata", "annotations", self.key)
        return self.patch(action, situation.live, mark, operation("remove", path))

    def postcondition(self, action: CrossplaneResume, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It is not there any more."""
        if self.key not in dig_object(after.live, "metadata", "annotations"):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still paused.")
