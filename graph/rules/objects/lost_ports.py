"""A Service that is as it was when it was good, and whose workload no longer offers the port it leads to.

What changed is the workload, so that is what goes back; the Service, which others may have copied into their settings,
is not bent to a rollout that nobody can reach.  Neighbours: `graph.aims` finds the revisions that offer the port,
`put_back` is for a Service that changed itself.
"""

from __future__ import annotations

from typing import Final

from graph.incident import Reason
from graph.observed import Health
from graph.plan import Step
from graph.rules.case import Answer, Remedy
from graph.rules.objects.case import ObjectCase, action
from graph.rules.words import name_of, reasons_of, said_of, sentence

_CONFIDENCE: Final = {Health.CONFIRMED: 0.9, Health.SERVING: 0.8, Health.UNKNOWN: 0.7, Health.BAD: 0.0}


class LostPorts:
    """Go back to the revision that offers what the Service leads to."""

    name = "lost_ports"
    safe_because = (
        "Nobody reaches the present revision through this Service, and the revision it goes back to was reached;"
        " going forward again is one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """A rollback of the one workload behind the Service; None when the Service itself differs, or none had it."""
        signal = next((s for s in case.signals if s.reason is Reason.SERVICE_PORT_MISSING), None)
        aim = case.evidence.aim
        if signal is None or aim is None or case.ways:
            return None
        for candidate in aim.candidates:
            number = candidate.to_revision
            back = action("rollback_workload", aim.ref, kind=aim.ref.kind, to_revision=number)
            if candidate.health is Health.BAD or case.was_tried(back):
                continue
            return Remedy(
                cause="port_taken_away",
                sentence=sentence(
                    f"{name_of(case.target)} leads to a port that its pods do not offer ({said_of(signal)}).",
                    f"It is as it was when that worked; {name_of(aim.ref)} gave the port up after revision {number}.",
                ),
                confidence=_CONFIDENCE[candidate.health],
                steps=(Step(action=back, why=f"Revision {number} offers the port that the Service leads to."),),
                reasons=reasons_of(case.signals),
                loosens=candidate.loosens,
            )
        return None
