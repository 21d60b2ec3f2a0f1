"""The form of an action that takes several calls: emptying a node.

One order of the door is one call.  Such an action is therefore carried out in rounds: before each, what is left to do
is read off the world anew, as actions of one call each, and the first of them is ordered.  It is an order of its own,
with every check made on its own target, and with an id, an intent and a way back of its own.

The rule: what is next follows from the world and not from memory.  A crash between two rounds, somebody else's hand or
a pod that came meanwhile changes how many rounds there are and nothing else.

Neighbours: `tools.guard.rounds` asks, `graph.nodes.enforcer` takes one round after the other.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from tools.executors.base import A, Action, Applied, Executor, InverseKind, Mark, Situation
from tools.jsontypes import JsonObject
from tools.refs import Pin


@dataclass(frozen=True, slots=True)
class Round:
    """One call of several, and its target as it was just read."""

    action: Action
    pin: Pin


class RoundsExecutor(Executor[A]):
    """One action that is carried out by others, one at a time.

    `precondition` holds before every round; `postcondition` says whether the whole of it is done.
    """

    declared_fields = ()
    inverse_kind = InverseKind.BY_CONTROLLER
    """Each round has its own; this is said of the whole, which has no single write to restore."""
    most_rounds: ClassVar[int]
    """Beyond this the world does not come to rest, and it is stopped."""

    @abstractmethod
    def rounds(self, action: A, situation: Situation) -> tuple[Round, ...]:
        """What is left to do, in order; empty when it is done.  Pure.

        Before: `precondition` gave None for the same situation.
        """

    def request(self, action: A, situation: Situation, mark: Mark) -> NoReturn:  # noqa: ARG002
        """There is none.  Raises TypeError: each round is ordered by itself."""
        raise TypeError(f"{action.tool} is no single call: order its rounds")

    def was_applied(self, action: A, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """No call of this name is ever made."""
        return Applied.UNKNOWN
