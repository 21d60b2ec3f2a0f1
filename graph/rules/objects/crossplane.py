"""Resources of Crossplane: let go what was paused, ask for another look where that can help, and otherwise say why not.

What stands outside the cluster nobody mends through the API server.  So the account that a person gets is the main
thing here: the words of the outside system as the controller has them, and where to look.  Whether a resource may have
been created or not is never decided here: doing nothing is the only safe act.
"""

from __future__ import annotations

from typing import Final

from graph.externals import CAUSE_GONE
from graph.incident import Reason, Signal
from graph.plan import Step
from graph.rules.case import Answer, Hopeless, Remedy
from graph.rules.objects.case import ObjectCase, action
from graph.rules.words import by_weight, name_of, reasons_of, said_of, sentence
from tools.redact import excerpt
from tools.refs import ObjectRef

_OURS: Final = frozenset(
    {
        Reason.EXTERNAL_SYNC_FAILED,
        Reason.EXTERNAL_REFERENCE_BROKEN,
        Reason.EXTERNAL_UNREADY,
        Reason.EXTERNAL_UNCERTAIN,
        Reason.RECONCILE_PAUSED,
        Reason.RECONCILE_STUCK,
        Reason.PROVIDER_UNHEALTHY,
    }
)
_QUOTED: Final = 400
"""How much of the outside system's own words a person gets."""
_ADVICE: Final = {
    Reason.EXTERNAL_SYNC_FAILED: (
        "external_error",
        (
            "The outside system or its controller refuses; look at what the message names (rights, quota, name, region)"
            " and at the log of the provider's pod. The controller tries again by itself once that is mended."
        ),
    ),
    Reason.EXTERNAL_REFERENCE_BROKEN: (
        "external_reference",
        "Create or correct what it refers to; the controller resolves the reference again by itself.",
    ),
    Reason.EXTERNAL_UNREADY: (
        "external_unready",
        "Look at the resource in the outside system's own console; its controller only reports what it sees there.",
    ),
    Reason.RECONCILE_STUCK: (
        "nobody_reconciles",
        "Look whether the provider that serves its definition is installed, healthy and not overloaded; its log says.",
    ),
    Reason.RECONCILE_PAUSED: (
        "paused",
        "Whoever set crossplane.io/paused knows why; take it away, or declare it, so that it is no surprise.",
    ),
    Reason.PROVIDER_UNHEALTHY: (
        "provider_unhealthy",
        "Look at its ProviderRevision, at the image it names and at its pod; what it serves stands still until then.",
    ),
}


class Crossplane:
    """Resume or ask again where that is all that is missing; otherwise quote the cause."""

    name = "crossplane"
    safe_because = (
        "It changes one annotation that asks a controller to go on or to look again, never a spec, a name or anything"
        " outside, and never while it is uncertain whether something was created; it is put back by one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """Always something where one of our symptoms shows; None otherwise."""
        found = by_weight(s for s in case.signals if s.reason in _OURS and s.object == case.target)
        if not found:
            return None
        first = found[0]
        match first.reason:
            case Reason.EXTERNAL_UNCERTAIN:
                return _uncertain(case, first)
            case Reason.RECONCILE_PAUSED:
                return _resume(case, first) or _hopeless(case, first)
            case Reason.RECONCILE_STUCK:
                return _ask_again(case, first, "No controller has looked at it for too long.") or _hopeless(case, first)
            case _:
                gone = _cause_gone(case)
                asked = _ask_again(case, first, f"{gone[0].upper()}{gone[1:]}.") if gone else None
                return asked or _hopeless(case, first)


def _uncertain(case: ObjectCase, signal: Signal) -> Hopeless:
    return Hopeless(
        cause="creation_uncertain",
        sentence=sentence(f"{name_of(case.target)}: {said_of(signal)}."),
        advice=(
            "Look in the outside system for a resource made about that time. If there is one, delete it there or write"
            " its name into crossplane.io/external-name; if there is none for certain, remove the annotation"
            " crossplane.io/external-create-pending. Only then does the provider go on."
        ),
        reasons=reasons_of([signal]),
    )


def _resume(case: ObjectCase, signal: Signal) -> Remedy | None:
    """Whether a person must agree the executor says: it knows what is declared."""
    resume = action("crossplane_resume", case.target, **_kind(case.target))
    if case.was_tried(resume):
        return None
    return Remedy(
        cause="paused",
        sentence=sentence(f"{name_of(case.target)} is {said_of(signal)}."),
        confidence=0.8,
        steps=(Step(action=resume, why="Its controller goes on; what was changed meanwhile is carried out."),),
        reasons=reasons_of([signal]),
    )


def _ask_again(case: ObjectCase, signal: Signal, why: str) -> Remedy | None:
    """Once: an error that comes back is no old one."""
    ask = action("crossplane_reconcile_now", case.target, **_kind(case.target))
    if case.was_tried(ask):
        return None
    return Remedy(
        cause="stale" if signal.reason is not Reason.RECONCILE_STUCK else "not_looked_at",
        sentence=sentence(f"{name_of(case.target)}: {said_of(signal)}.", why),
        confidence=0.7,
        steps=(Step(action=ask, why=excerpt(why, 400)),),
        reasons=reasons_of([signal]),
    )


def _hopeless(case: ObjectCase, signal: Signal) -> Hopeless:
    cause, advice = _ADVICE[signal.reason]
    quoted = excerpt(" ".join(signal.message.split()), _QUOTED) or "no message"
    return Hopeless(
        cause=cause,
        sentence=sentence(f"{name_of(case.target)}: {quoted}"),
        advice=advice,
        reasons=reasons_of([signal]),
    )


def _cause_gone(case: ObjectCase) -> str:
    lines = case.evidence.subject.lines if case.evidence.subject is not None else ()
    return next((line for line in lines if line.startswith(CAUSE_GONE)), "")


def _kind(ref: ObjectRef) -> dict[str, str | None]:
    return {"kind": ref.kind, "namespace": ref.namespace}
