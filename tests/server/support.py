"""What the server's tests share: a stepped clock, a scripted healer, a mirror that is fed by hand, ports over both.

The ledger is the real one on disk; objects are decoded from manifests by the real decoder; detectors, policy and
the good keeper are the real ones.  Only what would need a cluster is a double, and it obeys the same protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import uvicorn
from msgspec import structs

from graph.edges import Limits
from graph.incident import Family, FromReference, FromSignal, Incident, Reason, Signal, Source, fingerprint
from graph.intake import Admitted, Unknown
from graph.plan import Approved, Declined, Diagnosis, Executed, ExecutionResult, Origin, Plan, Resolution, Status, Step
from graph.ports import Ports, Timing
from graph.runner import Waiting
from graph.signals.contexts import Contexts
from graph.signals.knowledge import NoKnowledge
from graph.signals.object_contexts import ObjectContexts
from graph.signals.symptoms import Symptoms
from server.app import create_app
from server.commands.service import Server
from server.service import Service, run_service
from server.settings import Settings
from tests.support.http import plain
from tests.support.ledgers import ledger_at
from tools.clock import Clock, SystemClock
from tools.cluster.objects import (
    ClusterEvent,
    Controller,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Node,
    Pod,
    ReplicaSet,
    StatefulSet,
    Workload,
    decode_json,
)
from tools.cluster.store import Store, owner_uids
from tools.cluster.structs import KubeObject, Reference
from tools.cluster.subscription import AnyDelta, Subscription
from tools.executors.actions import RestartWorkload
from tools.guard.policy import Mode, NamespaceRule, Policy
from tools.guard.verdict import ReasonCode
from tools.journal.good import GoodKeeper
from tools.jsontypes import JsonObject
from tools.ledger.ledger import Ledger
from tools.ledger.records import AuditEntry, InboxEntry, IncidentRecord
from tools.refs import IncidentId, ObjectRef, PlanId

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER_TOKEN = "fedcba9876543210fedcba9876543210"
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")


class SteppedClock:
    """Time stands still until `step`; who sleeps wakes when its moment is passed."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - START).total_seconds()

    async def sleep(self, delay: timedelta) -> None:
        if delay <= timedelta(0):
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + delay, next(self._count), woken))
        await woken

    async def step(self, by: timedelta) -> None:
        """Let `by` pass, waking sleepers in their order and letting each do its work."""
        end = self._now + by
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle() -> None:
    """Let everything that is ready run until the ledger has nothing to do any more, however slow the disk is."""
    calm = 0
    while calm < 5:
        await asyncio.sleep(0.001)
        is_busy = any(getattr(t.get_coro(), "__qualname__", "").startswith("Store.") for t in asyncio.all_tasks())
        calm = 0 if is_busy else calm + 1


