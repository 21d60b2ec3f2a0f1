"""`keda_resume` and `keda_pause`: the annotations by which people hold KEDA, taken away or put there.

The rule: only the annotations are written.  KEDA makes the HorizontalPodAutoscaler anew when it goes on and removes it
when it is held; neither that nor the workload is touched.  A pause is no change of the specification, so no generation
tells of it: what the annotations held is kept with the situation, and every write is fenced by the version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from tools.cluster.resources import SCALED_JOB, SCALED_OBJECT, Resource, WriteRequest
from tools.executors.base import Action, Mark, Permission, Reader, Situation
from tools.executors.keda.scaled import HOLDING, PAUSED, holds
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.keda import KedaPause, KedaResume, PauseAction
from tools.executors.patch import fence, json_patch, operation, pointer, sign
from tools.executors.whole import is_deleting
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

Declared = Callable[[ObjectRef], JsonObject | None]
"""The manifest that people declared for an object; None when it is not declared or nothing is."""
_RESOURCES: Final[Mapping[str, Resource]] = {r.kind: r for r in (SCALED_OBJECT, SCALED_JOB)}
_NOTES: Final = ("metadata", "annotations")


def nothing_declared(ref: ObjectRef) -> JsonObject | None:
    """There is no declared state."""
    del ref
    return None


class _PauseExecutor(PatchExecutor[PauseAction]):
    """Both directions; the kind follows from the action."""

    declared_fields: ClassVar[tuple[str, ...]] = tuple(pointer(*_NOTES, name) for name in HOLDING)
    permissions: ClassVar[tuple[Permission, ...]] = tuple(Permission("patch", r) for r in _RESOURCES.values())
    moves_generation: ClassVar[bool] = False
    asks_by_annotation: ClassVar[bool] = True
    waits_for_rollout: ClassVar[bool] = False

    async def read(self, action: PauseAction, cluster: Reader) -> Situation:
        """Read the object.  Raises `ToolError`."""
        return self.situation(await cluster.get(_RESOURCES[action.kind], action.name, action.namespace))

    def patch(self, action: PauseAction, live: JsonObject, mark: Mark, change: list[JsonObject]) -> WriteRequest:
        """`change` behind its fence and our marks, which make the annotations where there are none."""
        operations = [*fence(live), *sign(live, mark), *change]
        return json_patch(_RESOURCES[action.kind], live, operations, field_manager=f"selfheal-{action.tool}")


class KedaResumeExecutor(_PauseExecutor):
    """`keda_resume`: KEDA scales again."""

    action_type: ClassVar[type[Action]] = KedaResume
    description: ClassVar[str] = (
        "Take away the annotations that pause a ScaledObject or ScaledJob of KEDA, so that it scales by its triggers "
        "again. Helps when what it scales cannot keep up, or was held at too few replicas, and the pause was forgotten "
        "or never meant. KEDA may add or remove replicas at once, as the triggers say. Refused when nothing pauses it."
    )

    def __init__(self, declared: Declared = nothing_declared) -> None:
        """`declared` tells what people wrote down."""
        self._declared = declared

    def precondition(self, action: PauseAction, situation: Situation) -> Refused | None:
        """Something holds it, and nobody declared it so."""
        if is_deleting(situation.live):
            return refuse(ReasonCode.TARGET_DELETING, f"{action.target} is being deleted.")
        if not holds(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is not paused.")
        declared = self._declared(action.target)
        if declared is not None and holds(declared):
            return refuse(ReasonCode.WORKLOAD_PAUSED, f"{action.target} is declared paused; change that first.")
        return None

    def fields(self, action: PauseAction, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """What holds it, and nothing else."""
        return tuple(pointer(*_NOTES, name) for name in holds(situation.live))

    def needs_failure(self, action: PauseAction, situation: Situation) -> bool:  # noqa: ARG002
        """Somebody put the pause there; where nothing fails and nothing is declared a person says whether it may go."""
        return self._declared(action.target) is None

    def request(self, action: PauseAction, situation: Situation, mark: Mark) -> WriteRequest:
        """Remove what holds it, and nothing else."""
        gone = [operation("remove", pointer(*_NOTES, name)) for name in holds(situation.live)]
        return self.patch(action, situation.live, mark, gone)

    def postcondition(self, action: PauseAction, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """Nothing holds it any more.  Whether KEDA does its work is for the verifier."""
        left = holds(after.live)
        if not left:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still paused by {', '.join(left)}.")


class KedaPauseExecutor(_PauseExecutor):
    """`keda_pause`: KEDA leaves everything as it is."""

    action_type: ClassVar[type[Action]] = KedaPause
    description: ClassVar[str] = (
        "Pause a ScaledObject or ScaledJob of KEDA: its workload keeps the replicas it has, or no more Jobs are "
        "started. Helps while KEDA scales by a trigger that says nonsense and does harm by it. Nobody scales the "
        "workload while it is paused, so a person always decides. Refused when it is paused already."
    )

    def precondition(self, action: PauseAction, situation: Situation) -> Refused | None:
        """Nothing holds it yet."""
        if is_deleting(situation.live):
            return refuse(ReasonCode.TARGET_DELETING, f"{action.target} is being deleted.")
        held = holds(situation.live)
        if held:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is paused already, by {', '.join(held)}.")
        return None

    def fields(self, action: PauseAction, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """One annotation."""
        return (pointer(*_NOTES, PAUSED),)

    def approval_reasons(self, action: PauseAction, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: from then on nobody follows the load."""
        return (f"Nobody scales what {action.target} looks after while it is paused.",)

    def request(self, action: PauseAction, situation: Situation, mark: Mark) -> WriteRequest:
        """Set the annotation that freezes the replicas as they are."""
        return self.patch(action, situation.live, mark, [operation("add", pointer(*_NOTES, PAUSED), "true")])

    def postcondition(self, action: PauseAction, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It is held."""
        if PAUSED in holds(after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is not paused.")
