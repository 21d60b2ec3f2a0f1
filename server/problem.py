"""Errors over HTTP: RFC 9457 problem documents with a stable code and a sentence that names the remedy.

Every answer from 400 on has this form, the framework's own 404 and 405 included.  Where the code is one of
`tools.guard.verdict.ReasonCode` it means the same here.  Neighbours: `server.routes` raise `ProblemError`,
`server.app` installs the handlers.
"""

from __future__ import annotations

from enum import StrEnum

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server.logging import get_logger
from tools.errors import ToolError
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue
from tools.ledger.errors import LedgerError

MEDIA_TYPE = "application/problem+json"
_LOG = get_logger(__name__)


class ProblemCode(StrEnum):
    """What went wrong with a request.  Each sentence says what is true when it is answered."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    """No valid bearer token came with the request; its body was not read."""
    WRONG_HOST = "WRONG_HOST"
    """The service runs without a token on loopback and was addressed by another name."""
    NOT_FOUND = "NOT_FOUND"
    """There is nothing at that address."""
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    """The address exists and does not take that method."""
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    """The body is larger than is read."""
    NOT_JSON = "NOT_JSON"
    """The Content-Type is not JSON."""
    UNREADABLE = "UNREADABLE"
    """The content cannot be understood; `field` names where."""
    TARGET_UNSUPPORTED = "TARGET_UNSUPPORTED"
    """The object exists and is of a kind that cannot be healed."""
    NOT_WAITING = "NOT_WAITING"
    """The incident asks nothing at the moment."""
    ALREADY_DECIDED = "ALREADY_DECIDED"
    """Somebody answered before; the first answer stands."""
    STILL_OPEN = "STILL_OPEN"
    """The incident is being worked on; by hand only what has ended is taken back."""
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    """The caller used this key before, with another body; nothing was accepted."""
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    """The caller asks more often than it may; nothing was accepted."""
    HEALING_FAILED = "HEALING_FAILED"
    """It was acted on, or the run broke, and it is not healed; nothing more is tried."""
    LEDGER_UNAVAILABLE = ReasonCode.LEDGER_UNAVAILABLE.value
    """The request could not be made durable; it was not accepted."""
    STOPPING = "STOPPING"
    """The service is shutting down and takes no new work."""
    INTERNAL = "INTERNAL"
    """A defect; the log has it under the request's id."""


class ProblemError(Exception):
    """Raised by a route to answer with a problem document."""

    def __init__(
        self,
        status: int,
        code: ProblemCode | ReasonCode | str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **members: JsonValue,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.members = members


TITLES: dict[int, str] = {
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Cannot be read",
    429: "Too many requests",
    500: "Failed",
    503: "Unavailable",
}


def problem_document(status: int, code: str, detail: str, members: JsonObject | None = None) -> JsonObject:
    """The document.  `type` is a name, not an address: it needs no server to be stable."""
    return {
        "type": f"urn:selfheal:problem:{code.lower().replace('_', '-')}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        **(members or {}),
    }


def problem_response(
    status: int, code: str, detail: str, *, members: JsonObject | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The document as an answer."""
    document = problem_document(status, code, detail, members)
    return JSONResponse(document, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    async def on_problem(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, ProblemError):
            raise error
        return problem_response(
            error.status, str(error.code), error.detail, members=error.members, headers=error.headers
        )

    async def on_http(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        code = ProblemCode.METHOD_NOT_ALLOWED if error.status_code == 405 else ProblemCode.NOT_FOUND
        headers = dict(error.headers) if error.headers else None
        return problem_response(error.status_code, code.value, _http_sentence(error), headers=headers)

    async def on_parameters(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return problem_response(422, ProblemCode.UNREADABLE.value, f"{field}: {first['msg']}", members={"field": field})

    async def on_defect(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("request.defect", path=request.url.path, exc_info=error)
        return problem_response(
            500, ProblemCode.INTERNAL.value, "a defect stopped this request; the log has the details"
        )

    async def on_tool(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, ToolError):
            raise error
        _LOG.warning("request.unavailable", path=request.url.path, code=error.code, error=str(error))
        code = ReasonCode.LEDGER_UNAVAILABLE.value if isinstance(error, LedgerError) else error.code
        return problem_response(503, code, str(error), headers={"Retry-After": "10"})

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(ToolError, on_tool)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_parameters)
    app.add_exception_handler(Exception, on_defect)


def _http_sentence(error: HTTPException) -> str:
    if error.status_code == 405:
        return "this address does not take that method; the Allow header lists those it takes"
    return "nothing is at this address; /incidents, /self-heal, /livez, /readyz and /metrics are"
