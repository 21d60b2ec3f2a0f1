"""What the watcher remembers of incidents that ended without healing, so that the same trouble is not opened for ever.

The rule: the same symptom (reason, container, revision) of the same owner rests for a quiet period after such an end,
each time twice as long up to a bound; a different symptom is new at once.  What was only observed rests only as long as
observing is all that is allowed: turning a namespace to auto acts on what is broken there now.  Time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from graph.incident import Reason, Signal
from graph.plan import Status

Symptom: TypeAlias = tuple[Reason, str, str]
"""Reason, container ("" for the whole object) and revision ("" where there is none)."""
LONGEST_QUIET = timedelta(hours=6)
SHORTEST = timedelta(seconds=10)
"""The least rest where the refusal itself says when to ask again."""
MOMENT = timedelta(seconds=30)
"""After an end at which nothing was wrong (healed, cleared), for a symptom that the watcher sees all the same."""
RESTING = frozenset({Status.ESCALATED, Status.REFUSED, Status.OBSERVED})


def symptom_of(signal: Signal) -> Symptom:
    """What makes two signals of one owner the same trouble; which pod shows it does not matter."""
    return signal.reason, signal.container or "", signal.revision or ""


@dataclass(frozen=True, slots=True)
class Rest:
    """One symptom that rests."""

    until: datetime
    status: Status
    times: int


class Memory:
    """Rests by owner uid and symptom."""

    def __init__(self, quiet: timedelta) -> None:
        self._quiet = quiet
        self._rests: dict[str, dict[Symptom, Rest]] = {}

    def ended(
        self,
        owner_uid: str,
        status: Status,
        *,
        opened_for: Iterable[Signal],
        still_seen: Iterable[Signal] = (),
        now: datetime,
        retry_after: timedelta | None = None,
        left_alone: timedelta | None = None,
    ) -> None:
        """An incident of this owner ended; `retry_after` is when what refused its plan may say yes, `left_alone` for
        how long exactly the same symptoms are not told again.

        A healed one forgives what it was opened for; what is seen all the same rests for a moment, so that two opinions
        on when something is over cannot chase each other.
        """
        if status is Status.HEALED:
            self._rests.pop(owner_uid, None)
            opened_for = ()
        rests = self._rests.setdefault(owner_uid, {})
        for symptom in {symptom_of(s) for s in (*opened_for, *still_seen)}:
            times = rests[symptom].times + 1 if symptom in rests and status in RESTING else 1
            pause = self._pause(status, times, retry_after) if left_alone is None else left_alone
            rests[symptom] = Rest(now + pause, status, times)
        if not rests:
            del self._rests[owner_uid]

    def resting(self, owner_uid: str, signal: Signal, now: datetime, *, may_act: bool) -> Rest | None:
        """The rest that keeps this signal from opening an incident; None when it may open one."""
        rests = self._rests.get(owner_uid, {})
        rest = rests.get(symptom_of(signal))
        if rest is None and signal.reason is Reason.DEADLINE_EXCEEDED and rests:
            rest = max(rests.values(), key=lambda r: r.until)  # it follows from the trouble that is known already
        if rest is None or now >= rest.until or (rest.status is Status.OBSERVED and may_act):
            return None
        return rest

    def rests_of(self, owner_uid: str) -> dict[Symptom, Rest]:
        """All rests of one owner, for whoever asks why nothing happens."""
        return dict(self._rests.get(owner_uid, {}))

    def forget(self, owner_uid: str) -> None:
        """The owner is gone."""
        self._rests.pop(owner_uid, None)

    def _pause(self, status: Status, times: int, retry_after: timedelta | None) -> timedelta:
        if status not in RESTING:
            return min(MOMENT, self._quiet)
        doublings: int = min(times - 1, 16)
        first = self._quiet if retry_after is None else min(self._quiet, max(retry_after, SHORTEST))
        return min(first * (1 << doublings), max(LONGEST_QUIET, self._quiet))
