"""What is to be done about an incident, what was decided about that, and what came of it.

Every union is tagged by `kind`; a router matches on it and never on a combination of flags.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from graph.incident import Reason, Value
from tools.executors.actions import AnyAction
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonValue, digest
from tools.refs import ActionId, ObjectRef, Pin, PlanId


class Origin(StrEnum):
    """Who thought of it."""

    RULE = "rule"
    MODEL = "model"
    HUMAN = "human"
    CACHE = "cache"


class Diagnosis(Value):
    """The cause, in one sentence a person can check, and how sure we are of it (0 to 1)."""

    cause: str = Field(max_length=80)
    """A stable word for the cause, such as `bad_revision` or `memory_limit_too_low`."""
    sentence: str = Field(max_length=600)
    confidence: float = Field(ge=0, le=1)
    origin: Origin
    author: str = Field(max_length=120)
    """The rule's name, or the model's."""
    reasons: tuple[Reason, ...] = ()


class Step(Value):
    """One action and why it is there."""

    action: AnyAction
    why: str = Field(max_length=400)


class Plan(Value):
    """Steps in order.  `pins` are the targets as they stood when the evidence was read: code pins them, nobody else."""

    id: PlanId
    diagnosis: Diagnosis
    steps: tuple[Step, ...] = Field(max_length=8)
    pins: tuple[Pin, ...] = ()
    safe_because: str = Field(default="", max_length=400)
    approval_reasons: tuple[str, ...] = Field(default=(), max_length=8)
    """Why a person must agree whatever the mode says; empty when the policy alone decides."""
    loosens: tuple[str, ...] = Field(default=(), max_length=8)
    """Rules of the Pod Security Standards that it would give up."""
    created_at: datetime

    @property
    def hash(self) -> str:
        """What an approval is bound to: steps and pinned lives, not the wording around them."""
        steps: list[JsonValue] = [s.action.model_dump(mode="json") for s in self.steps]
        lives = sorted((str(p.ref), p.uid, str(p.generation)) for p in self.pins)
        return digest([steps, [list(life) for life in lives]])[:32]


def action_digest(action: AnyAction) -> str:
    """Which action on which object with which arguments; the key of no-blind-repeat."""
    return action.digest


class Planned(Value):
    """The reasoner has a plan."""

    kind: Literal["planned"] = "planned"
    plan: Plan
    others: tuple[Plan, ...] = Field(default=(), max_length=3)
    """Other remedies for the same trouble, in the reasoner's order; the validator takes the one that changes least."""


class NoPlan(Value):
    """Nobody knows a remedy: a person must look.  `diagnosis` is there when the cause is known all the same."""

    kind: Literal["no_plan"] = "no_plan"
    refusal: Refused
    diagnosis: Diagnosis | None = None


Proposal = Annotated[Planned | NoPlan, Field(discriminator="kind")]


class Accepted(Value):
    """All checks passed and the policy says auto."""

    kind: Literal["accepted"] = "accepted"


class NeedsApproval(Value):
    """All checks passed; a person must agree.  `reasons` say why."""

    kind: Literal["needs_approval"] = "needs_approval"
    reasons: tuple[str, ...]


class ObserveOnly(Value):
    """All checks passed and the policy says observe: recorded as what would have been done."""

    kind: Literal["observe_only"] = "observe_only"


class Rejected(Value):
    """At least one step was refused; the reasoner gets the reasons back."""

    kind: Literal["rejected"] = "rejected"
    refusals: tuple[Refused, ...]


class RefusedPlan(Value):
    """What the reasoner is told of a plan that did not get through: its actions, by digest, and the reasons."""

    actions: tuple[str, ...]
    refusals: tuple[Refused, ...]


Verdict = Annotated[Accepted | NeedsApproval | ObserveOnly | Rejected, Field(discriminator="kind")]


class Approved(Value):
    """A person said yes to exactly this plan."""

    kind: Literal["approved"] = "approved"
    by: str
    plan_hash: str
    policy_hash: str
    at: datetime


class Declined(Value):
    """A person said no, or nobody answered in time."""

    kind: Literal["declined"] = "declined"
    by: str
    why: str
    at: datetime


Decision = Annotated[Approved | Declined, Field(discriminator="kind")]


class Executed(Value):
    """The write happened, once, and its postcondition holds."""

    kind: Literal["executed"] = "executed"
    step: int
    action_id: ActionId
    summary: str
    at: datetime
    resumed: bool = False
    """True when a restart found by reading back that the write had already happened."""
    more: bool = False
    """It was one call of a step that takes several: what is left of the step is asked next."""


class Refusal(Value):
    """The door refused this step; nothing was written by it."""

    kind: Literal["refusal"] = "refusal"
    step: int
    refusal: Refused
    at: datetime


class Retry(Value):
    """A transient error; nothing was written.  The enforcer tries the same step again after `delay_seconds`."""

    kind: Literal["retry"] = "retry"
    step: int
    error: str
    delay_seconds: float
    at: datetime
    is_queued: bool = False
    """Nothing failed: too many plans were begun just now, and this one waits for its turn."""
    is_blocked: bool = False
    """Nothing failed: a disruption budget stands against this call of several, until pods are ready elsewhere."""


