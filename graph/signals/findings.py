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
UNSEEN: Final = timedelta(minutes=3)
"""A controller of Crossplane has a minute for one look, and looks again at least every minute (its default)."""
AGAIN: Final = timedelta(seconds=90)
"""A failed look is repeated after at most a minute: one more try than that."""
VERY_LONG: Final = timedelta(minutes=10)
"""Something is on its way that takes minutes: a node, a large image, a volume that detaches."""
CREATION: Final = timedelta(minutes=20)
"""What is made outside the cluster takes its time: a database a quarter of an hour."""

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
    Reason.TRAFFIC_CUT: Family.SERVICE,
    Reason.DRIFTED: Family.DRIFT,
    Reason.OBJECT_MISSING: Family.DRIFT,
    Reason.SCALED_TO_ZERO: Family.SCALING,
    Reason.ROLLOUT_PAUSED: Family.ROLLOUT,
    Reason.AUTOSCALER_UNABLE: Family.SCALING,
    Reason.AUTOSCALER_PAUSED: Family.SCALING,
    Reason.AUTOSCALER_FORGOTTEN: Family.SCALING,
    Reason.AUTOSCALER_AT_LIMIT: Family.SCALING,
    Reason.SCALER_FAILING: Family.SCALING,
    Reason.JOB_FAILED: Family.BATCH,
    Reason.JOB_HUNG: Family.BATCH,
    Reason.JOB_STUCK: Family.BATCH,
    Reason.CRONJOB_SUSPENDED: Family.BATCH,
    Reason.CLAIM_UNBOUND: Family.STORAGE,
    Reason.EVICTION_BLOCKED: Family.DISRUPTION,
    Reason.NODE_NOT_READY: Family.NODE,
    Reason.NODE_PRESSURE: Family.NODE,
    Reason.NODE_PROBLEM: Family.NODE,
    Reason.NODE_CLOSED: Family.NODE,
    Reason.DELETION_STUCK: Family.STUCK,
    Reason.APPLICATION_DRIFTED: Family.DELIVERY,
    Reason.APPLICATION_DEGRADED: Family.DELIVERY,
    Reason.OPERATION_FAILED: Family.DELIVERY,
    Reason.OPERATION_HUNG: Family.DELIVERY,
    Reason.COMPARISON_FAILED: Family.DELIVERY,
    Reason.EXTERNAL_SYNC_FAILED: Family.EXTERNAL,
    Reason.EXTERNAL_REFERENCE_BROKEN: Family.EXTERNAL,
    Reason.EXTERNAL_UNREADY: Family.EXTERNAL,
    Reason.EXTERNAL_UNCERTAIN: Family.EXTERNAL,
    Reason.RECONCILE_PAUSED: Family.EXTERNAL,
    Reason.RECONCILE_STUCK: Family.EXTERNAL,
    Reason.PROVIDER_UNHEALTHY: Family.EXTERNAL,
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
