# ruff: noqa: E501 - a case is one line of a table
"""Controllers: rollouts, their conditions and history, sets, jobs, budgets, endpoints, quotas."""

from __future__ import annotations

import re
from typing import Any

import pytest

from evals.simulator import Behaviour

from .cluster import MERGE, STRATEGIC, Cluster, Obj
from .manifests import budget, changed, container, deployment, dig, job, pod, service, serving, workload

BROKEN = {
    "spec": {"template": {"spec": {"containers": [{"name": "app", "command": Behaviour(exit_code=1).command()}]}}}
}


async def _rolled_out(cluster: Cluster, kind: str, name: str, replicas: int) -> Obj:
    async def done() -> Any:
        found = await cluster.get(kind, name)
        status = found.get("status", {})
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        numbers = {status.get(f, 0) for f in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
        return current and numbers == {replicas} and found

    return dict(await cluster.until(done, 90))


def _condition(obj: Obj, type_: str) -> tuple[str, str]:
    found = next((c for c in dig(obj, "status/conditions") or [] if c["type"] == type_), {})
    return found.get("status", ""), found.get("reason", "")


async def test_a_deployment_rolls_out(cluster: Cluster) -> None:
    await cluster.made(serving())
    found = await _rolled_out(cluster, "Deployment", "web", 2)
    assert _condition(found, "Available") == ("True", "MinimumReplicasAvailable")
    assert _condition(found, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


async def test_a_replica_set_carries_the_hash_of_its_template(cluster: Cluster) -> None:
    await cluster.made(serving())
    await _rolled_out(cluster, "Deployment", "web", 2)
    (owned,) = await cluster.list("ReplicaSet")
    digest = owned["metadata"]["labels"]["pod-template-hash"]
    assert owned["metadata"]["name"] == f"web-{digest}"
    assert dig(owned, "spec/selector/matchLabels/pod-template-hash") == digest
    for one in await cluster.list("Pod"):
        assert one["metadata"]["labels"]["pod-template-hash"] == digest
        assert one["metadata"]["name"].startswith(f"web-{digest}-")
        assert one["metadata"]["ownerReferences"][0]["controller"] is True


async def test_a_broken_template_stops_the_rollout_and_keeps_the_old_pods(cluster: Cluster) -> None:
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await cluster.made(serving(spec={"strategy": strategy, "progressDeadlineSeconds": 10}))
    await _rolled_out(cluster, "Deployment", "web", 2)
    await cluster.patch("Deployment", "web", BROKEN, STRATEGIC)

    async def timed_out() -> Any:
        found = await cluster.get("Deployment", "web")
        return _condition(found, "Progressing") == ("False", "ProgressDeadlineExceeded") and found

    found = await cluster.until(timed_out, 60)
    assert _condition(found, "Available") == ("True", "MinimumReplicasAvailable")
    assert found["status"]["availableReplicas"] == 1
    assert found["status"]["updatedReplicas"] == 2


async def test_an_undo_reuses_the_replica_set_as_a_new_revision(cluster: Cluster) -> None:
    made = await cluster.made(serving())
    await _rolled_out(cluster, "Deployment", "web", 2)
    await cluster.patch("Deployment", "web", BROKEN, STRATEGIC)

    async def two_sets() -> bool:
        return len(await cluster.list("ReplicaSet")) == 2

    await cluster.until(two_sets)
    template = made["spec"]["template"]
    body = [{"op": "replace", "path": "/spec/template", "value": template}]
    answer = await cluster.patch("Deployment", "web", body, "application/json-patch+json")
    assert answer.code == 200, answer.body
    await _rolled_out(cluster, "Deployment", "web", 2)
    revisions = sorted(
        r["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for r in await cluster.list("ReplicaSet")
    )
    assert revisions == ["2", "3"]


async def test_events_of_a_rollout(cluster: Cluster) -> None:
    await cluster.made(serving(replicas=1))
    await _rolled_out(cluster, "Deployment", "web", 1)
    found = await cluster.list("Event", fieldSelector="involvedObject.kind=Deployment")
    assert [e["reason"] for e in found] == ["ScalingReplicaSet"]
    assert re.fullmatch(r"Scaled up replica set web-\w+ from 0 to 1", found[0]["message"])


async def test_a_paused_deployment_does_not_roll(cluster: Cluster) -> None:
    await cluster.made(deployment())
    await _rolled_out(cluster, "Deployment", "web", 1)
    await cluster.patch("Deployment", "web", {"spec": {"paused": True}}, MERGE)
    await cluster.patch("Deployment", "web", BROKEN, STRATEGIC)

    async def paused() -> bool:
        return _condition(await cluster.get("Deployment", "web"), "Progressing") == ("Unknown", "DeploymentPaused")

    await cluster.until(paused)
    await cluster.sleep(1)
    assert len(await cluster.list("ReplicaSet")) == 1


async def test_recreate_stops_the_old_before_the_new(cluster: Cluster) -> None:
    await cluster.made(deployment(spec={"strategy": {"type": "Recreate"}}))
    await _rolled_out(cluster, "Deployment", "web", 1)
    (before,) = await cluster.list("Pod")
    body = {"spec": {"template": {"metadata": {"annotations": {"x": "y"}}}}}
    async with cluster.watch("Pod", resourceVersion=before["metadata"]["resourceVersion"]) as pods:
        await cluster.patch("Deployment", "web", body, MERGE)

        async def replaced() -> bool:
            return "ADDED" in pods.seen()

        await cluster.until(replaced)
    assert pods.seen().index("DELETED") < pods.seen().index("ADDED")


async def test_scaling_to_zero_removes_all_pods(cluster: Cluster) -> None:
    await cluster.made(deployment(replicas=2))
    await _rolled_out(cluster, "Deployment", "web", 2)
    await cluster.patch("Deployment", "web", {"spec": {"replicas": 0}}, MERGE, "scale")

    async def none() -> bool:
        return await cluster.list("Pod") == []

    await cluster.until(none)


async def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    await cluster.made(deployment())
    await _rolled_out(cluster, "Deployment", "web", 1)
    (old,) = await cluster.list("Pod")
    await cluster.delete("Pod", old["metadata"]["name"])

    async def other() -> bool:
        found = [p for p in await cluster.list("Pod") if "deletionTimestamp" not in p["metadata"]]
        return [p["metadata"]["uid"] for p in found] != [old["metadata"]["uid"]] and len(found) == 1

    await cluster.until(other)


async def test_a_deployment_takes_its_sets_and_pods_along(cluster: Cluster) -> None:
    await cluster.made(deployment())
    await _rolled_out(cluster, "Deployment", "web", 1)
    await cluster.delete("Deployment", "web")

    async def gone() -> bool:
        return not await cluster.list("ReplicaSet") and not await cluster.list("Pod")

    await cluster.until(gone)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (changed(deployment(), "none", "spec", "template", "spec", "serviceAccountName"),
         r'pods "web-\w+-\w*" is forbidden: error looking up service account .*/none: serviceaccount "none" not found'),
        (changed(deployment(), "none", "spec", "template", "spec", "priorityClassName"),
         r'pods "web-\w+-\w*" is forbidden: no PriorityClass with name none was found'),
    ],
    ids=["service-account", "priority-class"],
)  # fmt: skip
async def test_pods_that_admission_refuses(cluster: Cluster, manifest: Obj, reason: str) -> None:
    await cluster.made(manifest)
    await _fails_to_create(cluster, reason)


async def _fails_to_create(cluster: Cluster, reason: str) -> None:
    async def refused() -> Any:
        found = await cluster.get("Deployment", "web")
        return _condition(found, "ReplicaFailure") == ("True", "FailedCreate") and found

    found = await cluster.until(refused)
    message = next(c["message"] for c in found["status"]["conditions"] if c["type"] == "ReplicaFailure")
    assert re.fullmatch(reason, message, re.DOTALL), message
    events = await cluster.list("Event", fieldSelector="reason=FailedCreate")
    assert any(re.fullmatch(f"Error creating: {reason}", e["message"], re.DOTALL) for e in events)


async def test_a_quota_refuses_pods(cluster: Cluster) -> None:
    await cluster.made(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    )

    async def counted() -> bool:
        return dig(await cluster.get("ResourceQuota", "q"), "status/used/pods") == "0"

    await cluster.until(counted)
    await cluster.made(deployment())
    await _fails_to_create(
        cluster, r'pods "web-\w+-\w*" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0'
    )


async def test_a_limit_range_refuses_pods(cluster: Cluster) -> None:
    limit = {"type": "Container", "max": {"memory": "32Mi"}}
    await cluster.made(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [limit]}}
    )
    await cluster.sleep(1)
    await cluster.made(deployment())
    await _fails_to_create(
        cluster, r'pods "web-\w+-\w*" is forbidden: maximum memory usage per Container is 32Mi, but limit is 64Mi'
    )


