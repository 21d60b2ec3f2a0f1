"""KEDA's objects: let go what was held by mistake, give room that was taken, name what is outside.

The rules: a pause goes by itself where the declared state has none, or where the workload was well without it and
suffers now; in every other case a person says.  A bound goes back to what it was; more than it ever was is a person's
to grant.  What a trigger asks outside the cluster nobody here can mend, so that is told with KEDA's own words.

Neighbours: `put_back` reverts a changed specification as a whole; `graph.signals.keda` makes the symptoms.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import ObjectCandidate, Operation, VersionSource
from graph.plan import Step
from graph.rules.case import Answer, Hopeless, Remedy
from graph.rules.intent import undeclared_healing
from graph.rules.objects.case import ObjectCase, action, described, step_back, way_back
from graph.rules.objects.put_back import writes_something
from graph.rules.words import by_weight, name_of, reasons_of, said_of, sentence, trouble
from graph.signals.keda import METRICS_API, NO_AUTHENTICATION, NO_TARGET
from tools.cluster.resources import SCALED_JOB, SCALED_OBJECT
from tools.executors.keda.scaled import HOLDING

KINDS: Final = frozenset({SCALED_OBJECT.kind, SCALED_JOB.kind})
RAISE: Final = 2
"""How many times the present bound a person is asked for: what the policy's factor lets through."""
HIGHEST: Final = 1000
_HELD: Final = frozenset({Reason.AUTOSCALER_PAUSED, Reason.AUTOSCALER_FORGOTTEN, Reason.DRIFTED})
_BOUNDS: Final = {"minReplicaCount": "min_replicas", "maxReplicaCount": "max_replicas"}
_HOLDS: Final = re.compile(rf"(?:{'|'.join(re.escape(name) for name in HOLDING)})(?![-\w])")
_SURE: Final = {VersionSource.DESIRED: 0.95, VersionSource.LAST_KNOWN_GOOD: 0.85}
_UNDECLARED: Final = "nothing is declared here, so the change may have been meant"
_UNKNOWN_ROOM: Final = "it never had more room than this, and how much the cluster can bear is for people to say"
_ADVICE: Final = {
    "metrics_api_away": (
        "Nobody answers for external metrics in this cluster: look at KEDA's metrics server, its Service, and the "
        "APIService v1beta1.external.metrics.k8s.io. Every ScaledObject is deaf until then."
    ),
    "trigger_authentication_missing": "Bring the TriggerAuthentication back, or correct the reference to it.",
    "scale_target_missing": "Bring back what it scales, or correct scaleTargetRef.",
    "scaler_failing": (
        "Look at what the trigger asks (its address, its credentials, whether it is up) and at the log of KEDA's "
        "operator; KEDA tries again by itself."
    ),
    "autoscaler_unable": "Correct its specification as the message says; KEDA looks again when it changes.",
}


