"""Writes the last word: what happened, why, and what a person must do now, if anything.

The rule: every incident ends here with a status a person can see.  Nothing in here may fail the run: the ledger is the
authority, everything else is best effort.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import structlog

from graph.edges import has_written
from graph.evidence import load
from graph.incident import Incident
from graph.intake import describe
from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.plan import (
    DECISIONS,
    OUTCOMES,
    PROPOSALS,
    UNDOS,
    VERDICTS,
    VERIFICATIONS,
    Declined,
    ExecutionResult,
    Lost,
    NoPlan,
    NotUndone,
    ObserveOnly,
    Passed,
    Planned,
    Refusal,
    RefusedPlan,
    Rejected,
    Resolution,
    Retry,
    Status,
    Uncovered,
    Undone,
    Unverifiable,
)
from graph.ports import Ports
from graph.reverts import RevertTold, prepare_revert
from graph.state import State
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject
from tools.redact import excerpt

log = structlog.get_logger(__name__)

MAX_WORD = 1200
"""Characters of the last word."""
OWNED = frozenset({ReasonCode.OWNED_BY_GITOPS, ReasonCode.OWNED_BY_AUTOSCALER})
"""Refusals because somebody else keeps the object: the change has its place there, and nobody but a person makes it."""

_WEBHOOK = re.compile(
    r"""(?:failed\ calling\ webhook\ \\?"(?P<away>[^"\\]{1,253})\\?"
    |admission\ webhook\ \\?"(?P<denies>[^"\\]{1,253})\\?"\ denied\ the\ request)(?P<said>[^\n]{0,400})""",
    re.VERBOSE,
)
"""How the API server names the webhook that it could not ask, or that said no (apiserver, admission/plugin/webhook)."""
MAX_SAID = 200


def closer(source: PortsSource) -> Node:
    """The node over these ports."""

    async def close(state: State) -> State:
        ports = await source()
        if not state.get("incident"):
            return {}
        incident = incident_of(state)
        resolution = resolve(state, incident, now=ports.clock.now())
        revert = await prepare_revert(_proposal(state), state.get("evidence", ""), incident, resolution, ports)
        if revert is not None:
            await _tell_revert(revert, incident, ports)
            resolution = with_revert(resolution, revert, now=ports.clock.now())
        result = as_result(state, incident, resolution, revert)
        await tell(
            ports,
            incident.id,
            "close",
            resolution.sentence,
            code=resolution.code.value if resolution.code else "",
            data={"status": resolution.status.value},
        )
        await ports.ledger.save_incident(
            incident.id,
            status=resolution.status.value,
            is_open=False,
            document=incident.model_dump(mode="json"),
            result=result.model_dump(mode="json"),
            now=resolution.closed_at,
        )
        await _remember(state, incident, resolution, ports)
        return {"resolution": resolution.model_dump(mode="json")}

    return close


async def _tell_revert(told: RevertTold, incident: Incident, ports: Ports) -> None:
    data: JsonObject = {"revert": told.revert.model_dump(mode="json")} if told.revert is not None else {}
    await tell(ports, incident.id, "revert", told.sentence, data=data)


def with_revert(resolution: Resolution, told: RevertTold, *, now: datetime) -> Resolution:
    """The last word with what was prepared behind it; a word too long for both loses its end, not the last sentence."""
    room = MAX_WORD - len(told.sentence) - 1
    sentence = f"{resolution.sentence[:room].rstrip()} {told.sentence}"
    return resolution.model_copy(update={"sentence": sentence, "closed_at": now})


async def _remember(state: State, incident: Incident, resolution: Resolution, ports: Ports) -> None:
    """What healed is kept for the next time; that it cannot be kept changes nothing about this incident."""
    proposal = _proposal(state)
    if ports.cache is None or resolution.status is not Status.HEALED or not isinstance(proposal, Planned):
        return
    try:
        evidence = await load(state.get("evidence", ""), ports)
        ports.cache.remember(evidence, proposal.plan, incident_id=incident.id)
    except Exception:
        log.exception("cache.not_kept", incident_id=incident.id)


def resolve(state: State, incident: Incident, *, now: datetime) -> Resolution:
    """The last word, from the newest thing that was decided; pure.

    Read from the end backwards: what was verified outweighs what was planned, and a world put back is not a failure
    that still stands.
    """
    return (
        _from_verification(state, incident, now)
        or _from_undo(state, incident, now)
        or _from_outcome(state, incident, now)
        or _from_decision(state, incident, now)
        or _from_finding(state, incident, now)
    )


def _is_current(state: State) -> bool:
    """Whether the present plan has written anything: only then do its outcomes speak."""
    return has_written(state)