async def test_pod_security_refuses_pods(cluster: Cluster) -> None:
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await cluster.patch("Namespace", cluster.namespace, labels, MERGE)
    await cluster.made(deployment())
    await _fails_to_create(
        cluster,
        r'pods "web-\w+-\w*" is forbidden: violates PodSecurity "restricted:latest": '
        r'allowPrivilegeEscalation != false \(container "app" must set securityContext.allowPrivilegeEscalation=false\), '
        r'unrestricted capabilities \(container "app" must set securityContext.capabilities.drop=\["ALL"\]\), '
        r'runAsNonRoot != true \(pod or container "app" must set securityContext.runAsNonRoot=true\), '
        r'seccompProfile \(pod or container "app" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"\)',
    )


async def test_a_stateful_set_counts_up_in_order(cluster: Cluster) -> None:
    await cluster.made(workload("StatefulSet", "db", 2))
    found = await _rolled_out(cluster, "StatefulSet", "db", 2)
    pods = sorted(await cluster.list("Pod"), key=lambda p: p["metadata"]["name"])
    assert [p["metadata"]["name"] for p in pods] == ["db-0", "db-1"]
    assert pods[0]["metadata"]["creationTimestamp"] <= pods[1]["metadata"]["creationTimestamp"]
    assert found["status"]["currentRevision"] == found["status"]["updateRevision"]
    labels = pods[0]["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "db-0"
    assert labels["apps.kubernetes.io/pod-index"] == "0"
    assert labels["controller-revision-hash"] == found["status"]["updateRevision"]


async def test_a_stateful_set_stays_stuck_on_a_broken_pod_after_the_undo(cluster: Cluster) -> None:
    made = await cluster.made(workload("StatefulSet", "db", 2))
    await _rolled_out(cluster, "StatefulSet", "db", 2)
    body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.invalid/db:2"}]}}}}
    await cluster.patch("StatefulSet", "db", body, STRATEGIC)

    async def broken() -> bool:
        found = await cluster.find("Pod", "db-1")
        reason = dig(found, "status/containerStatuses/0/state/waiting/reason") if found else None
        return reason in {"ErrImagePull", "ImagePullBackOff"}

    await cluster.until(broken)
    undo = [{"op": "replace", "path": "/spec/template", "value": made["spec"]["template"]}]
    await cluster.patch("StatefulSet", "db", undo, "application/json-patch+json")
    await cluster.sleep(8)
    assert await broken()
    await cluster.delete("Pod", "db-1")
    await _rolled_out(cluster, "StatefulSet", "db", 2)


async def test_revisions_of_a_stateful_set(cluster: Cluster) -> None:
    await cluster.made(workload("StatefulSet", "db", 1))
    await _rolled_out(cluster, "StatefulSet", "db", 1)
    body = {"spec": {"template": {"metadata": {"annotations": {"x": "y"}}}}}
    await cluster.patch("StatefulSet", "db", body, MERGE)
    await _rolled_out(cluster, "StatefulSet", "db", 1)
    found = await cluster.list("ControllerRevision")
    assert sorted(r["revision"] for r in found) == [1, 2]
    assert dig(found[0], "data/spec/template/$patch") == "replace"


async def _daemon(cluster: Cluster) -> Obj:
    async def all_nodes() -> Any:
        found = await cluster.get("DaemonSet", "agent")
        wanted = dig(found, "status/desiredNumberScheduled")
        return wanted and dig(found, "status/numberReady") == wanted and found

    return dict(await cluster.until(all_nodes))


async def test_a_daemon_set_has_a_pod_on_each_node(cluster: Cluster) -> None:
    await cluster.made(workload("DaemonSet", "agent", None))
    found = await _daemon(cluster)
    nodes = (await cluster.call("GET", "/api/v1/nodes")).body["items"]
    assert found["status"]["desiredNumberScheduled"] == len(nodes)
    assert {p["spec"]["nodeName"] for p in await cluster.list("Pod")} == {n["metadata"]["name"] for n in nodes}


async def test_a_broken_daemon_set_loses_one_node_only(cluster: Cluster) -> None:
    await cluster.made(workload("DaemonSet", "agent", None))
    await _daemon(cluster)
    body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.invalid/a:9"}]}}}}
    await cluster.patch("DaemonSet", "agent", body, STRATEGIC)

    async def one_down() -> Any:
        found = await cluster.get("DaemonSet", "agent")
        return dig(found, "status/updatedNumberScheduled") == 1 and found

    await cluster.until(one_down)
    await cluster.sleep(4)
    found = await cluster.get("DaemonSet", "agent")
    assert found["status"]["numberUnavailable"] == 1
    assert found["status"]["updatedNumberScheduled"] == 1


async def test_a_job_completes(cluster: Cluster) -> None:
    await cluster.made(job())

    async def complete() -> Any:
        found = await cluster.get("Job", "j")
        return _condition(found, "Complete")[0] == "True" and found

    found = await cluster.until(complete)
    assert found["status"]["succeeded"] == 1
    assert "completionTime" in found["status"]
    assert _condition(found, "SuccessCriteriaMet") == ("True", "CompletionsReached")
    reasons = [e["reason"] for e in await cluster.list("Event", fieldSelector="involvedObject.kind=Job")]
    assert sorted(reasons) == ["Completed", "SuccessfulCreate"]


async def _failed(cluster: Cluster, reason: str, message: str) -> None:
    async def failed() -> Any:
        found = await cluster.get("Job", "j")
        return _condition(found, "Failed") == ("True", reason) and found

    found = await cluster.until(failed, 90)
    assert any(c["message"] == message for c in found["status"]["conditions"] if c["type"] == "Failed")
    assert any(e["reason"] == reason for e in await cluster.list("Event", fieldSelector="involvedObject.kind=Job"))


async def test_a_job_that_fails_too_often(cluster: Cluster) -> None:
    await cluster.made(job(code=1, backoffLimit=0))
    await _failed(cluster, "BackoffLimitExceeded", "Job has reached the specified backoff limit")


async def test_a_job_that_takes_too_long(cluster: Cluster) -> None:
    manifest = job(activeDeadlineSeconds=4)
    manifest["spec"]["template"]["spec"]["containers"][0]["command"] = ["sleep", "1000000"]
    await cluster.made(manifest)
    await _failed(cluster, "DeadlineExceeded", "Job was active longer than specified deadline")
    assert all("deletionTimestamp" in p["metadata"] for p in await cluster.list("Pod"))


async def test_a_suspended_job_has_no_pods(cluster: Cluster) -> None:
    await cluster.made(job(suspend=True))

    async def suspended() -> bool:
        return _condition(await cluster.get("Job", "j"), "Suspended") == ("True", "JobSuspended")

    await cluster.until(suspended)
    assert await cluster.list("Pod") == []


async def test_a_cron_job_starts_jobs(cluster: Cluster) -> None:
    template = {"spec": job()["spec"]}
    await cluster.made(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "tick"},
            "spec": {"schedule": "* * * * *", "jobTemplate": template},
        }
    )

    async def started() -> Any:
        return await cluster.list("Job")

    (made,) = await cluster.until(started, 75)
    assert re.fullmatch(r"tick-\d{8}", made["metadata"]["name"])
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    found = await cluster.get("CronJob", "tick")
    assert "lastScheduleTime" in found["status"]


