from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.cluster.documents import ConfigMap, Service
from tools.cluster.objects import (
    STRUCTS,
    ClusterEvent,
    CronJob,
    DaemonSet,
    Deployment,
    Identity,
    Job,
    KubeObject,
    LabelSelector,
    Node,
    Pod,
    ReplicaSet,
    StatefulSet,
    condition,
    decode_json,
    decode_object,
    decoder_of,
)
from tools.cluster.resources import CONFIG_MAP, CORE_EVENT, DEPLOYMENT, EVENT, PERSISTENT_VOLUME, POD, Resource
from tools.errors import Undecodable
from tools.jsontypes import dig, dig_list

NOON = "2026-11-23T12:00:00Z"
AT_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

POD_JSON: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-5d9-x2",
        "namespace": "shop",
        "uid": "u-1",
        "resourceVersion": "812",
        "generation": 1,
        "creationTimestamp": NOON,
        "deletionTimestamp": None,
        "labels": {"app": "web"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "note": "short",
            "blob": "x" * 5000,
        },
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web-5d9",
                "uid": "u-2",
                "controller": True,
                "blockOwnerDeletion": True,
            },
        ],
        "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        "finalizers": None,
    },
    "spec": {
        "nodeName": "node1",
        "restartPolicy": "Always",
        "nodeSelector": None,
        "priorityClassName": "high",
        "initContainers": [
            {"name": "init", "image": "busybox", "command": ["sh", "-c"], "args": None, "resources": {}}
        ],
        "containers": [
            {
                "name": "main",
                "image": "shop/web:2",
                "ports": [{"containerPort": 8080, "name": "http"}],
                "resources": {"requests": {"memory": "64Mi", "cpu": 1}, "limits": {"memory": "128Mi"}},
                "env": [
                    {"name": "PASSWORD", "value": "hunter2"},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "mode", "optional": True}}},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "all"}}, {"prefix": "S_", "secretRef": {"name": "sec"}}],
                "livenessProbe": {
                    "httpGet": {"path": "/", "port": "http"},
                    "initialDelaySeconds": 5,
                    "periodSeconds": 2,
                },
                "readinessProbe": {"tcpSocket": {"port": 8080}},
                "startupProbe": {"exec": {"command": ["true"]}},
                "volumeMounts": [{"name": "v", "mountPath": "/x"}],
            }
        ],
        "volumes": [
            {"name": "a", "configMap": {"name": "cm", "defaultMode": 420}},
            {"name": "b", "secret": {"secretName": "sec"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "d", "emptyDir": {}},
            {
                "name": "e",
                "projected": {
                    "sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"serviceAccountToken": {"path": "token"}}]
                },
            },
            {"name": "f", "csi": {"driver": "x"}},
        ],
        "newFieldOfLater": {"a": [1, None]},
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "startTime": NOON,
        "qosClass": "Burstable",
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastProbeTime": None}],
        "initContainerStatuses": None,
        "containerStatuses": [
            {
                "name": "main",
                "image": "shop/web:2",
                "imageID": "sha256:1",
                "ready": False,
                "started": False,
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {
                    "terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": NOON, "startedAt": None}
                },
            }
        ],
    },
}


def decode(struct: type[KubeObject], value: object) -> Any:
    return decoder_of(struct)(json.dumps(value).encode())


