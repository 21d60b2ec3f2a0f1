"""The watcher over objects as an API server shows them: what opens an incident, when, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from graph.incident import Incident, Reason
from graph.plan import Status
from graph.ports import Ports
from server.dispatch import Dispatcher
from server.watcher import Watcher
from tests.server.manifests import (
    bad_image,
    deployment,
    missing_config,
    pod,
    replica_set,
    running,
    stamp,
)
from tests.server.support import (
    AUTO,
    FeedMirror,
    ScriptedHealer,
    SteppedClock,
    admit_by_name,
    eventually,
    open_test_ports,
    settle,
)
from tools.cluster.objects import ClusterEvent, Deployment, Pod, ReplicaSet
from tools.guard.policy import Mode, NamespaceRule, Policy
from tools.ledger.records import IncidentRecord

QUIET = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


class World:
    """A watched namespace with one Deployment, `web`."""

    def __init__(self, ports: Ports, mirror: FeedMirror, clock: SteppedClock, healer: ScriptedHealer) -> None:
        self.ports, self.mirror, self.clock, self.healer = ports, mirror, clock, healer
        self.dispatcher = Dispatcher(ports, healer, admission=admit_by_name)
        self.watcher = Watcher(ports, self.dispatcher, quiet=QUIET)

    async def incidents(self) -> list[IncidentRecord]:
        """Oldest first."""
        await settle()
        return list(reversed(await self.ports.ledger.incidents()))

    async def count(self) -> int:
        return len(await self.incidents())

    def healthy(self) -> None:
        self.mirror.put(deployment(ready=1), Deployment)
        self.mirror.put(replica_set(), ReplicaSet)
        self.mirror.put(pod(running(self.clock.now()), self.clock.now()), Pod)

    def broken(self, revision: str = "5d8") -> None:
        """The pod's image name does not parse: a signal that is confirmed at once."""
        self.mirror.put(pod(bad_image(), self.clock.now(), revision=revision), Pod)


@asynccontextmanager
async def world(
    folder: Path,
    *,
    policy: Policy = AUTO,
    ends: list[Status] | None = None,
    mirror: FeedMirror | None = None,
    clock: SteppedClock | None = None,
) -> AsyncGenerator[World]:
    ticking = clock or SteppedClock()
    feed = mirror or FeedMirror(ticking)
    async with open_test_ports(folder, clock=ticking, mirror=feed, policy=policy) as ports:
        w = World(ports, feed, ticking, ScriptedHealer(ports, ends=ends or [Status.HEALED]))
        if mirror is None:
            w.healthy()
        task = asyncio.create_task(w.watcher.run())
        await settle()
        try:
            yield w
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await w.dispatcher.close(timedelta(0))


