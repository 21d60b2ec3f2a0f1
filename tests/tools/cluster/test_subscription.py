from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tools.cluster.objects import Node, ObjectMeta, Pod
from tools.cluster.store import Delta, Store, owner_uids
from tools.cluster.structs import KubeObject, OwnerReference
from tools.cluster.subscription import AnyDelta, Subscription, merge


def pod(name: str, version: str, *, uid: str = "", owner: str = "") -> Pod:
    owners = (OwnerReference("apps/v1", "ReplicaSet", "rs", owner, controller=True),) if owner else ()
    return Pod(
        ObjectMeta(
            name=name, namespace="shop", uid=uid or f"uid-{name}", resource_version=version, owner_references=owners
        )
    )


ONE, TWO, THREE = pod("a", "1"), pod("a", "2"), pod("a", "3")


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [
        (Delta("added", ONE), Delta("modified", TWO, ONE), Delta("added", TWO)),
        (Delta("modified", TWO, ONE), Delta("modified", THREE, TWO), Delta("modified", THREE, ONE)),
        (Delta("modified", TWO, ONE), Delta("gone", THREE, TWO), Delta("gone", THREE, ONE)),
        (Delta("added", ONE), Delta("gone", TWO, ONE), Delta("gone", TWO)),
        (Delta("gone", TWO, ONE), Delta("added", THREE), Delta("modified", THREE, ONE)),
    ],
)
def test_two_deltas_of_one_object_become_one(earlier: AnyDelta, later: AnyDelta, merged: AnyDelta) -> None:
    assert merge(earlier, later) == merged


async def test_slow_reader_gets_the_newest_state_once() -> None:
    subscription = Subscription(lambda _: None)
    for number in range(1000):
        old = pod("a", str(number - 1)) if number else None
        subscription.publish(Delta("modified" if number else "added", pod("a", str(number)), old))
        subscription.publish(Delta("added", pod(f"b{number % 3}", str(number))))
    assert len(subscription) == 4
    found = [await anext(subscription) for _ in range(4)]
    assert [(d.kind, d.object.name) for d in found] == [
        ("added", "a"),
        ("added", "b0"),
        ("added", "b1"),
        ("added", "b2"),
    ]
    assert found[0].object.metadata.resource_version == "999"


async def test_kinds_with_the_same_uid_are_apart() -> None:
    subscription = Subscription(lambda _: None)
    subscription.publish(Delta("added", Pod(ObjectMeta(name="x", namespace="", uid=""))))
    subscription.publish(Delta("added", Node(ObjectMeta(name="x", namespace="", uid=""))))
    assert len(subscription) == 2


async def test_too_many_objects_lose_the_oldest_and_say_so() -> None:
    subscription = Subscription(lambda _: None, capacity=10)
    with capture_logs() as logs:
        for number in range(25):
            subscription.publish(Delta("added", pod(f"p{number}", "1")))
    assert (len(subscription), subscription.dropped) == (10, 15)
    assert (await anext(subscription)).object.name == "p15"
    assert [entry["event"] for entry in logs] == ["subscription_overflow"], "said once"


async def test_reader_waits_and_is_woken() -> None:
    subscription = Subscription(lambda _: None)
    reading = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    assert not reading.done()
    subscription.publish(Delta("added", ONE))
    assert (await reading).object is ONE


async def test_closing_ends_the_iteration_and_tells_once() -> None:
    told: list[Subscription] = []
    subscription = Subscription(told.append)
    reading = asyncio.ensure_future(anext(subscription, None))
    await asyncio.sleep(0)
    subscription.close()
    subscription.close()
    assert await reading is None
    assert told == [subscription]
    subscription.publish(Delta("added", ONE))
    assert len(subscription) == 0


# The store


def test_store_says_what_changed() -> None:
    store: Store[KubeObject] = Store(owner_uids)
    assert store.put(ONE) == Delta("added", ONE)
    assert store.put(pod("a", "1")) is None, "the same version again"
    assert store.put(TWO) == Delta("modified", TWO, ONE)
    assert store.drop("uid-a", THREE) == Delta("gone", THREE, TWO)
    assert store.drop("uid-a") is None
    assert len(store) == 0
    assert store.by_name("shop", "a") is None


def test_store_without_versions_takes_every_state_as_new() -> None:
    store: Store[KubeObject] = Store()
    store.put(pod("a", ""))
    delta = store.put(pod("a", ""))
    assert delta is not None
    assert delta.kind == "modified"


def test_owner_index_follows_changes() -> None:
    store: Store[KubeObject] = Store()
    store.put(pod("a", "1", owner="rs1"))
    store.put(pod("b", "1", owner="rs1"))
    assert {item.name for item in store.pointing_at("rs1")} == {"a", "b"}
    store.put(pod("a", "2", owner="rs2"))
    assert [item.name for item in store.pointing_at("rs1")] == ["b"]
    assert [item.name for item in store.pointing_at("rs2")] == ["a"]
    store.drop("uid-a")
    assert store.pointing_at("rs2") == []


def test_name_belongs_to_the_newest_life() -> None:
    store: Store[KubeObject] = Store()
    store.put(pod("a", "1", uid="first"))
    store.put(pod("a", "2", uid="second"))
    store.drop("first")
    held = store.by_name("shop", "a")
    assert held is not None
    assert held.uid == "second"
