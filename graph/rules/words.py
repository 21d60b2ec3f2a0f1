"""Sentences about symptoms, for somebody who was not there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import CandidateRevert, FieldChange, Health, LogExcerpt, PodFacts, WorkloadFacts
from graph.signals.messages import find_missing
from tools.redact import excerpt
from tools.refs import ObjectRef

SENTENCE: Final = 600
_SAID: Final = 180
_CAUSE: Final = 120
"""A nested error longer than this is told by its end."""
_CAUSE_LEAST: Final = 40
"""A cause shorter than this is told with the step before it: `timeout` alone says little."""
_NESTED: Final = frozenset(
    {
        Reason.IMAGE_NAME_INVALID,
        Reason.IMAGE_PULL_FAILED,
        Reason.CONFIG_MISSING,
        Reason.CONTAINER_START_FAILED,
        Reason.OUT_OF_MEMORY,
    }
)
"""Whose messages are the kubelet's and the runtime's, error within error; other messages are the program's own words,
or a controller's, and have no such order."""
_LOGGED: Final = frozenset(
    {Reason.CRASH_LOOP, Reason.INIT_FAILED, Reason.NOT_READY, Reason.LIVENESS_RESTARTS, Reason.JOB_FAILED}
)
"""Whose cause the program may have written into its log."""
_TELLING: Final = re.compile(
    r"(?i)error|fatal|panic|exception|caused by|refused|denied|forbidden|unauthori[sz]ed|fail|cannot|can't|could not"
    r"|unable|no such|not found|unreachable|timed? ?out|invalid|missing|unknown"
)
"""A line that tells why a program ended, in the words of runtimes and of errno(3); stack frames come after it."""
_QUOTED: Final = re.compile(r"\\?\"[^\"]{0,1000}\"|'[^']{0,1000}'")
_RANK: Final = (
    Reason.IMAGE_NAME_INVALID,
    Reason.IMAGE_PULL_FAILED,
    Reason.CONFIG_MISSING,
    Reason.CONTAINER_START_FAILED,
    Reason.PODS_REFUSED,
    Reason.OUT_OF_MEMORY,
    Reason.INIT_FAILED,
    Reason.LIVENESS_RESTARTS,
    Reason.CRASH_LOOP,
    Reason.UNSCHEDULABLE,
    Reason.POD_FAILED,
    Reason.NOT_READY,
    Reason.OBJECT_MISSING,
    Reason.SERVICE_WITHOUT_ENDPOINTS,
    Reason.SERVICE_PORT_MISSING,
    Reason.SERVICE_WRONG_PODS,
    Reason.TRAFFIC_CUT,
    Reason.CLAIM_UNBOUND,
    Reason.NODE_NOT_READY,
    Reason.NODE_PRESSURE,
    Reason.NODE_PROBLEM,
    Reason.NODE_CLOSED,
    Reason.AUTOSCALER_UNABLE,
    Reason.SCALER_FAILING,
    Reason.AUTOSCALER_PAUSED,
    Reason.AUTOSCALER_AT_LIMIT,
    Reason.JOB_HUNG,
    Reason.JOB_STUCK,
    Reason.JOB_FAILED,
    Reason.SCALED_TO_ZERO,
    Reason.ROLLOUT_PAUSED,
    Reason.EVICTION_BLOCKED,
    Reason.CRONJOB_SUSPENDED,
    Reason.AUTOSCALER_FORGOTTEN,
    Reason.EXTERNAL_UNCERTAIN,
    Reason.RECONCILE_PAUSED,
    Reason.EXTERNAL_REFERENCE_BROKEN,
    Reason.EXTERNAL_SYNC_FAILED,
    Reason.PROVIDER_UNHEALTHY,
    Reason.RECONCILE_STUCK,
    Reason.EXTERNAL_UNREADY,
    Reason.OPERATION_HUNG,
    Reason.OPERATION_FAILED,
    Reason.COMPARISON_FAILED,
    Reason.APPLICATION_DRIFTED,
    Reason.APPLICATION_DEGRADED,
    Reason.DRIFTED,
    Reason.DELETION_STUCK,
    Reason.DEADLINE_EXCEEDED,
    Reason.REQUESTED,
)
"""The most exact reason first: it is the one a sentence is about."""


