"""No blind repeat: what was carried out in this incident and did not heal is not carried out again."""

from __future__ import annotations

from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.jsontypes import JsonObject
from tools.ledger.records import ActionRecord, ActionState

_WRITTEN = frozenset({ActionState.APPLIED, ActionState.UNDONE, ActionState.UNKNOWN})


def check(world: World) -> Refused | None:
    """Refuse what the caller or the ledger knows to have failed."""
    action = world.order.action
    history = known(world.history, "what was done in this incident")
    arguments: JsonObject = action.model_dump(mode="json")
    in_ledger = any(_has_failed(record) and record.intent.arguments == arguments for record in history)
    if in_ledger or action.digest in world.order.attempted:
        return no(ReasonCode.REPEAT, f"{action.tool} on {action.target} was tried in this incident and did not heal.")
    return None


def _has_failed(record: ActionRecord) -> bool:
    return record.intent.undoes is None and record.state in _WRITTEN and record.verified is False
