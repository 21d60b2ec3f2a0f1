"""Remembers when each symptom was first seen, for states that carry no time of their own.

One per process.  It is lost with the process; the graces then run anew, which only makes us slower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from graph.incident import Signal
from graph.signals.context import Seen, SymptomKey

LINGER: Final = timedelta(seconds=20)
"""A symptom that is away for less than this is still the same one: retries of the kubelet hide it for moments."""
LATE: Final = timedelta(seconds=5)
"""A look that is due comes within this, or the grace runs anew."""
_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Kept:
    seen: Seen
    last: datetime
    until: datetime | None
    """Until when it counts as still there though nobody looks: nothing that matters to it changes unseen."""


class Symptoms:
    """First sightings by object uid.

    A quiet object is not looked at until its grace is over, and not again once a symptom is confirmed: what was there
    at the last look is there until a look finds it gone.
    """

    def __init__(self) -> None:
        self._kept: dict[str, dict[SymptomKey, _Kept]] = {}

    def of(self, uid: str, now: datetime) -> Mapping[SymptomKey, Seen]:
        """What is remembered of one object, and was there until shortly before `now` as far as anybody looked."""
        return {key: kept.seen for key, kept in self._kept.get(uid, {}).items() if _holds(kept, now)}

    def note(self, uid: str, signals: Sequence[Signal], now: datetime) -> None:
        """Take down what was seen now; what looks have not found for longer than `LINGER` is forgotten."""
        if uid not in self._kept and not signals:
            return
        before = self.of(uid, now)
        held = {
            key: _Kept(kept.seen, kept.last, None)
            for key, kept in self._kept.get(uid, {}).items()
            if now - kept.last <= LINGER
        }
        for signal in signals:
            key = (signal.reason, signal.container or "")
            first = before.get(key) or Seen(signal.observed_at, signal.message)
            until = _FOR_EVER if signal.due_at is None else signal.due_at + LATE
            held[key] = _Kept(first, now, until)
        if held:
            self._kept[uid] = held
        else:
            self._kept.pop(uid, None)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._kept.pop(uid, None)

    def __len__(self) -> int:
        return len(self._kept)


def _holds(kept: _Kept, now: datetime) -> bool:
    return now - kept.last <= LINGER or (kept.until is not None and now <= kept.until)
