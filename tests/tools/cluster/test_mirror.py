from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.tools.cluster.hostile import HostileServer, Json, Reply, Request, eventually
from tools.clock import SystemClock
from tools.cluster.allowlist import READ_RULES, AllowList, Rule
from tools.cluster.client import Cluster
from tools.cluster.documents import ConfigMap, Document, ScaledObject, document_of
from tools.cluster.mirror import Mirror
from tools.cluster.objects import Deployment, Job, Pod
from tools.cluster.owners import ChainEnd, find_root
from tools.cluster.resources import Resource
from tools.cluster.structs import Reference
from tools.cluster.watched import WATCHED
from tools.errors import NotFound, Unreachable
from tools.refs import ObjectRef

SOON = timedelta(seconds=30)
AT_ONCE = timedelta(milliseconds=30)


class ClusterWorld:
    """All collections of a small cluster: list, watch, get; `forbidden` paths answer 403."""

    def __init__(self) -> None:
        self.version = 100
        self.log: dict[str, list[tuple[int, str, Json]]] = defaultdict(list)
        self.held: dict[str, dict[tuple[str, str], Json]] = defaultdict(dict)
        self.forbidden: set[str] = set()
        self.silent: set[str] = set()
        self.groups: list[str] = ["apps"]
        self.missing: set[str] = set()

    def put(self, plural: str, name: str, *, owner: tuple[str, str] | None = None, **extra: Any) -> None:
        self.version += 1
        namespace = extra.pop("namespace", "shop")
        metadata: Json = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(self.version)}
        if namespace:
            metadata["namespace"] = namespace
        if owner:
            kind, owner_name = owner
            group = {"ReplicaSet": "apps/v1", "Deployment": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1"}[kind]
            metadata["ownerReferences"] = [
                {"apiVersion": group, "kind": kind, "name": owner_name, "uid": f"uid-{owner_name}", "controller": True}
            ]
        metadata |= extra.pop("metadata", {})
        is_new = (namespace, name) not in self.held[plural]
        self.held[plural][namespace, name] = {"metadata": metadata, **extra}
        self.log[plural].append((self.version, "ADDED" if is_new else "MODIFIED", self.held[plural][namespace, name]))

    def remove(self, plural: str, name: str, namespace: str = "shop") -> None:
        self.version += 1
        last = self.held[plural].pop((namespace, name))
        last = last | {"metadata": last["metadata"] | {"resourceVersion": str(self.version)}}
        self.log[plural].append((self.version, "DELETED", last))

    async def answer(self, request: Request, reply: Reply) -> None:
        if request.path == "/apis":
            await reply.json(200, {"kind": "APIGroupList", "groups": [{"name": name} for name in self.groups]})
            return
        parts = request.path.removeprefix("/apis").removeprefix("/api").split("/")[1:]
        parts = parts[1:] if request.path.startswith("/api/") else parts[2:]
        namespace = None
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        plural = parts[0]
        if plural in self.forbidden:
            await reply.fail(403, f'{plural} is forbidden: User "x" cannot list resource', "Forbidden")
        elif plural in self.missing:
            await reply.fail(404, "the server could not find the requested resource", "NotFound")
        elif plural in self.silent:
            await reply.silence()
        elif len(parts) == 2:
            found = self.held[plural].get((namespace or "", parts[1]))
            await (reply.json(200, found) if found else reply.fail(404, f'{plural} "{parts[1]}" not found', "NotFound"))
        elif request.is_watch:
            await self._watch(plural, namespace, int(request.query["resourceVersion"]), reply)
        else:
            items = [item for (space, _), item in self.held[plural].items() if namespace in (None, space)]
            await reply.json(200, {"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _watch(self, plural: str, namespace: str | None, since: int, reply: Reply) -> None:
        await reply.begin_stream()
        while True:
            for version, kind, item in list(self.log[plural]):
                if version > since:
                    since = version
                    if namespace in (None, item["metadata"].get("namespace", "")):
                        await reply.event(kind, item)
            await asyncio.sleep(0.003)


@dataclass
class Scene:
    world: ClusterWorld
    server: HostileServer
    cluster: Cluster
    mirror: Mirror


@asynccontextmanager
async def scene(world: ClusterWorld, *, rules: Sequence[Rule] = (), **options: Any) -> AsyncIterator[Scene]:
    async with HostileServer(world.answer) as server:
        cluster = await Cluster.at(server.url, allowlist=AllowList((*READ_RULES, *rules)))
        mirror = Mirror(cluster, SystemClock(), **options)
        try:
            await mirror.start()
            yield Scene(world, server, cluster, mirror)
        finally:
            await mirror.stop()
            await cluster.close()


def revision(number: int) -> Json:
    return {"annotations": {"deployment.kubernetes.io/revision": str(number)}}


def small_world() -> ClusterWorld:
    world = ClusterWorld()
    world.put("deployments", "web")
    world.put(
        "replicasets",
        "web-1",
        owner=("Deployment", "web"),
        metadata=revision(2),
    )
    world.put(
        "replicasets",
        "web-0",
        owner=("Deployment", "web"),
        metadata=revision(1),
    )
    world.put("pods", "web-1-x", owner=("ReplicaSet", "web-1"))
    world.put("pods", "web-0-y", owner=("ReplicaSet", "web-0"))
    world.put("cronjobs", "nightly")
    world.put("jobs", "nightly-1", owner=("CronJob", "nightly"))
    world.put("pods", "nightly-1-z", owner=("Job", "nightly-1"))
    world.put("pods", "bare", namespace="bank")
    world.put("nodes", "node1", namespace="")
    world.put(
        "events", "e2", regarding={"kind": "Pod", "uid": "uid-bare"}, deprecatedLastTimestamp="2026-01-01T10:00:00Z"
    )
    world.put(
        "events", "e1", regarding={"kind": "Pod", "uid": "uid-bare"}, deprecatedLastTimestamp="2026-01-01T09:00:00Z"
    )
    return world


def names(items: Any) -> list[str]:
    return [item.name for item in items]


async def test_answers_from_the_whole_cluster() -> None:
    async with scene(small_world()) as play:
        mirror = play.mirror
        assert await mirror.synced(SOON)
        assert sorted(names(mirror.pods())) == ["bare", "nightly-1-z", "web-0-y", "web-1-x"]
        assert names(mirror.pods("bank")) == ["bare"]
        bare = mirror.pod("bank", "bare")
        assert bare is not None
        assert mirror.pod("shop", "bare") is None
        assert sorted(names(mirror.pods_of("uid-web"))) == ["web-0-y", "web-1-x"]
        assert names(mirror.pods_of("uid-web-1")) == ["web-1-x"]
        assert names(mirror.pods_of("uid-nightly")) == ["nightly-1-z"]
        assert mirror.pods_of("uid-nobody") == []
        assert names(mirror.replica_sets_of("uid-web")) == ["web-0", "web-1"], "oldest revision first"
        assert names(mirror.workloads()) == ["web"]
        assert mirror.workloads("bank") == []
        assert isinstance(mirror.workload("Deployment", "shop", "web"), Deployment)
        assert mirror.deployment("shop", "web") == mirror.workload("Deployment", "shop", "web")
        assert mirror.workload("Job", "shop", "nightly-1") is None
        assert isinstance(mirror.controller("Job", "shop", "nightly-1"), Job)
        assert mirror.controller("Secret", "shop", "x") is None
        assert names(mirror.events_for("uid-bare")) == ["e1", "e2"], "oldest first"
        assert names(mirror.nodes()) == ["node1"]
        assert mirror.node("node1") is not None
        assert mirror.find(Reference("Pod", uid="uid-bare", api_version="v1")) is bare
        assert mirror.find(Reference("Pod", "bank", "bare", api_version="v1")) is bare
        assert mirror.find(Reference("Pod", "bank", "bare", "another-life", "v1")) is None
        assert mirror.holds("Pod", "v1")
        assert not mirror.holds("Secret", "v1")
        assert mirror.unavailable() == []
        assert mirror.view_age() < 5
        assert len(play.server.requests) <= 2 * len(WATCHED) + 1, "a list and a watch of each, and what is served"


async def test_watches_only_the_namespaces_it_was_given() -> None:
    async with scene(small_world(), namespaces=("shop", "bank")) as play:
        assert await play.mirror.synced(SOON)
        assert sorted(names(play.mirror.pods())) == ["bare", "nightly-1-z", "web-0-y", "web-1-x"]
        paths = {request.path for request in play.server.requests}
        assert "/api/v1/namespaces/shop/pods" in paths
        assert "/api/v1/namespaces/bank/pods" in paths
        assert "/api/v1/pods" not in paths
        assert "/api/v1/nodes" in paths, "nodes have no namespace"


async def test_says_what_it_cannot_see() -> None:
    world = small_world()
    world.forbidden = {"nodes", "events"}
    async with scene(world) as play:
        assert await play.mirror.synced(SOON), "settled is enough: it will not come by waiting"
        said = play.mirror.unavailable()
        assert len(said) == 2
        assert any(text.startswith("nodes: ") and "cannot list" in text for text in said)
        assert play.mirror.nodes() == []
        assert not play.mirror.holds("Node", "v1")
        assert play.mirror.view_age() < 5, "what we cannot see has no age"


async def test_what_only_helps_to_find_causes_is_no_part_of_the_view_of_health() -> None:
    world = small_world()
    world.forbidden = {"roles", "rolebindings"}
    async with scene(world) as play:
        assert await play.mirror.synced(SOON)
        assert play.mirror.unavailable() == []
        assert sorted(text.partition(":")[0] for text in play.mirror.blind_spots()) == ["rolebindings", "roles"]
        assert not play.mirror.holds("Role", "rbac.authorization.k8s.io/v1")
        assert play.mirror.view_age() < 5


async def test_a_kind_that_is_not_served_is_no_fault_and_asked_for_once() -> None:
    async with scene(small_world()) as play:
        assert await play.mirror.synced(SOON)
        assert play.mirror.optional == ()
        assert (play.mirror.unavailable(), play.mirror.blind_spots()) == ([], [])
        assert not play.mirror.holds("ScaledObject", "keda.sh/v1alpha1")
        assert play.mirror.documents(ScaledObject) == []
        assert [r.path for r in play.server.requests if "keda" in r.path] == []


async def test_a_kind_that_is_served_is_mirrored_like_any_other() -> None:
    world = small_world()
    world.groups += ["keda.sh"]
    world.put("scaledobjects", "web", spec={"maxReplicaCount": 4})
    async with scene(world) as play:
        assert await play.mirror.synced(SOON), "the first look belongs to it"
        assert [s.kind for s in play.mirror.optional] == ["ScaledObject", "ScaledJob"]
        found = play.mirror.document("ScaledObject", "shop", "web")
        assert isinstance(found, ScaledObject)
        assert found.body["spec"] == {"maxReplicaCount": 4}
        assert play.mirror.holds("ScaledObject", "keda.sh/v1alpha1")
        assert names(play.mirror.of_kind("ScaledObject")) == ["web"]


async def test_a_kind_that_comes_later_is_found_and_one_that_goes_is_told_as_gone() -> None:
    world = small_world()
    async with scene(world) as play:
        assert await play.mirror.synced(SOON)
        changes = play.mirror.subscribe()
        world.groups += ["keda.sh"]
        world.put("scaledobjects", "web")
        play.mirror.discovery.again()
        came = await asyncio.wait_for(anext(changes), 5)
        assert (came.kind, came.object.kind, came.object.name) == ("added", "ScaledObject", "web")
        world.groups.remove("keda.sh")
        play.mirror.discovery.again()
        went = await asyncio.wait_for(anext(changes), 5)
        assert (went.kind, went.object.kind, went.object.name) == ("gone", "ScaledObject", "web")
        assert play.mirror.optional == ()
        assert not play.mirror.holds("ScaledObject", "keda.sh/v1alpha1")


@pytest.mark.parametrize(
    ("missing", "forbidden", "said"),
    [
        pytest.param({"scaledjobs"}, set[str](), [], id="the group is served, the kind is not: nothing is hidden"),
        pytest.param(set[str](), {"scaledjobs"}, ["scaledjobs"], id="we may not see it: a cause may lie there"),
    ],
)
async def test_an_optional_kind_that_cannot_be_seen_does_not_count_for_health(
    missing: set[str], forbidden: set[str], said: list[str]
) -> None:
    world = small_world()
    world.groups += ["keda.sh"]
    world.missing, world.forbidden = missing, forbidden
    with capture_logs() as logs:
        async with scene(world) as play:
            assert await play.mirror.synced(SOON)
            assert play.mirror.unavailable() == []
            assert [text.partition(":")[0] for text in play.mirror.blind_spots()] == said
            assert not play.mirror.holds("ScaledJob", "keda.sh/v1alpha1")
            assert play.mirror.view_age() < 5
    lines = [(line["event"], line["log_level"]) for line in logs if line.get("resource") == "scaledjobs"]
    assert lines == [("reflector_unavailable", "info")], "said once, and not as an error"


async def test_a_finder_names_kinds_that_only_the_cluster_knows() -> None:
    bucket = document_of(Resource("storage.example.org", "v1", "buckets", "Bucket", namespaced=False))

    async def finder(_: Cluster, groups: frozenset[str]) -> list[type[Document]]:
        return [bucket] if "storage.example.org" in groups else []

    world = small_world()
    world.groups += ["storage.example.org"]
    world.put("buckets", "photos", namespace="", spec={"size": 3})
    rules = [Rule(verb, "storage.example.org", "buckets") for verb in ("get", "list", "watch")]
    async with scene(world, rules=rules, finders=(finder,)) as play:
        assert await play.mirror.synced(SOON)
        found = play.mirror.document("Bucket", "", "photos")
        assert isinstance(found, bucket)
        assert (found.kind, found.api_version, found.body["spec"]) == ("Bucket", "storage.example.org/v1", {"size": 3})
        assert document_of(bucket.resource) is bucket


async def test_a_finder_that_fails_leaves_what_it_found() -> None:
    answers: list[Sequence[type[Document]] | None] = [[ScaledObject], None]

    async def finder(_: Cluster, __: frozenset[str]) -> Sequence[type[Document]]:
        found = answers.pop(0) if answers else None
        if found is None:
            raise Unreachable("the server is away")
        return found

    async with scene(small_world(), finders=(finder,)) as play:
        assert await play.mirror.synced(SOON)
        play.mirror.discovery.again()
        await eventually(lambda: not answers)
        assert play.mirror.optional == (ScaledObject,)


async def test_documents_are_held_whole_and_found_by_kind_and_name() -> None:
    world = small_world()
    writes = [
        {"manager": "kubectl", "time": "2026-01-01T10:00:00Z"},
        {"manager": "kube-controller-manager", "time": "2026-01-01T11:00:00Z", "subresource": "status"},
    ]
    world.put("configmaps", "web", data={"MODE": "blue"}, metadata={"managedFields": writes})
    world.put("configmaps", "other", namespace="bank")
    async with scene(world) as play:
        assert await play.mirror.synced(SOON)
        found = play.mirror.document("ConfigMap", "shop", "web")
        assert isinstance(found, ConfigMap)
        assert found.body["data"] == {"MODE": "blue"}
        assert (found.written_by, found.written_at) == ("kubectl", datetime(2026, 1, 1, 10, tzinfo=UTC))
        assert names(play.mirror.documents(ConfigMap, "shop")) == ["web"]
        assert len(play.mirror.documents(ConfigMap)) == 2
        assert play.mirror.document("Secret", "shop", "web") is None
        assert play.mirror.document("Service", "shop", "web") is None


async def test_is_not_synced_while_one_source_is_silent() -> None:
    world = small_world()
    world.silent = {"jobs"}
    async with scene(world) as play:
        assert not await play.mirror.synced(timedelta(milliseconds=200))
        assert play.mirror.view_age() == float("inf")
        assert play.mirror.unavailable() == []


async def test_subscription_follows_and_may_begin_with_what_is_there() -> None:
    async with scene(small_world()) as play:
        assert await play.mirror.synced(SOON)
        fresh, full = play.mirror.subscribe(), play.mirror.subscribe(replay=True)
        assert len(fresh) == 0
        assert len(full) == 12
        play.world.put("pods", "new")
        delta = await asyncio.wait_for(anext(fresh), 5)
        assert (delta.kind, delta.object.name, type(delta.object)) == ("added", "new", Pod)
        fresh.close()
        play.world.remove("pods", "new")
        await eventually(lambda: play.mirror.pod("shop", "new") is None)
        assert len(fresh) == 0
    assert [d async for d in full] == [], "the mirror's end is the end of its subscriptions"


async def test_waits_for_a_change_in_the_namespace() -> None:
    async with scene(small_world()) as play:
        mirror = play.mirror
        assert await mirror.synced(SOON)
        assert not await mirror.changed("shop", AT_ONCE)
        waiting = asyncio.ensure_future(mirror.changed("shop", SOON))
        play.world.put("pods", "elsewhere", namespace="bank")
        await eventually(lambda: mirror.pod("bank", "elsewhere"))
        assert not waiting.done()
        play.world.put("pods", "web-1-x")
        assert await waiting
        assert not await mirror.changed(None, AT_ONCE)


async def test_change_between_reading_and_waiting_is_not_missed() -> None:
    async with scene(small_world()) as play:
        mirror = play.mirror
        assert await mirror.synced(SOON)
        before = mirror.revision("shop")
        play.world.put("pods", "quick")
        await eventually(lambda: mirror.pod("shop", "quick"))
        assert await mirror.changed("shop", AT_ONCE, since=before)
        assert not await mirror.changed("shop", AT_ONCE)


async def test_waiting_leaves_no_task_behind() -> None:
    async with scene(small_world()) as play:
        assert await play.mirror.synced(SOON)
        before = len(asyncio.all_tasks())
        await play.mirror.changed("shop", AT_ONCE)
        waiting = asyncio.ensure_future(play.mirror.changed("shop", SOON))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(asyncio.all_tasks()) == before


async def test_reflector_that_dies_of_a_defect_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect is a real one: a decoder that raises what no decoder may."""
    async with scene(ClusterWorld()) as play:
        assert await play.mirror.synced(SOON)
        (pods,) = (r for r in play.mirror.reflectors if r.resource.plural == "pods")
        good = pods.decoder

        def bad(_: object) -> Any:
            pods.decoder = good
            raise ZeroDivisionError("defect")

        pods.decoder = bad  # type: ignore[assignment]
        with capture_logs() as logs:
            play.world.put("pods", "a")
            await eventually(lambda: play.mirror.restarts == 1)
            await eventually(lambda: play.mirror.pod("shop", "a"), "nothing is lost by the restart")
        assert [entry["resource"] for entry in logs if entry["event"] == "reflector_died"] == ["pods"]


async def test_stopping_ends_every_task_and_keeps_what_was_learnt() -> None:
    before = len(asyncio.all_tasks())
    async with scene(small_world()) as play:
        assert await play.mirror.synced(SOON)
        await play.mirror.stop()
        await play.mirror.stop()
        assert len(names(play.mirror.pods())) == 4
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


# Roots, from the mirror and from the server


@pytest.mark.parametrize(
    ("ref", "root"),
    [
        ("shop/Pod/web-1-x", "shop/Deployment/web"),
        ("shop/ReplicaSet/web-0", "shop/Deployment/web"),
        ("shop/Deployment/web", "shop/Deployment/web"),
        ("shop/Pod/nightly-1-z", "shop/CronJob/nightly"),
        ("bank/Pod/bare", "bank/Pod/bare"),
        ("Node/node1", "Node/node1"),
    ],
)
@pytest.mark.parametrize("mirrored", [True, False], ids=["mirrored", "asked"])
async def test_root_of(ref: str, root: str, mirrored: bool) -> None:
    async with scene(small_world(), watched=WATCHED if mirrored else WATCHED[:0], finders=()) as play:
        assert await play.mirror.synced(SOON)
        found = await find_root(ObjectRef.parse(ref), play.mirror, play.cluster)
        assert str(found.ref) == root
        assert found.uid == f"uid-{root.rpartition('/')[2]}"
        assert found.chain.end is ChainEnd.ROOT
        assert (play.cluster.requests["get"] == 0) == mirrored


async def test_root_is_the_highest_that_exists() -> None:
    world = small_world()
    world.remove("deployments", "web")
    async with scene(world) as play:
        assert await play.mirror.synced(SOON)
        found = await find_root(ObjectRef.parse("shop/Pod/web-1-x"), play.mirror, play.cluster)
        assert str(found.ref) == "shop/ReplicaSet/web-1"
        assert found.chain.end is ChainEnd.MISSING
        assert found.chain.root.name == "web"


@pytest.mark.parametrize("ref", ["shop/Pod/nobody", "shop/Widget/x"])
async def test_root_of_nothing(ref: str) -> None:
    async with scene(small_world()) as play:
        assert await play.mirror.synced(SOON)
        with pytest.raises(NotFound):
            await find_root(ObjectRef.parse(ref), play.mirror, play.cluster)
