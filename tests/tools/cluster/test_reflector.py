"""The reflector against twelve ways an API server fails.

Each fault lasts a minute of the jumping clock, during which the world changes; afterwards the store must be right, and
the server must have seen no more than a handful of requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tests.tools.cluster.hostile import Answer, HostileServer, JumpClock, PodWorld, Reply, Request, eventually, pod
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.cluster.objects import Pod, decoder_of
from tools.cluster.reflector import Reflector, Starting, Synced, Tuning, Unavailable
from tools.cluster.resources import POD
from tools.cluster.store import Delta

SILENT_FOR = timedelta(milliseconds=60)
FAULT_SECONDS = 60.0


@dataclass
class Follower:
    """Rebuilds the world from deltas alone."""

    held: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    def __call__(self, delta: Delta[Pod]) -> None:
        if delta.kind == "gone":
            assert delta.object.uid in self.held, "gone without having been there"
            del self.held[delta.object.uid]
            self.gone.append(delta.object.name)
        else:
            assert (delta.kind == "added") == (delta.object.uid not in self.held)
            self.held[delta.object.uid] = delta.object.metadata.resource_version


@dataclass
class Stage:
    world: PodWorld
    server: HostileServer
    clock: JumpClock
    reflector: Reflector[Pod]
    follower: Follower

    @property
    def watches(self) -> list[Request]:
        return [request for request in self.server.requests if request.is_watch]

    @property
    def lists(self) -> list[Request]:
        return [request for request in self.server.requests if not request.is_watch]

    def is_right(self) -> bool:
        truth = {p["metadata"]["uid"]: p["metadata"]["resourceVersion"] for p in self.world.pods.values()}
        held = {item.uid: item.metadata.resource_version for item in self.reflector.store}
        return truth == held == self.follower.held

    async def settle(self, what: str = "the store is right") -> None:
        await eventually(self.is_right, what)


@asynccontextmanager
async def stage(world: PodWorld, tuning: Tuning | None = None) -> AsyncIterator[Stage]:
    clock, follower = JumpClock(), Follower()
    async with HostileServer(world.answer) as server:
        cluster = await Cluster.at(server.url, allowlist=AllowList(READ_RULES))
        reflector = Reflector(
            cluster,
            POD,
            decoder_of(Pod),
            clock,
            on_delta=follower,
            tuning=tuning or Tuning(silence=timedelta(seconds=20)),
            rng=random.Random(7),  # noqa: S311 - jitter
        )
        task = asyncio.create_task(reflector.run())
        try:
            yield Stage(world, server, clock, reflector, follower)
            assert not task.done(), "the reflector died"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await cluster.close()


@dataclass(frozen=True)
class Fault:
    """How a watch is answered, and what the server saw of us at most during one minute of it."""

    answer: Answer
    history_lost: bool
    watches: int
    lists: int
    silence: timedelta = timedelta(seconds=20)


async def error_event_410(_: Request, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.event(
        "ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    )
    await reply.end_stream()


async def http_410(_: Request, reply: Reply) -> None:
    await reply.fail(410, "too old resource version", "Expired")


async def http_429(_: Request, reply: Reply) -> None:
    await reply.fail(429, "too many requests", "TooManyRequests", Retry_After="2")


async def http_500(_: Request, reply: Reply) -> None:
    await reply.fail(500, "etcdserver: leader changed", "InternalError")


async def http_403(_: Request, reply: Reply) -> None:
    await reply.fail(403, 'pods is forbidden: User "x" cannot watch resource "pods"', "Forbidden")


async def error_event_500(_: Request, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.event("ERROR", {"kind": "Status", "code": 500, "message": "etcd event received with PrevKv=nil"})
    await reply.end_stream()


async def empty_close(_: Request, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.end_stream()


async def cut_in_mid_line(_: Request, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.chunk(b'{"type":"ADDED","object":{"metadata":{"name":"half","uid":"uid-half"')
    await reply.cut()


async def connection_reset(_: Request, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.reset()


async def silence(_: Request, reply: Reply) -> None:
    await reply.begin_stream()
    await reply.silence()


FAULTS = {
    "410 as an ERROR event": Fault(error_event_410, history_lost=True, watches=15, lists=16),
    "410 as an HTTP status": Fault(http_410, history_lost=True, watches=15, lists=16),
    "429 with Retry-After": Fault(http_429, history_lost=False, watches=22, lists=1),
    "HTTP 500": Fault(http_500, history_lost=False, watches=15, lists=1),
    "HTTP 403": Fault(http_403, history_lost=False, watches=3, lists=4),
    "ERROR event 500": Fault(error_event_500, history_lost=False, watches=15, lists=1),
    "immediate empty close": Fault(empty_close, history_lost=True, watches=15, lists=6),
    "TCP cut in mid-line": Fault(cut_in_mid_line, history_lost=False, watches=15, lists=1),
    "connection reset": Fault(connection_reset, history_lost=False, watches=30, lists=1),
    "half-open silence": Fault(silence, history_lost=False, watches=15, lists=1, silence=SILENT_FOR),
}


def change_the_world(world: PodWorld) -> None:
    world.remove("a")
    world.put("b")
    world.put("c")


@pytest.mark.parametrize("name", FAULTS)
async def test_survives(name: str) -> None:
    fault = FAULTS[name]
    world = PodWorld(fault=fault.answer)
    world.put("a")
    world.put("b")
    is_changed = False
    healed_at: list[tuple[int, int]] = []
    holder: list[Stage] = []

    def is_faulty() -> bool:
        still = holder[0].clock.elapsed < FAULT_SECONDS
        if not still and not healed_at:
            healed_at.append((len(holder[0].watches), len(holder[0].lists)))
        return still

    def on_watch() -> None:
        nonlocal is_changed
        if not is_changed:
            is_changed = True
            change_the_world(world)
            if fault.history_lost:
                world.forget_history()

    world.is_faulty, world.on_watch = is_faulty, on_watch
    # a long sock_read would hide the end of the half-open phase: only that scenario is impatient
    async with stage(world, Tuning(silence=fault.silence)) as play:
        holder.append(play)
        await eventually(lambda: healed_at, "the fault ends: the reflector kept trying")
        await play.settle()
        assert "a" in play.follower.gone
        world.put("d")
        world.remove("b")
        await play.settle("live again after the fault")
        watches, lists = healed_at[0]
        assert watches <= fault.watches, "hot loop of watches"
        assert lists <= fault.lists, "hot loop of lists"
        await eventually(lambda: play.reflector.state == Synced())


async def test_survives_bookmark() -> None:
    """A bookmark moves our version on: the old one is compacted away, and yet no new list is needed."""
    world = PodWorld()
    world.put("a")

    async def bookmark_then_close(_: Request, reply: Reply) -> None:
        world.version += 40
        world.forget_history()
        await reply.begin_stream()
        await reply.event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(world.version)}})
        await reply.end_stream()

    asked: list[bool] = []
    world.fault = bookmark_then_close
    world.is_faulty = lambda: not asked and not asked.append(True)  # type: ignore[func-returns-value]
    async with stage(world) as play:
        await eventually(lambda: len(play.watches) == 2, "a second watch")
        world.put("b")
        await play.settle()
        assert [w.query["resourceVersion"] for w in play.watches] == ["11", "51"]
        assert len(play.lists) == 1
        assert all(w.query["allowWatchBookmarks"] == "true" for w in play.watches)


async def test_survives_undecodable_object() -> None:
    """One object that does not fit is skipped and counted; what comes after it arrives, and no list is repeated."""
    world = PodWorld()
    world.put("a")
    world.put("bad", spec={"containers": "none"})
    async with stage(world) as play:
        await eventually(lambda: play.reflector.state == Synced())
        world.put("bad", spec={"containers": 7})
        world.put("c")
        await eventually(lambda: play.reflector.store.by_name("shop", "c"), "the object after the bad one")
        assert {item.name for item in play.reflector.store} == {"a", "c"}
        assert play.reflector.counters.undecodable == 2
        assert (len(play.lists), len(play.watches)) == (1, 1)
        world.put("bad")
        await play.settle("the bad object is mended")


async def test_undecodable_object_keeps_its_last_good_state() -> None:
    world = PodWorld()
    world.put("a")
    async with stage(world) as play:
        await play.settle()
        world.put("a", spec={"containers": "none"})
        world.put("marker")
        await eventually(lambda: play.reflector.store.by_name("shop", "marker"))
        held = play.reflector.store.by_name("shop", "a")
        assert held is not None
        assert held.metadata.resource_version == "11"
        world.forget_history()
        world.fault = http_410
        world.remove("a")
        await eventually(lambda: not play.reflector.store.by_name("shop", "a"), "an undecodable deletion is a deletion")


async def test_version_advances_over_an_undecodable_object() -> None:
    world = PodWorld()
    world.put("a")
    first = [True]

    async def bad_then_close(_: Request, reply: Reply) -> None:
        first.clear()
        world.version += 1
        await reply.begin_stream()
        await reply.event("MODIFIED", pod("a", world.version, spec="nonsense"))
        await reply.end_stream()

    world.fault, world.is_faulty = bad_then_close, lambda: bool(first)
    async with stage(world) as play:
        await eventually(lambda: len(play.watches) == 2)
        assert [w.query["resourceVersion"] for w in play.watches] == ["11", "12"]


async def test_pages_and_snapshot_that_expires_between_two_of_them() -> None:
    """The list starts again when the second page is too old, and what the first try saw wrongly is gone after it."""
    world = PodWorld()
    for name in ("a", "b", "c", "d"):
        world.put(name)
    expired = [True]

    async def paged(request: Request, reply: Reply) -> None:
        items = sorted(world.pods.values(), key=lambda p: p["metadata"]["name"])
        token = request.query.get("continue")
        if not token:
            await world.page(reply, items[:2], token="next")
        elif expired:
            expired.clear()
            world.remove("a")
            await reply.fail(410, "The provided continue parameter is too old", "Expired")
        else:
            await world.page(reply, items[2:])

    world.list_answer = paged
    async with stage(world, Tuning(page_size=2)) as play:
        await eventually(lambda: play.reflector.state == Synced())
        await play.settle()
        assert [r.query.get("continue") for r in play.lists] == [None, "next", None, "next"]
        assert all(r.query["limit"] == "2" for r in play.lists)
        assert play.follower.gone == ["a"]
        assert play.reflector.counters.relists == 1


async def test_snapshot_that_always_expires_does_not_loop_hot() -> None:
    world = PodWorld()

    async def always_expires(request: Request, reply: Reply) -> None:
        if "continue" in request.query:
            await reply.fail(410, "too old", "Expired")
        else:
            await world.page(reply, [pod("a", 1)], token="next")

    world.list_answer = always_expires
    async with stage(world) as play:
        play.clock.stop_at = FAULT_SECONDS
        await eventually(lambda: play.clock.has_stopped)
        assert len(play.lists) <= 15 * 8
        assert play.reflector.state == Starting()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<html>login</html>", "an HTML page"),
        (b'{"kind":"PodList","items":[]}', "a list without metadata"),
        (b'{"metadata":{},"items":[]}', "a list without a version"),
        (b'{"metadata":{"resourceVersion":"5"},"items":{}}', "items that are no list"),
    ],
)
async def test_list_that_is_none(body: bytes, what: str) -> None:
    world = PodWorld()
    world.put("a")
    holder: list[Stage] = []

    async def nonsense(_: Request, reply: Reply) -> None:
        if holder and holder[0].clock.elapsed > FAULT_SECONDS:
            await world.page(reply)
        else:
            await reply.send(200, body)

    world.list_answer = nonsense
    async with stage(world) as play:
        holder.append(play)
        await play.settle(f"recovers from {what}")
        assert len(play.lists) <= 15


async def test_list_of_null_items_is_an_empty_list() -> None:
    world = PodWorld()

    async def null_items(_: Request, reply: Reply) -> None:
        await reply.json(200, {"metadata": {"resourceVersion": "10"}, "items": None})

    world.list_answer = null_items
    async with stage(world) as play:
        await eventually(lambda: play.reflector.state == Synced())
        assert len(play.reflector.store) == 0


async def test_pages_that_never_end_are_refused() -> None:
    world = PodWorld()

    async def endless(_: Request, reply: Reply) -> None:
        await world.page(reply, [], token="same")

    world.list_answer = endless
    async with stage(world) as play:
        play.clock.stop_at = FAULT_SECONDS
        await eventually(lambda: play.clock.has_stopped)
        assert len(play.lists) <= 2 * 15


async def test_forbidden_source_says_so_and_comes_back_when_granted() -> None:
    world = PodWorld()
    world.put("a")
    granted: list[bool] = []

    async def guarded(request: Request, reply: Reply) -> None:
        if granted:
            await world.page(reply)
        else:
            await reply.fail(403, 'pods is forbidden: User "x" cannot list resource "pods"', "Forbidden")

    world.list_answer = guarded
    async with stage(world) as play:
        await eventually(lambda: isinstance(play.reflector.state, Unavailable))
        assert play.reflector.settled.is_set()
        assert not play.reflector.synced.is_set()
        assert play.reflector.age() == float("inf")
        assert "cannot list" in str(play.reflector.state)
        await eventually(lambda: len(play.clock.pauses) >= 5)
        assert all(30 <= pause <= 60 for pause in play.clock.pauses)
        granted.append(True)
        await play.settle()
        assert play.reflector.state == Synced()
        assert play.reflector.synced.is_set()


async def test_source_that_becomes_forbidden_is_no_longer_synced() -> None:
    world = PodWorld()
    world.put("a")
    async with stage(world) as play:
        await eventually(lambda: play.reflector.state == Synced())
        world.fault, world.is_faulty, world.list_answer = http_403, lambda: True, http_403
        world.watch_ends = True
        await eventually(lambda: isinstance(play.reflector.state, Unavailable))
        assert not play.reflector.synced.is_set()
        assert play.reflector.settled.is_set()
        assert len(play.reflector.store) == 1, "the last view stays, marked as unavailable"


async def test_missing_kind_is_unavailable() -> None:
    world = PodWorld()

    async def not_served(_: Request, reply: Reply) -> None:
        await reply.send(404, b"404 page not found\n", mime="text/plain")

    world.list_answer = not_served
    async with stage(world) as play:
        await eventually(lambda: isinstance(play.reflector.state, Unavailable))
        assert "404 page not found" in str(play.reflector.state)


async def test_retry_after_is_honoured_once_and_not_kept_for_the_next_failure() -> None:
    world = PodWorld()
    answers: list[Answer] = [http_500]

    async def busy(_: Request, reply: Reply) -> None:
        await reply.fail(429, "wait", Retry_After="100")

    answers = [busy, http_500, http_500]

    async def in_turn(request: Request, reply: Reply) -> None:
        await answers.pop(0)(request, reply)

    world.fault, world.is_faulty = in_turn, lambda: bool(answers)
    async with stage(world) as play:
        await eventually(lambda: len(play.clock.pauses) >= 3)
        first, *rest = play.clock.pauses[:3]
        assert 100 <= first <= 101
        assert all(pause <= 0.8 * 4 for pause in rest)


async def test_backoff_grows_to_its_cap_and_starts_anew_after_two_healthy_minutes() -> None:
    world = PodWorld()
    holder: list[Stage] = []
    healthy: list[bool] = []
    resumed: list[int] = []

    async def failing(request: Request, reply: Reply) -> None:
        if healthy:  # a watch that lasts three minutes of the clock, then ends as it should
            healthy.clear()
            resumed.append(len(holder[0].clock.pauses))
            holder[0].clock.elapsed += 180
            await empty_close(request, reply)
        else:
            await http_500(request, reply)

    world.fault, world.is_faulty = failing, lambda: True
    async with stage(world) as play:
        holder.append(play)
        play.reflector.rng = Widest()
        await eventually(lambda: len(play.clock.pauses) >= 8)
        healthy.append(True)
        await eventually(lambda: resumed and len(play.clock.pauses) >= resumed[0] + 2)
        assert [round(pause, 1) for pause in play.clock.pauses[:8]] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
        assert [round(pause, 1) for pause in play.clock.pauses[resumed[0] : resumed[0] + 2]] == [0.8, 1.6]


class Widest(random.Random):
    """Jitter that always takes the longest."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def test_each_watch_asks_the_server_to_end_it_within_the_range() -> None:
    async with stage(PodWorld()) as play:
        await eventually(lambda: play.watches)
        assert 300 <= int(play.watches[0].query["timeoutSeconds"]) <= 600


