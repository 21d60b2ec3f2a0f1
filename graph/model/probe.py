"""Finds out at the start what a server can do: strict JSON schemas, tool calls, or plain text only.

Servers that speak the protocol differ in this, and many ignore what they do not know instead of refusing it; so a
capability counts as there only when a small question is answered in that form.  A server that does not answer leaves
the question open: it is asked again with the next incident.  Neighbour: `reasoner`; settings override the finding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from langchain_core.messages import HumanMessage

from graph.model.client import Ask, Reply, Schema
from graph.model.schema import tool
from graph.model.session import Session
from prompts.loader import Prompt, render
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject

NAME = "probe"
_SHAPE: JsonObject = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "required": ["ready"],
    "additionalProperties": False,
}
_OPEN = frozenset({ReasonCode.LLM_UNAVAILABLE, ReasonCode.LLM_BUDGET})


@dataclass(frozen=True, slots=True)
class Capability:
    """What a server was seen to do."""

    strict_schema: bool
    tools: bool


async def probe(session: Session) -> Capability | Refused:
    """Two small questions; a refusal means that it could not be told."""
    schema = await session.ask(NAME, Ask(_question("schema"), schema=Schema(NAME, _SHAPE)))
    if isinstance(schema, Refused) and schema.code in _OPEN:
        return schema
    offered = (tool(NAME, "Says that the connection works.", _SHAPE),)
    called = await session.ask(NAME, Ask(_question("tools"), tools=offered))
    if isinstance(called, Refused) and called.code in _OPEN:
        return called
    return Capability(strict_schema=_is_in_shape(schema), tools=_is_called(called))


def _question(style: str) -> tuple[HumanMessage, ...]:
    return (HumanMessage(render(Prompt.PROBE, {"style": style})),)


def _is_in_shape(reply: Reply | Refused) -> bool:
    if isinstance(reply, Refused):
        return False
    try:
        return bool(json.loads(reply.text) == {"ready": True})
    except (ValueError, RecursionError):
        return False


def _is_called(reply: Reply | Refused) -> bool:
    return isinstance(reply, Reply) and any(c.name == NAME and not c.error for c in reply.calls)
