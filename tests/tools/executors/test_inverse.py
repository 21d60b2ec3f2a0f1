from __future__ import annotations

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cluster.resources import DEPLOYMENT
from tools.executors.base import Mark
from tools.executors.compare import same
from tools.executors.inverse import Inverse, record
from tools.executors.patch import find
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
