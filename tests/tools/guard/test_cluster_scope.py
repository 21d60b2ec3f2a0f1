"""What is in no namespace: its mode, its protection, its budget, its pauses, and what the transport lets out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.tools.guard.platform import node
from tests.tools.guard.setting import AUTO, INCIDENT, NOW, POD, Setting, good_world, order
from tools import registry
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.resources import NAMESPACE, NODE, PERSISTENT_VOLUME
from tools.errors import Unreachable
from tools.executors.base import ACTION_ID, Situation
from tools.guard.checks import mode, permission, protected
from tools.guard.guard import judge
from tools.guard.orders import Acted, Order, Ready, UndoneBy
from tools.guard.policy import Mode, Policy, PolicyError, load_policy
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import Check, World
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.ledger.records import PlanStart
from tools.refs import ObjectRef, PlanId

R = ReasonCode
N1 = ObjectRef(kind="Node", namespace=None, name="n1")


def answer(check: Check, world: World) -> ReasonCode | None:
    refused = judge((("it", check),), world)
    return None if refused is None else refused.code


async def about_a_node(policy: Policy = AUTO, live: JsonObject | None = None) -> World:
    world = await good_world("cordon_node", policy=policy)
    live = live if live is not None else node("n1")
    asked = replace(world.order, owner=N1, owner_uid="uid-n1")
    return replace(world, order=asked, owner=live, situation=Situation(live, {"others": 1}))


@pytest.mark.parametrize(
    ("why", "text", "expected"),
    [
        ("nothing is said: the default, which is observe", "", Mode.OBSERVE),
        ("the default is auto: approve at most", "default: auto", Mode.APPROVE),
        ("the default is off", "default: off", Mode.OFF),
        ("it is said, and freer than the default", "default: observe\ncluster_mode: approve", Mode.APPROVE),
        ("it is said, and stricter than the default", "default: auto\ncluster_mode: observe", Mode.OBSERVE),
        ("off", "default: auto\ncluster_mode: off", Mode.OFF),
        (
            "the bound on the action holds here too",
            "cluster_mode: approve\nactions: {cordon_node: observe}",
            Mode.OBSERVE,
        ),
        ("a bound of auto does not widen it", "cluster_mode: approve\nactions: {cordon_node: auto}", Mode.APPROVE),
        ("the cap holds here too", "cluster_mode: approve\ncap: observe", Mode.OBSERVE),
        ("no glob for namespaces covers it", 'default: off\nnamespaces: {"*": auto}', Mode.OFF),
    ],
)
def test_the_mode_of_what_is_in_no_namespace(tmp_path: Path, why: str, text: str, expected: Mode) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    policy = load_policy(path, registry.ALL)
    assert policy.mode_for("", "cordon_node") is expected
    assert policy.observing().mode_for("", "cordon_node") in {Mode.OBSERVE, Mode.OFF}


def test_auto_is_refused_and_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\ncluster_mode: auto\n")
    with pytest.raises(PolicyError, match=r"policy.yaml:2: cluster_mode: .*write approve"):
        load_policy(path)


@pytest.mark.parametrize(
    ("why", "annotation", "expected"),
    [
        ("none", None, Mode.APPROVE),
        ("stricter", "observe", Mode.OBSERVE),
        ("hands off", "off", Mode.OFF),
        ("freer changes nothing", "auto", Mode.APPROVE),
    ],
)
async def test_an_annotation_on_the_node_restricts(why: str, annotation: str | None, expected: Mode) -> None:
    live = node("n1")
    notes: JsonObject = {} if annotation is None else {"selfheal.dev/mode": annotation}
    live["metadata"] = {**dig_object(live, "metadata"), "annotations": notes}
    assert mode.declared_mode(await about_a_node(live=live)) is expected


async def test_moving_pods_for_a_node_s_sake_asks_as_much_as_touching_the_node() -> None:
    world = await good_world("evict_pod")
    assert mode.declared_mode(world) is Mode.AUTO
    world = replace(world, order=replace(world.order, owner=N1, owner_uid="uid-n1"), owner=node("n1"))
    assert mode.declared_mode(world) is Mode.APPROVE
    closed = AUTO.model_copy(update={"cluster_mode": Mode.OFF})
    assert answer(mode.check, replace(world, policy=closed)) is R.MODE_OFF


@pytest.mark.parametrize(
    ("why", "target", "live", "protects", "code"),
    [
        ("a node", N1, node("n1"), (), None),
        ("a node of the control plane", N1, node("n1", labels={"node-role.kubernetes.io/control-plane": ""}), (),
         R.TARGET_PROTECTED),
        ("by its older name", N1, node("n1", labels={"node-role.kubernetes.io/master": ""}), (), R.TARGET_PROTECTED),
        ("named by the policy", N1, node("n1"), ("Node/n?",), R.TARGET_PROTECTED),
        ("another one is named", N1, node("n1"), ("Node/db-*", "shop/Deployment/web"), None),
        ("a node in a namespace is no node", N1.model_copy(update={"namespace": "shop"}), node("n1"), (),
         R.TARGET_PROTECTED),
        ("a kind that no policy covers", N1.model_copy(update={"kind": "PersistentVolume"}), node("n1"), (),
         R.TARGET_PROTECTED),
        ("a namespace", N1.model_copy(update={"kind": "Namespace"}), node("n1"), (), R.TARGET_PROTECTED),
        ("a pod without its namespace", POD.model_copy(update={"namespace": None}), node("n1"), (), R.TARGET_PROTECTED),
    ],
)  # fmt: skip
async def test_protection(
    why: str, target: ObjectRef, live: JsonObject, protects: tuple[str, ...], code: ReasonCode | None
) -> None:
    policy = Policy.model_validate({"default": "auto", "protected": {"objects": list(protects)}})
    world = await about_a_node(policy, live)
    assert answer(protected.check, replace(world, order=replace(world.order, owner=target))) is code


async def test_no_namespace_is_read_or_asked_about(at: Setting) -> None:
    at.cluster.broken["get:Namespace"] = Unreachable("there is none to read")
    found = await at.door().assess(order("cordon_node"))
    assert isinstance(found, Ready), found
    assert (found.mode, found.request.resource.path(found.request.namespace, found.request.name)) == (
        Mode.APPROVE,
        "/api/v1/nodes/n1",
    )


async def test_a_node_is_written_once_a_person_agreed_and_given_back(at: Setting) -> None:
    asked = order("cordon_node")
    refused = await at.door().act(replace(asked, approved=False))
    assert isinstance(refused, Refused)
    assert (refused.code, at.cluster.writes) == (R.APPROVAL_REQUIRED, [])
    acted = await at.door().act(asked)
    assert isinstance(acted, Acted), acted
    live = at.cluster.objects["Node", "", "n1"]
    assert dig_object(live, "spec")["unschedulable"] is True
    assert dig_str(live, "metadata", "annotations", ACTION_ID) == acted.action_id
    assert isinstance(await at.door().undo(acted.action_id, INCIDENT), UndoneBy)
    assert "unschedulable" not in dig_object(at.cluster.objects["Node", "", "n1"], "spec")


async def test_a_right_that_is_missing_is_told(at: Setting) -> None:
    at.cluster.may = False
    refused = await at.door().assess(order("cordon_node"))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.check) == (R.PERMISSION_DENIED, "permission")
    assert answer(permission.check, await about_a_node()) is None


def on_a_node(number: int) -> Order:
    return replace(order("cordon_node"), owner=N1, owner_uid="uid-n1", plan_id=PlanId(f"plan-{number}"))


async def test_plans_about_nodes_have_a_budget_of_their_own(at: Setting) -> None:
    for number in range(2):
        started = NOW - timedelta(seconds=number)
        plan = PlanStart(
            plan_id=PlanId(f"old-{number}"),
            incident_id=INCIDENT,
            owner_uid=f"uid-n{number + 5}",
            owner=N1,
            namespace="",
            started_at=started,
        )
        await at.real.start_plan(plan)
    refused = await at.door().assess(on_a_node(1))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.check) == (R.RATE_LIMITED, "budget")
    assert "in no namespace" in refused.reason
    in_a_namespace = await at.door().assess(order("scale_workload"))
    assert isinstance(in_a_namespace, Ready), in_a_namespace


@pytest.mark.parametrize(("where", "code"), [("*", R.PAUSED), ("shop", None)])
async def test_a_pause_everywhere_holds_for_nodes_and_one_of_a_namespace_does_not(
    at: Setting, where: str, code: ReasonCode | None
) -> None:
    await at.real.pause(where, NOW + timedelta(hours=1), "ann", NOW)
    found = await at.door().assess(order("cordon_node"))
    assert (found.code if isinstance(found, Refused) else None) == code


def test_the_transport_lets_nodes_be_patched_only_for_an_action_that_needs_it() -> None:
    without = AllowList((*READ_RULES, *registry.allow_rules(["evict_pod", "scale_workload"])))
    assert not without.permits("patch", NODE, None, None, name="n1")
    allowed = AllowList((*READ_RULES, *registry.allow_rules(["cordon_node"])), {"kube-system"})
    assert allowed.permits("patch", NODE, None, None, name="n1")
    assert allowed.check_request("PATCH", "/api/v1/nodes/n1", "dryRun=All") == "patch"
    for verb in ("create", "update", "delete"):
        assert not allowed.permits(verb, NODE, None, None, name="n1")  # type: ignore[arg-type]
    assert not allowed.permits("patch", NODE, "status", None, name="n1")
    assert not allowed.permits("patch", NAMESPACE, None, None, name="shop")
    assert not allowed.permits("patch", PERSISTENT_VOLUME, None, None, name="pv")


def test_only_nodes_are_written_outside_of_namespaces() -> None:
    outside = {(p.verb, p.resource.kind) for p in registry.permissions() if not p.resource.namespaced}
    assert {(verb, kind) for verb, kind in outside if verb not in {"get", "list", "watch"}} == {("patch", "Node")}
