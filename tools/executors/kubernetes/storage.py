"""Actions on a PersistentVolumeClaim: more room for one that is bound, another storage class for one that is not.

The rule: a claim that is bound holds data, and nothing here ever deletes one.  Room that was given cannot be taken
back, so expanding always waits for a person.

A claim's class cannot be changed and its name is what pods refer to, so another class takes two calls: delete, create.
An action is one call, so these are two actions, planned as two steps of one plan: `remove_unbound_pvc` and
`recreate_unbound_pvc`.  Each has its intent, its dry run and its exact inverse; what one removed is in the ledger
before it is removed, and that is what the other makes anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Final

from tools.cluster.resources import PERSISTENT_VOLUME, PVC, STORAGE_CLASS, Resource, WriteRequest
from tools.errors import NotFound
from tools.executors.base import (
    Action,
    Applied,
    Earlier,
    Executor,
    InverseKind,
    Mark,
    Permission,
    Reader,
    Situation,
)
from tools.executors.compare import contains
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.storage import ExpandPvc, RecreateUnboundPvc, RemoveUnboundPvc
from tools.executors.patch import operation, pointer
from tools.executors.whole import MARKS, WHOLE, blank, create, delete, is_deleting, maker_of
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_object, dig_str
from tools.quantity import parse_quantity

DEFAULT_STORAGE_FACTOR: Final = 2
_SIZE: Final = ("spec", "resources", "requests", "storage")
_CLASS: Final = ("spec", "storageClassName")
_REMOVING: Final = "remove_unbound_pvc"
_REMAKE: Final = (Permission("create", PVC), Permission("delete", PVC))
"""Each of the two steps undoes what the other does."""
_LOOK_AGAIN: Final = 1.0
"""Seconds until the controller that protects claims has let an unused one go."""
_CONTROLLERS_NOTES: Final = ("volume.kubernetes.io/", "volume.beta.kubernetes.io/", "pv.kubernetes.io/")
"""Prefixes of annotations by which controllers remember how far provisioning and binding went."""


class ExpandPvcExecutor(PatchExecutor[ExpandPvc]):
    """`expand_pvc`.  `factor` is the policy's bound and does not change."""

    action_type: ClassVar[type[Action]] = ExpandPvc
    description: ClassVar[str] = (
        "Ask for more room in a claim that is bound. Helps when a volume is full or nearly so. Only where the claim's "
        "storage class allows it, and at most to twice the present size (the policy may say otherwise). A volume "
        "never becomes smaller again and room costs money, so a person always decides. It does not stop what fills "
        "the volume."
    )
    resource: ClassVar[Resource] = PVC
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_SIZE),)
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", PVC),)
    reads: ClassVar[tuple[Permission, ...]] = (Permission("get", STORAGE_CLASS),)
    inverse_kind: ClassVar[InverseKind] = InverseKind.NONE

    def __init__(self, factor: int = DEFAULT_STORAGE_FACTOR) -> None:
        """Raises ValueError for a factor below 1, under which nothing could be asked for."""
        if factor < 1:
            raise ValueError(f"storage factor {factor}: it must be at least 1")
        self._factor = factor

    async def read(self, action: ExpandPvc, cluster: Reader) -> Situation:
        """Read the claim, and whether its class allows expansion; a class that is gone allows nothing."""
        live = await cluster.get(PVC, action.name, action.namespace)
        found = await storage_class(dig_str(live, "spec", "storageClassName"), cluster)
        return self.situation(live, {"expandable": dig(found, "allowVolumeExpansion") is True})

    def precondition(self, action: ExpandPvc, situation: Situation) -> Refused | None:
        """The claim is bound and may grow, no growth is under way, and the size is more and not too much."""
        live = situation.live
        if not is_bound(live):
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"{action.target} is bound to nothing: nothing can grow.")
        if situation.support.get("expandable") is not True:
            name = dig_str(live, "spec", "storageClassName") or "(none)"
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"The class {name} of {action.target} does not allow it.")
        try:
            new, wanted, present = _sizes(action, live)
        except ValueError as error:
            return refuse(ReasonCode.INPUT_UNREADABLE, f"{action.target}: {error}.")
        if new == wanted:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} asks for {action.size} already.")
        if present < wanted:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is being expanded already.")
        if new < wanted:
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"{action.target} cannot become smaller than it is.")
        if new > wanted * self._factor:
            return refuse(
                ReasonCode.PARAM_OUT_OF_RANGE,
                f"{action.target}: {action.size} is more than {self._factor} times the present size.",
            )
        return None

    def request(self, action: ExpandPvc, situation: Situation, mark: Mark) -> WriteRequest:
        """Set the size that is asked for."""
        change = [operation("replace", pointer(*_SIZE), action.size)]
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: ExpandPvc, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """The size is asked for.  Whether the volume has it yet is for the driver."""
        asked = dig(after.live, *_SIZE)
        if asked is not None and parse_quantity(str(asked)) >= parse_quantity(action.size):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} does not ask for {action.size}.")


