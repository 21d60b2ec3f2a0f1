"""Says whether it worked: PASS, FAIL or UNKNOWN, judged at the owner and never at the pod that was touched.

The rule: UNKNOWN is never PASS.  Between steps only the step's own postcondition is asked; after the last one the owner
must be as desired, its signals gone, nothing new broken in the namespace, and all of that must last.  Looking is woken
by the watch; the longest pause between two looks is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from graph.evidence import ROLLING, load, look, of_any_life
from graph.facts import is_complete
from graph.incident import Incident, Reason, Signal
from graph.intake import describe
from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.nodes.vitals import Vitals, vitals
from graph.observed import Evidence, WorkloadFacts
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
    Uncovered,
    Unverifiable,
    Verification,
)
from graph.ports import Ports
from graph.rules.case import MEANT
from graph.state import State
from tools.refs import ObjectRef

STALE_SECONDS = 100.0
"""A view older than this shows nothing; a quiet source speaks every minute or so by bookmark, silence ends at 75 s."""
MOST_INCIDENTS = 100
REMOVALS = frozenset({"delete_job", "remove_object", "delete_pod", "evict_pod"})
SAME_TEMPLATE = frozenset({"restart_workload"})
NO_PODS = frozenset({Reason.PODS_REFUSED, Reason.UNSCHEDULABLE, Reason.DEADLINE_EXCEEDED})
"""While these show the template's pods cannot fail otherwise: what is wrong with it comes to light when they are over,
and a restart, which makes pods of the same template, is not to blame for it."""
REMAKES = frozenset({"recreate_unbound_pvc", "recreate_failed_job"})
EMPTIES = frozenset({"drain_node"})
OF_THE_MACHINE = frozenset({Reason.NODE_PRESSURE, Reason.NODE_PROBLEM})
"""What a node reports of itself and no longer hurts anybody once it is empty; a kubelet takes minutes to unsay it."""
_SHORTEST = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the plan was made for: what it may be blamed for follows from this.

    `since` is when its last step was carried out; `reasons` are the symptoms it was made for; `is_elsewhere` says that
    it wrote other objects than the incident's own, so that a fault in the owner's pods cannot be of its making.
    """

    since: datetime
    reasons: frozenset[Reason]
    is_elsewhere: bool
    target: ObjectRef
    removes_target: bool = False
    """The plan takes the target away: that it is gone is what was wanted."""
    remakes_target: bool = False
    """The plan makes the target anew: its new life is what is looked at."""
    empties_target: bool = False
    """The plan empties a node: what the machine itself reports may last until somebody has mended it."""
    elsewhere: frozenset[str] = frozenset()
    """Owners that have an incident of their own since then: what fails there is looked after there, and taking a good
    remedy back would mend nothing of it."""


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
class Behind:
    """Read well; what the plan was for is gone, and a failure that it had hidden shows."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Blind:
    """The world could not be read: this says nothing, neither good nor bad."""

    sentence: str


Reading: TypeAlias = Good | NotYet | Hopeless | Behind | Blind


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
            evidence = await load(state.get("evidence", ""), ports)
            purpose = purpose_of(plan, incident, evidence, since=outcome.at)
            verification = await _settle(incident, state, ports, purpose)
            if not isinstance(verification, Unverifiable):
                await ports.ledger.mark_verified(plan.id, healed=isinstance(verification, Passed | Uncovered))
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


def purpose_of(plan: Plan, incident: Incident, evidence: Evidence, *, since: datetime) -> Purpose:
    """What this plan was made for; pure."""
    reasons = frozenset(plan.diagnosis.reasons) or frozenset(s.reason for s in evidence.signals if s.confirmed)
    own = [step.action.action for step in plan.steps if step.action.target == incident.target]
    same_pods = reasons <= NO_PODS and SAME_TEMPLATE.issuperset(own) and len(own) < len(plan.steps)
    return Purpose(
        since=since,
        reasons=reasons,
        is_elsewhere=not own or same_pods,
        target=incident.target,
        removes_target=any(s.action.action in REMOVALS and s.action.target == incident.target for s in plan.steps),
        remakes_target=any(s.action.action in REMAKES and s.action.target == incident.target for s in plan.steps),
        empties_target=any(s.action.action in EMPTIES and s.action.target == incident.target for s in plan.steps),
    )


async def _settle(
    incident: Incident, state: State, ports: Ports, purpose: Purpose
) -> Passed | FailedVerification | Uncovered | Unverifiable:
    """Watch until it held for `Timing.settle`, or the time to recover is over."""
    baseline = Vitals.model_validate(state.get("baseline"))
    deadline = purpose.since + ports.timing.verify
    recovered: datetime | None = None
    while True:
        now = ports.clock.now()
        elsewhere = await _looked_after(incident, ports, since=purpose.since)
        reading = read(incident, baseline, ports, replace(purpose, elsewhere=elsewhere))
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
            case Behind(sentence=sentence):
                return Uncovered(sentence=sentence, at=now)
            case Blind(sentence=sentence):
                recovered = None
                if now >= deadline:
                    return Unverifiable(sentence=sentence, at=now)
        rest = ports.timing.settle - (now - recovered) if recovered is not None else deadline - now
        await ports.mirror.changed(incident.target.namespace, max(min(rest, ports.timing.look), _SHORTEST))


async def _looked_after(incident: Incident, ports: Ports, *, since: datetime) -> frozenset[str]:
    """Owners in the namespace that another incident is or was about since then."""
    records = await ports.ledger.incidents(namespace=incident.target.namespace, limit=MOST_INCIDENTS)
    return frozenset(
        record.target_uid
        for record in records
        if record.id != incident.id and (record.is_open or (record.closed_at is not None and record.closed_at >= since))
    )


def read(incident: Incident, baseline: Vitals, ports: Ports, purpose: Purpose) -> Reading:
    """Judge the world as the watch shows it at this moment."""
    unseen = ports.mirror.unavailable()
    if unseen or ports.mirror.view_age() > STALE_SECONDS:
        return Blind(f"{describe(incident.target)} cannot be seen: {', '.join(unseen) or 'the watch is stale'}.")
    about = of_any_life(incident) if purpose.remakes_target else incident
    return judge(look(about, ports), baseline, vitals(incident.target.namespace, ports), purpose)


def judge(seen: Evidence, baseline: Vitals, after: Vitals, purpose: Purpose) -> Good | NotYet | Hopeless | Behind:
    """What one look means; pure."""
    work, severity = seen.workload, after.severity
    if work is None:
        return _judge_object(seen, baseline, after, purpose)
    who = describe(work.ref)
    fresh = [s for s in _fresh_failures(seen, work, purpose.since) if s.reason not in MEANT]
    if fresh and purpose.is_elsewhere and not purpose.reasons & {s.reason for s in seen.signals}:
        return Behind(f"{who} no longer shows what it was done for, but {_named(fresh)}.")
    if fresh:
        return Hopeless(f"The pods made by the remedy fail too: {_named(fresh)}.", severity)
    still = tuple(s for s in still_shown(seen, purpose) if not _is_left_behind(s, work))
    if not is_complete(work) or still or any(p.deleting for p in seen.pods):
        names = ", ".join(sorted({s.reason.value for s in still}))
        shows = f"; it still reports {names}" if names else ""
        return NotYet(f"{who}: {work.ready} of {work.desired} pods ready, {work.updated} updated{shows}.", severity)
    new = _newly_failing(baseline, after, purpose)
    if new:
        return NotYet(f"{len(new)} other workload(s) of the namespace began to fail meanwhile.", severity)
    return Good(f"{who} has {work.ready} of {work.desired} pods ready, no signal left.")


def _is_left_behind(signal: Signal, work: WorkloadFacts) -> bool:
    """A failed pod of a revision that is no longer run: it does nothing, and is cleared away for itself."""
    return signal.reason is Reason.POD_FAILED and signal.revision not in (None, work.revision_hash)


def _judge_object(seen: Evidence, baseline: Vitals, after: Vitals, purpose: Purpose) -> Good | NotYet | Hopeless:
    """The same for a target that is no workload: it is there, it and those that need it show nothing."""
    who = describe(purpose.target)
    if seen.subject is None and not purpose.removes_target:
        if purpose.target.kind in ROLLING and Reason.OBJECT_MISSING not in purpose.reasons:
            return Hopeless(f"{who} is gone.", after.severity)
        return NotYet(f"{who} is not there.", after.severity)
    still = still_shown(seen, purpose)
    if still and purpose.empties_target and {s.reason for s in still} <= OF_THE_MACHINE:
        return Good(f"{who} is empty; {_named(still)} is left to whoever mends the machine.")
    if still:
        return NotYet(f"{who}: {_named(still)} still shows.", after.severity)
    new = _newly_failing(baseline, after, purpose)
    if new:
        return NotYet(f"{len(new)} workload(s) of the namespace began to fail meanwhile.", after.severity)
    return Good(f"{who} {'is gone, as planned' if seen.subject is None else 'shows no signal any more'}.")


def still_shown(seen: Evidence, purpose: Purpose) -> tuple[Signal, ...]:
    """The symptoms that count; pure.

    That an object differs from what is declared, or was set to something by hand, is no failure of a plan that was made
    for another reason: a healing that nobody declared stands until somebody does, or until its own incident.  What is
    made outside the cluster may take its time, within which it counts for nothing.
    """
    counted = (s for s in seen.signals if s.confirmed or s.reason is not Reason.EXTERNAL_UNREADY)
    return tuple(s for s in counted if s.reason not in MEANT or s.reason in purpose.reasons)


def _newly_failing(baseline: Vitals, after: Vitals, purpose: Purpose) -> set[str]:
    """Workloads that began to fail since, and that nobody else looks after.

    A node's remedy is judged by the node: what a whole cluster does meanwhile says nothing about it.
    """
    if purpose.target.namespace is None:
        return set()
    return set(after.owners) - set(baseline.owners) - purpose.elsewhere


def _fresh_failures(seen: Evidence, work: WorkloadFacts, since: datetime) -> list[Signal]:
    """Confirmed failures of pods of the present revision that began after the remedy."""
    return [
        s
        for s in seen.signals
        if s.confirmed and s.revision is not None and s.revision == work.revision_hash and s.observed_at >= since
    ]


def _named(signals: Sequence[Signal]) -> str:
    return ", ".join(sorted({f"{s.reason.value} on {s.object.name}" for s in signals}))


async def _account(verification: Verification, outcome: Executed, incident: Incident, ports: Ports) -> None:
    match verification:
        case Passed(sentence=sentence, recovered_at=recovered_at):
            text = f"PASS: {sentence} Recovered at {recovered_at:%H:%M:%S} UTC and stayed so."
        case StepDone():
            text = f"Step {outcome.step + 1} did what it promised; the next one follows."
        case FailedVerification(sentence=sentence, worse=worse):
            text = f"FAIL{' (worse than before)' if worse else ''}: {sentence}"
        case Uncovered(sentence=sentence):
            text = f"One failure is gone and another shows: {sentence} What was done stands; the rest is planned anew."
        case Unverifiable(sentence=sentence):
            text = f"UNKNOWN: {sentence} Nothing more is done; what was done stands."
    await tell(ports, incident.id, "verify", text, data={"verification": verification.model_dump(mode="json")})
