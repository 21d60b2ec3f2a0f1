"""What it means when a request to the model fails: a coded refusal, and whether trying again may help.

The rule: every exception of the client library becomes one value here; the server's own words are cut, and the key is
taken out of them.  Neighbour: `client`, the only caller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import cast

import openai

from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonValue
from tools.redact import excerpt

MAX_WORDS = 200
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_KEY = frozenset({401, 403})


class TooLargeError(Exception):
    """The answer is longer than any honest one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed request.  `wait_seconds` is what the server asked for, None when it asked for nothing."""

    refused: Refused
    is_transient: bool = False
    wait_seconds: float | None = None


def fault_of(error: Exception, *, now: datetime, seconds: float) -> Fault:
    """The fault behind `error`.  `seconds` is how long the request was given."""
    match error:
        case openai.APIStatusError():
            return _status_fault(error, now)
        case TimeoutError() | openai.APITimeoutError():
            return _down(f"The model did not answer within {seconds:.3g} s.", is_transient=True)
        case openai.APIConnectionError() if isinstance(error.__cause__, TooLargeError):
            return _unreadable("The model's server sent more than any answer needs.")
        case openai.APIConnectionError():
            return _down("The connection to the model's server failed or was cut off.", is_transient=True)
        case OSError():
            return _down(f"The model cannot be asked: {error.strerror or type(error).__name__}.", is_transient=False)
        case TooLargeError():
            return _unreadable("The model's server sent more than any answer needs.")
        case _:
            return _unreadable(
                f"The model's server answered something else than the protocol ({type(error).__name__})."
            )


def _status_fault(error: openai.APIStatusError, now: datetime) -> Fault:
    status = error.status_code
    words = _words(error)
    if status in _KEY:
        return _down(
            f"The model's server refuses our key ({status}): check the key and its rights.", is_transient=False
        )
    if status == 404:
        return _down("The model's server does not know this model or path (404): check both.", is_transient=False)
    if status == 429 and error.code == "insufficient_quota":
        return _down("The account at the model's server has no quota left (429).", is_transient=False)
    if status in _AGAIN or status >= 500:
        wait = retry_after(error.response.headers, now)
        return _down(f"The model's server cannot answer now ({status}){words}", is_transient=True, wait=wait)
    reason = f"The model's server declined the request ({status}){words}"
    return Fault(Refused(code=ReasonCode.LLM_REFUSED, reason=reason, check="model"))


def _words(error: openai.APIStatusError) -> str:
    """The server's own words, if it has any, as the end of a sentence."""
    body: object = error.body
    said = body.get("message") if isinstance(body, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return f": {excerpt(said, MAX_WORDS)}" if isinstance(said, str) and said else "."


def _down(reason: str, *, is_transient: bool, wait: float | None = None) -> Fault:
    refused = Refused(code=ReasonCode.LLM_UNAVAILABLE, reason=reason, check="model", retry_after_seconds=wait)
    return Fault(refused, is_transient, wait)


def _unreadable(reason: str) -> Fault:
    return Fault(Refused(code=ReasonCode.LLM_MALFORMED, reason=reason, check="model"))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait as `Retry-After` says, as a number or as a date; None without one that can be read.

    A negative wait is none; how long is too long is for the caller to say.
    """
    raw = headers.get("retry-after", "").strip()
    if not raw:
        return None
    try:
        seconds = float(raw)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(raw) - now).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def as_json(value: object) -> JsonValue:
    """A value of the client library as JSON; what is none becomes its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [as_json(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {str(k): as_json(v) for k, v in cast("dict[object, object]", value).items()}
    return str(value)