def name_of(ref: ObjectRef) -> str:
    """As people say it: `Deployment shop/web`."""
    return f"{ref.kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind} {ref.name}"


def revision_of(workload: WorkloadFacts) -> str:
    """`Revision 4 of Deployment shop/web`."""
    which = f"Revision {workload.revision}" if workload.revision is not None else "The present revision"
    return f"{which} of {name_of(workload.ref)}"


def by_weight(signals: Iterable[Signal]) -> list[Signal]:
    """The most exact first; among equals the first seen."""
    return sorted(signals, key=lambda s: (_RANK.index(s.reason), s.observed_at))


def reasons_of(signals: Iterable[Signal]) -> tuple[Reason, ...]:
    """Each reason once, the most exact first."""
    return tuple(dict.fromkeys(s.reason for s in by_weight(signals)))


def trouble(signal: Signal, pods: Iterable[PodFacts] = ()) -> str:
    """What is wrong, as the end of a sentence that begins with a revision or a workload."""
    container = f"container {signal.container}" if signal.container else "its pods"
    said = said_of(signal)
    match signal.reason:
        case Reason.IMAGE_NAME_INVALID:
            return f"names an image that does not parse for {container}{_image(signal, pods)} ({said})"
        case Reason.IMAGE_PULL_FAILED:
            return f"cannot pull image{_image(signal, pods)} for {container} ({said})"
        case Reason.CONFIG_MISSING:
            missing = find_missing(signal.message)
            return (
                f"needs {missing}, which is not there, for {container}" if missing else f"lacks its settings ({said})"
            )
        case _:
            return _TROUBLES[signal.reason].format(container=container, said=said)


_TROUBLES: Final = {
    Reason.CONTAINER_START_FAILED: "cannot start {container} ({said})",
    Reason.CRASH_LOOP: "starts {container} and it ends again and again ({said})",
    Reason.INIT_FAILED: "does not get past the init step {container} ({said})",
    Reason.OUT_OF_MEMORY: "runs {container} out of its memory limit ({said})",
    Reason.LIVENESS_RESTARTS: "has {container} killed again and again for its liveness or startup probe ({said})",
    Reason.NOT_READY: "runs {container}, which does not become ready ({said})",
    Reason.UNSCHEDULABLE: "has pods for which no node is found ({said})",
    Reason.PODS_REFUSED: "is not allowed to create pods ({said})",
    Reason.POD_FAILED: "has pods that ended and were left behind ({said})",
    Reason.DEADLINE_EXCEEDED: "does not come to the end of its rollout ({said})",
    Reason.SERVICE_WITHOUT_ENDPOINTS: "selects no pod",
    Reason.SERVICE_PORT_MISSING: "leads to a port that its pods do not offer",
    Reason.SERVICE_WRONG_PODS: "leads to pods that it was not made for",
    Reason.OPERATION_HUNG: "has an operation that does not end ({said})",
    Reason.OPERATION_FAILED: "could not be synced ({said})",
    Reason.COMPARISON_FAILED: "cannot be compared with its source ({said})",
    Reason.APPLICATION_DRIFTED: "differs from what it declares ({said})",
    Reason.APPLICATION_DEGRADED: "has resources that are not well ({said})",
    Reason.DRIFTED: "differs from what is declared",
    Reason.OBJECT_MISSING: "is gone and still needed",
    Reason.SCALED_TO_ZERO: "was scaled to zero",
    Reason.ROLLOUT_PAUSED: "is paused with a change that waits",
    Reason.AUTOSCALER_UNABLE: "cannot scale its target",
    Reason.AUTOSCALER_PAUSED: "is paused while it is needed",
    Reason.AUTOSCALER_FORGOTTEN: "has been paused for long",
    Reason.AUTOSCALER_AT_LIMIT: "wants more replicas than it may have",
    Reason.SCALER_FAILING: "cannot read what it scales by",
    Reason.JOB_FAILED: "failed for good",
    Reason.JOB_HUNG: "hangs and keeps later runs from starting",
    Reason.JOB_STUCK: "has no pod that can start",
    Reason.CRONJOB_SUSPENDED: "is suspended",
    Reason.CLAIM_UNBOUND: "is not bound to a volume",
    Reason.EVICTION_BLOCKED: "allows no eviction at all",
    Reason.TRAFFIC_CUT: "lets nothing through to pods that are served",
    Reason.NODE_NOT_READY: "is not ready",
    Reason.NODE_PRESSURE: "is short of resources",
    Reason.NODE_PROBLEM: "reports a fault of its own",
    Reason.NODE_CLOSED: "is closed to pods that need it",
    Reason.DELETION_STUCK: "was deleted and does not go",
    Reason.EXTERNAL_SYNC_FAILED: "cannot be brought about outside the cluster",
    Reason.EXTERNAL_REFERENCE_BROKEN: "refers to something that is not there or not usable",
    Reason.EXTERNAL_UNREADY: "stands for something outside that is not ready",
    Reason.EXTERNAL_UNCERTAIN: "may or may not have been created outside",
    Reason.RECONCILE_PAUSED: "is paused",
    Reason.RECONCILE_STUCK: "is not looked at by any controller",
    Reason.PROVIDER_UNHEALTHY: "is not healthy",
    Reason.REQUESTED: "was asked to be looked at",
}


