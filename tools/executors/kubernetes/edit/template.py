"""What the edits of a pod template have in common: one workload, a few typed fields, one fenced and signed patch.

The rule: an edit writes what nobody has seen work, so a person is asked unless the policy trusts the edit in that
namespace (`trusted_edits`).  Each says which fields it wants (`wanted`) and what speaks against them (`objection`);
refusing, patching, declaring and checking afterwards follow from that.

Neighbours: `wanted` makes patches of fields; the other modules of this folder have one action each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final, TypeVar

from tools.cluster.resources import Resource, WriteRequest
from tools.executors.base import Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.kubernetes.common import TEMPLATE, WORKLOADS, is_paused, may_patch, read_back, refuse
from tools.executors.kubernetes.edit.wanted import Path, Wanted, declared, operations, pending
from tools.executors.models.edit import (
    SetCommand,
    SetEnv,
    SetImage,
    SetPlacement,
    SetProbe,
    SetSecurityContext,
    SetService,
)
from tools.executors.patch import fence, json_patch, operation, pointer, sign
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str

LISTS: Final = ("containers", "initContainers")
"""Where a pod template has containers; their names are unique over both."""

E = TypeVar("E", SetImage, SetProbe, SetEnv, SetCommand, SetPlacement, SetSecurityContext, SetService)
C = TypeVar("C", SetImage, SetProbe, SetEnv, SetCommand, SetSecurityContext)


class EditExecutor(Executor[E]):
    """An edit of some fields of one object."""

    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT

    @abstractmethod
    def resource(self, action: E) -> Resource:
        """The API resource that is written."""

    @abstractmethod
    def wanted(self, action: E, live: JsonObject) -> tuple[Wanted, ...] | Refused:
        """The fields as they should be, whatever they are now; a refusal where the object has no such place.  Pure."""

    def objection(self, action: E, situation: Situation) -> Refused | None:  # noqa: ARG002 - for overriding
        """What speaks against the values beside their form; None when nothing does.  Pure."""
        return None

    def fence(self, action: E, live: JsonObject) -> list[JsonObject]:  # noqa: ARG002 - for overriding
        """Operations that refuse the patch when its paths do not lead where they led."""
        return []

    async def read(self, action: E, cluster: Reader) -> Situation:
        """Read the object.  Raises `ToolError`."""
        return Situation(await cluster.get(self.resource(action), action.name, action.namespace))

    def fields(self, action: E, situation: Situation) -> tuple[str, ...]:
        """What this very request changes."""
        wanted = self.wanted(action, situation.live)
        return () if isinstance(wanted, Refused) else declared(situation.live, wanted)

    def precondition(self, action: E, situation: Situation) -> Refused | None:
        """The place exists, nothing speaks against the values, and something would change."""
        if is_paused(situation.live):
            return refuse(ReasonCode.WORKLOAD_PAUSED, f"{action.target} is paused; an edit would not take effect.")
        wanted = self.wanted(action, situation.live)
        if isinstance(wanted, Refused):
            return wanted
        if found := self.objection(action, situation):
            return found
        if not pending(situation.live, wanted):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is as {action.tool} would make it already.")
        return None

    def default_reasons(self, action: E, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody has seen it work."""
        return (f"What {action.tool} would make of {action.target} was never known to work.",)

    def request(self, action: E, situation: Situation, mark: Mark) -> WriteRequest:
        """One patch: fence, the fields, our marks."""
        body = [*fence(situation.live), *self.changes(action, situation.live), *sign(situation.live, mark)]
        return json_patch(self.resource(action), situation.live, body, field_manager=f"selfheal-{action.tool}")

    def changes(self, action: E, live: JsonObject) -> list[JsonObject]:
        """The patch operations between the fences and our marks.  Before: `wanted` refuses nothing."""
        wanted = self.wanted(action, live)
        if isinstance(wanted, Refused):
            return []
        return self.fence(action, live) + operations(live, wanted)

    def postcondition(self, action: E, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """Every field is as wanted."""
        wanted = self.wanted(action, after.live)
        if not isinstance(wanted, Refused) and not pending(after.live, wanted):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is not as {action.tool} was to make it.")

    def was_applied(self, action: E, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """The mark on the object tells."""
        return read_back(before, now, mark)


class ContainerEditExecutor(EditExecutor[C]):
    """An edit of one container of a pod template."""

    permissions: ClassVar[tuple[Permission, ...]] = may_patch("Deployment", "StatefulSet", "DaemonSet")
    disrupts: ClassVar[bool] = True

    @abstractmethod
    def of_container(self, action: C, container: JsonObject, path: Path) -> tuple[Wanted, ...] | Refused:
        """The fields of this container, which stands at `path`, as they should be."""

    def resource(self, action: C) -> Resource:
        """The workload."""
        return WORKLOADS[action.kind]

    def wanted(self, action: C, live: JsonObject) -> tuple[Wanted, ...] | Refused:
        """What the container of that name should have."""
        path = container_path(live, action.container)
        if path is None:
            names = ", ".join(container_names(live))
            reason = f"{action.target} has no container {action.container}; its containers: {names}."
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, reason)
        return self.of_container(action, dig_object(live, *path), path)

    def fence(self, action: C, live: JsonObject) -> list[JsonObject]:
        """It is still the container of that name."""
        path = container_path(live, action.container)
        return [] if path is None else [operation("test", pointer(*path, "name"), action.container)]


def in_containers(*fields: str) -> tuple[str, ...]:
    """Pointers of these fields in every container of a pod template."""
    return tuple(pointer(*TEMPLATE, "spec", kind, "*", field) for kind in LISTS for field in fields)


def container_path(live: JsonObject, name: str) -> Path | None:
    """Where the container of that name stands; None when there is none."""
    for kind in LISTS:
        for index, container in enumerate(dig_list(live, *TEMPLATE, "spec", kind)):
            if dig_str(container, "name") == name:
                return (*TEMPLATE, "spec", kind, index)
    return None


def container_of(live: JsonObject, name: str) -> JsonObject:
    """The container of that name; empty when there is none."""
    path = container_path(live, name)
    return {} if path is None else dig_object(live, *path)


def container_names(live: JsonObject) -> Sequence[str]:
    """All names, main containers first."""
    return [dig_str(c, "name") for kind in LISTS for c in dig_list(live, *TEMPLATE, "spec", kind)]


def out_of_range(action: E, reason: str) -> Refused:
    """A refusal of a value; `reason` is the sentence's rest."""
    return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"{action.target}: {reason}")
