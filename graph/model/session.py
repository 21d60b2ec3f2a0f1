"""One proposal's conversation with the model: every request passes the budget and leaves a record.

The rule: no request without a record of which prompt version asked which model, what it cost and what came of it.
Neighbours: `client` sends, `investigate` and `planning` ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from graph.model.budget import Budget
from graph.model.client import Ask, ModelClient, Reply
from graph.model.framing import Frame
from prompts.loader import version
from tools.clock import Clock
from tools.guard.verdict import Refused


class ModelRecord(BaseModel):
    """One request to the model, for the audit trail.  `outcome` is "answered" or a reason code; no prompt text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident_id: str
    phase: str
    """probe, investigate or plan."""
    turn: int
    model: str
    """As the server names it; our configured name when it names none."""
    response_id: str
    prompt_version: str
    prompt_tokens: int
    answer_tokens: int
    incident_tokens: int
    """All tokens of this incident's proposal so far."""
    seconds: float
    outcome: str
    reason: str = ""


Audit = Callable[[ModelRecord], Awaitable[None]]


async def no_audit(_: ModelRecord) -> None:
    """Keeps nothing."""


@dataclass(slots=True)
class Session:
    """What all requests of one proposal share."""

    client: ModelClient
    budget: Budget
    frame: Frame
    incident_id: str
    clock: Clock
    audit: Audit = no_audit

    async def ask(self, phase: str, ask: Ask) -> Reply | Refused:
        """Ask, and leave the record.  Never raises for what the model or its server does."""
        start = self.clock.monotonic()
        answer = await self.client.ask(ask, self.budget)
        reply = answer if isinstance(answer, Reply) else None
        refused = answer if isinstance(answer, Refused) else None
        await self.audit(
            ModelRecord(
                incident_id=self.incident_id,
                phase=phase,
                turn=self.budget.turns,
                model=(reply.model if reply else "") or self.client.name,
                response_id=reply.response_id if reply else "",
                prompt_version=version(),
                prompt_tokens=reply.usage.prompt if reply else 0,
                answer_tokens=reply.usage.answer if reply else 0,
                incident_tokens=self.budget.usage.total,
                seconds=round(self.clock.monotonic() - start, 3),
                outcome=refused.code.value if refused else "answered",
                reason=refused.reason if refused else "",
            )
        )
        return answer