def _from_verification(state: State, incident: Incident, now: datetime) -> Resolution | None:
    raw = state.get("verification")
    if not raw or not _is_current(state):
        return None
    match VERIFICATIONS.validate_python(raw):
        case Passed(sentence=sentence, recovered_at=recovered_at):
            return Resolution(
                status=Status.HEALED,
                sentence=f"Healed. {sentence} {_what_was_done(state)}",
                recovered_at=recovered_at,
                closed_at=now,
            )
        case Unverifiable(sentence=sentence):
            text = (
                f"It cannot be told whether {describe(incident.target)} recovered: {sentence} {_what_was_done(state)}"
            )
            return _escalated(text + " What was done stands; look, and undo it by hand if need be.", "STALE_VIEW", now)
        case Uncovered(sentence=sentence):
            text = f"One failure is remedied and another shows behind it: {sentence} {_what_was_done(state)}"
            return _escalated(text + " No attempt is left for the second.", "ATTEMPTS_EXHAUSTED", now)
        case _:
            return None


def _from_undo(state: State, incident: Incident, now: datetime) -> Resolution | None:
    raw = state.get("undo")
    if not raw or not _is_current(state):
        return None
    match UNDOS.validate_python(raw):
        case NotUndone(refusal=refusal):
            text = f"The remedy did not help and could not be taken back: {refusal.reason} {_what_was_done(state)}"
            return _escalated(text, refusal.code.value, now)
        case Undone(sentence=sentence):
            text = f"{state.get('attempts', 0)} attempt(s) did not heal {describe(incident.target)}. {sentence}"
            return _escalated(text, "ATTEMPTS_EXHAUSTED", now)


def _from_outcome(state: State, incident: Incident, now: datetime) -> Resolution | None:
    raw = state.get("outcome")
    if not raw:
        return None
    match OUTCOMES.validate_python(raw):
        case Lost(refusal=refusal):
            return _escalated(
                f"A write to {describe(incident.target)} is in doubt: {refusal.reason}", refusal.code, now
            )
        case Retry(error=error) if not _moved_on(state):
            return _escalated(f"The API server did not take the write: {error}", "API_UNAVAILABLE", now)
        case Refusal(refusal=refusal) if not _moved_on(state) and refusal.code in OWNED:
            return _escalated(f"A person is needed. Not done: {_at_the_owner((refusal,))}", refusal.code, now)
        case Refusal(refusal=refusal) if not _moved_on(state):
            return Resolution(
                status=Status.REFUSED,
                sentence=f"Not done: {refusal.reason}",
                code=refusal.code,
                closed_at=now,
                retry_after_seconds=refusal.retry_after_seconds,
            )
        case _:
            return None


def _moved_on(state: State) -> bool:
    """Whether a later proposal or finding outdates the outcome."""
    if state.get("finding") == "clear":
        return True
    return isinstance(PROPOSALS.validate_python(state.get("proposal")), NoPlan)


def _from_decision(state: State, incident: Incident, now: datetime) -> Resolution | None:
    if state.get("finding") != "wrong" or not state.get("proposal"):
        return None
    match PROPOSALS.validate_python(state.get("proposal")):
        case NoPlan(refusal=refusal, diagnosis=diagnosis):
            in_the_way = _barred(state)
            advice = in_the_way if in_the_way is not None else refusal.reason
            sentence = f"{diagnosis.sentence} {advice}" if diagnosis else advice
            return _escalated(f"A person is needed. {sentence}", refusal.code, now)
        case Planned(plan=plan):
            pass
    steps = "; ".join(f"{s.action.action} {s.action.target}" for s in plan.steps)
    decision = state.get("decision")
    if decision:
        match DECISIONS.validate_python(decision):
            case Declined(by=by, why=why):
                return Resolution(
                    status=Status.REFUSED,
                    sentence=f"{plan.diagnosis.sentence} The plan ({steps}) was declined by {by}: {why}.",
                    code=ReasonCode.APPROVAL_REFUSED,
                    closed_at=now,
                )
            case _:
                pass
    verdict = VERDICTS.validate_python(state.get("verdict"))
    match verdict:
        case ObserveOnly():
            return Resolution(
                status=Status.OBSERVED,
                sentence=f"{plan.diagnosis.sentence} Observe mode: this would have been done: {steps}.",
                code=ReasonCode.OBSERVE_ONLY,
                closed_at=now,
            )
        case Rejected(refusals=refusals) if all(r.code in OWNED for r in refusals):
            sentence = f"{plan.diagnosis.sentence} The plan ({steps}) was refused: {_at_the_owner(refusals)}"
            return _escalated(f"A person is needed. {sentence}", refusals[0].code, now)
        case Rejected(refusals=refusals) if any(r.code is ReasonCode.QUARANTINED for r in refusals):
            return _quarantined(plan.diagnosis.sentence, refusals, now)
        case Rejected(refusals=refusals):
            reasons = " ".join(f"[{r.code}] {r.reason}" for r in refusals)
            return Resolution(
                status=Status.REFUSED,
                sentence=f"{plan.diagnosis.sentence} The plan ({steps}) was refused: {reasons}",
                code=refusals[0].code,
                closed_at=now,
                retry_after_seconds=refusals[0].retry_after_seconds if len(refusals) == 1 else None,
            )
        case _:
            text = f"{describe(incident.target)}: the run ended without a word on {steps}."
            return _escalated(text, "UNKNOWN_OUTCOME", now)


