"""An Argo CD Application itself: drift is synced, what hangs is stopped, what cannot be read is read again once.

Neighbours: `graph.rules.delivered` is the same for the workloads that an Application keeps.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import ApplicationFacts
from graph.plan import Step
from graph.rules.case import Answer, Hopeless, Remedy
from graph.rules.objects.case import ObjectCase, action
from graph.rules.words import by_weight, name_of, reasons_of, sentence, trouble

_PASSING: Final = re.compile(
    r"(?i)timeout|timed out|deadline|connection|unavailable|temporar|reset by peer|EOF|no such host|i/o|TLS handshake"
)


class Applications:
    """What can be asked of Argo CD about one of its Applications."""

    name = "applications"
    safe_because = (
        "It asks Argo CD to do what its repository declares, to stop what hangs, or to look again;"
        " nothing is removed and no object is written behind its back."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """One step, or what a person has to do; None for anything that is no Application."""
        app = case.evidence.application
        if app is None or app.ref != case.target or not case.signals:
            return None
        first = by_weight(case.signals)[0]
        step = _step(first, app)
        reasons, who = reasons_of(case.signals), name_of(case.target)
        if step is not None and not case.was_tried(step.action):
            return Remedy(
                cause=_CAUSES[first.reason],
                sentence=sentence(f"{who} {trouble(first)}."),
                confidence=0.9,
                steps=(step,),
                reasons=reasons,
            )
        return Hopeless(
            cause=_CAUSES.get(first.reason, "application"),
            sentence=sentence(f"{who} {trouble(first)}."),
            advice=_advice(first, app),
            reasons=reasons,
        )


_CAUSES: Final = {
    Reason.APPLICATION_DRIFTED: "changed_behind_argocd",
    Reason.OPERATION_HUNG: "operation_hangs",
    Reason.OPERATION_FAILED: "sync_failed",
    Reason.COMPARISON_FAILED: "source_unreadable",
    Reason.APPLICATION_DEGRADED: "resources_degraded",
}


def _step(first: Signal, app: ApplicationFacts) -> Step | None:
    match first.reason:
        case Reason.APPLICATION_DRIFTED if app.is_drift and not app.heals_itself:
            why = f"The cluster becomes what revision {app.deployed} declares, which is deployed."
            return Step(action=action("argocd_sync", app.ref), why=why)
        case Reason.OPERATION_HUNG:
            why = "An operation that hangs keeps every other one from starting."
            return Step(action=action("argocd_terminate_operation", app.ref), why=why)
        case Reason.COMPARISON_FAILED if _PASSING.search(first.message):
            why = "What kept Argo CD from reading the source may have passed; it is asked to look again."
            return Step(action=action("argocd_refresh", app.ref, is_hard=True), why=why)
        case _:
            return None


def _advice(first: Signal, app: ApplicationFacts) -> str:
    where = app.repository or "its repository"
    match first.reason:
        case Reason.APPLICATION_DRIFTED:
            return "Argo CD should put this right by itself and does not: look at its controller and at its project."
        case Reason.OPERATION_HUNG:
            return "Look at the hooks and resources that the operation waits for."
        case Reason.OPERATION_FAILED:
            return f"Repair revision {app.declared or app.deployed} in {where}: the same sync would fail again."
        case Reason.COMPARISON_FAILED:
            return f"Look at {where}, the path and the revision in the Application, and Argo CD's repository server."
        case _:
            return f"Look at what Argo CD finds degraded; if a deployment did it, revert it in {where}."
