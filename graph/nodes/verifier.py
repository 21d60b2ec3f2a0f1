"""Says whether it worked: PASS, FAIL or UNKNOWN, judged at the owner and never at the pod that was touched.

The rule: UNKNOWN is never PASS.  Between steps only the step's own postcondition is asked; after the last one the owner
must be as desired, its signals gone, nothing new broken in the namespace, and all of that must last.  Looking is woken
by the watch; the longest pause between two looks is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from graph.evidence import load, look
from graph.incident import Evidence, Incident
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
"""A view older than this shows nothing; a quiet source speaks every minute or so by bookmark, and silence ends at 75 s."""
_SHORTEST = timedelta(milliseconds=50)


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
            verification = await _settle(incident, plan, state, ports, since=outcome.at)
            healed = isinstance(verification, Passed)
            if not isinstance(verification, Unverifiable):
                await ports.ledger.mark_verified(plan.id, healed=healed)
        else:
            verification = await _step(incident, plan, outcome, state, ports)
        await _account(verification, outcome, incident, ports)
        return {"verification": verification.model_dump(mode="json"), "step": outcome.step + (0 if is_last else 1)}

    return verify


async def _step(incident: Incident, plan: Plan, outcome: Executed, state: State, ports: Ports) -> Verification:
    """More steps follow: only what this one promised is asked."""
    evidence = await load(state.get("evidence", ""), ports)
    context = context_for(plan, outcome.step, incident, evidence, state, approved=True)
    refusal = await ports.door.check_postcondition(context.order(plan.steps[outcome.step].action))
    now = ports.clock.now()
    if refusal is None:
        return StepDone(at=now)
    return FailedVerification(worse=False, sentence=refusal.reason, at=now)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look, judged: `good`, `bad` for good (no use waiting), or neither yet; `blind` when it could not be read."""

    good: bool
    hopeless: bool
    blind: bool
    sentence: str
    severity: int


async def _settle(
    incident: Incident, plan: Plan, state: State, ports: Ports, *, since: datetime
) -> Passed | FailedVerification | Unverifiable:
    """Watch until it held for `Timing.settle`, or the time to recover is over."""
    baseline = Vitals.model_validate(state.get("baseline"))
    deadline = since + ports.timing.verify
    recovered: datetime | None = None
    reading = Reading(good=False, hopeless=False, blind=True, sentence="nothing was read", severity=0)
    while True:
        now = ports.clock.now()
        reading = _read(incident, baseline, ports, since=since, now=now)
        if reading.good:
            if recovered is None:
                recovered = now
                await tell(ports, incident.id, "verify", f"{reading.sentence} Watching whether it lasts.")
            if now - recovered >= ports.timing.settle:
                return Passed(recovered_at=recovered, at=now, sentence=reading.sentence)
        else:
            if recovered is not None:
                await tell(ports, incident.id, "verify", f"It did not last: {reading.sentence}")
            recovered = None
            if reading.hopeless or (now >= deadline and not reading.blind):
                worse = reading.severity > baseline.severity
                return FailedVerification(worse=worse, sentence=reading.sentence, at=now)
            if now >= deadline:
                return Unverifiable(sentence=reading.sentence, at=now)
        rest = ports.timing.settle - (now - recovered) if recovered is not None else deadline - now
        await ports.mirror.changed(incident.target.namespace, max(min(rest, ports.timing.look), _SHORTEST))


def _read(incident: Incident, baseline: Vitals, ports: Ports, *, since: datetime, now: datetime) -> Reading:
    """Judge the world as the watch shows it at this moment."""
    who = describe(incident.target)
    unseen = ports.mirror.unavailable()
    if unseen or ports.mirror.view_age() > STALE_SECONDS:
        return Reading(False, False, True, f"{who} cannot be seen: {', '.join(unseen) or 'the watch is stale'}.", 0)
    seen = look(incident, ports)
    after = vitals(incident.target.namespace, ports)
    if seen.workload is None:
        return Reading(False, True, False, f"{who} is gone.", after.severity)
    severity = after.severity
    repeated = _fresh_failures(seen, since)
    if repeated:
        return Reading(False, True, False, f"The pods made by the remedy fail too: {repeated}.", severity)
    work = seen.workload
    if work.observed_generation < work.generation:
        return Reading(False, False, False, f"The controller has not looked at {who} yet.", severity)
    if seen.signals:
        names = ", ".join(sorted({s.reason.value for s in seen.signals}))
        return Reading(False, False, False, f"{who} still reports {names}.", severity)
    if not work.desired == work.ready == work.updated == work.available or any(p.deleting for p in seen.pods):
        sentence = f"{who}: {work.ready} of {work.desired} pods ready, {work.updated} updated."
        return Reading(False, False, False, sentence, severity)
    new = set(after.failing) - set(baseline.failing)
    if new:
        return Reading(False, False, False, f"{len(new)} other object(s) began to fail meanwhile.", severity)
    return Reading(True, False, False, f"{who} has {work.ready} of {work.desired} pods ready, no signal left.", severity)


def _fresh_failures(seen: Evidence, since: datetime) -> str:
    """Confirmed failures of pods of the present revision that began after the remedy."""
    work = seen.workload
    if work is None:
        return ""
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
