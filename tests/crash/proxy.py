"""A reverse proxy in front of an API server that stops time at one write.

The healer's kubeconfig leads here over plain HTTP; the proxy speaks to the server with the healer's certificate.
At the first real (not dry-run) write it calls `hook`, before the request is forwarded or after the answer came back,
and only then goes on: the place where a test kills the healer, with nothing patched inside it.  The hook says whether
it did; a request whose sender is dead before it was forwarded is dropped, as it would have been had it never been sent.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import yaml
from aiohttp import web

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
QUIET = ("/selfsubjectaccessreviews", "/events")


class Moment(Enum):
    """Where the hook is called."""

    BEFORE_CALL = "before_call"
    """The intent is durable, the API server has not seen the request."""
    AFTER_CALL = "after_call"
    """The API server has carried it out, the healer has not seen the answer."""


class StoppingProxy:
    """`async with StoppingProxy(kubeconfig, hook) as proxy:` then give `proxy.kubeconfig` to the healer."""

    def __init__(self, kubeconfig: Path, hook: Callable[[Moment], Awaitable[bool]] | None = None) -> None:
        self._hook = hook
        self._fired: set[Moment] = set()
        self.writes: list[str] = []
        """Real writes that were forwarded, as `VERB path`."""
        self._folder = tempfile.TemporaryDirectory(prefix="selfheal-proxy-")
        config = yaml.safe_load(kubeconfig.read_text())
        self._server: str = config["clusters"][0]["cluster"]["server"]
        self._tls = self._context(config)
        self.kubeconfig = Path(self._folder.name) / "kubeconfig"

    def _context(self, config: dict[str, list[dict[str, dict[str, str]]]]) -> ssl.SSLContext | None:
        if not self._server.startswith("https"):
            return None
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=ca)
        for name in ("client-certificate", "client-key"):
            (Path(self._folder.name) / name).write_bytes(base64.b64decode(user[f"{name}-data"]))
        folder = Path(self._folder.name)
        context.load_cert_chain(folder / "client-certificate", folder / "client-key")
        return context

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls) if self._tls else aiohttp.TCPConnector()
        timeout = aiohttp.ClientTimeout(total=None, sock_read=700)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_route("*", "/{tail:.*}", self._forward)
        # The client dies while its request is in here: the handler must live on to see what the hook decided.
        self._runner = web.AppRunner(app, handler_cancellation=False, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()
        self._folder.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        is_write = (
            request.method in WRITES
            and "dryRun" not in request.query
            and not request.path.endswith(QUIET)
            and "/namespaces/" in request.path
        )
        body = await request.read()
        if is_write:
            if await self._fire(Moment.BEFORE_CALL):
                return web.Response(status=503, text="the caller died before its call was sent")
            self.writes.append(f"{request.method} {request.path}")
        headers = {k: v for k, v in request.headers.items() if k.lower() not in {"host", "content-length"}}
        async with self._session.request(
            request.method, self._server + request.path_qs, headers=headers, data=body or None, allow_redirects=False
        ) as upstream:
            if is_write:
                payload = await upstream.read()
                await self._fire(Moment.AFTER_CALL)
                kept = {k: v for k, v in upstream.headers.items() if k.lower() in {"content-type", "audit-id"}}
                return web.Response(status=upstream.status, body=payload, headers=kept)
            answer = web.StreamResponse(status=upstream.status)
            answer.content_type = upstream.content_type
            await answer.prepare(request)
            async for chunk in upstream.content.iter_any():
                await answer.write(chunk)
            await answer.write_eof()
            return answer

    async def _fire(self, moment: Moment) -> bool:
        """Call the hook once for each moment; True when it ended the caller."""
        if self._hook is None or moment in self._fired:
            return False
        self._fired.add(moment)
        return await self._hook(moment)
