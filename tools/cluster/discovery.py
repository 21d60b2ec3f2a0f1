"""Which kinds of other people's definitions the cluster serves, looked at again and again: they come and go.

The rule: a kind is watched while the cluster serves it, and its absence is no fault.  One look costs one request
(`GET /apis`) and what the finders ask besides; a finder that fails leaves what it found before.

Neighbours: `mirror` watches what is found here; `documents` has the structs.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog

from tools.clock import Clock
from tools.cluster.client import Cluster
from tools.cluster.documents import CUSTOM, Document
from tools.errors import ToolError

_log = structlog.get_logger(__name__)

PERIOD: Final = timedelta(minutes=5)
"""Between two looks: definitions are installed by people, who do it rarely."""
AFTER_FAILURE: Final = timedelta(seconds=30)

Kinds = Sequence[type[Document]]


class Finder(Protocol):
    """Says which of the kinds that it knows of are to be watched now."""

    async def __call__(self, cluster: Cluster, groups: frozenset[str], /) -> Kinds:
        """`groups` are the API groups that the cluster serves.  Raises ToolError when it cannot tell."""
        ...


async def well_known(_: Cluster, groups: frozenset[str]) -> Kinds:
    """The kinds of KEDA and Argo CD, by their groups alone."""
    return [struct for struct in CUSTOM if struct.resource.group in groups]


class Discovery:
    """Calls `found` with all kinds that are to be watched, at the first look and whenever they may have changed.

    `looked` is set after the first look, whether it succeeded or not.
    """

    def __init__(
        self, cluster: Cluster, clock: Clock, finders: Sequence[Finder], found: Callable[[Kinds], object]
    ) -> None:
        """Nothing is asked before `run`."""
        self._cluster = cluster
        self._clock = clock
        self._finders = finders
        self._found = found
        self._kinds: dict[int, Kinds] = {}
        self._said: dict[int, str] = {}
        self._soon = asyncio.Event()
        self.looked = asyncio.Event()

    def again(self) -> None:
        """Look again now, since a definition came or went."""
        self._soon.set()

    async def run(self) -> None:
        """Look again and again until cancelled.  Raises nothing of the cluster's."""
        if not self._finders:
            self.looked.set()
            return
        while True:
            self._soon.clear()
            is_complete = await self._look()
            self.looked.set()
            await self._pause(PERIOD if is_complete else AFTER_FAILURE)

    async def _look(self) -> bool:
        """One round; whether everybody could tell."""
        try:
            groups = await self._cluster.api_groups()
        except ToolError as error:
            self._say(-1, str(error))
            return False
        self._say(-1, "")
        told = [await self._ask(number, finder, groups) for number, finder in enumerate(self._finders)]
        self._found([kind for kinds in self._kinds.values() for kind in kinds])
        return all(told)

    async def _ask(self, number: int, finder: Finder, groups: frozenset[str]) -> bool:
        try:
            self._kinds[number] = await finder(self._cluster, groups)
        except ToolError as error:
            self._say(number, str(error))
            return False
        self._say(number, "")
        return True

    def _say(self, who: int, error: str) -> None:
        """Once for each failure, and not again while it stays the same."""
        if error and self._said.get(who) != error:
            _log.warning("discovery_failed", error=error)
        self._said[who] = error

    async def _pause(self, length: timedelta) -> None:
        """Until `length` is over or somebody asks."""
        alarm = asyncio.ensure_future(self._clock.sleep(length))
        asked = asyncio.ensure_future(self._soon.wait())
        try:
            await asyncio.wait((alarm, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            asked.cancel()
            await asyncio.gather(alarm, asked, return_exceptions=True)
