# ruff: noqa: E501 - a case is one line of a table
"""Validation and defaulting of what people get wrong or leave out."""

from __future__ import annotations

from typing import Any

import pytest

from .cluster import MERGE, Cluster
from .manifests import budget, changed, config, container, deployment, dig, job, pod, service, without, workload

C = ("spec", "template", "spec", "containers", 0)
POD_C = ("spec", "containers", 0)

INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("name-with-capitals", config("Upper"), "metadata.name"),
    ("name-with-underscore", config("a_b"), "metadata.name"),
    ("no-name", without(config(), "metadata", "name"), "metadata.name"),
    ("label-value", config(labels={"a": "no spaces"}), "metadata.labels"),
    ("service-name-starts-with-digit", service("1web"), "metadata.name"),
    ("no-selector", without(deployment(), "spec", "selector"), "spec.selector"),
    ("selector-does-not-match", changed(deployment(), {"x": "y"}, "spec", "template", "metadata", "labels"), "spec.template.metadata.labels"),
    ("negative-replicas", deployment(replicas=-1), "spec.replicas"),
    ("no-containers", changed(deployment(), [], "spec", "template", "spec", "containers"), "spec.template.spec.containers"),
    ("empty-image", changed(deployment(), "", *C, "image"), "spec.template.spec.containers[0].image"),
    ("no-container-name", changed(deployment(), "", *C, "name"), "spec.template.spec.containers[0].name"),
    ("container-name", changed(deployment(), "App", *C, "name"), "spec.template.spec.containers[0].name"),
    ("pull-policy", changed(deployment(), "Sometimes", *C, "imagePullPolicy"), "spec.template.spec.containers[0].imagePullPolicy"),
    ("port-zero", changed(deployment(), [{"containerPort": 0}], *C, "ports"), "spec.template.spec.containers[0].ports[0].containerPort"),
    ("mount-without-volume", changed(deployment(), [{"name": "v", "mountPath": "/v"}], *C, "volumeMounts"), "spec.template.spec.containers[0].volumeMounts[0].name"),
    ("probe-without-handler", changed(deployment(), {"periodSeconds": 1}, *C, "readinessProbe"), "spec.template.spec.containers[0].readinessProbe"),
    ("request-above-limit", changed(deployment(), {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}, *C, "resources"), "spec.template.spec.containers[0].resources.requests"),
    ("restart-policy-of-a-template", changed(deployment(), "Never", "spec", "template", "spec", "restartPolicy"), "spec.template.spec.restartPolicy"),
    ("strategy", changed(deployment(), {"type": "Blue"}, "spec", "strategy"), "spec.strategy"),
    ("no-surge-and-none-unavailable", changed(deployment(), {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}, "spec", "strategy"), "spec.strategy.rollingUpdate.maxUnavailable"),
    ("recreate-with-rolling-update", changed(deployment(), {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}, "spec", "strategy"), "spec.strategy.rollingUpdate"),
    ("job-that-restarts-always", changed(job(), "Always", "spec", "template", "spec", "restartPolicy"), "spec.template.spec.restartPolicy"),
    ("service-without-ports", changed(service(), [], "spec", "ports"), "spec.ports"),
    ("service-port", changed(service(), [{"port": 70000}], "spec", "ports"), "spec.ports[0].port"),
    ("two-ports-without-names", changed(service(), [{"port": 1}, {"port": 2}], "spec", "ports"), "spec.ports[0].name"),
    ("budget-with-both", budget(minAvailable=1, maxUnavailable=1), "spec"),
    ("env-without-name", changed(pod(), [{"name": "", "value": "1"}], *POD_C, "env"), "spec.containers[0].env[0].name"),
    ("two-containers-of-one-name", changed(pod(), [container(), container()], "spec", "containers"), "spec.containers[1].name"),
]  # fmt: skip


@pytest.mark.parametrize(("manifest", "field"), [(m, f) for _, m, f in INVALID], ids=[n for n, _, _ in INVALID])
async def test_refused_with_the_field(cluster: Cluster, manifest: dict[str, Any], field: str) -> None:
    answer = await cluster.create(manifest)
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.body
    assert field in answer.fields
    assert answer.body["details"]["kind"] == manifest["kind"]


FROZEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("deployment-selector", deployment(replicas=0), {"spec": {"selector": {"matchLabels": {"x": "y"}}}}),
    ("statefulset-service", workload("StatefulSet", "db", 0), {"spec": {"serviceName": "other"}}),
    ("job-template", job(suspend=False), {"spec": {"template": {"spec": {"containers": [container(image="x")]}}}}),
    ("pod-command", pod(), {"spec": {"containers": [container(command=["x"])]}}),
    ("service-cluster-ip", service(), {"spec": {"clusterIP": "10.96.200.200", "clusterIPs": ["10.96.200.200"]}}),
    ("immutable-configmap", {**config(), "immutable": True}, {"data": {"a": "2"}}),
]


@pytest.mark.parametrize(("manifest", "body"), [(m, b) for _, m, b in FROZEN], ids=[n for n, _, _ in FROZEN])
async def test_what_may_not_change(cluster: Cluster, manifest: dict[str, Any], body: dict[str, Any]) -> None:
    made = await cluster.made(manifest)
    answer = await cluster.patch(manifest["kind"], made["metadata"]["name"], body, MERGE)
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.body


