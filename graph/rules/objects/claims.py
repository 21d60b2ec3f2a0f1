"""A volume claim that never binds because of its storage class: made anew with the class it should have.

A claim's class cannot be changed, so the claim is removed and made again; it holds no data, since it was never bound.
"""

from __future__ import annotations

from graph.incident import ObjectCandidate, Reason
from graph.plan import Step
from graph.rules.case import Answer, Remedy
from graph.rules.objects.case import ObjectCase, action, described
from graph.rules.words import name_of, reasons_of, said_of, sentence

_CLASS = "storageClassName"


class Claims:
    """Make an unbound claim again with the storage class that is declared or was known good."""

    name = "claims"
    safe_because = "It waits for a person, and a claim that was never bound holds no data."

    def judge(self, case: ObjectCase) -> Answer | None:
        """Two steps, out and in again; None when the class is not what differs."""
        if not any(s.reason is Reason.CLAIM_UNBOUND for s in case.signals):
            return None
        for way in case.ways:
            wanted = class_of(way)
            if not wanted:
                continue
            steps = [
                action("remove_unbound_pvc", case.target),
                action("recreate_unbound_pvc", case.target, storage_class=wanted),
            ]
            if any(case.was_tried(s) for s in steps):
                continue
            return Remedy(
                cause="storage_class_wrong",
                sentence=sentence(
                    f"{name_of(case.target)} is not bound to a volume ({said_of(case.signals[0])}).",
                    f"{described(way)}.",
                ),
                confidence=0.8,
                steps=tuple(Step(action=a, why=w) for a, w in zip(steps, _WHY, strict=True)),
                reasons=reasons_of(case.signals),
            )
        return None


_WHY = (
    "A claim's class cannot be changed; this one was never bound and holds nothing.",
    "The same claim again, with the class it should have.",
)


def class_of(way: ObjectCandidate) -> str:
    """The storage class that this way back would give; "" when it gives none."""
    return next((c.then.strip('"') for c in way.changes if c.path.endswith(_CLASS) and c.then not in ("", "null")), "")
