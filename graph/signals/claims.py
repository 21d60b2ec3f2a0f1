"""A volume claim that stays unbound while a pod waits for it.

The rule: a claim nobody waits for may stay unbound for ever, and one that waits for its first consumer waits for the
scheduler, whose own words stand on the pod.  Why a claim is not bound only Events say; that it is not, its phase.
Neighbours: `pods` has the waiting pod, `object_contexts` reads the Events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import DEBOUNCE, PASSING, PATIENT, VERY_LONG, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import PersistentVolumeClaim
from tools.jsontypes import dig_str

WAITS_FOR_PLACE: Final = frozenset({"WaitForFirstConsumer", "WaitForPodScheduled"})
PROVISIONING: Final = frozenset({"ExternalProvisioning", "Provisioning", "ProvisioningSucceeded"})
"""Somebody is making the volume: that takes minutes at times."""
_NO_CLASS: Final = re.compile(r"(?i)storageclass\S* \\?\"[^\"]{1,253}\" not found")


@dataclass(frozen=True, slots=True)
class Said:
    """One Event about a claim."""

    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class ClaimContext(ObjectContext):
    """Who waits for a claim."""

    waiting: tuple[str, ...] = ()
    """Names of pods that refer to it and have not started."""
    events: tuple[Said, ...] = ()
    """What was said of it in the last minutes, newest last."""


def detect_claim(claim: PersistentVolumeClaim, context: ClaimContext, now: datetime) -> list[Signal]:
    """CLAIM_UNBOUND."""
    return judge(claim, context, _findings(claim, context), now)


def is_plainly_well(claim: PersistentVolumeClaim) -> bool:
    """Whether `detect_claim` finds nothing in any context."""
    return dig_str(claim.body, "status", "phase") not in ("Pending", "Lost")


def _findings(claim: PersistentVolumeClaim, context: ClaimContext) -> Iterator[Finding]:
    if not context.waiting:
        return
    phase = dig_str(claim.body, "status", "phase")
    last = context.events[-1] if context.events else None
    if phase == "Lost":
        yield Finding(Reason.CLAIM_UNBOUND, _text("Lost: its volume is gone", last, context), DEBOUNCE)
    elif phase == "Pending" and not (last is not None and last.reason in WAITS_FOR_PLACE):
        since = claim.metadata.creation_timestamp
        yield Finding(Reason.CLAIM_UNBOUND, _text("Pending", last, context), _grace(last), since=since)


def _grace(last: Said | None) -> timedelta:
    if last is None:
        return PASSING
    if last.reason in PROVISIONING:
        return VERY_LONG
    return PATIENT if _NO_CLASS.search(last.note) else PASSING


def _text(state: str, last: Said | None, context: ClaimContext) -> str:
    why = f"{last.reason}: {last.note}" if last is not None else "nothing says why"
    return f"{state}; {why}; waited for by pod {context.waiting[0]}"
