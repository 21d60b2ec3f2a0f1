"""Messages of real clusters and what they mean."""

from __future__ import annotations

import pytest

from graph.signals.messages import (
    Missing,
    Refusal,
    classify_refusal,
    find_missing,
    is_own_eviction,
    is_rejection,
    nobody_listens,
    place_is_taken,
    place_may_come,
    probe_victim,
)

MISSING = {
    'configmap "web-config" not found': Missing("ConfigMap", "web-config"),
    'secret "web-secret" not found': Missing("Secret", "web-secret"),
    "couldn't find key T in Secret shop/web-secret": Missing("Secret", "web-secret", "T"),
    "couldn't find key a.b in ConfigMap shop/web": Missing("ConfigMap", "web", "a.b"),
    'MountVolume.SetUp failed for volume "c" : configmap "x" not found': Missing("ConfigMap", "x"),
    "configmap references non-existent config key: app.yaml": Missing("ConfigMap", "that a volume mounts", "app.yaml"),
    '0/2 nodes are available: persistentvolumeclaim "data" not found. preemption: x': Missing(
        "PersistentVolumeClaim", "data"
    ),
    'error looking up service account shop/a: serviceaccount "a" not found': Missing("ServiceAccount", "a"),
    'object "shop"/"web-config" not registered': None,
    "no PriorityClass with name high was found": Missing("PriorityClass", "high"),
    'pod rejected: RuntimeClass "gvisor" not found': Missing("RuntimeClass", "gvisor"),
    "image not found": None,
}


@pytest.mark.parametrize(("message", "missing"), MISSING.items(), ids=MISSING)
def test_missing(message: str, missing: Missing | None) -> None:
    assert find_missing(message) == missing


REFUSALS = {
    "pods is forbidden: exceeded quota: q, requested: pods=1": Refusal.QUOTA,
    "pods is forbidden: failed quota: q: must specify limits.cpu for: app": Refusal.NEEDS,
    "maximum memory usage per Container is 32Mi, but limit is 64Mi": Refusal.NEEDS,
    'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false': Refusal.SECURITY,
    'failed calling webhook "x": service "y" not found': Refusal.WEBHOOK,
    'admission webhook "x" denied the request: no': Refusal.DENIED,
    "no PriorityClass with name p was found": Refusal.CLASS,
    'Pod "x" is invalid: spec.containers[0]: Invalid value': Refusal.INVALID,
    "because it is being terminated": Refusal.LEAVING,
    "something else": Refusal.UNKNOWN,
}


@pytest.mark.parametrize(("message", "kind"), REFUSALS.items(), ids=REFUSALS)
def test_refusal(message: str, kind: Refusal) -> None:
    assert classify_refusal(message) is kind


PLACES = {
    "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available.": (False, True),
    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: x": (True, False),
    "0/2 nodes are available: 2 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.": (True, False),
    "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.": (
        False,
        True,
    ),
    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.": (False, True),
    "": (False, False),
}


@pytest.mark.parametrize(("message", "expected"), PLACES.items(), ids=PLACES)
def test_places(message: str, expected: tuple[bool, bool]) -> None:
    assert (place_may_come(message), place_is_taken(message)) == expected


def test_evictions() -> None:
    assert is_own_eviction("Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 10Mi.")
    assert is_own_eviction("Container app exceeded its local ephemeral storage limit")
    assert not is_own_eviction("The node was low on resource: ephemeral-storage.")


@pytest.mark.parametrize(
    ("message", "is_it"),
    [
        ("OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu, requested: 64000, used: 65", True),
        ("OutOfexample.com/gpu: Pod was rejected: Node didn't have enough resource: example.com/gpu", True),
        ("NodeAffinity: Pod was rejected: Predicate NodeAffinity failed", True),
        ("UnexpectedAdmissionError: Allocate failed due to no healthy devices present", True),
        ("Evicted: The node was low on resource: memory.", False),
        ("NodeShutdown: Pod was rejected as the node is shutting down.", False),
        ("Error with exit code 1, OutOfcpu", False),
    ],
)
def test_pods_that_the_kubelet_did_not_take(message: str, is_it: bool) -> None:
    assert is_rejection(message) is is_it


def test_probe_victims() -> None:
    assert probe_victim("Container app failed startup probe, will be restarted") == "app"
    assert probe_victim("Stopping container app") is None


@pytest.mark.parametrize(
    ("note", "is_silent"),
    [
        ('Readiness probe failed: Get "http://10.0.0.7:80/": dial tcp 10.0.0.7:80: connect: connection refused', True),
        ("Startup probe failed: dial tcp 10.0.0.7:80: connect: connection refused", True),
        ("Readiness probe failed: HTTP probe failed with statuscode: 404", False),
        ("Back-off pulling image: connection refused", False),
    ],
)
def test_a_probe_that_finds_nobody_is_told_from_a_wrong_answer(note: str, is_silent: bool) -> None:
    assert nobody_listens(note) is is_silent
