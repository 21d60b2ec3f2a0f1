"""A role is put back only where the healer holds its rights itself: the API server sees to that, in the dry run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evals.simulator import Simulator
from tests.contract.executors.arena import FREE, WIDE, Arena, WatchedCluster
from tests.contract.executors.cases import APP
from tests.contract.executors.reverts import rules
from tests.contract.executors.test_lives import order_for
from tests.support.ledgers import ledger_at
from tools import registry
from tools.cluster.allowlist import READ_RULES, AllowList, Rule
from tools.cluster.client import Cluster
from tools.cluster.resources import ROLE
from tools.guard.door import Door
from tools.guard.orders import Acted, Ready
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue
from tools.ledger.ledger import Ledger
from tools.refs import ObjectRef

HEALER = "system:serviceaccount:selfheal:selfheal"
GROUP = "rbac.authorization.k8s.io"
pytestmark = pytest.mark.skipif(
    "SELFHEAL_CONTRACT_KUBECONFIG" in os.environ, reason="who the healer is, is chosen by the simulator's token"
)


def granted(rule: Rule) -> JsonObject:
    what = f"{rule.resource}/{rule.subresource}" if rule.subresource else rule.resource
    return {"apiGroups": [rule.group], "resources": [what], "verbs": [rule.verb]}


async def bound(simulator: Simulator) -> None:
    """Bind the healer to what its own roles grant, all over the cluster."""
    listed: list[JsonValue] = [granted(rule) for rule in (*READ_RULES, *registry.allow_rules())]
    head: JsonObject = {"apiVersion": f"{GROUP}/v1", "metadata": {"name": "selfheal"}}
    await simulator.apply({**head, "kind": "ClusterRole", "rules": listed})
    reference: JsonObject = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "selfheal"}
    subject: JsonObject = {"kind": "ServiceAccount", "namespace": "selfheal", "name": "selfheal"}
    await simulator.apply({**head, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]})


@pytest.mark.parametrize("tool", ["revert_fields", "restore_object"])
@pytest.mark.parametrize(("verbs", "held"), [(("get", "list"), True), (("get", "deletecollection"), False)])
async def test_rights_that_the_healer_does_not_hold_are_for_a_person(
    tmp_path: Path, tool: str, verbs: tuple[str, ...], held: bool
) -> None:
    async with (
        Simulator.virtual() as simulator,
        await Cluster.at(simulator.url, token=simulator.token("admin"), allowlist=AllowList(WIDE)) as admin,
        await Cluster.at(simulator.url, token=simulator.token(HEALER), allowlist=AllowList(WIDE)) as healer,
        await Ledger.open(await ledger_at(tmp_path / "ledger.db")) as ledger,
    ):
        await bound(simulator)
        arena = await Arena.make(admin, ledger, simulator.clock, patience=300)
        enabled = registry.executors(versions=arena.shelf)
        door = Door(WatchedCluster(healer, arena.diary), ledger, FREE, simulator.clock, enabled, "selfheal")
        ref = ObjectRef(kind="Role", namespace=arena.namespace, name=APP)
        version = arena.shelf.put(ref, rules(*verbs))
        if tool == "revert_fields":
            await arena.create(ROLE, {"metadata": {"name": APP}, **rules("watch")})
        order = await order_for(arena, registry.parse(tool, {**ref.model_dump(), "version": version}), approved=True)
        found = await door.assess(order)
        if held:
            assert isinstance(found, Ready), found
            assert isinstance(await door.act(order), Acted)
            return
        assert isinstance(found, Refused), found
        assert (found.code, arena.diary.lines) == (ReasonCode.RIGHTS_NOT_HELD, [])
        assert "somebody who holds them must apply the prepared manifest" in found.reason
