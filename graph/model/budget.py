"""Counts what one proposal uses, and what a day uses, against bounds that nothing a model says can move.

The rule: whoever is about to spend asks first; a no is a coded refusal, and what is left for planning cannot be eaten
up by the investigation before it.  Neighbours: `config.Bounds`; `session` asks before each request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from graph.model.config import Bounds
from tools.clock import Clock
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonValue, canonical

BYTES_PER_TOKEN = 3
"""Of JSON; real tokenizers need fewer tokens, so an estimate made with this is on the high side."""
PLANNING_TURNS = 3
PLANNING_SHARE = 0.4
"""What the investigation must leave: turns, and shares of time and tokens."""
MAX_NAMESPACES = 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens."""

    prompt: int = 0
    answer: int = 0

    @property
    def total(self) -> int:
        """Both."""
        return self.prompt + self.answer

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.answer + other.answer)


def estimate(value: JsonValue | str) -> int:
    """Tokens of a text, or of a value as JSON: bytes over `BYTES_PER_TOKEN`, rounded up."""
    raw = value.encode() if isinstance(value, str) else canonical(value)
    return -(-len(raw) // BYTES_PER_TOKEN)


class Budget:
    """What one proposal may still use."""

    def __init__(self, bounds: Bounds, clock: Clock) -> None:
        """The time runs from now."""
        self.bounds = bounds
        self._clock = clock
        self._start = clock.monotonic()
        self.turns = 0
        self.reads = 0
        self.usage = Usage()

    @property
    def seconds_left(self) -> float:
        """Never negative."""
        return max(0.0, self.bounds.seconds - (self._clock.monotonic() - self._start))

    def take_turn(self) -> Refused | None:
        """Count one request to the model, or say which bound forbids it."""
        if self.turns >= self.bounds.turns:
            return spent(f"{self.bounds.turns} turns")
        if self.seconds_left <= 0:
            return spent(f"{self.bounds.seconds:g} seconds")
        if self.usage.total >= self.bounds.tokens:
            return spent(f"{self.bounds.tokens} tokens")
        self.turns += 1
        return None

    def take_read(self) -> bool:
        """Count one read; False when there is none left."""
        if self.reads >= self.bounds.reads:
            return False
        self.reads += 1
        return True

    def spend(self, usage: Usage) -> None:
        """Count tokens that were used."""
        self.usage += usage

    @property
    def may_investigate(self) -> bool:
        """Whether another turn of phase one leaves enough for planning."""
        bounds = self.bounds
        return (
            self.turns < bounds.turns - PLANNING_TURNS
            and self.reads < bounds.reads
            and self.seconds_left > bounds.seconds * PLANNING_SHARE
            and self.usage.total < bounds.tokens * (1 - PLANNING_SHARE)
        )


class DayBudget:
    """Tokens of one UTC day, in all and by namespace.

    Kept in memory: a restart forgets the day's count.  That costs at most one day's tokens once more and cannot write
    anything; `bounds.tokens` holds all the same.
    """

    def __init__(self, bounds: Bounds, clock: Clock) -> None:
        """Nothing spent yet."""
        self._bounds = bounds
        self._clock = clock
        self._day: date | None = None
        self._total = 0
        self._by_namespace: dict[str, int] = {}

    def check(self, namespace: str) -> Refused | None:
        """None while tokens are left for this namespace today."""
        self._turn_page()
        if self._total >= self._bounds.tokens_per_day:
            return spent(f"{self._bounds.tokens_per_day} tokens of this day")
        if self._by_namespace.get(namespace, 0) >= self._bounds.tokens_per_namespace_day:
            return spent(f"{self._bounds.tokens_per_namespace_day} tokens of namespace {namespace} for this day")
        return None

    def spend(self, namespace: str, usage: Usage) -> None:
        """Count tokens of one proposal."""
        self._turn_page()
        self._total += usage.total
        if namespace in self._by_namespace or len(self._by_namespace) < MAX_NAMESPACES:
            self._by_namespace[namespace] = self._by_namespace.get(namespace, 0) + usage.total

    def _turn_page(self) -> None:
        today = self._clock.now().date()
        if today != self._day:
            self._day, self._total, self._by_namespace = today, 0, {}


def spent(what: str) -> Refused:
    """The refusal that names a used-up bound."""
    return Refused(code=ReasonCode.LLM_BUDGET, reason=f"The model has used up its {what}.", check="model")