def _barred(state: State) -> str | None:
    """What the last remedy could not get past, when that is an admission webhook; None when it is none."""
    told = [RefusedPlan.model_validate(r) for r in state.get("refusals", [])]
    reasons = [r.reason for r in told[-1].refusals] if told else []
    named = next((found for reason in reasons if (found := _WEBHOOK.search(reason)) is not None), None)
    if named is None:
        return None
    name, said = named["away"] or named["denies"], named["said"].strip(" :")
    how = "does not answer" if named["away"] else "refuses it"
    return (
        f"A remedy is known, and admission webhook {name} stands in its way: it {how} ({excerpt(said, MAX_SAID)})."
        " Have whoever runs the webhook look at it; until then the cluster takes no such change."
    )


def _at_the_owner(refusals: Sequence[Refused]) -> str:
    """Who keeps the object, as the guard names them, and where the change belongs."""
    reasons = " ".join(f"[{r.code}] {r.reason}" for r in refusals)
    return (
        f"{reasons} Who keeps an object manages it: make the change where it takes that from;"
        " a change of the object itself would be lost."
    )


def _from_finding(state: State, incident: Incident, now: datetime) -> Resolution:
    who = describe(incident.target)
    if state.get("finding") == "clear":
        return Resolution(status=Status.CLEARED, sentence=f"Nothing is wrong with {who} (any more).", closed_at=now)
    return _escalated(f"{who} could not be read well enough to decide anything.", "STALE_VIEW", now)


def _quarantined(cause: str, refusals: Sequence[Refused], now: datetime) -> Resolution:
    """A person is called, once: it is said how long the same trouble is not told again."""
    refusal = next(r for r in refusals if r.code is ReasonCode.QUARANTINED)
    called = _escalated(f"A person is needed. {refusal.reason} Cause, as it was found: {cause}", refusal.code, now)
    return called.model_copy(update={"retry_after_seconds": refusal.retry_after_seconds})


def _escalated(sentence: str, code: str, now: datetime) -> Resolution:
    return Resolution(status=Status.ESCALATED, sentence=sentence[:MAX_WORD], code=ReasonCode(code), closed_at=now)


def _what_was_done(state: State) -> str:
    proposal = PROPOSALS.validate_python(state.get("proposal"))
    if not isinstance(proposal, Planned):
        return ""
    steps = "; ".join(f"{s.action.action} {s.action.target}" for s in proposal.plan.steps)
    return f"Cause: {proposal.plan.diagnosis.sentence} Done: {steps}."


def _proposal(state: State) -> Planned | NoPlan | None:
    """What the reasoner said last; None when it was never reached."""
    raw = state.get("proposal")
    return PROPOSALS.validate_python(raw) if raw else None


def as_result(
    state: State, incident: Incident, resolution: Resolution, revert: RevertTold | None = None
) -> ExecutionResult:
    """The structured answer; pure."""
    proposal = _proposal(state)
    plan = proposal.plan if isinstance(proposal, Planned) else None
    diagnosis = plan.diagnosis if plan is not None else None
    if isinstance(proposal, NoPlan):
        diagnosis = proposal.diagnosis
    verification = state.get("verification")
    undone = state.get("undo")
    return ExecutionResult(
        incident_id=incident.id,
        status=resolution.status,
        target=incident.target,
        diagnosis=diagnosis,
        plan=plan,
        outcomes=tuple(OUTCOMES.validate_python(o) for o in state.get("outcomes", [])),
        verification=VERIFICATIONS.validate_python(verification) if verification else None,
        undo=UNDOS.validate_python(undone) if undone else None,
        resolution=resolution,
        opened_at=incident.opened_at,
        attempts=state.get("attempts", 0),
        revert=revert.revert if revert is not None else None,
    )