async def test_a_confirmed_signal_opens_one_incident_about_the_owner(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert await w.count() == 0
        w.broken()
        (record,) = await w.incidents()
        assert str(record.target) == "shop/Deployment/web"
        assert record.target_uid == "uid-web"
        (signal,) = Incident.model_validate(record.document).signals
        assert signal.reason is Reason.IMAGE_NAME_INVALID
        assert signal.observed_at == w.clock.now(), "the moment our watch received it"
        assert Incident.model_validate(record.document).detected_at == w.clock.now()
        assert await w.ports.ledger.waiting() == []


async def test_an_unconfirmed_signal_opens_nothing_before_it_is_due(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        seen_at = w.clock.now()
        w.mirror.put(pod(missing_config(), seen_at), Pod)
        await w.clock.step(timedelta(seconds=0.5))
        assert await w.count() == 0
        await w.clock.step(5 * SECOND)
        (record,) = await w.incidents()
        incident = Incident.model_validate(record.document)
        (signal,) = incident.signals
        assert signal.observed_at == seen_at
        assert incident.detected_at is not None
        assert seen_at < incident.detected_at < w.clock.now(), "its grace ended in between"


async def test_what_goes_away_within_its_grace_opens_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.mirror.put(pod(missing_config(), w.clock.now()), Pod)
        await w.clock.step(timedelta(seconds=0.5))
        w.mirror.put(pod(running(w.clock.now()), w.clock.now()), Pod)
        await w.clock.step(timedelta(minutes=5))
        assert await w.count() == 0


async def test_a_killed_pod_that_comes_back_is_no_incident(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.mirror.drop("uid-pod-web-5d8", Pod)
        w.mirror.put(pod({"waiting": {"reason": "ContainerCreating"}}, w.clock.now()), Pod)
        await w.clock.step(3 * SECOND)
        w.mirror.put(pod(running(w.clock.now()), w.clock.now()), Pod)
        await w.clock.step(timedelta(minutes=2))
        assert await w.count() == 0


async def test_while_an_incident_runs_nothing_more_is_submitted_for_its_target(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.healer.gate.clear()
        w.broken()
        await settle()
        for _ in range(20):
            w.broken()
        assert await w.count() == 1
        assert len(w.healer.runs) == 1
        w.healer.ends = [Status.HEALED]
        w.mirror.put(pod(running(w.clock.now()), w.clock.now()), Pod)
        w.healer.gate.set()
        await w.clock.step(timedelta(minutes=1))
        assert await w.count() == 1


async def test_existing_failures_are_found_at_the_start_once_the_view_is_complete(tmp_path: Path) -> None:
    clock = SteppedClock()
    mirror = FeedMirror(clock)
    mirror.is_synced.clear()
    mirror.put(deployment(), Deployment)
    mirror.put(pod(bad_image(), clock.now()), Pod)
    async with world(tmp_path, mirror=mirror, clock=clock) as w:
        assert await w.count() == 0
        mirror.put(replica_set(), ReplicaSet)
        mirror.is_synced.set()
        await settle()
        assert await w.count() == 1


async def test_a_pod_seen_before_its_owner_is_judged_when_the_owner_comes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.broken(revision="9f1")
        assert await w.count() == 0
        w.mirror.put(replica_set("9f1", number=2), ReplicaSet)
        assert await w.count() == 1


@pytest.mark.parametrize("status", [Status.ESCALATED, Status.REFUSED])
async def test_an_unhealed_signal_rests_and_each_time_longer(tmp_path: Path, status: Status) -> None:
    async with world(tmp_path, ends=[status]) as w:
        w.broken()
        assert await w.count() == 1
        w.broken()
        await w.clock.step(QUIET - 5 * SECOND)
        assert await w.count() == 1
        await w.clock.step(10 * SECOND)
        assert await w.count() == 2, "after the quiet period it is looked at again"
        await w.clock.step(QUIET + 10 * SECOND)
        assert await w.count() == 2, "the second rest is twice as long"
        await w.clock.step(QUIET)
        assert await w.count() == 3


async def test_a_changed_signal_is_new_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, ends=[Status.ESCALATED]) as w:
        w.broken()
        assert await w.count() == 1
        w.mirror.put(replica_set("9f1", number=2), ReplicaSet)
        w.broken(revision="9f1")
        assert await w.count() == 2, "another revision"
        w.mirror.put(pod(missing_config(), w.clock.now()), Pod)
        await w.clock.step(5 * SECOND)
        assert await w.count() == 3, "another reason"


async def test_a_healed_target_that_breaks_again_is_opened_again_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for expected in (1, 2):
            w.healer.gate.clear()
            w.broken()
            await settle()
            w.mirror.put(pod(running(w.clock.now()), w.clock.now()), Pod)
            await settle()
            w.healer.gate.set()
            assert await w.count() == expected


async def test_what_is_seen_after_it_was_called_healed_is_not_opened_in_a_loop(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.broken()
        await w.clock.step(20 * SECOND)
        assert await w.count() == 1
        await w.clock.step(15 * SECOND)
        assert await w.count() == 2


async def test_what_rests_is_remembered_over_a_restart(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with world(tmp_path, ends=[Status.ESCALATED], clock=clock) as w:
        w.broken()
        assert await w.count() == 1
    mirror = w.mirror
    async with world(tmp_path, ends=[Status.ESCALATED], mirror=mirror, clock=clock) as w:
        await w.clock.step(QUIET / 2)
        assert await w.count() == 1
        await w.clock.step(QUIET)
        assert await w.count() == 2


async def test_what_was_only_observed_is_opened_again_when_acting_is_allowed(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with world(tmp_path, policy=Policy(), ends=[Status.OBSERVED], clock=clock) as w:
        w.broken()
        await w.clock.step(SECOND)
        assert await w.count() == 1
    mirror = w.mirror
    async with world(tmp_path, policy=AUTO, mirror=mirror, clock=clock) as w:
        assert await w.count() == 2


OFF = Policy(namespaces={"shop": NamespaceRule(mode=Mode.OFF)})


async def test_mode_off_opens_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, policy=OFF) as w:
        w.broken()
        await w.clock.step(timedelta(minutes=1))
        assert await w.count() == 0


async def test_an_annotation_may_switch_one_workload_off(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.mirror.put(deployment(annotations={"selfheal.dev/mode": "off"}), Deployment)
        w.broken()
        assert await w.count() == 0
        w.mirror.put(deployment(), Deployment)
        w.broken()
        assert await w.count() == 1


async def test_an_event_alone_is_no_signal(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        now = w.clock.now()
        for number, reason in enumerate(["BackOff", "Failed", "Unhealthy", "FailedScheduling"]):
            w.mirror.put(
                {
                    "metadata": {"name": f"e{number}", "namespace": "shop", "uid": f"uid-e{number}"},
                    "regarding": {
                        "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-5d8-x",
                        "uid": "uid-pod-web-5d8",
                    },
                    "type": "Warning",
                    "reason": reason,
                    "note": "everything is terrible",
                    "eventTime": stamp(now),
                },
                ClusterEvent,
            )  # fmt: skip
        await w.clock.step(timedelta(minutes=2))
        assert await w.count() == 0


async def test_an_object_that_a_detector_cannot_stand_does_not_blind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        for_pod = w.ports.contexts.for_pod

        def fails_once(*args: object) -> object:
            monkeypatch.setattr(w.ports.contexts, "for_pod", for_pod)
            raise RecursionError

        monkeypatch.setattr(w.ports.contexts, "for_pod", fails_once)
        w.broken()
        assert await w.count() == 0
        w.broken()
        assert await w.count() == 1


async def test_when_the_ledger_refuses_the_signal_is_brought_again(tmp_path: Path) -> None:
    from tools.ledger.errors import LedgerError

    async with world(tmp_path) as w:
        accept = w.ports.ledger.accept
        refusals = 0

        async def full(entry: object) -> object:
            nonlocal refusals
            refusals += 1
            raise LedgerError("disk full")

        w.ports.ledger.accept = full  # type: ignore[method-assign, assignment]
        w.broken()
        await w.clock.step(SECOND)
        w.ports.ledger.accept = accept  # type: ignore[method-assign]
        assert (refusals, await w.count()) == (1, 0)
        await w.clock.step(6 * SECOND)
        assert await w.count() == 1


async def test_a_target_that_is_gone_by_admission_rests(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.mirror.put(deployment(name="gone"), Deployment)
        w.mirror.put(replica_set(name="gone"), ReplicaSet)
        w.mirror.put(pod(bad_image(), w.clock.now(), name="gone"), Pod)
        await w.clock.step(timedelta(minutes=5))
        assert await w.count() == 0
        assert w.healer.runs == []
        rests = w.watcher.rests("uid-gone")
        assert [reason for reason, _ in rests] == ["IMAGE_NAME_INVALID"]


async def test_a_revision_that_stays_healthy_becomes_last_known_good(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.clock.step(timedelta(seconds=25))
        assert await w.ports.ledger.good_revisions("uid-web") == []
        await w.clock.step(timedelta(seconds=10))
        (good,) = await w.ports.ledger.good_revisions("uid-web")
        assert good.revision_hash == "5d8"


async def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path, ends=[Status.ESCALATED]) as w:
        w.broken()
        assert await w.count() == 1
        assert w.watcher.rests("uid-web")
        w.mirror.drop("uid-pod-web-5d8", Pod)
        w.mirror.drop("uid-web", Deployment)
        await settle()
        assert w.watcher.rests("uid-web") == []
        assert len(w.ports.contexts.symptoms) == 0


async def test_an_incident_that_somebody_asked_for_makes_the_watcher_rest_too(tmp_path: Path) -> None:
    from tests.server.support import asked, entry

    async with world(tmp_path, ends=[Status.ESCALATED]) as w:
        w.healer.gate.clear()
        await w.dispatcher.submit(entry(asked(), w.clock), asked())
        await eventually(lambda: bool(w.healer.runs), "the run")
        w.broken()
        await settle()
        w.healer.gate.set()
        await w.clock.step(SECOND)
        assert await w.count() == 1
