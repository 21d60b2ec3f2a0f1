"""Mode: off refuses; observe, approve and auto are the result, for the caller to act on.

The policy file gives the mode; `selfheal.dev/mode` on the target, its owner or its namespace can only make it stricter.
"""

from __future__ import annotations

from tools.executors.base import InverseKind, Situation
from tools.guard.policy import MODE_ANNOTATION, Mode, mode_from_annotation, strictest
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import AnyExecutor, World, known, no
from tools.jsontypes import JsonObject, dig


def check(world: World) -> Refused | None:
    """Refuse what is off."""
    if declared_mode(world) is not Mode.OFF:
        return None
    return no(ReasonCode.MODE_OFF, f"The policy or an annotation says hands off {world.order.action.target}.")


def declared_mode(world: World) -> Mode:
    """The strictest of the policy and all annotations.  Raises CannotTell when one of them could not be read."""
    target = world.order.action.target
    modes = [world.policy.mode_for(target.namespace or "", target_action(world))]
    documents = (
        known(world.situation, f"{target}").live,
        known(world.owner, f"{world.order.owner}"),
        known(world.namespace, f"namespace {target.namespace}"),
    )
    for document in documents:
        said = _annotated(document)
        if said is not None:
            modes.append(said)
    return strictest(*modes)


def target_action(world: World) -> str:
    """The name the policy knows the action by."""
    return world.order.action.tool


def approval_reasons(world: World, executor: AnyExecutor, situation: Situation) -> tuple[str, ...]:
    """Why a person must agree whatever the mode is."""
    reasons = executor.approval_reasons(world.order.action, situation)
    if executor.inverse_kind is InverseKind.NONE:
        return (*reasons, f"{world.order.action.tool} cannot be taken back.")
    return reasons


def _annotated(document: JsonObject) -> Mode | None:
    value = dig(document, "metadata", "annotations", MODE_ANNOTATION)
    if value is None:
        return None
    return mode_from_annotation(value if isinstance(value, str) else "")
