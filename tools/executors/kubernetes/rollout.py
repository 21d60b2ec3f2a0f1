"""`resume_rollout`: what a person held, a person lets go; so it always waits for approval."""

from __future__ import annotations

from typing import ClassVar

from tools.cluster.resources import DEPLOYMENT, Resource, WriteRequest
from tools.executors.base import Action, Mark, Permission, Situation
from tools.executors.kubernetes.common import is_paused, refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.rollout import ResumeRollout
from tools.executors.patch import operation, pointer
from tools.guard.verdict import ReasonCode, Refused

_PAUSED = pointer("spec", "paused")


class ResumeRolloutExecutor(PatchExecutor[ResumeRollout]):
    """`resume_rollout`: `spec.paused` of a Deployment goes from true to false."""

    action_type: ClassVar[type[Action]] = ResumeRollout
    description: ClassVar[str] = (
        "Let a paused Deployment go on, as `kubectl rollout resume` does. Helps when a change of the template does not "
        "arrive because somebody paused the rollout and forgot it. What was changed meanwhile is then rolled out, "
        "within the Deployment's own maxUnavailable. Somebody paused it on purpose, so a person always decides."
    )
    resource: ClassVar[Resource] = DEPLOYMENT
    declared_fields: ClassVar[tuple[str, ...]] = (_PAUSED,)
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", DEPLOYMENT),)
    disrupts: ClassVar[bool] = True
    waits_for_rollout: ClassVar[bool] = False
    """The rollout that stands halfway is the very one that is to go on."""

    def precondition(self, action: ResumeRollout, situation: Situation) -> Refused | None:
        """It is paused."""
        if is_paused(situation.live):
            return None
        return refuse(ReasonCode.NO_CHANGE, f"{action.target} is not paused.")

    def approval_reasons(self, action: ResumeRollout, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always: pausing is a person's deed."""
        return (f"Somebody paused {action.target}; only people know why, so a person must agree to resume it.",)

    def request(self, action: ResumeRollout, situation: Situation, mark: Mark) -> WriteRequest:
        """Set it to false, having tested that it is true."""
        change = [operation("test", _PAUSED, value=True), operation("replace", _PAUSED, value=False)]
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: ResumeRollout, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It is no longer paused."""
        if not is_paused(after.live):
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} is still paused.")
