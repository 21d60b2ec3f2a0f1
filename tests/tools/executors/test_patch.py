"""What a JSON Patch may lean on: the server compares scalars by their encoded bytes."""

from __future__ import annotations

import pytest

from tools.cluster.resources import DEPLOYMENT
from tools.executors import patch
from tools.executors.base import Mark
from tools.executors.inverse import FieldInverse, Inverse
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ActionId, IncidentId, ObjectRef


@pytest.mark.parametrize(
    ("value", "alike"),
    [
        pytest.param("plain text, with 'quotes' and \"more\"\n", True, id="plain"),
        pytest.param("mkdir x && run", False, id="ampersand"),
        pytest.param("a < b", False, id="less"),
        pytest.param("echo > /tmp/x", False, id="greater"),
        pytest.param("café", False, id="another-script"),
        pytest.param(["sh", "-c", "a && b"], False, id="within-a-list"),
        pytest.param({"command": ["sh"], "n": 3, "on": True, "none": None}, True, id="whole-object"),
        pytest.param(0.5, False, id="fraction"),
    ],
)
def test_what_can_be_tested(value: JsonValue, alike: bool) -> None:
    assert patch.is_comparable(value) is alike
    assert bool(patch.tested("/x", value)) is alike


@pytest.mark.parametrize(("wrote", "by_version"), [("run", False), ("a && b", True)])
def test_an_undo_is_fenced_by_the_version_where_no_value_can_be_tested(wrote: str, by_version: bool) -> None:
    live: JsonObject = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
        "spec": {"command": wrote},
    }
    field = FieldInverse(path="/spec/command", has_wrote=True, wrote=wrote, has_was=True, was="before")
    target = ObjectRef(kind="Deployment", namespace="shop", name="web")
    inverse = Inverse(target=target, uid="u", fields=(field,))
    body = inverse.request(DEPLOYMENT, live, Mark(ActionId("a"), IncidentId("i"))).body
    assert isinstance(body, list)
    paths = [(o["op"], o["path"]) for o in body if isinstance(o, dict)]
    assert (("replace", "/metadata/resourceVersion") in paths) is by_version
    assert (("test", "/spec/command") in paths) is not by_version
    assert ("replace", "/spec/command") in paths
