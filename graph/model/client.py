"""One request to an OpenAI-compatible server, with our own retries, time limit and circuit breaker.

The rule: `ask` never raises for what a server or a model does, and gives a readable `Reply` or a coded refusal.  The
library's own retries are off, redirects are not followed, an answer has a largest size, and the key is read anew for
each request and never logged.  Structured output is asked for through the plain endpoint (not the library's parser),
because the parser loses the token usage of the answers that it rejects.

Imported late (see `build`): the client library takes longer to load than everything else together.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import httpx2
import structlog
from langchain_core.messages import AIMessage, BaseMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from graph.model.budget import Budget, Usage, estimate
from graph.model.config import ModelConfig, Retries
from graph.model.faults import Fault, TooLargeError, as_json, fault_of
from tools.clock import Clock
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig_str

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

MAX_ANSWER_BYTES = 4 * 1024 * 1024
NO_KEY = "none"
"""Sent when no key is configured: servers without authentication want one all the same."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON schema by name."""

    name: str
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Ask:
    """One question.  At most one of `tools` and `schema` is given."""

    messages: tuple[BaseMessage, ...]
    tools: tuple[JsonObject, ...] = ()
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call.  `id` is ours: servers repeat theirs or leave them out.  `error`: why arguments do not read."""

    id: str
    name: str
    arguments: JsonObject
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said.  `finish` is the server's word: stop, tool_calls, length, content_filter."""

    text: str
    calls: tuple[Call, ...]
    finish: str
    refusal: str
    usage: Usage
    response_id: str
    model: str

    def as_message(self) -> AIMessage:
        """The reply as a message of the conversation, well formed whatever came in."""
        calls = [{"id": c.id, "name": c.name, "args": c.arguments, "type": "tool_call"} for c in self.calls]
        return AIMessage(content=self.text, tool_calls=calls)


class ModelClient:
    """One endpoint and one model.  Close it in the end."""

    def __init__(self, config: ModelConfig, clock: Clock, *, jitter: Callable[[], float] = random.random) -> None:
        """Nothing is sent yet.  Raises `OSError` when the key file cannot be read, with the file's name."""
        self._config = config
        self._clock = clock
        self._jitter = jitter
        self._breaker = Breaker(config.retries, clock)
        read_key(config)
        self._http = httpx2.AsyncClient(
            transport=_Capped(httpx2.AsyncHTTPTransport(verify=_tls(), proxy=config.proxy), MAX_ANSWER_BYTES),
            follow_redirects=False,
            timeout=httpx2.Timeout(config.bounds.call_seconds, connect=min(10.0, config.bounds.call_seconds)),
        )
        self._unused = httpx2.Client(verify=_tls())  # the library wants one, and its own would read the environment
        self._chat = ChatOpenAI(
            model=config.model,
            base_url=config.base_url,
            api_key=lambda: read_key(config),
            max_retries=0,
            timeout=config.bounds.call_seconds,
            temperature=config.temperature,
            max_completion_tokens=config.bounds.answer_tokens,
            http_async_client=self._http,
            http_client=self._unused,
            use_responses_api=False,
            stream_usage=False,
        )

    @property
    def name(self) -> str:
        """The model's name, as configured."""
        return self._config.model

    @property
    def is_broken(self) -> bool:
        """True while the circuit is open."""
        return self._breaker.check() is not None

    async def close(self) -> None:
        """Close all connections.  Safe to repeat."""
        await self._http.aclose()
        self._unused.close()

    async def ask(self, ask: Ask, budget: Budget) -> Reply | Refused:
        """The model's reply, or why there is none.  After: turns and tokens are counted in `budget`."""
        refused = self._breaker.check() or budget.take_turn()
        if refused is not None:
            return refused
        runnable = self._bound(ask)
        rules = self._config.retries
        fault: Fault | None = None
        for attempt in range(rules.attempts):
            if fault is not None and not await self._wait(fault, attempt, budget):
                break
            answer = await self._send(runnable, ask.messages, budget)
            if isinstance(answer, AIMessage):
                self._breaker.note(works=True)
                reply = read_reply(answer, ask)
                budget.spend(reply.usage)
                return reply
            fault = answer
            _log.warning(
                "model_request_failed", code=fault.refused.code.value, reason=fault.refused.reason, attempt=attempt + 1
            )
            if not fault.is_transient:
                break
        if fault is None:
            return Refused(code=ReasonCode.LLM_UNAVAILABLE, reason="The model may not be asked at all.", check="model")
        self._breaker.note(works=fault.refused.code is not ReasonCode.LLM_UNAVAILABLE)
        return fault.refused

    def _bound(self, ask: Ask) -> Runnable[Sequence[BaseMessage], AIMessage]:
        extra: JsonObject = {}
        if ask.schema is not None:
            schema: JsonObject = {"name": ask.schema.name, "schema": ask.schema.body, "strict": True}
            extra = {"response_format": {"type": "json_schema", "json_schema": schema}}
        bound = self._chat.bind(extra_body=extra) if extra else self._chat
        return bound.bind(tools=list(ask.tools)) if ask.tools else bound

    async def _send(
        self, runnable: Runnable[Sequence[BaseMessage], AIMessage], messages: Sequence[BaseMessage], budget: Budget
    ) -> AIMessage | Fault:
        seconds = min(self._config.bounds.call_seconds, budget.seconds_left)
        try:
            async with asyncio.timeout(seconds):
                return await runnable.ainvoke(list(messages))
        except Exception as error:  # noqa: BLE001 - every failure of the library becomes a coded value; none may stop an incident
            return fault_of(error, now=self._clock.now(), seconds=seconds)

    async def _wait(self, fault: Fault, attempt: int, budget: Budget) -> bool:
        """Wait before another try; False when that would take longer than there is time."""
        rules = self._config.retries
        backoff = rules.first_seconds * 2 ** (attempt - 1) * (0.5 + self._jitter() / 2)
        seconds = (
            backoff if fault.wait_seconds is None else fault.wait_seconds + self._jitter() * rules.first_seconds / 10
        )
        if seconds > min(rules.longest_seconds, budget.seconds_left):
            return False
        await self._clock.sleep(timedelta(seconds=seconds))
        return True


