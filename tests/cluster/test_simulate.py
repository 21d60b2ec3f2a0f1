"""The simulated ground: scenarios play there like on a cluster, with a healer that knows the answer and with none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.checks import HttpOk
from tests.cluster.kube import KubeError
from tests.cluster.lane import Options, Stage
from tests.cluster.scenario import load_all, select
from tests.cluster.service import NoHealer, OracleHealer
from tests.cluster.session import namespaces_for, play_all
from tests.cluster.shapes import in_namespace
from tests.cluster.shuffle import Shuffle
from tests.cluster.simulate import main
from tests.cluster.simulated import SimulatedGround, simulated_ground
from tests.cluster.verbs import kind_named, read
from tools.jsontypes import dig, dig_list, dig_str

OPTIONS = Options(lanes=8, steady=1, stable=3, close=10, limit=60, window=20, keep=False)
SAMPLE = (
    "configmap-deleted,deployment-paused,image-pull-bad-tag,neg-single-restart,node-cordoned,service-wrong-selector"
)


async def outcomes(names: str, *, knows: bool, shuffle: Shuffle | None = None) -> dict[str, str]:
    chosen = select(load_all(rewrite=shuffle.rewrite if shuffle else None), names)
    async with simulated_ground() as ground:
        for image, alias in (shuffle.aliases if shuffle else {}).items():
            await ground.alias(image, alias)
        stage = Stage(OPTIONS, ground, OracleHealer(ground) if knows else NoHealer())
        results = await play_all(stage, chosen, namespaces_for(chosen, "t"))
    return {r.scenario: r.outcome for r in results}


async def test_who_knows_the_answer_heals_every_kind_of_fault() -> None:
    found = await outcomes(SAMPLE, knows=True)
    assert found.pop("neg-single-restart") == "quiet"
    assert set(found.values()) == {"healed"}, found


async def test_without_a_healer_every_fault_persists_and_nothing_is_called_healed() -> None:
    assert await outcomes(SAMPLE, knows=False) == {
        "configmap-deleted": "not healed",
        "deployment-paused": "no plan",
        "image-pull-bad-tag": "not healed",
        "neg-single-restart": "quiet",
        "node-cordoned": "no plan",
        "service-wrong-selector": "not healed",
    }


async def test_the_same_under_random_names() -> None:
    found = await outcomes(
        "oom-limit-too-low,secret-key-missing,sts-stuck-broken-revision", knows=True, shuffle=Shuffle(4)
    )
    assert set(found.values()) == {"healed"}, found


async def test_what_a_ground_does_not_offer_is_told_and_not_played() -> None:
    async with simulated_ground() as ground:
        ground.offers = frozenset({"kubelet"})
        chosen = select(load_all(), "netpol-deny-all")
        [result] = await play_all(Stage(OPTIONS, ground, NoHealer()), chosen, namespaces_for(chosen, "t"))
    assert result.outcome == "not here"


def test_the_command_line_says_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.json"
    assert main(["--healer", "oracle", "--scenarios", "image-pull-bad-tag", "--stable", "2", "--out", str(out)]) == 0
    assert "auto: healed 1/1 within 60 s (100 %)" in capsys.readouterr().out
    assert json.loads(out.read_text())["results"][0]["outcome"] == "healed"
    assert main(["--scenarios", "no-such-scenario"]) == 2


# ---- the small kubectl


@asynccontextmanager
async def shop() -> AsyncGenerator[SimulatedGround]:
    async with simulated_ground() as ground:
        await ground.human.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        for scenario in select(load_all(), "neg-healthy"):
            for manifest in scenario.fixtures:
                await ground.human.apply(in_namespace(manifest, "shop"))
        await ground.sim.until(lambda: ground.sim.ready("Deployment", "shop", "web"))
        yield ground


async def live(ground: SimulatedGround, kind: str, name: str) -> Any:
    return await ground.human.get(kind, "shop", name)


async def test_scale_pause_and_mark() -> None:
    async with shop() as ground:
        for command in (
            ["scale", "deployment/web", "--replicas=3"],
            ["rollout", "pause", "deployment/web"],
            ["label", "deployment/web", "team=shop"],
            ["annotate", "deployment/web", "why=test"],
        ):
            await ground.kubectl("shop", command)
        web = await live(ground, "Deployment", "web")
        assert (web["spec"]["replicas"], web["spec"]["paused"]) == (3, True)
        assert (web["metadata"]["labels"]["team"], web["metadata"]["annotations"]["why"]) == ("shop", "test")
        await ground.kubectl("shop", ["rollout", "resume", "deployment/web"])
        await ground.kubectl("shop", ["label", "deployment/web", "team-"])
        web = await live(ground, "Deployment", "web")
        assert "paused" not in web["spec"]
        assert "team" not in web["metadata"]["labels"]


@pytest.mark.parametrize("workload", ["deployment/web", "statefulset/db", "daemonset/agent"])
async def test_undo_puts_back_the_template_before_the_newest(workload: str) -> None:
    kind, name = kind_named(workload.partition("/")[0]), workload.partition("/")[2]
    async with shop() as ground:
        await ground.sim.sleep(5)
        before = await live(ground, kind, name)
        container = before["spec"]["template"]["spec"]["containers"][0]["name"]
        body = {"spec": {"template": {"spec": {"containers": [{"name": container, "image": "registry.invalid/x:1"}]}}}}
        await ground.kubectl("shop", ["patch", workload, "--type=strategic", "-p", json.dumps(body)])
        await ground.sim.sleep(3)
        await ground.kubectl("shop", ["rollout", "undo", workload])
        after = await live(ground, kind, name)
        assert after["spec"]["template"] == before["spec"]["template"]


async def test_nodes_are_closed_and_opened() -> None:
    async with shop() as ground:
        await ground.kubectl("shop", ["cordon", "node2"])
        await ground.kubectl("shop", ["taint", "nodes", "--all", "a.b/c=d:NoExecute", "--overwrite"])
        nodes = dig_list(await ground.human.list("Node"), "items")
        assert [dig(n, "spec", "unschedulable") for n in nodes] == [None, True]
        assert ["a.b/c" in str(dig_list(n, "spec", "taints")) for n in nodes] == [True, True]
        await ground.kubectl("shop", ["taint", "nodes", "--all", "a.b/c:NoExecute-"])
        await ground.kubectl("shop", ["uncordon", "-l", "kubernetes.io/os=linux"])
        nodes = dig_list(await ground.human.list("Node"), "items")
        assert [dig(n, "spec", "unschedulable") for n in nodes] == [None, None]
        assert "a.b/c" not in str(nodes)


async def test_pods_are_deleted_by_label_and_jobs_made_by_hand() -> None:
    async with shop() as ground:
        before = {dig_str(p, "metadata", "name") for p in ground.sim.pods("shop", app="web")}
        await ground.kubectl("shop", ["delete", "pod", "-l", "app=web", "--wait=false"])
        await ground.sim.sleep(5)
        after = {dig_str(p, "metadata", "name") for p in ground.sim.pods("shop", app="web")}
        assert (len(before & after), len(after)) == (0, 2)
        await ground.kubectl("shop", ["create", "job", "--from=cronjob/tick", "now"])
        assert (await live(ground, "Job", "now"))["metadata"]["ownerReferences"][0]["name"] == "tick"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["frobnicate", "pod/x"], "only scale, rollout"),
        (["delete", "gizmo", "x"], "no resource type 'gizmo'"),
        (["exec", "deploy/web", "--", "reboot"], "only rm is simulated"),
        (["rollout", "undo", "deployment/web"], "no rollout history"),
    ],
)
async def test_what_the_small_kubectl_does_not_know_it_says(command: list[str], why: str) -> None:
    async with shop() as ground:
        with pytest.raises(KubeError, match=why):
            await ground.kubectl("shop", command)


def test_a_command_line_is_taken_apart() -> None:
    command = read(["delete", "pod", "-l", "app=web", "--wait=false", "--", "rm", "-f"])
    assert command.words == ("delete", "pod")
    assert command.flags == {"-l": "app=web", "--wait": "false"}
    assert command.after == ("rm", "-f")


async def test_the_writes_of_the_healer_are_its_own() -> None:
    async with shop() as ground:
        since = ground.clock.now().timestamp()
        await ground.kubectl("shop", ["scale", "deployment/web", "--replicas=3"])
        await asyncio.sleep(0)
        assert ground.trail.in_namespace("shop", since) == []
        assert ground.trail.requests_in("shop", since) == 0
        assert await ground.ask("shop", HttpOk("web", "/healthz", "ok")) is None
