from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.tools.executors.objects import UID, container, controller_revision, deployment, replica_set, workload
from tools import registry
from tools.cluster.resources import Resource
from tools.errors import NotFound
from tools.executors.base import ACTION_ID, INCIDENT_ID, Applied, Mark, Situation
from tools.executors.kubernetes.common import read_back
from tools.executors.kubernetes.workload import RESTARTED_AT
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str
from tools.refs import ActionId, IncidentId

MARK = Mark(ActionId("act-1"), IncidentId("inc-1"))


@dataclass
class Shelf:
    """A reader that has these objects and no others."""

    objects: dict[str, list[JsonObject]] = field(default_factory=dict)

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        for item in self.objects.get(resource.kind, []):
            if dig_str(item, "metadata", "name") == name:
                return item
        raise NotFound(name)

    async def list(self, resource: Resource, namespace: str | None = None, **options: Any) -> list[JsonObject]:
        return self.objects.get(resource.kind, [])


def parse(name: str, kind: str = "Deployment", **arguments: object) -> Any:
    return registry.parse(name, {"kind": kind, "namespace": "shop", "name": "web", **arguments})


def executor(name: str) -> Any:
    return registry.executors()[name]


async def situation(name: str, action: Any, shelf: Shelf) -> Situation:
    found = await executor(name).read(action, shelf)
    assert isinstance(found, Situation)
    return found


def refusal(name: str, action: Any, at: Situation) -> ReasonCode | None:
    refused = executor(name).precondition(action, at)
    return None if refused is None else refused.code


# rollback


def with_history(live: JsonObject, *revisions: JsonObject) -> Shelf:
    kind = dig_str(live, "kind")
    return Shelf({kind: [live], "ReplicaSet" if kind == "Deployment" else "ControllerRevision": list(revisions)})


NOW = deployment()
HISTORY = (replica_set(1, "shop/web:0"), replica_set(2, "shop/web:1"))


@pytest.mark.parametrize(
    ("why", "live", "history", "to", "code"),
    [
        ("the revision is there", NOW, HISTORY, 1, None),
        ("it is the present one", NOW, HISTORY, 2, ReasonCode.NO_REVISION),
        ("it never was or was pruned", NOW, HISTORY, 9, ReasonCode.NO_REVISION),
        ("there is no history at all", NOW, (), 1, ReasonCode.NO_REVISION),
        (
            "it is another owner's of the same name",
            NOW,
            (replica_set(1, "evil:1", owner="uid-other"),),
            1,
            ReasonCode.NO_REVISION,
        ),
        ("the rollout is paused", deployment(paused=True), HISTORY, 1, ReasonCode.WORKLOAD_PAUSED),
        (
            "a number that is no number",
            NOW,
            (replica_set(1, "a:1") | {"metadata": {"name": "x"}},),
            1,
            ReasonCode.NO_REVISION,
        ),
    ],
)
async def test_rollback_of_a_deployment(
    why: str, live: JsonObject, history: tuple[JsonObject, ...], to: int, code: ReasonCode | None
) -> None:
    action = parse("rollback_workload", to_revision=to)
    assert (
        refusal("rollback_workload", action, await situation("rollback_workload", action, with_history(live, *history)))
        == code
    )


async def test_rollback_writes_the_template_without_the_hash_of_the_replica_set() -> None:
    action = parse("rollback_workload", to_revision=1)
    request = executor("rollback_workload").request(
        action, await situation("rollback_workload", action, with_history(NOW, *HISTORY)), MARK
    )
    operations = list(request.body)
    assert operations[:2] == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "10"},
        {"op": "test", "path": "/metadata/uid", "value": UID},
    ]
    assert (operations[2]["op"], operations[2]["path"]) == ("replace", "/spec/template")
    assert dig_object(operations[2]["value"], "metadata", "labels") == {"app": "web"}
    assert dig_str(operations[2]["value"], "spec", "containers", 0, "image") == "shop/web:0"
    assert operations[3:] == [
        {"op": "add", "path": "/metadata/annotations/selfheal.dev~1action-id", "value": "act-1"},
        {"op": "add", "path": "/metadata/annotations/selfheal.dev~1incident-id", "value": "inc-1"},
    ]
    assert request.subresource is None


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_rollback_takes_the_template_out_of_a_controller_revision(kind: str) -> None:
    action = parse("rollback_workload", kind, to_revision=4)
    shelf = with_history(
        workload(kind), controller_revision(4, "old:1", kind=kind), controller_revision(5, "shop/web:1", kind=kind)
    )
    found = await situation("rollback_workload", action, shelf)
    body = list(executor("rollback_workload").request(action, found, MARK).body)
    assert dig_str(body[2]["value"], "spec", "containers", 0, "image") == "old:1"
    assert "$patch" not in dig_object(body[2]["value"])
    assert found.support["current"] == 5


async def test_a_controller_revision_that_is_no_replacement_is_no_revision() -> None:
    odd = controller_revision(4, "old:1")
    odd["data"] = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "old:1"}]}}}}
    action = parse("rollback_workload", "StatefulSet", to_revision=4)
    found = await situation("rollback_workload", action, with_history(workload("StatefulSet"), odd))
    assert refusal("rollback_workload", action, found) is ReasonCode.NO_REVISION


