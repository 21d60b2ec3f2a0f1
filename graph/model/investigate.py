"""Phase one: the model reads more, with bounded read-only tools, until the cause is clear or enough is used.

The rule: only tools of `tools.inspect` are within reach, each answer is framed as data, the same read is made once, and
what planning needs is left over.  An end for want of budget, or a model that declines here, is no failure: planning
goes on with what was found.  Neighbours: `planning` is phase two; `budget.may_investigate` says how far this may go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool

from graph.model.client import Ask, Call, Reply
from graph.model.schema import strict, tool
from graph.model.session import Session
from prompts.loader import Prompt, render
from tools.guard.verdict import ReasonCode, Refused
from tools.inspect.arguments import Arguments
from tools.inspect.results import cannot_read, try_other
from tools.jsontypes import JsonObject, JsonValue, digest
from tools.redact import excerpt

READ_SECONDS = 10.0
WHOLE_RESULTS = 6
"""So many of the latest results stay whole in the conversation; older ones are cut to `OLD_CHARACTERS`."""
OLD_CHARACTERS = 400
NOTES = "notes"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One read and its answer, or the model's own notes at the end."""

    tool: str
    arguments: JsonObject
    text: str

    def as_json(self) -> JsonValue:
        """As the planning step sees it."""
        return {"tool": self.tool, "arguments": self.arguments, "text": self.text}


@dataclass(frozen=True, slots=True)
class _Turn:
    """One reply with the answers its calls got, in order."""

    reply: Reply
    answers: tuple[str, ...]


async def investigate(
    view: JsonObject, target: str, tools: Sequence[StructuredTool], session: Session
) -> list[Finding] | Refused:
    """What was found, oldest first; a refusal only when the model cannot be reached at all."""
    desk = _Desk(tools, session)
    opening = _opening(view, target, session)
    turns: list[_Turn] = []
    while session.budget.may_investigate:
        reply = await session.ask("investigate", Ask(_conversation(opening, turns, session), tools=desk.specs))
        if isinstance(reply, Refused):
            if reply.code is ReasonCode.LLM_UNAVAILABLE:
                return reply
            break
        if reply.refusal or not reply.calls:
            if reply.text.strip() and reply.finish != "content_filter":
                desk.findings.append(Finding(NOTES, {}, excerpt(reply.text.strip(), 2000)))
            break
        before = desk.new_reads
        turns.append(_Turn(reply, tuple([await desk.answer(call) for call in reply.calls])))
        if desk.new_reads == before and len(turns) > 1:
            break  # a turn that learnt nothing new: the model goes round in circles
    return desk.findings


class _Desk:
    """Answers calls: each distinct read once, within the bounds."""

    def __init__(self, tools: Sequence[StructuredTool], session: Session) -> None:
        self._tools = {t.name: t for t in tools}
        self._session = session
        self._known: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.new_reads = 0
        self.specs = tuple(tool(t.name, t.description, _parameters(t)) for t in tools)

    async def answer(self, call: Call) -> str:
        """The text that goes back for one call."""
        wanted = self._tools.get(call.name)
        if wanted is None:
            return try_other(
                f"there is no tool {excerpt(call.name or '(none)', 80)}; there are {', '.join(self._tools)}"
            ).text
        if call.error:
            return try_other(call.error).text
        key = digest([call.name, call.arguments])
        if key in self._known:
            return f"You have read this before; the answer was:\n{self._known[key]}"
        if not self._session.budget.take_read():
            return cannot_read("all reads are used up; answer with what you know").text
        self.new_reads += 1
        text = await self._read(wanted, call)
        self._known[key] = text
        self.findings.append(Finding(call.name, call.arguments, text))
        return text

    async def _read(self, wanted: StructuredTool, call: Call) -> str:
        seconds = min(READ_SECONDS, self._session.budget.seconds_left)
        try:
            async with asyncio.timeout(seconds):
                message: object = await wanted.ainvoke(
                    {"name": call.name, "args": call.arguments, "id": call.id, "type": "tool_call"}
                )
        except TimeoutError:
            return cannot_read(f"no answer within {seconds:.0f} s").text
        except Exception:  # noqa: BLE001 - a defect of one read must not end the incident; it is logged in full
            _log.exception("inspect_tool_failed", tool=call.name)
            return cannot_read("this read has a defect").text
        return message.text if isinstance(message, ToolMessage) else str(message)


def _parameters(wanted: StructuredTool) -> JsonObject:
    schema = wanted.args_schema
    if not (isinstance(schema, type) and issubclass(schema, Arguments)):
        raise TypeError(f"{wanted.name} is not an investigation tool")
    return strict(schema)


def _opening(view: JsonObject, target: str, session: Session) -> tuple[BaseMessage, ...]:
    system = render(Prompt.INVESTIGATE_SYSTEM, {"reads": session.budget.bounds.reads})
    values = {"mark": session.frame.mark, "target": target, "block": session.frame.wrap(view)}
    return SystemMessage(system), HumanMessage(render(Prompt.INVESTIGATE_USER, values))


def _conversation(
    opening: tuple[BaseMessage, ...], turns: Sequence[_Turn], session: Session
) -> tuple[BaseMessage, ...]:
    """The messages so far; older results are cut, since each turn sends all of them again."""
    messages: list[BaseMessage] = list(opening)
    left = sum(len(t.answers) for t in turns)
    number = 0
    for turn in turns:
        renamed = tuple(
            Call(f"read_{number + i}", c.name or "none", c.arguments) for i, c in enumerate(turn.reply.calls)
        )
        reply = Reply(turn.reply.text, renamed, "", "", turn.reply.usage, "", "")
        messages.append(reply.as_message())
        for call, answer in zip(renamed, turn.answers, strict=True):
            text = answer if left <= WHOLE_RESULTS else answer[:OLD_CHARACTERS]
            messages.append(ToolMessage(session.frame.wrap(text), tool_call_id=call.id))
            left -= 1
        number += len(renamed)
    return tuple(messages)
