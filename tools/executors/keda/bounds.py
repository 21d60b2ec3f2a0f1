"""`keda_set_bounds`: between how many replicas KEDA may choose, within bounds relative to what they are.

The rule is that of `set_hpa_bounds`, on the ScaledObject: KEDA writes the HorizontalPodAutoscaler behind it anew from
it, so that is where a bound holds.  A new bound is at most `factor` times the present one (a lower bound of none counts
as one here) and not less than one part in `factor`; what would take pods away that run now waits for a person.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.cluster.resources import HPA, SCALED_OBJECT, Resource, WriteRequest
from tools.errors import NotFound
from tools.executors.base import Action, Mark, Permission, Reader, Situation
from tools.executors.keda.scaled import autoscaler_of, bounds
from tools.executors.kubernetes.autoscaling import DEFAULT_AUTOSCALER_FACTOR
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.keda import KedaSetBounds
from tools.executors.patch import pointer, put
from tools.executors.whole import is_deleting
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_int

_MIN: Final = ("spec", "minReplicaCount")
_MAX: Final = ("spec", "maxReplicaCount")
_IDLE: Final = ("spec", "idleReplicaCount")
_RUNNING: Final = "running"


class KedaSetBoundsExecutor(PatchExecutor[KedaSetBounds]):
    """`keda_set_bounds`.  `factor` is the policy's bound and does not change."""

    action_type: ClassVar[type[Action]] = KedaSetBounds
    description: ClassVar[str] = (
        "Change the least and the greatest number of replicas that a ScaledObject of KEDA may choose. Helps when its "
        "triggers want more than the upper bound lets it have, or when the bounds were set wrongly. Each value may be "
        "at most twice the present one and not less than half of it (the policy may say otherwise). It does not help "
        "while the ScaledObject is paused, when its triggers cannot be read, or when pods cannot be placed."
    )
    resource: ClassVar[Resource] = SCALED_OBJECT
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_MIN), pointer(*_MAX))
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", SCALED_OBJECT),)

    def __init__(self, factor: int = DEFAULT_AUTOSCALER_FACTOR) -> None:
        """Raises ValueError for a factor below 1, under which nothing could be set."""
        if factor < 1:
            raise ValueError(f"autoscaler factor {factor}: it must be at least 1")
        self._factor = factor

    async def read(self, action: KedaSetBounds, cluster: Reader) -> Situation:
        """Read the ScaledObject, and how many replicas run by the autoscaler behind it.  Raises `ToolError`."""
        live = await cluster.get(SCALED_OBJECT, action.name, action.namespace)
        running: int | None = None
        name = autoscaler_of(live)
        if name:
            try:
                running = dig_int(await cluster.get(HPA, name, action.namespace), "status", "currentReplicas")
            except NotFound:  # it is paused, or KEDA makes it anew at this moment
                running = None
        return self.situation(live, {_RUNNING: running})

    def precondition(self, action: KedaSetBounds, situation: Situation) -> Refused | None:
        """Something changes, every value is within its bounds, and the three numbers are in order."""
        target, live = action.target, situation.live
        if is_deleting(live):
            return refuse(ReasonCode.TARGET_DELETING, f"{target} is being deleted.")
        least, greatest = bounds(live)
        if action.min_replicas in {None, least} and action.max_replicas in {None, greatest}:
            return refuse(ReasonCode.NO_CHANGE, f"{target} has these bounds already ({least} to {greatest}).")
        for what, new, present in (
            ("lower", action.min_replicas, least),
            ("upper", action.max_replicas, greatest),
        ):
            wrong = "" if new is None else self._far_from(present, new)
            if wrong:
                return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"{target}: the {what} bound {new} {wrong}.")
        low, high = _after(action, live)
        idle = dig_int(live, *_IDLE)
        if low > high:
            what = f"{target}: the lower bound {low} would be above {high}, the upper."
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, what)
        if idle is not None and idle >= low:
            what = f"{target}: the lower bound {low} must stay above {idle}, its replicas when idle."
            return refuse(ReasonCode.PARAM_OUT_OF_RANGE, what)
        return None

    def approval_reasons(self, action: KedaSetBounds, situation: Situation) -> tuple[str, ...]:
        """An upper bound below what runs takes pods away at once; a lower one lets later ones go."""
        least, greatest = bounds(situation.live)
        low, high = _after(action, situation.live)
        running = dig_int(situation.support, _RUNNING)
        reasons: list[str] = []
        if high < greatest and (running is None or high < running):
            many = "an unknown number of" if running is None else str(running)
            reasons.append(f"{action.target} would go from {many} replicas to at most {high}.")
        if low < least:
            reasons.append(f"{action.target} could go down to {low} replicas, below its lower bound of {least}.")
        return tuple(reasons)

    def request(self, action: KedaSetBounds, situation: Situation, mark: Mark) -> WriteRequest:
        """Set what is given."""
        change: list[JsonObject] = []
        if action.min_replicas is not None:
            change += put(situation.live, _MIN, action.min_replicas)
        if action.max_replicas is not None:
            change += put(situation.live, _MAX, action.max_replicas)
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: KedaSetBounds, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """Every value that was given is in force."""
        least, greatest = bounds(after.live)
        if action.min_replicas in {None, least} and action.max_replicas in {None, greatest}:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} goes from {least} to {greatest}, not as it was set.")

    def _far_from(self, present: int, new: int) -> str:
        """What is wrong, as the end of a sentence; empty when nothing is."""
        if new > max(present, 1) * self._factor:
            return f"is more than {self._factor} times the present {present}"
        if new * self._factor < present:
            return f"is less than one part in {self._factor} of the present {present}"
        return ""


def _after(action: KedaSetBounds, live: JsonObject) -> tuple[int, int]:
    least, greatest = bounds(live)
    low = least if action.min_replicas is None else action.min_replicas
    return low, greatest if action.max_replicas is None else action.max_replicas
