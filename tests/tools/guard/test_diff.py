from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.executors.base import ACTION_ID
from tools.executors.compare import contains, same
from tools.executors.patch import find, pointer, split
from tools.guard.diff import Change, diff, outside, redacted
from tools.jsontypes import JsonObject, JsonValue

MANAGED = "deprecated.daemonset.template.generation"


def meta(**annotations: JsonValue) -> JsonObject:
    return {"metadata": {"annotations": {k.replace("__", "/"): v for k, v in annotations.items()}}}


@pytest.mark.parametrize(
    ("why", "before", "after", "paths"),
    [
        ("nothing", {"spec": {"a": 1}}, {"spec": {"a": 1}}, []),
        ("a value", {"spec": {"a": 1}}, {"spec": {"a": 2}}, ["/spec/a"]),
        ("a number is no text", {"spec": {"a": 1}}, {"spec": {"a": "1"}}, ["/spec/a"]),
        ("true is not one", {"spec": {"a": 1}}, {"spec": {"a": True}}, ["/spec/a"]),
        ("null says what absence says", {"spec": {"a": None}}, {"spec": {}}, []),
        ("a map that came", {}, {"spec": {"a": {"b": 1, "c": 2}}}, ["/spec/a/b", "/spec/a/c"]),
        ("a map that went", {"spec": {"a": {"b": 1}}}, {"spec": {}}, ["/spec/a/b"]),
        ("an empty map that came", {"spec": {}}, {"spec": {"a": {}}}, ["/spec/a"]),
        ("an item more", {"l": [1]}, {"l": [1, 2]}, ["/l/1"]),
        ("an item less", {"l": [1, 2]}, {"l": [1]}, ["/l/1"]),
        ("order counts", {"l": [1, 2]}, {"l": [2, 1]}, ["/l/0", "/l/1"]),
        ("a map became a list", {"a": {"b": 1}}, {"a": [1]}, ["/a"]),
        ("keys are escaped", {}, {"a": {"x/y~z": 1}}, ["/a/x~1y~0z"]),
        ("status is the server's", {"status": {"a": 1}}, {"status": {"a": 2}}, []),
        (
            "so are versions",
            {"metadata": {"resourceVersion": "1", "generation": 1}},
            {"metadata": {"resourceVersion": "2", "generation": 2}},
            [],
        ),
        ("and managed fields", {"metadata": {}}, {"metadata": {"managedFields": [1]}}, []),
        ("and the template generation of a DaemonSet", meta(**{MANAGED: "1"}), meta(**{MANAGED: "2"}), []),
        ("our own marks do not count", {"metadata": {}}, {"metadata": {"annotations": {ACTION_ID: "x"}}}, []),
        (
            "foreign annotations do",
            {"metadata": {}},
            {"metadata": {"annotations": {"a": "x"}}},
            ["/metadata/annotations/a"],
        ),
        (
            "our marks in a pod template do",
            {},
            {"spec": {"metadata": {"annotations": {ACTION_ID: "x"}}}},
            ["/spec/metadata/annotations/selfheal.dev~1action-id"],
        ),
        (
            "our marks as labels do",
            {},
            {"metadata": {"labels": {ACTION_ID: "x"}}},
            ["/metadata/labels/selfheal.dev~1action-id"],
        ),
        ("a key that begins like status does not hide", {}, {"statusX": 1}, ["/statusX"]),
        ("a name that changes", {"metadata": {"uid": "a"}}, {"metadata": {"uid": "b"}}, ["/metadata/uid"]),
    ],
)
def test_finds(why: str, before: JsonObject, after: JsonObject, paths: list[str]) -> None:
    assert [change.path for change in diff(before, after)] == paths


@pytest.mark.parametrize(
    ("path", "declared", "is_outside"),
    [
        ("/spec/replicas", ["/spec/replicas"], False),
        ("/spec/template/spec", ["/spec/template"], False),
        ("/spec/templateX", ["/spec/template"], True),
        ("/spec", ["/spec/template"], True),
        ("/spec/containers/0/resources/limits", ["/spec/containers/*/resources"], False),
        ("/spec/containers/0/image", ["/spec/containers/*/resources"], True),
        ("/spec/a/b", [], True),
        ("/spec/a~1b", ["/spec/a/b"], True),
    ],
)
def test_outside(path: str, declared: list[str], is_outside: bool) -> None:
    assert bool(outside([Change(path, 1, 2)], declared)) is is_outside


JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab~/", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/*", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, JSON)
def test_no_difference_is_found_exactly_when_both_say_the_same(left: JsonValue, right: JsonValue) -> None:
    assert (diff({"spec": left}, {"spec": right}) == ()) is same({"spec": left}, {"spec": right})


@given(JSON, JSON)
def test_every_path_is_a_pointer_that_can_be_read_back(left: JsonValue, right: JsonValue) -> None:
    for change in diff({"spec": left}, {"spec": right}):
        assert pointer(*split(change.path)) == change.path
        assert change.path.startswith("/spec")


@given(JSON)
def test_everything_contains_itself(value: JsonValue) -> None:
    assert contains(value, value)
    assert same(value, value)


@given(st.lists(st.text("ab~/", max_size=3), max_size=4))
def test_a_pointer_leads_where_it_was_made(path: list[str]) -> None:
    document: JsonValue = "found"
    for key in reversed(path):
        document = {key: document}
    assert find(document, pointer(*path)) == (True, "found")


@pytest.mark.parametrize(
    ("whole", "part", "holds"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": 1, "b": None}, True),
        ({"l": [1, 2]}, {"l": [1]}, False),
        ({"l": [{"a": 1, "b": 2}]}, {"l": [{"a": 1}]}, True),
        ({"a": 1}, {"a": True}, False),
        ("x", {"a": 1}, False),
    ],
)
def test_contains(whole: JsonValue, part: JsonValue, holds: bool) -> None:
    assert contains(whole, part) is holds


def pods(*env: JsonValue, args: list[JsonValue] | None = None) -> JsonObject:
    return {"spec": {"containers": [{"env": [*env], "args": args or []}]}}


@pytest.mark.parametrize(
    ("why", "before", "after", "hidden"),
    [
        ("a key that says so", {"data": {"DB_PASSWORD": "hunter1"}}, {"data": {"DB_PASSWORD": "hunter2"}}, True),
        ("a harmless key", {"data": {"MODE": "hunter1"}}, {"data": {"MODE": "hunter2"}}, False),
        ("a form that says so", {"data": {"url": "x"}}, {"data": {"url": "postgres://u:hunter2@db"}}, True),
        ("a line in a file", {"data": {"app.ini": ""}}, {"data": {"app.ini": "[db]\npassword = hunter2"}}, True),
        (
            "a variable by its name",
            pods({"name": "API_TOKEN", "value": "a"}),
            pods({"name": "API_TOKEN", "value": "hunter2"}),
            True,
        ),
        ("a variable that is added whole", pods(), pods({"name": "API_TOKEN", "value": "hunter2"}), True),
        (
            "a harmless variable",
            pods({"name": "MODE", "value": "a"}),
            pods({"name": "MODE", "value": "hunter2"}),
            False,
        ),
        ("what follows a flag", pods(args=["--token", "a"]), pods(args=["--token", "hunter2"]), True),
    ],
)
def test_values_that_look_like_secrets_are_hidden(
    why: str, before: JsonObject, after: JsonObject, hidden: bool
) -> None:
    (change,) = redacted(diff(before, after), before, after)
    assert ("hunter2" not in str(change.after) + str(change)) is hidden
    assert change.path
