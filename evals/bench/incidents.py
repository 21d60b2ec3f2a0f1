"""A thousand incidents: faults of a drawn mix, several at a time, each followed to its end.

A fault counts as healed when the service closed an incident on its workload as healed and the workload is ready and as
it was before; a raised memory limit is the one difference that may stay.  An incident on what nobody broke is counted
too.  What is not healed is repaired by hand, so that the next fault meets a sound workload.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evals.bench.arena import Arena, open_arena
from evals.bench.estate import PER_NAMESPACE, Workload, estate
from evals.bench.faults import Fault, draw
from evals.simulator.api.core import Write
from evals.simulator.objects import clone, uid_of
from evals.simulator.quantity import parse
from graph.plan import ExecutionResult, Status
from server.logging import configure_logging
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str
from tools.ledger.records import IncidentRecord

FAULTS_EACH: Final = 8
"""Faults a workload gets; so many workloads there are."""
AT_ONCE: Final = 24
"""Faults that are there at the same time."""
ENDS_WITHIN: Final = 1800.0
"""Virtual seconds from a fault to the end of its incident."""
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one fault."""

    number: int
    family: str
    group: str
    workload: str
    kind: str
    told: str
    status: str
    wrong: str = ""
    """Why it does not count as healed; empty when it does."""
    to_recovery: float | None = None
    """Virtual seconds from the fault to the recovery that lasted."""
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """All of one run."""

    ended: tuple[Ended, ...]
    strays: tuple[str, ...]
    """Incidents on workloads that nobody had broken."""
    requests: int
    """HTTP requests the API server got from the first fault on."""
    virtual_seconds: float
    wall_seconds: float
    """From the first fault to the last end."""
    setup_seconds: float
    """Real seconds until the first fault: cluster, estate, service, and everything proven good."""


def play(count: int, seed: str, at_once: int, with_gaps: bool) -> Run:  # noqa: FBT001 - sent to another process
    """One process's part, in an event loop of its own; only errors are logged."""
    configure_logging("error", "console")
    return asyncio.run(run(count, seed, at_once=at_once, with_gaps=with_gaps))


async def run(count: int, seed: str, *, namespaces: int = 0, at_once: int = AT_ONCE, with_gaps: bool = False) -> Run:
    """Play so many faults of that seed to their ends; `namespaces` 0 makes as many as give each workload its share."""
    begun = time.monotonic()
    workloads = estate(namespaces or max(1, round(count / FAULTS_EACH / PER_NAMESPACE)), seed)
    faults = draw(count, workloads, seed, with_gaps=with_gaps)
    with tempfile.TemporaryDirectory(prefix="selfheal-bench-") as folder:
        async with open_arena(Path(folder), workloads, concurrency=2 * at_once) as arena:
            play = Play(arena, asyncio.Semaphore(at_once))
            ready, virtual, requests = time.monotonic(), arena.sim.clock.monotonic(), arena.sim.server.requests
            ended = await play.all(faults)
            return Run(
                ended=tuple(ended),
                strays=tuple(play.strays),
                requests=arena.sim.server.requests - requests,
                virtual_seconds=arena.sim.clock.monotonic() - virtual,
                wall_seconds=time.monotonic() - ready,
                setup_seconds=ready - begun,
            )


