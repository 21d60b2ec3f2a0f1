"""Finding out by reading whether a write happened whose answer never came.

The rule: unreadable is not "no".  Reading is tried a few times; when it stays impossible the question stays open and
the intent stays as it is, so that the next one to come asks again before doing anything.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tools.clock import Clock
from tools.executors.base import Action, Applied, Mark
from tools.guard.intents import recall
from tools.guard.observe import Observer
from tools.guard.world import AnyExecutor, Missing, Unreadable
from tools.jsontypes import JsonObject
from tools.ledger.records import Intent

_TRIES: Final = 3
_PAUSE: Final = timedelta(milliseconds=200)


class ReadBack:
    """Asks one cluster."""

    def __init__(self, observer: Observer, clock: Clock) -> None:
        """Keep both."""
        self._observer = observer
        self._clock = clock

    async def of_action(self, executor: AnyExecutor, action: Action, intent: Intent) -> Applied | Unreadable:
        """Whether the write of `intent` happened, as its executor tells from the target."""
        now = await self._live(intent)
        if isinstance(now, Unreadable):
            return now
        mark = Mark(intent.action_id, intent.incident_id)
        return executor.was_applied(action, recall(intent.before), now, mark)

    async def _live(self, intent: Intent) -> JsonObject | Unreadable | None:
        """The target as it stands; None when it is gone."""
        found = await self._observer.live(intent.target)
        for attempt in range(1, _TRIES):
            if not isinstance(found, Unreadable):
                break
            await self._clock.sleep(_PAUSE * attempt)
            found = await self._observer.live(intent.target)
        return None if isinstance(found, Missing) else found