def standing(candidate: CandidateRevert) -> str:
    """What is known of an earlier revision, as a sentence."""
    match candidate.health:
        case Health.CONFIRMED:
            return f"Revision {candidate.to_revision} was seen healthy for long enough before."
        case Health.SERVING:
            return f"Revision {candidate.to_revision} still serves."
        case Health.UNKNOWN:
            return f"Revision {candidate.to_revision} is the newest one that is not known to be bad."
        case Health.BAD:
            return f"Revision {candidate.to_revision} fails too."


def differences(changes: Iterable[FieldChange]) -> str:
    """The paths that differ, at most three of them."""
    paths = [c.path for c in changes]
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


def sentence(*parts: str) -> str:
    """Parts joined and cut to what a diagnosis holds."""
    return excerpt(" ".join(p for p in parts if p), SENTENCE)


def last_words(signal: Signal, logs: Iterable[LogExcerpt]) -> str:
    """The last line of the failed container's log that tells a failure, else its last line, as a sentence.

    "" when it left no log, for symptoms that a log does not explain, and where the signal's message says the same.
    """
    if signal.reason not in _LOGGED:
        return ""
    text = next((log.text for log in logs if log.container == signal.container), "")
    lines = [line for raw in text.splitlines() if (line := " ".join(raw.split()))]
    told = next((line for line in reversed(lines) if _TELLING.search(line)), lines[-1] if lines else "")
    if not told or told in " ".join(signal.message.split()):
        return ""
    return f"Its log says: {excerpt(told, _SAID)}."


def _image(signal: Signal, pods: Iterable[PodFacts]) -> str:
    image = next(
        (
            c.image
            for p in pods
            if p.ref == signal.object
            for c in p.containers
            if c.name == signal.container and c.image
        ),
        "",
    )
    return f" {image}" if image else ""


def said_of(signal: Signal) -> str:
    """What the signal's message says, short enough for a sentence."""
    text = " ".join(signal.message.split())
    if signal.reason in _NESTED:
        text = telling_end(text)
    if signal.reason is Reason.UNSCHEDULABLE:
        text = text.partition(" preemption: ")[0]
    return excerpt(text, _SAID) or "no message"


def telling_end(text: str) -> str:
    """The innermost cause of a long nested error, with as much of the way to it as makes it understood.

    A text of at most 120 characters is told whole; a longer one from the last colon that leaves 40 of them.
    """
    if len(text) <= _CAUSE:
        return text
    text = text.removesuffix(": unknown")  # the runtime's class for an error it has no class for
    plain = _QUOTED.sub(lambda match: "x" * len(match[0]), text)
    cut = len(text)
    while (before := plain.rfind(": ", 0, cut)) >= 0 and len(text) - before - 2 <= _CAUSE:
        cut = before
        if len(text) - cut - 2 >= _CAUSE_LEAST:
            break
    return excerpt(text[cut + 2 :] if cut < len(text) else text, _CAUSE)
