"""From what a detector found to a `Signal`: family, grace and the redacted message.

The rule: the grace of a finding runs from when its state began, if the status says so, otherwise from when we first saw
it; the detector chooses the length.  Lengths are here, with the reason for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Family, Reason, Signal
from graph.signals.context import Seen, SymptomKey
from tools.redact import excerpt
from tools.refs import ObjectRef

AT_ONCE: Final = timedelta(0)
"""Nothing outside the template could mend it: waiting gains nothing."""
DEBOUNCE: Final = timedelta(seconds=1.5)
"""One look that shows it is no look too many."""
PLACING: Final = timedelta(seconds=2)
"""The scheduler tries again as soon as the world changes."""
NEW_PLACE: Final = timedelta(seconds=2)
"""A registry or repository that only the revision being rolled out names: the reference is the likely fault."""
SETTINGS: Final = timedelta(seconds=3)
"""Settings that are applied a moment after the workload that needs them are normal."""
SECRET: Final = timedelta(seconds=4)
"""A Secret is never read: whether it has come meanwhile cannot be looked up before anything is done."""
SHORT: Final = timedelta(seconds=5)
"""The kubelet's own second attempt."""
APPLYING: Final = timedelta(seconds=5)
"""People apply many objects one after the other: what does not fit yet may fit in a moment."""
HANDLING: Final = timedelta(seconds=10)
"""A person who pauses, deletes or suspends something often does the next step within this."""
PATIENT: Final = timedelta(seconds=15)
"""A fault of something that ran well before: its dependencies get the first chance."""
NEW_VERSION: Final = timedelta(seconds=20)
"""Only the version is new on a registry that others pulled from: two attempts of the kubelet more."""
PASSING: Final = timedelta(seconds=30)
"""Registries, storage and webhooks that were away come back within this, mostly."""
LONG: Final = timedelta(seconds=60)
"""What worked before and is only unready or unplaced: Kubernetes is given a minute."""
VERY_LONG: Final = timedelta(minutes=10)
"""Something is on its way that takes minutes: a node, a large image, a volume that detaches."""

FAMILIES: Final = {
    Reason.IMAGE_PULL_FAILED: Family.IMAGE,
    Reason.IMAGE_NAME_INVALID: Family.IMAGE,
    Reason.CONFIG_MISSING: Family.START,
    Reason.CONTAINER_START_FAILED: Family.START,
    Reason.CRASH_LOOP: Family.CRASH,
    Reason.INIT_FAILED: Family.CRASH,
    Reason.OUT_OF_MEMORY: Family.MEMORY,
    Reason.LIVENESS_RESTARTS: Family.PROBE,
    Reason.NOT_READY: Family.PROBE,
    Reason.UNSCHEDULABLE: Family.SCHEDULING,
    Reason.PODS_REFUSED: Family.ADMISSION,
    Reason.POD_FAILED: Family.LEFTOVER,
    Reason.DEADLINE_EXCEEDED: Family.ROLLOUT,
    Reason.SERVICE_WITHOUT_ENDPOINTS: Family.SERVICE,
    Reason.SERVICE_PORT_MISSING: Family.SERVICE,
    Reason.SERVICE_WRONG_PODS: Family.SERVICE,
    Reason.DRIFTED: Family.DRIFT,
    Reason.OBJECT_MISSING: Family.DRIFT,
    Reason.SCALED_TO_ZERO: Family.SCALING,
    Reason.ROLLOUT_PAUSED: Family.ROLLOUT,
    Reason.AUTOSCALER_UNABLE: Family.SCALING,
    Reason.JOB_FAILED: Family.BATCH,
    Reason.JOB_HUNG: Family.BATCH,
    Reason.CRONJOB_SUSPENDED: Family.BATCH,
    Reason.CLAIM_UNBOUND: Family.STORAGE,
    Reason.EVICTION_BLOCKED: Family.DISRUPTION,
    Reason.NODE_NOT_READY: Family.NODE,
    Reason.NODE_PRESSURE: Family.NODE,
    Reason.NODE_CLOSED: Family.NODE,
    Reason.DELETION_STUCK: Family.STUCK,
    Reason.REQUESTED: Family.REQUESTED,
}
MESSAGE_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found: a reason, on which container, how long to wait before it counts.

    `since` is when the state began, as far as the status says; None when it does not.
    """

    reason: Reason
    message: str
    grace: timedelta
    container: str | None = None
    since: datetime | None = None

    @property
    def key(self) -> SymptomKey:
        """What it is remembered under."""
        return self.reason, self.container or ""


def to_signal(
    finding: Finding,
    subject: ObjectRef,
    uid: str,
    *,
    revision: str | None,
    seen: Mapping[SymptomKey, Seen],
    now: datetime,
) -> Signal:
    """The signal of a finding at `now`: confirmed when its grace is over."""
    first = seen.get(finding.key)
    observed = first.at if first is not None else now
    due = (finding.since or observed) + finding.grace
    confirmed = due <= now
    return Signal(
        reason=finding.reason,
        family=FAMILIES[finding.reason],
        object=subject,
        uid=uid,
        container=finding.container,
        revision=revision,
        message=excerpt(finding.message, MESSAGE_LIMIT),
        observed_at=observed,
        confirmed=confirmed,
        due_at=None if confirmed else due,
    )
