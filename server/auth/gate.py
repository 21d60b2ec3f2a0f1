"""The gate in front of every route: who may pass is decided before the body of a request is read.

The rule it keeps: everything is closed unless it is on `OPEN_PATHS`.  A route that somebody adds tomorrow is behind the
token without their doing anything; the test of the endpoint matrix compares this list with the routes that exist.
It is plain ASGI, below FastAPI, so that no dependency, body parser or 404 answers a stranger first.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth.tokens import Tokens, presented_token
from server.problem import ProblemCode, problem_response

OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""Probes of the kubelet, which carry no token; they reveal nothing but whether we live and are ready."""
CALLER = "selfheal.caller"
"""Where in the ASGI scope the caller's name is found behind the gate."""


class Gate:
    """Passes a request with an active token; answers 401 to all others without touching their body.

    With `tokens` None (bound to loopback on purpose) it passes what addresses us by a loopback name only: a page in the
    user's browser that rebinds its own name to 127.0.0.1 is refused.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens | None) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websocket is served, so none passes
        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._tokens is None:
            if not names_loopback(headers.get("host", "")):
                refusal = problem_response(
                    403,
                    ProblemCode.WRONG_HOST.value,
                    "this service runs without a token and answers to loopback names only; use http://127.0.0.1",
                )
                await refusal(scope, receive, send)
                return
            scope[CALLER] = "loopback"
            await self._app(scope, receive, send)
            return
        token = presented_token(headers.get("authorization"))
        caller = self._tokens.caller_of(token) if token is not None else None
        if caller is None:
            refusal = problem_response(
                401,
                ProblemCode.UNAUTHENTICATED.value,
                "send `Authorization: Bearer TOKEN` with the token of SELFHEAL_TOKEN or SELFHEAL_TOKEN_FILE",
                headers={"WWW-Authenticate": 'Bearer realm="selfheal"', "Connection": "close"},
            )
            await refusal(scope, receive, send)
            return
        scope[CALLER] = caller
        await self._app(scope, receive, send)


def caller_of(request: Request) -> str:
    """The authenticated caller of a request behind the gate."""
    return str(request.scope.get(CALLER, ""))


def names_loopback(host: str) -> bool:
    """Whether a Host header names this machine to itself: localhost, 127.x.x.x or [::1], with or without a port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
