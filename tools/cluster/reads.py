"""Keeps what the API server answered to reads, for whoever wants to look at it once more later.

Inside `noting()` every read of any `Cluster` in this task, and in the tasks that it starts, is kept: the request and
what came of it, refusals too.  The newest answer to a request replaces the earlier one, so that after several looks
what is left is the last.  Outside it costs nothing.

The rule: answers are kept as they came, secrets and all; nothing here stores them.  Neighbours: `client` calls `kept`,
`graph.recording` redacts and stores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from tools.errors import ToolError
from tools.jsontypes import JsonObject

T = TypeVar("T", bound="Answer")

Answer: TypeAlias = JsonObject | list[JsonObject] | str | bool


@dataclass(frozen=True, slots=True)
class Request:
    """One read: `path` as the API has it, `query` what narrows it down (selectors, or the container of a log)."""

    verb: Literal["get", "list", "logs", "may"]
    path: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """There was no answer but an error: its code and what it said."""

    code: str
    said: str


@dataclass(slots=True)
class Reads:
    """What was read so far, by request, in the order in which each was asked first."""

    answers: dict[Request, Answer | Failed] = field(default_factory=dict[Request, "Answer | Failed"])


_CURRENT: ContextVar[Reads | None] = ContextVar("reads", default=None)


@contextmanager
def noting() -> Generator[Reads]:
    """Keep the reads of this task until the block ends.  An inner block keeps its own, and the outer one does not."""
    reads = Reads()
    token = _CURRENT.set(reads)
    try:
        yield reads
    finally:
        _CURRENT.reset(token)


async def kept(request: Request, reading: Awaitable[T]) -> T:
    """Wait for a read; what comes of it is kept where somebody is noting.  Raises what `reading` raises."""
    reads = _CURRENT.get()
    if reads is None:
        return await reading
    try:
        answer = await reading
    except ToolError as error:
        reads.answers[request] = Failed(error.code, str(error))
        raise
    reads.answers[request] = answer
    return answer
