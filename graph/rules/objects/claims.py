"""A volume claim that never binds because of its storage class: made anew with the class it should have.

A claim's class cannot be changed, so the claim is removed and made again; it holds no data, since it was never bound.
Which class it should have is declared or was known good; a claim that never had another one gets the only class under
which the cluster has something for it.
"""

from __future__ import annotations

from graph.incident import Reason
from graph.observed import ClaimSummary, ObjectCandidate
from graph.plan import Step
from graph.rules.case import Answer, Remedy
from graph.rules.objects.case import ObjectCase, action, described
from graph.rules.words import name_of, reasons_of, said_of, sentence

_CLASS = "storageClassName"


class Claims:
    """Make an unbound claim again with the storage class that it should have."""

    name = "claims"
    safe_because = "It waits for a person, and a claim that was never bound holds no data."

    def judge(self, case: ObjectCase) -> Answer | None:
        """Two steps, out and in again; None when the class is not what differs."""
        if not any(s.reason is Reason.CLAIM_UNBOUND for s in case.signals):
            return None
        for way in case.ways:
            if (wanted := class_of(way)) and (remedy := _remade(case, wanted, f"{described(way)}.", 0.8)) is not None:
                return remedy
        claim = case.evidence.claim
        only = only_class(claim) if claim is not None and not case.ways else None
        if claim is None or only is None:
            return None
        why = f"There is nothing of class {claim.storage_class}; {only} is the only class that has a volume for it."
        return _remade(case, only, why, 0.7)


def _remade(case: ObjectCase, wanted: str, why: str, confidence: float) -> Remedy | None:
    """The claim again, of that class; None when that was tried."""
    steps = (
        action("remove_unbound_pvc", case.target),
        action("recreate_unbound_pvc", case.target, storage_class=wanted),
    )
    if any(case.was_tried(s) for s in steps):
        return None
    return Remedy(
        cause="storage_class_wrong",
        sentence=sentence(f"{name_of(case.target)} is not bound to a volume ({said_of(case.signals[0])}).", why),
        confidence=confidence,
        steps=tuple(Step(action=a, why=w) for a, w in zip(steps, _WHY, strict=True)),
        reasons=reasons_of(case.signals),
    )


def only_class(claim: ClaimSummary) -> str | None:
    """The one class under which there is something for a claim whose own class has nothing; None where none or several.

    A volume that lies ready is nearer than one that has to be made, and the default nearer than any other class.
    """
    if not claim.storage_class or claim.storage_class in {*claim.free, *(c.name for c in claim.classes)}:
        return None
    made = [c for c in claim.classes if c.provisions]
    for found in ([f for f in claim.free if f], [c.name for c in made if c.is_default], [c.name for c in made]):
        if found:
            return found[0] if len(found) == 1 else None
    return None


_WHY = (
    "A claim's class cannot be changed; this one was never bound and holds nothing.",
    "The same claim again, with the class it should have.",
)


def class_of(way: ObjectCandidate) -> str:
    """The storage class that this way back would give; "" when it gives none."""
    return next((c.then.strip('"') for c in way.changes if c.path.endswith(_CLASS) and c.then not in ("", "null")), "")