async def test_a_suspended_cron_job_starts_nothing(cluster: Cluster) -> None:
    if cluster.is_real:
        pytest.skip("would wait a minute for nothing to happen")
    spec = {"schedule": "* * * * *", "suspend": True, "jobTemplate": {"spec": job()["spec"]}}
    await cluster.made({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec})
    await cluster.sleep(130)
    assert await cluster.list("Job") == []


async def test_endpoints_are_the_ready_pods(cluster: Cluster) -> None:
    await cluster.made(service())
    await cluster.made(serving())

    async def both() -> Any:
        slices = await cluster.list("EndpointSlice", labelSelector="kubernetes.io/service-name=web")
        ready = [e for s in slices for e in s.get("endpoints") or [] if e["conditions"]["ready"]]
        return len(ready) == 2 and slices

    slices = await cluster.until(both)
    assert slices[0]["ports"][0]["port"] == 8080
    found = await cluster.get("Endpoints", "web")
    assert len(found["subsets"][0]["addresses"]) == 2


async def test_a_selector_that_matches_nothing_leaves_no_endpoints(cluster: Cluster) -> None:
    await cluster.made(service(selector={"app": "none"}))

    async def empty() -> Any:
        slices = await cluster.list("EndpointSlice", labelSelector="kubernetes.io/service-name=web")
        return slices and not slices[0].get("endpoints")

    await cluster.until(empty)


