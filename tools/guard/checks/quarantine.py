"""Quarantine: a workload that breaks again and again is left to people for a while.

Flap detection: so many incidents about one owner in which something was done, within so long, mean that the remedies do
not reach the cause; each one more hides it.  It is counted from the ledger, so a restart forgives nothing.  As with the
cooldown, what waits for a person is not stopped, and a new plan of an incident that counts itself is exempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tools.guard.checks import mode
from tools.guard.policy import Quarantine
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.ledger.records import PlanStart
from tools.refs import IncidentId


def check(world: World) -> Refused | None:
    """Refuse while the quarantine of the owner lasts; its end counts as over."""
    rule = world.policy.limits.quarantine
    plans = known(world.owner_plans, f"what was done about {world.order.owner} lately")
    if any(plan.incident_id == world.order.incident_id for plan in plans):
        return None
    until = ends_at(plans, rule)
    if until is None or until <= world.now or world.order.approved or mode.asks_a_person(world):
        return None
    reason = (
        f"{world.order.owner} broke {rule.incidents} times within {rule.within_seconds // 60} minutes although it was"
        f" acted on each time; it is left to people until {until:%H:%M:%S} UTC."
    )
    return no(ReasonCode.QUARANTINED, reason, retry_after=(until - world.now).total_seconds())


def ends_at(plans: Sequence[PlanStart], rule: Quarantine) -> datetime | None:
    """When the quarantine that these plans of one owner brought about ends; None when they brought about none.  Pure.

    An incident counts once, from its first plan.
    """
    begun: dict[IncidentId, datetime] = {}
    for plan in sorted(plans, key=lambda p: p.started_at):
        begun.setdefault(plan.incident_id, plan.started_at)
    moments = list(begun.values())
    within = timedelta(seconds=rule.within_seconds)
    full = [last for first, last in zip(moments, moments[rule.incidents - 1 :], strict=False) if last - first <= within]
    return full[-1] + timedelta(seconds=rule.lasts_seconds) if full else None
