"""A remembered diagnosis: made by verified plans alone, found only where the same revert applies, and forgettable."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from graph.model.cache import MAX_ENTRIES, TIME_TO_LIVE, DiagnosisCache, abstracted, evidence_key
from graph.model.proposals import RawStep, assemble, read_steps
from graph.observed import Evidence, FieldChange, Health
from graph.plan import Diagnosis, Origin, Plan
from tests.graph.model.bench import NOW, ROLLBACK, evidence, failing_pod, offered, pin, revert, signal
from tests.tools.cluster.hostile import JumpClock
from tools.guard.verdict import Refused
from tools.refs import ObjectRef


def healed_plan(found: Evidence, origin: Origin = Origin.MODEL, **changes: Any) -> Plan:
    action = {**ROLLBACK, "namespace": found.scope[0].ref.namespace, "name": found.scope[0].ref.name, **changes}
    name = str(action.pop("action"))
    offer = offered(found)
    steps = read_steps([RawStep(name, action, "why")], offer)
    assert not isinstance(steps, Refused)
    diagnosis = Diagnosis(cause="Bad Revision!", sentence="s", confidence=0.8, origin=origin, author="scripted-1")
    return assemble(steps, diagnosis, offer, found, "", incident_id="inc-1", now=NOW)


def elsewhere() -> Evidence:
    """The same failure of another workload, later, with other names, hashes and counts."""
    api = ObjectRef(kind="Deployment", namespace="billing", name="api")
    pod = failing_pod("web-7d9c5b4f66-aaaaa")
    other = pod.model_copy(
        update={"ref": ObjectRef(kind="Pod", namespace="billing", name="api-66f8c-zzzzz"), "uid": "u9", "node": "n9"}
    )
    base = evidence()
    assert base.workload is not None
    return evidence(
        observed_at=NOW + timedelta(hours=3),
        workload=base.workload.model_copy(update={"ref": api, "uid": "uid-api", "revision_hash": "66f8c"}),
        pods=(other,),
        signals=(
            signal("back-off 5m0s restarting failed container").model_copy(update={"uid": "u9", "revision": "66f8c"}),
        ),
        candidates=(*(c.model_copy(update={"to_revision": c.to_revision + 10}) for c in base.candidates),),
        scope=(pin(api, "uid-api"), pin(other.ref, "u9")),
    )


def warm() -> tuple[DiagnosisCache, str]:
    cache = DiagnosisCache(JumpClock())
    key = cache.remember(evidence(), healed_plan(evidence()), incident_id="inc-1")
    assert key is not None
    return cache, key


def test_the_same_failure_elsewhere_is_known() -> None:
    cache, key = warm()
    found = cache.recall(elsewhere(), failed=frozenset(), incident_id="inc-2")
    assert found is not None
    made = found.plan
    assert made.steps[0].action.model_dump() == {**ROLLBACK, "namespace": "billing", "name": "api", "to_revision": 13}
    assert made.diagnosis.origin is Origin.CACHE
    assert made.diagnosis.author == f"cache:{key}"
    assert [p.uid for p in made.pins] == ["uid-api"]
    assert "inc-1" in made.diagnosis.sentence


OTHER_IMAGE = (FieldChange(path="containers[app].image", now="shop/web:2", then="shop/web:0.9"),)
MORE = (
    FieldChange(path="containers[app].image", now="shop/web:2", then="shop/web:3"),
    FieldChange(path="x", now="", then="1"),
)

DIFFERENT: list[tuple[str, dict[str, Any]]] = [
    ("the revert changes to something else", {"candidates": (revert(3, changes=OTHER_IMAGE),)}),
    ("the revert changes something more", {"candidates": (revert(3, changes=MORE),)}),
    (
        "the revert is known to be bad",
        {"candidates": (revert(3, Health.BAD), revert(2, Health.UNKNOWN), revert(1, Health.BAD))},
    ),
    ("the revert would loosen security", {"candidates": (revert(3, loosens=("a container is privileged",)),)}),
    ("there is no revert", {"candidates": ()}),
    ("another symptom", {"signals": (signal("exec format error"),)}),
    ("no recent rollout", {"rollout_is_recent": False}),
    ("another exit", {"pods": (failing_pod("web-7d9c5b4f66-aaaaa").model_copy(update={"containers": ()}),)}),
]


@pytest.mark.parametrize("more", [d[1] for d in DIFFERENT], ids=[d[0] for d in DIFFERENT])
def test_another_case_is_not_known(more: dict[str, Any]) -> None:
    cache, _ = warm()
    assert cache.recall(evidence(**more), failed=frozenset(), incident_id="inc-2") is None


def test_what_was_tried_is_not_recalled() -> None:
    cache, _ = warm()
    tried = frozenset({healed_plan(evidence()).steps[0].action.digest})
    assert cache.recall(evidence(), failed=tried, incident_id="inc-1") is None


def test_an_entry_grows_old() -> None:
    clock = JumpClock()
    cache = DiagnosisCache(clock)
    cache.remember(evidence(), healed_plan(evidence()), incident_id="inc-1")
    clock.elapsed += TIME_TO_LIVE.total_seconds() - 1
    assert cache.recall(evidence(), failed=frozenset(), incident_id="inc-2") is not None
    clock.elapsed += 2
    assert cache.recall(evidence(), failed=frozenset(), incident_id="inc-2") is None
    assert len(cache) == 0


def test_an_entry_can_be_purged_by_its_key() -> None:
    cache, key = warm()
    assert cache.purge(key)
    assert not cache.purge(key)
    assert cache.recall(evidence(), failed=frozenset(), incident_id="inc-2") is None


def test_a_recalled_plan_that_did_not_heal_is_forgotten() -> None:
    cache, _ = warm()
    found = cache.recall(evidence(), failed=frozenset(), incident_id="inc-2")
    assert found is not None
    assert cache.forget(found.plan)
    assert len(cache) == 0


def test_it_holds_so_many_and_no_more() -> None:
    cache = DiagnosisCache(JumpClock())
    first = None
    for number in range(MAX_ENTRIES + 5):
        case = evidence(signals=(signal("fault " + chr(0x4E00 + number)),))
        key = cache.remember(case, healed_plan(case), incident_id="inc-1")
        first = first or key
    assert len(cache) == MAX_ENTRIES
    assert first is not None
    assert not cache.purge(first), "the oldest went first"


@pytest.mark.parametrize("origin", [Origin.RULE, Origin.CACHE, Origin.HUMAN])
def test_only_plans_of_the_model_are_kept(origin: Origin) -> None:
    assert DiagnosisCache(JumpClock()).remember(evidence(), healed_plan(evidence(), origin), incident_id="i") is None


def test_an_action_that_is_no_revert_is_not_kept() -> None:
    found = evidence()
    offer = offered(found)
    arguments: Any = {"kind": "Deployment", "namespace": "shop", "name": "web"}
    steps = read_steps([RawStep("restart_workload", arguments, "why")], offer)
    assert not isinstance(steps, Refused)
    diagnosis = healed_plan(found).diagnosis
    restart = assemble(steps, diagnosis, offer, found, "", incident_id="inc-1", now=NOW)
    assert DiagnosisCache(JumpClock()).remember(found, restart, incident_id="inc-1") is None


def test_no_text_of_the_model_is_kept() -> None:
    cache, _ = warm()
    found = cache.recall(evidence(), failed=frozenset(), incident_id="inc-2")
    assert found is not None
    assert found.plan.diagnosis.cause == "bad_revision"
    assert found.plan.diagnosis.sentence.startswith("The same pattern was healed")


def test_the_key_follows_what_fails_and_not_who() -> None:
    assert evidence_key(evidence()) == evidence_key(elsewhere())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("back-off 40s restarting", "back-off 5m0s restarting"),
        ("dial 10.0.0.1:5432: refused", "dial 10.3.9.200:5432: refused"),
        ("at 2026-01-01T10:00:00Z died", "at 2027-12-31T23:59:59.123Z died"),
        ("pod web-7d9c5b4f66-aaaaa of 3", "pod web-7d9c5b4f66-aaaaa of 5"),
        ("image sha256:" + "a" * 64, "image sha256:" + "b" * 64),
    ],
)
def test_names_hashes_times_and_counts_are_abstracted(one: str, other: str) -> None:
    assert abstracted(one, ("web-7d9c5b4f66-aaaaa",)) == abstracted(other, ("web-7d9c5b4f66-aaaaa",))
