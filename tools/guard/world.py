"""Everything the checks decide on, read at one moment, as one frozen value.

The rule: a thing that could not be read is here as `Unreadable`, never as nothing.  A check asks for what it needs with
`known`, and a check that meets `Unreadable` refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

from tools.executors.base import Executor, Situation
from tools.guard.diff import Change
from tools.guard.orders import Order
from tools.guard.policy import Policy
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject
from tools.ledger.records import ActionRecord, PlanStart

AnyExecutor: TypeAlias = Executor[Any]
"""An executor whose action type is known only at run time: the registry pairs them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something a decision needs could not be read.  `retry_after` in seconds when another try may read it."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """The server says that it is not there."""

    what: str


NOT_READ: Final = Unreadable("it was not read")


@dataclass(frozen=True, slots=True)
class Counts:
    """Plans started in the windows of the policy, this one not among them."""

    owner: int
    namespace: int
    cluster: int


@dataclass(frozen=True, slots=True)
class Effect:
    """The server-side dry run: the object it would leave, and what that changes."""

    result: JsonObject
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One order and what was read for it.  Fields not read yet are `NOT_READ`."""

    order: Order
    policy: Policy
    own_namespace: str | None
    now: datetime
    executor: AnyExecutor | None
    """None when the action is not on the whitelist."""
    situation: Situation | Missing | Unreadable = NOT_READ
    owner: JsonObject | Missing | Unreadable = NOT_READ
    namespace: JsonObject | Missing | Unreadable = NOT_READ
    autoscalers: tuple[JsonObject, ...] | Unreadable = NOT_READ
    """Autoscalers of the namespace, KEDA's and vertical ones too; read for an action that may write what is theirs."""
    permitted: bool | Unreadable = NOT_READ
    paused_until: datetime | Unreadable | None = NOT_READ
    history: tuple[ActionRecord, ...] | Unreadable = NOT_READ
    """Everything done in this incident so far."""
    last_plan: PlanStart | Unreadable | None = NOT_READ
    owner_plans: tuple[PlanStart, ...] | Unreadable = NOT_READ
    """Plans about the owner for as long back as they may count for its quarantine."""
    counts: Counts | Unreadable = NOT_READ
    holds_lock: bool | Unreadable = NOT_READ
    """Always true while only assessing: that takes no lock."""
    effect: Effect | Refused | Unreadable = field(default=NOT_READ)


Check: TypeAlias = Callable[[World], Refused | None]


class CannotTell(Exception):
    """A check met something unreadable or gone.  The guard turns it into the refusal it carries."""

    def __init__(self, refusal: Refused) -> None:
        """Carry the refusal."""
        super().__init__(refusal.reason)
        self.refusal = refusal


def known(value: T | Missing | Unreadable, what: str) -> T:
    """The value, if it was read.  Raises CannotTell otherwise: unknown is no."""
    if isinstance(value, Unreadable):
        raise CannotTell(
            Refused(
                code=ReasonCode.INPUT_UNREADABLE,
                reason=f"Could not read {what}: {value.reason}",
                retry_after_seconds=value.retry_after,
            )
        )
    if isinstance(value, Missing):
        raise CannotTell(Refused(code=ReasonCode.TARGET_GONE, reason=f"{value.what} does not exist any more."))
    return value


def subject_of(world: World) -> JsonObject:
    """The manifest by which owner, mode and protection of the target are told: as it stands, or as it is to be made.

    Raises CannotTell when it was not read.
    """
    situation = known(world.situation, f"{world.order.action.target}")
    return situation.live if world.executor is None else world.executor.subject(world.order.action, situation)


def no(code: ReasonCode, reason: str, *, retry_after: float | None = None) -> Refused:
    """A refusal; the guard adds which check said it."""
    return Refused(code=code, reason=reason, retry_after_seconds=retry_after)
