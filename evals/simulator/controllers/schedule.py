"""Cron schedules: five fields, lists, ranges, steps, names; and the `@hourly` kind."""

from __future__ import annotations

from datetime import datetime, timedelta

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def _number(text: str, field: int) -> int:
    names = _MONTHS if field == 3 else _DAYS if field == 4 else []
    if text.lower() in names:
        return names.index(text.lower()) + (1 if field == 3 else 0)
    return int(text)


def _values(text: str, field: int) -> set[int]:
    low, high = _RANGES[field]
    found: set[int] = set()
    for part in text.split(","):
        span, _, step_text = part.partition("/")
        step = int(step_text) if step_text else 1
        if span in {"*", "?"}:
            first, last = low, high
        elif "-" in span:
            first, last = (_number(t, field) for t in span.split("-", 1))
        else:
            first = _number(span, field)
            last = high if step_text else first
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"{part}: outside {low}-{high}")
        found |= set(range(first, last + 1, step))
    return {v % 7 for v in found} if field == 4 else found


class Schedule:
    """When a CronJob is due.  Raises ValueError for a text that is no schedule."""

    def __init__(self, text: str) -> None:
        fields = _NAMED.get(text, text).split()
        if len(fields) != 5:
            raise ValueError(f"{text}: a schedule has five fields")
        self._minutes, self._hours, self._days, self._months, self._weekdays = (
            _values(f, i) for i, f in enumerate(fields)
        )
        self._any_day, self._any_weekday = fields[2].startswith("*"), fields[4].startswith("*")

    def _day_matches(self, at: datetime) -> bool:
        day, weekday = at.day in self._days, (at.weekday() + 1) % 7 in self._weekdays
        return day and weekday if self._any_day or self._any_weekday else day or weekday

    def after(self, moment: datetime) -> datetime | None:
        """The next due time after `moment`; None when there is none within five years."""
        at = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = moment + timedelta(days=5 * 366)
        while at < end:
            if at.month not in self._months or not self._day_matches(at):
                at = (at + timedelta(days=1)).replace(hour=0, minute=0)
            elif at.hour not in self._hours:
                at = (at + timedelta(hours=1)).replace(minute=0)
            elif at.minute not in self._minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None
