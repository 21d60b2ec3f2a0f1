"""Watches everything and opens incidents: the way in that is always on.

The way of a change: delta of the mirror → look at that one object with the detectors → a confirmed signal is submitted
at once, an unconfirmed one is looked at again when it is due.  There is no polling on that way and no await before the
submission, so that little time passes between the status update and the first write.

The rules it keeps: at most one incident per root owner (the ledger decides; what runs is not submitted again); what
ended without healing rests (`server.memory`); where the policy says off nothing is opened; a defect in one look is
logged and does not end the watch.  Kubernetes Events make it look again, they never are a signal by themselves.

Neighbours: `tools.cluster.mirror` feeds it, `graph.signals.look` judges, `server.dispatch` takes what it found,
`server.proving` tells the keeper of last known good revisions how workloads stand.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta

from graph.incident import FromSignal, Incident, Reason, Signal
from graph.plan import Status
from graph.ports import Ports
from graph.signals.common_cause import CommonCause
from graph.signals.look import look_at_pod, look_at_root, look_at_workload
from server.causes import Causes, Owner
from server.dispatch import Dispatcher
from server.entries import WATCHER_SOURCE
from server.logging import get_logger
from server.memory import RESTING, Memory, Rest
from server.objectwatch import PERIOD, ObjectWatch, held
from server.places import Obstacle, Places, lack_only_places
from server.proving import Proving, seen_root
from server.tickets import Dropped, StoppingError
from server.timers import Timers
from tools.cluster.objects import ClusterEvent, DaemonSet, Deployment, Pod, ReplicaSet, StatefulSet, Workload
from tools.cluster.structs import KubeObject
from tools.cluster.subscription import AnyDelta
from tools.errors import ToolError
from tools.guard.policy import MODE_ANNOTATION, Mode, mode_from_annotation, strictest
from tools.guard.verdict import ReasonCode
from tools.jsontypes import dig, digest
from tools.ledger.records import InboxEntry, IncidentRecord
from tools.refs import ObjectRef, absent_uid

_LOG = get_logger(__name__)
RETRY = timedelta(seconds=5)
"""After the ledger refused an entry: the object is looked at again."""
RECENT = 500
"""Incidents read at the start to remember what rests."""
GROUPS_EVERY = 20
"""Rounds of checks between two questions for the API groups: custom resources come and go by the hour."""
YIELD_EVERY = 50
"""Deltas handled in a row before other tasks get their turn: a replay is thousands of them."""


class Watcher:
    """Runs until it is cancelled.  `quiet` is how long an unhealed symptom rests."""

    def __init__(self, ports: Ports, dispatcher: Dispatcher, *, quiet: timedelta = timedelta(minutes=10)) -> None:
        self._ports = ports
        self._dispatcher = dispatcher
        self._quiet = quiet
        self._memory = Memory(quiet)
        self._timers: Timers[ObjectRef] = Timers(ports.clock)
        self._causes = Causes(ports)
        self._places = Places(ports)
        self._kept: dict[str, set[ObjectRef]] = {}
        self._objects = ObjectWatch(ports, raise_=self._raise_on_object, look_soon=self._timers.at)
        self._proving = Proving(ports)
        self._opening: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        dispatcher.on_end(self._ended)

    def rests(self, owner_uid: str) -> list[tuple[str, Rest]]:
        """What rests on an owner, as reason codes, for whoever asks why nothing happens."""
        return [(reason.value, rest) for (reason, _, _), rest in self._memory.rests_of(owner_uid).items()]

    async def run(self) -> None:
        """Sync, remember, look at everything once, then follow the changes."""
        await self._synced()
        await self._remember()
        self._ports.journal.on_drift = self._look_soon
        self._ports.journal.keeper.doubted = self._is_doubted
        subscription = self._ports.mirror.subscribe(replay=True)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_again(), name="watcher timers")
                group.create_task(self._proving.confirm(), name="watcher good")
                group.create_task(self._check_from_time_to_time(), name="watcher checks")
                handled = 0
                async for delta in subscription:
                    self._handle(delta)
                    handled += 1
                    if handled % YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                raise RuntimeError("the mirror was closed under the watcher")
        finally:
            subscription.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _synced(self) -> None:
        mirror = self._ports.mirror
        while not await mirror.synced(timedelta(seconds=30)):
            waits_for = sorted({r.resource.plural for r in mirror.reflectors if not r.settled.is_set()})
            _LOG.warning("watcher.syncing", waits_for=waits_for)
        if unseen := [*mirror.unavailable(), *mirror.blind_spots()]:
            _LOG.warning("watcher.blind", cannot_see=unseen)

    async def _remember(self) -> None:
        """What rests from before a restart, and which revisions were good."""
        now = self._ports.clock.now()
        for record in reversed(await self._ports.ledger.incidents(limit=RECENT)):
            if record.closed_at is not None and now - record.closed_at < self._quiet:
                signals = Incident.model_validate(record.document).signals
                self._memory.ended(record.target_uid, Status(record.status), opened_for=signals, now=record.closed_at)
        for workload in self._ports.mirror.workloads():
            await self._ports.good.load(workload.uid)

    # From a change to a look

    def _handle(self, delta: AnyDelta) -> None:
        """One delta.  Never raises: one object that a detector cannot stand must not blind us for all others."""
        at = delta.received_at or self._ports.clock.now()
        try:
            match delta.object:
                case Pod() | ReplicaSet() | ClusterEvent() if delta.kind == "gone":
                    self._forget(delta.object)
                case Pod() as pod:
                    self._look_at_pod(pod, at)
                    self._proving.look(pod)
                case Deployment() | StatefulSet() | DaemonSet() as workload:
                    self._handle_workload(workload, delta, at)
                case ReplicaSet() as replica_set:
                    self._handle_replica_set(replica_set, at, is_new=delta.kind == "added")
                case ClusterEvent(type="Warning") as event:
                    self._look_at_named(event, at)
                case _:
                    pass
            self._objects.handle(delta, at)
        except Exception:  # noqa: BLE001 -- the boundary of one look; the watch goes on
            _LOG.exception("watcher.broken", object=str(delta.object.ref))

    def _handle_workload(self, workload: Workload, delta: AnyDelta, at: datetime) -> None:
        if delta.kind == "gone":
            self._forget(workload)
            return
        if delta.kind == "added":
            self._spawn(self._proving.load(workload.uid))
        is_changed = delta.old is None or delta.old.metadata.generation != workload.metadata.generation
        if is_changed:  # a new spec changes what its pods' states mean
            self._look_at_root(workload, at)
        else:
            self._look_at_workload(workload, at)
        self._proving.look(workload)

    def _handle_replica_set(self, replica_set: ReplicaSet, at: datetime, *, is_new: bool) -> None:
        """Its failures stand in the Deployment's conditions; pods that came before it could not be judged."""
        if is_new:
            for pod in self._ports.mirror.pods_of(replica_set.uid):
                self._look_at_pod(pod, at)

    def _look_at_named(self, event: ClusterEvent, at: datetime) -> None:
        """An Event is about something: look at that."""
        found = self._ports.mirror.find(event.regarding)
        match found:
            case Pod():
                self._look_at_pod(found, at)
            case Deployment() | StatefulSet() | DaemonSet():
                self._look_at_workload(found, at)
            case ReplicaSet():
                owner = seen_root(self._ports.mirror, found)
                workload = self._ports.mirror.workload(owner.ref.kind, owner.ref.namespace, owner.ref.name)
                if workload is not None:
                    self._look_at_workload(workload, at)
            case _:
                pass

    def _look_at_pod(self, pod: Pod, at: datetime) -> None:
        self._raise(look_at_pod(pod, self._ports.contexts, self._ports.clock.now()), pod, at)

    def _look_at_workload(self, workload: Workload, at: datetime) -> None:
        self._raise(look_at_workload(workload, self._ports.contexts, self._ports.clock.now()), workload, at)

    def _look_at_root(self, workload: Workload, at: datetime) -> None:
        self._raise(look_at_root(workload, self._ports.contexts, self._ports.clock.now()), workload, at)

    async def _look_again(self) -> None:
        """What is due: unconfirmed signals, quiet periods that are over, targets whose incident ended."""
        while True:
            ref, at = await self._timers.due()
            try:
                self._look_at_ref(ref, at)
            except Exception:  # noqa: BLE001 -- as in `_handle`
                _LOG.exception("watcher.broken", object=str(ref))

    def _look_at_ref(self, ref: ObjectRef, at: datetime) -> None:
        mirror = self._ports.mirror
        if ref.kind == Pod.kind:
            pod = mirror.pod(ref.namespace or "", ref.name)
            if pod is not None:
                self._look_at_pod(pod, at)
            return
        workload = mirror.workload(ref.kind, ref.namespace, ref.name)
        if workload is not None:
            self._look_at_root(workload, at)
        self._objects.look(ref, at)

    def _is_doubted(self, ref: ObjectRef) -> bool:
        """Whether the object shows a symptom, or had one that nobody has healed: then it is not taken for good."""
        item = held(ref, self._ports)
        if item is None:
            return False
        shows = bool(self._objects.seen(ref, item.uid)) or bool(self._memory.rests_of(item.uid))
        return shows or self._dispatcher.incident_on(item.uid) is not None

    def _look_soon(self, ref: ObjectRef) -> None:
        """As soon as the loop is free."""
        self._timers.at(ref, self._ports.clock.now())

    async def _check_from_time_to_time(self) -> None:
        """What no change announces: silent faults that only looking finds."""
        for rounds in itertools.count():
            if rounds % GROUPS_EVERY == 0:
                await self._objects.learn_groups()
            await self._ports.clock.sleep(PERIOD)
            try:
                self._objects.check()
            except Exception:  # noqa: BLE001 -- as in `_handle`
                _LOG.exception("watcher.broken", object="check")

    # From a signal to an incident

    def _raise(self, signals: Sequence[Signal], seen_on: KubeObject, at: datetime) -> None:
        """Submit what is confirmed and new about the root owner of what was looked at."""
        if signals:
            self._raise_on(seen_root(self._ports.mirror, seen_on), signals, at)

    def _raise_on_object(self, signals: Sequence[Signal], at: datetime) -> None:
        """The same for what was found on objects: each is its own owner, and one that is gone stands for its name."""
        for ref in dict.fromkeys(s.object for s in signals):
            found = [s for s in signals if s.object == ref]
            is_gone = found[0].reason is Reason.OBJECT_MISSING
            self._raise_on(Owner(ref, absent_uid(ref) if is_gone else found[0].uid), found, at)

    def _raise_on(self, owner: Owner, signals: Sequence[Signal], at: datetime) -> None:
        """Submit what is confirmed and new; come back for what is not confirmed yet.

        `at` is when we received what was looked at, or when its grace ended: the time to the first write counts on.
        """
        for signal in signals:
            if not signal.confirmed and signal.due_at is not None:
                self._timers.at(signal.object, signal.due_at)
        confirmed = [s for s in signals if s.confirmed]
        if not confirmed:
            return
        if owner.uid in self._opening or self._dispatcher.incident_on(owner.uid) is not None:
            return  # looked at again when that incident has ended
        mode = self.mode_of(owner.ref)
        if mode is Mode.OFF:
            return
        now = self._ports.clock.now()
        if self._is_seen_to_elsewhere(confirmed, owner, now):
            return
        cause = self._causes.common(confirmed[0], owner.ref, owner.uid)
        if cause is not None:
            self._raise_common(cause, at)
            return
        may_act = mode in {Mode.AUTO, Mode.APPROVE}
        for signal in confirmed:
            rest = self._memory.resting(owner.uid, signal, now, may_act=may_act)
            if rest is None:
                self._opening.add(owner.uid)
                affected = self._failing_for(owner)
                if affected:
                    self._kept.setdefault(owner.uid, set()).update(affected)
                self._spawn(self._open(signal, owner, at, affected=affected))
                return
            self._timers.at(owner.ref, rest.until)

    def _failing_for(self, owner: Owner) -> tuple[ObjectRef, ...]:
        """Others that fail because of it, as far as that is known without asking."""
        return self._places.kept_out(owner) or self._objects.failing_for(owner.ref)

    def _is_seen_to_elsewhere(self, confirmed: Sequence[Signal], owner: Owner, now: datetime) -> bool:
        """Whether what keeps its pods from a place has, or is about to have, an incident: one at the cause is enough.

        After yes: the workload is looked at again when that incident has ended, and from time to time.  What it began
        to wait for it waits for to the end: the remedy may take the cause away for a moment, to make it anew.
        """
        if not lack_only_places(confirmed):
            return False
        causes = [uid for uid, kept in self._kept.items() if owner.ref in kept and self._dispatcher.incident_on(uid)]
        obstacles = self._places.obstacles(confirmed, owner)
        causes += [o.owner.uid for o in obstacles if self._is_looked_after(o, now)]
        for uid in causes:
            self._kept.setdefault(uid, set()).add(owner.ref)
        if causes:
            self._timers.at(owner.ref, now + PERIOD)
        return bool(causes)

    def _is_looked_after(self, obstacle: Obstacle, now: datetime) -> bool:
        uid, signal = obstacle.owner.uid, obstacle.signal
        if uid in self._opening or self._dispatcher.incident_on(uid) is not None:
            return True
        mode = self.mode_of(obstacle.owner.ref)
        rest = self._memory.resting(uid, signal, now, may_act=mode in {Mode.AUTO, Mode.APPROVE})
        if mode is Mode.OFF or (rest is not None and rest.status in RESTING):
            return False
        self._timers.at(obstacle.owner.ref, signal.due_at or now)
        return True

    def _raise_common(self, cause: CommonCause, at: datetime) -> None:
        """One incident at the cause, with those that fail for it; none of these opens one of its own."""
        owner, signal = self._causes.trouble(cause)
        if owner.uid in self._opening or self._dispatcher.incident_on(owner.uid) is not None:
            return
        may_act = self.mode_of(owner.ref) in {Mode.AUTO, Mode.APPROVE}
        rest = self._memory.resting(owner.uid, signal, self._ports.clock.now(), may_act=may_act)
        if rest is not None:
            self._timers.at(owner.ref, rest.until)
            return
        self._opening.add(owner.uid)
        self._spawn(self._open(signal, owner, at, affected=cause.targets[:50]))

    def mode_of(self, ref: ObjectRef) -> Mode:
        """What the policy and the workload's own annotation allow at most; the guard asks more exactly."""
        mode = self._ports.policy.mode_for(ref.namespace or "", "")
        workload = self._ports.mirror.workload(ref.kind, ref.namespace, ref.name)
        if workload is None:
            return mode
        own = mode_from_annotation(workload.metadata.annotations.get(MODE_ANNOTATION))
        return mode if own is None else strictest(mode, own)

    async def _open(
        self, signal: Signal, owner: Owner, detected_at: datetime, *, affected: tuple[ObjectRef, ...] = ()
    ) -> None:
        """Submit, and hold the target until the incident has ended."""
        pause = timedelta(0)
        try:
            trigger = FromSignal(
                signal=signal, target=owner.ref, target_uid=owner.uid, detected_at=detected_at, affected=affected
            )
            body = trigger.model_dump(mode="json")
            entry = InboxEntry(
                id=uuid.uuid4().hex,
                received_at=self._ports.clock.now(),
                source=WATCHER_SOURCE,
                body=body,
                body_hash=digest(body),
            )
            ticket = await self._dispatcher.submit(entry, trigger)
            incident_id = await ticket.admitted()
            _LOG.info(
                "incident.opened",
                incident_id=incident_id,
                target=str(owner.ref),
                reason=signal.reason.value,
                object=str(signal.object),
                container=signal.container,
                joined=ticket.joined,
            )
            outcome = await ticket.result()
            if isinstance(outcome, Dropped):
                _LOG.warning("watcher.dropped", target=str(owner.ref), code=outcome.code, sentence=outcome.sentence)
                now = self._ports.clock.now()
                self._memory.ended(owner.uid, Status.ESCALATED, opened_for=[signal], now=now)
                pause = self._quiet
        except StoppingError:
            return
        except ToolError as error:  # the ledger did not take it; the signal is still there in a moment
            _LOG.warning("watcher.unaccepted", target=str(owner.ref), code=error.code, error=str(error))
            pause = RETRY
        finally:
            self._opening.discard(owner.uid)
        self._timers.at(owner.ref, self._ports.clock.now() + pause)

    async def _ended(self, record: IncidentRecord) -> None:
        """An incident ended, whoever opened it: remember what rests, and look again at what else there is."""
        now = self._ports.clock.now()
        target = record.target
        workload = self._ports.mirror.workload(target.kind, target.namespace, target.name)
        still_seen = [s for s in self._objects.seen(target, record.target_uid) if s.confirmed]
        if workload is not None and workload.uid == record.target_uid:
            still_seen += [s for s in look_at_root(workload, self._ports.contexts, now) if s.confirmed]
        incident = Incident.model_validate(record.document)
        opened_for = incident.signals
        self._memory.ended(
            record.target_uid,
            Status(record.status),
            opened_for=opened_for,
            still_seen=still_seen,
            now=now,
            retry_after=_retry_after(record),
            left_alone=_retry_after(record) if _is_quarantined(record) else None,
        )
        for ref in (target, *incident.affected, *self._kept.pop(record.target_uid, ())):
            self._timers.at(ref, now)

    def _forget(self, item: KubeObject) -> None:
        self._ports.contexts.symptoms.forget(item.uid)
        if isinstance(item, Workload):
            self._memory.forget(item.uid)
            self._ports.good.forget(item.uid)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_quarantined(record: IncidentRecord) -> bool:
    """Whether it ended because its object breaks again and again: a person was called, once is enough."""
    return dig(record.result, "resolution", "code") == ReasonCode.QUARANTINED.value if record.result else False


def _retry_after(record: IncidentRecord) -> timedelta | None:
    """When what refused the plan may say yes; None when waiting changes nothing."""
    seconds = dig(record.result, "resolution", "retry_after_seconds") if record.result is not None else None
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return timedelta(seconds=seconds) if is_number and isinstance(seconds, int | float) else None
