"""Which of several plans changes least: the one that is tried, where more than one passed every check.

The rule: only plans that the guard let through, with what the server's dry run said each would change, are compared;
the order in which they were proposed decides between equals.  Pure; the validator asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from graph.plan import Plan
from tools.executors.base import InverseKind

CLEARLY_SURER: Final = 0.25
"""A diagnosis this much less certain than the best is not compared at all: a small change to the wrong thing is worse
than a larger one to the right thing."""


TO_WHAT_WAS: Final = frozenset(
    {
        "rollback_workload",
        "revert_fields",
        "restore_object",
        "remove_object",
        "restart_workload",
        "evict_pod",
        "delete_pod",
        "resume_rollout",
        "uncordon_node",
    }
)
"""Actions after which things are as they were once, or as they were declared; all others try something new."""


class Step(Protocol):
    """What the guard said of one step: a `tools.guard.orders.Ready`."""

    @property
    def diff(self) -> Sequence[object]:
        """Fields that would change."""
        ...

    @property
    def inverse_kind(self) -> InverseKind:
        """How it is taken back."""
        ...

    @property
    def approval_reasons(self) -> tuple[str, ...]:
        """Why a person must agree."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """How much a plan changes, most important first: less is less in this order.

    Security that is given up, steps to a state that never was before, steps that cannot be taken back, objects written,
    steps, fields that differ.
    """

    loosened: int
    untried: int
    lasting: int
    objects: int
    steps: int
    fields: int


@dataclass(frozen=True, slots=True)
class Weighed:
    """One plan that passed, and what it would change."""

    plan: Plan
    change: Change


def weigh(plan: Plan, steps: Sequence[Step]) -> Weighed:
    """What the plan changes, by what the guard saw of each of its steps; before: one entry per step, in order."""
    return Weighed(
        plan,
        Change(
            loosened=len(plan.loosens),
            untried=sum(step.action.action not in TO_WHAT_WAS for step in plan.steps),
            lasting=sum(step.inverse_kind is InverseKind.NONE for step in steps),
            objects=len({str(step.action.target) for step in plan.steps}),
            steps=len(plan.steps),
            fields=sum(len(step.diff) for step in steps),
        ),
    )


def least(weighed: Sequence[Weighed]) -> Weighed:
    """The plan that changes least among those that are about as certain as the most certain one.

    Before: at least one.  Of equals the first, which is what the reasoner preferred.
    """
    surest = max(w.plan.diagnosis.confidence for w in weighed)
    near = [w for w in weighed if surest - w.plan.diagnosis.confidence < CLEARLY_SURER]
    return min(near, key=lambda w: w.change)