class Lost(Value):
    """It cannot be told whether the write happened: nothing more is done, a person is told."""

    kind: Literal["lost"] = "lost"
    step: int
    action_id: ActionId
    refusal: Refused
    at: datetime


StepOutcome = Annotated[Executed | Refusal | Retry | Lost, Field(discriminator="kind")]


class Passed(Value):
    """Healed: the owner is as desired, the signals are gone, and it stayed so.

    `recovered_at` is the first good read of the unbroken row that ended in this.
    """

    kind: Literal["passed"] = "passed"
    recovered_at: datetime
    at: datetime
    sentence: str


class StepDone(Value):
    """This step did what it promised; more steps follow, so health is not judged yet."""

    kind: Literal["step_done"] = "step_done"
    at: datetime


class FailedVerification(Value):
    """Read well, and not healed.  `worse` when more is broken than before."""

    kind: Literal["failed"] = "failed"
    worse: bool
    sentence: str
    at: datetime


class Uncovered(Value):
    """What the plan was made for is gone, and behind it another failure shows that was there before us.

    What was done stands: taking it back would only hide the second failure again.
    """

    kind: Literal["uncovered"] = "uncovered"
    sentence: str
    at: datetime


class Unverifiable(Value):
    """Could not be read well enough to say.  Never a pass; nothing more is done."""

    kind: Literal["unknown"] = "unknown"
    sentence: str
    at: datetime


Verification = Annotated[Passed | StepDone | FailedVerification | Uncovered | Unverifiable, Field(discriminator="kind")]


class Undone(Value):
    """Every exact inverse was applied, newest first; what a controller restores by itself is named in the sentence."""

    kind: Literal["undone"] = "undone"
    sentence: str
    at: datetime


class NotUndone(Value):
    """Undoing stopped: a foreign change stands in the way, or there is no inverse."""

    kind: Literal["not_undone"] = "not_undone"
    refusal: Refused
    at: datetime


UndoOutcome = Annotated[Undone | NotUndone, Field(discriminator="kind")]


class Status(StrEnum):
    """Where an incident stands.  The last five are final."""

    OPEN = "open"
    """Being worked on."""
    WAITING = "waiting"
    """A plan waits for a person."""
    HEALED = "healed"
    """Our plan was carried out and verified."""
    CLEARED = "cleared"
    """Nothing was wrong, or it went away before we wrote anything."""
    OBSERVED = "observed"
    """A plan was made and, by policy, not carried out."""
    REFUSED = "refused"
    """The guard or a person refused; nothing stands changed."""
    ESCALATED = "escalated"
    """A person must look; the account says why and what was tried."""


FINAL = frozenset({Status.HEALED, Status.CLEARED, Status.OBSERVED, Status.REFUSED, Status.ESCALATED})


class Resolution(Value):
    """The last word about an incident."""

    status: Status
    sentence: str = Field(max_length=1200)
    code: ReasonCode | None = None
    """Why it is not healed; None when it is healed or cleared."""
    recovered_at: datetime | None = None
    closed_at: datetime
    retry_after_seconds: float | None = None
    """When what refused it may say yes; None when waiting changes nothing, or nothing was refused."""


class PreparedRevert(Value):
    """A revert that waits in the state folder for a person, and as a branch where one was pushed.

    Nothing of the patch itself is in here: it may hold what nobody should read.
    """

    patch: str
    """The file, on the machine that the service runs on; readable by its user alone."""
    repository: str
    onto: str
    """The branch that it is for, in words."""
    path: str
    reverts: str
    """The commit that fails."""
    restores: str
    """The commit whose content of `path` is there again."""
    branch: str = ""
    """A branch of the repository that holds it; "" when there is none."""
    changes: tuple[str, ...] = Field(default=(), max_length=20)
    """Files and fields, redacted."""
    notes: tuple[str, ...] = Field(default=(), max_length=4)
    """What whoever merges it has to know."""


class ExecutionResult(Value):
    """What `POST /self-heal` answers when an incident has ended."""

    incident_id: str
    status: Status
    target: ObjectRef
    diagnosis: Diagnosis | None
    plan: Plan | None
    outcomes: tuple[StepOutcome, ...]
    verification: Verification | None
    undo: UndoOutcome | None
    resolution: Resolution
    opened_at: datetime
    attempts: int
    """How many plans were made."""
    revert: PreparedRevert | None = None
    """What was prepared for the repository, where only that can be right."""


PROPOSALS: TypeAdapter[Planned | NoPlan] = TypeAdapter(Proposal)
VERDICTS: TypeAdapter[Accepted | NeedsApproval | ObserveOnly | Rejected] = TypeAdapter(Verdict)
DECISIONS: TypeAdapter[Approved | Declined] = TypeAdapter(Decision)
OUTCOMES: TypeAdapter[Executed | Refusal | Retry | Lost] = TypeAdapter(StepOutcome)
VERIFICATIONS: TypeAdapter[Passed | StepDone | FailedVerification | Uncovered | Unverifiable] = TypeAdapter(
    Verification
)
UNDOS: TypeAdapter[Undone | NotUndone] = TypeAdapter(UndoOutcome)
