"""Ways back as a pure function: which way for which object, and when there is none."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tools.journal.candidates import Live, Question, ways_back
from tools.journal.changes import Entry
from tools.journal.desired import Declared
from tools.journal.manifests import Good
from tools.jsontypes import JsonObject, canonical, digest
from tools.refs import ObjectRef

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
SETTINGS = ObjectRef(kind="ConfigMap", namespace="shop", name="web")
QUOTA = ObjectRef(kind="ResourceQuota", namespace="shop", name="quota")


def manifest(ref: ObjectRef = SETTINGS, **parts: JsonObject) -> JsonObject:
    metadata: JsonObject = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": "v1", "kind": ref.kind, "metadata": metadata, **parts}


def live(ref: ObjectRef = SETTINGS, owner: bool = False, deleting: bool = False, **parts: JsonObject) -> Live:
    body = manifest(ref, **parts)
    metadata: JsonObject = {
        "name": ref.name, "namespace": ref.namespace, "uid": f"uid-{ref.name}",
        "creationTimestamp": "2025-12-31T00:00:00Z",
    }  # fmt: skip
    if owner:
        metadata["ownerReferences"] = [{"kind": "Widget", "controller": True}]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return Live({**body, "metadata": metadata}, "kubectl", NOW)


def good(ref: ObjectRef = SETTINGS, **parts: JsonObject) -> Good:
    body = manifest(ref, **parts)
    return Good(ref, digest(body), NOW, NOW, WEB, zlib.compress(canonical(body)))


def declared(ref: ObjectRef = SETTINGS, **parts: JsonObject) -> Declared:
    body = manifest(ref, **parts)
    return Declared(ref, body, digest(body), "shop.yaml")


BLUE: JsonObject = {"MODE": "blue"}
GREEN: JsonObject = {"MODE": "green"}
ONE: JsonObject = {"replicas": 1}
TWO: JsonObject = {"replicas": 2}
BASE = Question(target=WEB, relations={SETTINGS: "ConfigMap of container app"}, live={SETTINGS: live(data=GREEN)})
Make = Callable[[], Question]

CASES: list[tuple[str, Make, tuple[str, str] | None]] = [
    ("nothing is known of it", lambda: BASE, None),
    ("it differs from what was good", lambda: replace(BASE, good={SETTINGS: good(data=BLUE)}),
     ("revert", "last_known_good")),
    ("it is as it was good", lambda: replace(BASE, good={SETTINGS: good(data=GREEN)}), None),
    ("a controller makes it",
     lambda: replace(BASE, live={SETTINGS: live(owner=True, data=GREEN)}, good={SETTINGS: good(data=BLUE)}), None),
    ("it is being deleted",
     lambda: replace(BASE, live={SETTINGS: live(deleting=True, data=GREEN)}, good={SETTINGS: good(data=BLUE)}), None),
    ("it differs from its declaration", lambda: replace(BASE, declared={SETTINGS: declared(data=BLUE)}),
     ("revert", "desired")),
    ("it is as declared, however it was good",
     lambda: replace(BASE, declared={SETTINGS: declared(data=GREEN)}, good={SETTINGS: good(data=BLUE)}), None),
    ("it is not seen, which says nothing", lambda: replace(BASE, live={}, good={SETTINGS: good(data=BLUE)}), None),
    ("it is gone and was good",
     lambda: replace(BASE, live={}, gone=frozenset([SETTINGS]), good={SETTINGS: good(data=BLUE)}),
     ("restore", "last_known_good")),
    ("it is gone and declared",
     lambda: replace(BASE, live={}, gone=frozenset([SETTINGS]), declared={SETTINGS: declared(data=BLUE)}),
     ("restore", "desired")),
    ("it is gone and nothing is known", lambda: replace(BASE, live={}, gone=frozenset([SETTINGS])), None),
    ("the template of a workload has its own history",
     lambda: Question(WEB, {WEB: ""}, {WEB: live(WEB, spec={**ONE, "template": {"spec": GREEN}})},
                      good={WEB: good(WEB, spec={**TWO, "template": {"spec": BLUE}})}), None),
    ("replicas of a workload",
     lambda: Question(WEB, {WEB: ""}, {WEB: live(WEB, spec=ONE)}, good={WEB: good(WEB, spec=TWO)}),
     ("revert", "last_known_good")),
    ("replicas that an autoscaler owns",
     lambda: Question(WEB, {WEB: ""}, {WEB: live(WEB, spec=ONE)}, good={WEB: good(WEB, spec=TWO)}, autoscaled=True),
     None),
    ("a quota that came later",
     lambda: Question(WEB, {QUOTA: "quota"}, {QUOTA: live(QUOTA)}, present_when_good=frozenset()),
     ("remove", "last_known_good")),
    ("a quota that was there",
     lambda: Question(WEB, {QUOTA: "quota"}, {QUOTA: live(QUOTA)}, present_when_good=frozenset(["uid-quota"])), None),
    ("a quota, and nobody knows what was there", lambda: Question(WEB, {QUOTA: "quota"}, {QUOTA: live(QUOTA)}), None),
    ("a quota that is not declared in a declared namespace",
     lambda: Question(WEB, {QUOTA: "quota"}, {QUOTA: live(QUOTA)}, covered=True), ("remove", "desired")),
    ("a quota that is declared",
     lambda: Question(WEB, {QUOTA: "quota"}, {QUOTA: live(QUOTA)}, covered=True, declared={QUOTA: declared(QUOTA)}),
     None),
    ("a setting is never taken away", lambda: replace(BASE, covered=True, present_when_good=frozenset()), None),
]  # fmt: skip


@pytest.mark.parametrize(("make", "way"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_which_way(make: Make, way: tuple[str, str] | None) -> None:
    found = ways_back(make())
    assert [(w.operation, w.source) for w in found] == ([] if way is None else [way])


def test_the_newest_change_first_and_the_unknown_last() -> None:
    refs = [ObjectRef(kind="ConfigMap", namespace="shop", name=n) for n in ("a", "b", "c")]
    lives = {ref: replace(live(ref, data=GREEN), written_at=None) for ref in refs}
    last = {
        ref: Entry(ref, f"uid-{ref.name}", "changed", NOW + timedelta(seconds=s), NOW, by="helm")
        for ref, s in ((refs[1], 1), (refs[2], 2))
    }
    question = Question(
        WEB, dict.fromkeys(refs, "ConfigMap"), lives, good={ref: good(ref, data=BLUE) for ref in refs}, last=last
    )
    found = ways_back(question)
    assert [w.ref.name for w in found] == ["c", "b", "a"]
    assert found[2].changed_at is None
    assert {w.changed_by for w in found} == {"kubectl"}


def test_at_most_twenty() -> None:
    refs = [ObjectRef(kind="ConfigMap", namespace="shop", name=f"c{n}") for n in range(40)]
    question = Question(
        WEB,
        dict.fromkeys(refs, ""),
        {ref: live(ref, data=GREEN) for ref in refs},
        good={ref: good(ref, data=BLUE) for ref in refs},
    )
    assert len(ways_back(question)) == 20