@cache
def _tls() -> ssl.SSLContext:
    """The machine's trusted authorities, read once: that takes longer than a request on loopback."""
    return httpx2.create_ssl_context()


class Breaker:
    """Opens after so many failures in a row, and lets one request through when its time is over."""

    def __init__(self, rules: Retries, clock: Clock) -> None:
        """Closed."""
        self._rules = rules
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0

    def check(self) -> Refused | None:
        """None while requests may be sent."""
        if self._failures < self._rules.break_after:
            return None
        left = self._rules.break_seconds - (self._clock.monotonic() - self._opened_at)
        if left <= 0:
            return None
        reason = f"The model failed {self._failures} times in a row; it is not asked for another {left:.0f} s."
        return Refused(code=ReasonCode.LLM_UNAVAILABLE, reason=reason, check="model", retry_after_seconds=left)

    def note(self, *, works: bool) -> None:
        """Count one outcome."""
        self._failures = 0 if works else self._failures + 1
        self._opened_at = self._clock.monotonic()


def read_key(config: ModelConfig) -> str:
    """The key as it is now: from the file, else from the configuration, else a word that stands for none."""
    if config.api_key_file is not None:
        return config.api_key_file.read_text(encoding="utf-8").strip() or NO_KEY
    key: SecretStr | None = config.api_key
    return key.get_secret_value() if key is not None else NO_KEY


def read_reply(message: AIMessage, ask: Ask) -> Reply:
    """The reply in a library message.  Tokens that the server did not report are estimated."""
    meta = as_json(message.response_metadata)
    extra = as_json(message.additional_kwargs)
    text = message.text
    calls = [
        Call(id=f"call_{i}", name=c["name"], arguments=given)
        for i, c in enumerate(message.tool_calls)
        if isinstance(given := as_json(c["args"]), dict)
    ]
    calls += [
        Call(
            id=f"call_{len(calls) + i}", name=c["name"] or "", arguments={}, error="the arguments are not a JSON object"
        )
        for i, c in enumerate(message.invalid_tool_calls)
    ]
    return Reply(
        text=text,
        calls=tuple(calls),
        finish=dig_str(meta, "finish_reason"),
        refusal=dig_str(extra, "refusal"),
        usage=_usage(message, ask),
        response_id=dig_str(meta, "id"),
        model=dig_str(meta, "model_name"),
    )


def _usage(message: AIMessage, ask: Ask) -> Usage:
    reported = message.usage_metadata
    if reported is not None and reported["total_tokens"] > 0:
        return Usage(reported["input_tokens"], reported["output_tokens"])
    return Usage(sum(estimate(m.text) for m in ask.messages), estimate(message.text))


class _Capped(httpx2.AsyncBaseTransport):
    """Lets no answer through that is longer than `limit` bytes as sent."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send, and count what comes back."""
        # Compressed answers would be measured before they are unpacked.
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        stream = response.stream
        if isinstance(stream, httpx2.AsyncByteStream):
            response.stream = _CappedStream(stream, self._limit)
        return response

    async def aclose(self) -> None:
        """Close what is below."""
        await self._inner.aclose()


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int) -> None:
        self._inner = inner
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise TooLargeError
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