async def eventually(holds: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
    """Wait until `holds`; an assertion that names `what` when it does not come."""
    end = asyncio.get_running_loop().time() + timeout
    while not holds():
        assert asyncio.get_running_loop().time() < end, f"never came: {what}"
        await asyncio.sleep(0.005)


class FeedMirror:
    """A mirror whose objects the test puts and drops; what it tells is what `tools.cluster.mirror.Mirror` tells."""

    KINDS: tuple[type[KubeObject], ...] = (
        Pod, ClusterEvent, Node, Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob,
    )  # fmt: skip

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._stores: dict[type[KubeObject], Store[Any]] = {
            kind: Store(_regarding if kind is ClusterEvent else owner_uids) for kind in self.KINDS
        }
        self._subscriptions: list[Subscription] = []
        self._versions = itertools.count(1)
        self.unseen: list[str] = []
        self.age = 0.0
        self.is_synced = asyncio.Event()
        self.is_synced.set()
        self.reflectors: tuple[Any, ...] = ()

    def put(self, manifest: JsonObject, struct: type[KubeObject]) -> None:
        """The server shows an object."""
        metadata = cast("JsonObject", manifest["metadata"])
        item = decode_json({**manifest, "metadata": {**metadata, "resourceVersion": str(next(self._versions))}}, struct)
        self._tell(self._stores[struct].put(item))

    def drop(self, uid: str, struct: type[KubeObject]) -> None:
        """The server says it is gone."""
        self._tell(self._stores[struct].drop(uid))

    def _tell(self, delta: AnyDelta | None) -> None:
        if delta is not None:
            stamped = structs.replace(delta, received_at=self.clock.now())
            for subscription in self._subscriptions:
                subscription.publish(stamped)

    async def synced(self, timeout: timedelta = timedelta(seconds=30)) -> bool:
        await self.is_synced.wait()
        return True

    def subscribe(self, *, replay: bool = False) -> Subscription:
        subscription = Subscription(self._subscriptions.remove)
        if replay:
            for store in self._stores.values():
                for item in store:
                    subscription.publish(AnyDelta("added", item))
        self._subscriptions.append(subscription)
        return subscription

    def unavailable(self) -> list[str]:
        return self.unseen

    def blind_spots(self) -> list[str]:
        return []

    def view_age(self) -> float:
        return self.age

    def pod(self, namespace: str, name: str) -> Pod | None:
        return self._stores[Pod].by_name(namespace, name)

    def node(self, name: str) -> Node | None:
        return self._stores[Node].by_name("", name)

    def controller(self, kind: str, namespace: str | None, name: str) -> Controller | None:
        for struct in (Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob):
            if struct.kind == kind:
                return cast("Controller | None", self._stores[struct].by_name(namespace or "", name))
        return None

    def workload(self, kind: str, namespace: str | None, name: str) -> Workload | None:
        found = self.controller(kind, namespace, name)
        return found if isinstance(found, Deployment | StatefulSet | DaemonSet) else None

    def workloads(self, namespace: str | None = None) -> list[Workload]:
        held = [item for kind in (Deployment, StatefulSet, DaemonSet) for item in self._stores[kind]]
        return [item for item in held if namespace is None or item.namespace == namespace]

    def pods(self, namespace: str | None = None) -> list[Pod]:
        return [pod for pod in self._stores[Pod] if namespace is None or pod.namespace == namespace]

    def nodes(self) -> list[Node]:
        return list(self._stores[Node])

    def of_kind(self, kind: str) -> list[KubeObject]:
        return [item for struct, store in self._stores.items() if struct.kind == kind for item in store]

    def jobs_of(self, owner_uid: str) -> list[Job]:
        return self._stores[Job].pointing_at(owner_uid)

    def documents(self, struct: type[Any], namespace: str | None = None) -> list[Any]:
        """None of the kinds that are kept whole is fed here."""
        return []

    def document(self, kind: str, namespace: str, name: str) -> None:
        """As `documents`."""

    def holds(self, kind: str, api_version: str) -> bool:
        return any((struct.kind, struct.api_version) == (kind, api_version) for struct in self._stores)

    def pods_of(self, owner_uid: str) -> list[Pod]:
        between = [*self._stores[ReplicaSet].pointing_at(owner_uid), *self._stores[Job].pointing_at(owner_uid)]
        uids = (owner_uid, *(owner.uid for owner in between))
        return [pod for uid in uids for pod in self._stores[Pod].pointing_at(uid)]

    def replica_sets_of(self, deployment_uid: str) -> list[ReplicaSet]:
        return sorted(self._stores[ReplicaSet].pointing_at(deployment_uid), key=lambda item: item.revision)

    def events_for(self, uid: str) -> list[ClusterEvent]:
        return self._stores[ClusterEvent].pointing_at(uid)

    def find(self, ref: Reference) -> KubeObject | None:
        for struct, store in self._stores.items():
            if (struct.kind, struct.api_version) == (ref.kind, ref.api_version):
                found: KubeObject | None = store.by_uid(ref.uid) if ref.uid else store.by_name(ref.namespace, ref.name)
                return found
        return None


def _regarding(item: KubeObject) -> Iterable[str]:
    return (item.regarding.uid,) if isinstance(item, ClusterEvent) and item.regarding.uid else ()


AUTO = Policy(namespaces={"shop": NamespaceRule(mode=Mode.AUTO)})


class NoGroups:
    """A cluster of which only the API groups are asked."""

    async def api_groups(self) -> frozenset[str]:
        """None are known."""
        return frozenset()


class QuietJournal(NoKnowledge):
    """A journal that has seen nothing."""

    on_drift: Any = None
    desired = None

    def __init__(self) -> None:
        self.keeper = SimpleNamespace(doubted=None)

    def confirmed(self, owner: ObjectRef) -> None:
        """Nothing is taken down."""


@contextlib.asynccontextmanager
async def open_test_ports(
    folder: Path, *, clock: Clock | None = None, mirror: FeedMirror | None = None, policy: Policy = AUTO
) -> AsyncGenerator[Ports]:
    """Ports with the real ledger in `folder` and everything a cluster would bring as a double."""
    ticking = clock or SystemClock()
    feed = mirror or FeedMirror()
    async with await Ledger.open(await ledger_at(folder / "ledger.db")) as ledger:
        good = GoodKeeper(ledger, ticking)
        yield Ports(
            cluster=cast("Any", NoGroups()),
            mirror=cast("Any", feed),
            contexts=Contexts(feed, confirmed=good.confirmed, symptoms=Symptoms()),
            objects=ObjectContexts(feed, QuietJournal()),
            journal=cast("Any", QuietJournal()),
            good=good,
            door=cast("Any", None),
            ledger=ledger,
            policy=policy,
            clock=ticking,
            model=None,
            timing=Timing(),
            limits=Limits(),
        )


@dataclass
class ScriptedHealer:
    """Ends incidents as the test says, and writes to the ledger what the graph would write.

    `ends` is the status of each incident to come (the last for all further); `gate` holds every run until it is set.
    """

    ports: Ports
    ends: list[Status] = field(default_factory=lambda: [Status.HEALED])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    runs: list[str] = field(default_factory=list[str])
    running: int = 0
    most_at_once: int = 0
    breaks_with: Exception | None = None
    outcomes: tuple[Executed, ...] = ()
    waiting: dict[str, Waiting] = field(default_factory=dict[str, Waiting])

    def __post_init__(self) -> None:
        self.gate.set()

    async def heal(self, incident_id: IncidentId, trigger: FromSignal | FromReference) -> ExecutionResult | Waiting:
        return await self._run(f"heal {incident_id}", incident_id)

    async def resume(self, incident_id: IncidentId) -> ExecutionResult | Waiting | None:
        self.runs.append(f"resume {incident_id}")
        return await self.result(incident_id)

    async def decide(self, incident_id: IncidentId, decision: Approved | Declined) -> ExecutionResult | Waiting:
        del self.waiting[incident_id]
        self.runs.append(f"decide {incident_id} {decision.kind}")
        return await self.end(incident_id, Status.HEALED if isinstance(decision, Approved) else Status.REFUSED)

    async def result(self, incident_id: IncidentId) -> ExecutionResult | Waiting | None:
        if incident_id in self.waiting:
            return self.waiting[incident_id]
        record = await self.ports.ledger.incident(incident_id)
        return ExecutionResult.model_validate(record.result) if record is not None and record.result else None

    async def _run(self, what: str, incident_id: IncidentId) -> ExecutionResult | Waiting:
        self.runs.append(what)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.tell(incident_id, "evidence", "Deployment shop/web: CRASH_LOOP on Pod web-1; 1 of 2 pods ready.")
            await self.gate.wait()
            if self.breaks_with is not None:
                raise self.breaks_with
            status = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
            return await self.ask(incident_id) if status is Status.WAITING else await self.end(incident_id, status)
        finally:
            self.running -= 1

    async def ask(self, incident_id: IncidentId) -> Waiting:
        record = await self._record(incident_id)
        now = self.ports.clock.now()
        await self.ports.ledger.save_incident(
            incident_id, status=Status.WAITING.value, is_open=True, document=record.document, now=now
        )
        plan = make_plan(now)
        ends = now + self.ports.timing.approval
        await self.ports.ledger.request_approval(incident_id, plan.hash, self.ports.policy.hash, ends, now)
        self.waiting[incident_id] = Waiting(
            incident_id=incident_id, plan=plan, plan_hash=plan.hash, policy_hash=self.ports.policy.hash,
            reasons=("the policy asks for approval here",), expires_at=ends,
        )  # fmt: skip
        return self.waiting[incident_id]

    async def end(self, incident_id: IncidentId, status: Status) -> ExecutionResult:
        record = await self._record(incident_id)
        now = self.ports.clock.now()
        code = {Status.OBSERVED: ReasonCode.OBSERVE_ONLY, Status.REFUSED: ReasonCode.COOLDOWN}.get(status)
        plan = make_plan(now)
        result = ExecutionResult(
            incident_id=incident_id, status=status, target=record.target, diagnosis=plan.diagnosis, plan=plan,
            outcomes=self.outcomes, verification=None, undo=None, opened_at=record.opened_at, attempts=1,
            resolution=Resolution(
                status=status, sentence=f"It ended {status.value}.", code=code, closed_at=now,
                recovered_at=now if status is Status.HEALED else None,
            ),
        )  # fmt: skip
        if code is not None:
            await self.tell(incident_id, "decision", "It was not done.", code=code.value)
        await self.tell(incident_id, "close", result.resolution.sentence)
        await self.ports.ledger.save_incident(
            incident_id, status=status.value, is_open=False, document=record.document,
            result=result.model_dump(mode="json"), now=now,
        )  # fmt: skip
        return result

    async def tell(self, incident_id: IncidentId, phase: str, sentence: str, code: str = "") -> None:
        await self.ports.ledger.record(
            AuditEntry(
                at=self.ports.clock.now(), incident_id=incident_id, phase=phase, actor="selfheal",
                sentence=sentence, code=code, data={},
            )
        )  # fmt: skip

    async def _record(self, incident_id: IncidentId) -> IncidentRecord:
        record = await self.ports.ledger.incident(incident_id)
        assert record is not None, f"{incident_id} runs without its row in the ledger"
        return record


def make_plan(now: datetime) -> Plan:
    action = RestartWorkload(action="restart_workload", kind="Deployment", namespace="shop", name="web")
    diagnosis = Diagnosis(
        cause="stuck", sentence="The process hangs.", confidence=0.9, origin=Origin.RULE, author="stuck_process"
    )
    return Plan(
        id=PlanId("plan-1"),
        diagnosis=diagnosis,
        steps=(Step(action=action, why="A restart frees it."),),
        created_at=now,
    )


async def admit_by_name(trigger: FromSignal | FromReference, ports: Ports) -> Admitted | Unknown:
    """Admission without a cluster: the object named is its own root, unless it is called `gone`."""
    ref = trigger.ref if isinstance(trigger, FromReference) else trigger.target
    if ref.name == "gone":
        return Unknown(f"{ref} does not exist: nothing is there")
    uid = trigger.target_uid if isinstance(trigger, FromSignal) else f"uid-{ref.name}"
    now = ports.clock.now()
    signal = trigger.signal if isinstance(trigger, FromSignal) else Signal(
        reason=Reason.REQUESTED, family=Family.REQUESTED, object=ref, uid=uid, observed_at=now
    )  # fmt: skip
    incident = Incident(
        id=IncidentId(uuid.uuid4().hex[:12]), fingerprint=fingerprint(uid, signal.family), target=ref, target_uid=uid,
        family=signal.family, source=Source.REQUEST, opened_at=now, signals=(signal,),
        detected_at=trigger.detected_at if isinstance(trigger, FromSignal) else None,
    )  # fmt: skip
    record, created = await ports.ledger.open_incident(
        IncidentRecord(
            id=incident.id, fingerprint=incident.fingerprint, target=ref, target_uid=uid, status=Status.OPEN.value,
            is_open=True, opened_at=now, updated_at=now, document=incident.model_dump(mode="json"),
        )
    )  # fmt: skip
    return Admitted(record, created)


def entry(trigger: FromReference, clock: Clock | None = None) -> InboxEntry:
    body: JsonObject = trigger.ref.model_dump(mode="json", exclude_none=True)
    return InboxEntry(
        id=uuid.uuid4().hex, received_at=(clock or SystemClock()).now(), source=trigger.source.value, body=body,
        body_hash="h",
    )  # fmt: skip


def asked(name: str = "web", kind: str = "Deployment") -> FromReference:
    return FromReference(ref=ObjectRef(kind=kind, namespace="shop", name=name))


@dataclass
class Running:
    """A service on a loopback socket."""

    service: Service
    healer: ScriptedHealer
    http: httpx.AsyncClient
    url: str


class PromptServer(Server):
    """The server without uvicorn's pauses of a tenth of a second at the end: more than a hundred tests wait for it."""

    async def main_loop(self) -> None:
        while not await self.on_tick(1):
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: object = None) -> None:
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(400):
            if not self.server_state.connections and not self.server_state.tasks:
                break
            await asyncio.sleep(0.005)
        await self.lifespan.shutdown()


