"""Runs the controllers: what changed is looked at again, at once or later.

A controller is a function of one object: it reads the store and writes through the `Api` until the world is as the
object
says.  The manager calls it once for any number of changes that came together, never while another one runs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from evals.simulator.api.core import Api
from evals.simulator.api.errors import ApiError
from evals.simulator.api.quota import is_over, pod_usage
from evals.simulator.api.store import Change
from evals.simulator.controllers import all_of_them, scheduler
from evals.simulator.controllers.base import Controller, Key, Metrics
from evals.simulator.objects import labels_of, name_of, namespace_of, uid_of
from evals.simulator.timings import Timings
from tools.jsontypes import JsonObject, dig_str


class Manager:
    """The queue and the timers of all controllers."""

    def __init__(self, api: Api, timings: Timings) -> None:
        self.api, self.timings = api, timings
        self.metrics = Metrics()
        self.controllers: list[Controller] = []
        self.pending_pods: dict[Key, JsonObject] = {}
        self.owners: dict[str, tuple[str, str, str]] = {}
        self.evictions: dict[str, float] = {}
        self.steady: dict[str, tuple[int, float]] = {}
        self._usage: dict[str, dict[str, Decimal]] = {}
        self._alike: dict[str, Counter[str]] = {}
        self._on_node: dict[str, dict[str, JsonObject]] = {}
        self._queue: dict[tuple[int, Key], None] = {}
        self._timers: dict[tuple[int, Key], tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[tuple[int, Key], int] = {}
        self._scheduled: asyncio.Handle | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._build()

    def _build(self) -> None:
        self.controllers = all_of_them.build(self.api, self)

    def start(self) -> None:
        """Look at everything once, then at what changes."""
        self._unsubscribe = self.api.store.subscribe(self._on_change)
        for index, controller in enumerate(self.controllers):
            for obj in self.api.store.select(controller.key):
                self._queue[index, (namespace_of(obj), name_of(obj))] = None
        self._schedule()

    def stop(self) -> None:
        """No more syncs and no timers."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        for _, handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        self._queue.clear()
        if self._scheduled is not None:
            self._scheduled.cancel()

    def later(self, controller: Controller, key: Key, seconds: float) -> None:
        """Queue an object after so many seconds; an earlier timer of the same object is kept, a later one replaced."""
        place = (self.controllers.index(controller), key)
        due = self.api.clock.monotonic() + seconds
        known = self._timers.get(place)
        if known is not None and known[0] <= due:
            return
        if known is not None:
            known[1].cancel()
        self._timers[place] = (due, self.api.clock.call_later(seconds, lambda: self._due(place)))

    def _due(self, place: tuple[int, Key]) -> None:
        self._timers.pop(place, None)
        self._queue[place] = None
        self._schedule()

    # ---- what runs where

    def pods_of(self, node: str) -> list[JsonObject]:
        """Pods of a node that have not ended."""
        return list(self._on_node.get(node, {}).values())

    def pods_on(self, node: str, namespace: str, labels: dict[str, str]) -> tuple[int, int]:
        """(alike, all): for spreading like pods first."""
        return self._alike.get(node, Counter())[_likeness(namespace, labels)], len(self._on_node.get(node, {}))

    def host_ports_on(self, node: str) -> set[tuple[int, str]]:
        """Ports of the node that pods have taken."""
        return {port for pod in self.pods_of(node) for port in scheduler.host_ports(pod)}

    def usage_on(self, node: str) -> dict[str, Decimal]:
        """What the pods of a node have requested; kept up to date with each pod that comes and goes."""
        return self._usage.setdefault(node, scheduler.zero())

    def _place(self, change: Change) -> None:
        node, uid = dig_str(change.object, "spec", "nodeName"), uid_of(change.object)
        if not node:
            return
        here = self._on_node.setdefault(node, {})
        known = here.get(uid)
        ended = change.type == "DELETED" or is_over(change.object)
        if ended and known is not None:
            del here[uid]
            self._count(node, known, -1)
        elif not ended:
            here[uid] = change.object
            if known is None:
                self._count(node, change.object, 1)

    def _count(self, node: str, pod: JsonObject, sign: int) -> None:
        usage, alike = self.usage_on(node), self._alike.setdefault(node, Counter())
        usage["pods"] += sign
        for resource in ("cpu", "memory", "ephemeral-storage"):
            usage[resource] += sign * pod_usage(pod, resource)
        alike[_likeness(namespace_of(pod), labels_of(pod))] += sign

    def _on_change(self, change: Change) -> None:
        if change.key == "pods":
            self._place(change)
        for index, controller in enumerate(self.controllers):
            if controller.key == change.key:
                self._queue[index, (namespace_of(change.object), name_of(change.object))] = None
            for key in controller.related(change):
                self._queue[index, key] = None
        if self._queue:
            self._schedule()

    def _schedule(self) -> None:
        if self._scheduled is None and self._queue:
            self._scheduled = asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """One round: everything queued now; what the round itself queues waits for the next one."""
        self._scheduled = None
        batch, self._queue = self._queue, {}
        for place in batch:
            controller = self.controllers[place[0]]
            try:
                controller.sync(*place[1])
                self._failures.pop(place, None)
            except ApiError as error:
                if error.code in {404, 409}:
                    self.later(controller, place[1], 0.05)
                    continue
                tries = self._failures.get(place, 0)
                self._failures[place] = tries + 1
                self.later(controller, place[1], min(self.timings.create_backoff_max, 0.005 * 2**tries))
        self._schedule()


def _likeness(namespace: str, labels: dict[str, str]) -> str:
    return f"{namespace}/{sorted(labels.items())}"
