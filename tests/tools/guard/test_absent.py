"""The guard where the target is not there yet, or is to go: which life is meant, whose it is, what a dry run shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tools.executors.objects import changed
from tests.tools.guard.setting import (
    ACCOUNT,
    CONFIG,
    INCIDENT,
    NOW,
    Setting,
    Shelf,
    account,
    action,
    config,
    executors,
    good_world,
    order,
    pin,
    wall,
)
from tests.tools.guard.test_checks import answer
from tools.cluster.client import AccessQuestion
from tools.errors import Denied, Invalid
from tools.executors.base import Situation
from tools.executors.whole import MADE_BY
from tools.guard.checks import freshness, gitops, mode, protected, rollout
from tools.guard.orders import Acted, Order, Ready, UndoneBy
from tools.guard.policy import Mode, Policy
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World
from tools.journal.versions import Version
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.ledger.records import ActionRecord, ActionState, Intent
from tools.refs import ActionId, ObjectRef, Pin, PlanId, absent_uid

R = ReasonCode
HANDING_ON = (
    'roles "web" is forbidden: user "selfheal" is attempting to grant RBAC permissions not currently held:\n{APIGroups}'
)


def about_itself(name: str = "restore_object", **changes: Any) -> Order:
    """An order of an incident whose owner is the missing object itself."""
    return order(name, owner=ACCOUNT, owner_uid=absent_uid(ACCOUNT), **changes)


async def world(**changes: Any) -> World:
    good = await good_world("restore_object")
    return replace(good, **{"order": about_itself(), "owner": {}, **changes})


def earlier(tool: str, target: ObjectRef, state: ActionState = ActionState.APPLIED) -> ActionRecord:
    intent = Intent(
        action_id=ActionId("act-0"),
        incident_id=INCIDENT,
        plan_id=PlanId("plan-1"),
        plan_hash="h",
        step=0,
        tool=tool,
        arguments={},
        target=target,
        target_uid=absent_uid(target),
        owner_uid=absent_uid(target),
        owner=target,
        origin="rule",
        request={},
        before={},
        inverse=None,
        created_at=NOW,
    )
    return ActionRecord(intent=intent, state=state)


def alive(maker: str | None = None) -> JsonObject:
    made = account()
    made["metadata"] = {**dig_object(made, "metadata"), "uid": "uid-new", "resourceVersion": "50"}
    return changed(made, "metadata.annotations", {MADE_BY: maker}) if maker else made


# freshness


@pytest.mark.parametrize(
    ("why", "changes", "code"),
    [
        ("it is still not there", {}, None),
        ("it was there at the diagnosis", {"scope": (pin(ACCOUNT, alive()),)}, R.TARGET_UID_MISMATCH),
        ("another name was missed", {"scope": (Pin.absent(CONFIG),)}, R.TARGET_OUT_OF_SCOPE),
        (
            "the uid of another absence",
            {"scope": (Pin.absent(CONFIG).model_copy(update={"ref": ACCOUNT}),)},
            R.TARGET_UID_MISMATCH,
        ),
        ("the owner is another absence", {"owner_uid": absent_uid(CONFIG)}, R.TARGET_UID_MISMATCH),
        ("the owner has no uid at all", {"owner_uid": ""}, R.TARGET_UID_MISMATCH),
    ],
)
async def test_what_was_missed_must_be_missed_still(why: str, changes: dict[str, Any], code: ReasonCode | None) -> None:
    assert answer(freshness.check, await world(order=replace(about_itself(), **changes))) == code


@pytest.mark.parametrize(
    ("why", "maker", "history", "code"),
    [
        ("we made it", "act-0", (earlier("restore_object", ACCOUNT),), None),
        ("somebody made it", None, (earlier("restore_object", ACCOUNT),), R.TARGET_UID_MISMATCH),
        ("another incident made it", "act-9", (earlier("restore_object", ACCOUNT),), R.TARGET_UID_MISMATCH),
        (
            "ours never happened",
            "act-0",
            (earlier("restore_object", ACCOUNT, ActionState.NOT_APPLIED),),
            R.TARGET_UID_MISMATCH,
        ),
        ("ours was about another object", "act-0", (earlier("restore_object", CONFIG),), R.TARGET_UID_MISMATCH),
    ],
)
async def test_an_incident_about_a_missing_object_goes_on_with_the_life_it_made(
    why: str, maker: str | None, history: tuple[ActionRecord, ...], code: ReasonCode | None
) -> None:
    good = await good_world("revert_fields")
    asked = replace(order("revert_fields"), owner=ACCOUNT, owner_uid=absent_uid(ACCOUNT))
    assert answer(freshness.check, replace(good, order=asked, owner=alive(maker), history=history)) == code


@pytest.mark.parametrize(
    ("why", "live", "scope", "code"),
    [
        ("as it was diagnosed", config(), None, None),
        ("another content", config(MODE="other"), None, R.TARGET_CHANGED),
        ("a label, which is no content", changed(config(), "metadata.labels", {"seen": "yes"}), None, None),
        (
            "no content was taken, and the version is the same",
            config(),
            pin(CONFIG, config()).model_copy(update={"content": None}),
            None,
        ),
        (
            "no content was taken, and somebody wrote",
            changed(config(), "metadata.resourceVersion", "9"),
            pin(CONFIG, config()).model_copy(update={"content": None}),
            R.TARGET_CHANGED,
        ),
    ],
)
async def test_kinds_without_a_generation_are_told_by_their_content(
    why: str, live: JsonObject, scope: Pin | None, code: ReasonCode | None
) -> None:
    good = await good_world("revert_fields")
    asked = good.order if scope is None else replace(good.order, scope=(scope,))
    assert answer(freshness.check, replace(good, order=asked, situation=Situation(live, {}))) == code


async def test_who_writes_labels_must_find_the_version_that_was_diagnosed() -> None:
    good = await good_world("revert_fields")
    place: JsonObject = {"path": "/metadata/labels/team", "has_was": True, "was": "x", "has_then": False, "then": None}
    written = changed(config(), "metadata.resourceVersion", "9")
    at = Situation(written, {"places": [place]})
    assert answer(freshness.check, replace(good, situation=at)) is R.TARGET_CHANGED
    assert answer(freshness.check, replace(good, situation=replace(at, live=config()))) is None


# whose it is

TRACKED = "x:/ServiceAccount:shop/web"


@pytest.mark.parametrize(
    ("why", "metadata", "check", "code"),
    [
        ("plain", {}, gitops.check, None),
        ("Argo CD", {"annotations": {"argocd.argoproj.io/tracking-id": TRACKED}}, gitops.check, R.OWNED_BY_GITOPS),
        ("Flux", {"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, gitops.check, R.OWNED_BY_GITOPS),
        ("opted out", {"annotations": {"selfheal.dev/mode": "off"}}, mode.check, R.MODE_OFF),
    ],
)
async def test_the_manifest_tells_whose_it_is(
    why: str, metadata: JsonObject, check: Any, code: ReasonCode | None
) -> None:
    manifest = account()
    manifest["metadata"] = {**dig_object(manifest, "metadata"), **metadata}
    support: JsonObject = {"remembers": True, "source": "desired", "manifest": manifest}
    assert answer(check, await world(situation=Situation({}, support))) == code


async def test_a_protected_namespace_is_closed_to_what_is_not_there_either() -> None:
    policy = Policy.model_validate({"default": "auto", "protected": {"namespaces": ["shop"]}})
    assert answer(protected.check, await world(policy=policy)) is R.TARGET_PROTECTED


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ConfigMap"])
async def test_what_is_not_there_is_not_rolling(kind: str) -> None:
    asked = replace(about_itself(), owner=ObjectRef(kind=kind, namespace="shop", name="web"))
    assert answer(rollout.check, await world(order=asked)) is None
    good = await good_world("revert_fields")
    rolling: JsonObject = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}
    assert answer(rollout.check, replace(good, owner=rolling)) is None


async def test_rights_to_make_are_asked_without_a_name_and_to_delete_with_one(at: Setting) -> None:
    asked: list[AccessQuestion] = []

    async def note(review: AccessQuestion, /) -> bool:
        asked.append(review)
        return review.verb == "create"

    at.cluster.can_i = note  # type: ignore[method-assign]
    refused = await at.door().assess(about_itself())
    assert isinstance(refused, Refused)
    assert refused.code is R.PERMISSION_DENIED, "what cannot be taken back is not done"
    assert {(q.verb, q.resource, q.name) for q in asked} == {
        ("create", "serviceaccounts", ""),
        ("delete", "serviceaccounts", "web"),
    }


# what the dry run shows


def labelling(document: JsonObject) -> None:
    document["metadata"]["labels"] = {"team": "x"}  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("rewrite", "code"), [(None, None), (labelling, R.DIFF_OUT_OF_BOUNDS)])
async def test_a_webhook_that_adds_to_what_is_made_is_seen(at: Setting, rewrite: Any, code: ReasonCode | None) -> None:
    at.cluster.rewrite = rewrite
    found = await at.door().act(about_itself())
    assert (found.code if isinstance(found, Refused) else None) == code
    assert len(at.cluster.writes) == (1 if code is None else 0)


@pytest.mark.parametrize("fault", ["dry_run", "write"])
async def test_rights_that_we_do_not_hold_are_named_as_such(at: Setting, fault: str) -> None:
    at.cluster.broken[fault] = Denied(HANDING_ON)
    refused = await at.door().act(order("revert_fields"))
    assert isinstance(refused, Refused)
    assert (refused.code, "must apply the prepared manifest" in refused.reason) == (R.RIGHTS_NOT_HELD, True)


async def test_no_secret_of_a_manifest_is_shown(at: Setting) -> None:
    shelf = Shelf()
    shelf.kept[CONFIG, "cccccccc"] = Version(config(DB_PASSWORD="hunter2") | {"metadata": {"name": "web"}}, "desired")
    at.cluster.put(config(DB_PASSWORD="hunter1"))
    door = at.door(executors=executors(shelf))
    scope = (pin(CONFIG, config(DB_PASSWORD="hunter1")),)
    asked = replace(order("revert_fields", scope=scope), action=action("revert_fields", version="cccccccc"))
    found = await door.assess(asked)
    assert isinstance(found, Ready), found
    assert [(c.path, c.before, c.after) for c in found.diff] == [("/data/DB_PASSWORD", "[REDACTED]", "[REDACTED]")]
    at.cluster.broken["dry_run"] = Invalid("422: DB_PASSWORD=hunter2 is too short")
    refused = await door.act(asked)
    assert isinstance(refused, Refused)
    assert refused.code is R.DRY_RUN_REFUSED
    del at.cluster.broken["dry_run"]
    acted = await door.act(asked)
    assert isinstance(acted, Acted), acted
    said = refused.reason + acted.sentence + "".join(e.model_dump_json() for e in await at.real.audit())
    assert "hunter" not in said


# who must agree


@pytest.mark.parametrize(
    ("source", "fails", "expected"),
    [
        ("desired", False, Mode.AUTO),
        ("desired", True, Mode.AUTO),
        ("last_known_good", True, Mode.AUTO),
        ("last_known_good", False, Mode.APPROVE),
    ],
)
async def test_what_nobody_declared_is_held_to_only_while_something_fails(
    at: Setting, source: Any, fails: bool, expected: Mode
) -> None:
    shelf = Shelf()
    shelf.kept[CONFIG, "aaaaaaaa"] = replace(shelf.kept[CONFIG, "aaaaaaaa"], source=source)
    found = await at.door(executors=executors(shelf)).assess(order("revert_fields", shows_failure=fails))
    assert isinstance(found, Ready), found
    assert found.mode is expected


# taking it back


async def test_the_uid_of_a_life_that_is_made_again_is_in_the_account(at: Setting) -> None:
    acted = await at.door().act(order("remove_object"))
    assert isinstance(acted, Acted), acted
    undone = await at.door().undo(acted.action_id, INCIDENT)
    assert isinstance(undone, UndoneBy), undone
    live = at.cluster.objects["NetworkPolicy", "shop", "web"]
    assert live["spec"] == wall()["spec"]
    assert undone.sentence.endswith(f"its uid is {dig_str(live, 'metadata', 'uid')} now and was uid-np.")
    assert any(undone.sentence == entry.sentence for entry in await at.real.audit())


async def test_a_right_that_was_lost_meanwhile_makes_undoing_a_refusal(at: Setting) -> None:
    acted = await at.door().act(order("remove_object"))
    assert isinstance(acted, Acted), acted
    at.cluster.broken["dry_run"] = Denied(HANDING_ON)
    refused = await at.door().undo(acted.action_id, INCIDENT)
    assert isinstance(refused, Refused)
    assert refused.code is R.RIGHTS_NOT_HELD
