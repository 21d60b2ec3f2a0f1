"""`set_hpa_bounds`: between how many replicas an autoscaler may choose, within bounds relative to what they are.

The rule: a new bound is judged by the present one.  It may be at most `factor` times as much and not less than one part
in `factor`.  What would take pods away that run now waits for a person.  An autoscaler that another controller makes
(KEDA's, say) is that controller's: the guard's delivery check refuses it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.cluster.resources import HPA, Resource, WriteRequest
from tools.executors.base import Action, Mark, Permission, Situation
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.autoscaling import SetHpaBounds
from tools.executors.patch import pointer, put
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_int

DEFAULT_AUTOSCALER_FACTOR: Final = 2
_MIN: Final = ("spec", "minReplicas")
_MAX: Final = ("spec", "maxReplicas")


class SetHpaBoundsExecutor(PatchExecutor[SetHpaBounds]):
    """`set_hpa_bounds`.  `factor` is the policy's bound and does not change."""

    action_type: ClassVar[type[Action]] = SetHpaBounds
    description: ClassVar[str] = (
        "Change the least and the greatest number of replicas a HorizontalPodAutoscaler may choose. Helps when it "
        "wants more than its upper bound lets it have, or when its bounds were set wrongly. Each value may be at most "
        "twice the present one and not less than half of it (the policy may say otherwise). It does not help when the "
        "pods cannot be placed or the metric is missing."
    )
    resource: ClassVar[Resource] = HPA
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_MIN), pointer(*_MAX))
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", HPA),)

    def __init__(self, factor: int = DEFAULT_AUTOSCALER_FACTOR) -> None:
        """Raises ValueError for a factor below 1, under which nothing could be set."""
        if factor < 1:
            raise ValueError(f"autoscaler factor {factor}: it must be at least 1")
        self._factor = factor

    def precondition(self, action: SetHpaBounds, situation: Situation) -> Refused | None:
        """Something changes, every value is within its bounds, and the least is not above the greatest."""
        least, greatest = _bounds(situation.live)
        if greatest is None:
            return refuse(ReasonCode.INPUT_UNREADABLE, f"{action.target} shows no upper bound.")
        if action.min_replicas in {None, least} and action.max_replicas in {None, greatest}:
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} has these bounds already ({least} to {greatest}).")
        for what, new, present in (
            ("lower", action.min_replicas, least),
            ("upper", action.max_replicas, greatest),
        ):
            wrong = "" if new is None else self._far_from(present, new)
            if wrong:
                return refuse(ReasonCode.PARAM_OUT_OF_RANGE, f"{action.target}: the {what} bound {new} {wrong}.")
        low, high = _after(action, situation.live)
        if low > high:
            return refuse(
                ReasonCode.PARAM_OUT_OF_RANGE,
                f"{action.target}: the lower bound {low} would be above {high}, the upper.",
            )
        return None

    def approval_reasons(self, action: SetHpaBounds, situation: Situation) -> tuple[str, ...]:
        """An upper bound below what runs takes pods away at once; a lower one lets later ones go."""
        least, _ = _bounds(situation.live)
        low, high = _after(action, situation.live)
        running = dig_int(situation.live, "status", "currentReplicas") or 0
        reasons: list[str] = []
        if high < running:
            reasons.append(f"{action.target} would go from {running} replicas to at most {high}.")
        if low < least:
            reasons.append(f"{action.target} could go down to {low} replicas, below its lower bound of {least}.")
        return tuple(reasons)

    def request(self, action: SetHpaBounds, situation: Situation, mark: Mark) -> WriteRequest:
        """Set what is given."""
        change: list[JsonObject] = []
        if action.min_replicas is not None:
            change += put(situation.live, _MIN, action.min_replicas)
        if action.max_replicas is not None:
            change += put(situation.live, _MAX, action.max_replicas)
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: SetHpaBounds, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """Every value that was given is in force."""
        least, greatest = _bounds(after.live)
        if action.min_replicas in {None, least} and action.max_replicas in {None, greatest}:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} goes from {least} to {greatest}, not as it was set.")

    def _far_from(self, present: int, new: int) -> str:
        """What is wrong, as the end of a sentence; empty when nothing is."""
        if new > present * self._factor:
            return f"is more than {self._factor} times the present {present}"
        if new * self._factor < present:
            return f"is less than one part in {self._factor} of the present {present}"
        return ""


def _bounds(live: JsonObject) -> tuple[int, int | None]:
    """(least, greatest) in force; a least that is not given is one."""
    least = dig_int(live, *_MIN)
    return 1 if least is None else least, dig_int(live, *_MAX)


def _after(action: SetHpaBounds, live: JsonObject) -> tuple[int, int]:
    least, greatest = _bounds(live)
    low = least if action.min_replicas is None else action.min_replicas
    return low, (greatest or 0) if action.max_replicas is None else action.max_replicas
