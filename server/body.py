"""Reads a request's body with a bound: what is too large is refused while it arrives, not when all of it is here."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from server.parse import MAX_BODY_BYTES
from server.problem import ProblemCode, ProblemError


async def read_json_bytes(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body of a JSON request.

    Raises `ProblemError`: 415 when it does not say that it is JSON, 413 as soon as more than `limit` bytes are
    announced or have come, 422 when the caller went away in the middle.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ProblemError(415, ProblemCode.NOT_JSON, "send JSON with `Content-Type: application/json`")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except ClientDisconnect:
        raise ProblemError(422, ProblemCode.UNREADABLE, "the body ended before it was complete", field="") from None
    return bytes(body)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        413,
        ProblemCode.BODY_TOO_LARGE,
        f"the body is larger than {limit} bytes; send one Event or one reference at a time",
        headers={"Connection": "close"},
    )