async def test_an_added_probe_makes_another_revision_although_the_old_one_is_contained_in_the_new() -> None:
    live = deployment(containers=[container(livenessProbe={"httpGet": {"port": 1}})])
    action = parse("rollback_workload", to_revision=2)
    assert (
        refusal("rollback_workload", action, await situation("rollback_workload", action, with_history(live, *HISTORY)))
        is None
    )


async def test_the_workload_is_gone() -> None:
    with pytest.raises(NotFound):
        await executor("rollback_workload").read(parse("rollback_workload", to_revision=1), Shelf())


# restart


async def test_restart_is_deterministic_and_makes_the_maps_that_are_missing() -> None:
    action = parse("restart_workload")
    found = await situation("restart_workload", action, Shelf({"Deployment": [NOW]}))
    first, second = (list(executor("restart_workload").request(action, found, MARK).body) for _ in range(2))
    assert first == second
    assert first[2] == {"op": "add", "path": "/spec/template/metadata/annotations", "value": {}}
    assert first[3]["path"] == "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt"
    assert MARK.action_id in str(first[3]["value"])


async def test_restart_refuses_a_paused_workload() -> None:
    action = parse("restart_workload")
    assert refusal("restart_workload", action, Situation(deployment(paused=True))) is ReasonCode.WORKLOAD_PAUSED
    assert refusal("restart_workload", action, Situation(NOW)) is None


@pytest.mark.parametrize(
    ("before", "after", "holds"), [("", "x", True), ("x", "y", True), ("x", "x", False), ("x", "", False)]
)
def test_restart_holds_when_the_annotation_is_a_new_one(before: str, after: str, holds: bool) -> None:
    live = deployment()
    dig_object(live, "spec", "template", "metadata")["annotations"] = {RESTARTED_AT: after}
    found = executor("restart_workload").postcondition(
        parse("restart_workload"), Situation({}, {"restarted": before}), Situation(live)
    )
    assert (found is None) is holds


# scale


@pytest.mark.parametrize(
    ("wanted", "code", "asks"),
    [(2, None, False), (3, ReasonCode.NO_CHANGE, False), (4, None, False), (0, None, True)],
)
def test_scale(wanted: int, code: ReasonCode | None, asks: bool) -> None:
    action = parse("scale_workload", replicas=wanted)
    assert refusal("scale_workload", action, Situation(NOW)) == code
    assert bool(executor("scale_workload").approval_reasons(action, Situation(NOW))) is asks


def test_scale_patches_the_object_and_no_subresource() -> None:
    request = executor("scale_workload").request(parse("scale_workload", replicas=2), Situation(NOW), MARK)
    assert (request.subresource, request.verb) == (None, "patch")
    assert {"op": "add", "path": "/spec/replicas", "value": 2} in request.body


@pytest.mark.parametrize("name", ["rollback_workload", "restart_workload", "scale_workload", "set_resources"])
def test_declared_fields_never_reach_beyond_the_spec(name: str) -> None:
    assert all(path.startswith("/spec/") for path in executor(name).declared_fields)


# reading back


def read(live: JsonObject | None, *, version: str = "10", generation: JsonValue = 3) -> Applied:
    before: JsonObject = {"metadata": {"uid": UID, "resourceVersion": version, "generation": generation}}
    return read_back(Situation(before), live, MARK)


def live_with(annotations: JsonObject, *, version: str = "11", generation: int = 4, uid: str = UID) -> JsonObject:
    return {"metadata": {"uid": uid, "resourceVersion": version, "generation": generation, "annotations": annotations}}


@pytest.mark.parametrize(
    ("why", "now", "answer"),
    [
        ("it bears our mark", live_with({ACTION_ID: "act-1"}), Applied.YES),
        ("it is as it was", live_with({}, version="10", generation=3), Applied.NO),
        ("only the status moved", live_with({}, version="99", generation=3), Applied.NO),
        ("somebody else changed the spec", live_with({}), Applied.UNKNOWN),
        (
            "an earlier action's mark says nothing of this one",
            live_with({ACTION_ID: "act-0"}, generation=3),
            Applied.NO,
        ),
        ("another life of the name", live_with({ACTION_ID: "act-1"}, uid="uid-new"), Applied.UNKNOWN),
        ("it is gone", None, Applied.UNKNOWN),
        ("the incident's mark alone is not the action's", live_with({INCIDENT_ID: "inc-1"}), Applied.UNKNOWN),
    ],
)
def test_reading_back(why: str, now: JsonObject | None, answer: Applied) -> None:
    assert read(now) is answer


def test_marks_of_a_workload_without_annotations_are_one_new_map() -> None:
    bare = deployment()
    del dig_object(bare, "metadata")["annotations"]
    body = executor("scale_workload").request(parse("scale_workload", replicas=2), Situation(bare), MARK).body
    assert body[-1] == {
        "op": "add",
        "path": "/metadata/annotations",
        "value": {ACTION_ID: "act-1", INCIDENT_ID: "inc-1"},
    }
    assert dig(NOW, "metadata", "annotations", "team") == "a/b~c"
    assert dig_list(bare, "spec", "template", "spec", "containers")
