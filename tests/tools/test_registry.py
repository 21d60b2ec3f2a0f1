from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from tests.tools.executors.objects import UID
from tests.tools.guard.setting import AUTO, WEB, StillClock, cluster, context
from tools import registry
from tools.cluster.allowlist import FORBIDDEN_RESOURCES, FORBIDDEN_SUBRESOURCES, READ_RULES, AllowList
from tools.cluster.resources import DEPLOYMENT, POD
from tools.executors.actions import AnyAction
from tools.guard.door import Door
from tools.guard.orders import Order, Outcome
from tools.guard.verdict import ReasonCode, Refused


class Listening(Door):
    """A door that only notes what is ordered."""

    def __init__(self, enabled: list[str] | None = None) -> None:
        ledger: Any = None
        super().__init__(cluster(), ledger, AUTO, StillClock(), registry.executors(enabled), None)
        self.orders: list[Order] = []

    async def act(self, order: Order) -> Outcome:
        self.orders.append(order)
        return Refused(code=ReasonCode.OBSERVE_ONLY, reason="only listening")


SCALE = {"kind": "Deployment", "namespace": "shop", "name": "web", "replicas": 2}


def test_every_action_there_is_has_an_executor_of_its_own_type() -> None:
    models = {m.model_fields["action"].annotation: m for m in get_args(get_args(AnyAction)[0])}
    tags = {get_args(tag)[0]: model for tag, model in models.items()}
    assert {name: e.action_type for name, e in registry.executors().items()} == tags
    assert tuple(registry.ALL) == tuple(registry.executors())


@pytest.mark.parametrize("names", [["nope"], ["scale_workload", "delete_namespace"], [""]])
def test_a_name_that_is_no_action_is_a_clear_error(names: list[str]) -> None:
    for function in (registry.executors, registry.schemas, registry.permissions, registry.allow_rules):
        with pytest.raises(ValueError, match=r"no such action: .*there are: rollback_workload"):
            function(names)


async def test_a_tool_leads_through_the_door_with_a_typed_action_and_what_code_knows() -> None:
    door = Listening()
    answer = await registry.tools(door, context(approved=True))["scale_workload"].ainvoke(SCALE)
    (order,) = door.orders
    assert isinstance(answer, Refused)
    assert (order.action.tool, order.action.target, order.owner_uid, order.approved) == (
        "scale_workload",
        WEB,
        UID,
        True,
    )


@pytest.mark.parametrize(
    ("why", "arguments"),
    [
        ("an extra argument", {**SCALE, "force": True}),
        ("a uid", {**SCALE, "uid": "uid-x"}),
        ("another tag", {**SCALE, "action": "delete_pod"}),
        ("a missing argument", {"kind": "Deployment", "namespace": "shop", "name": "web"}),
        ("out of range", {**SCALE, "replicas": 1001}),
        ("negative", {**SCALE, "replicas": -1}),
        ("a kind that cannot be scaled", {**SCALE, "kind": "DaemonSet"}),
        ("a path in a name", {**SCALE, "name": "web/../../secrets"}),
        ("a star", {**SCALE, "namespace": "*"}),
        ("a flag in a name", {**SCALE, "name": "--all"}),
        ("two names", {**SCALE, "name": "web,api"}),
        ("a line end after the name", {**SCALE, "name": "web\n"}),
    ],
)
async def test_what_does_not_conform_never_reaches_the_door(why: str, arguments: dict[str, object]) -> None:
    door = Listening()
    with pytest.raises((ValidationError, TypeError)):
        await registry.tools(door, context())["scale_workload"].ainvoke(arguments)
    with pytest.raises((ValidationError, TypeError)):
        registry.parse(
            "scale_workload",
            {k: v for k, v in arguments.items() if k != "action"} if why != "another tag" else {"action": "x"},
        )
    assert door.orders == []


def test_only_enabled_actions_are_tools() -> None:
    assert list(registry.tools(Listening(["evict_pod", "scale_workload"]), context())) == [
        "scale_workload",
        "evict_pod",
    ]
    assert [s["function"]["name"] for s in registry.schemas(["evict_pod"])] == ["evict_pod"]  # type: ignore[index, call-overload]


def test_schemas_are_closed_and_every_argument_is_required_and_described() -> None:
    for tool in registry.schemas():
        function: Any = tool["function"]
        parameters = function["parameters"]
        assert parameters["additionalProperties"] is False
        assert sorted(parameters["required"]) == sorted(parameters["properties"])
        assert all(p.get("description") for p in parameters["properties"].values())
        assert not {"action", "uid", "resource_version"} & set(parameters["properties"])
        assert len(function["description"]) > 80


def test_permissions_are_what_the_enabled_actions_need_and_no_more() -> None:
    assert [(p.verb, p.resource.plural, p.subresource) for p in registry.permissions(["evict_pod"])] == [
        ("create", "pods", "eviction")
    ]
    assert [(p.verb, p.resource.plural, p.subresource) for p in registry.permissions(["scale_workload"])] == [
        ("patch", "deployments", ""), ("patch", "statefulsets", ""), ("list", "scaledobjects", ""),
    ]  # fmt: skip
    everything = registry.permissions()
    assert len(set(everything)) == len(everything)
    for right in everything:
        assert right.resource.plural not in FORBIDDEN_RESOURCES
        assert right.subresource not in FORBIDDEN_SUBRESOURCES


def test_the_transport_lets_through_what_is_enabled_and_nothing_beside_it() -> None:
    allowed = AllowList((*READ_RULES, *registry.allow_rules(["evict_pod"])), {"kube-system"})
    assert allowed.permits("create", POD, "eviction", "shop")
    assert not allowed.permits("create", POD, "eviction", "kube-system")
    assert not allowed.permits("delete", POD, None, "shop")
    assert not allowed.permits("patch", DEPLOYMENT, None, "shop")


def test_the_tool_library_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, tools.registry as r; r.executors(); r.schemas(); sys.exit('langchain_core.tools' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
