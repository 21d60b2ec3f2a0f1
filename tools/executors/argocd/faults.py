"""From what Argo CD's API answers, or does not, to the tree in `tools.errors`.

The rule: a write whose answer is not a clear yes or no may have happened.  It is `Unreachable`, whatever the reason,
because that class alone says: read back before anything else.

The API is gRPC behind a gateway, so errors are JSON with `message` and the gRPC `code`; proxies answer in HTML.
Neighbour: `client` raises what these functions return.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import httpx
import msgspec

from tools.errors import Conflict, Denied, Invalid, NotFound, Overloaded, Permanent, ToolError, Undecodable, Unreachable
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_str
from tools.redact import excerpt

MAX_RETRY_AFTER: Final = timedelta(minutes=5)
"""A server cannot send us to sleep for longer than this."""
_MAX_MESSAGE: Final = 500
_FAILED_PRECONDITION: Final = 9
_ABORTED: Final = 10
_MAY_HAVE: Final = "it may have happened all the same: read the application before anything else"


class Misconfigured(Permanent):
    """Argo CD cannot be spoken to with these settings.  Remedy: in the message."""

    code = "ARGOCD_MISCONFIGURED"


def parse_object(body: bytes, what: str, *, is_write: bool) -> JsonObject:
    """The JSON object of a 2xx answer.  Raises Undecodable; for a write Unreachable."""
    try:
        value: JsonValue = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unclear(what, f"the answer is no JSON ({error})", is_write=is_write) from error
    if not isinstance(value, dict):
        raise unclear(what, "the answer is JSON but no object", is_write=is_write)
    return value


def unclear(what: str, why: str, *, is_write: bool) -> ToolError:
    """A success whose content is not what the protocol says."""
    if is_write:
        return Unreachable(f"{what}: {why}; {_MAY_HAVE}, and check what answers at that address")
    return Undecodable(f"{what}: {why}; check what answers at that address")


def from_answer(status: int, headers: Mapping[str, str], body: bytes, what: str, *, is_write: bool) -> ToolError:
    """Translate an HTTP answer that is not 2xx."""
    report = _report(body)
    said = excerpt(dig_str(report, "message") or dig_str(report, "error") or "no message", _MAX_MESSAGE)
    if 300 <= status < 400:
        place = excerpt(headers.get("location", ""), 200)
        return Undecodable(f"{what}: redirected to {place!r}, which we never follow; correct the address of Argo CD")
    match status:
        case 401:
            return Denied(f"{what}: 401, {said}; Argo CD does not accept the token: put a valid one into its file")
        case 403 if "sync window" in said:
            return Denied(f"{what}: 403, {said}; wait until the window opens, or change it in the project")
        case 403:
            return Denied(
                f"{what}: 403, {said}; grant this in Argo CD's RBAC (an application that is not there also reads so)"
            )
        case 404:
            return NotFound(f"{what}: 404, {said}; read the world again")
        case 409:
            return Conflict(f"{what}: 409, {said}; read the application again and decide again")
        case 429:
            return Overloaded(f"{what}: 429, {said}; wait and ask again", delay=_retry_after(headers))
        case _ if status in {400, 412} and dig_int(report, "code") in {_FAILED_PRECONDITION, _ABORTED}:
            return Conflict(f"{what}: {said}; the application is not in a state for this: read it and decide again")
        case _ if 400 <= status < 500 and status != 408:
            return Invalid(f"{what}: {status}, {said}; Argo CD refuses the request itself")
        case _ if is_write:
            return Unreachable(f"{what}: {status}, {said}; {_MAY_HAVE}", delay=_retry_after(headers))
        case _:
            return Overloaded(f"{what}: {status}, {said}; wait and ask again", delay=_retry_after(headers))


def from_transport(error: Exception, what: str, *, is_write: bool) -> ToolError:
    """Translate a failure below HTTP, or of HTTP itself."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        if isinstance(error.__cause__ or error.__context__, ssl.SSLError) or "CERTIFICATE_VERIFY" in str(error):
            return Unreachable(f"{what}: TLS failed ({error}); check the CA file and the server's name")
        return Unreachable(f"{what}: no connection ({_said(error)}); check the address and whether Argo CD runs")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Undecodable(f"{what}: {error}; correct the address of Argo CD")
    end = _MAY_HAVE if is_write else "check the network and the server's load"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return Unreachable(f"{what}: no complete answer in time; {end}")
    return Unreachable(f"{what}: the connection broke ({_said(error)}); {end}")


def _report(body: bytes) -> JsonObject:
    try:
        value: JsonValue = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("retry-after", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) == 0:
        return None
    return min(timedelta(seconds=int(text)), MAX_RETRY_AFTER)


def _said(error: Exception) -> str:
    return excerpt(str(error) or type(error).__name__, 200)
