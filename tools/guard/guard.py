"""The guard: every check, in the one order in which they are made.

The rule: deny is a value and the default.  A check that refuses ends the matter; one that raises or answers anything
but None or a refusal has not said yes, and that is a refusal too.

Neighbours: `checks/` holds one file per check, `observe` fills the world between the stages, `door` acts on the answer.
"""

from __future__ import annotations

import logging
from typing import Final

from tools.guard.checks import (
    autoscaler,
    budget,
    cooldown,
    dry_run,
    freshness,
    gitops,
    lock,
    mode,
    paused,
    permission,
    precondition,
    protected,
    quarantine,
    repeat,
    rollout,
    scope,
    whitelist,
)
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import CannotTell, Check, World

log = logging.getLogger(__name__)

ON_THE_ORDER: Final[tuple[tuple[str, Check], ...]] = (
    ("whitelist", whitelist.check),
    ("scope", scope.check),
)
"""Before anything is read: an order that fails these costs the cluster nothing."""

ON_THE_WORLD: Final[tuple[tuple[str, Check], ...]] = (
    ("protected", protected.check),
    ("paused", paused.check),
    ("mode", mode.check),
    ("freshness", freshness.check),
    ("rollout", rollout.check),
    ("precondition", precondition.check),
    ("permission", permission.check),
    ("autoscaler", autoscaler.check),
    ("gitops", gitops.check),
    ("cooldown", cooldown.check),
    ("quarantine", quarantine.check),
    ("repeat", repeat.check),
    ("budget", budget.check),
    ("lock", lock.check),
)
"""On what was read of cluster and ledger."""

ON_THE_EFFECT: Final[tuple[tuple[str, Check], ...]] = (("dry_run", dry_run.check),)
"""Last, and only for what passed everything else: the server has been shown the bytes."""

CHECKS: Final = (*ON_THE_ORDER, *ON_THE_WORLD, *ON_THE_EFFECT)
"""The order, in one place."""


def judge(checks: tuple[tuple[str, Check], ...], world: World) -> Refused | None:
    """The first refusal, or None when every check said yes."""
    for name, check in checks:
        refused = _ask(name, check, world)
        if refused is not None:
            return refused.model_copy(update={"check": name})
    return None


def _ask(name: str, check: Check, world: World) -> Refused | None:
    try:
        answer = _untrusted(check(world))
    except CannotTell as unknown:
        return unknown.refusal
    except Exception as error:  # a broken check is a no, whatever broke it
        log.exception("guard.check_failed", extra={"check": name, "incident_id": world.order.incident_id})
        return Refused(code=ReasonCode.INPUT_UNREADABLE, reason=f"The check {name} failed: {type(error).__name__}.")
    if answer is None or isinstance(answer, Refused):
        return answer
    return Refused(code=ReasonCode.INPUT_UNREADABLE, reason=f"The check {name} gave no valid answer.")


def _untrusted(answer: object) -> object:
    """Forget the declared type: an answer is looked at, not believed."""
    return answer
