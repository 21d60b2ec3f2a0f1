"""What is known of the fields of Kubernetes objects, as far as comparing two manifests of one object needs it.

The rule: each table says where its facts come from; a field that no table names is an ordinary struct field, of which a
server may fill in a value when a manifest leaves it out.  Sources: the defaulting functions of each API group
(`pkg/apis/*/v1/defaults.go` of Kubernetes), the merge keys of the API's schema, and
https://kubernetes.io/docs/reference/labels-annotations-taints/ for bookkeeping.

Neighbours: `compare` walks by these tables; nothing else reads them.
"""

from __future__ import annotations

from typing import Final

from tools.executors.base import OWN_PREFIX
from tools.executors.whole import MARKS
from tools.jsontypes import JsonObject, JsonValue

SERVER_METADATA: Final = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
        "ownerReferences",
        "generateName",
        "finalizers",
    }
)
"""Metadata that the server or controllers write; a manifest of people may carry it and it still says nothing."""

_BOOKKEEPING: Final = (
    OWN_PREFIX,
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "control-plane.alpha.kubernetes.io/",
    "endpoints.kubernetes.io/",
    "autoscaling.alpha.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt",
    "batch.kubernetes.io/job-tracking",
    "batch.kubernetes.io/cronjob-scheduled-timestamp",
)
"""Annotations by which controllers, kubectl and we take notes; a restored object must not carry them."""

_HASH_LABELS: Final = (
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
    "kubernetes.io/metadata.name",
    "scaledobject.keda.sh/name",
)
"""Labels that controllers and the server put on what they make."""

_DELIVERY: Final = (
    "meta.helm.sh/",
    "helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "objectset.rio.cattle.io/",
)
"""Labels and annotations that delivery tools add to what people declare: no drift when only the live object has one."""
_MANAGER: Final = "app.kubernetes.io/managed-by"

USER_MAPS: Final = frozenset(
    {"labels", "annotations", "matchLabels", "nodeSelector", "data", "binaryData", "requests", "limits", "hard"}
)
"""Maps of which people choose the keys: every entry counts, an empty text too, and an empty map says what none says."""

_CLOSED_STRUCTS: Final = frozenset({"selector", "podSelector", "namespaceSelector", "capabilities"})
"""Structs of which the server fills nothing: an extra entry is somebody's.  An empty selector selects everything."""

_CLOSED_ITEMS: Final = frozenset({"env", "envFrom", "volumes", "tolerations", "hostAliases", "from", "to", "rules"})
"""Lists whose items are unions or plain values: a second source beside the declared one is somebody's."""

_FILLED_LISTS: Final = frozenset({"clusterIPs", "ipFamilies", "policyTypes", "metrics", "policies"})
"""Lists that the server fills in when they are left out; a token controller does so with those of a ServiceAccount."""

_NEVER_FILLED: Final = frozenset(
    {
        "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "affinity", "exec", "httpGet", "tcpSocket",
        "grpc", "valueFrom", "configMapKeyRef", "secretKeyRef", "serviceAccountName", "serviceAccount", "nodeName",
        "priorityClassName", "runtimeClassName", "workingDir", "subPath", "subPathExpr", "activeDeadlineSeconds",
        "startingDeadlineSeconds", "ttlSecondsAfterFinished", "immutable", "runAsUser", "runAsGroup", "fsGroup",
        "privileged", "runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "seccompProfile",
        "initialDelaySeconds", "minReadySeconds", "externalName", "dnsConfig", "hostname", "subdomain",
        "topologySpreadConstraints", "overhead", "ephemeralContainers", "minReplicaCount", "maxReplicaCount",
        "idleReplicaCount", "pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "fallback",
    }
)  # fmt: skip
"""Struct fields that no server fills in: when only the live object has one, somebody added it."""

_DEFAULTS: Final[dict[str, JsonValue]] = {
    "paused": False,
    "suspend": False,
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "publishNotReadyAddresses": False,
    "dnsPolicy": "ClusterFirst",
    "sessionAffinity": "None",
    "terminationGracePeriodSeconds": 30,
    "progressDeadlineSeconds": 600,
    "scheme": "HTTP",
    "concurrencyPolicy": "Allow",
}
"""Constant defaults of fields that break workloads: left out means this value, and any other one is a change."""

_PROBE_DEFAULTS: Final[dict[str, JsonValue]] = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}

