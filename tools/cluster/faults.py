"""From what HTTP says to the tree in `tools.errors`: the one place that reads status codes.

The rule: the class follows from status and body alone, the message carries the server's own words and the remedy.
A code that says two things is told apart by the body: 422 is a lost precondition or bad content, 429 on an eviction is
a disruption budget or a busy server.

Neighbours: `transport` and `client` raise what these functions return; `reflector` feeds ERROR events through
`from_status` too.
Status: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, TypeGuard

import aiohttp
import msgspec

from tools.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    NotFound,
    Overloaded,
    Permanent,
    ToolError,
    Transient,
    Undecodable,
    Unreachable,
)
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_str

MAX_RETRY_AFTER: Final = timedelta(minutes=5)
"""A server (or what stands in its place) cannot send us to sleep for longer than this."""

_MAX_MESSAGE: Final = 2000
_JSON_PATCH: Final = "application/json-patch+json"


class Blocked(Transient):
    """A PodDisruptionBudget forbids this eviction now; nothing happened.  Remedy: wait `delay`, or act otherwise."""

    code = "EVICTION_BLOCKED"


class AlreadyExists(Conflict):
    """Something with that name is there already.  Remedy: read it; it may be what an earlier try made."""

    code = "ALREADY_EXISTS"


class NoConfiguration(Permanent):
    """No cluster can be reached because none is configured.  Remedy: in the message."""

    code = "NO_CLUSTER_CONFIGURATION"


_BY_STATUS: Final[Mapping[int, tuple[type[Permanent], str]]] = {
    401: (Denied, "the server does not accept our identity: renew the token or the kubeconfig"),
    403: (Denied, "grant this permission to our identity, or disable the action"),
    404: (NotFound, "read the world again, or check that the server has this kind"),
    409: (Conflict, "read the object again and plan again"),
    410: (Expired, "list again"),
}
"""What a status says when the body does not say otherwise; other 4xx are Invalid."""


def is_object(value: JsonValue) -> TypeGuard[JsonObject]:
    """True when `value` is a JSON object."""
    return isinstance(value, dict)


def parse_object(raw: bytes, what: str) -> JsonObject:
    """Decode one JSON object.  Raises Undecodable, naming `what`, when the bytes are anything else."""
    try:
        value: JsonValue = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Undecodable(f"{what}: the answer is no JSON ({error}); check what answers at that address") from error
    if not is_object(value):
        raise Undecodable(f"{what}: the answer is JSON but no object; check what answers at that address")
    return value


def from_status(
    status: int, headers: Mapping[str, str], body: bytes, what: str, *, content_type: str = "application/json"
) -> ToolError:
    """Translate an HTTP answer that is not 2xx.

    `what` names the call in the message; `content_type` is that of the request, since a JSON patch is refused in its
    own way.
    """
    try:
        report = parse_object(body, what)
    except Undecodable:
        report = {}
    said = (dig_str(report, "message") or body.decode(errors="replace").strip() or "no message")[:_MAX_MESSAGE]
    delay = _retry_after(headers, report)
    special = _told_apart(status, report, what, said, delay, content_type)
    if special is not None:
        return special
    if status == 429 or status >= 500:
        return Overloaded(f"{what}: {status}, {said}; wait and repeat", delay=delay)
    if status < 400:
        return Undecodable(f"{what}: unexpected HTTP status {status}; check what answers at that address")
    kind, remedy = _BY_STATUS.get(status, (Invalid, "the request must change"))
    return kind(f"{what}: {status}, {said}; {remedy}")


def _told_apart(  # noqa: PLR0917 - the facts of one answer
    status: int, report: JsonObject, what: str, said: str, delay: timedelta | None, content_type: str
) -> ToolError | None:
    """The codes that say two things, told apart by the body; None for the plain meaning."""
    match status:
        case 403 if "cannot " not in said:
            return Denied(f"{what}: 403, {said}; an admission rule or quota refused it: change that, or act otherwise")
        case 409 if dig_str(report, "reason") == "AlreadyExists":
            return AlreadyExists(f"{what}: {said}; read it before deciding again")
        case 422 if _is_lost_precondition(report, content_type):
            return Conflict(f"{what}: a precondition no longer holds: {said}; read the object again and plan again")
        case 429 if _is_budget(report):
            return Blocked(f"{what}: {_reasons(report) or said}; wait until the budget allows it", delay=delay)
        case 500 if "more than one PodDisruptionBudget" in said:
            return Invalid(f"{what}: {said}; leave one PodDisruptionBudget per pod")
        case _:
            return None


def from_error_event(report: JsonObject, what: str) -> ToolError:
    """Translate the Status object of an ERROR watch event."""
    code = dig_int(report, "code")
    return from_status(code if code is not None and code >= 400 else 500, {}, msgspec.json.encode(report), what)


def from_transport(error: BaseException, what: str) -> ToolError:
    """Translate a failure below HTTP: nothing, or not everything, came back."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Unreachable(f"{what}: TLS failed ({error}); check certificate-authority and the server name")
        case TimeoutError() | asyncio.TimeoutError():
            return Unreachable(f"{what}: no answer in time; check the network and the server's load")
        case aiohttp.ClientPayloadError():
            return Unreachable(f"{what}: the answer was cut off ({error})")
        case aiohttp.ClientConnectorError():
            return Unreachable(f"{what}: no connection ({error}); check that the API server runs and can be reached")
        case aiohttp.ClientConnectionError() | OSError():
            return Unreachable(f"{what}: the connection broke ({error or type(error).__name__})")
        case _:
            return Undecodable(f"{what}: no HTTP as the protocol says ({error}); check what answers at that address")


def _retry_after(headers: Mapping[str, str], report: JsonObject) -> timedelta | None:
    text = headers.get("Retry-After", "").strip()
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if seconds is None:
        seconds = dig_int(report, "details", "retryAfterSeconds")
    if seconds is None or seconds <= 0:
        return None
    return min(timedelta(seconds=min(seconds, 10**9)), MAX_RETRY_AFTER)


def _is_lost_precondition(report: JsonObject, content_type: str) -> bool:
    """Tell a failed precondition from bad content; measured on Kubernetes 1.34.

    A merge patch with a foreign metadata.uid names that field as immutable; a JSON patch that does not apply (its
    `test` among it) is refused as a whole, without any cause.
    """
    causes = dig_list(report, "details", "causes")
    if any(dig_str(c, "field") == "metadata.uid" and "immutable" in dig_str(c, "message") for c in causes):
        return True
    said = dig_str(report, "message")
    if not causes and "metadata.uid" in said and "field is immutable" in said:
        return True
    return content_type == _JSON_PATCH and not causes and "the server rejected our request" in said


def _is_budget(report: JsonObject) -> bool:
    causes = dig_list(report, "details", "causes")
    return any(dig_str(c, "reason") == "DisruptionBudget" for c in causes) or "disruption budget" in dig_str(
        report, "message"
    )


def _reasons(report: JsonObject) -> str:
    texts = [dig_str(cause, "message") for cause in dig_list(report, "details", "causes")]
    return "; ".join(text for text in texts if text)
