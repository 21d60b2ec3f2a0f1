"""Phase two: the model proposes a plan, in the form the server can keep to; what it says is a proposal and no more.

What can go wrong, and what follows (one more question at most, for the whole phase):

====================================  ======================  =====================
what came                             asked once more         code when that is all
====================================  ======================  =====================
no answer after our retries           no                      LLM_UNAVAILABLE
bounds used up                        no                      LLM_BUDGET
refusal, content filter               no                      LLM_REFUSED
request declined (4xx)                yes, in plain JSON      LLM_REFUSED
cut off, empty, no JSON, no protocol  yes, with the reason    LLM_MALFORMED
wrong schema                          yes, with the errors    PLAN_SCHEMA
unlawful step                         yes, with the sentence  the step's own code
====================================  ======================  =====================

Neighbours: `investigate` is phase one, `proposals` decides what is lawful.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from graph.model.client import Ask, Reply, Schema
from graph.model.config import Planning
from graph.model.proposals import Draft, RawStep, propose, read_conclusion, read_draft
from graph.model.schema import SUBMIT, Catalog
from graph.model.session import Session
from graph.model.view import Offer
from graph.observed import Evidence
from graph.plan import NoPlan, Planned
from prompts.loader import Prompt, render
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue

PHASE = "plan"
SCHEMA_NAME = "plan"
MAX_TOOL_TURNS = 4
"""So many messages may one plan take in the tools form: some servers give one call at a time."""
_FINAL = frozenset({ReasonCode.LLM_UNAVAILABLE, ReasonCode.LLM_BUDGET})


@dataclass(frozen=True, slots=True)
class Case:
    """What is planned for."""

    evidence: Evidence
    offer: Offer
    view: JsonObject


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why there is no lawful plan yet.  `told` are the messages that lead up to it."""

    refused: Refused
    told: tuple[BaseMessage, ...]
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class _Shown:
    """A set of actions in the forms a server takes."""

    catalog: Catalog
    schema: JsonObject
    tools: tuple[JsonObject, ...]


