"""What autoscalers keep: KEDA, vertical ones and those of people, each with the place where the write goes instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tools.executors.objects import changed
from tests.tools.guard.setting import Setting, good_world, order
from tests.tools.guard.test_checks import answer, scaler
from tools.errors import Denied, NotFound
from tools.executors.base import Situation
from tools.guard.checks import autoscaler
from tools.guard.orders import Ready
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig_object

R = ReasonCode
KEDA: JsonObject = {
    "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web", "uid": "u", "controller": True,
}  # fmt: skip


def scaled_object(**annotations: str) -> JsonObject:
    made = scaler("ScaledObject", None, "web")
    notes: JsonObject = {f"autoscaling.keda.sh/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {**made, "metadata": {**dig_object(made, "metadata"), "annotations": notes}}


def vertical(name: str, **policy: JsonValue) -> JsonObject:
    target: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec: JsonObject = {"targetRef": target, "updatePolicy": dict(policy)}
    return {"kind": "VerticalPodAutoscaler", "metadata": {"name": "vpa", "namespace": "shop"}, "spec": spec}


@pytest.mark.parametrize(
    ("why", "found", "instead"),
    [
        ("KEDA scales it", scaled_object(), "keda_set_bounds"),
        ("KEDA is paused", scaled_object(paused="true"), "keda_resume"),
        ("KEDA holds it at a number", scaled_object(paused_replicas="2"), "keda_resume"),
        ("people made one", scaler("HorizontalPodAutoscaler", "Deployment", "web"), "set_hpa_bounds"),
    ],
)
async def test_the_place_to_scale_is_named(why: str, found: JsonObject, instead: str) -> None:
    refused = autoscaler.check(replace(await good_world(), autoscalers=(found,)))
    assert refused is not None
    assert refused.code is R.OWNED_BY_AUTOSCALER
    assert refused.reason.endswith(f"{found['kind']} shop/auto: {instead}.")


@pytest.mark.parametrize(
    ("why", "found", "code"),
    [
        ("none", (), None),
        ("one that writes", (vertical("web", updateMode="Auto"),), R.OWNED_BY_AUTOSCALER),
        ("one that says nothing, which writes", (vertical("web"),), R.OWNED_BY_AUTOSCALER),
        ("one that only recommends", (vertical("web", updateMode="Off"),), None),
        ("of another workload", (vertical("api", updateMode="Auto"),), None),
        ("an autoscaler of replicas", (scaler("HorizontalPodAutoscaler", "Deployment", "web"),), None),
    ],
)
async def test_resources_that_a_vertical_autoscaler_gives(
    why: str, found: tuple[JsonObject, ...], code: ReasonCode | None
) -> None:
    assert answer(autoscaler.check, replace(await good_world("set_resources"), autoscalers=found)) == code
    for other in ("set_image", "rollback_workload"):
        assert answer(autoscaler.check, replace(await good_world(other), autoscalers=found)) is None


async def test_an_autoscaler_that_keda_made_is_never_patched() -> None:
    good = await good_world("set_hpa_bounds")
    assert answer(autoscaler.check, good) is None
    assert isinstance(good.situation, Situation)
    live = changed(good.situation.live, "metadata.ownerReferences", [KEDA])
    refused = autoscaler.check(replace(good, situation=Situation(live)))
    assert refused is not None
    assert refused.code is R.OWNED_BY_AUTOSCALER
    assert refused.reason.endswith("ScaledObject shop/web: keda_set_bounds.")


@pytest.mark.parametrize(
    ("why", "tool", "broken", "code"),
    [
        ("no ScaledObjects here", "scale_workload", {"list:ScaledObject": NotFound("no such kind")}, None),
        ("no vertical ones here", "set_resources", {"list:VerticalPodAutoscaler": NotFound("no such kind")}, None),
        ("we may not see them", "set_resources", {"list:VerticalPodAutoscaler": Denied("no")}, R.INPUT_UNREADABLE),
        ("they do not matter", "scale_workload", {"list:VerticalPodAutoscaler": Denied("no")}, None),
        ("we may not see KEDA's", "scale_workload", {"list:ScaledObject": Denied("no")}, R.INPUT_UNREADABLE),
    ],
)
async def test_a_kind_that_is_not_served_is_nobody_and_one_that_is_unseen_is_a_no(
    at: Setting, why: str, tool: str, broken: dict[str, Any], code: ReasonCode | None
) -> None:
    at.cluster.broken.update(broken)
    found = await at.door().assess(order(tool))
    assert (found.code if isinstance(found, Refused) else None) is code
    assert isinstance(found, Ready if code is None else Refused)


async def test_resources_are_refused_through_the_door(at: Setting) -> None:
    at.cluster.put(vertical("web", updateMode="Auto"))
    found = await at.door().assess(order("set_resources"))
    assert isinstance(found, Refused)
    assert found.code is R.OWNED_BY_AUTOSCALER
    assert "VerticalPodAutoscaler shop/vpa" in found.reason