async def test_a_named_port_that_no_container_has(cluster: Cluster) -> None:
    await cluster.made(service(ports=[{"port": 80, "targetPort": "none"}]))
    await cluster.made(serving(replicas=1))
    await _rolled_out(cluster, "Deployment", "web", 1)

    async def without_ports() -> bool:
        slices = await cluster.list("EndpointSlice", labelSelector="kubernetes.io/service-name=web")
        return bool(slices) and any(s.get("endpoints") and not s.get("ports") for s in slices)

    await cluster.until(without_ports)


@pytest.mark.parametrize(
    ("spec", "allowed"), [({"minAvailable": 1}, 1), ({"maxUnavailable": 0}, 0), ({"minAvailable": "100%"}, 0)], ids=str
)
async def test_a_budget_counts(cluster: Cluster, spec: dict[str, Any], allowed: int) -> None:
    await cluster.made(budget(**spec))
    await cluster.made(serving())
    await _rolled_out(cluster, "Deployment", "web", 2)

    async def counted() -> Any:
        found = await cluster.get("PodDisruptionBudget", "web")
        return dig(found, "status/currentHealthy") == 2 and found

    found = await cluster.until(counted)
    assert found["status"]["disruptionsAllowed"] == allowed
    assert found["status"]["expectedPods"] == 2
    expected = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    assert _condition(found, "DisruptionAllowed") == expected


