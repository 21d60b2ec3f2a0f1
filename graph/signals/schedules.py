"""When a CronJob is due: the schedules that Kubernetes takes, as a sequence of times.

The grammar is that of the CronJob controller: five fields with lists, ranges, steps and names, `@hourly` and its like,
`@every 1h30m`.  The rule: what does not parse is no schedule, and nothing is said about it.  Neighbour: `jobs`.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

HORIZON: Final = 366 * 4 + 1
"""Days that are searched: a leap day comes within this."""

_SHORTHAND: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = re.compile(r"@every (?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a schedule: its bounds and the names for its numbers, the first of which is the lower bound."""

    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        if text.lower() in self.names:
            return self.low + self.names.index(text.lower())
        if not text.isascii() or not text.isdigit():
            raise ValueError(f"{text!r} is no number")
        return int(text)

    def part(self, text: str) -> range:
        span, slash, step = text.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            low, high = self.low, self.high
        else:
            low = self.number(first)
            high = self.number(last) if dash else self.high if slash else low
        width = self.number(step) if slash else 1
        if not self.low <= low <= high <= self.high or width < 1:
            raise ValueError(f"{text!r} is outside {self.low} to {self.high}")
        return range(low, high + 1, width)

    def values(self, text: str) -> frozenset[int]:
        return frozenset(value for part in text.split(",") for value in self.part(part))


_FIELDS: Final = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 7, _DAYS))


def nth_due(schedule: str, zone: str, after: datetime, count: int) -> datetime | None:
    """The `count`-th time the schedule is due after `after`, from 1; None when it does not parse or never comes.

    `zone` is the name of a time zone; "" and one that is not installed are taken as UTC.
    """
    try:
        if match := _EVERY.fullmatch(schedule.strip()):
            hours, minutes, seconds = (int(part or 0) for part in match.groups())
            gap = timedelta(hours=hours, minutes=minutes, seconds=seconds)
            return after + count * gap if gap else None
        return next(islice(_due(schedule, after.astimezone(_zone(zone))), count - 1, None), None)
    except (ValueError, OverflowError):
        return None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _due(schedule: str, after: datetime) -> Iterator[datetime]:
    texts = _SHORTHAND.get(schedule.strip(), schedule).split()
    if len(texts) != len(_FIELDS):
        raise ValueError(f"{schedule!r} has not five fields")
    minutes, hours, days, months, weekdays = (f.values(t) for f, t in zip(_FIELDS, texts, strict=True))
    any_day, any_weekday = texts[2][0] in "*?", texts[4][0] in "*?"
    weekdays = frozenset(day % 7 for day in weekdays)
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for offset in range(HORIZON):
        day = midnight + timedelta(days=offset)
        if day.month not in months:
            continue
        by_day, by_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        if not (by_day and by_weekday if any_day or any_weekday else by_day or by_weekday):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                moment = day.replace(hour=hour, minute=minute)
                if moment > after:
                    yield moment
