"""The comparison of two manifests of one object: the table of what is a difference and what is not."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import yaml

from tools.executors.patch import find, split
from tools.journal.compare import Difference, differences, normal, patch_of
from tools.jsontypes import JsonObject, JsonValue, dig_object

DECLARED = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: app:1
        env:
        - {name: MODE, value: blue}
        ports: [{containerPort: 8080}]
        resources: {limits: {cpu: "1", memory: 128Mi}}
        readinessProbe: {httpGet: {path: /ready, port: 8080}}
        volumeMounts: [{name: settings, mountPath: /etc/web}]
      volumes:
      - name: settings
        configMap: {name: web}
"""
LIVE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: 7d1c
  resourceVersion: "12"
  generation: 3
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels: {app: web}
  annotations:
    deployment.kubernetes.io/revision: "3"
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    selfheal.dev/action-id: a-1
  managedFields: [{manager: kubectl}]
spec:
  progressDeadlineSeconds: 600
  replicas: 2
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  template:
    metadata:
      creationTimestamp: null
      labels: {app: web}
      annotations: {kubectl.kubernetes.io/restartedAt: "2026-01-01T00:00:00Z"}
    spec:
      containers:
      - name: app
        image: app:1
        imagePullPolicy: IfNotPresent
        env:
        - {name: MODE, value: blue}
        ports: [{containerPort: 8080, protocol: TCP}]
        resources: {limits: {cpu: "1", memory: 128Mi}}
        readinessProbe:
          httpGet: {path: /ready, port: 8080, scheme: HTTP}
          timeoutSeconds: 1
          periodSeconds: 10
          successThreshold: 1
          failureThreshold: 3
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
        volumeMounts: [{name: settings, mountPath: /etc/web}]
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
      volumes:
      - name: settings
        configMap: {name: web, defaultMode: 420}
