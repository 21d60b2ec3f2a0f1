"""Causes that are plain to see and that no action of ours remedies: said clearly, with what a person can do.

The rule: this comes last; it never acts.
"""

from __future__ import annotations

from graph.incident import Reason, Signal
from graph.rules.case import Answer, Case, Hopeless, Unclear
from graph.rules.words import by_weight, last_words, name_of, reasons_of, revision_of, sentence, trouble
from graph.signals.messages import Pull, Refusal, classify_pull, classify_refusal, find_missing


class KnownCauses:
    """Name the cause when the message names it; otherwise say what is known and what would decide."""

    name = "known_causes"
    safe_because = "It changes nothing."

    def judge(self, case: Case) -> Answer | None:
        """Always something, as long as there is a symptom."""
        if not case.signals:
            return None
        first = by_weight(case.present or case.signals)[0]
        who = revision_of(case.workload) if first in case.present else name_of(case.workload.ref)
        said = last_words(first, case.evidence.logs)
        what = sentence(f"{who} {trouble(first, case.evidence.pods)}.", said, _no_way_back(case))
        known = _cause(first)
        reasons = reasons_of(case.signals)
        if known is not None:
            return Hopeless(known[0], what, known[1], reasons)
        return Unclear("unknown", what, _question(first), reasons)


def _no_way_back(case: Case) -> str:
    if case.evidence.unseen and not case.is_history_known:
        return "Its revision history could not be read."
    if not case.evidence.candidates:
        return "There is no earlier revision."
    if not case.usable:
        return "Every earlier revision is known to be bad, or was gone back to without success."
    if not case.evidence.rollout_is_recent:
        return "No recent rollout explains it."
    return ""


def _cause(signal: Signal) -> tuple[str, str] | None:
    """A stable word and the advice, when the cause is known."""
    missing = find_missing(signal.message)
    if missing is not None:
        return f"missing_{missing.kind.lower()}", f"Restore {missing}, or correct the reference to it."
    match signal.reason:
        case Reason.IMAGE_NAME_INVALID:
            return "image_name_invalid", "Correct the image reference."
        case Reason.IMAGE_PULL_FAILED:
            return _PULLS[classify_pull(signal.message)]
        case Reason.PODS_REFUSED:
            return _REFUSALS.get(classify_refusal(signal.message))
        case Reason.UNSCHEDULABLE:
            return "no_node_fits", "Look at the nodes: cordons, taints, labels and free capacity."
        case _:
            return None


_PULLS = {
    Pull.LASTING: ("image_not_to_be_had", "Push the image, correct its name, or give the pull secret access to it."),
    Pull.PASSING: (
        "registry_away",
        "Wait, and look at the registry and the way to it; Kubernetes tries again by itself.",
    ),
    Pull.UNTRUSTED: ("image_not_trusted", "Have the image signed, or use one that is; the check must not be avoided."),
    Pull.UNKNOWN: ("image_pull_failed", "Look at the kubelet's message and at the registry."),
}
_REFUSALS = {
    Refusal.ACCOUNT: ("missing_serviceaccount", "Create the service account, or correct the template."),
    Refusal.QUOTA: ("quota_used_up", "Raise the quota or free some of it, then restart the workload's rollout."),
    Refusal.NEEDS: ("limit_range", "Bring the container's resources within the LimitRange or quota of the namespace."),
    Refusal.SECURITY: ("pod_security", "Tighten the pod's security context to what the namespace demands."),
    Refusal.CLASS: ("missing_class", "Create the class, or correct the template."),
    Refusal.WEBHOOK: ("webhook_away", "Bring the admission webhook's service back."),
    Refusal.DENIED: ("denied_by_policy", "Change the template to what the policy demands."),
    Refusal.INVALID: ("invalid_pod", "Correct the template."),
}


def _question(signal: Signal) -> str:
    match signal.reason:
        case Reason.CRASH_LOOP | Reason.INIT_FAILED:
            return "What does the container's log say before it ends, and what does it depend on?"
        case Reason.NOT_READY | Reason.LIVENESS_RESTARTS:
            return "Does the process answer its probe, and what does it wait for?"
        case _:
            return "What changed just before?"
