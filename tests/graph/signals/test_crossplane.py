"""The specification of what is wrong with a resource or package of Crossplane, and when it counts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from graph.incident import Reason, Signal
from graph.signals.crossplane import is_plainly_well
from graph.signals.look import look_at_object
from graph.signals.object_contexts import ObjectContexts
from tests.graph.signals.object_samples import Journal, World
from tests.graph.signals.samples import at, stamp
from tests.support.crossplane.model import BUCKET, NAMES, SHELF, STORE, VOLUME, XSHELF, definitions
from tools.cluster.catalogue import Catalogue, Served
from tools.cluster.documents import Document, decode_document, document_of
from tools.cluster.resources import Resource, qualified
from tools.executors.crossplane.facts import (
    CREATE_PENDING,
    CREATE_SUCCEEDED,
    PAUSED,
    PROVIDER,
    PROVIDER_REVISION,
    REQUESTED,
)
from tools.executors.crossplane.finder import catalogue_of
from tools.jsontypes import JsonObject, JsonValue, canonical, dig, dig_list, dig_object, dig_str

R = Reason
GIVEN_UP = "cannot determine creation result - remove the crossplane.io/external-create-pending annotation"
BROKEN = 'cannot resolve references: x: cannot get referenced resource: networks.storage.example.org "net" not found'


def known(names: tuple[str, ...] = NAMES) -> Catalogue:
    """A catalogue that has seen the definitions of the small provider."""
    catalogue = catalogue_of(names)
    groups: dict[str, list[Served]] = {}
    for definition in definitions():
        spec = dig_object(definition, "spec")
        group, version = dig_str(spec, "group"), dig_str(dig_list(spec, "versions")[0], "name")
        resource = Resource(
            group,
            version,
            dig_str(spec, "names", "plural"),
            qualified(dig_str(spec, "names", "kind"), group),
            dig_str(spec, "scope") == "Namespaced",
        )
        categories = frozenset(str(c) for c in dig_list(spec, "names", "categories"))
        groups.setdefault(group, []).append(Served(resource, categories))
    for group, served in groups.items():
        catalogue.learn(group, served)
    return catalogue


def cond(
    type_: str, status: str, reason: str = "", message: str = "", *, since: float = -3600, seen: int | None = None
) -> JsonObject:
    found: JsonObject = {"type": type_, "status": status, "reason": reason, "lastTransitionTime": stamp(since)}
    if message:
        found["message"] = message
    return found if seen is None else {**found, "observedGeneration": seen}


SYNCED, READY = cond("Synced", "True", "ReconcileSuccess"), cond("Ready", "True", "Available")
HELD = cond("Synced", "False", "ReconcilePaused")


def failed(message: str, since: float = 0) -> JsonObject:
    return cond("Synced", "False", "ReconcileError", message, since=since)


def obj(
    kind: str,
    *conditions: JsonObject,
    name: str = "data",
    notes: dict[str, str] | None = None,
    generation: int = 1,
    written: float = 0,
    owner: Document | None = None,
    spec: JsonObject | None = None,
    status: JsonObject | None = None,
    deleting: bool = False,
) -> Document:
    """An object as the API server shows it."""
    resource = known().find(kind)
    assert resource is not None
    metadata: JsonObject = {
        "name": name,
        "uid": f"uid-{kind}-{name}",
        "generation": generation,
        "creationTimestamp": stamp(-7200 if conditions else 0),
        "annotations": {**(notes or {})},
        "managedFields": [{"manager": "kubectl-edit", "operation": "Update", "time": stamp(written)}],
    }
    if resource.namespaced:
        metadata["namespace"] = "shop"
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner.resource.api_version,
                "kind": owner.resource.manifest_kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
            }
        ]
    if deleting:
        metadata |= {"deletionTimestamp": stamp(0), "finalizers": ["finalizer.managedresource.crossplane.io"]}
    listed: list[JsonValue] = [*conditions]
    body: JsonObject = {"metadata": metadata, "spec": spec or {}, "status": {"conditions": listed, **(status or {})}}
    return decode_document(canonical(body), document_of(resource))


def bucket(*conditions: JsonObject, **more: object) -> Document:
    return obj(BUCKET, *conditions, **more)  # type: ignore[arg-type]


def look(item: Document, *others: Document, journal: Journal | None = None, now: float = 0) -> list[Signal]:
    contexts = ObjectContexts(World(item, *others), journal or Journal(), catalogue=known())
    return look_at_object(item, contexts, at(now))


def said(signals: list[Signal]) -> list[tuple[Reason, float | None]]:
    """Reasons, each with the seconds until it counts; None for what counts."""
    return [(s.reason, None if s.due_at is None else (s.due_at - at(0)).total_seconds()) for s in signals]


@dataclass(frozen=True)
class Case:
    item: Document
    expected: tuple[tuple[Reason, float | None], ...] = ()
    declared: JsonObject | None = None


PAUSE = {PAUSED: "true"}
RUNNING: JsonObject = {"metadata": {"name": "data"}}
PAUSED_THERE: JsonObject = {"metadata": {"name": "data", "annotations": {**PAUSE}}}

MANAGED = {
    "as it should be": Case(bucket(SYNCED, READY)),
    "an error of a moment": Case(bucket(failed("connect failed: timeout")), ((R.EXTERNAL_SYNC_FAILED, 90),)),
    "an error whose message is new": Case(bucket(failed("id 7", 0), READY), ((R.EXTERNAL_SYNC_FAILED, 90),)),
    "an error, and unready for it": Case(
        bucket(failed("AccessDenied"), cond("Ready", "False", "Creating")), ((R.EXTERNAL_SYNC_FAILED, 90),)
    ),
    "an update that its policies forbid": Case(
        bucket(cond("Synced", "False", "ReconcileForbidden"), READY), ((R.EXTERNAL_SYNC_FAILED, 90),)
    ),
    "what it refers to is not there": Case(bucket(failed(BROKEN)), ((R.EXTERNAL_REFERENCE_BROKEN, 90),)),
    "what it refers to is not finished": Case(
        bucket(failed("referenced field was empty (referenced resource may not yet be ready)")),
        ((R.EXTERNAL_REFERENCE_BROKEN, 600),),
    ),
    "made, for a minute now": Case(
        bucket(SYNCED, cond("Ready", "False", "Creating", since=-60)), ((R.EXTERNAL_UNREADY, 1140),)
    ),
    "made, for half an hour": Case(
        bucket(SYNCED, cond("Ready", "False", "Creating", since=-1800)), ((R.EXTERNAL_UNREADY, None),)
    ),
    "unhealthy out there": Case(
        bucket(SYNCED, cond("Ready", "False", "Unavailable", "degraded", since=-30)), ((R.EXTERNAL_UNREADY, 60),)
    ),
    "its state is unknown": Case(
        bucket(SYNCED, cond("Ready", "Unknown", "Unknown", since=0)), ((R.EXTERNAL_UNREADY, 600),)
    ),
    "being deleted out there": Case(bucket(SYNCED, cond("Ready", "False", "Deleting"))),
    "no Ready condition": Case(bucket(SYNCED)),
    "its spec was changed a moment ago": Case(
        bucket(cond("Synced", "True", seen=1), READY, generation=2), ((R.RECONCILE_STUCK, 180),)
    ),
    "its spec was changed long ago": Case(
        bucket(cond("Synced", "True", seen=1), READY, generation=2, written=-600), ((R.RECONCILE_STUCK, None),)
    ),
    "changed, and its controller counts nothing": Case(bucket(SYNCED, READY, generation=2, written=-600)),
    "asked, and answered to another request": Case(
        bucket(SYNCED, READY, notes={REQUESTED: "b"}, status={"lastHandledReconcileAt": "a"}, written=-600),
        ((R.RECONCILE_STUCK, None),),
    ),
    "no controller has ever looked": Case(bucket(), ((R.RECONCILE_STUCK, 180),)),
    "resumed, and nobody has looked": Case(bucket(HELD, READY), ((R.RECONCILE_STUCK, 180),)),
    "paused, declared running": Case(bucket(HELD, READY, notes=PAUSE), ((R.RECONCILE_PAUSED, 10),), RUNNING),
    "paused, declared paused": Case(bucket(HELD, cond("Ready", "False", "Unavailable"), notes=PAUSE), (), PAUSED_THERE),
    "paused, and all is well": Case(bucket(HELD, READY, notes=PAUSE)),
    "paused, and not ready": Case(
        bucket(HELD, cond("Ready", "False", "Unavailable"), notes=PAUSE), ((R.RECONCILE_PAUSED, 60),)
    ),
    "paused, and changed since": Case(
        bucket(HELD, cond("Ready", "True", seen=1), notes=PAUSE, generation=2), ((R.RECONCILE_PAUSED, 60),)
    ),
    "paused by a word that does not pause": Case(bucket(SYNCED, READY, notes={PAUSED: "yes"})),
    "a creation of a moment ago": Case(
        bucket(SYNCED, cond("Ready", "False", "Creating"), notes={CREATE_PENDING: stamp(-5)}),
        ((R.EXTERNAL_UNCERTAIN, 595),),
    ),
    "a creation that the provider has given up on": Case(
        bucket(failed(GIVEN_UP), cond("Ready", "False", "Creating"), notes={CREATE_PENDING: stamp(-5)}),
        ((R.EXTERNAL_UNCERTAIN, 1.5),),
    ),
    "a creation that ended well": Case(
        bucket(SYNCED, READY, notes={CREATE_PENDING: stamp(-9), CREATE_SUCCEEDED: stamp(-8)})
    ),
    "uncertain and paused": Case(
        bucket(HELD, notes={**PAUSE, CREATE_PENDING: stamp(-3600)}), ((R.EXTERNAL_UNCERTAIN, None),), RUNNING
    ),
}


@pytest.mark.parametrize("case", MANAGED.values(), ids=MANAGED)
def test_a_managed_resource(case: Case) -> None:
    journal = Journal(declared={str(case.item.ref): case.declared} if case.declared is not None else {})
    assert said(look(case.item, journal=journal)) == list(case.expected)
    if is_plainly_well(case.item):
        assert case.expected == ()


def test_what_is_being_deleted_is_judged_by_its_finalizer_alone() -> None:
    going = bucket(failed("delete failed: AccessDenied"), deleting=True)
    assert {s.reason for s in look(going, now=1e6)} <= {R.DELETION_STUCK}


def test_what_nobody_listed_is_not_judged() -> None:
    item = bucket(failed("AccessDenied"))
    contexts = ObjectContexts(World(item), Journal(), catalogue=known(("networks.storage.example.org",)))
    assert look_at_object(item, contexts, at(0)) == []


def part_of(kind: str, name: str) -> JsonObject:
    resource = known().find(kind)
    assert resource is not None
    return {"apiVersion": resource.api_version, "kind": resource.manifest_kind, "name": name}


UNREADY = cond("Ready", "False", "Creating", "Unready resources: part", since=-3600)
WAITING = cond("Ready", "False", "Waiting", "Claim is waiting", since=-3600)
STORE_ITEM = obj(STORE, SYNCED, UNREADY, name="store", spec={"crossplane": {"resourceRefs": [part_of(BUCKET, "data")]}})
SHELF_ITEM = obj(SHELF, SYNCED, WAITING, name="books", spec={"resourceRef": part_of(XSHELF, "books-x")})
XSHELF_ITEM = obj(XSHELF, SYNCED, UNREADY, name="books-x", spec={"resourceRefs": [part_of(VOLUME, "disk")]})
REFUSED = obj(VOLUME, failed("QuotaExceeded"), name="disk")
FINE = obj(VOLUME, SYNCED, READY, name="disk")


@pytest.mark.parametrize(
    ("why", "item", "others", "reasons"),
    [
        ("a composite whose part fails is silent", STORE_ITEM, [bucket(failed("AccessDenied"))], []),
        ("a composite whose part is paused is silent", STORE_ITEM, [bucket(HELD, READY, notes=PAUSE)], []),
        ("a composite whose part is well speaks", STORE_ITEM, [bucket(SYNCED, READY)], [R.EXTERNAL_UNREADY]),
        ("a composite whose part is not in view speaks", STORE_ITEM, [], [R.EXTERNAL_UNREADY]),
        ("a claim whose part's part fails is silent", SHELF_ITEM, [XSHELF_ITEM, REFUSED], []),
        ("a composite above it is silent", XSHELF_ITEM, [REFUSED], []),
        ("a claim that nobody serves speaks", SHELF_ITEM, [], [R.EXTERNAL_UNREADY]),
        ("the part that fails speaks", REFUSED, [XSHELF_ITEM, SHELF_ITEM], [R.EXTERNAL_SYNC_FAILED]),
        (
            "a composite that cannot compose speaks",
            obj(STORE, failed("cannot compose resources: pipeline step"), UNREADY, name="store"),
            [],
            [R.EXTERNAL_SYNC_FAILED],
        ),
    ],
)
def test_of_a_chain_the_cause_speaks(why: str, item: Document, others: list[Document], reasons: list[Reason]) -> None:
    assert [s.reason for s in look(item, *others)] == reasons


def test_who_is_made_of_a_part_is_known_at_any_height() -> None:
    world = World(REFUSED, XSHELF_ITEM, SHELF_ITEM, STORE_ITEM)
    externals = ObjectContexts(world, Journal(), catalogue=known()).externals
    assert externals.wholes_of(REFUSED) == (XSHELF_ITEM.ref, SHELF_ITEM.ref)
    assert externals.wholes_of(SHELF_ITEM) == ()


def package(*conditions: JsonObject) -> Document:
    return obj(PROVIDER, *conditions, name="storage")


def revision(owner: Document, *conditions: JsonObject, state: str = "Active") -> Document:
    refs: list[JsonValue] = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "name": "buckets.storage.example.org",
        }
    ]
    return obj(
        PROVIDER_REVISION,
        *conditions,
        name="storage-1",
        owner=owner,
        spec={"desiredState": state},
        status={"objectRefs": refs},
    )


BAD = cond("Healthy", "False", "UnhealthyPackageRevision", "cannot pull", since=-30)
GOOD = cond("Healthy", "True", "HealthyPackageRevision")
NO_POD = cond("RuntimeHealthy", "False", "UnhealthyPackageRevision", "the Deployment has no pod", since=-30)


@pytest.mark.parametrize(
    ("why", "item", "others", "expected"),
    [
        ("a healthy package", package(GOOD), [], []),
        ("an unhealthy package", package(BAD), [], [(R.PROVIDER_UNHEALTHY, 60)]),
        (
            "a package that nobody knows of",
            package(cond("Healthy", "Unknown", "UnknownPackageRevisionHealth", since=0)),
            [],
            [(R.PROVIDER_UNHEALTHY, 600)],
        ),
        (
            "a package that is not installed",
            package(cond("Installed", "False", "UnpackingPackage", since=0)),
            [],
            [(R.PROVIDER_UNHEALTHY, 600)],
        ),
        (
            "a package that a person keeps inactive",
            package(cond("Installed", "False", "InactivePackageRevision", since=-9999)),
            [],
            [],
        ),
        (
            "a revision of v2 without its pod",
            revision(package(GOOD), NO_POD),
            [package(GOOD)],
            [(R.PROVIDER_UNHEALTHY, 60)],
        ),
        ("a revision whose package speaks", revision(package(BAD), NO_POD), [package(BAD)], []),
        ("a revision of the past", revision(package(GOOD), NO_POD, state="Inactive"), [package(GOOD)], []),
        ("a resource whose provider is unhealthy is silent", bucket(failed("x")), [revision(package(BAD), NO_POD)], []),
        (
            "but not for a revision of the past",
            bucket(failed("x")),
            [revision(package(GOOD), NO_POD, state="Inactive")],
            [(R.EXTERNAL_SYNC_FAILED, 90)],
        ),
        (
            "nor for somebody else's provider",
            obj(VOLUME, failed("x"), name="disk"),
            [revision(package(BAD), NO_POD)],
            [(R.EXTERNAL_SYNC_FAILED, 90)],
        ),
        (
            "a paused one speaks all the same",
            bucket(HELD, cond("Ready", "False", "Unavailable"), notes=PAUSE),
            [revision(package(BAD), NO_POD)],
            [(R.RECONCILE_PAUSED, 60)],
        ),
    ],
)
def test_packages(
    why: str, item: Document, others: list[Document], expected: list[tuple[Reason, float | None]]
) -> None:
    assert said(look(item, *others)) == expected


def test_a_package_says_what_its_revision_says_and_whom_it_serves() -> None:
    bad = package(BAD)
    (signal,) = look(bad, revision(bad, NO_POD))
    assert "the Deployment has no pod" in signal.message
    world = World(bad, revision(bad, NO_POD), bucket(failed("x")), bucket(SYNCED, READY, name="well"), REFUSED)
    externals = ObjectContexts(world, Journal(), catalogue=known()).externals
    assert [r.name for r in externals.served_by(bad)] == ["data"]


def test_the_words_of_the_outside_are_redacted() -> None:
    (signal,) = look(bucket(failed("AccessDenied (password=hunter2secret)")))
    assert "AccessDenied" in signal.message
    assert "hunter2secret" not in signal.message


def test_the_definitions_have_what_the_model_says() -> None:
    for definition in definitions():
        version = dig_list(definition, "spec", "versions")[0]
        assert dig(version, "subresources", "status") == {}
        fields = dig_object(version, "schema", "openAPIV3Schema", "properties", "status", "properties")
        assert {"conditions", "observedGeneration", "lastHandledReconcileAt"} <= set(fields)