def test_pod_as_a_server_sends_it() -> None:
    pod = decode_json(POD_JSON, Pod)
    assert (pod.name, pod.namespace, pod.uid, pod.metadata.generation) == ("web-5d9-x2", "shop", "u-1", 1)
    assert pod.metadata.creation_timestamp == AT_NOON
    assert not pod.is_being_deleted
    assert pod.metadata.annotations == {"note": "short"}
    assert pod.metadata.controller is not None
    assert pod.metadata.controller.uid == "u-2"
    (main,) = pod.spec.containers
    assert main.resources.requests == {"memory": "64Mi", "cpu": 1}
    assert main.liveness_probe is not None
    assert main.liveness_probe.budget_seconds == 11
    assert main.liveness_probe.http_get is not None
    assert main.liveness_probe.http_get.port == "http"
    assert main.readiness_probe is not None
    assert main.readiness_probe.tcp_socket is not None
    assert main.env[1].value_from is not None
    assert main.env[1].value_from.secret_key_ref is not None
    assert main.env[1].value_from.secret_key_ref.name == "s"
    assert main.env_from[1].secret_ref is not None
    assert (pod.spec.init_containers[0].args, pod.spec.node_selector) == ((), {})
    claim = pod.spec.volumes[2].persistent_volume_claim
    assert claim is not None
    assert claim.claim_name == "data"
    assert pod.spec.volumes[3].empty_dir is not None
    (status,) = pod.status.container_statuses
    assert status.state.waiting is not None
    assert status.state.waiting.reason == "CrashLoopBackOff"
    assert status.last_state.terminated is not None
    assert (status.last_state.terminated.exit_code, status.last_state.terminated.finished_at) == (137, AT_NOON)
    assert (pod.status.pod_ip, status.image_id, pod.status.init_container_statuses) == ("10.0.0.7", "sha256:1", ())
    assert (pod.is_ready, pod.restarts) == (False, 4)
    assert str(pod.ref) == "shop/Pod/web-5d9-x2"
    assert pod.reference.api_version == "v1"


def test_values_of_variables_are_not_kept() -> None:
    assert "hunter2" not in repr(decode_json(POD_JSON, Pod))


WORKLOADS: dict[type[KubeObject], dict[str, Any]] = {
    Deployment: {
        "metadata": {"name": "web", "annotations": {"deployment.kubernetes.io/revision": "7"}},
        "spec": {
            "replicas": 0,
            "paused": True,
            "progressDeadlineSeconds": 60,
            "minReadySeconds": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 1}},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"creationTimestamp": None, "labels": {"app": "web"}},
                "spec": {"containers": None},
            },
        },
        "status": {
            "observedGeneration": 3,
            "replicas": 2,
            "unavailableReplicas": 1,
            "conditions": [{"type": "Progressing"}],
        },
    },
    ReplicaSet: {
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": "7"}},
        "spec": {"replicas": 2},
        "status": {"replicas": 2, "conditions": None},
    },
    StatefulSet: {
        "spec": {"serviceName": "db", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        "status": {"currentRevision": "db-1", "updateRevision": "db-2", "collisionCount": 0},
    },
    DaemonSet: {
        "spec": {"updateStrategy": {"type": "OnDelete"}},
        "status": {"desiredNumberScheduled": 2, "numberReady": 1},
    },
    Job: {
        "spec": {"backoffLimit": 0, "completions": None, "suspend": False},
        "status": {"failed": 1, "completionTime": None},
    },
    CronJob: {
        "spec": {"schedule": "* * * * *", "suspend": None},
        "status": {"active": [{"name": "j"}], "lastScheduleTime": NOON},
    },
    Node: {
        "metadata": {"name": "node1"},
        "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": NOON}]},
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown", "lastHeartbeatTime": NOON}],
            "allocatable": {"cpu": "2"},
        },
    },
    Service: {
        "spec": {
            "clusterIP": "None",
            "selector": None,
            "ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}],
        },
        "status": {"loadBalancer": {}},
    },
}


