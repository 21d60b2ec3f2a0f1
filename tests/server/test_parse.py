"""What `POST /self-heal` can read, as a table, and what it says about the rest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.incident import Source
from server.parse import (
    MAX_DEPTH,
    Parsed,
    Unreadable,
    canonical_kind,
    parse_body,
    parse_document,
    parse_reference_text,
)
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
POD = ObjectRef(kind="Pod", namespace="shop", name="web-5d8-x2")

CORE_EVENT: JsonObject = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "web-5d8-x2.17f", "namespace": "shop"},
    "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-5d8-x2", "uid": "u"},
    "type": "Warning",
    "reason": "BackOff",
    "message": "Back-off restarting\nfailed container",
}
NEW_EVENT: JsonObject = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "web-5d8-x2.17f", "namespace": "shop"},
    "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-5d8-x2"},
    "type": "Warning",
    "reason": "Failed",
    "note": "Error: ErrImagePull",
}
REFERENCE: JsonObject = {"kind": "Deployment", "namespace": "shop", "name": "web"}


def raw(document: object) -> bytes:
    return json.dumps(document).encode()


def read(document: object) -> Parsed:
    parsed = parse_body(raw(document))
    assert isinstance(parsed, Parsed), parsed
    return parsed


@pytest.mark.parametrize(
    ("document", "target", "source", "note"),
    [
        pytest.param(CORE_EVENT, POD, Source.EVENT, "Warning BackOff: Back-off restarting failed container", id="v1"),
        pytest.param(NEW_EVENT, POD, Source.EVENT, "Warning Failed: Error: ErrImagePull", id="events.k8s.io/v1"),
        pytest.param(
            {k: v for k, v in CORE_EVENT.items() if k not in {"apiVersion", "kind"}},
            POD, Source.EVENT, "Warning BackOff: Back-off restarting failed container", id="item of a list",
        ),
        pytest.param(
            {**CORE_EVENT, "involvedObject": {"kind": "Pod", "name": "web-5d8-x2"}},
            POD, Source.EVENT, "Warning BackOff: Back-off restarting failed container", id="no namespace of its own",
        ),
        pytest.param(
            {
                "kind": "Event",
                "metadata": {"namespace": "default"},
                "involvedObject": {"kind": "Node", "name": "worker-1"},
                "reason": "NodeNotReady",
            },
            ObjectRef(kind="Node", namespace=None, name="worker-1"), Source.EVENT, "NodeNotReady", id="of a node",
        ),
        pytest.param(REFERENCE, WEB, Source.REQUEST, "", id="reference"),
        pytest.param({**REFERENCE, "apiVersion": "apps/v1"}, WEB, Source.REQUEST, "", id="reference with apiVersion"),
    ],
)  # fmt: skip
def test_what_is_read(document: JsonObject, target: ObjectRef, source: Source, note: str) -> None:
    parsed = read(document)
    assert (parsed.trigger.ref, parsed.trigger.source, parsed.trigger.note) == (target, source, note)
    assert parsed.body == document
    assert parse_document(parsed.body) == parsed.trigger, "a restart reads the inbox as the request was read"


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        (b"", "", "not JSON"),
        (b"{", "", "line 1"),
        (b"[]", "", "must be an object"),
        (b'"Pod"', "", "must be an object"),
        (b"\xff\xfe", "", "UTF-8"),
        (b"[" * 100_000, "", "nested deeper"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "", "nested deeper"),
        (b'{"kind": NaN}', "", "NaN"),
        (b'{"x": ' + b"9" * 5000 + b"}", "", "not JSON"),
        (b'{"kind": "Pod", "kind": "Node"}', "", "same key twice"),
        (b'{"kind": "Pod", "name": "\\ud800"}', "", "surrogate"),
        (b"{}", "kind", "missing"),
        (raw({"kind": "Deployment", "namespace": "shop"}), "name", "missing"),
        (raw({"kind": "Deployment", "name": "web"}), "namespace", "name it"),
        (raw({"kind": "Node", "namespace": "shop", "name": "a"}), "namespace", "leave it out"),
        (raw({**REFERENCE, "kind": "deploy"}), "kind", "did you mean Deployment?"),
        (raw({**REFERENCE, "kind": "deployment"}), "kind", "did you mean Deployment?"),
        (raw({**REFERENCE, "kind": 7}), "kind", "must be a string"),
        (raw({**REFERENCE, "name": "../web"}), "name", "kubectl get"),
        (raw({**REFERENCE, "namespace": "Shop"}), "namespace", "kubectl get"),
        (raw({**REFERENCE, "namespace": ["shop"]}), "namespace", "kubectl get"),
        (raw({**REFERENCE, "apiVersion": "extensions/v1beta1"}), "apiVersion", "apps/v1"),
        (raw({**REFERENCE, "uid": "x"}), "uid", "no such field"),
        (raw({**REFERENCE, "namspace": "x"}), "namspace", "did you mean namespace?"),
        (raw({**CORE_EVENT, "metadata": {}}), "metadata.namespace", "no namespace"),
        (raw({**CORE_EVENT, "involvedObject": {}}), "involvedObject", "names no object"),
        (raw({**CORE_EVENT, "apiVersion": "audit.k8s.io/v1"}), "apiVersion", "v1 or events.k8s.io/v1"),
        (raw({**NEW_EVENT, "apiVersion": "v1"}), "regarding", "as the API server prints it"),
        (
            raw({**CORE_EVENT, "involvedObject": {"kind": "Pod", "namespace": "bank", "name": "vault"}}),
            "involvedObject.namespace",
            "cannot speak for",
        ),
        (
            raw({**CORE_EVENT, "involvedObject": {"kind": "Pod", "namespace": {"a": 1}, "name": "vault"}}),
            "involvedObject.namespace",
            "cannot speak for",
        ),
        (raw({**CORE_EVENT, "involvedObject": {"kind": "Pod"}}), "involvedObject.name", "missing"),
    ],
)
def test_what_is_refused_names_the_field_and_the_remedy(body: bytes, field: str, remedy: str) -> None:
    answer = parse_body(body)
    assert isinstance(answer, Unreadable), answer
    assert answer.field == field
    assert remedy in answer.remedy


def test_an_events_text_is_cut_and_made_one_line() -> None:
    note = read({**CORE_EVENT, "message": "a\x1b[31m\u202e" + "b" * 5000}).trigger.note
    assert len(note) == 1024
    assert note.isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_no_document_makes_it_raise(document: object) -> None:
    assert isinstance(parse_body(raw(document)), Parsed | Unreadable)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert isinstance(parse_body(body), Unreadable)


@given(
    st.dictionaries(
        st.sampled_from(["apiVersion", "kind", "metadata", "involvedObject", "regarding", "name", "namespace", "note"]),
        st.sampled_from(
            ["Event", "Pod", "v1", "shop", 1, None, [], {}, {"namespace": "shop"}, {"kind": "Pod", "name": "a"}]
        ),
    )
)
def test_an_event_never_leads_out_of_its_namespace(document: JsonObject) -> None:
    match parse_body(raw(document)):
        case Parsed(trigger=trigger) if trigger.source is Source.EVENT:
            metadata = document["metadata"]
            assert isinstance(metadata, dict)
            assert trigger.ref.namespace in (metadata["namespace"], None)
        case _:
            pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop/Deployment/web", WEB),
        ("shop/deployment/web", WEB),
        ("shop/deploy/web", WEB),
        ("shop/deployments/web", WEB),
        ("node/worker-1", ObjectRef(kind="Node", namespace=None, name="worker-1")),
        ("shop/Gadget/web", ObjectRef(kind="Gadget", namespace="shop", name="web")),
    ],
)
def test_references_as_people_type_them(text: str, expected: ObjectRef) -> None:
    assert parse_reference_text(text) == expected


@pytest.mark.parametrize("text", ["web", "", "/", "a/b/c/d", "deployment/web", "shop//web", "shop/deploy/WEB"])
def test_references_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not an object"):
        parse_reference_text(text)


def test_a_kind_nobody_knows_has_no_canonical_form() -> None:
    assert canonical_kind("gadget") is None
