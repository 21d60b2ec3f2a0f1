"""A Kubernetes API server over a real socket that misbehaves on demand.

Three layers: `HostileServer` speaks raw HTTP/1.1 and gives each request to one coroutine; `Reply` can answer well or
badly down to a TCP reset; `PodWorld` is a well-behaved list and watch of pods with an event log, over which a test lays
one fault for as long as it likes.  `JumpClock` makes waiting free: it jumps, so back-off is counted in its seconds.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]


class JumpClock:
    """A clock on which sleeping takes no time; `pauses` holds every sleep, in seconds.

    It stands still, for ever, once it has passed `stop_at`: what was counted until then is final.
    """

    def __init__(self) -> None:
        self.stop_at = float("inf")
        self.elapsed = 0.0
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed

    async def sleep(self, delay: timedelta) -> None:
        self.pauses.append(delay.total_seconds())
        self.elapsed += delay.total_seconds()
        if self.has_stopped:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    @property
    def has_stopped(self) -> bool:
        return self.elapsed > self.stop_at


async def eventually(holds: Callable[[], object], what: str = "condition", seconds: float = 30) -> None:
    """Wait until `holds()`; fail, naming `what`, when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"never came true: {what}")
        await asyncio.sleep(0.002)


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"

    def json(self) -> Any:
        return json.loads(self.body)


class Reply:
    """The server's side of one exchange."""

    def __init__(self, writer: asyncio.StreamWriter, closing: asyncio.Event) -> None:
        self._writer = writer
        self._closing = closing

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send(
        self, status: int, body: bytes, *, headers: dict[str, str] | None = None, mime: str = "application/json"
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {mime}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode() + body)

    async def json(self, status: int, value: object, **headers: str) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        await self.send(status, json.dumps(value).encode(), headers=named)

    async def fail(
        self, status: int, message: str = "no", reason: str = "", details: Json | None = None, **h: str
    ) -> None:
        await self.json(status, failure(status, message, reason, details), **h)

    async def begin_stream(self) -> None:
        await self.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, kind: str, item: Json) -> None:
        await self.chunk(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    async def end_stream(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def cut(self) -> None:
        """Close the connection as it is, with FIN."""
        self._writer.close()

    async def reset(self) -> None:
        """Break the connection with RST."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def silence(self) -> None:
        """Keep the connection open and say nothing until the test ends."""
        await self._closing.wait()


def failure(status: int, message: str = "no", reason: str = "", details: Json | None = None) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
        "details": details or {},
    }


Answer = Callable[[Request, Reply], Awaitable[None]]


class HostileServer:
    """Serves on loopback; every request is recorded before it is answered."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []
        self.defects: list[BaseException] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if error is None and self.defects:
            raise self.defects[0]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                await self._answer(request, Reply(writer, self._closing))
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - a defect of the test itself: raised when the server closes
            self.defects.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode().rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


def pod(name: str, version: int, *, namespace: str = "shop", uid: str = "", **extra: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
        "status": {"phase": "Running"},
    } | extra


@dataclass
class PodWorld:
    """Pods with a version counter and an event log; answers list and watch as a server should.

    `fault` answers watches in its place while `is_faulty()`.  With `history_lost`, versions from before the change are
    too old for ever after, and `fault` is how the server says so.
    """

    pods: dict[str, Json] = field(default_factory=dict)
    version: int = 10
    log: list[tuple[int, str, Json]] = field(default_factory=list)
    fault: Answer | None = None
    is_faulty: Callable[[], bool] = lambda: False
    oldest: int = 0
    list_answer: Answer | None = None
    on_watch: Callable[[], None] = lambda: None
    watch_ends: bool = False

    def put(self, name: str, **extra: Any) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.pods else "ADDED"
        self.pods[name] = pod(name, self.version, **extra)
        self.log.append((self.version, kind, self.pods[name]))

    def remove(self, name: str) -> None:
        self.version += 1
        last = self.pods.pop(name)
        last = last | {"metadata": last["metadata"] | {"resourceVersion": str(self.version)}}
        self.log.append((self.version, "DELETED", last))

    def forget_history(self) -> None:
        self.oldest = self.version

    async def answer(self, request: Request, reply: Reply) -> None:
        if not request.is_watch:
            if self.list_answer is not None:
                await self.list_answer(request, reply)
            else:
                await self.page(reply)
            return
        self.on_watch()
        since = int(request.query["resourceVersion"])
        if self.fault is not None and (self.is_faulty() or since < self.oldest):
            await self.fault(request, reply)
            return
        await reply.begin_stream()
        while not self.watch_ends:
            for version, kind, item in self.log:
                if version > since:
                    await reply.event(kind, item)
                    since = version
            await asyncio.sleep(0.005)
        await reply.end_stream()

    async def page(self, reply: Reply, items: list[Json] | None = None, token: str = "", version: str = "") -> None:
        metadata = {"resourceVersion": version or str(self.version)} | ({"continue": token} if token else {})
        found = list(self.pods.values()) if items is None else items
        await reply.json(200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": found})
