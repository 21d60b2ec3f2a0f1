"""Judges a plan before anything happens: every check of the guard, and a server-side dry run of the exact bytes.

The rule: a plan passes whole or not at all, the strictest mode among its steps holds for all of them, every refusal
carries a code and a sentence, and of several plans that pass the one that changes least is taken.  Nothing is written
here; the door asks the same questions again when it acts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from graph.evidence import load
from graph.incident import Incident
from graph.least import least, weigh
from graph.nodes.common import Node, PortsSource, incident_of, tell
from graph.observed import Evidence
from graph.orders import context_for
from graph.plan import (
    PROPOSALS,
    Accepted,
    NeedsApproval,
    ObserveOnly,
    Plan,
    Planned,
    RefusedPlan,
    Rejected,
    Verdict,
    action_digest,
)
from graph.ports import Ports
from graph.state import MAX_REFUSALS, State
from tools.cluster.reads import noting
from tools.guard.diff import Change
from tools.guard.orders import Ready
from tools.guard.policy import Mode
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig_str
from tools.redact import excerpt

MAX_DIFF = 40
MAX_VALUE = 2000


def validator(source: PortsSource) -> Node:
    """The node over these ports."""

    async def validate(state: State) -> State:
        ports = await source()
        incident = incident_of(state)
        proposal = PROPOSALS.validate_python(state.get("proposal"))
        if not isinstance(proposal, Planned):
            raise TypeError("the validator was reached without a plan")  # a defect of the routing, not of the world
        evidence = await load(state.get("evidence", ""), ports)
        plans = (proposal.plan, *proposal.others)
        with noting() as reads:
            judged = [await _judge(plan, incident, evidence, state, ports) for plan in plans]
        chosen = choose(judged)
        read = await ports.recorder.later(incident, reads, ports) if ports.recorder is not None else ""
        await _account(chosen, judged, incident, ports, read)
        update: State = {"verdict": chosen.verdict.model_dump(mode="json")}
        if chosen.plan != proposal.plan or proposal.others:
            update["proposal"] = Planned(plan=chosen.plan).model_dump(mode="json")
        refused = [
            RefusedPlan(actions=tuple(action_digest(s.action) for s in j.plan.steps), refusals=j.verdict.refusals)
            for j in judged
            if isinstance(j.verdict, Rejected)
        ]
        if refused:
            told = [r.model_dump(mode="json") for r in refused]
            update["refusals"] = [*state.get("refusals", []), *told][-MAX_REFUSALS:]
        return update

    return validate


@dataclass(frozen=True, slots=True)
class Judged:
    """One plan, what is to become of it, and what the guard saw of its steps (empty when it was not let through)."""

    plan: Plan
    verdict: Verdict
    ready: tuple[Ready, ...]


def choose(judged: Sequence[Judged]) -> Judged:
    """Of the plans that passed, the one that changes least among those that ask the least of people; pure.

    Before: at least one.  When none passed, the first, which is the one the reasoner preferred.
    """
    for kind in (Accepted, NeedsApproval, ObserveOnly):
        passed = [j for j in judged if isinstance(j.verdict, kind)]
        if passed:
            best = least([weigh(j.plan, j.ready) for j in passed])
            return next(j for j in passed if j.plan is best.plan)
    return judged[0]


async def _judge(plan: Plan, incident: Incident, evidence: Evidence, state: State, ports: Ports) -> Judged:
    refusals = list(_form(plan, state, ports))
    modes: list[Mode] = []
    seen: list[Ready] = []
    approvals: list[str] = list(plan.approval_reasons)
    if not refusals:
        for index, step in enumerate(plan.steps):
            context = context_for(plan, index, incident, evidence, state, approved=False)
            match await ports.door.assess(context.order(step.action)):
                case Refused() as refusal:
                    refusals.append(refusal)
                case ready:
                    seen.append(ready)
                    modes.append(ready.mode)
                    approvals.extend(ready.approval_reasons)
                    await tell(
                        ports,
                        incident.id,
                        "plan",
                        f"Dry run of step {index + 1} ({step.action.action} {step.action.target}) is accepted by the "
                        f"API server and changes {len(ready.diff)} declared field(s).",
                        data={
                            "plan_id": plan.id,
                            "step": index,
                            "diff": shown(ready.diff, ready.situation.live),
                            "mode": ready.mode.value,
                        },
                    )
    if refusals and _only_rights_are_missing(refusals) and _is_observed(plan, ports):
        lacking = " ".join(r.reason for r in refusals)
        await tell(
            ports,
            incident.id,
            "plan",
            f"Not dry-run: our account lacks the right, which observing does not need. {lacking}",
            code=ReasonCode.PERMISSION_DENIED.value,
        )
        refusals, modes = [], [Mode.OBSERVE]
    verdict = decide(refusals, modes, approvals)
    return Judged(plan, verdict, () if isinstance(verdict, Rejected) else tuple(seen))


def _only_rights_are_missing(refusals: list[Refused]) -> bool:
    return all(r.code is ReasonCode.PERMISSION_DENIED for r in refusals)


def _is_observed(plan: Plan, ports: Ports) -> bool:
    """Whether the policy lets every step be observed at most: then a right to write was never to be used."""
    modes = [ports.policy.mode_for(s.action.target.namespace or "", s.action.action) for s in plan.steps]
    return all(mode is Mode.OBSERVE for mode in modes)


def shown(diff: Sequence[Change], live: JsonObject) -> list[JsonValue]:
    """The dry run's diff for people: fields with their names, values redacted by name and cut."""
    rows: list[JsonValue] = []
    for change in diff[:MAX_DIFF]:
        before, after = (excerpt(json.dumps(v, ensure_ascii=False), MAX_VALUE) for v in (change.before, change.after))
        rows.append({"path": change.path, "field": field_name(change.path, live), "before": before, "after": after})
    return rows


