"""The mix of faults: what is drawn, and that it is what it says."""

from __future__ import annotations

from collections import Counter

import pytest

from evals.bench.estate import estate
from evals.bench.faults import FAMILIES, Family, draw, not_healed_yet
from evals.simulator import Simulator
from evals.simulator.objects import clone
from tools.jsontypes import dig_object

ESTATE = estate(20, "1")


def told(seed: str) -> list[tuple[str, str]]:
    return [(f.family.name, str(f.workload)) for f in draw(200, ESTATE, seed)]


def test_the_same_seed_draws_the_same_faults() -> None:
    assert told("1") == told("1")
    assert estate(20, "1") == estate(20, "1")


def test_another_seed_draws_others() -> None:
    assert told("1") != told("2")
    assert estate(20, "1") != estate(20, "2")


def test_families_come_evenly_and_workloads_nearly_so() -> None:
    faults = draw(1000, ESTATE, "1")
    families = Counter(f.family.name for f in faults)
    assert set(families) == {f.name for f in FAMILIES}
    assert max(families.values()) - min(families.values()) <= 1
    assert {f.workload for f in faults} == set(ESTATE)
    assert max(Counter(f.workload for f in faults).values()) <= 2 * 1000 / len(ESTATE)


def test_what_is_not_healed_yet_comes_only_when_asked_for() -> None:
    assert not [f for f in draw(500, ESTATE, "1") if not_healed_yet(f.family, f.workload)]
    assert [f for f in draw(500, ESTATE, "1", with_gaps=True) if not_healed_yet(f.family, f.workload)]


def test_no_family_is_a_gap_everywhere() -> None:
    for family in FAMILIES:
        assert [w for w in ESTATE if w.kind in family.kinds and not not_healed_yet(family, w)], family.name


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.change is not None], ids=lambda f: f.name)
async def test_each_family_changes_a_template_that_the_server_takes(family: Family) -> None:
    assert family.change is not None
    faults = [f for f in draw(400, ESTATE, "1", with_gaps=True) if f.family is family]
    async with Simulator.virtual() as sim:
        for fault in faults:
            manifest = fault.workload.manifest()
            changed = clone(manifest)
            assert family.change(dig_object(changed, "spec", "template", "spec"), fault.rng)
            assert changed != manifest
            await sim.apply([{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": fault.workload.namespace}}])
            await sim.apply(changed)
