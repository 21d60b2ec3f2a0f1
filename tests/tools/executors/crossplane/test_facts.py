"""What Crossplane's resource model says of an object, by tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import CREATE_FAILED, CREATE_PENDING, CREATE_SUCCEEDED, PAUSED, REQUESTED, Role
from tools.jsontypes import JsonObject, JsonValue

T1, T2, T3 = "2026-01-05T09:00:00Z", "2026-01-05T09:00:01Z", "2026-01-05T09:00:02Z"


def live(
    *conditions: JsonObject,
    notes: dict[str, str] | None = None,
    generation: int = 1,
    status: JsonObject | None = None,
    namespace: str = "shop",
    **spec: JsonValue,
) -> JsonObject:
    listed: list[JsonValue] = [*conditions]
    return {
        "metadata": {
            "name": "data",
            "namespace": namespace,
            "generation": generation,
            "annotations": {**(notes or {})},
        },
        "spec": spec,
        "status": {"conditions": listed, **(status or {})},
    }


def said(type_: str, status: str, generation: int | None = None) -> JsonObject:
    found: JsonObject = {"type": type_, "status": status, "reason": "R", "lastTransitionTime": T1}
    return found if generation is None else {**found, "observedGeneration": generation}


@pytest.mark.parametrize(
    ("why", "value", "expected"),
    [
        ("true", "true", True),
        ("another case", "True", False),
        ("false", "false", False),
        ("empty", "", False),
        ("one", "1", False),
    ],
)
def test_only_true_pauses(why: str, value: str, *, expected: bool) -> None:
    assert facts.is_paused(live(notes={PAUSED: value})) is expected
    assert facts.is_paused(live()) is False


@pytest.mark.parametrize(
    ("why", "notes", "expected"),
    [
        ("never begun", {}, False),
        ("begun, and no end", {CREATE_PENDING: T1}, True),
        ("begun and succeeded", {CREATE_PENDING: T1, CREATE_SUCCEEDED: T2}, False),
        ("begun and failed", {CREATE_PENDING: T1, CREATE_FAILED: T2}, False),
        ("in the same second", {CREATE_PENDING: T1, CREATE_SUCCEEDED: T1}, False),
        ("begun again after a failure", {CREATE_PENDING: T3, CREATE_FAILED: T2}, True),
        ("begun again after a success", {CREATE_PENDING: T3, CREATE_SUCCEEDED: T1, CREATE_FAILED: T2}, True),
        ("failed once, succeeded then", {CREATE_PENDING: T2, CREATE_FAILED: T1, CREATE_SUCCEEDED: T3}, False),
        ("a time that cannot be read", {CREATE_PENDING: "yesterday", CREATE_SUCCEEDED: T3}, True),
        ("an end that cannot be read", {CREATE_PENDING: T1, CREATE_SUCCEEDED: "later"}, True),
        ("a time without a zone", {CREATE_PENDING: "2026-01-05T09:00:00", CREATE_SUCCEEDED: T3}, True),
        ("an end and no beginning", {CREATE_SUCCEEDED: T1}, False),
    ],
)
def test_a_creation_is_uncertain_while_its_beginning_is_the_newest(
    why: str, notes: dict[str, str], *, expected: bool
) -> None:
    assert facts.creation_is_uncertain(live(notes=notes)) is expected


@pytest.mark.parametrize(
    ("why", "found", "expected"),
    [
        ("nobody says what was seen", live(said("Synced", "True"), generation=4), False),
        ("the newest was seen", live(said("Synced", "True", 4), generation=4), False),
        ("an older one was seen", live(said("Synced", "True", 3), generation=4), True),
        ("one condition is older", live(said("Synced", "True", 4), said("Ready", "True", 2), generation=4), False),
        ("the status says it", live(generation=4, status={"observedGeneration": 3}), True),
        ("zero is not said", live(generation=4, status={"observedGeneration": 0}), False),
        ("a request that was handled", live(notes={REQUESTED: "a"}, status={"lastHandledReconcileAt": "a"}), False),
        ("a request that was not", live(notes={REQUESTED: "b"}, status={"lastHandledReconcileAt": "a"}), True),
        ("a request to one that never answers", live(notes={REQUESTED: "b"}), False),
    ],
)
def test_who_is_behind(why: str, found: JsonObject, *, expected: bool) -> None:
    assert facts.is_behind(found) is expected


@pytest.mark.parametrize(
    ("why", "found", "expected"),
    [
        ("never ready", live(), True),
        ("not ready", live(said("Ready", "False", 1)), True),
        ("ready as it is", live(said("Ready", "True", 1)), False),
        ("ready, and changed since", live(said("Ready", "True", 1), generation=2), True),
        ("ready, and nobody says of what", live(said("Ready", "True"), generation=2), False),
        (
            "Synced is brought up to date",
            live(said("Ready", "True", 1), said("Synced", "False", 2), generation=2),
            True,
        ),
    ],
)
def test_what_waits_behind_a_pause(why: str, found: JsonObject, *, expected: bool) -> None:
    assert facts.waits_while_paused(found) is expected


PART: JsonObject = {"apiVersion": "storage.example.org/v1beta1", "kind": "Bucket", "name": "b"}


@pytest.mark.parametrize(
    ("why", "found", "expected"),
    [
        ("a composite of v2, its own namespace", live(crossplane={"resourceRefs": [PART]}), [("Bucket", "shop", "b")]),
        (
            "a composite of v2, another namespace",
            live(crossplane={"resourceRefs": [{**PART, "namespace": "lab"}]}),
            [("Bucket", "lab", "b")],
        ),
        ("a composite of v1", live(resourceRefs=[PART], namespace=""), [("Bucket", "", "b")]),
        ("a claim", live(resourceRef={**PART, "kind": "XStore"}), [("XStore", "", "b")]),
        ("a part without a name yet", live(resourceRefs=[{**PART, "name": ""}, PART]), [("Bucket", "", "b")]),
        ("nothing", live(), []),
        ("nonsense", live(resourceRefs="no", crossplane=[1], resourceRef="x"), []),
    ],
)
def test_what_it_is_made_of(why: str, found: JsonObject, expected: list[tuple[str, str, str]]) -> None:
    assert [(r.kind, r.namespace, r.name) for r in facts.made_of(found)] == expected


@pytest.mark.parametrize(
    ("message", "is_broken", "missing"),
    [
        (
            (
                "cannot resolve references: mg.Spec.ForProvider.Network: cannot get referenced resource:"
                ' networks.storage.example.org "net" not found'
            ),
            True,
            ("networks", "storage.example.org", "net"),
        ),
        ("cannot resolve references: mg.Spec.ForProvider.SubnetIds: no resources matched selector", True, None),
        ("referenced field was empty (referenced resource may not yet be ready)", True, None),
        ("connect failed: cannot get referenced ProviderConfig", True, None),
        ("create failed: AccessDenied: not authorised", False, None),
        ('observe failed: the bucket "data" was not found', False, None),
        ("", False, None),
    ],
)
def test_the_words_of_a_broken_reference(
    message: str, missing: tuple[str, str, str] | None, *, is_broken: bool
) -> None:
    assert facts.is_reference_broken(message) is is_broken
    assert facts.missing_of(message) == missing


@pytest.mark.parametrize(
    ("kind", "categories", "expected"),
    [
        ("Bucket.storage.example.org", {"crossplane", "managed", "aws"}, Role.MANAGED),
        ("Store.platform.example.org", {"composite"}, Role.COMPOSITE),
        ("Shelf.platform.example.org", {"claim"}, Role.CLAIM),
        ("Provider.pkg.crossplane.io", {"crossplane", "pkg"}, Role.PACKAGE),
        ("Function.pkg.crossplane.io", {"crossplane", "pkg"}, None),
        ("ProviderConfig.aws.example.org", {"crossplane", "providerconfig"}, None),
        ("Bucket.storage.example.org", set[str](), None),
    ],
)
def test_roles_follow_from_categories(kind: str, categories: set[str], expected: Role | None) -> None:
    assert facts.role_of(kind, categories) is expected


@pytest.mark.parametrize(
    ("why", "conditions", "expected"),
    [
        ("healthy, v1", [said("Healthy", "True"), said("Installed", "True")], None),
        ("unhealthy, v1", [said("Healthy", "False")], "False"),
        ("its contents are not, v2", [said("RevisionHealthy", "False"), said("RuntimeHealthy", "True")], "False"),
        ("its pod is not, v2", [said("RevisionHealthy", "Unknown"), said("RuntimeHealthy", "False")], "False"),
        ("nobody knows", [said("Healthy", "Unknown")], "Unknown"),
        ("nothing is said", [], None),
    ],
)
def test_the_health_of_packages(why: str, conditions: list[JsonObject], expected: str | None) -> None:
    found = facts.unhealthy(live(*conditions))
    assert (None if found is None else found.status) == expected
    is_healthy = facts.healthy_since(live(*conditions)) == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert is_healthy is (bool(conditions) and expected is None)
