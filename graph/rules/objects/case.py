"""What a rule about an object looks at: the same evidence, asked for ways back instead of revisions.

Neighbours: `graph.rules.case` is the same for workloads, and has the answers; `graph.rules.rulebook` asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from graph.incident import Reason, Signal
from graph.observed import Evidence, ObjectCandidate, Operation
from graph.plan import Step, action_digest
from graph.rules.case import Answer
from graph.rules.words import name_of
from tools.executors.actions import ACTIONS, AnyAction
from tools.refs import ObjectRef


@dataclass(frozen=True)
class ObjectCase:
    """One incident about an object.  `tried` are digests of actions that were refused or did not heal."""

    evidence: Evidence
    target: ObjectRef
    tried: frozenset[str]
    now: datetime

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """Confirmed symptoms; the only ones anything is decided on."""
        return tuple(s for s in self.evidence.signals if s.confirmed and s.reason is not Reason.REQUESTED)

    @property
    def ways(self) -> tuple[ObjectCandidate, ...]:
        """Ways back for the target itself."""
        return tuple(c for c in self.evidence.objects if c.ref == self.target)

    def was_tried(self, action: AnyAction) -> bool:
        """Whether exactly this was tried before, or refused."""
        return action_digest(action) in self.tried


class ObjectRule(Protocol):
    """One cause that is known without a model."""

    @property
    def name(self) -> str:
        """A stable name; it appears in diagnoses."""
        ...

    @property
    def safe_because(self) -> str:
        """Why its remedy cannot do harm, in one sentence."""
        ...

    def judge(self, case: ObjectCase) -> Answer | None:
        """What this rule knows of the case; None when it is not its kind of case."""
        ...


def action(name: str, ref: ObjectRef, **arguments: object) -> AnyAction:
    """An action on `ref` as a typed value.  Raises `pydantic.ValidationError` for arguments that are not permitted."""
    fields = {"action": name, "name": ref.name, **arguments}
    if ref.namespace is not None:
        fields["namespace"] = ref.namespace
    return ACTIONS.validate_python(fields)


def way_back(candidate: ObjectCandidate) -> AnyAction:
    """The action that goes this way."""
    ref = candidate.ref
    match candidate.operation:
        case Operation.REVERT:
            return action("revert_fields", ref, kind=ref.kind, version=candidate.version)
        case Operation.RESTORE:
            return action("restore_object", ref, kind=ref.kind, version=candidate.version)
        case Operation.REMOVE:
            return action("remove_object", ref, kind=ref.kind)


def step_back(candidate: ObjectCandidate) -> Step:
    """The way as a step, with the reason that a person reads."""
    return Step(action=way_back(candidate), why=f"{described(candidate)}."[:400])


def described(candidate: ObjectCandidate) -> str:
    """What is different and by whose word: the middle of a sentence."""
    who = name_of(candidate.ref)
    source = "the declared state" if candidate.source == "desired" else "the last known good"
    by = f", written by {candidate.changed_by}" if candidate.changed_by else ""
    match candidate.operation:
        case Operation.REVERT:
            paths = [c.path for c in candidate.changes]
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            return f"{who} differs from {source} in {', '.join(paths[:3])}{more}{by}"
        case Operation.RESTORE:
            return f"{who} is gone and {source} has it"
        case Operation.REMOVE:
            return f"{who} is not part of {source}"
