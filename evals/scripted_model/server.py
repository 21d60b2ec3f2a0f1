"""Plays a script as an OpenAI-compatible server on a loopback port, and keeps every request it gets.

The rule: it answers as real servers do, also when they misbehave (see `script`), and refuses what they refuse (see
`protocol`); nothing that reached it is forgotten, so a test can show what was *not* sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from evals.scripted_model.completion import completion, error_body
from evals.scripted_model.protocol import fault_of
from evals.scripted_model.script import Reply, Script, When
from evals.scripted_model.wire import (
    MAX_HEAD,
    BadRequestError,
    HttpAnswer,
    HttpRequest,
    json_answer,
    read_request,
    reset,
    send,
)
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_str

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came.  `raw` is the body's bytes as text; `reply` the number of the reply it got, if one."""

    method: str
    path: str
    authorization: str
    raw: str
    body: JsonObject
    reply: int | None

    @property
    def messages(self) -> list[JsonObject]:
        """The messages of a chat request."""
        return [m for m in dig_list(self.body, "messages") if isinstance(m, dict)]

    @property
    def spoken(self) -> str:
        """The contents of all messages, decoded."""
        return "\n".join(dig_str(m, "content") for m in self.messages)

    @property
    def tools(self) -> list[str]:
        """Names of the tools that were offered."""
        return [dig_str(t, "function", "name") for t in dig_list(self.body, "tools")]

    @property
    def schema_name(self) -> str:
        """Name of the JSON schema that was asked for; "" without one."""
        return dig_str(self.body, "response_format", "json_schema", "name")


class ScriptedModel:
    """The server.  Use it with `async with`; `url` is what a client takes as its base URL."""

    def __init__(self, script: Script, *, port: int = 0) -> None:
        """Port 0 takes a free one.  Nothing listens before `start`."""
        self._script = script
        self._left: list[int | Literal["always"]] = [reply.times for reply in script.replies]
        self._wanted_port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.requests: list[Recorded] = []
        self.connections = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on loopback only."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted_port, limit=MAX_HEAD)

    async def stop(self) -> None:
        """Stop listening and drop all connections.  Safe to repeat."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await server.wait_closed()
        for _ in range(3):  # let the handlers see that their connections are gone
            await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """Where it listens.  Before: it is started."""
        if self._server is None:
            raise RuntimeError("the scripted model is not started: use `async with`, or call start()")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> list[Recorded]:
        """The chat requests alone, oldest first."""
        return [r for r in self.requests if r.path == CHAT]

    @property
    def unused(self) -> list[int]:
        """Numbers of the replies that were never given; those given `always` count as used."""
        return [
            i
            for i, (left, r) in enumerate(zip(self._left, self._script.replies, strict=True))
            if left == r.times and r.times != "always"
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._connections.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await read_request(reader)
            except BadRequestError as error:
                await send(writer, json_answer(400, error_body(str(error), status=400)))
                return
            if request is None:
                return
            answer = self._answer(request)
            if isinstance(answer, HttpAnswer):
                await send(writer, answer)
                continue
            if not await _play(answer, reader, writer, self._worded(answer, request)):
                return

    def _answer(self, request: HttpRequest) -> HttpAnswer | Reply:
        body = _decode(request.body)
        chosen = self._choose(request, body)
        self.requests.append(
            Recorded(
                method=request.method,
                path=request.path,
                authorization=request.headers.get("authorization", ""),
                raw=request.body.decode("utf-8", errors="replace"),
                body=body,
                reply=chosen if isinstance(chosen, int) else None,
            )
        )
        return self._script.replies[chosen] if isinstance(chosen, int) else chosen

    def _choose(self, request: HttpRequest, body: JsonObject) -> HttpAnswer | int:
        known = self._script.capabilities
        if known.key is not None and request.headers.get("authorization") != f"Bearer {known.key}":
            return json_answer(401, error_body("Incorrect API key provided.", status=401, code="invalid_api_key"))
        if (request.method, request.path) == ("GET", MODELS):
            models: JsonObject = {"object": "list", "data": [{"id": self._script.model, "object": "model"}]}
            return json_answer(200, models)
        if (request.method, request.path) != ("POST", CHAT):
            return json_answer(404, error_body(f"{request.method} {request.path} is not served", status=404))
        if fault := self._unable(body) or fault_of(body):
            return json_answer(400, error_body(fault, status=400))
        number = next(
            (i for i in range(len(self._left)) if self._is_left(i) and _fits(self._script.replies[i].when, body)), None
        )
        if number is None:
            return json_answer(500, error_body("the script has no reply left for this request", status=500))
        left = self._left[number]
        self._left[number] = left if left == "always" else left - 1
        return number

    def _is_left(self, number: int) -> bool:
        left = self._left[number]
        return left == "always" or left > 0

    def _unable(self, body: JsonObject) -> str | None:
        known = self._script.capabilities
        if "tools" in body and not known.tools:
            return "tools are not supported by this model"
        if dig_str(body, "response_format", "type") == "json_schema" and not known.json_schema:
            return "response_format of type json_schema is not supported by this model"
        return None

    def _worded(self, reply: Reply, request: HttpRequest) -> HttpAnswer:
        if reply.status is not None:
            headers = {"retry-after": reply.retry_after} if reply.retry_after is not None else {}
            return json_answer(reply.status, error_body(reply.message, status=reply.status, code=reply.code), headers)
        if reply.raw is not None:
            body = reply.raw.encode()
        elif reply.reset or reply.hang:
            body = b""
        else:
            said = completion(
                reply, number=len(self.requests), model=self._script.model, prompt_characters=len(request.body)
            )
            body = json.dumps(said).encode()
        return HttpAnswer(200, body, {"content-type": "application/json"}, reply.seconds_per_byte)


async def _play(reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: HttpAnswer) -> bool:
    """Give the reply; False when the connection is over."""
    if reply.delay_seconds:
        await asyncio.sleep(reply.delay_seconds)
    if reply.reset:
        reset(writer)
        return False
    if reply.hang:
        await reader.read()  # returns when the client leaves
        return False
    await send(writer, answer)
    return True


def _decode(body: bytes) -> JsonObject:
    try:
        value: JsonValue = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _fits(when: When, body: JsonObject) -> bool:
    tools = [dig_str(t, "function", "name") for t in dig_list(body, "tools")]
    schema = dig_str(body, "response_format", "json_schema", "name")
    spoken = "\n".join(dig_str(m, "content") for m in dig_list(body, "messages"))
    return (
        (when.contains is None or when.contains in spoken)
        and (when.tool is None or when.tool in tools)
        and (when.schema_name is None or when.schema_name == schema)
        and (when.plain is None or when.plain == (not tools and not schema))
    )
