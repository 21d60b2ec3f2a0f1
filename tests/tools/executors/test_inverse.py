from __future__ import annotations

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tools.cluster.resources import DEPLOYMENT, SERVICE
from tools.executors.base import Mark
from tools.executors.compare import same
from tools.executors.inverse import INVERSES, AnyInverse, Inverse, record
from tools.executors.lives import created, removed
from tools.executors.patch import find
from tools.executors.whole import MADE_BY
from tools.guard.diff import diff
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ActionId, IncidentId, ObjectRef

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
MARK = Mark(ActionId("undo-1"), IncidentId("inc-1"))
VALUES = st.sampled_from([1, 2, "x", True, [1], [], {"k": 1}, {"k": 2, "l": [1]}, {}])
SPECS = st.dictionaries(st.sampled_from(["replicas", "a/b", "c~d", "other"]), VALUES, max_size=4)
PATHS = ("/spec/replicas", "/spec/a~1b", "/spec/c~0d")


def web(spec: JsonObject, version: str = "1") -> JsonObject:
    metadata: JsonObject = {
        "name": "web",
        "namespace": "shop",
        "uid": "u",
        "resourceVersion": version,
        "annotations": {"team": "x"},
    }
    return {"kind": "Deployment", "metadata": metadata, "spec": spec}


def applied(inverse: Inverse, live: JsonObject) -> JsonObject:
    request = inverse.request(DEPLOYMENT, live, MARK)
    patched: JsonObject = jsonpatch.apply_patch(live, request.body)
    return patched


@given(SPECS, SPECS)
def test_act_then_undo_restores_every_declared_field_and_nothing_else(before: JsonObject, after: JsonObject) -> None:
    inverse = record(WEB, PATHS, web(before), web(after))
    if inverse is None:
        assert all(same(find(web(before), p)[1], find(web(after), p)[1]) for p in PATHS)
        return
    restored = applied(inverse, web(after, "7"))
    assert inverse.is_restored(restored)
    for path in PATHS:
        assert find(restored, path) == find(web(before), path)
    outside = {c.path for c in diff(web(after), restored)}
    assert all(any(p == path or p.startswith(path + "/") for path in PATHS) for p in outside)


@given(SPECS, SPECS, SPECS)
def test_a_foreign_change_is_seen_and_never_overwritten(
    before: JsonObject, after: JsonObject, foreign: JsonObject
) -> None:
    inverse = record(WEB, PATHS, web(before), web(after))
    if inverse is None:
        return
    touched = {f.path for f in inverse.fields if not same(find(web(foreign), f.path)[1], find(web(after), f.path)[1])}
    assert set(inverse.foreign(web(foreign))) == touched


@given(SPECS, SPECS)
def test_it_survives_a_round_trip_through_json(before: JsonObject, after: JsonObject) -> None:
    inverse = record(WEB, PATHS, web(before), web(after))
    if inverse is not None:
        assert Inverse.model_validate_json(inverse.model_dump_json()) == inverse


def undo_of(before: JsonObject, after: JsonObject) -> Inverse:
    inverse = record(WEB, PATHS, web(before), web(after))
    assert inverse is not None
    return inverse


def test_a_field_that_changes_after_the_read_fails_the_swap() -> None:
    request = undo_of({"replicas": 1}, {"replicas": 3}).request(DEPLOYMENT, web({"replicas": 3}), MARK)
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(web({"replicas": 5}), request.body)


def test_another_life_of_the_name_fails_the_swap() -> None:
    request = undo_of({"replicas": 1}, {"replicas": 3}).request(DEPLOYMENT, web({"replicas": 3}), MARK)
    other = web({"replicas": 3})
    other["metadata"] = {"uid": "another", "annotations": {}}
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(other, request.body)


@pytest.mark.parametrize(("after", "fenced"), [({"replicas": 3}, False), ({}, True)])
def test_the_version_is_part_of_the_fence_only_where_there_is_no_value_to_test(after: JsonObject, fenced: bool) -> None:
    body = undo_of({"replicas": 1}, after).request(DEPLOYMENT, web(after), MARK).body
    assert isinstance(body, list)
    assert any(isinstance(o, dict) and o["path"] == "/metadata/resourceVersion" for o in body) is fenced


