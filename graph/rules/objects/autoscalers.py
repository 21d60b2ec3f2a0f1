"""An autoscaler that cannot count because the template it scales lost the request it counts by: give that back.

The pods run well, so only a template that differs in resources alone is gone back to: a whole new version is not taken
away for the autoscaler's sake.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason
from graph.observed import CandidateRevert, Health
from graph.plan import Step
from graph.rules.case import Answer, Remedy
from graph.rules.objects.case import ObjectCase, action
from graph.rules.words import differences, name_of, reasons_of, said_of, sentence
from tools.executors.actions import AnyAction

_LOST: Final = re.compile(r"missing request for (?P<resource>[\w./-]+) in container (?P<container>[\w-]+)")
_RESOURCES: Final = re.compile(r"ontainers\[[^\]]+\]\.resources\b")
_CONFIDENCE: Final = {Health.CONFIRMED: 0.9, Health.SERVING: 0.8, Health.UNKNOWN: 0.7, Health.BAD: 0.0}


class Autoscalers:
    """Go back to the template that differs in nothing but the resources, and has what is missing."""

    name = "autoscalers"
    safe_because = (
        "It puts back requests and limits that this workload had before, and nothing else of it; going forward again is"
        " one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """A rollback of what is scaled; None when the message names nothing that is missing there."""
        signal = next((s for s in case.signals if s.reason is Reason.AUTOSCALER_UNABLE), None)
        lost = _LOST.search(signal.message) if signal is not None else None
        aim = case.evidence.aim
        if signal is None or lost is None or aim is None:
            return None
        for candidate in aim.candidates:
            back = _rollback(case, candidate)
            if candidate.health is Health.BAD or case.was_tried(back):
                continue
            if _gives_back(candidate, lost["resource"], lost["container"]):
                what = f"{name_of(case.target)} cannot scale its target ({said_of(signal)})."
                return Remedy(
                    cause="request_lost",
                    sentence=sentence(
                        what,
                        f"{name_of(aim.ref)} differs from its revision {candidate.to_revision} in"
                        f" {differences(candidate.changes)} alone.",
                    ),
                    confidence=_CONFIDENCE[candidate.health],
                    steps=(
                        Step(action=back, why=f"Revision {candidate.to_revision} has the request that is missing."),
                    ),
                    reasons=reasons_of(case.signals),
                )
        return None


def _gives_back(candidate: CandidateRevert, resource: str, container: str) -> bool:
    if candidate.truncated or not candidate.changes:
        return False
    spec = [c for c in candidate.changes if not c.path.startswith("metadata.annotations")]
    if not all(_RESOURCES.search(c.path) for c in spec):
        return False
    place = f"ontainers[{container}].resources"
    return any(place in c.path and (c.path.endswith(f"requests.{resource}") or resource in c.then) for c in spec)


def _rollback(case: ObjectCase, candidate: CandidateRevert) -> AnyAction:
    aim = case.evidence.aim
    ref = aim.ref if aim is not None else case.target
    return action("rollback_workload", ref, kind=ref.kind, to_revision=candidate.to_revision)