@contextlib.asynccontextmanager
async def serve(
    folder: Path,
    *,
    settings: Settings | None = None,
    ends: list[Status] | None = None,
    mirror: FeedMirror | None = None,
    watch: bool = False,
    policy: Policy = AUTO,
    clock: Clock | None = None,
) -> AsyncGenerator[Running]:
    """The real application on a real socket, over a scripted healer and the real ledger."""
    chosen = settings or Settings.model_validate(
        {"token": f"{TOKEN},{OTHER_TOKEN}", "port": 0, "state_dir": folder, "drain_seconds": 1}
    )
    async with open_test_ports(folder, mirror=mirror, policy=policy, clock=clock) as ports:
        healer = ScriptedHealer(ports, ends=ends or [Status.HEALED])
        async with run_service(chosen, ports, healer, watch=watch, admission=admit_by_name) as service:
            app = create_app(chosen, opener=lambda _: contextlib.nullcontext(service))
            listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            config = uvicorn.Config(
                app, host=chosen.bind_address, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
            server = PromptServer(config, listening.set_result)
            task = asyncio.create_task(server.serve())
            url = f"http://127.0.0.1:{await listening}"
            headers = {"Authorization": f"Bearer {TOKEN}"}
            try:
                async with plain(url, headers=headers, timeout=30) as http:
                    yield Running(service, healer, http, url)
            finally:
                healer.gate.set()
                server.should_exit = True
                await task
