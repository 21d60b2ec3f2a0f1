"""What the workload depends on has changed: put that back, not the workload.

Settings, an account, a quota, a policy, a budget or a role that was changed or deleted breaks pods whose template is as
good as ever.  Code has enumerated what differs from what is declared or was known good; this rule takes the difference
that fits the symptom, and only where exactly one fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import ObjectCandidate, Operation, VersionSource
from graph.plan import Step
from graph.rules.case import Answer, Case, Remedy, Unclear
from graph.rules.objects.case import action, described, step_back, way_back
from graph.rules.words import by_weight, name_of, reasons_of, sentence, trouble
from graph.signals.messages import Refusal, classify_refusal, find_missing

_SETTINGS: Final = frozenset({"ConfigMap"})
_RUNTIME: Final = frozenset({"ConfigMap", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount", "Service"})
_ADMISSION: Final = {
    Refusal.QUOTA: frozenset({"ResourceQuota"}),
    Refusal.NEEDS: frozenset({"LimitRange", "ResourceQuota"}),
    Refusal.ACCOUNT: frozenset({"ServiceAccount"}),
}
_RUNNING: Final = frozenset(
    {
        Reason.CRASH_LOOP,
        Reason.INIT_FAILED,
        Reason.NOT_READY,
        Reason.LIVENESS_RESTARTS,
        Reason.CONTAINER_START_FAILED,
        Reason.DEADLINE_EXCEEDED,
        Reason.POD_FAILED,
    }
)
_READ_AT_START: Final = frozenset({"ConfigMap"})
"""What a container reads when it starts: pods that run with the old content must be replaced."""
_CONFIDENCE: Final = {VersionSource.DESIRED: 0.9, VersionSource.LAST_KNOWN_GOOD: 0.8}


class ChangedDependency:
    """Put back the one object that changed and that fits every symptom."""

    name = "changed_dependency"
    safe_because = (
        "It puts back what this workload depended on when it was healthy, or what is declared; the workload's own"
        " template stays, and what is replaced is kept and can be put back by one step."
    )

    def judge(self, case: Case) -> Answer | None:
        """The object's way back; None when nothing it depends on differs, or what differs does not fit."""
        failing = [s for s in case.signals if s.reason is not Reason.DEADLINE_EXCEEDED] or list(case.signals)
        if not failing:
            return None
        fitting = [c for c in _ways(case) if all(fits(s, c) for s in failing)]
        if not fitting:
            return None
        if len({str(c.ref) for c in fitting}) > 1:
            newest = _newest(fitting)
            if newest is None:
                return _several(failing, fitting, case)
            fitting = [newest]
        way = fitting[0]
        first = by_weight(failing)[0]
        return Remedy(
            cause="dependency_deleted" if way.operation is Operation.RESTORE else "dependency_changed",
            sentence=sentence(
                f"{name_of(case.workload.ref)} {trouble(first, case.evidence.pods)}.", f"{described(way)}."
            ),
            confidence=_CONFIDENCE[way.source],
            steps=(step_back(way), *_replacement(failing, way, case)),
            reasons=reasons_of(failing),
        )


def _ways(case: Case) -> list[ObjectCandidate]:
    return [
        c
        for c in case.evidence.objects
        if c.ref != case.workload.ref and not c.is_ours and not case.was_tried(way_back(c))
    ]


def fits(signal: Signal, way: ObjectCandidate) -> bool:
    """Whether going this way could end the symptom; pure."""
    kind = way.ref.kind
    missing = find_missing(signal.message)
    if missing is not None:
        is_it = kind == missing.kind and missing.name in {way.ref.name, "that a volume mounts"}
        if not is_it or missing.key is None:
            return is_it
        return way.operation is Operation.RESTORE or way.truncated or any(missing.key in c.path for c in way.changes)
    match signal.reason:
        case Reason.PODS_REFUSED:
            return kind in _ADMISSION.get(classify_refusal(signal.message), frozenset())
        case Reason.CONFIG_MISSING:
            return kind in _SETTINGS
        case reason if reason in _RUNNING:
            return kind in _RUNTIME
        case _:
            return False


def _newest(fitting: Iterable[ObjectCandidate]) -> ObjectCandidate | None:
    """The one that changed last, when the journal saw all of them change; None when that is not known."""
    dated = [(c.changed_at, c) for c in fitting]
    times = [at for at, _ in dated if at is not None]
    if len(times) != len(dated) or len(set(times)) != len(times):
        return None
    return next(c for at, c in dated if at == max(times))


def _several(failing: list[Signal], fitting: list[ObjectCandidate], case: Case) -> Unclear:
    names = ", ".join(sorted({name_of(c.ref) for c in fitting})[:5])
    return Unclear(
        cause="several_dependencies_changed",
        sentence=sentence(
            f"{name_of(case.workload.ref)} {trouble(by_weight(failing)[0], case.evidence.pods)}.",
            f"More than one thing it depends on differs from before: {names}.",
        ),
        question="Which of these changes came first, and which was meant?",
        reasons=reasons_of(failing),
    )


def _replacement(failing: list[Signal], way: ObjectCandidate, case: Case) -> list[Step]:
    """New pods, where the present ones have read the wrong content, or they or their controller wait in a back-off."""
    refused = any(s.reason is Reason.PODS_REFUSED for s in failing)
    if not refused and (way.ref.kind not in _READ_AT_START or not any(s.reason in _RUNNING for s in failing)):
        return []
    restart = action("restart_workload", case.workload.ref, kind=case.workload.ref.kind)
    if case.was_tried(restart):
        return []
    why = "Its controller was refused again and again and tries only after a long back-off; a new rollout begins anew."
    if not refused:
        why = "Its pods read these settings when they start, and some wait in a back-off."
    return [Step(action=restart, why=why)]
