"""Which free volumes an unbound claim could have, by table."""

from __future__ import annotations

import pytest

from graph.storage import fits
from tools.jsontypes import JsonObject, JsonValue

CLAIM: JsonObject = {
    "metadata": {"namespace": "shop", "name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def volume(phase: str = "Available", size: str = "2Gi", **spec: JsonValue) -> JsonObject:
    body: JsonObject = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], **spec}
    return {"metadata": {"name": "pv"}, "spec": body, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("offered", "does"),
    [
        pytest.param(volume(), True, id="free and large enough"),
        pytest.param(volume(size="1024Mi"), True, id="just as large, in other words"),
        pytest.param(volume(size="1000Mi"), False, id="too small"),
        pytest.param(volume(size="much"), False, id="a size that cannot be read"),
        pytest.param(volume("Bound"), False, id="somebody has it"),
        pytest.param(volume("Released"), False, id="somebody had it: it may hold data"),
        pytest.param(volume(claimRef={"namespace": "shop", "name": "data"}), True, id="kept for this claim"),
        pytest.param(volume(claimRef={"namespace": "shop", "name": "other"}), False, id="kept for another"),
        pytest.param(volume(accessModes=["ReadOnlyMany"]), False, id="read only"),
        pytest.param(volume(volumeMode="Block"), False, id="a bare device"),
    ],
)
def test_what_a_claim_could_have(offered: JsonObject, does: bool) -> None:
    assert fits(offered, CLAIM) is does


def test_nothing_is_guessed_where_people_choose_by_labels() -> None:
    spec = CLAIM["spec"]
    assert isinstance(spec, dict)
    assert not fits(volume(), {**CLAIM, "spec": {**spec, "selector": {"matchLabels": {"disk": "ssd"}}}})
