"""Mode: off refuses; observe, approve and auto are the result, for the caller to act on.

The policy file gives the mode; `selfheal.dev/mode` on the target, its owner or its namespace can only make it stricter.
Where the target or the owner the incident is about is in no namespace (a node), what the file says of those counts too,
and so does what it says of every namespace that the action reaches beside the target's own.
"""

from __future__ import annotations

from datetime import timedelta

from tools.executors.base import InverseKind, Situation
from tools.guard.policy import MODE_ANNOTATION, Mode, mode_from_annotation, strictest
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import AnyExecutor, World, known, no, subject_of
from tools.jsontypes import JsonObject, dig


def check(world: World) -> Refused | None:
    """Refuse what is off."""
    if declared_mode(world) is not Mode.OFF:
        return None
    return no(ReasonCode.MODE_OFF, f"The policy or an annotation says hands off {world.order.action.target}.")


def declared_mode(world: World) -> Mode:
    """The strictest of the policy and all annotations.  Raises CannotTell when one of them could not be read."""
    target = world.order.action.target
    owner = world.order.owner
    places = {target.namespace or "", *(() if owner.namespace else ("",))}
    if world.executor is not None:
        places |= world.executor.reaches(world.order.action, known(world.situation, f"{target}"))
    modes = [world.policy.mode_for(place, target_action(world)) for place in places]
    documents = (
        subject_of(world),
        known(world.owner, f"{world.order.owner}"),
        *((known(world.namespace, f"namespace {target.namespace}"),) if target.namespace else ()),
    )
    for document in documents:
        said = _annotated(document)
        if said is not None:
            modes.append(said)
    return strictest(*modes)


def target_action(world: World) -> str:
    """The name the policy knows the action by."""
    return world.order.action.tool


def approval_reasons(
    world: World, executor: AnyExecutor, situation: Situation, inverse: InverseKind
) -> tuple[str, ...]:
    """Why a person must agree whatever the mode is; `inverse` is what this very order could be taken back by."""
    action = world.order.action
    reasons = executor.approval_reasons(action, situation)
    if not world.policy.trusts(action.target.namespace or "", action.tool):
        reasons = (*executor.default_reasons(action, situation), *reasons)
    if executor.needs_failure(action, situation) and not world.order.shows_failure:
        reasons = (*reasons, f"Nothing fails, and nobody declared how {action.target} should be: it only differs.")
    if inverse is InverseKind.NONE:
        reasons = (*reasons, f"{world.order.action.tool} cannot be taken back.")
    if cooldown_left(world) > 0:
        reasons = (*reasons, f"{acted_lately(world)}, for another incident.")
    return reasons


def asks_a_person(world: World) -> bool:
    """Whether the plan waits for a person before anything is written, whatever else is found out about it."""
    executor, situation = world.executor, known(world.situation, f"{world.order.action.target}")
    if world.order.asks or declared_mode(world) is Mode.APPROVE:
        return True
    action = world.order.action
    return executor is not None and (
        executor.inverse_kind is InverseKind.NONE or bool(executor.approval_reasons(action, situation))
    )


def cooldown_left(world: World) -> float:
    """Seconds for which the owner is left alone after another incident's plan; 0 or less when it is over."""
    last = known(world.last_plan, f"when {world.order.owner} was last acted on")
    if last is None or last.incident_id == world.order.incident_id:
        return 0.0
    ends = last.started_at + timedelta(seconds=world.policy.limits.cooldown_seconds)
    return (ends - world.now).total_seconds()


def acted_lately(world: World) -> str:
    """When we acted on the owner last, as the beginning of a sentence.  Before: we did."""
    last = known(world.last_plan, f"when {world.order.owner} was last acted on")
    when = "" if last is None else f" at {last.started_at.isoformat(timespec='seconds')}"
    return f"{world.order.owner} was acted on{when}"


def _annotated(document: JsonObject) -> Mode | None:
    value = dig(document, "metadata", "annotations", MODE_ANNOTATION)
    if value is None:
        return None
    return mode_from_annotation(value if isinstance(value, str) else "")