def test_workloads_as_a_server_sends_them() -> None:
    found = {struct: decode(struct, value) for struct, value in WORKLOADS.items()}
    deployment = found[Deployment]
    assert (deployment.spec.replicas, deployment.spec.paused, deployment.spec.progress_deadline_seconds) == (
        0,
        True,
        60,
    )
    assert deployment.spec.strategy.rolling_update.max_unavailable == "25%"
    assert deployment.spec.selector.matches({"app": "web", "x": "y"})
    assert deployment.spec.template.spec.containers == ()
    assert (deployment.status.observed_generation, deployment.status.unavailable_replicas) == (3, 1)
    progressing = condition(deployment.status.conditions, "Progressing")
    assert progressing is not None
    assert progressing.status == "Unknown"
    assert condition(deployment.status.conditions, "Available") is None
    assert found[ReplicaSet].revision == 7
    assert found[StatefulSet].spec.update_strategy.rolling_update.partition == 1
    assert (found[StatefulSet].status.current_revision, found[StatefulSet].spec.replicas) == ("db-1", 1)
    assert (found[DaemonSet].status.desired_number_scheduled, found[DaemonSet].status.number_ready) == (2, 1)
    assert (found[Job].status.failed, found[Job].spec.completions, found[Job].spec.backoff_limit) == (1, None, 0)
    assert (found[CronJob].spec.suspend, found[CronJob].status.last_schedule_time) == (False, AT_NOON)
    assert (found[Node].spec.unschedulable, found[Node].spec.taints[0].key, found[Node].is_ready) == (True, "k", False)
    assert found[Node].ref.namespace is None
    assert [dig(p, "targetPort") for p in dig_list(found[Service].body, "spec", "ports")] == ["http", 8081]
    assert dig(found[Service].body, "spec", "selector") is None


CORE = {
    "metadata": {"name": "web.1", "namespace": "shop", "creationTimestamp": "2026-11-23T11:00:00Z"},
    "involvedObject": {
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "uid": "u",
        "fieldPath": "spec.containers{x}",
    },
    "reason": "BackOff",
    "message": "Back-off restarting",
    "type": "Warning",
    "count": 9,
    "source": {"component": "kubelet", "host": "node1"},
    "reportingComponent": "",
    "reportingInstance": "",
    "firstTimestamp": "2026-11-23T11:30:00Z",
    "lastTimestamp": NOON,
    "eventTime": None,
    "series": None,
    "related": None,
}
OLD_IN_NEW = {
    "metadata": CORE["metadata"],
    "eventTime": None,
    "regarding": CORE["involvedObject"],
    "reason": "BackOff",
    "note": "Back-off restarting",
    "type": "Warning",
    "deprecatedCount": 9,
    "action": "",
    "deprecatedSource": {"component": "kubelet"},
    "reportingController": "",
    "series": None,
    "deprecatedFirstTimestamp": "2026-11-23T11:30:00Z",
    "deprecatedLastTimestamp": NOON,
}
NEW = {
    "metadata": CORE["metadata"],
    "eventTime": "2026-11-23T11:30:00.123456Z",
    "regarding": CORE["involvedObject"],
    "reason": "FailedScheduling",
    "note": "0/2 nodes",
    "type": "Warning",
    "action": "Scheduling",
    "reportingController": "default-scheduler",
    "reportingInstance": "x",
    "series": {"count": 3, "lastObservedTime": "2026-11-23T12:00:00.000000Z"},
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
}


@pytest.mark.parametrize("value", [CORE, OLD_IN_NEW], ids=["core/v1", "the same through events.k8s.io"])
def test_one_event_through_both_groups_is_the_same(value: dict[str, Any]) -> None:
    event = decode(ClusterEvent, value)
    assert (event.regarding.kind, event.regarding.uid, event.reason, event.note) == (
        "Pod",
        "u",
        "BackOff",
        "Back-off restarting",
    )
    assert (event.type, event.controller, event.count) == ("Warning", "kubelet", 9)
    assert (event.first_time, event.last_time) == (AT_NOON.replace(hour=11, minute=30), AT_NOON)


def test_event_with_a_series() -> None:
    event = decode(ClusterEvent, NEW)
    assert (event.controller, event.action, event.count, event.note) == (
        "default-scheduler",
        "Scheduling",
        3,
        "0/2 nodes",
    )
    assert event.first_time == datetime(2026, 11, 23, 11, 30, 0, 123456, tzinfo=UTC)
    assert event.last_time == AT_NOON


def test_event_that_says_no_time_is_as_old_as_itself() -> None:
    event = decode(ClusterEvent, {"metadata": {"creationTimestamp": NOON}, "eventTime": None, "regarding": None})
    assert (event.first_time, event.last_time, event.count) == (AT_NOON, AT_NOON, 1)
    assert decode(ClusterEvent, {"metadata": {}}).last_time is None