def test_a_null_that_the_server_no_longer_prints_is_no_foreign_change() -> None:
    wrote: JsonValue = {"metadata": {"creationTimestamp": None, "labels": {"a": "b"}}}
    inverse = undo_of({"replicas": 1}, {"replicas": wrote})
    live = web({"replicas": {"metadata": {"labels": {"a": "b"}}}})
    assert inverse.foreign(live) == ()
    assert inverse.is_restored(applied(inverse, live))


# objects that were made or deleted

MANAGED: JsonObject = {"managedFields": [{"manager": "selfheal-restore_object"}]}


def service(uid: str = "u", **parts: JsonObject) -> JsonObject:
    metadata: JsonObject = {
        "name": "web",
        "namespace": "shop",
        "uid": uid,
        "resourceVersion": "7",
        "annotations": {MADE_BY: "act-1"},
        **parts.get("metadata", {}),
    }
    spec: JsonObject = {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30000}], **parts.get("spec", {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def test_a_record_without_a_tag_is_about_fields() -> None:
    inverse = undo_of({"replicas": 1}, {"replicas": 3})
    old = inverse.model_dump(mode="json")
    del old["kind"]
    assert INVERSES.validate_python(old) == inverse


@pytest.mark.parametrize(
    "inverse",
    [
        undo_of({"replicas": 1}, {"replicas": 3}),
        created(WEB, ActionId("act-1"), "selfheal-restore_object", service()),
        removed(WEB, service(), SERVICE),
    ],
    ids=lambda inverse: str(inverse.kind),
)
def test_every_kind_survives_a_round_trip_by_its_tag(inverse: AnyInverse) -> None:
    assert INVERSES.validate_json(INVERSES.dump_json(inverse)) == inverse


@pytest.mark.parametrize("tag", ["nothing", "", None, 5])
def test_a_tag_that_nobody_wrote_is_an_error(tag: object) -> None:
    with pytest.raises(ValidationError):
        INVERSES.validate_python({**undo_of({"replicas": 1}, {"replicas": 3}).model_dump(mode="json"), "kind": tag})


@pytest.mark.parametrize(
    ("why", "live", "ours", "foreign"),
    [
        ("as the dry run showed it", service(metadata=MANAGED), True, ()),
        ("addresses are given anew in each call", service("other", spec={"clusterIP": "10.7.7.7"}), True, ()),
        ("its status", {**service(), "status": {"loadBalancer": {}}}, True, ()),
        ("somebody's field", service(spec={"selector": {"app": "x"}}), True, ("/spec/selector/app",)),
        ("somebody's label", service(metadata={"labels": {"a": "b"}}), True, ("/metadata/labels/a",)),
        ("somebody's finalizer", service(metadata={"finalizers": ["x"]}), True, ("/metadata/finalizers",)),
        ("another maker", service(metadata={"annotations": {MADE_BY: "act-2"}}), False, ()),
        (
            "made out of its manifest by somebody",
            service(metadata={"managedFields": [{"manager": "kubectl"}]}),
            False,
            (),
        ),
    ],
)
def test_what_we_made_is_known_by_its_mark(why: str, live: JsonObject, ours: bool, foreign: tuple[str, ...]) -> None:
    inverse = created(WEB, ActionId("act-1"), "selfheal-restore_object", service())
    assert (inverse.is_ours(live), inverse.foreign(live)) == (ours, foreign)


def test_deleting_what_we_made_names_its_life_and_version() -> None:
    request = created(WEB, ActionId("act-1"), "x", service()).request(SERVICE, service("u-real"))
    assert isinstance(request.body, dict)
    assert (request.verb, request.body["preconditions"]) == ("delete", {"uid": "u-real", "resourceVersion": "7"})


def test_what_we_removed_is_made_again_without_what_belonged_to_its_life() -> None:
    request = removed(WEB, service(metadata=MANAGED), SERVICE).request(SERVICE, MARK)
    assert isinstance(request.body, dict)
    metadata = request.body["metadata"]
    assert isinstance(metadata, dict)
    assert not {"uid", "resourceVersion", "managedFields"} & set(metadata)
    assert request.body["spec"] == {"ports": [{"port": 80, "nodePort": 30000}]}