_EMPTY_STRUCTS: Final = frozenset({"resources", "securityContext", "strategy", "updateStrategy", "metadata"})
_QUANTITY_MAPS: Final = frozenset(
    {"requests", "limits", "hard", "capacity", "max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}
)
_QUANTITIES: Final = frozenset({"sizeLimit", "divisor", "averageValue"})

_KEYS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "ephemeralContainers": (("name",),),
    "env": (("name",),),
    "volumes": (("name",),),
    "imagePullSecrets": (("name",),),
    "secrets": (("name",),),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "ports": (("name",), ("containerPort", "protocol"), ("port", "protocol")),
    "hostAliases": (("ip",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeClaimTemplates": (("metadata", "name"),),
    "limits": (("type",),),
    "items": (("key",),),
}
"""What identifies the items of a list, the first that fits both sides; a list without identity goes by position."""
_PATHS: Final = frozenset({("metadata", "name")})
_KEY_DEFAULTS: Final = {"protocol": "TCP"}


def is_bookkeeping(key: str, *, label: bool) -> bool:
    """Whether a label or annotation is a note of the server, of a controller or of ours."""
    return key in _HASH_LABELS if label else key.startswith(_BOOKKEEPING)


def is_word(key: str, *, label: bool) -> bool:
    """Whether it is an annotation by which people tell us something: under our prefix, and not written by us."""
    return not label and key.startswith(OWN_PREFIX) and key not in MARKS


def is_of_delivery(key: str, value: JsonValue) -> bool:
    """Whether delivery tools add this label or annotation by themselves."""
    if key == _MANAGER:
        return value == "Helm"  # the one tool that adds it to what people wrote
    return key.startswith(_DELIVERY)


def is_quantity(path: tuple[str, ...]) -> bool:
    """Whether a scalar at this path is a quantity, which is compared by value."""
    *above, name = path or ("",)
    return name in _QUANTITIES or (bool(above) and above[-1] in _QUANTITY_MAPS)


def is_closed(path: tuple[str, ...], kind: str) -> bool:
    """Whether an object at this path holds only what people wrote, so that an extra key is a difference."""
    if kind == "Job" and path[1:2] == ("selector",):
        return False  # it is made by the Job's controller
    *above, name = path or ("",)
    if name in USER_MAPS or name in _CLOSED_STRUCTS:
        return True
    return name.isdecimal() and bool(above) and above[-1] in _CLOSED_ITEMS


def says_nothing(value: JsonValue, path: tuple[str, ...], kind: str) -> bool:
    """Whether this value says what its absence says, so that one side may have it and the other not.

    Empty lists, texts and maps are not stored; an empty struct is, and may mean much (`emptyDir: {}`).
    """
    *above, name = path
    if above and above[-1] in USER_MAPS:
        return value is None
    if value is None or value in ("", []):
        return True
    if value != {}:
        return False
    return name in USER_MAPS or name in _EMPTY_STRUCTS or (kind == "Service" and name == "selector")


def is_filled(path: tuple[str, ...], kind: str, live: JsonValue) -> bool:
    """Whether what stands at this path may be the server's own filling of a field that a manifest leaves out."""
    name = path[-1]
    if isinstance(live, list):
        return name in _FILLED_LISTS or kind == "ServiceAccount"
    if name in _DEFAULTS:
        return live == _DEFAULTS[name]
    if name in _PROBE_DEFAULTS and len(path) > 1 and path[-2].endswith("Probe"):
        return live == _PROBE_DEFAULTS[name]
    if name in ("minAvailable", "maxUnavailable"):
        return kind != "PodDisruptionBudget"
    return name not in _NEVER_FILLED


def key_of(name: str, lists: tuple[list[JsonValue], ...]) -> tuple[str, ...] | None:
    """The fields that identify every item in all of the lists, each once per list; None when there are none."""
    for key in _KEYS.get(name, ()):
        if all(_tells_apart(items, key) for items in lists):
            return key
    return None


def identity(item: JsonValue, key: tuple[str, ...]) -> tuple[JsonValue, ...] | None:
    """What identifies one item; None when a part is missing."""
    if not isinstance(item, dict):
        return None
    if key in _PATHS:
        metadata = item.get(key[0])
        found = metadata.get(key[1]) if isinstance(metadata, dict) else None
        return None if found is None else (found,)
    parts = tuple(item.get(part, _KEY_DEFAULTS.get(part)) for part in key)
    return None if any(part is None or isinstance(part, dict | list) for part in parts) else parts


def _tells_apart(items: list[JsonValue], key: tuple[str, ...]) -> bool:
    identities = [identity(item, key) for item in items]
    return None not in identities and len(set(identities)) == len(items)


def filled_in(manifest: JsonObject) -> JsonObject:
    """The manifest with the defaults that follow from its own other fields: a Service's target port, an account's name.

    Both would otherwise look like fields left out, and a change of them like a server's default.
    """
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        return manifest
    if manifest.get("kind") == "Service":
        ports = spec.get("ports")
        if isinstance(ports, list):
            ported: list[JsonValue] = [_with_target(port) for port in ports]
            return {**manifest, "spec": {**spec, "ports": ported}}
        return manifest
    return {**manifest, "spec": _with_account(spec)}


def _with_target(port: JsonValue) -> JsonValue:
    if isinstance(port, dict) and port.get("targetPort") is None and "port" in port:
        return {**port, "targetPort": port["port"]}
    return port


def _with_account(spec: JsonObject) -> JsonObject:
    """`serviceAccount` is the old name of `serviceAccountName`; the server writes both in every pod spec."""
    copy: JsonObject = {}
    for key, value in spec.items():
        below = key in ("template", "spec", "jobTemplate") and isinstance(value, dict)
        copy[key] = _with_account(value) if below and isinstance(value, dict) else value
    if "containers" in copy and copy.get("serviceAccountName") and not copy.get("serviceAccount"):
        copy["serviceAccount"] = copy["serviceAccountName"]
    return copy