@dataclass
class Play:
    """Does the faults and waits for their ends."""

    arena: Arena
    slots: asyncio.Semaphore
    _places: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """One fault in a namespace at a time: a recovery is judged by its whole namespace."""
    strays: list[str] = field(default_factory=list[str])
    _waiting: dict[str, asyncio.Future[IncidentRecord]] = field(
        default_factory=dict[str, asyncio.Future[IncidentRecord]]
    )

    def __post_init__(self) -> None:
        self.arena.service.dispatcher.on_end(self._took)

    async def all(self, faults: Sequence[Fault]) -> list[Ended]:
        """Each workload's faults one after the other, the workloads beside each other."""
        lanes: dict[Workload, list[Fault]] = {}
        for fault in faults:
            lanes.setdefault(fault.workload, []).append(fault)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._lane(lane)) for lane in lanes.values()]
        return sorted((e for t in tasks for e in t.result()), key=lambda e: e.number)

    async def _lane(self, faults: Sequence[Fault]) -> list[Ended]:
        ended: list[Ended] = []
        for fault in faults:
            async with self._places[fault.workload.namespace], self.slots:
                ended.append(await self._one(fault))
        return ended

    async def _took(self, record: IncidentRecord) -> None:
        """An incident ended: the end of a fault, or one nobody caused."""
        waiting = self._waiting.get(record.target_uid)
        if waiting is not None and not waiting.done():
            waiting.set_result(record)
        else:
            sentence = dig_str(record.result, "resolution", "sentence")
            self.strays.append(f"{record.target} {record.status}: {sentence}")

    async def _one(self, fault: Fault) -> Ended:
        workload, clock = fault.workload, self.arena.sim.clock
        live = self.arena.live(workload)
        before, uid, began = clone(live), uid_of(live), clock.now()
        self._waiting[uid] = asyncio.get_running_loop().create_future()
        told = self._inject(fault)
        result: ExecutionResult | None = None
        wrong = ""
        try:
            record = await asyncio.wait_for(self._waiting[uid], ENDS_WITHIN)
            result = ExecutionResult.model_validate(record.result)
            wrong = await self._wrong(fault, before, result)
        except TimeoutError:
            wrong = "no incident ended"
        finally:
            del self._waiting[uid]
        if wrong:
            await self._repair(fault, before)
        recovered = result.resolution.recovered_at if result is not None else None
        return Ended(
            number=fault.number,
            family=fault.family.name,
            group=fault.family.group,
            workload=str(workload),
            kind=workload.kind,
            told=told,
            status=result.status.value if result is not None else "nothing",
            wrong=wrong,
            to_recovery=(recovered - began).total_seconds() if recovered is not None and not wrong else None,
            attempts=result.attempts if result is not None else 0,
        )

    def _inject(self, fault: Fault) -> str:
        """Do it; what was done, in a few words."""
        workload = fault.workload
        if fault.family.change is None:
            return self._grow(fault)
        changed = clone(self.arena.live(workload))
        told = fault.family.change(dig_object(changed, "spec", "template", "spec"), fault.rng)
        self._replace(workload, changed)
        return told

    def _replace(self, workload: Workload, changed: JsonObject) -> None:
        api = self.arena.sim.api
        write = Write(manager="release", track_fields=True)
        api.update(self.arena.sim.kind(workload.kind), workload.namespace, workload.name, changed, write)

    def _grow(self, fault: Fault) -> str:
        """The program ends, and from now on takes more than its limit; twice the limit is enough."""
        workload, sim = fault.workload, self.arena.sim
        limit = int(parse(_limit(self.arena.live(workload)))) // _MIB
        need = fault.rng.randint(limit + limit // 8, 2 * limit - limit // 8)
        sim.registry.by_image[workload.image] = workload.behaviour(need)
        for pod in sim.pods(workload.namespace, app=workload.name):
            sim.kubelets.crash(pod, workload.name)
        return f"it needs {need} MiB now, its limit is {limit} MiB"

    async def _wrong(self, fault: Fault, before: JsonObject, result: ExecutionResult) -> str:
        """Why the fault does not count as healed; empty when it does."""
        if result.status is not Status.HEALED:
            return f"{result.status.value}: {result.resolution.sentence}"
        workload = fault.workload
        if not self.arena.is_ready(workload):
            return "the incident is closed as healed and the workload is not ready"
        live = self.arena.live(workload)
        if fault.family.change is None:
            need = self.arena.sim.registry.by_image[workload.image].memory_mib
            if parse(_limit(live)) < need * _MIB:
                return f"healed with a limit of {_limit(live)} where {need} MiB are needed"
            before = _with_limit(before, _limit(live))
        if _spec(live) != _spec(before):
            return "the pod template is not as it was before"
        return ""

    async def _repair(self, fault: Fault, before: JsonObject) -> None:
        """What a person does: the template as it was before the fault, the program as it was."""
        workload, sim = fault.workload, self.arena.sim
        if fault.family.change is None:
            limit = int(parse(_limit(before))) // _MIB
            sim.registry.by_image[workload.image] = workload.behaviour(min(workload.limit_mib // 2, limit))
        changed = clone(self.arena.live(workload))
        dig_object(changed, "spec", "template")["spec"] = clone(_spec(before))
        self._replace(workload, changed)
        for pod in sim.pods(workload.namespace, app=workload.name):
            sim.api.delete(sim.kind("Pod"), workload.namespace, dig_str(pod, "metadata", "name"))
        await sim.until(lambda: self.arena.is_ready(workload), ENDS_WITHIN, every=1)


def _spec(obj: JsonObject) -> JsonObject:
    return dig_object(obj, "spec", "template", "spec")


def _limit(obj: JsonObject) -> str:
    return dig_str(_spec(obj), "containers", 0, "resources", "limits", "memory")


def _with_limit(obj: JsonObject, limit: str) -> JsonObject:
    changed = clone(obj)
    dig_object(dig_list(_spec(changed), "containers")[0], "resources", "limits")["memory"] = limit
    return changed
