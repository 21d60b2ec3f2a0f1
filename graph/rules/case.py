"""What a rule looks at and what it answers.

The rule of rules: small, general, pure; it says why its remedy is safe in one sentence, and where a second cause fits
as well it says so (`Unclear`) and does not choose.  Neighbours: `rulebook` asks the rules in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Protocol, TypeAlias

from graph.incident import Reason, Signal
from graph.observed import CandidateRevert, Evidence, Health, PodFacts, WorkloadFacts
from graph.plan import Step, action_digest
from tools.executors.actions import AnyAction

MEANT: Final = frozenset({Reason.SCALED_TO_ZERO, Reason.ROLLOUT_PAUSED, Reason.DRIFTED, Reason.AUTOSCALER_FORGOTTEN})
"""Symptoms that somebody may have wanted: they are looked at when nothing fails."""


@dataclass(frozen=True)
class Case:
    """One incident's evidence, as rules ask about it.

    `tried` are digests of actions that were refused, or were carried out and did not heal.
    """

    evidence: Evidence
    workload: WorkloadFacts
    tried: frozenset[str]
    now: datetime

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """Confirmed symptoms, all that anything is decided on; what may have been meant only when nothing fails."""
        found = tuple(s for s in self.evidence.signals if s.confirmed and s.reason is not Reason.REQUESTED)
        return tuple(s for s in found if s.reason not in MEANT) or found

    @cached_property
    def present(self) -> tuple[Signal, ...]:
        """Symptoms of the present revision, and of the workload itself."""
        return tuple(s for s in self.signals if s.revision in (None, self.workload.revision_hash))

    @cached_property
    def others(self) -> tuple[Signal, ...]:
        """Symptoms of pods of other revisions."""
        return tuple(s for s in self.signals if s not in self.present)

    @property
    def usable(self) -> tuple[CandidateRevert, ...]:
        """Ways back that are not known to be bad, best first."""
        return tuple(c for c in self.evidence.candidates if c.health is not Health.BAD)

    @property
    def is_history_known(self) -> bool:
        """Whether the absence of candidates means that there are none."""
        return bool(self.evidence.candidates) or self.workload.revision is not None or not self.evidence.unseen

    def pods_of(self, revision: str) -> tuple[PodFacts, ...]:
        """The pods of one revision that are not on their way out."""
        return tuple(p for p in self.evidence.pods if p.revision == revision and not p.deleting)

    def was_tried(self, action: AnyAction) -> bool:
        """Whether exactly this was tried before, or refused."""
        return action_digest(action) in self.tried


@dataclass(frozen=True, slots=True)
class Remedy:
    """The cause, and the steps that remedy it.  `needs_person` says why a person must agree, if one must."""

    cause: str
    sentence: str
    confidence: float
    steps: tuple[Step, ...]
    reasons: tuple[Reason, ...]
    needs_person: tuple[str, ...] = ()
    loosens: tuple[str, ...] = ()
    """Rules of the Pod Security Standards that it would give up."""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The cause is known and no action of ours remedies it; `advice` says what a person can do."""

    cause: str
    sentence: str
    advice: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Unclear:
    """Two causes fit, or none does; `question` names the fact that would decide."""

    cause: str
    sentence: str
    question: str
    reasons: tuple[Reason, ...]


Answer: TypeAlias = Remedy | Hopeless | Unclear


class Rule(Protocol):
    """One cause that is known without a model."""

    @property
    def name(self) -> str:
        """A stable name; it appears in diagnoses."""
        ...

    @property
    def safe_because(self) -> str:
        """Why its remedy cannot do harm, in one sentence."""
        ...

    def judge(self, case: Case) -> Answer | None:
        """What this rule knows of the case; None when it is not its kind of case."""
        ...
