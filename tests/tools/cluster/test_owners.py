from __future__ import annotations

import pytest

from tools.cluster.documents import ConfigMap, Service
from tools.cluster.objects import CronJob, Deployment, Job, Node, ObjectMeta, OwnerReference, Pod, ReplicaSet
from tools.cluster.owners import MAX_DEPTH, ChainEnd, OwnerChain, root_owner, root_owner_live
from tools.cluster.structs import KubeObject, Reference

APPS = "apps/v1"
BATCH = "batch/v1"


def meta(name: str, *owners: OwnerReference, namespace: str = "shop") -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace, uid=f"uid-{name}", owner_references=owners)


def owner(kind: str, name: str, api_version: str = APPS, *, controller: bool = True, uid: str = "") -> OwnerReference:
    return OwnerReference(api_version, kind, name, uid or f"uid-{name}", controller)


class World:
    """A lookup over a few objects; remembers what it was asked."""

    def __init__(self, *objects: KubeObject) -> None:
        self.objects = {item.uid: item for item in objects}
        self.asked: list[Reference] = []

    def __call__(self, ref: Reference) -> KubeObject | None:
        self.asked.append(ref)
        found = self.objects.get(f"uid-{ref.name}")
        return found if found is not None and found.kind == ref.kind else None


POD_OF_RS = Pod(meta("p", owner("ReplicaSet", "rs")))
RS = ReplicaSet(meta("rs", owner("Deployment", "d")))

CASES: dict[str, tuple[KubeObject, World, list[str], ChainEnd]] = {
    "a bare pod is its own root": (Pod(meta("p")), World(), ["Pod p"], ChainEnd.ROOT),
    "pod, ReplicaSet, Deployment": (
        POD_OF_RS, World(RS, Deployment(meta("d"))), ["Pod p", "ReplicaSet rs", "Deployment d"], ChainEnd.ROOT,
    ),
    "pod, Job, CronJob": (
        Pod(meta("p", owner("Job", "j", BATCH))),
        World(Job(meta("j", owner("CronJob", "c", BATCH))), CronJob(meta("c"))),
        ["Pod p", "Job j", "CronJob c"], ChainEnd.ROOT,
    ),
    "a static pod belongs to its node, which has no namespace": (
        Pod(meta("p", owner("Node", "n", "v1"))), World(Node(meta("n", namespace=""))),
        ["Pod p", "Node n"], ChainEnd.ROOT,
    ),
    "an owner that is no controller is not followed": (
        Pod(meta("p", owner("ReplicaSet", "rs", controller=False))), World(RS), ["Pod p"], ChainEnd.ROOT,
    ),
    "the controller is followed, whatever else owns it": (
        Pod(meta("p", owner("ConfigMap", "x", "v1", controller=False), owner("ReplicaSet", "rs"))),
        World(ReplicaSet(meta("rs"))), ["Pod p", "ReplicaSet rs"], ChainEnd.ROOT,
    ),
    "a custom resource ends the chain and is named": (
        Pod(meta("p", owner("ReplicaSet", "rs"))),
        World(ReplicaSet(meta("rs", owner("Rollout", "r", "argoproj.io/v1alpha1")))),
        ["Pod p", "ReplicaSet rs", "Rollout r"], ChainEnd.UNKNOWN_KIND,
    ),
    "a StatefulSet of another group is another kind": (
        Pod(meta("p", owner("StatefulSet", "s", "apps.kruise.io/v1"))), World(),
        ["Pod p", "StatefulSet s"], ChainEnd.UNKNOWN_KIND,
    ),
    "an owner that is gone": (POD_OF_RS, World(), ["Pod p", "ReplicaSet rs"], ChainEnd.MISSING),
    "an owner of the same name with another uid is gone": (
        Pod(meta("p", owner("ReplicaSet", "rs", uid="old-life"))), World(RS),
        ["Pod p", "ReplicaSet rs"], ChainEnd.MISSING,
    ),
    "an object that owns itself": (
        Deployment(meta("d", owner("Deployment", "d"))), World(), ["Deployment d"], ChainEnd.CYCLE,
    ),
    "two that own each other": (
        ReplicaSet(meta("rs", owner("Deployment", "d"))),
        World(RS, Deployment(meta("d", owner("ReplicaSet", "rs")))), ["ReplicaSet rs", "Deployment d"], ChainEnd.CYCLE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_chain(name: str) -> None:
    start, world, links, end = CASES[name]

    async def live(ref: Reference) -> KubeObject | None:
        return world(ref)

    chain = root_owner(start, world)
    assert [f"{link.kind} {link.name}" for link in chain.links] == links
    assert chain.end is end
    assert chain.root == chain.links[-1]
    assert chain.is_complete == (end is ChainEnd.ROOT)
    assert await root_owner_live(start, live) == chain, "both walks are one"
    assert all(ref.namespace == ("" if ref.kind == "Node" else "shop") for ref in world.asked)


def test_highest_seen_leaves_out_what_nobody_showed_us() -> None:
    assert root_owner(POD_OF_RS, World()).highest_seen.name == "p"
    assert root_owner(POD_OF_RS, World(RS, Deployment(meta("d")))).highest_seen.name == "d"


HIGHEST: dict[str, tuple[KubeObject, World, str]] = {
    "an owner that runs nothing is no workload's root": (
        POD_OF_RS,
        World(RS, Deployment(meta("d", owner("ConfigMap", "boss", "v1"))), ConfigMap(meta("boss"))),
        "Deployment d",
    ),
    "nor are several of them": (
        POD_OF_RS,
        World(
            RS,
            Deployment(meta("d", owner("ConfigMap", "boss", "v1"))),
            ConfigMap(meta("boss", owner("Service", "top", "v1"))),
            Service(meta("top")),
        ),
        "Deployment d",
    ),
    "a workload above it is": (
        Job(meta("j", owner("ConfigMap", "boss", "v1"))),
        World(
            ConfigMap(meta("boss", owner("CronJob", "c", BATCH))),
            CronJob(meta("c")),
        ),
        "CronJob c",
    ),
    "a Node is the root of what its own manifests run": (
        Pod(meta("p", owner("Node", "n", "v1"))), World(Node(meta("n", namespace=""))), "Node n",
    ),
    "without a workload the topmost owner is the root": (
        Service(meta("a", owner("ConfigMap", "boss", "v1"))),
        World(ConfigMap(meta("boss"))),
        "ConfigMap boss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HIGHEST)
def test_highest_seen_is_the_topmost_workload(name: str) -> None:
    start, world, highest = HIGHEST[name]
    top = root_owner(start, world).highest_seen
    assert f"{top.kind} {top.name}" == highest


def test_depth_is_bounded() -> None:
    tower = [ReplicaSet(meta(f"rs{n}", owner("ReplicaSet", f"rs{n + 1}"))) for n in range(50)]
    world = World(*tower)
    chain = root_owner(tower[0], world)
    assert chain.end is ChainEnd.TOO_DEEP
    assert len(world.asked) == MAX_DEPTH
    assert len(chain.links) == MAX_DEPTH + 1


def test_chain_as_a_sentence() -> None:
    chain: OwnerChain = root_owner(POD_OF_RS, World())
    assert str(chain) == "Pod shop/p < ReplicaSet shop/rs (missing)"
