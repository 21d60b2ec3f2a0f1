"""Whatever a model proposes, what reaches the server stays inside what code enumerated."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from tests.tools.guard.setting import POD, WEB, Setting, context
from tools import registry
from tools.cluster.resources import WriteRequest
from tools.executors.actions import AnyAction
from tools.guard.diff import diff, outside
from tools.guard.orders import Acted
from tools.jsontypes import JsonObject
from tools.refs import IncidentId, PlanId

NAMES = ("web", "web-1-a", "payments", "api", "coredns", "../web", "web,api", "*", "", "WEB", "web\n", "a" * 300)
SPACES = ("shop", "kube-system", "selfheal", "prod", "*", "", "shop/../kube-system", None)
KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Secret", "Node", "Pod", "")
NUMBERS = (0, 1, 2, 3, 9, -1, 10**9, "0", "all", True, 2.5, None)
QUANTITIES = (None, "1", "128Mi", "100Ti", "-1", "1e9", "0", "lots", "64Mi", 5)


def proposal(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """What an obedient servant of an attacker might say, legal or not."""
    arguments: dict[str, Any] = {
        "namespace": chance.choice(("shop", chance.choice(SPACES))),
        "name": chance.choice(("web", "web-1-a", chance.choice(NAMES))),
        "kind": chance.choice(("Deployment", chance.choice(KINDS))),
        "replicas": chance.choice(NUMBERS),
        "to_revision": chance.choice(NUMBERS),
        "container": chance.choice(("main", "sidecar", "")),
        **{key: chance.choice(QUANTITIES) for key in ("memory_limit", "memory_request", "cpu_limit", "cpu_request")},
        "force": True,
    }
    tool = chance.choice((*registry.ALL, "delete_namespace", "exec", ""))
    if tool in registry.ALL and chance.random() < 0.9:
        arguments = {key: arguments[key] for key in registry.arguments_of(tool).model_fields}
    return tool, arguments


def typed(tool: str, arguments: dict[str, Any]) -> AnyAction | None:
    try:
        return registry.parse(tool, arguments)
    except ValidationError:
        return None


def reached(request: WriteRequest) -> tuple[str, str | None, str]:
    return request.resource.kind, request.namespace, request.name


async def test_no_proposal_reaches_beyond_the_scope_or_the_declared_fields(at: Setting) -> None:
    chance = random.Random(7)  # noqa: S311 - the same proposals in every run
    enumerated = {(ref.kind, ref.namespace, ref.name) for ref in (WEB, POD)}
    before: dict[tuple[str, str, str], JsonObject] = dict(at.cluster.objects)
    written = 0
    for turn in range(400):
        action = typed(*proposal(chance))
        if action is None:
            continue
        at.cluster.objects = dict(before)
        incident = IncidentId(f"inc-a{turn}")
        await at.open(incident)
        asked = context(incident_id=incident, plan_id=PlanId(f"plan-{turn}"), origin="model").order(action)
        answer = await at.door().act(asked)
        for key in set(before) - {("Pod", "shop", "web-1-a")}:
            changes = diff(before[key], at.cluster.objects[key])
            declared = registry.executors()[action.tool].declared_fields
            assert outside(changes, declared if key == ("Deployment", "shop", "web") else ()) == ()
        if isinstance(answer, Acted):
            written += 1
        at.clock.at += timedelta(hours=2)  # longer than any window of a budget
    assert written > 20, "the adversary never got anything through: it proves nothing"
    assert {reached(request) for request, _ in at.cluster.sent} <= enumerated
    assert {request.verb for request in at.cluster.writes} <= {"patch", "create", "delete"}
