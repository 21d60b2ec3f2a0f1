"""Remembers when each symptom was first seen, for states that carry no time of their own.

One per process.  It is lost with the process; the graces then run anew, which only makes us slower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Signal
from graph.signals.context import Seen, SymptomKey

LINGER: Final = timedelta(seconds=20)
"""A symptom that is away for less than this is still the same one: retries of the kubelet hide it for moments."""


@dataclass(frozen=True, slots=True)
class _Kept:
    seen: Seen
    last: datetime


class Symptoms:
    """First sightings by object uid."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[SymptomKey, _Kept]] = {}

    def of(self, uid: str, now: datetime) -> Mapping[SymptomKey, Seen]:
        """What is remembered of one object and was there until shortly before `now`."""
        return {key: kept.seen for key, kept in self._kept.get(uid, {}).items() if now - kept.last <= LINGER}

    def note(self, uid: str, signals: Sequence[Signal], now: datetime) -> None:
        """Take down what was seen now; what has been away for longer than `LINGER` is forgotten."""
        if uid not in self._kept and not signals:
            return
        before = self.of(uid, now)
        held = {key: kept for key, kept in self._kept.get(uid, {}).items() if key in before}
        for signal in signals:
            key = (signal.reason, signal.container or "")
            first = before.get(key) or Seen(signal.observed_at, signal.message)
            held[key] = _Kept(first, now)
        if held:
            self._kept[uid] = held
        else:
            self._kept.pop(uid, None)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._kept.pop(uid, None)

    def __len__(self) -> int:
        return len(self._kept)
