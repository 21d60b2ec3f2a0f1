from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.objects import container, deployment
from tools import registry
from tools.executors.base import Mark, Situation
from tools.executors.kubernetes.resources import SetResourcesExecutor
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ActionId, IncidentId

MARK = Mark(ActionId("act-1"), IncidentId("inc-1"))
EMPTY = {"memory_limit": None, "memory_request": None, "cpu_limit": None, "cpu_request": None}


def resources(
    *, memory: tuple[str | None, str | None] = (None, None), cpu: tuple[str | None, str | None] = (None, None)
) -> JsonObject:
    """Of (request, limit) pairs."""
    requests: JsonObject = {k: v for k, v in (("memory", memory[0]), ("cpu", cpu[0])) if v}
    limits: JsonObject = {k: v for k, v in (("memory", memory[1]), ("cpu", cpu[1])) if v}
    found: JsonObject = {}
    if requests:
        found["requests"] = requests
    if limits:
        found["limits"] = limits
    return found


def at(present: JsonObject) -> Situation:
    containers: list[JsonValue] = [container("side"), container(resources=present)]
    return Situation(deployment(containers=containers))


def action(**wanted: Any) -> Any:
    arguments = {"kind": "Deployment", "namespace": "shop", "name": "web", "container": "main", **EMPTY, **wanted}
    return registry.parse("set_resources", arguments)


OUT, SAME = ReasonCode.PARAM_OUT_OF_RANGE, ReasonCode.NO_CHANGE
M = ("64Mi", "128Mi")


@pytest.mark.parametrize(
    ("why", "memory", "wanted", "code"),
    [
        ("twice the limit", M, {"memory_limit": "256Mi"}, None),
        ("exactly four times", M, {"memory_limit": "512Mi"}, None),
        ("one byte more than four times", M, {"memory_limit": "536870913"}, OUT),
        ("down to the request", M, {"memory_limit": "64Mi"}, None),
        ("below the request", M, {"memory_limit": "63Mi"}, OUT),
        ("below the request, which is lowered as well", M, {"memory_limit": "48Mi", "memory_request": "32Mi"}, None),
        ("one part in four", ("16Mi", "128Mi"), {"memory_limit": "32Mi"}, None),
        ("less than one part in four", ("16Mi", "128Mi"), {"memory_limit": "31Mi"}, OUT),
        ("the same in other words", M, {"memory_limit": "131072Ki"}, SAME),
        ("nothing asked", M, {}, SAME),
        ("zero", M, {"memory_limit": "0"}, OUT),
        ("a request above the limit", M, {"memory_request": "129Mi"}, OUT),
        ("a request up to the limit", M, {"memory_request": "128Mi"}, None),
        ("a limit where there is none, by the request", ("64Mi", None), {"memory_limit": "256Mi"}, None),
        ("too far above the request", ("64Mi", None), {"memory_limit": "257Mi"}, OUT),
        ("nothing to judge by", (None, None), {"memory_limit": "256Mi"}, OUT),
        ("a limit alone is the request as well", (None, "128Mi"), {"memory_limit": "64Mi"}, None),
        ("the present value is no quantity", ("64Mi", "lots"), {"memory_limit": "256Mi"}, ReasonCode.INPUT_UNREADABLE),
        ("an unrelated resource does not stand in", M, {"cpu_limit": "1"}, OUT),
    ],
)
def test_bounds_of_memory(
    why: str, memory: tuple[str | None, str | None], wanted: dict[str, str], code: ReasonCode | None
) -> None:
    refused = SetResourcesExecutor(4).precondition(action(**wanted), at(resources(memory=memory)))
    assert (None if refused is None else refused.code) == code


@pytest.mark.parametrize(
    ("factor", "limit", "code"),
    [(1, "128Mi", SAME), (1, "129Mi", OUT), (2, "256Mi", None), (2, "257Mi", OUT), (16, "2Gi", None)],
)
def test_the_factor_is_the_policys(factor: int, limit: str, code: ReasonCode | None) -> None:
    refused = SetResourcesExecutor(factor).precondition(action(memory_limit=limit), at(resources(memory=M)))
    assert (None if refused is None else refused.code) == code


@pytest.mark.parametrize("factor", [0, -1])
def test_a_factor_below_one_is_a_defect(factor: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SetResourcesExecutor(factor)


def test_an_unknown_container_is_refused_with_the_known_ones() -> None:
    refused = SetResourcesExecutor().precondition(action(container="nope", memory_limit="1Gi"), at(resources(memory=M)))
    assert refused is not None
    assert (refused.code, "side, main" in refused.reason) == (OUT, True)


def test_a_paused_workload_is_refused() -> None:
    refused = SetResourcesExecutor().precondition(action(memory_limit="256Mi"), Situation(deployment(paused=True)))
    assert refused is not None
    assert refused.code is ReasonCode.WORKLOAD_PAUSED


def test_lowering_a_limit_needs_a_person() -> None:
    present = at(resources(memory=M, cpu=("100m", "500m")))
    executor = SetResourcesExecutor()
    assert executor.approval_reasons(action(memory_limit="96Mi"), present) != ()
    assert executor.approval_reasons(action(cpu_limit="400m"), present) != ()
    assert executor.approval_reasons(action(memory_limit="256Mi", cpu_limit="1"), present) == ()


def test_only_what_is_given_changes_and_only_in_that_container() -> None:
    present = at({**resources(memory=M), "claims": [{"name": "gpu"}]})
    executor = SetResourcesExecutor()
    wanted = action(memory_limit="256Mi")
    body = executor.request(wanted, present, MARK).body
    path = "/spec/template/spec/containers/1"
    assert body[2:4] == [
        {"op": "test", "path": f"{path}/name", "value": "main"},
        {
            "op": "add",
            "path": f"{path}/resources",
            "value": {"requests": {"memory": "64Mi"}, "limits": {"memory": "256Mi"}, "claims": [{"name": "gpu"}]},
        },
    ]
    assert executor.fields(wanted, present) == (f"{path}/resources",)
    assert present.live["spec"]["template"]["spec"]["containers"][1]["resources"]["limits"] == {"memory": "128Mi"}


def test_the_postcondition_compares_numbers_and_not_spellings() -> None:
    executor = SetResourcesExecutor()
    after = at(resources(memory=("64Mi", "1Gi")))
    assert executor.postcondition(action(memory_limit="1024Mi"), after, after) is None
    assert executor.postcondition(action(memory_limit="1025Mi"), after, after) is not None