class Planner:
    """Asks for plans made of one catalog's actions."""

    def __init__(self, catalog: Catalog) -> None:
        """The schemas of each set of actions are made once."""
        self._catalog = catalog
        self._shown: dict[tuple[str, ...], _Shown] = {}

    def _show(self, case: Case) -> _Shown:
        """What is shown of the actions that the case offers, and of no others."""
        names = case.offer.actions
        if names not in self._shown:
            chosen = self._catalog.only(names)
            self._shown[names] = _Shown(chosen, chosen.plan_schema(), chosen.tools())
        return self._shown[names]

    async def plan(self, case: Case, session: Session, style: Planning) -> Planned | NoPlan | Refused:
        """A lawful plan, the model's word that there is none, or a coded refusal."""
        messages = self._opening(case, session, style)
        problem = await self._once(case, session, style, messages)
        if not isinstance(problem, _Problem) or problem.is_final:
            return problem.refused if isinstance(problem, _Problem) else problem
        if problem.refused.code is ReasonCode.LLM_REFUSED:  # the request itself: ask in the form that needs least
            if style is Planning.JSON:
                return problem.refused
            style, messages = Planning.JSON, self._opening(case, session, Planning.JSON)
        else:
            messages = (*problem.told, self._again(problem.refused, session))
        last = await self._once(case, session, style, messages)
        return last.refused if isinstance(last, _Problem) else last

    async def _once(
        self, case: Case, session: Session, style: Planning, messages: tuple[BaseMessage, ...]
    ) -> Planned | NoPlan | _Problem:
        draft = await (
            self._by_tools(case, session, messages)
            if style is Planning.TOOLS
            else self._by_text(case, session, style, messages)
        )
        if isinstance(draft, _Problem):
            return draft
        raw, told = draft
        found = propose(
            raw,
            case.offer,
            case.evidence,
            incident_id=session.incident_id,
            author=session.client.name,
            now=session.clock.now(),
        )
        return _Problem(found, told) if isinstance(found, Refused) else found

    async def _by_text(
        self, case: Case, session: Session, style: Planning, messages: tuple[BaseMessage, ...]
    ) -> tuple[Draft, tuple[BaseMessage, ...]] | _Problem:
        schema = Schema(SCHEMA_NAME, self._show(case).schema) if style is Planning.SCHEMA else None
        reply = await session.ask(PHASE, Ask(messages, schema=schema))
        if problem := _unusable(reply, messages):
            return problem
        assert isinstance(reply, Reply)  # noqa: S101 - `_unusable` has taken the refusals
        told = (*messages, AIMessage(content=reply.text))  # calls, if it made any, have no answer here
        if reply.calls:
            return _problem(ReasonCode.LLM_MALFORMED, "A tool was called where none is offered.", told)
        draft = read_draft(reply.text)
        return _Problem(draft, told) if isinstance(draft, Refused) else (draft, told)

    async def _by_tools(
        self, case: Case, session: Session, messages: tuple[BaseMessage, ...]
    ) -> tuple[Draft, tuple[BaseMessage, ...]] | _Problem:
        steps: list[RawStep] = []
        for turn in range(MAX_TOOL_TURNS):
            reply = await session.ask(PHASE, Ask(messages, tools=self._show(case).tools))
            if problem := _unusable(reply, messages):
                return problem
            assert isinstance(reply, Reply)  # noqa: S101 - as above
            reply = _numbered(reply, turn)
            noted = [ToolMessage(_noted(c.name), tool_call_id=c.id) for c in reply.calls]
            messages = (*messages, reply.as_message(), *noted)
            if not reply.calls:
                return _problem(ReasonCode.LLM_MALFORMED, f"No tool was called: end the plan with {SUBMIT}.", messages)
            if bad := next((c for c in reply.calls if c.error), None):
                return _problem(ReasonCode.PLAN_SCHEMA, f"{bad.name or 'a call'}: {bad.error}.", messages)
            steps += [_raw_step(c.name, c.arguments) for c in reply.calls if c.name != SUBMIT]
            ends = [c.arguments for c in reply.calls if c.name == SUBMIT]
            if len(ends) > 1:
                return _problem(ReasonCode.PLAN_SCHEMA, f"{SUBMIT} was called twice.", messages)
            if ends:
                conclusion = read_conclusion(ends[0])
                return (
                    _Problem(conclusion, messages)
                    if isinstance(conclusion, Refused)
                    else (Draft(conclusion, tuple(steps)), messages)
                )
        return _problem(ReasonCode.LLM_MALFORMED, f"The plan was not ended with {SUBMIT}.", messages)

    def _opening(self, case: Case, session: Session, style: Planning) -> tuple[BaseMessage, ...]:
        shown = self._show(case)
        actions = [{"name": e.name, "description": e.description} for e in shown.catalog.entries]
        system = render(
            Prompt.PLAN_SYSTEM,
            {
                "style": style.value,
                "actions": actions,
                "steps": case.offer.max_steps,
                "schema": json.dumps(shown.schema, separators=(",", ":")) if style is Planning.JSON else "",
            },
        )
        values = {
            "mark": session.frame.mark,
            "target": str(case.offer.workload),
            "block": session.frame.wrap(case.view),
        }
        return SystemMessage(system), HumanMessage(render(Prompt.PLAN_USER, values))

    @staticmethod
    def _again(refused: Refused, session: Session) -> HumanMessage:
        block = session.frame.wrap({"code": refused.code.value, "reason": refused.reason})
        return HumanMessage(render(Prompt.ASK_AGAIN, {"mark": session.frame.mark, "block": block}))


def _unusable(reply: Reply | Refused, messages: tuple[BaseMessage, ...]) -> _Problem | None:
    """What speaks against an answer before its content is looked at."""
    if isinstance(reply, Refused):
        return _Problem(reply, messages, is_final=reply.code in _FINAL)
    if reply.refusal or reply.finish == "content_filter":
        who = (
            "The model declined to answer"
            if reply.refusal
            else "The content filter of the model's server held the answer back"
        )
        return _Problem(_refused(ReasonCode.LLM_REFUSED, f"{who}."), messages, is_final=True)
    if reply.finish == "length":
        return _problem(ReasonCode.LLM_MALFORMED, "The answer was cut off; answer shorter.", messages)
    if not reply.text.strip() and not reply.calls:
        return _problem(ReasonCode.LLM_MALFORMED, "The answer was empty.", messages)
    return None


def _numbered(reply: Reply, turn: int) -> Reply:
    """The same reply with call ids that are unique in the conversation."""
    calls = tuple(
        type(c)(f"step_{turn}_{i}", c.name or "none", c.arguments, c.error) for i, c in enumerate(reply.calls)
    )
    return Reply(reply.text, calls, reply.finish, reply.refusal, reply.usage, reply.response_id, reply.model)


def _noted(name: str) -> str:
    if name == SUBMIT:
        return "The plan is being checked; nothing has been carried out."
    return f"Noted as a proposal; nothing has been carried out. Call the next step, or {SUBMIT} to end the plan."


def _raw_step(name: str, arguments: JsonObject) -> RawStep:
    rest: dict[str, JsonValue] = dict(arguments)
    why = rest.pop("why", "")
    return RawStep(name, rest, why if isinstance(why, str) else "")


def _problem(code: ReasonCode, reason: str, told: tuple[BaseMessage, ...]) -> _Problem:
    return _Problem(_refused(code, reason), told)


def _refused(code: ReasonCode, reason: str) -> Refused:
    return Refused(code=code, reason=reason, check="model")