async def test_listener_that_raises_does_not_stop_the_reader() -> None:
    world = PodWorld()
    world.put("a")

    def broken(_: Delta[Pod]) -> None:
        raise RuntimeError("listener")

    with capture_logs() as logs:
        async with stage(world) as play:
            await eventually(lambda: play.reflector.state == Synced())
            play.reflector.on_delta = broken
            world.put("b")
            await eventually(lambda: play.reflector.store.by_name("shop", "b"))
    assert [entry["object"] for entry in logs if entry["event"] == "reflector_listener_failed"] == ["Pod shop/b"]


async def test_recreated_object_under_the_same_name_is_another_object() -> None:
    world = PodWorld()
    world.put("a", metadata={"name": "a", "namespace": "shop", "uid": "first", "resourceVersion": "11"})
    async with stage(world) as play:
        await play.settle()
        world.remove("a")
        world.put("a", metadata={"name": "a", "namespace": "shop", "uid": "second", "resourceVersion": "13"})
        await play.settle()
        held = play.reflector.store.by_name("shop", "a")
        assert held is not None
        assert held.uid == "second"
        assert play.follower.gone == ["a"]


async def test_big_lists_leave_the_loop_to_others() -> None:
    world = PodWorld()
    for number in range(2_000):
        world.put(f"p{number}")
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    held: list[int] = []
    async with stage(world, replace(Tuning(), yield_every=200)) as play:
        before_turns: list[int] = []
        real_put = play.follower.__call__

        def counting(delta: Delta[Pod]) -> None:
            real_put(delta)
            if len(play.follower.held) in (1, 2_000):
                before_turns.append(turns)

        play.reflector.on_delta = counting
        other = asyncio.create_task(other_work())
        await play.settle()
        other.cancel()
        held = before_turns
    assert held[1] - held[0] >= 9, "the list of 2,000 was read in one breath"
