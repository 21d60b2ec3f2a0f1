"""Says whether it worked: PASS, FAIL or UNKNOWN, judged at the owner and never at the pod that was touched.

The rule: UNKNOWN is never PASS.  Between steps only the step's own postcondition is asked; after the last one the owner
must be as desired, its signals gone, nothing new broken in the namespace, and all of that must last.  Looking is woken
by the watch; the longest pause between two looks is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from graph.evidence import load, look
from graph.facts import is_complete
from graph.incident import Evidence, Incident, WorkloadFacts
from graph.intake import describe
from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.nodes.vitals import Vitals, vitals
from graph.orders import context_for
from graph.plan import (
    OUTCOMES,
    PROPOSALS,
    Executed,
    FailedVerification,
    Passed,
    Plan,
    Planned,
    StepDone,
    Unverifiable,
    Verification,
)
from graph.ports import Ports
from graph.state import State

STALE_SECONDS = 100.0
"""A view older than this shows nothing; a quiet source speaks every minute or so by bookmark, silence ends at 75 s."""
_SHORTEST = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Good:
    """The owner is as desired and nothing new is broken."""

    sentence: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """Read well; it may still become good."""

    sentence: str
    severity: int


@dataclass(frozen=True, slots=True)
class Hopeless:
    """Read well; waiting will not make it good."""

    sentence: str
    severity: int


@dataclass(frozen=True, slots=True)
class Blind:
    """The world could not be read: this says nothing, neither good nor bad."""

    sentence: str


Reading: TypeAlias = Good | NotYet | Hopeless | Blind


def verifier(source: PortsSource) -> Node:
    """The node over these ports."""

    async def verify(state: State) -> State:
        ports = await source()
        incident = incident_of(state)
        proposal = PROPOSALS.validate_python(state.get("proposal"))
        outcome = OUTCOMES.validate_python(state.get("outcome"))
        if not isinstance(proposal, Planned) or not isinstance(outcome, Executed):
            raise TypeError("the verifier was reached without an executed step")
        plan = proposal.plan
        is_last = outcome.step + 1 >= len(plan.steps)
        verification: Verification
        if is_last:
            verification = await _settle(incident, state, ports, since=outcome.at)
            if not isinstance(verification, Unverifiable):
                await ports.ledger.mark_verified(plan.id, healed=isinstance(verification, Passed))
        else:
            verification = await _step(incident, plan, outcome, state, ports)
        await _account(verification, outcome, incident, ports)
        return {"verification": verification.model_dump(mode="json"), "step": outcome.step + (0 if is_last else 1)}

    return verify


async def _step(
    incident: Incident, plan: Plan, outcome: Executed, state: State, ports: Ports
) -> StepDone | FailedVerification:
    """More steps follow: only what this one promised is asked."""
    evidence = await load(state.get("evidence", ""), ports)
    context = context_for(plan, outcome.step, incident, evidence, state, approved=True)
    refusal = await ports.door.check_postcondition(context.order(plan.steps[outcome.step].action))
    now = ports.clock.now()
    if refusal is None:
        return StepDone(at=now)
    return FailedVerification(worse=False, sentence=refusal.reason, at=now)


async def _settle(
    incident: Incident, state: State, ports: Ports, *, since: datetime
) -> Passed | FailedVerification | Unverifiable:
    """Watch until it held for `Timing.settle`, or the time to recover is over."""
    baseline = Vitals.model_validate(state.get("baseline"))
    deadline = since + ports.timing.verify
    recovered: datetime | None = None
    while True:
        now = ports.clock.now()
        reading = read(incident, baseline, ports, since=since)
        if recovered is not None and not isinstance(reading, Good):
            await tell(ports, incident.id, "verify", f"It did not last: {reading.sentence}")
        match reading:
            case Good(sentence=sentence):
                if recovered is None:
                    recovered = now
                    await tell(ports, incident.id, "verify", f"{sentence} Watching whether it lasts.")
                if now - recovered >= ports.timing.settle:
                    return Passed(recovered_at=recovered, at=now, sentence=sentence)
            case Hopeless(sentence=sentence, severity=severity):
                return FailedVerification(worse=severity > baseline.severity, sentence=sentence, at=now)
            case NotYet(sentence=sentence, severity=severity):
                recovered = None
                if now >= deadline:
                    return FailedVerification(worse=severity > baseline.severity, sentence=sentence, at=now)
            case Blind(sentence=sentence):
                recovered = None
                if now >= deadline:
                    return Unverifiable(sentence=sentence, at=now)
        rest = ports.timing.settle - (now - recovered) if recovered is not None else deadline - now
        await ports.mirror.changed(incident.target.namespace, max(min(rest, ports.timing.look), _SHORTEST))


def read(incident: Incident, baseline: Vitals, ports: Ports, *, since: datetime) -> Reading:
    """Judge the world as the watch shows it at this moment."""
    unseen = ports.mirror.unavailable()
    if unseen or ports.mirror.view_age() > STALE_SECONDS:
        return Blind(f"{describe(incident.target)} cannot be seen: {', '.join(unseen) or 'the watch is stale'}.")
    return judge(look(incident, ports), baseline, vitals(incident.target.namespace, ports), since=since)


def judge(seen: Evidence, baseline: Vitals, after: Vitals, *, since: datetime) -> Good | NotYet | Hopeless:
    """What one look means; pure."""
    work, severity = seen.workload, after.severity
    if work is None:
        return Hopeless("The workload is gone.", severity)
    who = describe(work.ref)
    fresh = _fresh_failures(seen, work, since)
    if fresh:
        return Hopeless(f"The pods made by the remedy fail too: {fresh}.", severity)
    if not _is_complete(seen, work):
        names = ", ".join(sorted({s.reason.value for s in seen.signals}))
        still = f"; it still reports {names}" if names else ""
        return NotYet(f"{who}: {work.ready} of {work.desired} pods ready, {work.updated} updated{still}.", severity)
    new = set(after.failing) - set(baseline.failing)
    if new:
        return NotYet(f"{len(new)} other object(s) of the namespace began to fail meanwhile.", severity)
    return Good(f"{who} has {work.ready} of {work.desired} pods ready, no signal left.")


def _is_complete(seen: Evidence, work: WorkloadFacts) -> bool:
    """The rollout has come to its end, nobody complains, and no pod is still going away."""
    return is_complete(work) and not seen.signals and not any(p.deleting for p in seen.pods)


def _fresh_failures(seen: Evidence, work: WorkloadFacts, since: datetime) -> str:
    """Confirmed failures of pods of the present revision that began after the remedy."""
    fresh = [
        s
        for s in seen.signals
        if s.confirmed and s.revision is not None and s.revision == work.revision_hash and s.observed_at >= since
    ]
    return ", ".join(sorted({f"{s.reason.value} on {s.object.name}" for s in fresh}))


async def _account(verification: Verification, outcome: Executed, incident: Incident, ports: Ports) -> None:
    match verification:
        case Passed(sentence=sentence, recovered_at=recovered_at):
            text = f"PASS: {sentence} Recovered at {recovered_at:%H:%M:%S} UTC and stayed so."
        case StepDone():
            text = f"Step {outcome.step + 1} did what it promised; the next one follows."
        case FailedVerification(sentence=sentence, worse=worse):
            text = f"FAIL{' (worse than before)' if worse else ''}: {sentence}"
        case Unverifiable(sentence=sentence):
            text = f"UNKNOWN: {sentence} Nothing more is done; what was done stands."
    await tell(ports, incident.id, "verify", text, data={"verification": verification.model_dump(mode="json")})
