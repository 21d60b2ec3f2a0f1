"""The two actions on resources of Crossplane: what each writes, what each refuses, and what neither can touch."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tests.support.crossplane.model import BUCKET, STORE, managed
from tools import registry
from tools.cluster.catalogue import Catalogue, Served
from tools.cluster.resources import Resource
from tools.errors import NotFound
from tools.executors.base import ACTION_ID, INCIDENT_ID, Applied, Mark, Situation
from tools.executors.crossplane.facts import CREATE_PENDING, EXTERNAL_NAME, PAUSED, REQUESTED, UNTOUCHABLE
from tools.executors.crossplane.finder import catalogue_of
from tools.executors.crossplane.wake import ReconcileNowExecutor, ResumeExecutor
from tools.executors.patch import pointer
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, dig_object
from tools.refs import ActionId, IncidentId, ObjectRef

R = ReasonCode
MARK = Mark(ActionId("act-1"), IncidentId("inc-1"))
RESOURCE = Resource("storage.example.org", "v1beta1", "buckets", BUCKET)
RESUME, WAKE = "crossplane_resume", "crossplane_reconcile_now"


def catalogue(*, listed: bool = True, categories: tuple[str, ...] = ("crossplane", "managed")) -> Catalogue:
    known = catalogue_of(["buckets.storage.example.org"] if listed else ["networks.storage.example.org"])
    known.learn(RESOURCE.group, [Served(RESOURCE, frozenset(categories))])
    return known


def bucket(notes: dict[str, str] | None = None, *, namespace: str = "shop", deleting: bool = False) -> JsonObject:
    made = managed(BUCKET, "data", namespace=namespace, annotations=notes)
    gone: JsonObject = {"deletionTimestamp": "2026-01-05T09:00:00Z"} if deleting else {}
    metadata: JsonObject = {**dig_object(made, "metadata"), "uid": "u", "resourceVersion": "7", "generation": 1, **gone}
    return {**made, "metadata": metadata}


def order(tool: str, kind: str = BUCKET, namespace: str | None = "shop") -> Any:
    return registry.parse(tool, {"kind": kind, "namespace": namespace, "name": "data"})


class Shelf:
    """A cluster that has one object and writes down where it was looked for."""

    def __init__(self, live: JsonObject) -> None:
        self.live = live
        self.asked: list[str] = []

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        self.asked.append(resource.path(namespace, name, subresource))
        return self.live

    async def list(self, resource: Resource, namespace: str | None = None, **_: object) -> list[JsonObject]:
        raise AssertionError(f"{resource.plural} {namespace}")


async def seen(tool: str, live: JsonObject, known: Catalogue | None = None, **more: Any) -> tuple[Any, Situation]:
    executor = registry.executors([tool], catalogue=known or catalogue(), **more)[tool]
    return executor, await executor.read(order(tool), Shelf(live))


@pytest.mark.parametrize(
    ("why", "tool", "live", "expected"),
    [
        ("paused", RESUME, bucket({PAUSED: "true"}), None),
        ("not paused", RESUME, bucket(), R.NO_CHANGE),
        ("paused by another word", RESUME, bucket({PAUSED: "yes"}), R.NO_CHANGE),
        ("paused and being deleted", RESUME, bucket({PAUSED: "true"}, deleting=True), R.TARGET_DELETING),
        (
            "paused, and its creation is uncertain",
            RESUME,
            bucket({PAUSED: "true", CREATE_PENDING: "2026-01-05T09:00:00Z"}),
            R.TARGET_PROTECTED,
        ),
        ("in another namespace", RESUME, bucket({PAUSED: "true"}, namespace="lab"), R.TARGET_OUT_OF_SCOPE),
        ("runs", WAKE, bucket(), None),
        ("asked before", WAKE, bucket({REQUESTED: "earlier"}), None),
        ("nobody would look", WAKE, bucket({PAUSED: "true"}), R.WORKLOAD_PAUSED),
        ("is being deleted", WAKE, bucket(deleting=True), R.TARGET_DELETING),
        ("its creation is uncertain", WAKE, bucket({CREATE_PENDING: "2026-01-05T09:00:00Z"}), R.TARGET_PROTECTED),
    ],
)
async def test_when_it_makes_sense(why: str, tool: str, live: JsonObject, expected: ReasonCode | None) -> None:
    executor, situation = await seen(tool, live)
    refused = executor.precondition(order(tool), situation)
    assert (None if refused is None else refused.code) is expected


@pytest.mark.parametrize("tool", [RESUME, WAKE])
async def test_what_nobody_listed_is_not_even_read(tool: str) -> None:
    shelf = Shelf(bucket({PAUSED: "true"}))
    for known in (Catalogue(), catalogue(listed=False)):
        with pytest.raises(NotFound, match="SELFHEAL_CROSSPLANE_RESOURCES"):
            await registry.executors([tool], catalogue=known)[tool].read(order(tool), shelf)
    with pytest.raises(NotFound):
        await registry.executors([tool], catalogue=catalogue())[tool].read(order(tool, STORE), shelf)
    assert shelf.asked == []


@pytest.mark.parametrize("categories", [(), ("crossplane", "providerconfig"), ("all",)])
async def test_what_is_listed_and_none_of_crossplanes_resources_is_refused(categories: tuple[str, ...]) -> None:
    executor, situation = await seen(WAKE, bucket(), catalogue(categories=categories))
    assert executor.precondition(order(WAKE), situation).code is R.NOT_ON_THE_LIST


async def test_packages_are_read_and_never_written() -> None:
    known = catalogue_of(["buckets.storage.example.org"])
    provider = Resource("pkg.crossplane.io", "v1", "providers", "Provider.pkg.crossplane.io", namespaced=False)
    known.learn(provider.group, [Served(provider, frozenset({"crossplane", "pkg"}))])
    executor = registry.executors([WAKE], catalogue=known)[WAKE]
    action = order(WAKE, provider.kind, None)
    live: JsonObject = {"metadata": {"name": "data", "uid": "u"}}
    assert executor.precondition(action, Situation(live)).code is R.NOT_ON_THE_LIST  # type: ignore[union-attr]
    assert not known.may_patch(provider)


@pytest.mark.parametrize("tool", [RESUME, WAKE])
async def test_exactly_one_annotation_changes_beside_our_marks(tool: str) -> None:
    live = bucket({PAUSED: "true", EXTERNAL_NAME: "thing-1"}) if tool == RESUME else bucket()
    executor, situation = await seen(tool, live)
    request = executor.request(order(tool), situation, MARK)
    touched = {str(o["path"]) for o in request.body if o["op"] != "test"}
    key = PAUSED if tool == RESUME else REQUESTED
    notes = {pointer("metadata", "annotations", k) for k in (key, ACTION_ID, INCIDENT_ID)}
    assert touched <= {*notes, "/metadata/annotations", "/metadata/resourceVersion"}
    assert executor.declared_fields == (pointer("metadata", "annotations", key),)
    assert (request.verb, request.subresource, request.resource) == ("patch", None, RESOURCE)
    assert [(r.verb, r.resource) for r in executor.rights(order(tool))] == [("patch", RESOURCE)]


@pytest.mark.parametrize("tool", [RESUME, WAKE])
def test_no_argument_names_an_annotation_or_a_field(tool: str) -> None:
    assert set(registry.arguments_of(tool).model_fields) == {"kind", "namespace", "name"}


@pytest.mark.parametrize("key", sorted(UNTOUCHABLE))
@pytest.mark.parametrize("base", [ReconcileNowExecutor, ResumeExecutor])
def test_an_executor_of_an_annotation_that_a_provider_lives_by_cannot_be_made(base: type[Any], key: str) -> None:
    class Wrong(base):  # type: ignore[misc]
        key: ClassVar[str] = ""
        declared_fields: ClassVar[tuple[str, ...]] = ()

    Wrong.key, Wrong.declared_fields = key, (pointer("metadata", "annotations", key),)
    with pytest.raises(ValueError, match="no annotation that may be written"):
        Wrong(catalogue())


@pytest.mark.parametrize("base", [ReconcileNowExecutor, ResumeExecutor])
@pytest.mark.parametrize("fields", [("/spec",), ("/metadata/annotations",), (), ("/metadata/labels/x",)])
def test_an_executor_that_declares_more_than_its_annotation_cannot_be_made(
    base: type[Any], fields: tuple[str, ...]
) -> None:
    class Wrong(base):  # type: ignore[misc]
        declared_fields: ClassVar[tuple[str, ...]] = fields

    with pytest.raises(ValueError, match="no annotation that may be written"):
        Wrong(catalogue())


RUNNING, HELD = managed(BUCKET, "data"), managed(BUCKET, "data", annotations={PAUSED: "true"})


@pytest.mark.parametrize(
    ("why", "wanted", "refused", "is_asked"),
    [
        ("nothing is declared", None, None, True),
        ("it is declared running", RUNNING, None, False),
        ("it is declared paused", HELD, R.WORKLOAD_PAUSED, False),
    ],
)
async def test_what_is_declared_decides_whether_a_person_must_agree(
    why: str, wanted: JsonObject | None, refused: ReasonCode | None, *, is_asked: bool
) -> None:
    asked: list[ObjectRef] = []

    def declared(ref: ObjectRef) -> JsonObject | None:
        asked.append(ref)
        return wanted

    executor, situation = await seen(RESUME, bucket({PAUSED: "true"}), declared=declared)
    found = executor.precondition(order(RESUME), situation)
    assert (None if found is None else found.code) is refused
    assert bool(executor.approval_reasons(order(RESUME), situation)) is is_asked
    assert {str(ref) for ref in asked} == {f"shop/{BUCKET}/data"}


@pytest.mark.parametrize(
    ("why", "now", "expected"),
    [
        ("it is gone", None, Applied.UNKNOWN),
        ("it bears our mark", bucket({ACTION_ID: "act-1"}), Applied.YES),
        ("nobody wrote", bucket({PAUSED: "true"}), Applied.NO),
    ],
)
async def test_reading_back_after_a_lost_answer(why: str, now: JsonObject | None, expected: Applied) -> None:
    executor, before = await seen(RESUME, bucket({PAUSED: "true"}))
    assert executor.was_applied(order(RESUME), before, now, MARK) is expected


async def test_a_pause_that_went_without_our_mark_is_not_taken_for_ours() -> None:
    executor, before = await seen(RESUME, bucket({PAUSED: "true"}))
    now = bucket()
    metadata = dig_object(now, "metadata")
    metadata["resourceVersion"] = "8"
    assert executor.was_applied(order(RESUME), before, now, MARK) is Applied.UNKNOWN
