"""When a revision is confirmed as good: ready, complete, and for long enough without a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.graph.signals.samples import (
    LIVENESS,
    READINESS,
    at,
    container,
    daemon_set,
    deployment,
    is_ready,
    not_ready,
    pod,
    running,
    stateful_set,
    status,
)
from tools.cluster.objects import Pod, Workload
from tools.errors import Unreachable
from tools.journal.good import GoodKeeper, proving_time
from tools.ledger.records import GoodRevision
from tools.refs import ObjectRef


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = at(0)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, delay: timedelta) -> None:
        self.time += delay


@dataclass
class Book:
    kept: list[GoodRevision] = field(default_factory=list)
    is_away: bool = False

    async def confirm_good(self, good: GoodRevision) -> None:
        if self.is_away:
            raise Unreachable("the ledger")
        self.kept.append(good)

    async def good_revisions(self, owner_uid: str) -> list[GoodRevision]:
        return [g for g in self.kept if g.owner_uid == owner_uid]


def serving(
    name: str = "web-1",
    *,
    started: float = 2,
    ready: float = 4,
    revision: str = "7f9c",
    restarts: int = 0,
    **changes: bool,
) -> Pod:
    return pod(
        status(running(started), ready=True, restarts=restarts),
        phase="Running",
        containers=[container(readinessProbe=READINESS, livenessProbe=LIVENESS)],
        conditions=is_ready(ready),
        labels={"pod-template-hash": revision},
        name=name,
        uid=name,
        grace=0,
        **changes,
    )


TWO = [serving("web-1"), serving("web-2", ready=10)]


async def keeper() -> tuple[GoodKeeper, Hands, Book]:
    clock, book = Hands(), Book()
    return GoodKeeper(book, clock), clock, book


async def test_a_revision_is_confirmed_thirty_seconds_after_its_last_pod_became_ready() -> None:
    subject, clock, book = await keeper()
    clock.time = at(12)
    assert subject.observe(deployment(), TWO) == at(40)
    clock.time = at(39.9)
    assert await subject.settle() == []
    clock.time = at(40)
    assert [(g.owner_uid, str(g.owner), g.revision_hash, g.confirmed_at) for g in await subject.settle()] == [
        ("dep", "shop/Deployment/web", "7f9c", at(40))
    ]
    assert len(book.kept) == 1
    assert subject.confirmed("dep") == {"7f9c"}


async def test_it_is_recorded_once() -> None:
    subject, clock, book = await keeper()
    clock.time = at(60)
    for _ in range(3):
        subject.observe(deployment(), TWO)
        await subject.settle()
    assert len(book.kept) == 1


async def test_a_restart_of_ours_neither_loses_nor_shortens_the_time() -> None:
    _, clock, book = await keeper()
    reborn = GoodKeeper(book, clock)
    clock.time = at(35)
    assert reborn.observe(deployment(), TWO) == at(40)
    assert await reborn.settle() == []
    clock.time = at(41)
    assert len(await reborn.settle()) == 1


async def test_a_restarted_container_begins_anew() -> None:
    subject, clock, _ = await keeper()
    subject.observe(deployment(), TWO)
    clock.time = at(35)
    assert subject.observe(deployment(), [TWO[0], serving("web-2", started=33, ready=34, restarts=1)]) == at(64)
    clock.time = at(45)
    assert await subject.settle() == []


async def test_falling_out_of_health_takes_it_off_the_list() -> None:
    subject, clock, book = await keeper()
    subject.observe(deployment(), TWO)
    assert subject.observe(deployment(readyReplicas=1), TWO) is None
    clock.time = at(600)
    assert await subject.settle() == []
    assert book.kept == []


UNREADY = pod(status(running(2)), phase="Running", conditions=not_ready(4), labels={"pod-template-hash": "7f9c"})
NOT_YET: dict[str, tuple[Workload, list[Pod]]] = {
    "half updated": (deployment(updatedReplicas=1), TWO),
    "a pod too many": (deployment(), [*TWO, serving("web-3")]),
    "a replica too many, by the controller's count": (deployment(unavailableReplicas=0, readyReplicas=1), TWO),
    "a pod too few in view": (deployment(), TWO[:1]),
    "two revisions": (deployment(), [TWO[0], serving("web-2", revision="other")]),
    "no replicas": (deployment(replicas=0), []),
    "a change nobody has seen": (deployment(observedGeneration=2), TWO),
    "an unready pod, whatever the counters say": (deployment(), [TWO[0], UNREADY]),
    "being deleted": (deployment(deleting=True), TWO),
    "StatefulSet between two revisions": (stateful_set(updateRevision="db-2"), TWO),
    "DaemonSet without all its pods": (daemon_set(numberReady=1), TWO),
}


@pytest.mark.parametrize(("workload", "pods"), NOT_YET.values(), ids=NOT_YET)
async def test_not_yet(workload: Workload, pods: list[Pod]) -> None:
    subject, _, _ = await keeper()
    assert subject.observe(workload, pods) is None


async def test_pods_that_go_or_have_failed_do_not_count() -> None:
    subject, _, _ = await keeper()
    gone = [serving("web-3", deleting=True), pod(phase="Failed", reason="Evicted", message="x", uid="f")]
    assert subject.observe(deployment(), [*TWO, *gone]) == at(40)


async def test_the_other_kinds_are_confirmed_as_well() -> None:
    subject, clock, _ = await keeper()
    named = [
        pod(
            status(running(2), ready=True),
            phase="Running",
            conditions=is_ready(4),
            labels={"controller-revision-hash": h},
            uid=u,
        )
        for h, u in (("db-1", "a"), ("db-1", "b"))
    ]
    clock.time = at(60)
    subject.observe(stateful_set(), named)
    subject.observe(daemon_set(), named)
    assert {str(g.owner): g.revision_hash for g in await subject.settle()} == {
        "shop/StatefulSet/db": "db-1",
        "shop/DaemonSet/agent": "db-1",
    }


async def test_a_ledger_that_is_away_loses_nothing() -> None:
    subject, clock, book = await keeper()
    subject.observe(deployment(), TWO)
    clock.time, book.is_away = at(60), True
    with pytest.raises(Unreachable):
        await subject.settle()
    assert subject.confirmed("dep") == frozenset()
    book.is_away = False
    assert len(await subject.settle()) == 1


async def test_what_was_confirmed_before_is_loaded() -> None:
    subject, clock, book = await keeper()
    clock.time = at(60)
    subject.observe(deployment(), TWO)
    await subject.settle()
    reborn = GoodKeeper(book, clock)
    assert reborn.confirmed("dep") == frozenset()
    await reborn.load("dep")
    await reborn.load("dep")
    assert reborn.confirmed("dep") == {"7f9c"}
    reborn.forget("dep")
    assert reborn.confirmed("dep") == frozenset()


async def test_what_is_recorded_before_loading_does_not_hide_what_was_confirmed_before() -> None:
    subject, clock, book = await keeper()
    book.kept.append(
        GoodRevision(
            owner_uid="dep",
            owner=ObjectRef(kind="Deployment", namespace="shop", name="web"),
            revision_hash="earlier",
            confirmed_at=at(-900),
        )
    )
    clock.time = at(60)
    subject.observe(deployment(), TWO)
    await subject.settle()
    await subject.load("dep")
    assert subject.confirmed("dep") == {"7f9c", "earlier"}


def probed(grace: int | None = 0, **probe: int) -> Pod:
    liveness = {"httpGet": {"path": "/", "port": 1}, **probe}
    return pod(containers=[container(livenessProbe=liveness)], grace=grace)


@pytest.mark.parametrize(
    ("subject", "seconds"),
    [
        (pod(), 30),
        (probed(periodSeconds=5, failureThreshold=3), 30),
        (probed(periodSeconds=10, failureThreshold=3, initialDelaySeconds=15), 90),
        (probed(periodSeconds=10, failureThreshold=3, grace=20), 80),
        (probed(periodSeconds=10, failureThreshold=3, grace=None), 90),
        (probed(periodSeconds=3600, failureThreshold=10), 1800),
        (pod(grace=600), 30),
    ],
    ids=[
        "no probe",
        "quick probe",
        "slow probe: twice its budget",
        "a program that ignores the request to end: its grace too",
        "no grace is said: Kubernetes gives thirty seconds",
        "probe of hours: bounded",
        "a grace without a probe: nobody kills it",
    ],
)
def test_proving_time(subject: Pod, seconds: int) -> None:
    assert proving_time(subject.spec) == timedelta(seconds=seconds)
