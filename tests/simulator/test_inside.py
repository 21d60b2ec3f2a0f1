"""What happens inside a simulated cluster beyond its objects: requests between pods, files, memory, priorities."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from evals.simulator import Behaviour, Simulator
from evals.simulator.kubelet.phrases import read

NAMESPACE: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def deployment(name: str, replicas: int = 2, *, spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "app",
        "image": "localhost/heal-busybox:1",
        "command": Behaviour(listens=8080, serves=("/healthz",), handles_term=True).command(),
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 2, "failureThreshold": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
    }
    pod = {"containers": [base | container], **(spec or {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


@asynccontextmanager
async def shop(*more: dict[str, Any], nodes: int = 2) -> AsyncIterator[Simulator]:
    async with Simulator.virtual(nodes=nodes) as sim:
        await sim.apply([NAMESPACE, SERVICE, deployment("web"), *more])
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"))
        yield sim


async def changed(sim: Simulator, **spec: Any) -> None:
    await sim.apply({**SERVICE, "spec": {**SERVICE["spec"], **spec}})
    await sim.sleep(1)


async def test_a_request_reaches_the_process_behind_a_service() -> None:
    async with shop() as sim:
        assert sim.network.get("shop", "web", 80, "/healthz").status == 200
        assert sim.network.get("shop", "web", 80, "/other").status == 404
        assert "timed out" in sim.network.get("shop", "web", 81, "/healthz").why
        assert "no such host" in sim.network.get("shop", "lost", 80, "/healthz").why


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"selector": {"app": "other"}}, "refused"),
        ({"ports": [{"port": 80, "targetPort": 9999}]}, "refused"),
        ({"ports": [{"port": 80, "targetPort": "lost"}]}, "refused"),
    ],
    ids=["selects nothing", "nobody listens", "no port of that name"],
)
async def test_a_service_that_leads_nowhere_refuses(spec: dict[str, Any], why: str) -> None:
    async with shop() as sim:
        await changed(sim, **spec)
        answer = sim.network.get("shop", "web", 80, "/healthz")
        assert (answer.status, why in answer.why) == (0, True)


async def test_a_network_policy_without_rules_keeps_everybody_out_and_one_with_an_open_rule_does_not() -> None:
    policy: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "lockdown", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    }
    async with shop(policy) as sim:
        assert "timed out" in sim.network.get("shop", "web", 80, "/healthz").why
        opened = {**policy, "metadata": {"name": "open", "namespace": "shop"}}
        await sim.apply({**opened, "spec": {**policy["spec"], "ingress": [{}]}})
        assert sim.network.get("shop", "web", 80, "/healthz").status == 200


@pytest.mark.parametrize(
    ("spec", "resolves"),
    [
        ({}, True),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}, False),
        ({"dnsPolicy": "Default"}, False),
    ],
    ids=["the cluster's", "a dead server", "the node's"],
)
async def test_names_are_looked_up_by_the_pods_policy(spec: dict[str, Any], resolves: bool) -> None:
    async with shop(deployment("client", 1, spec=spec)) as sim:
        [pod] = sim.pods("shop", app="client")
        assert sim.network.resolves(pod) is resolves


async def test_a_file_that_is_removed_costs_one_restart_and_is_there_again() -> None:
    async with shop() as sim:
        [pod, _] = sim.pods("shop", app="web")
        name = pod["metadata"]["name"]  # type: ignore[index,call-overload]
        sim.remove_file(pod, "/tmp/www/healthz")
        await sim.sleep(30)
        live: Any = sim.get("Pod", "shop", str(name))
        assert live["status"]["containerStatuses"][0]["restartCount"] == 1
        assert sim.network.get("shop", "web", 80, "/healthz").status == 200


async def test_a_container_that_ended_once_never_looks_as_if_it_had_ended_twice() -> None:
    """The old end is the present state until the next run begins, and the last state from then on."""
    async with shop() as sim:
        pod: Any = sim.pods("shop", app="web")[0]
        name, seen = pod["metadata"]["name"], []
        sim.kubelets.crash(pod, "app", 1)
        for _ in range(40):
            await sim.sleep(0.1)
            live: Any = sim.get("Pod", "shop", name)
            shown = live["status"]["containerStatuses"][0]
            state = next(iter(shown["state"]))
            seen.append((state, shown["restartCount"], bool(shown["lastState"])))
        assert list(dict.fromkeys(seen)) == [("terminated", 0, False), ("running", 1, True)]


@pytest.mark.parametrize("paused", [True, False])
async def test_a_deployment_that_is_not_paused_says_nothing_of_it(paused: bool) -> None:
    async with shop() as sim:
        web = deployment("web")
        await sim.apply({**web, "spec": {**web["spec"], "paused": paused}})
        live: Any = sim.get("Deployment", "shop", "web")
        assert live["spec"].get("paused", "absent") == (True if paused else "absent")


async def test_a_cache_that_is_told_to_grow_outgrows_its_limit() -> None:
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "size", "namespace": "shop"},
        "data": {"MEBIBYTES": "4"},
    }
    cache = deployment(
        "cache",
        1,
        spec={"volumes": [{"name": "config", "configMap": {"name": "size"}}]},
        command=Behaviour(listens=8080, serves=("/healthz",), memory_file="/config/MEBIBYTES").command(),
        volumeMounts=[{"name": "config", "mountPath": "/config"}],
        resources={"limits": {"memory": "16Mi"}},
    )
    async with shop(config, cache) as sim:
        await sim.sleep(60)
        pod: Any = sim.pods("shop", app="cache")[0]
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
        await sim.apply({**config, "data": {"MEBIBYTES": "24"}})
        await sim.sleep(15)
        pod = sim.pods("shop", app="cache")[0]
        shown = pod["status"]["containerStatuses"][0]
        assert (shown.get("lastState") or shown["state"])["terminated"]["reason"] == "OOMKilled"


async def test_a_pod_of_higher_priority_drives_others_off_and_takes_their_place() -> None:
    urgent: dict[str, Any] = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "urgent"},
        "value": 1000,
    }
    wanted = {"requests": {"cpu": "7900m"}}
    async with shop(urgent, nodes=1) as sim:
        hog = deployment("hog", 1, spec={"priorityClassName": "urgent"}, resources=wanted)
        await sim.apply(hog)
        await sim.until(lambda: sim.ready("Deployment", "shop", "hog"), seconds=60)
        assert ("Preempted" in {r for r, _ in sim.events("shop")}) is True
        waiting: list[Any] = [p for p in sim.pods("shop", app="web") if not p["spec"].get("nodeName")]  # type: ignore[union-attr,index]
        assert len(waiting) == 1, "one of the two had to go, and finds no room since"


async def test_without_priority_nobody_is_driven_off() -> None:
    async with shop(nodes=1) as sim:
        await sim.apply(deployment("hog", 1, resources={"requests": {"cpu": "7900m"}}))
        await sim.sleep(30)
        assert sim.ready("Deployment", "shop", "web")
        assert not sim.ready("Deployment", "shop", "hog")


async def test_requests_are_counted_by_user_and_namespace() -> None:
    async with Simulator() as sim:
        assert [r.user for r in sim.audit.requests] == []
        headers = {"Authorization": f"Bearer {sim.token('admin')}"}
        url = f"{sim.url}/api/v1/namespaces/default/pods"
        async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
            assert answer.status == 200
        [seen] = sim.audit.requests
        assert (seen.user, seen.verb, seen.resource, seen.namespace) == ("admin", "list", "pods", "default")


def test_a_trap_and_brackets_are_read_as_phrases() -> None:
    needs = '[ -n "$MODE" ] || { echo "no mode"; exit 1; }'
    found = read(["sh", "-c", f"trap 'exit 0' TERM; {needs}; while :; do sleep 1; done"])
    assert found is not None
    assert (found.handles_term, found.needs_env, found.exit_code, found.fatal) == (True, ("MODE",), None, "no mode")


@pytest.mark.parametrize(
    ("secret", "sub", "is_ready"),
    [
        pytest.param("token", "", True, id="all sources there"),
        pytest.param("lost", "", False, id="a source is missing"),
        pytest.param("token", "level", True, id="one file of it"),
        pytest.param("token", "other", False, id="a file that no source has"),
    ],
)
async def test_a_projected_volume_shows_the_files_of_all_its_sources(secret: str, sub: str, is_ready: bool) -> None:
    sources = [
        {"configMap": {"name": "size", "items": [{"key": "LEVEL", "path": "level"}]}},
        {"secret": {"name": secret}},
    ]
    mount = {"name": "all", "mountPath": "/all/level", "subPath": sub} if sub else {"name": "all", "mountPath": "/all"}
    reader = deployment(
        "reader",
        spec={"volumes": [{"name": "all", "projected": {"sources": sources}}]},
        command=Behaviour(needs_files=("/all/level",), listens=8080, serves=("/healthz",)).command(),
        volumeMounts=[mount],
    )
    meta = {"namespace": "shop"}
    async with shop(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": "size"}, "data": {"LEVEL": "1"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**meta, "name": "token"}, "stringData": {"t": "x"}},
        reader,
    ) as sim:
        await sim.sleep(15)
        assert sim.ready("Deployment", "shop", "reader") is is_ready


@pytest.mark.parametrize(("port", "is_ready"), [(8080, True), (5555, False)])
async def test_a_grpc_probe_passes_where_something_listens(port: int, is_ready: bool) -> None:
    probe = {"grpc": {"port": port}, "periodSeconds": 1}
    async with shop(deployment("rpc", readinessProbe=probe)) as sim:
        await sim.sleep(10)
        assert sim.ready("Deployment", "shop", "rpc") is is_ready
