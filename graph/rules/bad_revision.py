"""The revision is bad: its pods fail, this followed its rollout, and an earlier revision differs in what matters.

The most general rule there is: reverse exactly the change that preceded the fault.  It covers image, command,
environment, references to settings, probes, resources, placement, init steps, security context and service account.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import CandidateRevert, FieldChange, Health, PodFacts
from graph.plan import Step
from graph.rules.case import MEANT, Answer, Case, Hopeless, Remedy, Unclear
from graph.rules.explains import explained
from graph.rules.words import (
    by_weight,
    differences,
    last_words,
    name_of,
    reasons_of,
    revision_of,
    sentence,
    standing,
    trouble,
)
from graph.signals.messages import Pull, Refusal, classify_pull, classify_refusal, is_own_eviction, is_rejection
from tools.executors.actions import DeletePod, RollbackWorkload

_CONFIDENCE: Final = {Health.CONFIRMED: 0.95, Health.SERVING: 0.9, Health.UNKNOWN: 0.7, Health.BAD: 0.0}
_BY_NODE: Final = frozenset({Reason.IMAGE_PULL_FAILED, Reason.CONTAINER_START_FAILED})
"""Faults that one node can have for itself: when the same revision runs elsewhere, the revision is not the cause."""
_ROLLING: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_LOOSER: Final = 0.15
"""What a way back loses that gives up security: that may have been what the new revision was for."""
MAX_STEPS: Final = 8


class BadRevision:
    """Go back to the best earlier revision whose difference explains every symptom."""

    name = "bad_revision"
    safe_because = (
        "It puts back a template that this workload ran before, in place of one that was rolled out just now and fails;"
        " nothing else is touched, and going forward again is one step."
    )

    def judge(self, case: Case) -> Answer | None:
        """A rollback; or why it would not help; None when the trouble does not follow a rollout."""
        failing = [s for s in case.present if not _is_of_the_node(s) and s.reason not in MEANT]
        if not failing or not case.evidence.rollout_is_recent or case.workload.ref.kind not in _ROLLING:
            return None
        if (elsewhere := _runs_elsewhere(failing, case)) is not None:
            return elsewhere
        for candidate in case.usable:
            if any(case.was_tried(_rollback(case, n)) for n in (candidate.to_revision, *candidate.formerly)):
                continue
            changes = _explains_all(failing, candidate)
            if changes is not None:
                return _both_fail(failing, candidate, case) or _remedy(failing, candidate, changes, case)
            if candidate.health is not Health.UNKNOWN:
                return _outside(failing, candidate, case)
        return None


def _is_of_the_node(signal: Signal) -> bool:
    """A pod that was evicted because its node was in need says nothing about its revision."""
    is_own = is_own_eviction(signal.message) or is_rejection(signal.message)
    return signal.reason is Reason.POD_FAILED and not is_own


def _explains_all(failing: Sequence[Signal], candidate: CandidateRevert) -> list[FieldChange] | None:
    """The differences that explain the symptoms, when each symptom has one; a cut list of differences may hold it."""
    found: dict[str, FieldChange] = {}
    for signal in failing:
        changes = explained(signal, candidate)
        if not changes and not candidate.truncated:
            return None
        found |= {c.path: c for c in changes}
    return list(found.values())


def _runs_elsewhere(failing: Sequence[Signal], case: Case) -> Unclear | None:
    local = [s for s in failing if s.reason in _BY_NODE]
    if not local or len(local) != len(failing):
        return None
    stricken = {str(s.object) for s in local}
    pods = case.pods_of(case.workload.revision_hash)
    nodes = {p.node for p in pods if str(p.ref) in stricken}
    well = sorted({p.node for p in pods if p.ready and p.node and p.node not in nodes})
    if not well:
        return None
    first = by_weight(local)[0]
    return Unclear(
        cause="one_node_or_revision",
        sentence=sentence(
            f"{revision_of(case.workload)} {trouble(first, pods)}, but only on {', '.join(sorted(nodes))};"
            f" it runs well on {', '.join(well[:3])}."
        ),
        question="Does the node lack something (registry access, disk, architecture) that the others have?",
        reasons=reasons_of(failing),
    )


def _both_fail(failing: Sequence[Signal], candidate: CandidateRevert, case: Case) -> Unclear | None:
    """Two revisions that fail alike point outside; only one that is known to work settles it."""
    if candidate.health is not Health.UNKNOWN:
        return None
    mine = {s.reason for s in failing}
    alike = [s for s in case.others if s.reason in mine]
    if not alike:
        return None
    return Unclear(
        cause="two_revisions_fail",
        sentence=sentence(
            f"{revision_of(case.workload)} {trouble(by_weight(failing)[0], case.evidence.pods)},"
            " and pods of an earlier revision fail in the same way."
        ),
        question="What do both depend on that changed: settings, a service, the node, the registry?",
        reasons=reasons_of(failing),
    )


def _outside(failing: Sequence[Signal], candidate: CandidateRevert, case: Case) -> Hopeless | None:
    """A revision that works does not differ in what matters: the cause is not in the template."""
    unexplained = [s for s in by_weight(failing) if not explained(s, candidate)]
    if not unexplained or case.others or _is_named(unexplained[0]):
        return None
    paths = differences(candidate.changes)
    differs = f"It differs from revision {candidate.to_revision} only in {paths}, which cannot be the cause:"
    return Hopeless(
        cause="outside_the_template",
        sentence=sentence(
            f"{revision_of(case.workload)} {trouble(unexplained[0], case.evidence.pods)}.",
            last_words(unexplained[0], case.evidence.logs),
            differs if paths else f"It is the same as revision {candidate.to_revision}:",
            "what it depends on has changed.",
        ),
        advice=_advice(unexplained[0]),
        reasons=reasons_of(failing),
    )


def _is_named(signal: Signal) -> bool:
    """Whether the message names a cause outside by itself; then nothing needs to be concluded from differences."""
    match signal.reason:
        case Reason.IMAGE_PULL_FAILED:
            return classify_pull(signal.message) is Pull.PASSING
        case Reason.PODS_REFUSED:
            return classify_refusal(signal.message) is not Refusal.UNKNOWN
        case _:
            return False


def _advice(signal: Signal) -> str:
    match signal.reason:
        case Reason.CONFIG_MISSING:
            return (
                "Restore the object or key that is missing; going back to an earlier revision does not bring it back."
            )
        case Reason.UNSCHEDULABLE:
            return "Look at the nodes: cordons, taints and free capacity."
        case Reason.PODS_REFUSED:
            return "Look at the quotas and admission policies of the namespace."
        case Reason.IMAGE_PULL_FAILED:
            return "Look at the registry: the image may have been removed, or the registry may be out of reach."
        case _:
            return "Look at the settings, secrets and services it uses: one of them changed without a rollout."


def _rollback(case: Case, to_revision: int) -> RollbackWorkload:
    ref = case.workload.ref
    return RollbackWorkload.model_validate(
        {
            "action": "rollback_workload",
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "to_revision": to_revision,
        }
    )


def _remedy(
    failing: Sequence[Signal], candidate: CandidateRevert, changes: Sequence[FieldChange], case: Case
) -> Remedy:
    first = by_weight(failing)[0]
    who = revision_of(case.workload)
    back = Step(
        action=_rollback(case, candidate.to_revision),
        why=f"Revision {candidate.to_revision} does not have the change that fails ({differences(changes)})."[:400],
    )
    return Remedy(
        cause="bad_revision",
        sentence=sentence(
            f"{who} {trouble(first, case.evidence.pods)}.",
            f"It differs from revision {candidate.to_revision} in {differences(changes)}." if changes else "",
            standing(candidate),
        ),
        confidence=_CONFIDENCE[candidate.health] - (_LOOSER if candidate.loosens else 0),
        steps=(back, *removals(case))[:MAX_STEPS],
        reasons=reasons_of(failing),
        loosens=candidate.loosens[:MAX_STEPS],
        needs_person=tuple(
            f"going back to revision {candidate.to_revision} loosens {name_of(case.workload.ref)}: {rule}"
            for rule in candidate.loosens[:MAX_STEPS]
        ),
    )


def removals(case: Case) -> list[Step]:
    """Pods of the bad revision that would stay in the way, or stay behind, after the template is back."""
    pods = case.pods_of(case.workload.revision_hash)
    stuck = [p for p in pods if case.workload.ordered and not p.ready and p.phase not in ("Succeeded", "Failed")]
    left = [p for p in pods if p.phase == "Failed"]
    why = "A StatefulSet waits for this pod of the bad revision for ever; it must be deleted after the rollback."
    return [_delete(p, why) for p in stuck] + [
        _delete(p, "It ended in phase Failed and would stay behind.") for p in left
    ]


def _delete(pod: PodFacts, why: str) -> Step:
    action = DeletePod(action="delete_pod", namespace=pod.ref.namespace or "", name=pod.ref.name)
    return Step(action=action, why=why)
