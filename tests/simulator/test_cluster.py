"""The cluster as a whole: what no single check of the conformance suite shows, and how big and how fast it is."""

from __future__ import annotations

from typing import Any

import aiohttp
from kubernetes.aio import client, config

from evals.simulator import Behaviour, Simulator, Timings

NAMESPACE: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def web(name: str = "web", replicas: int = 2, **container: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "app",
        "image": "localhost/heal-busybox:1",
        "command": Behaviour(listens=8080, serves=("/healthz",), handles_term=True).command(),
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [base | container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


async def _up(sim: Simulator, *manifests: dict[str, Any]) -> None:
    await sim.apply([NAMESPACE, *manifests])
    await sim.until(lambda: sim.ready("Deployment", "shop", "web"))


async def test_a_lost_node_moves_its_pods_after_the_toleration() -> None:
    async with Simulator.virtual(timings=Timings(node_grace=16, toleration_seconds=30)) as sim:
        await _up(sim, web())
        sim.stop_kubelet("node2")
        await sim.sleep(20)
        node = sim.get("Node", "", "node2")
        assert node is not None
        assert [t["key"] for t in node["spec"]["taints"]] == ["node.kubernetes.io/unreachable"] * 2
        await sim.sleep(40)
        running = [p for p in sim.pods("shop", app="web") if "deletionTimestamp" not in p["metadata"]]
        assert {p["spec"]["nodeName"] for p in running} == {"node1"}
        assert len(sim.pods("shop", app="web")) == 3
        sim.start_kubelet("node2")
        await sim.sleep(10)
        assert len(sim.pods("shop", app="web")) == 2
        assert "taints" not in node["spec"] or "taints" not in sim.get("Node", "", "node2")["spec"]


async def test_an_autoscaler_follows_the_load() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4, "metrics": [metric]},
    }
    async with Simulator.virtual() as sim:
        await _up(sim, web(), hpa)
        sim.set_metric("shop", "web", 9)
        await sim.until(lambda: sim.get("Deployment", "shop", "web")["spec"]["replicas"] == 4)
        sim.set_metric("shop", "web", 1)
        await sim.until(lambda: sim.get("Deployment", "shop", "web")["spec"]["replicas"] == 2, 600)
        assert ("SuccessfulRescale" in dict(sim.events("shop", "web"))) is True


async def test_a_full_disk_evicts_and_leaves_failed_pods() -> None:
    command = Behaviour(disk_mib=40).command()
    limits = {"limits": {"ephemeral-storage": "10Mi"}}
    async with Simulator.virtual() as sim:
        await sim.apply([NAMESPACE, web(replicas=1, command=command, resources=limits, readinessProbe=None)])
        await sim.until(lambda: any(p["status"]["phase"] == "Failed" for p in sim.pods("shop")))
        failed = next(p for p in sim.pods("shop") if p["status"]["phase"] == "Failed")
        assert failed["status"]["reason"] == "Evicted"
        assert "exceeds the total limit of containers 10Mi" in failed["status"]["message"]


async def test_a_webhook_nobody_answers_refuses() -> None:
    hook = {
        "name": "gate.test",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "clientConfig": {"service": {"name": "gate", "namespace": "shop"}},
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "gate"},
        "webhooks": [hook],
    }
    async with Simulator.virtual() as sim:
        await sim.apply([NAMESPACE, configuration, web()])
        await sim.sleep(5)
        messages = [m for r, m in sim.events("shop") if r == "FailedCreate"]
        assert 'failed calling webhook "gate.test"' in messages[0]
        assert 'service "gate" not found' in messages[0]


async def test_a_quota_that_was_lifted_lets_pods_come_late() -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "shop"},
        "spec": {"hard": {"pods": "0"}},
    }
    async with Simulator.virtual() as sim:
        await sim.apply([NAMESPACE, quota, web()])
        await sim.sleep(120)
        sim.api.delete(sim.kind("ResourceQuota"), "shop", "q")
        await sim.sleep(1)
        assert not sim.ready("Deployment", "shop", "web")
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), 600)


async def test_the_official_client_reads_and_writes() -> None:
    async with Simulator() as sim:
        await sim.apply([NAMESPACE, web()])
        settings = client.Configuration()
        await config.load_kube_config(str(sim.kubeconfig()), client_configuration=settings)
        async with client.ApiClient(settings) as api:
            found = await client.CoreV1Api(api).list_namespaced_pod("shop", label_selector="app=web")
            assert {p.metadata.labels["app"] for p in found.items} <= {"web"}
            scale = await client.AppsV1Api(api).read_namespaced_deployment_scale("web", "shop")
            assert scale.spec.replicas == 2


async def test_users_have_only_what_they_were_given() -> None:
    async with Simulator.virtual() as sim, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {sim.token('healer')}"}
        async with session.get(f"{sim.url}/api/v1/pods", headers=headers) as response:
            assert response.status == 403


async def test_runs_are_repeatable() -> None:
    async def story() -> list[tuple[str, str]]:
        async with Simulator.virtual() as sim:
            await _up(sim, web())
            await sim.apply([web(command=["sh", "-c", "exit 1"])])
            await sim.sleep(300)
            pods = sorted(sim.pods("shop"), key=lambda p: p["metadata"]["creationTimestamp"])
            return [(p["status"]["phase"], str(p["status"]["containerStatuses"][0]["restartCount"])) for p in pods]

    first = await story()
    assert first == await story()
    assert first == await story()


async def test_a_program_that_may_not_read_is_not_ready() -> None:
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "shop"},
        "rules": [rule],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "r", "namespace": "shop"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}],
    }
    probe = {"exec": {"command": ["/bin/busybox", "cat", "/tmp/ready"]}, "periodSeconds": 2, "failureThreshold": 2}
    reader = web(replicas=1, image="localhost/heal-reader:1", command=["/bin/heal-reader"], readinessProbe=probe)
    async with Simulator.virtual() as sim:
        await _up(sim, role, binding, reader)
        sim.api.delete(sim.kind("RoleBinding"), "shop", "r")
        await sim.sleep(10)
        assert not sim.ready("Deployment", "shop", "web")
        await sim.apply(binding)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), 30)


async def test_what_takes_too_much_memory_is_killed_before_it_is_ready() -> None:
    """It takes its memory before it listens, so a rollout does not go on over it."""
    greedy = Behaviour(listens=8080, serves=("/healthz",), memory_mib=40).command()
    resources = {"requests": {"memory": "8Mi"}, "limits": {"memory": "16Mi"}}
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    async with Simulator.virtual() as sim:
        ready: set[bool] = set()
        await sim.apply([NAMESPACE, web(command=greedy, resources=resources, readinessProbe=probe)])
        for _ in range(400):
            await sim.sleep(0.1)
            ready |= {s["ready"] for p in sim.pods("shop") for s in p["status"].get("containerStatuses", ())}
        assert ready == {False}
        ended = [s["lastState"]["terminated"] for p in sim.pods("shop") for s in p["status"]["containerStatuses"]]
        assert {e["reason"] for e in ended} == {"OOMKilled"}