async def test_an_autoscaler_without_a_target(cluster: Cluster) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    await cluster.made(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": target, "maxReplicas": 3},
        }
    )

    async def said() -> bool:
        found = await cluster.get("HorizontalPodAutoscaler", "web")
        return _condition(found, "AbleToScale") == ("False", "FailedGetScale")

    await cluster.until(said, 40)


async def test_an_autoscaler_of_pods_without_requests(cluster: Cluster) -> None:
    await cluster.made(changed(deployment(), {}, "spec", "template", "spec", "containers", 0, "resources"))
    await _rolled_out(cluster, "Deployment", "web", 1)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    await cluster.made(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": target, "maxReplicas": 3},
        }
    )

    async def said() -> bool:
        found = await cluster.get("HorizontalPodAutoscaler", "web")
        return _condition(found, "ScalingActive") == ("False", "FailedGetResourceMetric")

    await cluster.until(said, 60)


async def test_a_claim_of_a_missing_class_waits(cluster: Cluster) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "none",
        "resources": {"requests": {"storage": "16Mi"}},
    }
    await cluster.made({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "v"}, "spec": spec})

    async def said() -> Any:
        return await cluster.list("Event", fieldSelector="involvedObject.name=v,reason=ProvisioningFailed")

    found = await cluster.until(said)
    assert found[0]["message"] == 'storageclass.storage.k8s.io "none" not found'
    assert dig(await cluster.get("PersistentVolumeClaim", "v"), "status/phase") == "Pending"


async def test_two_pods_cannot_take_one_host_port(cluster: Cluster) -> None:
    node = (await cluster.call("GET", "/api/v1/nodes")).body["items"][0]["metadata"]["name"]
    ports = [{"containerPort": 8080, "hostPort": 28080}]
    spec = {"nodeSelector": {"kubernetes.io/hostname": node}}
    await cluster.made(pod("a", spec=spec | {"containers": [container(ports=ports)]}))

    async def bound() -> Any:
        return dig(await cluster.get("Pod", "a"), "spec/nodeName")

    await cluster.until(bound)
    await cluster.made(pod("b", spec=spec | {"containers": [container(ports=ports)]}))

    async def said() -> Any:
        return await cluster.list("Event", fieldSelector="involvedObject.name=b,reason=FailedScheduling")

    found = await cluster.until(said)
    assert "1 node(s) didn't have free ports for the requested pod ports" in found[0]["message"]


async def test_every_namespace_has_the_authority_of_the_cluster(cluster: Cluster) -> None:
    found = await cluster.until(lambda: cluster.find("ConfigMap", "kube-root-ca.crt"))
    assert "ca.crt" in found["data"]
