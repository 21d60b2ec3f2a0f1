"""Whether going back to a revision could end a symptom: does the difference touch what the symptom is about?

The rule: a rollback is proposed only when the answer is yes.  A template that differs in nothing but annotations
(a restart, a checksum of settings) makes the same pods again, so what broke lies outside of it; and a missing object
that both revisions refer to is not brought back by either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from graph.incident import Reason, Signal
from graph.observed import CandidateRevert, FieldChange, Health
from graph.signals.messages import (
    Missing,
    Pull,
    Refusal,
    classify_pull,
    classify_refusal,
    find_missing,
    is_rejection,
    is_root_refusal,
)

_PLACE: Final = re.compile(
    r"^(nodeSelector|affinity|tolerations|topologySpreadConstraints|schedulerName|priorityClassName|runtimeClassName"
    r"|overhead|nodeName|hostNetwork|volumes|resourceClaims|resources|schedulingGates|os)|\.resources\b|hostPort|\.ports\b"
    r"|^(?:init)?[cC]ontainers\[[^\]]+\]$"
)
_SECURITY: Final = re.compile(r"securityContext|^host(?:Network|PID|IPC)|^volumes|hostPort|\.ports\b|procMount")
_NEEDS: Final = re.compile(r"\.resources\b|^resources|^(?:init)?[cC]ontainers\[[^\]]+\]$")
_PULL: Final = re.compile(r"\.imagePullPolicy$|^imagePullSecrets|^serviceAccount")
_ACCOUNT: Final = re.compile(r"^serviceAccount|^automountServiceAccountToken")
_CLASS: Final = re.compile(r"^(?:priority|runtime)Class")
_SETTINGS: Final = re.compile(r"\.env\b|\.env\[|\.envFrom|^volumes|optional$")
_NO_MEMORY: Final = re.compile(
    r"Probe\b|\.ports\b|\.ports\[|\.terminationMessage|\.imagePullPolicy|^dns|^serviceAccount"
)
_QUOTA_OF_NEEDS: Final = re.compile(r"requested: [^;]*(?:cpu|memory|storage)")


def explained(signal: Signal, candidate: CandidateRevert) -> tuple[FieldChange, ...]:
    """The differences that could be the cause of the symptom; empty when going there cannot help."""
    changes = [c for c in candidate.changes if not _is_annotation(c)]
    spec = [c for c in changes if not c.path.startswith("metadata")]
    match signal.reason:
        case Reason.IMAGE_NAME_INVALID:
            found = _image(spec, signal.container)
        case Reason.IMAGE_PULL_FAILED:
            found = _pull(spec, signal, candidate)
        case Reason.CONFIG_MISSING:
            found = _settings(spec, find_missing(signal.message))
        case Reason.CONTAINER_START_FAILED if is_root_refusal(signal.message):
            found = [*_matching(spec, _SECURITY), *_image(spec, signal.container)]
        case Reason.OUT_OF_MEMORY:
            found = [c for c in spec if not _NO_MEMORY.search(c.path)]
        case Reason.UNSCHEDULABLE:
            missing = find_missing(signal.message)
            found = _settings(spec, missing) if missing else _matching(spec, _PLACE)
        case Reason.PODS_REFUSED:
            found = _refusal(changes, spec, signal)
        case Reason.POD_FAILED if is_rejection(signal.message):
            found = _matching(spec, _PLACE) or _matching(spec, _SECURITY)
        case _:
            found = spec
    return tuple(found)


def _is_annotation(change: FieldChange) -> bool:
    return change.path.startswith("metadata.annotations")


def _matching(changes: Iterable[FieldChange], pattern: re.Pattern[str]) -> list[FieldChange]:
    return [c for c in changes if pattern.search(c.path)]


def _image(spec: list[FieldChange], container: str | None) -> list[FieldChange]:
    """The container's image, or the whole container when it is new."""
    if container is None:
        return [c for c in spec if c.path.endswith(".image")]
    place = f"ontainers[{container}]"
    return [c for c in spec if c.path.endswith((f"{place}.image", place))]


def _pull(spec: list[FieldChange], signal: Signal, candidate: CandidateRevert) -> list[FieldChange]:
    image = _image(spec, signal.container)
    match classify_pull(signal.message):
        case Pull.UNTRUSTED | Pull.PASSING:
            # Only an image that ran here before is no way around the signature, and is sure to run though the registry
            # should be away: then it does not matter whose fault the pull is.
            return image if candidate.health in (Health.CONFIRMED, Health.SERVING) else []
        case Pull.LASTING | Pull.UNKNOWN:
            return [*image, *_matching(spec, _PULL)]


def _settings(spec: list[FieldChange], missing: Missing | None) -> list[FieldChange]:
    """References that only the present revision makes: what is missing stands on its side of the difference alone."""
    if missing is None:
        return _matching(spec, _SETTINGS)
    names = [n for n in (missing.key, missing.name) if n and " " not in n]
    return [
        c
        for c in spec
        if c.path.endswith("optional") or any(_mentions(c.now, n) and not _mentions(c.then, n) for n in names)
    ]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) is not None


def _refusal(changes: list[FieldChange], spec: list[FieldChange], signal: Signal) -> list[FieldChange]:
    kind = classify_refusal(signal.message)
    by_pattern = {
        Refusal.ACCOUNT: _ACCOUNT,
        Refusal.CLASS: _CLASS,
        Refusal.NEEDS: _NEEDS,
        Refusal.SECURITY: _SECURITY,
    }
    if kind in by_pattern:
        return _matching(spec, by_pattern[kind])
    if kind is Refusal.QUOTA:
        return _matching(spec, _NEEDS) if _QUOTA_OF_NEEDS.search(signal.message) else []
    if kind in (Refusal.WEBHOOK, Refusal.LEAVING):
        return []
    return changes if kind is Refusal.DENIED else spec
