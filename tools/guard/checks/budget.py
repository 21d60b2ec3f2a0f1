"""Budgets: how many plans may start, for an incident, an owner, a namespace and the whole cluster.

A plan counts once, at its first write; its later steps are part of it.  Undoing is never counted.  While a plan waits
for a person only its attempts are counted: the windows are asked when it is carried out, which is later.
"""

from __future__ import annotations

from tools.executors.base import Situation
from tools.guard.checks import mode
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, known, no
from tools.refs import PlanId


def check(world: World) -> Refused | None:
    """Refuse a plan that would be one too many."""
    history = known(world.history, "what was done in this incident")
    counts = known(world.counts, "how many plans were started")
    started: set[PlanId] = {r.intent.plan_id for r in history if r.intent.undoes is None}
    if world.order.plan_id in started:
        return None
    limits = world.policy.limits
    if len(started) >= limits.attempts_per_incident:
        return no(ReasonCode.ATTEMPTS_EXHAUSTED, f"This incident has used its {limits.attempts_per_incident} attempts.")
    namespace = world.order.owner.namespace
    place = f"namespace {namespace}" if namespace else "what is in no namespace"
    windows = (
        (f"{world.order.owner}", limits.plans.owner, counts.owner),
        (place, limits.plans.namespace, counts.namespace),
        ("the cluster", limits.plans.cluster, counts.cluster),
    )
    for what, window, used in windows:
        if used >= window.count and not _is_only_asked(world):
            return no(
                ReasonCode.RATE_LIMITED,
                f"{used} plans were started for {what} in {window.seconds} s; {window.count} are allowed.",
                retry_after=float(window.seconds),
            )
    return None


def _is_only_asked(world: World) -> bool:
    """Whether nothing would be written now: a person is asked first."""
    return not world.order.approved and isinstance(world.situation, Situation) and mode.asks_a_person(world)