def _nulled(value: Any) -> list[Any]:
    """Copies of a manifest in each of which one field, at any depth, is null."""
    found: list[Any] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found.append(value | {key: None})
            found += [value | {key: changed} for changed in _nulled(inner)]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += [[*value[:index], changed, *value[index + 1 :]] for changed in _nulled(inner)]
    return found


ALL = {Pod: [POD_JSON], ClusterEvent: [CORE, OLD_IN_NEW, NEW]} | {s: [v] for s, v in WORKLOADS.items()}


@pytest.mark.parametrize("struct", ALL, ids=lambda s: s.__name__)
def test_any_single_field_may_be_null(struct: type[KubeObject]) -> None:
    tried = 0
    for manifest in ALL[struct]:
        for variant in _nulled(manifest):
            labels = variant.get("metadata") or {}
            if any(None in (labels.get(k) or {}).values() for k in ("labels", "annotations")):
                continue  # a map of strings has strings; the server guarantees that much
            if None in _maps(variant):
                continue
            decode(struct, variant)
            tried += 1
    assert tried > 5


def _maps(value: Any) -> list[Any]:
    """Values of all maps of strings in a manifest."""
    if isinstance(value, list):
        return [found for inner in value for found in _maps(inner)]
    if not isinstance(value, dict):
        return []
    names = ("labels", "annotations", "matchLabels", "requests", "limits", "allocatable", "selector", "nodeSelector")
    here = [found for name in names if isinstance(value.get(name), dict) for found in value[name].values()]
    return here + [found for inner in value.values() for found in _maps(inner)]


@pytest.mark.parametrize("struct", STRUCTS.values(), ids=lambda s: s.__name__)
def test_nothing_at_all_decodes_to_defaults(struct: type[KubeObject]) -> None:
    item = decode(struct, {})
    assert (item.name, item.uid, item.metadata.labels) == ("", "", {})


def test_maps_are_not_shared() -> None:
    """Of objects that have metadata; where there is none at all, it is one frozen value that nobody writes to."""
    first, second = decode(Pod, {"metadata": {}}), decode(Pod, {"metadata": {"labels": None}})
    first.metadata.labels["x"] = "y"
    second.metadata.labels["z"] = "y"
    assert decode(Pod, {"metadata": {"labels": None}}).metadata.labels == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"spec":[]}',
        b'{"metadata":{"name":1}}',
        b'{"status":{"startTime":"yesterday"}}',
        b'{"metadata":{"name":"\xff"}}',
        b'{"spec":{"containers":[null]}}',
        b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_does_not_fit_is_undecodable_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(Undecodable, match="Pod"):
        decoder_of(Pod)(raw)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["metadata", "spec", "status", "containers", "name", "labels", "x"]), inner, max_size=4
            )
        ),
    )
)
def test_any_json_decodes_or_is_undecodable(value: object) -> None:
    with contextlib.suppress(Undecodable):
        assert isinstance(decode(Pod, value), Pod)


@pytest.mark.parametrize(
    ("resource", "struct"),
    [
        (POD, Pod),
        (DEPLOYMENT, Deployment),
        (EVENT, ClusterEvent),
        (CORE_EVENT, ClusterEvent),
        (CONFIG_MAP, ConfigMap),
        (PERSISTENT_VOLUME, Identity),
    ],
)
def test_decoder_of_a_resource(resource: Resource, struct: type[KubeObject]) -> None:
    assert type(decode_object(resource)(b'{"metadata":{"name":"x"}}')) is struct


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, {"a": "b"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "x"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {"a": "b"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": None}]}, {"a": "b"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, {"a": "2"}, False),
    ],
)
def test_label_selector(selector: dict[str, Any], labels: dict[str, str], selected: bool) -> None:
    deployment = decode(Deployment, {"spec": {"selector": selector}})
    found: LabelSelector = deployment.spec.selector
    assert found.matches(labels) is selected
