"""A disruption budget that can never allow an eviction: with every pod healthy it still allows none.

The rule: such a budget may be meant (a single replica that must not move), so it is a signal only when it became so
since it was known good or declared, or when it holds up the drain of a node now.  Neighbour: `nodes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from graph.incident import Reason, Signal
from graph.signals.findings import PASSING, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import PodDisruptionBudget
from tools.jsontypes import dig, dig_int


@dataclass(frozen=True, slots=True)
class BudgetContext(ObjectContext):
    """Whether anybody is held up."""

    changed_since_good: bool = False
    """Its spec is not what was known good, or not what is declared."""
    held_nodes: tuple[str, ...] = ()
    """Nodes that take no new pods and still run pods of the budget."""


def detect_budget(budget: PodDisruptionBudget, context: BudgetContext, now: datetime) -> list[Signal]:
    """EVICTION_BLOCKED."""
    return judge(budget, context, _findings(budget, context), now)


def is_plainly_well(budget: PodDisruptionBudget) -> bool:
    """Whether `detect_budget` finds nothing in any context: it allows an eviction, or will once pods are healthy."""
    status = dig(budget.body, "status")
    expected = dig_int(status, "expectedPods") or 0
    healthy = dig_int(status, "currentHealthy") or 0
    observed = dig_int(status, "observedGeneration") or 0
    allowed = dig_int(status, "disruptionsAllowed")
    return allowed != 0 or expected == 0 or healthy < expected or observed < budget.metadata.generation


def _findings(budget: PodDisruptionBudget, context: BudgetContext) -> Iterator[Finding]:
    if is_plainly_well(budget) or not (context.changed_since_good or context.held_nodes):
        return
    spec = dig(budget.body, "spec")
    bounds = [f"{key} {dig(spec, key)}" for key in ("minAvailable", "maxUnavailable") if dig(spec, key) is not None]
    expected = dig_int(budget.body, "status", "expectedPods")
    text = f"{' and '.join(bounds) or 'its bound'} allows no eviction, though all {expected} pods are healthy"
    if context.held_nodes:
        text += f"; {', '.join(context.held_nodes)} cannot be drained"
    yield Finding(Reason.EVICTION_BLOCKED, text, PASSING)