async def test_the_image_of_a_pod_may_change(cluster: Cluster) -> None:
    await cluster.made(pod())
    body = [{"op": "replace", "path": "/spec/containers/0/image", "value": "localhost/other:1"}]
    answer = await cluster.patch("Pod", "p", body, "application/json-patch+json")
    assert answer.code == 200


async def test_a_wrong_type_is_a_bad_request_or_invalid(cluster: Cluster) -> None:
    answer = await cluster.create(changed(deployment(), "three", "spec", "replicas"))
    assert answer.code in {400, 422}


async def test_a_bad_quantity_is_refused(cluster: Cluster) -> None:
    answer = await cluster.create(changed(deployment(), {"limits": {"memory": "lots"}}, *C, "resources"))
    assert answer.code in {400, 422}
    assert "quantities must match" in answer.message


D = deployment(replicas=0)
PROBED = changed(deployment(replicas=0), {"httpGet": {"port": 80}}, *C, "livenessProbe")
DEFAULTS: list[tuple[str, dict[str, Any], str, Any]] = [
    ("replicas", without(D, "spec", "replicas"), "spec/replicas", 1),
    ("strategy", D, "spec/strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
    ("history", D, "spec/revisionHistoryLimit", 10),
    ("progress-deadline", D, "spec/progressDeadlineSeconds", 600),
    ("restart-policy", D, "spec/template/spec/restartPolicy", "Always"),
    ("dns-policy", D, "spec/template/spec/dnsPolicy", "ClusterFirst"),
    ("scheduler", D, "spec/template/spec/schedulerName", "default-scheduler"),
    ("security-context", D, "spec/template/spec/securityContext", {}),
    ("grace-period", without(D, "spec", "template", "spec", "terminationGracePeriodSeconds"), "spec/template/spec/terminationGracePeriodSeconds", 30),
    ("termination-path", D, "spec/template/spec/containers/0/terminationMessagePath", "/dev/termination-log"),
    ("pull-policy-of-a-tag", without(D, *C, "imagePullPolicy"), "spec/template/spec/containers/0/imagePullPolicy", "IfNotPresent"),
    ("pull-policy-of-latest", changed(without(D, *C, "imagePullPolicy"), "x/y:latest", *C, "image"), "spec/template/spec/containers/0/imagePullPolicy", "Always"),
    ("pull-policy-without-tag", changed(without(D, *C, "imagePullPolicy"), "x/y", *C, "image"), "spec/template/spec/containers/0/imagePullPolicy", "Always"),
    ("probe-period", PROBED, "spec/template/spec/containers/0/livenessProbe/periodSeconds", 10),
    ("probe-failures", PROBED, "spec/template/spec/containers/0/livenessProbe/failureThreshold", 3),
    ("probe-timeout", PROBED, "spec/template/spec/containers/0/livenessProbe/timeoutSeconds", 1),
    ("probe-path", PROBED, "spec/template/spec/containers/0/livenessProbe/httpGet/path", "/"),
    ("probe-scheme", PROBED, "spec/template/spec/containers/0/livenessProbe/httpGet/scheme", "HTTP"),
    ("no-requests-from-limits-in-a-template", changed(D, {"limits": {"cpu": "1"}}, *C, "resources"), "spec/template/spec/containers/0/resources/requests", None),
    ("requests-from-limits-in-a-pod", changed(pod(), {"limits": {"cpu": "1"}}, *POD_C, "resources"), "spec/containers/0/resources/requests/cpu", "1"),
    ("sts-management", workload("StatefulSet", "db", 0), "spec/podManagementPolicy", "OrderedReady"),
    ("sts-strategy", workload("StatefulSet", "db", 0), "spec/updateStrategy/rollingUpdate/partition", 0),
    ("ds-strategy", workload("DaemonSet", "d", None), "spec/updateStrategy/rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1}),
    ("job-backoff", job(suspend=True), "spec/backoffLimit", 6),
    ("job-completions", job(suspend=True), "spec/completions", 1),
    ("job-mode", job(suspend=True), "spec/completionMode", "NonIndexed"),
    ("service-type", service(), "spec/type", "ClusterIP"),
    ("service-target-port", changed(service(), [{"port": 80}], "spec", "ports"), "spec/ports/0/targetPort", 80),
    ("service-protocol", service(), "spec/ports/0/protocol", "TCP"),
    ("service-affinity", service(), "spec/sessionAffinity", "None"),
    ("pod-qos", pod(), "status/qosClass", "Burstable"),
    ("pod-phase", pod(), "status/phase", "Pending"),
    ("pod-service-account", pod(), "spec/serviceAccountName", "default"),
    ("pod-priority", pod(), "spec/priority", 0),
    ("pod-links", pod(), "spec/enableServiceLinks", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("manifest", "path", "value"), [(m, p, v) for _, m, p, v in DEFAULTS], ids=[n for n, *_ in DEFAULTS]
)
async def test_default(cluster: Cluster, manifest: dict[str, Any], path: str, value: Any) -> None:
    answer = await cluster.create(manifest, dryRun="All")
    assert answer.code == 201, answer.body
    assert dig(answer.body, path) == value
