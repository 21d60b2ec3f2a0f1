"""What is ordered from the door, and what it answers.

An order is made by code from a validated plan: the action and its arguments come from a rule, a model or a person;
everything else here is read or computed by us.  Answers are tagged by `kind`, so that a caller matches on them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from tools.executors.base import Action, InverseKind, Situation
from tools.executors.calls import Call
from tools.executors.inverse import AnyInverse
from tools.guard.diff import Change
from tools.guard.policy import Mode
from tools.guard.verdict import Refused
from tools.jsontypes import digest
from tools.refs import ActionId, IncidentId, ObjectRef, Pin, PlanId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderContext:
    """All of an order but its action.

    `scope` is the set of objects an action of this incident may name, pinned when the evidence was read; `pin` is the
    target as it was diagnosed (None: the one in `scope`).  `owner` is the root owner the incident is about.  `approved`
    says that a person agreed to exactly this plan under this policy.  `reverses_rollout` says that the failing pods
    belong to the revision being rolled out and that this action takes it back.  `shows_failure` says that something
    fails by the signals of this incident, and not merely that an object differs or is gone.  `attempted` holds
    `Action.digest` of what was carried out in this incident and did not heal.  `asks` says that the plan itself wants a
    person's word, whatever the policy says.  `round` counts the calls of a step that takes several, from 0.  `ahead`
    are the steps of the plan that come before this one.
    """

    incident_id: IncidentId
    plan_id: PlanId
    plan_hash: str
    step: int
    round: int = 0
    scope: tuple[Pin, ...]
    pin: Pin | None
    owner: ObjectRef
    owner_uid: str
    origin: str
    approved: bool = False
    reverses_rollout: bool = False
    shows_failure: bool = False
    attempted: frozenset[str] = frozenset()
    asks: bool = False
    ahead: tuple[Action, ...] = ()

    def order(self, action: Action) -> Order:
        """The order to carry out `action` as this step."""
        return Order(action=action, **{f.name: getattr(self, f.name) for f in fields(OrderContext)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(OrderContext):
    """One action, to be carried out once."""

    action: Action

    @property
    def action_id(self) -> ActionId:
        """The same for every attempt at this step, before and after a crash."""
        return action_id_of(self.incident_id, self.plan_id, self.step, self.round)


BY_UNDO: Final = "undo-"
"""How the id of every write begins that takes another one back."""


def action_id_of(incident_id: IncidentId, plan_id: PlanId, step: int, number: int = 0) -> ActionId:
    """The id of a step's write; it follows from the step alone, so a restart finds what it began.

    `number` is the round of a step that takes several calls; the first of them has the id of the step.
    """
    return ActionId("act-" + digest([incident_id, plan_id, step, *([number] if number else [])])[:24])


def undo_id_of(action_id: ActionId) -> ActionId:
    """The id of the write that takes another one back."""
    return ActionId(BY_UNDO + digest(["undo", action_id])[:24])


@dataclass(frozen=True, slots=True)
class Ready:
    """Every check passed.  Nothing was written; `request` is what would be sent and `diff` what it would change.

    Values in `diff` that look like a secret are hidden.  `mode` is observe, approve or auto, with annotations and
    `approval_reasons` already counted in.
    """

    mode: Mode
    approval_reasons: tuple[str, ...]
    request: Call
    diff: tuple[Change, ...]
    inverse: AnyInverse | None
    inverse_kind: InverseKind
    situation: Situation
    is_early: bool = False
    """An earlier step of the plan has to make room first: the bytes were shown, and the door does not send them yet."""
    kind: Literal["ready"] = "ready"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Acted(_Answer):
    """The write happened, once.  `resumed` when reading back showed it and not the call's own answer."""

    kind: Literal["acted"] = "acted"
    action_id: ActionId
    sentence: str
    audit_id: str | None = None
    resumed: bool = False


class Again(_Answer):
    """Nothing is known to have been written; the same order may be given again after `delay_seconds`.

    Should the write have happened after all, the next attempt finds it by reading back.
    """

    kind: Literal["again"] = "again"
    delay_seconds: float
    error: str


class Unknown(_Answer):
    """It cannot be told whether the write happened.  Nothing more is done; a person must look."""

    kind: Literal["unknown"] = "unknown"
    action_id: ActionId
    refusal: Refused


class UndoneBy(_Answer):
    """Nothing of the action stands any more, or a controller sees to that.

    `inverse`: we restored every field.  `controller`: the state restores itself.  `nothing`: the action had not
    happened, or everything is already as it was.
    """

    kind: Literal["undone_by"] = "undone_by"
    by: Literal["inverse", "controller", "nothing"]
    sentence: str
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """The order to carry out next: the action itself, or the next call of one that takes several."""

    order: Order
    is_round: bool = False
    """Whether it is one call of several: after it there may be more to do."""
    kind: Literal["turn"] = "turn"


@dataclass(frozen=True, slots=True)
class Complete:
    """All calls of an action that takes several were made: nothing is left to do."""

    sentence: str
    kind: Literal["complete"] = "complete"


Assessment: TypeAlias = Refused | Ready
Outcome: TypeAlias = Acted | Refused | Again | Unknown
Undoing: TypeAlias = UndoneBy | Refused | Again
Next: TypeAlias = Turn | Complete | Refused | Again
