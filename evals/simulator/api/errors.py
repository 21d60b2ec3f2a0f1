"""Refusals of the API server as exceptions that know their `Status` object.

Texts and reasons follow what a 1.34 API server answers, because clients match on them.
"""

from __future__ import annotations

from tools.jsontypes import JsonObject, JsonValue

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """One refusal: HTTP code, stable reason, message, and what `Status.details` holds."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: JsonObject | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = _REASONS.get(code, "") if reason is None else reason
        self.details: JsonObject = details or {}
        self.retry_after = retry_after

    def status(self) -> JsonObject:
        """The `Status` object that goes over the wire."""
        body: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details or self.retry_after:
            body["details"] = dict(self.details) | ({"retryAfterSeconds": self.retry_after} if self.retry_after else {})
        return body


def _details(resource: str, name: str) -> JsonObject:
    plural, _, group = resource.partition(".")
    details: JsonObject = {"name": name, "kind": plural}
    if group:
        details["group"] = group
    return details


def not_found(resource: str, name: str) -> ApiError:
    """404: `resource` is `plural.group`."""
    return ApiError(404, f'{resource} "{name}" not found', details=_details(resource, name))


def no_such_path() -> ApiError:
    """404 of a path that names no resource."""
    return ApiError(404, "the server could not find the requested resource", details={})


def already_exists(resource: str, name: str) -> ApiError:
    """409 of a create."""
    return ApiError(
        409, f'{resource} "{name}" already exists', reason="AlreadyExists", details=_details(resource, name)
    )


def conflict(resource: str, name: str, why: str = "") -> ApiError:
    """409 of a write whose precondition does not hold."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    return ApiError(
        409, f'Operation cannot be fulfilled on {resource} "{name}": {why}', details=_details(resource, name)
    )


def forbidden(resource: str, name: str, why: str) -> ApiError:
    """403 by admission."""
    return ApiError(403, f'{resource} "{name}" is forbidden: {why}', details=_details(resource, name))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, message)


def expired(message: str = "The resourceVersion for the provided watch is too old.") -> ApiError:
    """410."""
    return ApiError(410, message)


def invalid(kind: str, group: str, name: str, causes: list[tuple[str, str, str]]) -> ApiError:
    """422: causes are (reason, field, message)."""
    listed: list[JsonValue] = [{"reason": r, "message": m, "field": f} for r, f, m in causes]
    said = [f"{f}: {m}" for _, f, m in causes]
    shown = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    label = f"{kind}.{group}" if group else kind
    details: JsonObject = {"name": name, "kind": kind, "causes": listed}
    if group:
        details["group"] = group
    return ApiError(422, f'{label} "{name}" is invalid: {shown}', details=details)
