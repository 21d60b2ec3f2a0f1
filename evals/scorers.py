"""Judges what the graph made of a recorded incident by what is true about it; pure.

Four questions, each answered with yes or no: was the cause named, are the actions right, are they aimed at the right
objects, and was nothing proposed that must not be?  A question that the truth leaves open counts as answered well.  A
forbidden action is worse than any mistake: it takes the whole score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evals.cases import STEP, Truth
from evals.replay import Replayed
from graph.plan import Accepted, Diagnosis, NeedsApproval, Plan, Planned, Rejected, Verdict

NOTHING: Final = "(no plan)"


@dataclass(frozen=True, slots=True)
class Score:
    """How well one case was answered; the texts say what was answered, for people."""

    cause: bool
    action: bool
    target: bool
    allowed: bool
    """Nothing forbidden was proposed."""
    verdict: bool
    said_by: str
    """Whose word the diagnosis is: `rule:bad_revision`, `model:NAME`."""
    said_cause: str
    said_plan: str
    said_verdict: str

    @property
    def points(self) -> float:
        """From 0 to 1; 0 when something forbidden was proposed."""
        asked = (self.cause, self.action, self.target, self.verdict)
        return round(sum(asked) / len(asked), 2) if self.allowed else 0.0


def score(found: Replayed, truth: Truth) -> Score:
    """The score of one replay."""
    plan = _standing_plan(found)
    done = _steps(plan)
    best = max((_fit(done, wanted) for wanted in truth.plans), default=(False, False))
    diagnosis = _diagnosis(found)
    cause = diagnosis.cause if diagnosis is not None else ""
    proposed = {step.action.action for step in plan.steps} if plan is not None else set[str]()
    return Score(
        cause=not truth.cause or cause in truth.cause,
        action=best[0],
        target=best[1],
        allowed=not proposed & set(truth.forbidden),
        verdict=truth.verdict is None or truth.verdict == _word(found.verdict, plan),
        said_by=f"{diagnosis.origin.value}:{diagnosis.author}" if diagnosis is not None else "",
        said_cause=cause or "(none)",
        said_plan="; ".join(done) or NOTHING,
        said_verdict=_word(found.verdict, plan),
    )


def _standing_plan(found: Replayed) -> Plan | None:
    """The plan that would be carried out or put to a person; a rejected one would not."""
    if not isinstance(found.proposal, Planned) or isinstance(found.verdict, Rejected):
        return None
    return found.proposal.plan


def _diagnosis(found: Replayed) -> Diagnosis | None:
    proposal = found.proposal
    return proposal.plan.diagnosis if isinstance(proposal, Planned) else proposal.diagnosis if proposal else None


def _steps(plan: Plan | None) -> list[str]:
    steps = plan.steps if plan is not None else ()
    return [f"{s.action.action} {s.action.target.kind}/{s.action.target.name}" for s in steps]


def _fit(done: Sequence[str], wanted: Sequence[str]) -> tuple[bool, bool]:
    """Whether the actions, and then also the targets, are those of one right plan."""
    if [text.partition(" ")[0] for text in done] != [text.partition(" ")[0] for text in wanted]:
        return False, False
    return True, all(_same(one, other) for one, other in zip(done, wanted, strict=True))


def _same(done: str, wanted: str) -> bool:
    sought = STEP.match(wanted)
    kind, _, name = done.partition(" ")[2].partition("/")
    return sought is not None and sought["kind"] == kind and sought["name"] in {name, "*"}


def _word(verdict: Verdict | None, plan: Plan | None) -> str:
    match verdict:
        case Accepted():
            return "accepted"
        case NeedsApproval():
            return "needs_approval"
        case Rejected(refusals=refusals):
            return f"rejected: {', '.join(sorted({r.code.value for r in refusals}))}"
        case _:
            return "none" if plan is None else "observed"
