"""The chaos run's parts without a healer: its shop, its faults, its report and its picture; and one run with nobody."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from random import Random

import yaml

from tests.cluster.chaos_faults import faults_for, shop
from tests.cluster.chaos_play import Play, Rules, as_it_was
from tests.cluster.chaos_plot import svg
from tests.cluster.chaos_report import ChaosReport, Struck, closing
from tests.cluster.service import POLICIES, NoHealer, policy
from tests.cluster.simulated import simulated_ground
from tools.guard.policy import Mode, load_policy
from tools.jsontypes import JsonObject

REPORT = ChaosReport(
    seconds=600.0,
    faults=[
        Struck(30.0, "front", "image-pull-bad-tag", "alone", 4.0, 1),
        Struck(90.0, "cart", "command-exit-1", "two at once", 70.0, 2),
        Struck(90.0, "db", "sts-stuck-broken-revision", "two at once", None, 0, repaired_by_hand=True),
    ],
    outages={"cart": [(100.0, 112.0)], "db": [(95.0, 99.0), (120.0, 180.0)]},
    writes=[34.0, 95.0, 150.0],
    incidents={"healed": 2, "escalated": 1},
    refusals={"COOLDOWN": 3},
)


def test_the_shop_has_six_workloads_and_many_families_of_faults() -> None:
    workloads = shop()
    assert len({w.name for w in workloads}) == 6
    families = {f.family for w in workloads for f in faults_for(w)}
    assert len(families) >= 30


def test_a_fault_speaks_of_its_workload_alone() -> None:
    for workload in shop():
        for fault in faults_for(workload):
            told = str(fault.scenario.inject) + str(fault.checks)
            assert workload.name in told, fault.family
            assert "Deployment/web" not in told


def test_a_person_who_puts_a_remade_service_right_leaves_it_its_address() -> None:
    old: JsonObject = {"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "selector": {"app": "front"}}}
    remade: JsonObject = {"metadata": {"uid": "2"}, "spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]}}
    assert as_it_was(remade, old) == {
        "metadata": {"uid": "2"},
        "spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"], "selector": {"app": "front"}},
    }


def test_the_closing_lines_say_the_share_the_longest_outage_the_writes_and_why_not() -> None:
    assert closing(REPORT) == [
        "chaos: 3 faults in 10 minutes, 1 recovered within 60 s (33 %), p50 4.0 s, p95 70.0 s",
        "repaired by hand: 1",
        "longest outage (no ready pod): 60 s of db",
        "writes: 3, 1.0 a fault",
        "collateral changes: 0",
        "  alone: 1/1 in time",
        "  two at once: 0/2 in time",
        "not in time: command-exit-1 1, sts-stuck-broken-revision 1",
        "incidents: healed 2, escalated 1",
        "not done because: COOLDOWN 3",
    ]
    assert closing(ChaosReport()) == ["chaos: no fault was injected"]


def test_the_picture_is_well_formed_and_has_a_bar_for_each_fault() -> None:
    picture = ET.fromstring(svg(REPORT, ["front", "cart", "db"]))
    titles = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [
        "image-pull-bad-tag (alone) at 30 s",
        "command-exit-1 (two at once) at 90 s",
        "sts-stuck-broken-revision (two at once) at 90 s",
    ]


async def test_with_nobody_to_heal_a_person_puts_it_right_and_nothing_is_left_different() -> None:
    workloads = shop()
    rules = Rules(90, pause=(10, 20), steady=1, gives_up=40, lasts=3, double=0.5)
    async with simulated_ground() as ground:
        faults = {w: faults_for(w) for w in workloads}
        report = await Play(ground, NoHealer(), "sh-chaos", faults=faults, dice=Random(3), rules=rules).run()
    assert len(report.faults) >= 4
    assert all(f.repaired_by_hand for f in report.faults)
    assert report.collateral == []
    assert report.writes == []


def test_every_published_policy_is_one_the_service_takes(tmp_path: Path) -> None:
    names = [p.stem for p in POLICIES.glob("*.yaml")]
    assert {"scenarios", "permissive", "default"} <= set(names)
    for name in names:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(policy(name, {"sh-x": "auto"})))
        assert load_policy(path).mode_for("sh-x", "rollback_workload") is Mode.AUTO