class RemoveUnboundPvcExecutor(Executor[RemoveUnboundPvc]):
    """`remove_unbound_pvc`: delete the claim that was read, while nothing is bound to it."""

    action_type: ClassVar[type[Action]] = RemoveUnboundPvc
    description: ClassVar[str] = (
        "Take away a claim that is bound to nothing and therefore holds no data. Only of use as the step before "
        "recreate_unbound_pvc in the same plan: a claim's storage class cannot be changed, so it is made anew. Should "
        "the next step fail, undoing makes the claim again as it was. A person always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = ()
    permissions: ClassVar[tuple[Permission, ...]] = _REMAKE
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    waits_for_rollout: ClassVar[bool] = False
    """Pods that wait for their volume are what holds the rollout up."""

    async def read(self, action: RemoveUnboundPvc, cluster: Reader) -> Situation:
        """Read the claim.  Raises `ToolError`."""
        return Situation(await cluster.get(PVC, action.name, action.namespace))

    def precondition(self, action: RemoveUnboundPvc, situation: Situation) -> Refused | None:
        """It is bound to nothing, and not on its way out."""
        if is_bound(situation.live):
            return refuse(ReasonCode.TARGET_PROTECTED, f"{action.target} is bound: it may hold data.")
        if is_deleting(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is being deleted already.")
        return None

    def approval_reasons(self, action: RemoveUnboundPvc, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: what stores data is people's."""
        return (f"{action.target} would be deleted to be made anew; a person must agree.",)

    def request(self, action: RemoveUnboundPvc, situation: Situation, mark: Mark) -> WriteRequest:  # noqa: ARG002
        """Delete that life at that version: a claim that is bound meanwhile has another one."""
        return delete(PVC, situation.live, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RemoveUnboundPvc, before: Situation, after: Situation) -> Refused | None:
        """The claim of that uid is on its way out or gone."""
        if _is_gone(before, after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still there.")

    def was_applied(self, action: RemoveUnboundPvc, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A claim of that uid that is gone or going is what was wanted."""
        return Applied.YES if now is None or _is_gone(before, now) else Applied.NO


class RecreateUnboundPvcExecutor(Executor[RecreateUnboundPvc]):
    """`recreate_unbound_pvc`: the claim that this plan removed, with another storage class.

    The manifest is the one that the removing step recorded before it deleted anything, as its way back; so a crash
    between the two steps loses nothing: the resumed plan finds it in the ledger, and so does an undo.  While the plan
    is judged the claim is still there.  The API server then answers the dry run with AlreadyExists, which it does only
    after validation and admission let the bytes pass.
    """

    action_type: ClassVar[type[Action]] = RecreateUnboundPvc
    description: ClassVar[str] = (
        "Make the claim that the step before removed (remove_unbound_pvc) anew, the same but for its storage class. "
        "Helps when a claim stays unbound because its class does not exist or provides nothing here. Refused for a "
        "class that does not exist and of which no volume is free, and where this plan removed no claim. A person "
        "always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (WHOLE,)
    permissions: ClassVar[tuple[Permission, ...]] = _REMAKE
    reads: ClassVar[tuple[Permission, ...]] = (
        Permission("get", STORAGE_CLASS),
        Permission("list", PERSISTENT_VOLUME),
    )
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    waits_for_rollout: ClassVar[bool] = False
    creates: ClassVar[bool] = True

    async def read(self, action: RecreateUnboundPvc, cluster: Reader) -> Situation:
        """Read what is there of that name, and whether the class exists or has a volume that somebody made by hand."""
        try:
            live = await cluster.get(PVC, action.name, action.namespace)
        except NotFound:
            live = {}
        found = bool(await storage_class(action.storage_class, cluster))
        return Situation(live, {"class_exists": found or await _has_free_volume(action.storage_class, cluster)})

    def recall(self, action: RecreateUnboundPvc, situation: Situation, earlier: Sequence[Earlier]) -> Situation:
        """With the manifest of the claim that this plan removed; until then of the one that is there to be removed."""
        for step in reversed(earlier):
            if (step.tool, step.target) == (_REMOVING, action.target):
                manifest, uid = dig_object(step.inverse, "manifest"), dig_str(step.inverse, "uid")
                return Situation(situation.live, {**situation.support, "manifest": manifest, "removed": uid})
        return situation

    def subject(self, action: RecreateUnboundPvc, situation: Situation) -> JsonObject:  # noqa: ARG002
        """The claim that was removed, or that is to be."""
        return dig_object(situation.support, "manifest") or situation.live

    def precondition(self, action: RecreateUnboundPvc, situation: Situation) -> Refused | None:
        """The class exists and is another one; the name is free, or an unbound claim stands there to be removed."""
        live, removed = situation.live, dig_str(situation.support, "removed")
        manifest = self.subject(action, situation)
        if live and dig_str(live, "metadata", "uid") == removed:
            gone = f"{action.target} is still on its way out."
            return Refused(
                code=ReasonCode.TARGET_DELETING, reason=gone, check="precondition", retry_after_seconds=_LOOK_AGAIN
            )
        if (live and removed) or (live and is_bound(live)):
            return refuse(ReasonCode.TARGET_EXISTS, f"{action.target} is there; nothing has to be made.")
        if not manifest:
            return refuse(ReasonCode.VERSION_UNKNOWN, f"This plan removed no {action.target}: {_REMOVING} comes first.")
        if situation.support.get("class_exists") is not True:
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"There is no storage class {action.storage_class}.")
        if dig_str(manifest, *_CLASS) == action.storage_class:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} has the class {action.storage_class} already.")
        return None

    def approval_reasons(self, action: RecreateUnboundPvc, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: where data is kept, and at what cost, is people's to say."""
        return (f"{action.target} would get its volume from the storage class {action.storage_class}.",)

    def request(self, action: RecreateUnboundPvc, situation: Situation, mark: Mark) -> WriteRequest:
        """Make it; the server refuses while the name is taken."""
        manifest = _of_class(self.subject(action, situation), action.storage_class)
        return create(PVC, manifest, mark, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RecreateUnboundPvc, before: Situation, after: Situation) -> Refused | None:
        """The claim is there again, of that class.  Whether it is bound is for the verifier."""
        wanted = dig_object(_of_class(self.subject(action, before), action.storage_class), "spec")
        if after.live and contains(dig_object(after.live, "spec"), wanted):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"There is no {action.target} of class {action.storage_class}.")

    def was_applied(
        self,
        action: RecreateUnboundPvc,  # noqa: ARG002
        before: Situation,  # noqa: ARG002
        now: JsonObject | None,
        mark: Mark,
    ) -> Applied:
        """A claim that bears our mark is ours; any other is somebody else's, and the API server refused ours."""
        return Applied.YES if now is not None and maker_of(now) == mark.action_id else Applied.NO


async def storage_class(name: str, cluster: Reader) -> JsonObject:
    """A StorageClass by name; empty when there is none of that name, or no name.  Raises `ToolError`."""
    if not name:
        return {}
    try:
        return await cluster.get(STORAGE_CLASS, name)
    except NotFound:
        return {}


async def _has_free_volume(name: str, cluster: Reader) -> bool:
    """Whether a volume of that class waits for a claim; a class needs no object of its own for that."""
    return any(
        dig_str(v, "spec", "storageClassName") == name and dig_str(v, "status", "phase") == "Available"
        for v in await cluster.list(PERSISTENT_VOLUME)
    )


def is_bound(claim: JsonObject) -> bool:
    """Whether the claim has, or is getting, a volume; one that lost its volume still counts: it may hold data."""
    return bool(dig_str(claim, "spec", "volumeName")) or dig_str(claim, "status", "phase") not in {"", "Pending"}


def _is_gone(before: Situation, now: JsonObject) -> bool:
    return dig(now, "metadata", "uid") != dig(before.live, "metadata", "uid") or is_deleting(now)


def _of_class(claim: JsonObject, name: str) -> JsonObject:
    """A new claim like `claim`, of that class, without what controllers noted on the old one while it waited."""
    made = blank(claim)
    notes = dig_object(made, "metadata", "annotations")
    kept = {k: v for k, v in notes.items() if k not in MARKS and not k.startswith(_CONTROLLERS_NOTES)}
    metadata: JsonObject = {**dig_object(made, "metadata"), "annotations": kept}
    head: JsonObject = {"apiVersion": PVC.api_version, "kind": PVC.kind}
    return {**made, **head, "metadata": metadata, "spec": {**dig_object(made, "spec"), "storageClassName": name}}


def _sizes(action: ExpandPvc, claim: JsonObject) -> tuple[Decimal, Decimal, Decimal]:
    """(new, asked for, had), in bytes.  Raises ValueError for what is no quantity."""
    wanted = parse_quantity(str(dig(claim, *_SIZE)))
    had = dig(claim, "status", "capacity", "storage")
    return parse_quantity(action.size), wanted, wanted if had is None else parse_quantity(str(had))