class Keda:
    """Resume, set bounds back, or say what is outside."""

    name = "keda"
    safe_because = (
        "It takes away a pause, or sets a bound back, that the object did not have when its workload was well or that"
        " nobody declared; KEDA's own triggers decide about replicas again, and one step puts it back."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """One or two steps, or why none helps; None for other kinds, and where the whole specification goes back."""
        if case.target.kind not in KINDS:
            return None
        for signal in by_weight(case.signals):
            if signal.reason in _HELD:
                found = _resumed(case, signal)
            elif signal.reason is Reason.AUTOSCALER_AT_LIMIT:
                found = _given_room(case, signal)
            else:
                found = None
            if found is not None:
                return found
        return _outside(case)


def _resumed(case: ObjectCase, signal: Signal) -> Answer | None:
    """The pause goes, and with it whatever else of the object is not as declared."""
    way = next((w for w in case.ways if _pauses(w)), None)
    is_declared = way is not None and way.source is VersionSource.DESIRED
    if signal.reason is Reason.DRIFTED and not is_declared:
        return None
    if way is not None and way.is_ours:
        return undeclared_healing(f"{name_of(case.target)} {trouble(signal)}", way, reasons_of(case.signals))
    resume = action("keda_resume", case.target, kind=case.target.kind)
    if case.was_tried(resume):
        return None
    steps = [Step(action=resume, why="KEDA follows its triggers again.")]
    if way is not None and is_declared and writes_something(way) and not case.was_tried(way_back(way)):
        steps.append(step_back(way))
    is_known = is_declared or (way is not None and signal.reason is Reason.AUTOSCALER_PAUSED)
    return Remedy(
        cause="keda_paused",
        sentence=sentence(
            f"{name_of(case.target)} is held ({said_of(signal)}).", f"{described(way)}." if way is not None else ""
        ),
        confidence=_SURE[way.source] if way is not None else 0.6,
        steps=tuple(steps),
        reasons=reasons_of(case.signals),
        needs_person=() if is_known else (_UNDECLARED,),
    )


def _given_room(case: ObjectCase, signal: Signal) -> Answer | None:
    """The bound that was, or by approval twice the present one; None where more than bounds was changed."""
    way = next((w for w in case.ways if w.operation is Operation.REVERT and not w.is_ours), None)
    if way is not None and _changed_bounds(way):
        if not all(c.path.endswith(tuple(_BOUNDS)) for c in way.changes):
            return None
        return _set(case, signal, _changed_bounds(way), why=f"{described(way)}.", confidence=0.9)
    present = _greatest(case)
    if present is None or present >= HIGHEST:
        return None
    wanted = {"max_replicas": min(HIGHEST, RAISE * present)}
    why = f"Its metrics ask for more than {present}; nothing says how far it may go."
    return _set(case, signal, wanted, why=why, confidence=0.5, needs_person=(_UNKNOWN_ROOM,))


def _set(
    case: ObjectCase,
    signal: Signal,
    wanted: dict[str, int],
    *,
    why: str,
    confidence: float,
    needs_person: tuple[str, ...] = (),
) -> Remedy | None:
    arguments: dict[str, int | None] = {"min_replicas": None, "max_replicas": None, **wanted}
    bounds = action("keda_set_bounds", case.target, **arguments)
    if case.was_tried(bounds):
        return None
    return Remedy(
        cause="keda_bounds_too_low",
        sentence=sentence(f"{name_of(case.target)} {trouble(signal)} ({said_of(signal)}).", why),
        confidence=confidence,
        steps=(Step(action=bounds, why=why[:400]),),
        reasons=reasons_of(case.signals),
        needs_person=needs_person,
    )


def _outside(case: ObjectCase) -> Hopeless | None:
    """What no action of ours mends, in KEDA's words; None where a way back is left to try."""
    found = [s for s in case.signals if s.reason in {Reason.SCALER_FAILING, Reason.AUTOSCALER_UNABLE}]
    if not found or any(not case.was_tried(way_back(w)) and writes_something(w) and not w.is_ours for w in case.ways):
        return None
    first = by_weight(found)[0]
    cause = _cause(first)
    kept = " It is kept alive by its fallback meanwhile." if "fallback keeps" in first.message else ""
    return Hopeless(
        cause=cause,
        sentence=sentence(f"{name_of(case.target)} {trouble(first)} ({said_of(first)}).{kept}"),
        advice=_ADVICE[cause],
        reasons=reasons_of(case.signals),
    )


def _cause(signal: Signal) -> str:
    if METRICS_API.search(signal.message):
        return "metrics_api_away"
    if NO_AUTHENTICATION.search(signal.message):
        return "trigger_authentication_missing"
    if signal.reason is Reason.SCALER_FAILING:
        return "scaler_failing"
    return "scale_target_missing" if NO_TARGET.search(signal.message) else "autoscaler_unable"


def _pauses(way: ObjectCandidate) -> bool:
    """Whether what holds the object now would go this way: a note of its own, or all of its notes together."""
    return way.operation is Operation.REVERT and any(
        _HOLDS.search(f"{change.path} {change.now}")
        for change in way.changes
        if change.now and "annotations" in change.path
    )


def _changed_bounds(way: ObjectCandidate) -> dict[str, int]:
    """The bounds that this way would set, as arguments of the action."""
    return {
        argument: int(change.then)
        for change in way.changes
        for field, argument in _BOUNDS.items()
        if change.path.endswith(field) and change.then.isdigit()
    }


def _greatest(case: ObjectCase) -> int | None:
    lines = case.evidence.subject.lines if case.evidence.subject is not None else ()
    found = next((line.removeprefix("maxReplicaCount: ") for line in lines if line.startswith("maxReplicaCount: ")), "")
    return int(found) if found.isdigit() else None
