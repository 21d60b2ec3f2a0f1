"""What actions that patch one object in place have in common: one fenced and signed JSON patch, and reading it back.

The rule: a kind without a generation (Node, PersistentVolumeClaim, HorizontalPodAutoscaler) gets a new version with
every heartbeat, so its version alone cannot say whether a write of ours happened.  What the declared fields held before
is therefore kept with the situation: an object without our mark that still holds it was not written by us.

Neighbours: `workload` does the same for the three workload kinds, whose resource follows from the action.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tools.cluster.resources import Resource, WriteRequest
from tools.executors.base import A, Applied, Executor, InverseKind, Mark, Reader, Situation
from tools.executors.kubernetes.common import read_back
from tools.executors.patch import fence, find, json_patch, sign
from tools.jsontypes import JsonObject, dig_int, dig_str, digest

_HELD = "held"


class PatchExecutor(Executor[A]):
    """An executor of one patch of the target itself; `resource` is its kind."""

    resource: ClassVar[Resource]
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    moves_generation: ClassVar[bool] = True
    """Whether the write moves the generation of a kind that has one; a write of annotations alone does not."""

    async def read(self, action: A, cluster: Reader) -> Situation:
        """Read the target.  Raises `ToolError`."""
        target = action.target
        return self.situation(await cluster.get(self.resource, target.name, target.namespace))

    def situation(self, live: JsonObject, support: JsonObject | None = None) -> Situation:
        """The situation with what `was_applied` will need; `support` is what the executor decides on besides."""
        return Situation(live, {**(support or {}), _HELD: _held(self.declared_fields, live)})

    def was_applied(self, action: A, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """The mark tells; without one, fields that are as they were do."""
        found = read_back(before, now, mark)
        if found is Applied.YES or now is None or (found is Applied.NO and self.moves_generation):
            return found
        is_same = dig_str(now, "metadata", "uid") == dig_str(before.live, "metadata", "uid")
        has_generation = self.moves_generation and dig_int(now, "metadata", "generation") is not None
        if is_same and not has_generation and _held(self.declared_fields, now) == before.support.get(_HELD):
            return Applied.NO
        return Applied.UNKNOWN

    def patch(self, action: A, live: JsonObject, mark: Mark, change: list[JsonObject]) -> WriteRequest:
        """`change` between its fence and our marks."""
        operations = [*fence(live), *change, *sign(live, mark)]
        return json_patch(self.resource, live, operations, field_manager=f"selfheal-{action.tool}")


def _held(paths: Iterable[str], live: JsonObject) -> str:
    """One string for what stands at these pointers."""
    return digest([list(find(live, path)) for path in paths])
