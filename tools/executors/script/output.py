"""What a script wrote, made fit to be kept and shown: put together, without secrets, without hidden characters.

The rule: where output was cut, no part of a secret is left at the cut.  Whole lines are dropped on both sides of it,
and what follows it up to the end of a key in PEM form.
"""

from __future__ import annotations

import re
from typing import Final

from tools.executors.script.job import Report
from tools.redact import REDACTED, excerpt

_KEY_ENDS: Final = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
_SHORTEST: Final = 4
"""A shorter secret would take harmless text with it."""


def readable(report: Report, secrets: tuple[str, ...], limit: int) -> str:
    """The output as text of about `limit` characters; `secrets` are values the script was given."""
    if not report.dropped:
        return excerpt(_without(report.head, secrets), limit)
    head = report.head[: report.head.rfind("\n") + 1]
    tail = _after_key(report.tail[report.tail.find("\n") + 1 :] if "\n" in report.tail else "")
    both = [excerpt(_without(part, secrets), max(1, limit // 2)) if part else "" for part in (head, tail)]
    return f"{both[0]}[more than {report.dropped} bytes left out]\n{both[1]}"


def _after_key(tail: str) -> str:
    """The tail from behind a key that began before it."""
    end = _KEY_ENDS.search(tail)
    return tail if end is None or "-----BEGIN " in tail[: end.start()] else tail[end.end() :].lstrip("\n")


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, REDACTED)
    return text
