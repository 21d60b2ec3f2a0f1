"""How a pod's place in the world is read from the view: owners, revisions, rollouts, siblings, hints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import pytest

from graph.incident import Reason
from graph.signals.contexts import Contexts, is_rolling, usual_start
from graph.signals.look import look_at_pod, look_at_root
from graph.signals.symptoms import LINGER, Symptoms
from tests.graph.signals.samples import (
    at,
    condition_of,
    container,
    daemon_set,
    deployment,
    ended,
    is_ready,
    not_ready,
    pod,
    running,
    stamp,
    stateful_set,
    status,
    waiting,
)
from tools.cluster.objects import ClusterEvent, Controller, Node, Pod, ReplicaSet, Workload, decode_json
from tools.jsontypes import JsonObject

DONE = condition_of("Progressing", "True", "NewReplicaSetAvailable")
MOVING = condition_of("Progressing", "True", "ReplicaSetUpdated")
NOT_FOUND = waiting("ErrImagePull", "registry.example/shop/web:2: not found")


def replica_set(name: str, revision: int, uid: str, image: str = "") -> ReplicaSet:
    owner: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "dep", "controller": True}
    metadata: JsonObject = {
        "name": f"web-{name}",
        "namespace": "shop",
        "uid": uid,
        "labels": {"pod-template-hash": name},
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        "ownerReferences": [owner],
    }
    template: JsonObject = {"spec": {"containers": [container(image=image)]}} if image else {}
    return decode_json({"metadata": metadata, "spec": {"template": template}, "status": {}}, ReplicaSet)


def of_set(name: str, uid: str) -> JsonObject:
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"web-{name}", "uid": uid, "controller": True}


def event(reason: str, note: str, seconds: float) -> ClusterEvent:
    return decode_json(
        {
            "metadata": {"name": "e", "namespace": "shop"},
            "regarding": {"kind": "Pod", "namespace": "shop", "name": "x", "uid": "new"},
            "reason": reason,
            "note": note,
            "eventTime": stamp(seconds),
        },
        ClusterEvent,
    )


def node(ready: str) -> Node:
    return decode_json(
        {"metadata": {"name": "node1"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}, Node
    )


class World:
    """A view with just what a test puts into it."""

    def __init__(
        self,
        root: Workload,
        *pods: Pod,
        sets: Sequence[ReplicaSet] = (),
        events: Sequence[ClusterEvent] = (),
        node: Node | None = None,
    ) -> None:
        self.root, self.pods, self.sets, self.events, self.the_node = root, list(pods), list(sets), list(events), node
        self.asked: list[str] = []

    def controller(self, kind: str, namespace: str | None, name: str) -> Controller | None:
        self.asked.append("controller")
        held: list[Controller] = [self.root, *self.sets]
        return next((o for o in held if (o.kind, o.namespace, o.name) == (kind, namespace, name)), None)

    def pods_of(self, owner_uid: str) -> list[Pod]:
        self.asked.append("pods_of")
        return list(self.pods) if owner_uid == self.root.uid else []

    def replica_sets_of(self, deployment_uid: str) -> list[ReplicaSet]:
        self.asked.append("replica_sets_of")
        return sorted(self.sets, key=lambda s: s.revision) if deployment_uid == self.root.uid else []

    def events_for(self, uid: str) -> list[ClusterEvent]:
        self.asked.append("events_for")
        return [e for e in self.events if e.regarding.uid == uid]

    def node(self, name: str) -> Node | None:
        self.asked.append("node")
        return self.the_node


OLD = replica_set("old", 1, "rs-old")
NEW = replica_set("new", 2, "rs-new")
OLD_POD = pod(
    status(running(-500), ready=True),
    phase="Running",
    conditions=is_ready(-496),
    labels={"pod-template-hash": "old"},
    owner=of_set("old", "rs-old"),
    name="web-old-1",
    uid="old",
)
NEW_POD = pod(
    status(NOT_FOUND), labels={"pod-template-hash": "new"}, owner=of_set("new", "rs-new"), name="web-new-1", uid="new"
)


def contexts(world: World, confirmed: Collection[str] = ()) -> Contexts:
    return Contexts(world, confirmed=lambda _: confirmed, symptoms=Symptoms())


def test_a_pod_of_the_newest_revision_of_a_moving_deployment_is_updating() -> None:
    context = contexts(World(deployment(MOVING), OLD_POD, NEW_POD, sets=[OLD, NEW]), {"old"}).for_pod(NEW_POD, at(5))
    assert context is not None
    assert (str(context.root), context.root_uid, context.controller) == ("shop/Deployment/web", "dep", "ReplicaSet")
    assert (context.revision, context.is_updating, context.is_confirmed, context.is_fresh) == ("new", True, False, True)
    assert context.usual_start == timedelta(seconds=4)
    assert not context.revision_serves


def test_a_pod_of_the_revision_before_is_not_updating() -> None:
    context = contexts(World(deployment(MOVING), OLD_POD, NEW_POD, sets=[OLD, NEW]), {"old"}).for_pod(OLD_POD, at(5))
    assert context is not None
    assert (context.is_updating, context.is_confirmed, context.revision_serves, context.is_fresh) == (
        False,
        True,
        True,
        False,
    )


def test_a_revision_gone_back_to_is_the_present_one() -> None:
    back = replica_set("old", 3, "rs-old")
    context = contexts(World(deployment(MOVING), OLD_POD, NEW_POD, sets=[back, NEW])).for_pod(OLD_POD, at(5))
    assert context is not None
    assert context.is_updating


def test_nobody_is_updating_before_the_controller_has_seen_the_change() -> None:
    world = World(deployment(DONE, observedGeneration=2), OLD_POD, sets=[OLD])
    context = contexts(world).for_pod(OLD_POD, at(5))
    assert context is not None
    assert not context.is_updating


def test_a_pod_whose_owner_is_not_in_view_is_not_judged() -> None:
    assert contexts(World(deployment(DONE), NEW_POD)).for_pod(NEW_POD, at(5)) is None
    other_life = replica_set("new", 2, "another-uid")
    assert contexts(World(deployment(DONE), sets=[other_life])).for_pod(NEW_POD, at(5)) is None


def test_a_pod_of_somebody_we_do_not_follow_is_its_own_root() -> None:
    owner: JsonObject = {"apiVersion": "x/v1", "kind": "Widget", "name": "w", "uid": "w", "controller": True}
    context = contexts(World(deployment(DONE))).for_pod(pod(owner=owner), at(5))
    assert context is not None
    assert (context.root.kind, context.controller) == ("Pod", "Widget")


def test_the_owner_on_its_way_out_silences_its_pods() -> None:
    world = World(deployment(DONE, deleting=True), OLD_POD, sets=[OLD])
    context = contexts(world).for_pod(OLD_POD, at(5))
    assert context is not None
    assert "deleted" in context.suppressed


def test_a_node_that_is_away_silences_its_pods() -> None:
    silent = contexts(World(deployment(DONE), OLD_POD, sets=[OLD], node=node("Unknown"))).for_pod(OLD_POD, at(5))
    spoken = contexts(World(deployment(DONE), OLD_POD, sets=[OLD], node=node("True"))).for_pod(OLD_POD, at(5))
    assert silent is not None
    assert spoken is not None
    assert (bool(silent.suppressed), bool(spoken.suppressed)) == (True, False)


def test_going_siblings_are_seen() -> None:
    going = pod(name="web-old-2", uid="old2", deleting=True)
    context = contexts(World(deployment(MOVING), NEW_POD, going, sets=[OLD, NEW])).for_pod(NEW_POD, at(5))
    assert context is not None
    assert context.siblings_leaving


def test_hints_come_from_recent_events_of_the_pod() -> None:
    events = [
        event("Killing", "Container app failed liveness probe, will be restarted", 0),
        event("Killing", "Stopping container side", 0),
        event("FailedMount", 'configmap "x" not found', 1),
        event("TriggeredScaleUp", "pod triggered scale-up", 1),
        event("Killing", "Container ancient failed liveness probe", -4000),
    ]
    world = World(deployment(MOVING), NEW_POD, sets=[OLD, NEW], events=events)
    context = contexts(world).for_pod(NEW_POD, at(5))
    assert context is not None
    assert context.hints.probe_kills == {"app"}
    assert context.hints.mount_failures == ('configmap "x" not found',)
    assert context.hints.is_scaling_up


ROLLING = {
    "Deployment that says it moves": (deployment(MOVING), True),
    "Deployment that is done": (deployment(DONE), False),
    "Deployment that is done and whose pods fail": (deployment(DONE, readyReplicas=0, availableReplicas=0), False),
    "Deployment past its deadline": (
        deployment(condition_of("Progressing", "False", "ProgressDeadlineExceeded")),
        True,
    ),
    "Deployment with a change nobody has seen": (deployment(DONE, observedGeneration=2), True),
    "Deployment without a deadline, all updated": (deployment(), False),
    "Deployment without a deadline, half updated": (deployment(updatedReplicas=1), True),
    "paused Deployment": (deployment(condition_of("Progressing", "Unknown", "DeploymentPaused")), False),
    "StatefulSet with one revision": (stateful_set(), False),
    "StatefulSet with two": (stateful_set(updateRevision="db-2", updatedReplicas=1), True),
    "DaemonSet all updated": (daemon_set(), False),
    "DaemonSet half updated": (daemon_set(updatedNumberScheduled=1), True),
}


@pytest.mark.parametrize(("workload", "rolling"), ROLLING.values(), ids=ROLLING)
def test_rollout_in_progress(workload: Workload, rolling: bool) -> None:
    assert is_rolling(workload) is rolling


def test_the_present_revision_of_each_kind() -> None:
    updated = pod(labels={"controller-revision-hash": "agent-2", "pod-template-generation": "2"})
    before = pod(labels={"controller-revision-hash": "agent-1", "pod-template-generation": "1"}, uid="before")
    assert contexts(World(deployment(DONE), sets=[OLD, NEW])).present_revision(deployment(DONE)) == "new"
    assert contexts(World(stateful_set())).present_revision(stateful_set(updateRevision="db-2")) == "db-2"
    assert contexts(World(daemon_set(), before, updated)).present_revision(daemon_set()) == "agent-2"
    assert contexts(World(daemon_set(), before)).present_revision(daemon_set()) is None


def test_usual_start_is_the_middle_of_ready_pods() -> None:
    quick = pod(status(running(0)), phase="Running", conditions=is_ready(2))
    slow = pod(status(running(0)), phase="Running", conditions=is_ready(9))
    flapped = pod(status(running(0)), phase="Running", conditions=is_ready(5000))
    unready = pod(status(running(0)), phase="Running", conditions=not_ready(1))
    assert usual_start([quick, slow, flapped, unready]) == timedelta(seconds=9)
    assert usual_start([unready]) is None
    assert usual_start([]) is None


def images(world: World, subject: Pod) -> frozenset[str]:
    context = contexts(world).for_pod(subject, at(5))
    assert context is not None
    return context.other_images


def test_other_images_are_those_that_pods_of_other_revisions_have_pulled() -> None:
    waiting_too = pod(
        status(NOT_FOUND),
        containers=[container(image="broken.example/web:1")],
        labels={"pod-template-hash": "mid"},
        owner=of_set("mid", "rs-mid"),
        uid="mid",
    )
    kept = replica_set("ancient", 0, "rs-ancient", image="ancient.example/web:1")
    world = World(deployment(MOVING), OLD_POD, waiting_too, NEW_POD, sets=[kept, OLD, NEW])
    assert images(world, NEW_POD) == {"registry.example/shop/web:1"}
    assert images(world, OLD_POD) == {"ancient.example/web:1"}


def test_without_other_pods_the_kept_templates_tell_what_other_revisions_use() -> None:
    sets = [replica_set("old", 1, "rs-old", image="a.example/web:1"), replica_set("new", 2, "rs-new", image="b/web:2")]
    assert images(World(deployment(MOVING), NEW_POD, sets=sets), NEW_POD) == {"a.example/web:1"}
    assert images(World(deployment(MOVING), NEW_POD, sets=[NEW]), NEW_POD) == frozenset()


BAD_HOST = waiting("ErrImagePull", 'Head "https://typo.example/v2/": dial tcp: lookup typo.example: i/o timeout')


def test_an_image_of_a_registry_that_nobody_else_uses_is_confirmed_in_two_seconds_whatever_the_message_says() -> None:
    typo = pod(
        status(BAD_HOST),
        containers=[container(image="typo.example/shop/web:2")],
        labels={"pod-template-hash": "new"},
        owner=of_set("new", "rs-new"),
        uid="new",
    )
    subject = contexts(World(deployment(MOVING), OLD_POD, typo, sets=[OLD, NEW]))
    assert [s.due_at for s in look_at_pod(typo, subject, at(1))] == [at(3)]
    assert [s.confirmed for s in look_at_pod(typo, subject, at(3))] == [True]


YOUNG: dict[str, tuple[Workload, int, Collection[str], float | None]] = {
    "Deployment with one revision, on its way": (deployment(MOVING), 1, (), 90),
    "Deployment with two": (deployment(MOVING), 2, (), None),
    "Deployment that was complete once": (deployment(DONE), 1, (), None),
    "Deployment that was confirmed": (deployment(MOVING), 1, ("new",), None),
    "Deployment with a deadline of 75 s": (deployment(MOVING, deadline=75), 1, (), 75),
    "Deployment with a deadline of 5 s: a minute at least": (deployment(MOVING, deadline=5), 1, (), 60),
    "StatefulSet of the first generation": (stateful_set(generation=1), 0, (), 90),
    "StatefulSet of the first generation, confirmed": (stateful_set(generation=1), 0, ("db-1",), None),
    "StatefulSet that was changed": (stateful_set(), 0, (), None),
    "DaemonSet of the first generation": (daemon_set(generation=1), 0, (), 90),
    "DaemonSet that was changed": (daemon_set(), 0, (), None),
}


@pytest.mark.parametrize(("root", "sets", "confirmed", "seconds"), YOUNG.values(), ids=YOUNG)
def test_a_first_revision_is_given_time(
    root: Workload, sets: int, confirmed: Collection[str], seconds: float | None
) -> None:
    world = World(root, sets=[NEW, OLD][:sets])
    given = contexts(world, confirmed).family(root, []).first_start
    assert given == (None if seconds is None else timedelta(seconds=seconds))


def test_what_is_well_at_first_sight_costs_one_question() -> None:
    root = deployment(DONE)
    world = World(root, *[OLD_POD] * 50, sets=[OLD])
    assert look_at_root(root, contexts(world), at(600)) == []
    assert world.asked == ["pods_of"]


def test_what_pods_have_in_common_is_asked_once() -> None:
    root = deployment(MOVING)
    world = World(root, OLD_POD, *[NEW_POD] * 50, sets=[OLD, NEW])
    assert len(look_at_root(root, contexts(world), at(5))) == 50
    assert world.asked.count("pods_of") == 1
    assert world.asked.count("replica_sets_of") == 2


def test_a_symptom_keeps_its_first_sight_through_a_short_absence() -> None:
    world = World(deployment(MOVING), OLD_POD, NEW_POD, sets=[OLD, NEW])
    subject = contexts(world)
    first = look_at_pod(NEW_POD, subject, at(2))
    creating = pod(
        status(waiting("ContainerCreating")), labels=NEW_POD.metadata.labels, owner=of_set("new", "rs-new"), uid="new"
    )
    look_at_pod(creating, subject, at(3))
    again = look_at_pod(NEW_POD, subject, at(4))
    assert [(s.reason, s.confirmed) for s in first] == [(Reason.IMAGE_PULL_FAILED, False)]
    assert [(s.reason, s.confirmed, s.observed_at) for s in again] == [(Reason.IMAGE_PULL_FAILED, True, at(2))]


def test_a_symptom_that_was_away_for_long_is_a_new_one() -> None:
    subject = contexts(World(deployment(MOVING), OLD_POD, NEW_POD, sets=[OLD, NEW]))
    look_at_pod(NEW_POD, subject, at(2))
    later = at(3) + LINGER
    assert look_at_pod(NEW_POD, subject, later)[0].observed_at == later


def test_what_is_forgotten_takes_no_room() -> None:
    symptoms = Symptoms()
    subject = Contexts(World(deployment(MOVING), NEW_POD, sets=[OLD, NEW]), confirmed=lambda _: (), symptoms=symptoms)
    look_at_pod(NEW_POD, subject, at(2))
    assert len(symptoms) == 1
    symptoms.forget("new")
    assert len(symptoms) == 0
    look_at_pod(NEW_POD, subject, at(2))
    symptoms.note("new", [], at(2) + LINGER + timedelta(seconds=1))
    assert len(symptoms) == 0


def test_looking_at_a_root_finds_its_own_and_its_pods_symptoms_confirmed_ones_first() -> None:
    late = condition_of("Progressing", "False", "ProgressDeadlineExceeded")
    crashing = pod(
        status(ended(1, ran=(3, 4)), last=ended(1), restarts=1),
        containers=[container()],
        labels={"pod-template-hash": "new"},
        owner=of_set("new", "rs-new"),
        name="web-new-2",
        uid="new2",
    )
    root = deployment(late)
    found = look_at_root(root, contexts(World(root, OLD_POD, NEW_POD, crashing, sets=[OLD, NEW])), at(5))
    assert {s.reason for s in found} == {Reason.DEADLINE_EXCEEDED, Reason.CRASH_LOOP, Reason.IMAGE_PULL_FAILED}
    assert [s.confirmed for s in found] == [True, True, False]
