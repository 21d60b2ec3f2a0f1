"""Objects that are not as declared, or are gone although they are declared or something that runs needs them.

The rule: drift is a difference from a *declared* state and nothing else; a change without a declaration and without a
failing signal is somebody's business.  What is declared as it stands (zero replicas, a suspended CronJob) is intended.
Neighbours: `tools.journal.compare` finds the differences, `object_contexts` whether something needs what is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import APPLYING, HANDLING, Finding, to_signal
from graph.signals.objects import ObjectContext, judge
from tools.cluster.objects import KubeObject
from tools.refs import ObjectRef

SHOWN: Final = 8
_RESTARTED: Final = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt"
"""Written by every restart: somebody wanted new pods, not another state."""
_REPLICAS: Final = "/spec/replicas"


@dataclass(frozen=True, slots=True)
class DriftContext(ObjectContext):
    """How an object differs from what is declared."""

    differences: tuple[str, ...] = ()
    """JSON pointers into the live object."""
    is_autoscaled: bool = False
    """An autoscaler owns its replica count, so that no number of replicas is drift."""


def detect_drift(item: KubeObject, context: DriftContext, now: datetime) -> list[Signal]:
    """DRIFTED while the object is not as declared."""
    return judge(item, context, _drifted(context), now)


def _drifted(context: DriftContext) -> Iterator[Finding]:
    excused = {_RESTARTED, _REPLICAS} if context.is_autoscaled else {_RESTARTED}
    paths = [path for path in context.differences if path not in excused]
    if paths:
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        text = f"differs from its declared state at {', '.join(paths[:SHOWN])}{more}"
        yield Finding(Reason.DRIFTED, text, APPLYING)


@dataclass(frozen=True, slots=True)
class MissingContext(ObjectContext):
    """What would miss an object that is gone."""

    is_declared: bool = False
    users: tuple[ObjectRef, ...] = ()
    """What runs and needs it; empty unless it was known good."""


def detect_missing(ref: ObjectRef, uid: str, context: MissingContext, now: datetime) -> list[Signal]:
    """OBJECT_MISSING for an object that does not exist, which the caller has made sure of.

    `uid` is the life it last had, "" when none is known.
    """
    if context.suppressed:
        return []
    return [
        to_signal(finding, ref, uid, revision=None, seen=context.seen, now=now) for finding in _missing(ref, context)
    ]


def _missing(ref: ObjectRef, context: MissingContext) -> Iterator[Finding]:
    if context.is_declared:
        yield Finding(Reason.OBJECT_MISSING, f"{ref} is declared and does not exist", APPLYING)
    elif context.users:
        listed = ", ".join(str(user) for user in context.users[:SHOWN])
        yield Finding(Reason.OBJECT_MISSING, f"{ref} is gone, and still needed by {listed}", HANDLING)
