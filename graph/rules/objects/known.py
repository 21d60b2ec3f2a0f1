"""The last word about objects: the cause when it is plain, otherwise what would decide.  It never acts."""

from __future__ import annotations

from typing import Final

from graph.incident import Reason
from graph.rules.case import Answer, Hopeless, Unclear
from graph.rules.objects.case import ObjectCase
from graph.rules.objects.put_back import what_shows
from graph.rules.words import by_weight, reasons_of, said_of, sentence

_ADVICE: Final = {
    Reason.DELETION_STUCK: (
        "finalizer_never_removed",
        "Find the controller that owns the finalizer; only when it is gone for good, remove the finalizer by hand.",
    ),
    Reason.CLAIM_UNBOUND: (
        "claim_unbound",
        "Look at the storage class, its provisioner and free volumes; a claim cannot change its class.",
    ),
    Reason.TRAFFIC_CUT: (
        "policy_cuts_off",
        "Ask whoever made the policy; add a rule that admits the clients, or take the policy away.",
    ),
    Reason.EVICTION_BLOCKED: (
        "budget_blocks_evictions",
        "The budget can never allow an eviction with this many replicas: correct it, or add replicas.",
    ),
    Reason.AUTOSCALER_UNABLE: ("autoscaler_unable", "Look at the autoscaler's target, its metrics and their source."),
    Reason.OBJECT_MISSING: ("object_missing", "Bring it back from where it is kept; no version of it is known here."),
}


class KnownObjects:
    """Name the cause when it is plain; otherwise say what is known and what would decide."""

    name = "known_objects"
    safe_because = "It changes nothing."

    def judge(self, case: ObjectCase) -> Answer | None:
        """Always something, as long as there is a symptom."""
        if not case.signals:
            return None
        first = by_weight(case.signals)[0]
        what = sentence(f"{what_shows(case)} ({said_of(first)}).")
        reasons = reasons_of(case.signals)
        if first.reason in _ADVICE:
            cause, advice = _ADVICE[first.reason]
            return Hopeless(cause, what, advice, reasons)
        return Unclear("unknown", what, "What changed just before, and who changed it?", reasons)
