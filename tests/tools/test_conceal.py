"""Whole manifests without secrets, and still comparable."""

from __future__ import annotations

import base64
import copy

import pytest

from tools.conceal import Concealer
from tools.jsontypes import JsonObject, JsonValue, dig, dig_str

KEY = b"0" * 32
TOKEN = "ghp_" + "a" * 36


def hide(manifest: JsonObject) -> JsonObject:
    return Concealer(KEY).manifest(manifest)


def container(**fields: JsonValue) -> JsonObject:
    return {"kind": "Pod", "spec": {"containers": [{"name": "app", **fields}]}}


HIDDEN: list[tuple[str, JsonObject, str]] = [
    ("an environment variable by its name", container(env=[{"name": "DB_PASSWORD", "value": "sesame"}]), "sesame"),
    (
        "an environment variable by its value",
        container(env=[{"name": "URL", "value": "http://u:sesame@db/"}]),
        "sesame",
    ),
    ("a setting by its name", {"kind": "ConfigMap", "data": {"api-token": "sesame"}}, "sesame"),
    ("a line of a file of settings", {"kind": "ConfigMap", "data": {"app.ini": "a=1\npassword = sesame\n"}}, "sesame"),
    ("a binary setting by its name", {"kind": "ConfigMap", "binaryData": {"secret": "c2VzYW1l"}}, "c2VzYW1l"),
    ("the word after an option", container(command=["app", "--password", "sesame"]), "sesame"),
    ("an option with its value", container(args=["--password=sesame"]), "sesame"),
    ("a token in an annotation", {"metadata": {"annotations": {"note": f"use {TOKEN}"}}}, TOKEN),
    ("a token in a message", {"status": {"conditions": [{"message": f"pulling with {TOKEN}"}]}}, TOKEN),
    (
        "what kubectl keeps",
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"x":"sesame"}'}}},
        "sesame",
    ),
]


@pytest.mark.parametrize(("manifest", "secret"), [h[1:] for h in HIDDEN], ids=[h[0] for h in HIDDEN])
def test_it_is_hidden(manifest: JsonObject, secret: str) -> None:
    before = copy.deepcopy(manifest)
    assert secret not in str(hide(manifest))
    assert manifest == before, "the argument is not changed"


KEPT: list[tuple[str, JsonObject]] = [
    ("a harmless variable", container(env=[{"name": "MODE", "value": "fast"}])),
    ("a variable from a Secret", container(env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "a"}}}])),
    ("the name of a Secret", {"spec": {"volumes": [{"secret": {"secretName": "web-credentials"}}]}}),
    ("times, uids, digests and numbers", {"metadata": {"uid": "0d3e16cc-31ab-4bc9-b56d-4dda354c77ad", "generation": 3,
     "creationTimestamp": "2026-01-05T09:00:07.500000Z"}, "status": {"imageID": f"sha256:{'a' * 64}"}}),
    ("an option that is followed by another", container(command=["app", "--token", "--verbose"])),
]  # fmt: skip


@pytest.mark.parametrize("manifest", [k[1] for k in KEPT], ids=[k[0] for k in KEPT])
def test_it_stays(manifest: JsonObject) -> None:
    assert hide(manifest) == manifest


def test_equal_values_stay_equal_and_different_ones_different() -> None:
    one = Concealer()
    first, same, other = (
        dig_str(one.manifest({"data": {"password": value}}), "data", "password") for value in ("a1", "a1", "a2")
    )
    assert first == same != other
    assert first.startswith("[REDACTED:")


def test_a_guess_cannot_be_tried_against_another_recording() -> None:
    marks = {Concealer().mark("sesame") for _ in range(5)}
    assert len(marks) == 5, "each recording has a key of its own"


def test_hiding_twice_changes_nothing() -> None:
    once = hide(container(env=[{"name": "DB_PASSWORD", "value": "sesame"}], args=["--password=sesame"]))
    assert Concealer().manifest(once) == once


def test_what_only_looks_like_a_mark_is_hidden() -> None:
    hidden = dig_str(hide({"data": {"password": "[REDACTED:sesame]"}}), "data", "password")
    assert "sesame" not in hidden


def test_what_is_hidden_in_binary_data_is_still_base64() -> None:
    hidden = dig_str(hide({"binaryData": {"secret": "c2VzYW1l"}}), "binaryData", "secret")
    assert base64.b64decode(hidden).startswith(b"[REDACTED:")


def test_who_wrote_when_stays_and_the_field_lists_go() -> None:
    entry: JsonObject = {"manager": "kubectl", "time": "2026-01-05T09:00:00Z", "fieldsV1": {"f:spec": {}}}
    found = hide({"metadata": {"managedFields": [entry]}})
    assert dig(found, "metadata", "managedFields", 0) == {"manager": "kubectl", "time": "2026-01-05T09:00:00Z"}