def field_name(path: str, live: JsonObject) -> str:
    """A JSON pointer as people say it, list items by their name: `spec.template.spec.containers[app].image`; pure."""
    said, here = "", cast("JsonValue", live)
    for part in (p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]):
        if isinstance(here, list):
            item = here[int(part)] if part.isdigit() and int(part) < len(here) else None
            said += f"[{dig_str(item, 'name') or part}]"
            here = item
        else:
            said += f".{part}" if said else part
            here = here.get(part) if isinstance(here, dict) else None
    return said


def _form(plan: Plan, state: State, ports: Ports) -> list[Refused]:
    """What can be said of a plan without looking at the world."""
    refusals: list[Refused] = []
    if not plan.steps:
        refusals.append(Refused(code=ReasonCode.PLAN_EMPTY, reason="The plan has no step.", check="plan"))
    longest = ports.policy.limits.steps_per_plan
    if len(plan.steps) > longest:
        reason = f"The plan has {len(plan.steps)} steps; the policy allows {longest}."
        refusals.append(Refused(code=ReasonCode.PLAN_TOO_LONG, reason=reason, check="plan"))
    tried = set(state.get("failed", []))
    for step in plan.steps:
        if action_digest(step.action) in tried:
            reason = f"{step.action.action} on {step.action.target} was tried in this incident and did not heal."
            refusals.append(Refused(code=ReasonCode.REPEAT, reason=reason, check="plan"))
    return refusals


def decide(refusals: list[Refused], modes: list[Mode], approvals: list[str]) -> Verdict:
    """The strictest answer wins; pure."""
    if refusals:
        return Rejected(refusals=tuple(refusals))
    if Mode.OBSERVE in modes:
        return ObserveOnly()
    if approvals or Mode.APPROVE in modes:
        return NeedsApproval(reasons=tuple(dict.fromkeys(approvals)) or ("the policy asks for approval here",))
    return Accepted()


async def _account(chosen: Judged, judged: Sequence[Judged], incident: Incident, ports: Ports, read: str) -> None:
    match chosen.verdict:
        case Accepted():
            sentence, code = "All checks passed and the policy says auto: the plan is carried out.", ""
        case NeedsApproval(reasons=reasons):
            sentence, code = f"All checks passed; a person must agree: {'; '.join(reasons)}.", "APPROVAL_REQUIRED"
        case ObserveOnly():
            sentence, code = "All checks passed; the policy says observe, so nothing is written.", "OBSERVE_ONLY"
        case Rejected(refusals=refusals):
            sentence = "Refused: " + " ".join(f"[{r.code}] {r.reason}" for r in refusals)
            code = refusals[0].code.value
    if len(judged) > 1 and not isinstance(chosen.verdict, Rejected):
        steps = "; ".join(f"{s.action.action} {s.action.target}" for s in chosen.plan.steps)
        sentence = f"Of {len(judged)} plans this one changes least: {steps}. {sentence}"
    await tell(
        ports,
        incident.id,
        "decision",
        sentence,
        code=code,
        data={
            "plan_id": chosen.plan.id,
            "policy": ports.policy.hash,
            "verdict": chosen.verdict.model_dump(mode="json"),
            "compared": [j.plan.id for j in judged],
            "world": read,
        },
    )
