"""One HTTP exchange with the API server: gate, send, read, translate.

The `Gate` sits inside the HTTP client, where the URL is what goes on the wire: every request, whoever makes it, is
read there against the allow-list, counted, kept on the configured server, never redirected, and never silently sent
twice.  `Transport` adds timeouts, size limits and the translation of failures; it knows no Kubernetes object.

Neighbours: `connect` makes the ApiClient this stands on; `client` speaks Kubernetes through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
from urllib.parse import urlencode

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientTimeout
from yarl import URL

from tools.cluster.allowlist import AllowList
from tools.cluster.faults import from_status, from_transport
from tools.errors import NotAllowed, ToolError, Undecodable, Unreachable
from tools.jsontypes import JsonValue

CALL_TIMEOUT: Final = timedelta(seconds=30)
CONNECT_TIMEOUT: Final = timedelta(seconds=10)
LIST_CAP: Final = 64 * 2**20
OBJECT_CAP: Final = 8 * 2**20
_ERROR_CAP: Final = 64 * 2**10
_HTTP_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError)

Query = Sequence[tuple[str, str]]


class RawResponse(Protocol):
    """What the generated client hands back: a shell round aiohttp's response."""

    @property
    def response(self) -> ClientResponse:
        """The response, headers read, body not."""
        ...


class RawClient(Protocol):
    """The part of `kubernetes.aio.client.ApiClient` that is used: its credentials, TLS and HTTP."""

    async def param_serialize(
        self,
        method: str,
        resource_path: str,
        *,
        header_params: dict[str, str],
        body: JsonValue,
        auth_settings: list[str],
    ) -> tuple[str, str, dict[str, str], JsonValue, object]:
        """Complete URL, headers and body; refreshes the credentials when they are due."""
        ...

    async def call_api(
        self, method: str, url: str, headers: dict[str, str], body: JsonValue, *, _request_timeout: ClientTimeout
    ) -> RawResponse:
        """Send; never raises on a status."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete 2xx answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Gate:
    """The last thing a request passes: default deny on the URL as it goes out.

    `requests` counts, by verb, what was really sent.
    """

    def __init__(self, host: str, allowlist: AllowList) -> None:
        """`host` is the server's address, a path prefix included where a proxy needs one."""
        base = URL(host)
        self._origin = base.origin()
        self._prefix = base.raw_path.rstrip("/")
        self._allowlist = allowlist
        self.requests: Counter[str] = Counter()

    def check(self, method: str, path: str, query: str) -> None:
        """Raise NotAllowed unless this request, given without the server's prefix, may be made."""
        self._allowlist.check_request(method, path, query)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Let one request through, or raise.

        aiohttp repeats PUT and DELETE by itself on a connection the server had closed; a write must not be repeated
        by anybody but its caller, so that failure leaves here in a form aiohttp does not repeat.
        """
        url = request.url
        if url.origin() != self._origin or not url.raw_path.startswith(self._prefix + "/"):
            raise NotAllowed(f"the transport refused {url.host}: it is not the configured API server")
        path = url.raw_path[len(self._prefix) :]
        verb = self._allowlist.check_request(request.method, path, url.raw_query_string)
        self.requests[verb] += 1
        try:
            response = await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if request.method == "GET" or isinstance(error, aiohttp.ClientConnectorError):
                raise
            raise Unreachable(
                f"{request.method} {path}: the connection broke ({error}); read the object back before repeating"
            ) from error
        if 300 <= response.status < 400:
            location = response.headers.get("Location", "")[:200]
            response.close()
            raise Undecodable(f"{path}: redirected to {location!r}, which we never follow; check the server's address")
        return response


class Transport:
    """HTTP to one API server: complete answers or streams of lines, every failure as a ToolError."""

    def __init__(self, api: RawClient, gate: Gate, timeout: timedelta = CALL_TIMEOUT) -> None:
        """Own `api`: closing this closes it.  `timeout` bounds a whole exchange, never a stream."""
        self._api = api
        self._gate = gate
        self._timeout = ClientTimeout(
            total=timeout.total_seconds(), sock_connect=min(timeout, CONNECT_TIMEOUT).total_seconds()
        )

    async def close(self) -> None:
        """Close all connections; streams still open end with Unreachable."""
        await self._api.close()

    async def exchange(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        body: JsonValue = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        cap: int = OBJECT_CAP,
    ) -> Answer:
        """Send one request and read the whole answer.

        Raises the ToolError that `faults` derives from the status or the failure; Undecodable over `cap` bytes.
        """
        what = f"{method} {path}"
        async with self._open(what, method, path, query, body, content_type, accept, self._timeout) as response:
            return Answer(response.status, response.headers, await _read(response, cap, what))

    async def lines(
        self, path: str, query: Query, *, silence: timedelta, line_cap: int = OBJECT_CAP
    ) -> AsyncGenerator[bytes, None]:
        """GET a stream and give its lines, without their ends.

        Ends when the server ends the stream after a whole line.  Raises Unreachable when it is cut off or falls
        silent for longer than `silence`, Undecodable for a line over `line_cap`.
        """
        what = f"WATCH {path}"
        rest = bytearray()
        timeout = ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT.total_seconds(), sock_read=silence.total_seconds()
        )
        async with self._open(what, "GET", path, query, None, "application/json", "application/json", timeout) as r:
            async for chunk in r.content.iter_any():
                if b"\n" not in chunk:
                    rest += chunk
                else:
                    head, *whole, tail = chunk.split(b"\n")
                    yield bytes(rest + head)
                    for line in whole:
                        yield line
                    rest = bytearray(tail)
                if len(rest) > line_cap:
                    raise Undecodable(f"{what}: a line of more than {line_cap} bytes")
            if rest.strip():
                raise Unreachable(f"{what}: the stream ended in the middle of a line")

    @asynccontextmanager
    async def _open(  # noqa: PLR0917 - private, called twice
        self,
        what: str,
        method: str,
        path: str,
        query: Query,
        body: JsonValue,
        content_type: str,
        accept: str,
        timeout: ClientTimeout,
    ) -> AsyncGenerator[ClientResponse, None]:
        asked = urlencode(query)
        self._gate.check(method, path, asked)
        headers = {"Accept": accept, "Content-Type": content_type}
        response: ClientResponse | None = None
        try:
            parts = await self._api.param_serialize(
                method,
                f"{path}?{asked}" if asked else path,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = (await self._api.call_api(*parts[:4], _request_timeout=timeout)).response
            if not 200 <= response.status < 300:
                said = await _read(response, _ERROR_CAP, what, truncate=True)
                raise from_status(response.status, response.headers, said, what, content_type=content_type)
            yield response
        except ToolError:
            raise
        except _HTTP_FAILURES as error:
            raise from_transport(error, what) from error
        finally:
            if response is not None:
                response.release() if response.content.at_eof() else response.close()


async def _read(response: ClientResponse, cap: int, what: str, *, truncate: bool = False) -> bytes:
    """The body, at most `cap` bytes; beyond that Undecodable, or the beginning when `truncate` is set."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > cap:
            if truncate:
                break
            raise Undecodable(f"{what}: an answer of more than {cap} bytes; check what answers at that address")
    return b"".join(parts)[:cap]
