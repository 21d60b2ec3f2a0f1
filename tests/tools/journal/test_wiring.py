"""What a workload depends on: every kind of edge, and what is none."""

from __future__ import annotations

import pytest
import yaml

from tools.journal.wiring import selects, wiring
from tools.jsontypes import JsonObject

WEB = """
kind: StatefulSet
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  serviceName: web-names
  volumeClaimTemplates: [{metadata: {name: data}}]
  template:
    metadata: {labels: {app: web, tier: front}}
    spec:
      serviceAccountName: runner
      imagePullSecrets: [{name: pull}]
      initContainers:
      - {name: prepare, envFrom: [{configMapRef: {name: init}}, {secretRef: {name: init-secret, optional: true}}]}
      containers:
      - name: app
        envFrom: [{configMapRef: {name: env}}]
        env:
        - {name: A, valueFrom: {configMapKeyRef: {name: one, key: a}}}
        - {name: B, valueFrom: {configMapKeyRef: {name: maybe, key: a, optional: true}}}
        - {name: C, valueFrom: {secretKeyRef: {name: key, key: a}}}
        - {name: D, value: plain}
      volumes:
      - {name: settings, configMap: {name: files}}
      - {name: certificate, secret: {secretName: tls}}
      - {name: shared, persistentVolumeClaim: {claimName: shared}}
      - name: mix
        projected: {sources: [{configMap: {name: mixed}}, {secret: {name: mixed-secret}}, {downwardAPI: {}}]}
      - {name: scratch, emptyDir: {}}
"""
AROUND = """
{kind: Service, metadata: {name: web}, spec: {selector: {app: web}}}
---
{kind: Service, metadata: {name: web-names}, spec: {clusterIP: None, selector: {app: elsewhere}}}
---
{kind: Service, metadata: {name: other}, spec: {selector: {app: other}}}
---
{kind: Service, metadata: {name: without-selector}, spec: {}}
---
{kind: EndpointSlice, metadata: {name: web-x, labels: {kubernetes.io/service-name: web}}}
---
{kind: EndpointSlice, metadata: {name: other-x, labels: {kubernetes.io/service-name: other}}}
---
{kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {scaleTargetRef: {kind: StatefulSet, name: web}}}
---
{kind: HorizontalPodAutoscaler, metadata: {name: other}, spec: {scaleTargetRef: {kind: Deployment, name: web}}}
---
{kind: PodDisruptionBudget, metadata: {name: web}, spec: {selector: {matchLabels: {tier: front}}}}
---
{kind: PodDisruptionBudget, metadata: {name: of-nothing}, spec: {minAvailable: 1}}
---
{kind: NetworkPolicy, metadata: {name: all}, spec: {podSelector: {}}}
---
{kind: NetworkPolicy, metadata: {name: other}, spec: {podSelector: {matchLabels: {app: other}}}}
---
{kind: ResourceQuota, metadata: {name: quota}}
---
{kind: LimitRange, metadata: {name: limits}}
---
kind: RoleBinding
metadata: {name: runner}
roleRef: {kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: runner}]
---
kind: RoleBinding
metadata: {name: wide}
roleRef: {kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: runner, namespace: shop}]
---
kind: RoleBinding
metadata: {name: namesake}
roleRef: {kind: Role, name: other}
subjects: [{kind: ServiceAccount, name: runner, namespace: bank}, {kind: User, name: runner}]
---
{kind: ConfigMap, metadata: {name: not-referred}}
"""


def around() -> list[JsonObject]:
    return list(yaml.safe_load_all(AROUND))


def test_every_edge() -> None:
    edges = wiring(yaml.safe_load(WEB), around())
    assert {f"{e.ref.kind}/{e.ref.name}": (e.relation, e.required) for e in edges} == {
        "ConfigMap/init": ("ConfigMap of container prepare", True),
        "Secret/init-secret": ("Secret of container prepare", False),
        "ConfigMap/env": ("ConfigMap of container app", True),
        "ConfigMap/one": ("ConfigMap of container app", True),
        "ConfigMap/maybe": ("ConfigMap of container app", False),
        "Secret/key": ("Secret of container app", True),
        "ConfigMap/files": ("ConfigMap of volume settings", True),
        "Secret/tls": ("Secret of volume certificate", True),
        "PersistentVolumeClaim/shared": ("claim of volume shared", True),
        "ConfigMap/mixed": ("ConfigMap of volume mix", True),
        "Secret/mixed-secret": ("Secret of volume mix", True),
        "Secret/pull": ("Secret for pulling images", False),
        "ServiceAccount/runner": ("account of the pods", True),
        "PersistentVolumeClaim/data-web-0": ("claim data of pod 0", True),
        "PersistentVolumeClaim/data-web-1": ("claim data of pod 1", True),
        "Service/web": ("Service that leads to its pods", False),
        "Service/web-names": ("Service that names its pods", False),
        "EndpointSlice/web-x": ("endpoints of Service web", False),
        "HorizontalPodAutoscaler/web": ("autoscaler of its replicas", False),
        "PodDisruptionBudget/web": ("disruption budget over its pods", False),
        "NetworkPolicy/all": ("network policy on its pods", False),
        "ResourceQuota/quota": ("quota of its namespace", False),
        "LimitRange/limits": ("limits of its namespace", False),
        "RoleBinding/runner": ("binding of account runner", False),
        "Role/reader": ("role of account runner", False),
        "RoleBinding/wide": ("binding of account runner", False),
    }
    assert {e.ref.namespace for e in edges} == {"shop"}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("template",)),
        ("DaemonSet", ("template",)),
        ("Job", ("template",)),
        ("CronJob", ("jobTemplate", "spec", "template")),
    ],
)
def test_templates_of_all_kinds(kind: str, path: tuple[str, ...]) -> None:
    inner: JsonObject = {"spec": {"volumes": [{"name": "v", "configMap": {"name": "files"}}]}}
    for segment in reversed(path):
        inner = {segment: inner}
    edges = wiring({"kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": inner}, [])
    assert [str(e.ref) for e in edges] == ["shop/ConfigMap/files", "shop/ServiceAccount/default"]


def test_what_has_no_template_depends_on_nothing() -> None:
    assert wiring({"kind": "Service", "metadata": {"name": "x", "namespace": "shop"}, "spec": {}}, around()) == ()


@pytest.mark.parametrize(
    ("selector", "is_selected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "x": "y"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Like"}]}, False),
    ],
)
def test_selectors(selector: JsonObject, is_selected: bool) -> None:
    assert selects(selector, {"app": "web"}) is is_selected