status: {readyReplicas: 2}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}]
"""
LIVE_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, uid: 11, resourceVersion: "4"}
spec:
  clusterIP: 10.0.0.9
  clusterIPs: [10.0.0.9]
  internalTrafficPolicy: Cluster
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  ports: [{name: http, port: 80, protocol: TCP, targetPort: 80, nodePort: 30080}]
  selector: {app: web}
  sessionAffinity: None
  type: NodePort
status: {loadBalancer: {}}
"""
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop}
data: {MODE: blue, EMPTY: ""}
"""
POD = "/spec/template/spec"
APP = POD + "/containers/0"


def parsed(text: str) -> JsonObject:
    """One manifest."""
    found: JsonObject = yaml.safe_load(text)
    return found


def changed(text: str, path: str, value: JsonValue = None) -> JsonObject:
    """The manifest with one place set, or taken away when `value` is None; `-` adds to a list."""
    manifest = parsed(text)
    *above, last = split(path)
    has, holder = find(manifest, "".join("/" + s.replace("~", "~0").replace("/", "~1") for s in above))
    assert has, path
    if isinstance(holder, list):
        if last == "-":
            holder.append(value)
        else:
            del holder[int(last)]
    elif isinstance(holder, dict):
        if value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return manifest


def apply(live: JsonObject, patch: list[JsonObject]) -> JsonObject:
    """RFC 6902 as far as we speak it."""
    document = copy.deepcopy(live)
    for step in patch:
        path = str(step["path"])
        *above, last = split(path)
        has, holder = find(document, "".join("/" + s.replace("~", "~0").replace("/", "~1") for s in above))
        assert has, f"{path} leads nowhere"
        if step["op"] == "test":
            assert find(document, path) == (True, step["value"]), path
        elif isinstance(holder, list):
            if step["op"] == "remove":
                del holder[int(last)]
            elif last == "-":
                holder.append(step["value"])
            else:
                holder[int(last)] = step["value"]
        else:
            assert isinstance(holder, dict)
            if step["op"] == "remove":
                del holder[last]
            else:
                holder[last] = step["value"]
    return document


@dataclass(frozen=True)
class Case:
    """One live change, and what is found: pairs of pointer and what should stand there (`GONE` for nothing)."""

    name: str
    live: JsonObject
    wanted: JsonObject
    found: tuple[tuple[str, JsonValue], ...]


GONE: JsonValue = "(gone)"
PARTIAL = (
    Case("what the server fills in is no difference", parsed(LIVE), parsed(DECLARED), ()),
    Case("neither is what it gives a Service", parsed(LIVE_SERVICE), parsed(SERVICE), ()),
    Case(
        "nor quantities of the same value", parsed(LIVE), changed(DECLARED, APP + "/resources/limits/cpu", "1000m"), ()
    ),
    Case("nor a quantity written as a number", parsed(LIVE), changed(DECLARED, APP + "/resources/limits/cpu", 1), ()),
    Case("replicas left out belong to others", parsed(LIVE), changed(DECLARED, "/spec/replicas"), ()),
    Case("Helm's notes are no drift", changed(LIVE, "/metadata/labels/helm.sh~1chart", "web-1"), parsed(DECLARED), ()),
    Case("replicas", changed(LIVE, "/spec/replicas", 0), parsed(DECLARED), (("/spec/replicas", 2),)),
    Case(
        "an extra variable is one difference at its element",
        changed(LIVE, APP + "/env/-", {"name": "DEBUG", "value": "1"}),
        parsed(DECLARED),
        ((APP + "/env/1", GONE),),
    ),
    Case(
        "variables where none are declared are one difference at the list",
        parsed(LIVE),
        changed(DECLARED, APP + "/env"),
        ((APP + "/env", GONE),),
    ),
    Case(
        "a missing variable is added behind the others",
        parsed(LIVE),
        changed(DECLARED, APP + "/env/-", {"name": "LEVEL", "value": "info"}),
        ((APP + "/env/-", {"name": "LEVEL", "value": "info"}),),
    ),
    Case(
        "a changed variable",
        parsed(LIVE),
        changed(DECLARED, APP + "/env", [{"name": "MODE", "value": "green"}]),
        ((APP + "/env/0/value", "green"),),
    ),
    Case(
        "variables in another order are no difference",
        changed(LIVE, APP + "/env/-", {"name": "LEVEL", "value": "info"}),
        changed(DECLARED, APP + "/env", [{"name": "LEVEL", "value": "info"}, {"name": "MODE", "value": "blue"}]),
        (),
    ),
    Case(
        "a variable that now comes from elsewhere loses its source",
        changed(LIVE, APP + "/env", [{"name": "MODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        parsed(DECLARED),
        ((APP + "/env/0/value", "blue"), (APP + "/env/0/valueFrom", GONE)),
    ),
    Case(
        "an extra label",
        changed(LIVE, "/metadata/labels/team", "x"),
        parsed(DECLARED),
        (("/metadata/labels/team", GONE),),
    ),
    Case(
        "an extra annotation beside the server's own",
        changed(LIVE, "/metadata/annotations/note", "x"),
        parsed(DECLARED),
        (("/metadata/annotations/note", GONE),),
    ),
    Case(
        "an annotation that is missing among the server's own",
        parsed(LIVE),
        changed(DECLARED, "/metadata/annotations", {"note": "x"}),
        (("/metadata/annotations/note", "x"),),
    ),
    Case(
        "a lost memory limit",
        changed(LIVE, APP + "/resources/limits/memory"),
        parsed(DECLARED),
        ((APP + "/resources/limits/memory", "128Mi"),),
    ),
    Case(
        "limits where none are declared",
        parsed(LIVE),
        changed(DECLARED, APP + "/resources"),
        ((APP + "/resources/limits", GONE),),
    ),
    Case(
        "a node selector that nobody declared",
        changed(LIVE, POD + "/nodeSelector", {"disk": "ssd"}),
        parsed(DECLARED),
        ((POD + "/nodeSelector", GONE),),
    ),
    Case(
        "another DNS policy than the default",
        changed(LIVE, POD + "/dnsPolicy", "Default"),
        parsed(DECLARED),
        ((POD + "/dnsPolicy", GONE),),
    ),
    Case("paused", changed(LIVE, "/spec/paused", True), parsed(DECLARED), (("/spec/paused", GONE),)),
    Case(
        "a probe that nobody declared",
        changed(LIVE, APP + "/livenessProbe", {"exec": {"command": ["false"]}}),
        parsed(DECLARED),
        ((APP + "/livenessProbe", GONE),),
    ),
    Case(
        "a probe's timeout where it is left out",
        changed(LIVE, APP + "/readinessProbe/periodSeconds", 3600),
        parsed(DECLARED),
        ((APP + "/readinessProbe/periodSeconds", GONE),),
    ),
    Case(
        "a command that nobody declared",
        changed(LIVE, APP + "/command", ["sleep"]),
        parsed(DECLARED),
        ((APP + "/command", GONE),),
    ),
    Case(
        "a volume with another source",
        changed(LIVE, POD + "/volumes", [{"name": "settings", "emptyDir": {}}]),
        parsed(DECLARED),
        ((POD + "/volumes/0/configMap", {"name": "web"}), (POD + "/volumes/0/emptyDir", GONE)),
    ),
    Case(
        "an account that nobody declared, under both its names",
        changed(
            changed_live := LIVE.replace("restartPolicy: Always", "serviceAccount: x"), POD + "/serviceAccountName", "x"
        ),
        parsed(DECLARED),
        ((POD + "/serviceAccount", GONE), (POD + "/serviceAccountName", GONE)),
    ),
    Case(
        "a changed setting",
        changed(SETTINGS, "/data/MODE", "green"),
        parsed(SETTINGS),
        (("/data/MODE", "blue"),),
    ),
    Case("an extra setting", changed(SETTINGS, "/data/X", "1"), parsed(SETTINGS), (("/data/X", GONE),)),
    Case("an empty setting is a setting", changed(SETTINGS, "/data/EMPTY"), parsed(SETTINGS), (("/data/EMPTY", ""),)),
    Case(
        "all settings gone", changed(SETTINGS, "/data"), parsed(SETTINGS), (("/data", {"MODE": "blue", "EMPTY": ""}),)
    ),
    Case(
        "a Service's port",
        parsed(LIVE_SERVICE.replace("port: 80,", "port: 81,")),
        parsed(SERVICE),
        (("/spec/ports/0/port", 80),),
    ),
    Case(
        "a target port that is left out is the port",
        parsed(LIVE_SERVICE.replace("targetPort: 80", "targetPort: 9999")),
        parsed(SERVICE),
        (("/spec/ports/0/targetPort", 80),),
    ),
    Case(
        "a Service's selector",
        changed(LIVE_SERVICE, "/spec/selector", {"app": "other", "tier": "x"}),
        parsed(SERVICE),
        (("/spec/selector/app", "web"), ("/spec/selector/tier", GONE)),
    ),
    Case(
        "a Service without selector",
        changed(LIVE_SERVICE, "/spec/selector"),
        parsed(SERVICE),
        (("/spec/selector", {"app": "web"}),),
    ),
    Case(
        "a Secret's content is never compared",
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"A": "eA=="}},
        {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"A": "y"}},
        (),
    ),
    Case(
        "a quota by value and by entry",
        {"kind": "ResourceQuota", "metadata": {}, "spec": {"hard": {"cpu": "2", "pods": "0"}}},
        {"kind": "ResourceQuota", "metadata": {}, "spec": {"hard": {"cpu": "2000m", "pods": 10}}},
        (("/spec/hard/pods", 10),),
    ),
    Case(
        "who may enter: an empty peer list is not any peer",
        {"kind": "NetworkPolicy", "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}},
        {"kind": "NetworkPolicy", "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}},
        (("/spec/ingress", [{"from": [{"podSelector": {}}]}]),),
    ),
    Case(
        "a Job's selector and marks are its controller's",
        {
            "kind": "Job",
            "spec": {
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "suspend": False,
                "template": {"metadata": {"labels": {"job-name": "j"}}, "spec": {"restartPolicy": "Never"}},
            },
        },
        {"kind": "Job", "spec": {"template": {"spec": {"restartPolicy": "Never"}}}},
        (),
    ),
    Case(
        "suspended",
        {"kind": "CronJob", "spec": {"suspend": True}},
        {"kind": "CronJob", "spec": {}},
        (("/spec/suspend", GONE),),
    ),
    Case(
        "an address of a Service is fixed for its life",
        parsed(LIVE_SERVICE),
        changed(SERVICE, "/spec/clusterIP", "10.0.0.1"),
        (),
    ),
)


@pytest.mark.parametrize("case", PARTIAL, ids=lambda c: c.name)
def test_a_declared_manifest_against_the_live_object(case: Case) -> None:
    found = differences(case.live, case.wanted, partial=True)
    assert tuple((d.path, d.then if d.has_then else GONE) for d in found) == case.found


@pytest.mark.parametrize("case", PARTIAL, ids=lambda c: c.name)
def test_carried_out_in_order_nothing_differs_any_more(case: Case) -> None:
    healed = apply(case.live, patch_of(differences(case.live, case.wanted, partial=True)))
    assert differences(healed, case.wanted, partial=True) == ()


def test_several_removals_from_one_list_are_in_an_order_that_can_be_applied() -> None:
    live = parsed(LIVE)
    containers = dig_object(live, "spec", "template", "spec")["containers"]
    assert isinstance(containers, list)
    app = containers[0]
    assert isinstance(app, dict)
    foreign: list[JsonValue] = [{"name": name, "value": "v"} for name in "ABC"]
    app["env"] = [*foreign, {"name": "MODE", "value": "x"}]
    found = differences(live, parsed(DECLARED), partial=True)
    assert [d.path for d in found] == [APP + f"/env/{n}" for n in ("3/value", "2", "1", "0")]
    assert differences(apply(live, patch_of(found)), parsed(DECLARED), partial=True) == ()


FULL = (
    Case("the same state", parsed(LIVE), parsed(LIVE), ()),
    Case("the state without what the server manages", parsed(LIVE), normal(parsed(LIVE)), ()),
    Case(
        "a field that was not there before",
        changed(LIVE, APP + "/tty", True),
        parsed(LIVE),
        ((APP + "/tty", GONE),),
    ),
    Case(
        "a node port that moved",
        parsed(LIVE_SERVICE.replace("30080", "30081")),
        parsed(LIVE_SERVICE),
        (("/spec/ports/0/nodePort", 30080),),
    ),
    Case(
        "an empty list is no list",
        changed(LIVE, POD + "/tolerations", []),
        parsed(LIVE),
        (),
    ),
)


@pytest.mark.parametrize("case", FULL, ids=lambda c: c.name)
def test_an_earlier_state_against_the_live_object(case: Case) -> None:
    found = differences(case.live, case.wanted, partial=False)
    assert tuple((d.path, d.then if d.has_then else GONE) for d in found) == case.found


def test_a_difference_carries_what_stands_there_now() -> None:
    (found,) = differences(changed(LIVE, "/spec/replicas", 0), parsed(DECLARED), partial=True)
    assert found == Difference("/spec/replicas", has_now=True, now=0, has_then=True, then=2)


def test_normal_is_what_people_would_write() -> None:
    live = parsed(LIVE)
    before = copy.deepcopy(live)
    clean = normal(live)
    assert live == before
    assert clean["metadata"] == {"name": "web", "namespace": "shop", "labels": {"app": "web"}}
    assert "status" not in clean
    assert dig_object(clean, "spec", "template", "metadata") == {"labels": {"app": "web"}}
    assert normal(clean) == clean


def test_what_people_tell_us_by_annotation_stays_and_is_no_difference() -> None:
    told = changed(LIVE, "/metadata/annotations/selfheal.dev~1mode", "approve")
    assert dig_object(normal(told), "metadata", "annotations") == {"selfheal.dev/mode": "approve"}
    for partial in (True, False):
        assert differences(told, parsed(LIVE), partial=partial) == differences(
            parsed(LIVE), parsed(LIVE), partial=partial
        )
        assert not [d for d in differences(parsed(LIVE), normal(told), partial=partial) if "selfheal" in d.path]


def test_normal_of_a_secret_has_no_content() -> None:
    assert normal({"kind": "Secret", "type": "Opaque", "data": {"a": "b"}, "stringData": {"c": "d"}}) == {
        "kind": "Secret",
        "type": "Opaque",
    }
