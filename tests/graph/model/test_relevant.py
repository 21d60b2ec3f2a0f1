"""Which actions a model is shown, by the kind of trouble and by what the incident may touch."""

from __future__ import annotations

import pytest

from graph.incident import Family
from graph.model.budget import estimate
from graph.model.relevant import HELPS, relevant
from graph.model.view import offer_of, view_of
from graph.observed import Evidence, ObjectCandidate, Operation, SubjectFacts, VersionSource
from tests.graph.model.bench import CATALOG, NOW, evidence, pin
from tools.executors.models.edit import EDITS
from tools.refs import ObjectRef

WORKLOAD = ("Deployment", "ReplicaSet", "Pod")
F = Family


@pytest.mark.parametrize(
    ("why", "families", "kinds", "shown", "hidden"),
    [
        ("an image", {F.IMAGE}, WORKLOAD, {"rollback_workload", "set_image"}, {"set_probe", "set_placement"}),
        ("a crash", {F.CRASH}, WORKLOAD, {"rollback_workload", "set_env", "set_command"}, {"scale_workload"}),
        ("memory", {F.MEMORY}, WORKLOAD, {"set_resources", "rollback_workload"}, {"set_image", "set_command"}),
        ("a probe", {F.PROBE}, WORKLOAD, {"set_probe"}, {"set_image", "set_placement"}),
        ("no node", {F.SCHEDULING}, (*WORKLOAD, "Node"), {"set_placement", "uncordon_node"}, {"set_image"}),
        ("no node, and none may be touched", {F.SCHEDULING}, WORKLOAD, {"set_placement"}, {"uncordon_node"}),
        ("a Service", {F.SERVICE}, ("Service",), {"set_service", "revert_fields"}, {"rollback_workload", "set_env"}),
        ("a Service and its workload", {F.SERVICE}, ("Service", "Deployment"), {"set_service", "rollback_workload"},
         {"set_env"}),
        ("two kinds of trouble", {F.IMAGE, F.SCHEDULING}, WORKLOAD, {"set_image", "set_placement"}, {"set_probe"}),
        ("a rollout and nothing more exact", {F.ROLLOUT}, WORKLOAD, {"set_image", "set_probe", "scale_workload"},
         {"set_service"}),
        ("somebody asked", {F.REQUESTED}, WORKLOAD, {"set_image", "scale_workload"}, set[str]()),
        ("no signal at all", set[Family](), WORKLOAD, {"set_image", "scale_workload"}, set[str]()),
        ("nothing that fits", {F.SERVICE}, ("Lease",), {"set_image", "set_service", "evict_pod"}, set[str]()),
    ],
)  # fmt: skip
def test_what_is_shown(
    why: str, families: set[Family], kinds: tuple[str, ...], shown: set[str], hidden: set[str]
) -> None:
    names = relevant(CATALOG.kinds, families, kinds)
    assert (shown - set(names), hidden & set(names)) == (set(), set())
    assert list(names) == [name for name in CATALOG.names if name in names]


def test_an_action_that_the_table_does_not_know_is_shown() -> None:
    actions = {"set_image": frozenset({"Deployment"}), "new": frozenset({"Deployment"}), "any": frozenset[str]()}
    assert relevant(actions, {F.SERVICE}, WORKLOAD) == ("new", "any")


def test_every_edit_stands_in_the_table_and_every_family_has_an_action() -> None:
    assert set(EDITS) <= set(HELPS)
    assert frozenset().union(*HELPS.values()) == frozenset(Family)


@pytest.mark.parametrize("family", [F.IMAGE, F.MEMORY, F.PROBE, F.SERVICE, F.SCHEDULING, F.BATCH])
def test_what_is_shown_costs_less_than_half_of_all(family: Family) -> None:
    chosen = CATALOG.only(relevant(CATALOG.kinds, {family}, (*WORKLOAD, "Service", "Job", "CronJob")))
    assert estimate(chosen.plan_schema()) < estimate(CATALOG.plan_schema()) / 2


SERVICE = ObjectRef(kind="Service", namespace="shop", name="web")
BACK = ObjectCandidate(
    ref=SERVICE, uid="uid-svc", operation=Operation.REVERT, version="deadbeef", source=VersionSource.LAST_KNOWN_GOOD
)


def about_a_service(**more: object) -> Evidence:
    facts = SubjectFacts(ref=SERVICE, uid="uid-svc", generation=None, lines=("selector app=wbe",))
    return evidence(
        **{"workload": None, "subject": facts, "scope": (pin(SERVICE, "uid-svc"),), "candidates": (), **more}
    )


def test_a_target_that_is_no_workload_can_be_planned_for() -> None:
    offer = offer_of(about_a_service(objects=(BACK,)), ("set_service", "revert_fields"), frozenset())
    assert offer is not None
    view = view_of(about_a_service(), offer, ())
    assert view["subject"] == {"target": "shop/Service/web", "facts": ["selector app=wbe"], "deleting": False}
    choices = view["choices"]
    assert isinstance(choices, dict)
    assert choices["targets"] == ["shop/Service/web"]
    assert "deadbeef" in str(choices["objects"])
    assert "uid-svc" not in str(view)


@pytest.mark.parametrize(
    ("why", "operation", "version", "offered"),
    [
        ("as enumerated", Operation.REVERT, "deadbeef", True),
        ("another version", Operation.REVERT, "feedface", False),
        ("another operation", Operation.RESTORE, "deadbeef", False),
    ],
)
def test_a_way_back_is_one_that_code_enumerated(why: str, operation: Operation, version: str, offered: bool) -> None:
    offer = offer_of(about_a_service(objects=(BACK,)), CATALOG.names, frozenset())
    assert offer is not None
    assert (offer.way_back(SERVICE, operation, version) is not None) is offered


def test_a_target_that_is_gone_is_known_by_what_would_be_made_again() -> None:
    gone = BACK.model_copy(update={"operation": Operation.RESTORE, "uid": None, "changed_at": NOW})
    offer = offer_of(about_a_service(subject=None, objects=(gone,)), CATALOG.names, frozenset())
    assert offer is not None
    assert offer.workload == SERVICE
    assert offer_of(about_a_service(subject=None), CATALOG.names, frozenset()) is None
