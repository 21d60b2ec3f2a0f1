"""Orders by hand and what is answered to them, without the graph: a command that only asks a service starts fast."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from server.account import View
from tools.refs import DNS_NAME, ObjectRef

Word: TypeAlias = Literal["approved", "declined"]
"""A person's answer to a plan."""
EVERYWHERE: Final = "*"
"""The namespace of a pause that holds in all of them, as `tools.ledger.standing` has it."""
LONGEST_PAUSE: Final = timedelta(days=30)
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class UndoStep(View):
    """One write: what became of taking it back."""

    action_id: str
    tool: str
    target: ObjectRef
    by: str
    """`inverse`: we restored it; `controller`: it restores itself; `nothing`: nothing stood; empty when refused."""
    code: str
    """Why it was refused; empty when nothing of it stands any more."""
    sentence: str


class UndoReport(View):
    """An order to undo, newest write first; it stops at the first refusal."""

    incident_id: str
    complete: bool
    sentence: str
    steps: tuple[UndoStep, ...]


class PauseView(View):
    """Nothing is written there until then."""

    namespace: str
    until: datetime
    by: str
    since: datetime


def parse_duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`.  ValueError with what is expected."""
    match = _DURATION.fullmatch(text.strip())
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)
    if not timedelta(0) < length <= LONGEST_PAUSE:
        raise ValueError(f"{text!r} is no length of time: write 90s, 30m, 2h or 1d, at most {LONGEST_PAUSE.days}d")
    return length


def parse_namespace(text: str) -> str:
    """A namespace's name, or `*` for all.  ValueError with what is expected."""
    if text != EVERYWHERE and re.fullmatch(DNS_NAME, text) is None:
        raise ValueError(f"{text!r} is not a namespace: write its name, or {EVERYWHERE} for all of them")
    return text
