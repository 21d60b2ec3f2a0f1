"""All routing, as pure functions from the state to the name of the next node.

Each router matches on one tagged value and ends in `assert_never`: a variant that no edge knows does not type-check.
The bounds (attempts, retries) are read from `Limits`, never from the model.
"""

# `case other: assert_never(other)` is meant to be unreachable: it is there for the variant of tomorrow.
# pyright: reportUnnecessaryComparison=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from graph.plan import (
    DECISIONS,
    OUTCOMES,
    PROPOSALS,
    UNDOS,
    VERDICTS,
    VERIFICATIONS,
    Accepted,
    Approved,
    Declined,
    Executed,
    FailedVerification,
    Lost,
    NeedsApproval,
    NoPlan,
    NotUndone,
    ObserveOnly,
    Passed,
    Planned,
    Refusal,
    Rejected,
    Retry,
    StepDone,
    Uncovered,
    Undone,
    Unverifiable,
)
from graph.state import State
from tools.guard.verdict import ReasonCode


@dataclass(frozen=True, slots=True)
class Limits:
    """How often is enough.  An attempt is a plan, rejected ones included; a retry is the same step once more.

    `waits` is how often one call of a step that takes several is held back by a disruption budget.
    """

    attempts: int = 3
    retries: int = 4
    waits: int = 30


FINAL_REFUSALS = frozenset(
    {
        ReasonCode.MODE_OFF,
        ReasonCode.TARGET_PROTECTED,
        ReasonCode.OWNED_BY_GITOPS,
        ReasonCode.COOLDOWN,
        ReasonCode.QUARANTINED,
        ReasonCode.RATE_LIMITED,
        ReasonCode.LOCKED,
        ReasonCode.LEDGER_UNAVAILABLE,
        ReasonCode.STALE_VIEW,
        ReasonCode.TARGET_GONE,
    }
)
"""Refusals that no other plan for the same object would get round: asking again would only ask again."""


def after_analyzer(state: State) -> Literal["reasoner", "closer"]:
    """Only a world in which something is wrong is reasoned about."""
    return "reasoner" if state.get("finding") == "wrong" else "closer"


def after_reasoner(state: State) -> Literal["validator", "closer"]:
    """A plan is validated; none is an escalation."""
    match PROPOSALS.validate_python(state.get("proposal")):
        case Planned():
            return "validator"
        case NoPlan():
            return "closer"
        case other:
            assert_never(other)


def after_validator(state: State, limits: Limits) -> Literal["enforcer", "approval", "reasoner", "closer"]:
    """Rejected plans go back with their reasons, as long as attempts are left."""
    match VERDICTS.validate_python(state.get("verdict")):
        case Accepted():
            return "enforcer"
        case NeedsApproval():
            return "approval"
        case ObserveOnly():
            return "closer"
        case Rejected(refusals=refusals):
            may_help = not any(r.code in FINAL_REFUSALS for r in refusals)
            return "reasoner" if may_help and has_attempts_left(state, limits) else "closer"
        case other:
            assert_never(other)


def after_approval(state: State) -> Literal["enforcer", "closer"]:
    """No approver means no."""
    match DECISIONS.validate_python(state.get("decision")):
        case Approved():
            return "enforcer"
        case Declined():
            return "closer"
        case other:
            assert_never(other)


def after_enforcer(state: State, limits: Limits) -> Literal["verifier", "enforcer", "undo", "reasoner", "closer"]:
    """One call was made, or tried.

    A transient error is tried again; a refusal at the door means that the world moved: what this plan already did is
    undone first, then it is thought over again.  A lost write stops everything.
    """
    match OUTCOMES.validate_python(state.get("outcome")):
        case Executed(more=more):
            return "enforcer" if more else "verifier"
        case Retry(is_blocked=is_blocked):
            if state.get("retries", 0) <= (limits.waits if is_blocked else limits.retries):
                return "enforcer"
            return "undo" if has_written(state) else "closer"
        case Refusal(refusal=refusal):
            if has_written(state):
                return "undo"
            may_help = refusal.code not in FINAL_REFUSALS
            return "reasoner" if may_help and has_attempts_left(state, limits) else "closer"
        case Lost():
            return "closer"
        case other:
            assert_never(other)


def after_verifier(state: State, limits: Limits) -> Literal["enforcer", "undo", "reasoner", "closer"]:
    """PASS closes, the next step goes on, FAIL is undone; UNKNOWN is never a pass and never a reason to write more.

    A failure that was hidden behind the first one is thought about anew; what was done for the first stands.
    """
    match VERIFICATIONS.validate_python(state.get("verification")):
        case Passed():
            return "closer"
        case StepDone():
            return "enforcer"
        case FailedVerification():
            return "undo"
        case Uncovered():
            return "reasoner" if has_attempts_left(state, limits) else "closer"
        case Unverifiable():
            return "closer"
        case other:
            assert_never(other)


def after_undo(state: State, limits: Limits) -> Literal["reasoner", "closer"]:
    """Only a world that was put back is planned for again."""
    match UNDOS.validate_python(state.get("undo")):
        case Undone():
            return "reasoner" if has_attempts_left(state, limits) else "closer"
        case NotUndone():
            return "closer"
        case other:
            assert_never(other)


def has_attempts_left(state: State, limits: Limits) -> bool:
    """Whether another plan may be made."""
    return state.get("attempts", 0) < limits.attempts


def has_written(state: State) -> bool:
    """Whether the present plan has changed anything yet."""
    outcomes = [OUTCOMES.validate_python(o) for o in state.get("outcomes", [])]
    return any(isinstance(o, Executed) for o in outcomes)
