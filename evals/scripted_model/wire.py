"""As much of HTTP/1.1 as the scripted model needs, on asyncio streams, so that connections can be abused on purpose.

Requests need a Content-Length; answers are whole, dripped byte by byte, or a reset.  Neighbour: `server`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from tools.jsontypes import JsonObject

MAX_HEAD = 64 * 1024
MAX_BODY = 32 * 1024 * 1024


class BadRequestError(Exception):
    """The client does not speak the protocol; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.  Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One whole answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds_per_byte: float = 0


def json_answer(status: int, body: JsonObject, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """An answer whose body is JSON."""
    return HttpAnswer(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request on this connection; None when the client has left.  Raises BadRequestError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError as error:
        raise BadRequestError(f"the head is longer than {MAX_HEAD} bytes") from error
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    parts = first.split(" ")
    if len(parts) != 3:
        raise BadRequestError(f"{first!r} is no request line")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        raise BadRequestError("send a Content-Length, chunks are not read here")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        raise BadRequestError(f"a Content-Length of {length!r} is not taken")
    return HttpRequest(parts[0], parts[1].partition("?")[0], headers, await reader.readexactly(int(length)))


async def send(writer: asyncio.StreamWriter, answer: HttpAnswer) -> None:
    """Write an answer; slowly, if it says so."""
    phrase = HTTPStatus(answer.status).phrase
    lines = [f"HTTP/1.1 {answer.status} {phrase}", f"content-length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if not answer.seconds_per_byte:
        writer.write(answer.body)
        await writer.drain()
        return
    for byte in answer.body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(answer.seconds_per_byte)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP reset instead of a goodbye."""
    raw: object = writer.get_extra_info("socket")
    if isinstance(raw, socket.SocketType) or hasattr(raw, "setsockopt"):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
